"""A bus that loses, and strangers who publish on it: nothing is lost, doubled or out of order, and nothing ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import hypothesis
import hypothesis.strategies as some
import msgspec
import pytest
from nats.aio.client import Client

from lab import nats, postgres
from lab.process import PATIENCE_S
from tidings.protocol.user_id import UserId
from tidings.server.config import Config
from tidings.server.live.bus import Bus, Hint, Parcel, decode, encode
from tidings.server.live.bus import neighbours as live_neighbours
from tidings.server.live.bus.carrier import SEAL_SIZE_BYTES, Seal
from tidings.server.live.bus.neighbours import NEIGHBOURS_MAX, PEOPLE_MAX, Neighbours
from tidings.server.live.bus.open import open_bus
from tidings.server.live.hub import Hub, UserLog
from tidings.server.metrics import Metrics
from tidings.server.node import Node
from tidings.server.store import NewMessage
from tidings.server.store.open import open_store
from tidings.server.store.sqlite.store import SqliteStore

ALICE, BOB = UserId("alice"), UserId("bob")

_numbers = itertools.count(1)


def config(**settings: Any) -> Config:
    url = postgres.shared().url(schema=f"t_{os.getpid()}_{next(_numbers)}")
    return Config(db=url, secret="s" * 32, **settings)


class Lossy:
    """A bus that loses a part of what is published."""

    def __init__(self, bus: Bus, lost: float, rng: random.Random) -> None:
        self._bus = bus
        self.share = lost
        self._rng = rng
        self.body_size_max_bytes = bus.body_size_max_bytes
        self.run = bus.run
        self.lost: list[bytes] = []

    @property
    def trouble(self) -> str:
        return self._bus.trouble

    @property
    def dropped(self) -> int:
        return self._bus.dropped

    def publish(self, body: bytes) -> None:
        if self._rng.random() < self.share:
            self.lost.append(body)
        else:
            self._bus.publish(body)


class Losing:
    """In the place of ``open_bus``: the settings' own buses, each of which loses."""

    def __init__(self, lost: float, rng: random.Random) -> None:
        self.buses: list[Lossy] = []
        self._lost = lost
        self._rng = rng

    def __call__(self, settings: Config) -> Bus:
        bus = open_bus(settings)
        assert bus is not None
        self.buses.append(Lossy(bus, self._lost, self._rng))
        return self.buses[-1]


@contextlib.asynccontextmanager
async def nodes(settings: Config, opened: Callable[[Config], Bus | None] = open_bus) -> AsyncIterator[list[Node]]:
    """Two nodes that know each other."""
    started = [Node(settings, open_bus=opened) for _ in range(2)]
    try:
        for node in started:
            await node.start()
        async with asyncio.timeout(PATIENCE_S):
            for node in started:
                while metric(node, "tidings_bus_neighbours") < 1:  # noqa: ASYNC110  # a condition with a deadline
                    await asyncio.sleep(0.01)
        yield started
    finally:
        for node in started:
            await node.stop()


def metric(node: Node, name: str) -> float:
    lines = node.metrics.render("")[0].decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def held(node: Node, user: UserId) -> UserLog:
    """The user's log, as a reader on this node holds it."""
    user_log = node.hub.hold(user)
    user_log.join_at((await node.store.start_position(user, None)).head)
    return user_log


class Reader:
    """A stream of a log, as the hub sees one: it notes what it is handed, and when."""

    tab: str | None = None
    opened_at = 0.0
    state = "live"
    is_ending = False

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.texts: list[str] = []
        self.at: list[float] = []

    def offer(self, rendered: Any, frame: Any, now: float) -> None:
        self.positions.append(rendered.position)
        self.texts.append(msgspec.json.decode(rendered.data)["text"])
        self.at.append(now)

    def offer_ephemeral(self, frame: Any) -> None:
        pass

    def end(self, reason: str, retry_ms: int) -> None:
        raise AssertionError(reason)

    def abort(self, reason: str) -> None:
        raise AssertionError(reason)


class Revoked(Reader):
    """A stream that takes no goodbye."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    def end(self, reason: str, retry_ms: int) -> None:
        self.ended.set()

    def abort(self, reason: str) -> None:
        self.state = "ended"


@pytest.mark.parametrize("kind", ["notify", "nats"])
def test_a_bus_that_loses_a_fifth_loses_doubles_and_disorders_no_event(kind: str) -> None:
    """The numbers tell of each hole, and a sweep follows at once: no reader waits for the regular one."""
    rng, count = random.Random(7), 300

    async def play() -> None:
        settings, opened = config(bus=nats.shared().url() if kind == "nats" else ""), Losing(0.2, rng)
        async with nodes(settings, opened) as (one, two):
            user_log, reader = await held(two, BOB), Reader()
            user_log.enter(reader)
            sent_at: list[float] = []
            for number in range(count):
                sent_at.append(two.hub.loop.time())
                await one.store.append(NewMessage(ALICE, BOB, str(number), "text", None, None))
                await asyncio.sleep(0.004)
            async with asyncio.timeout(PATIENCE_S):
                await user_log.wait_beyond(count - 1, PATIENCE_S)
            user_log.leave(reader)
            two.hub.release(user_log)
            assert list(range(1, count + 1)) == reader.positions
            assert 0 < len(opened.buses[0].lost) < count, "some were lost, and some were not"
            assert metric(two, "tidings_bus_gaps_total") > 0
            delays = sorted(at - sent for at, sent in zip(reader.at, sent_at, strict=True))
            assert delays[count // 2] < 1.0, "most came by a hint, or soon after"
            assert delays[-1] < 8.0, "no event waited for the regular sweep of 15 s"

    asyncio.run(play())


def test_a_message_of_a_node_that_died_before_it_told_anybody_reaches_all_when_it_is_sent_again() -> None:
    """Whichever node answers that it is stored: it was acknowledged, and no reader waits for the regular sweep."""

    async def play() -> None:
        settings = config()
        async with nodes(settings) as (one, two):
            user_log, reader = await held(two, BOB), Reader()
            user_log.enter(reader)
            dead = open_store(settings.db, lambda _events: None)
            await dead.start()
            message = NewMessage(ALICE, BOB, "hi", "text", "the same", None)
            await dead.append(message)
            await dead.close()
            began_at = two.hub.loop.time()
            assert not (await one.store.append(message)).is_new
            await user_log.wait_beyond(0, 30.0)
            user_log.leave(reader)
            two.hub.release(user_log)
            assert [1] == reader.positions
            assert reader.at[0] - began_at < 8.0, "it waited for the regular sweep"

    asyncio.run(play())


def test_a_bus_that_is_split_is_noticed_by_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side's bus is up, and nobody is heard on it; the database knows of the other, so sweeps go on."""
    monkeypatch.setattr(live_neighbours, "SILENT_S", 1.5)

    async def play() -> None:
        opened = Losing(0.0, random.Random(1))
        async with nodes(config(), opened) as (one, two):
            user_log, reader = await held(two, BOB), Reader()
            user_log.enter(reader)
            for bus in opened.buses:
                bus.share = 1.0
            async with asyncio.timeout(PATIENCE_S):
                while metric(two, "tidings_bus_neighbours") > 0:  # noqa: ASYNC110  # likewise
                    await asyncio.sleep(0.05)
            for number in range(2):
                sent_at = two.hub.loop.time()
                await one.store.append(NewMessage(ALICE, BOB, str(number), "text", None, None))
                async with asyncio.timeout(PATIENCE_S):
                    await user_log.wait_beyond(number, PATIENCE_S)
                assert reader.at[-1] - sent_at < 8.0, "no event waited for the regular sweep of 15 s"
            assert two.hub.others.trouble == ""
            user_log.leave(reader)
            two.hub.release(user_log)

    asyncio.run(play())


# shows: nodes/revoke
def test_a_revocation_that_was_missed_and_looked_for_before_it_was_kept_ends_streams_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PROTOCOL 2.6.1. The node that was told waits for a reader that takes nothing before it stores it, and the
    database may take its time. Meanwhile another one notices that it missed something, and finds nothing there.
    """
    monkeypatch.setattr(live_neighbours, "BEAT_INTERVAL_S", 0.1)

    async def play() -> None:
        opened = Losing(0.0, random.Random(1))
        async with nodes(config(), opened) as (one, two):
            logs = [await held(node, BOB) for node in (one, two)]
            readers = [Revoked(), Revoked()]
            for user_log, reader in zip(logs, readers, strict=True):
                user_log.enter(reader)
            keep, look, may_keep, has_looked = one.store.revoke, two.store.revocations, asyncio.Event(), asyncio.Event()

            async def keep_late(user: UserId, until: float) -> None:
                await may_keep.wait()
                await keep(user, until)

            async def look_and_tell(since: float = 0.0) -> dict[UserId, float]:
                found = await look(since)
                has_looked.set()
                return found

            monkeypatch.setattr(one.store, "revoke", keep_late)
            (bus, _) = opened.buses
            bus.share = 1.0
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
                tasks.create_task(one.revoke(BOB))
                while not any(b"revoke" in body for body in bus.lost):  # noqa: ASYNC110  # likewise
                    await asyncio.sleep(0.01)
                monkeypatch.setattr(two.store, "revocations", look_and_tell)
                bus.share = 0.0
                await has_looked.wait()
                assert not readers[1].ended.is_set()
                may_keep.set()
                await readers[1].ended.wait()
            for node, user_log, reader in zip((one, two), logs, readers, strict=True):
                user_log.leave(reader)
                node.hub.release(user_log)

    asyncio.run(play())


# shows: security/bus
def test_a_stranger_on_the_nats_server_ends_nothing_and_hints_go_on() -> None:
    """Noise, parcels of before, cut and changed ones, and parcels of nodes that are made up, all on the subject."""
    rng = random.Random(3)

    FORGED = msgspec.Raw(b'{"text":"forged"}')

    async def play() -> None:
        seen: list[tuple[str, bytes]] = []
        stranger = Client()
        await stranger.connect(nats.shared().url())

        async def see(message: Any) -> None:
            if PREFIX in message.subject:
                seen.append((message.subject, message.data))

        await stranger.subscribe(">", cb=see)
        settings = config(bus=nats.shared().url())
        PREFIX = settings.db.partition("schema=")[2]
        async with nodes(settings) as (one, two):
            user_log, reader = await held(two, BOB), Reader()
            user_log.enter(reader)
            await one.store.append(NewMessage(ALICE, BOB, "before", "text", None, None))
            async with asyncio.timeout(PATIENCE_S):
                while not any(b"before" in body for _, body in seen):  # noqa: ASYNC110  # likewise
                    await asyncio.sleep(0.01)
            subject, parcels = seen[0][0], [body for _, body in seen if b"before" in body or b"here" in body]
            assert {subject} == {each for each, _ in seen}
            strange = Seal("a key that is another")
            for number in range(400):
                body = bytearray(rng.choice(parcels))
                match number % 5:
                    case 4:
                        pass
                    case 0:
                        del body[rng.randrange(len(body)) :]
                    case 1:
                        body = bytearray(rng.randbytes(rng.randrange(200)))
                    case 2:
                        body[rng.randrange(len(body))] = rng.randrange(256)
                    case _:
                        told = [("here", f"nobody{number}", ""), ("revoke", "bob", "9e99"), ("presence", "bob", "")]
                        hints = [Hint("bob", position, 1, "new_message", FORGED) for position in (1, 2)]
                        forged = encode(Parcel(f"x{number}", number, two.hub.epoch, hints, told, 0.0))
                        seal = strange.close(forged) if number % 2 else bytes(body[:SEAL_SIZE_BYTES]) + forged
                        body = bytearray(seal)
                await stranger.publish(subject, bytes(body))
            await stranger.publish(subject, b"[" * 100_000)
            await stranger.flush()
            await one.store.append(NewMessage(ALICE, BOB, "after", "text", None, None))
            async with asyncio.timeout(PATIENCE_S):
                await user_log.wait_beyond(1, PATIENCE_S)
            assert 2 == (await two.store.start_position(BOB, None)).head
            assert metric(two, "tidings_bus_gaps_total") > 0
            assert ["before", "after"] == reader.texts
            assert 1 == metric(two, "tidings_bus_neighbours")
            user_log.leave(reader)
            two.hub.release(user_log)
        await stranger.close()

    asyncio.run(play())


# shows: security/bus
def test_another_role_of_the_database_shows_no_reader_anything() -> None:
    """Everybody who connects may notify on any channel: what no node sealed is none of ours."""

    async def play() -> None:
        settings = config()
        schema = settings.db.partition("schema=")[2]
        async with nodes(settings) as (one, two):
            user_log, reader = await held(two, BOB), Reader()
            user_log.enter(reader)
            hints = [Hint("bob", 1, 1, "new_message", msgspec.Raw(b'{"text":"forged"}'))]
            forged = encode(Parcel("x", 1, two.hub.epoch, hints, [("revoke", "bob", "9e99")], 0.0)).decode()
            before = metric(two, "tidings_bus_gaps_total")
            server = postgres.shared()
            await asyncio.to_thread(server.run, f"SELECT pg_notify('tidings_{schema}', '{forged}')")
            await one.store.append(NewMessage(ALICE, BOB, "true", "text", None, None))
            async with asyncio.timeout(PATIENCE_S):
                await user_log.wait_beyond(0, PATIENCE_S)
            assert ["true"] == reader.texts
            assert metric(two, "tidings_bus_gaps_total") > before
            user_log.leave(reader)
            two.hub.release(user_log)

    asyncio.run(play())


class Quiet:
    """A bus on which a test itself says what comes."""

    body_size_max_bytes = 7_900
    trouble = ""
    dropped = 0

    def __init__(self) -> None:
        self.published: list[bytes] = []

    async def run(self, heard: Callable[[bytes], None], came_back: Callable[[], None]) -> None:
        pass

    def publish(self, body: bytes) -> None:
        self.published.append(body)


@contextlib.asynccontextmanager
async def hearing(path: str) -> AsyncIterator[tuple[Hub, Neighbours, Quiet]]:
    store, bus = SqliteStore(path, lambda _: None), Quiet()
    await store.start()
    hub = Hub(Config(secret="s" * 32), store, Metrics(), random.Random(1))
    hub.others = neighbours = Neighbours(bus, hub, lambda *_: None, lambda: None)
    running = asyncio.ensure_future(hub.run(lambda: None))
    await asyncio.sleep(0)
    try:
        yield hub, neighbours, bus
    finally:
        running.cancel()
        await asyncio.wait([running])
        await store.close()


def count(hub: Hub, name: str) -> float:
    return next(
        float(line.split()[1])
        for line in hub.metrics.render("")[0].decode().splitlines()
        if line.startswith(f"{name} ")
    )


# shows: nodes/revoke
def test_a_revocation_is_told_before_anybody_was_heard(tmp_path: Any) -> None:
    """PROTOCOL 2.6.1. A node that has just come hears others before they hear it."""

    async def play() -> None:
        async with hearing(str(tmp_path / "x.db")) as (_, neighbours, bus):
            neighbours.tell("typing", BOB, ALICE)
            await asyncio.sleep(0)
            neighbours.tell("revoke", BOB, "1.5")
            await asyncio.sleep(0)
            assert [[("revoke", BOB, "1.5")]] == [decode(body).told for body in bus.published]

    asyncio.run(play())


def test_a_parcel_of_the_next_version_is_read_and_one_that_cannot_be_counts_as_a_gap(tmp_path: Any) -> None:
    """More members and kinds are passed over; another shape is a hole, also where no number tells of it."""

    async def play() -> None:
        async with hearing(str(tmp_path / "x.db")) as (hub, neighbours, _):
            told = [("later", "bob", "x"), ("here", "bob", "")]
            ours = msgspec.json.decode(encode(Parcel("n1", 1, hub.epoch, told=told, at=1.0)))
            newer = msgspec.json.encode([*ours, {"more": 1}, "and more"])
            neighbours.hear(newer)
            assert neighbours.has(BOB)
            assert 0.0 == count(hub, "tidings_bus_gaps_total")
            neighbours.hear(msgspec.json.encode(["n1", 2, hub.epoch, [], [["here", "bob"]]]))
            assert 1.0 == count(hub, "tidings_bus_gaps_total")
            neighbours.hear(msgspec.json.encode({"of": "another shape"}))
            assert 2.0 == count(hub, "tidings_bus_gaps_total")
            neighbours.hear(encode(Parcel("n1", 2, hub.epoch)))
            assert 3.0 == count(hub, "tidings_bus_gaps_total"), "the beat tells of the one that could not be read"

    asyncio.run(play())


def test_a_parcel_of_before_this_version_is_read(tmp_path: Any) -> None:
    """One without members for what is told, and without a time."""

    async def play() -> None:
        async with hearing(str(tmp_path / "x.db")) as (hub, neighbours, _):
            neighbours.hear(msgspec.json.encode(["n1", 1, hub.epoch, [["bob", 1, 5, None, None]]]))
            assert (1.0, 0.0) == (count(hub, "tidings_bus_heard_total"), count(hub, "tidings_bus_gaps_total"))

    asyncio.run(play())


# shows: security/bus
def test_no_stranger_fills_the_memory(tmp_path: Any) -> None:
    """Nodes and people that are made up have their bounds."""

    async def play() -> None:
        async with hearing(str(tmp_path / "x.db")) as (hub, neighbours, _):
            for number in range(NEIGHBOURS_MAX + 50):
                neighbours.hear(encode(Parcel(f"n{number}", 1, hub.epoch)))
            assert NEIGHBOURS_MAX == count(hub, "tidings_bus_neighbours")
            for start in range(0, PEOPLE_MAX + 1_000, 1_000):
                people = [("here", f"u{number}", "") for number in range(start, start + 1_000)]
                neighbours.hear(encode(Parcel("n1", 2 + start // 1_000, hub.epoch, [], people)))
            assert neighbours.has(UserId("u0"))
            assert not neighbours.has(UserId(f"u{PEOPLE_MAX + 500}"))

    asyncio.run(play())


def test_news_that_were_long_on_the_way_undo_nothing(tmp_path: Any) -> None:
    """A bus that stood still brings a tab of before: the stream that has it now stays. At once, it ends that."""

    class Tab(Reader):
        tab: str | None = "t1"
        ended = ""

        def end(self, reason: str, retry_ms: int) -> None:
            self.ended = reason

    async def play() -> None:
        async with hearing(str(tmp_path / "x.db")) as (hub, neighbours, _):
            user_log, stream = hub.hold(BOB), Tab()
            user_log.enter(stream)
            now = hub.loop.time()
            stream.opened_at = now - 5
            neighbours.hear(encode(Parcel("n1", 0, hub.epoch, at=now)))
            neighbours.hear(encode(Parcel("n1", 1, hub.epoch, told=[("tab", "bob", "t1")], at=now - 10)))
            assert "" == stream.ended
            neighbours.hear(encode(Parcel("n1", 2, hub.epoch, told=[("tab", "bob", "t1")], at=now)))
            assert "replaced" == stream.ended
            user_log.leave(stream)
            hub.release(user_log)

    asyncio.run(play())


@hypothesis.settings(max_examples=100)
@hypothesis.given(some.data())
def test_no_parcel_makes_a_frame_that_breaks_its_line(data: some.DataObject) -> None:
    """An event that another node rendered is one line of UTF-8, or read from the database."""
    from tidings.server.live.frame import rendered_of

    type = data.draw(some.text(max_size=10) | some.just("new_message"))
    body = data.draw(some.binary(max_size=40) | some.just(b'{"a":\n1}') | some.just(b'{"a":1}'))
    rendered = rendered_of("e", Hint("bob", 1, 1, type, msgspec.Raw(body)))
    if rendered is not None:
        assert rendered.frame().endswith(b"\n\n")
        assert 3 >= len(rendered.frame().decode().splitlines()), rendered.frame()


@hypothesis.settings(max_examples=200)
@hypothesis.given(
    some.binary(max_size=200)
    | some.recursive(
        some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
        lambda inner: some.lists(inner, max_size=6),
        max_leaves=20,
    ).map(lambda each: msgspec.json.encode(each) if not isinstance(each, bytes) else each)
)
def test_bytes_are_a_parcel_or_a_value_error(body: bytes) -> None:
    """And nothing else: the one who hears them has one thing to catch."""
    with contextlib.suppress(ValueError):
        decode(body)
