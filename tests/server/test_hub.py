"""The hub and its streams over a real store, with signals that are lost, late, doubled and out of order."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import jwt
import msgspec
import pytest
from starlette.routing import Router

from tidings.protocol.cursor import Cursor, format_cursor
from tidings.protocol.events import LogEvent
from tidings.protocol.sse import Event, EventStreamDecoder
from tidings.protocol.user_id import UserId
from tidings.server.app import API_PREFIX, routes
from tidings.server.config import Config
from tidings.server.live import frame
from tidings.server.live.bus import Hint
from tidings.server.live.frame import Frame
from tidings.server.live.hub import Hub, UserLog
from tidings.server.live.stream import Stream
from tidings.server.metrics import Metrics
from tidings.server.node import Node
from tidings.server.store import Committed, NewMessage, Store
from tidings.server.store.open import open_maintenance
from tidings.server.store.sqlite import maintenance
from tidings.server.store.sqlite.store import SqliteStore

PEOPLE = [UserId(f"u{number}") for number in range(4)]


@dataclass
class World:
    """A hub over a store whose signals pass through the test's hands."""

    store: Store
    hub: Hub
    rng: random.Random
    signal: Callable[[Sequence[Committed]], None]

    async def send(self, sender: UserId, recipient: UserId, text: str = "x") -> None:
        await self.store.append(NewMessage(sender, recipient, text, "text", None, None))


@dataclass
class Reader:
    """The server's side of one connection: takes what the stream sends, at its own pace."""

    rng: random.Random
    slowness: float
    decoder: EventStreamDecoder = field(default_factory=EventStreamDecoder)
    frames: list[Event] = field(default_factory=list)
    is_stuck: asyncio.Event | None = None
    sending: int = 0
    began_at: int = 0

    async def send(self, message: Any) -> None:
        self.sending += 1
        assert 1 == self.sending, "two writers met on one stream"
        if self.rng.random() < self.slowness:
            await asyncio.sleep(self.rng.random() * 0.004)
        if self.is_stuck is not None:
            await self.is_stuck.wait()
        self.frames += self.decoder.feed(message["body"])
        self.sending -= 1

    def ids(self, kind: str = "new_message") -> list[int]:
        shown = (json.loads(frame.data) | {"id": frame.id} for frame in self.frames)
        return [int(frame["id"].split("-")[1]) for frame in shown if frame["type"] == kind]

    def types(self) -> list[str]:
        return [json.loads(frame.data)["type"] for frame in self.frames]


def with_world(
    path: Path,
    play: Callable[[World], Awaitable[None]],
    *,
    seed: int = 1,
    signals: Callable[[World, Sequence[Committed]], None] | None = None,
    **limits: Any,
) -> None:
    async def run() -> None:
        rng = random.Random(seed)

        def on_commit(events: Sequence[Committed]) -> None:
            if signals is None:
                world.hub.committed(events)
            else:
                signals(world, events)

        store = SqliteStore(str(path), on_commit)
        await store.start()
        hub = Hub(Config(**limits), store, Metrics(), rng)
        world = World(store, hub, rng, hub.committed)
        started = asyncio.Event()
        running = asyncio.create_task(hub.run(started.set))
        await started.wait()
        try:
            await play(world)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await store.close()

    asyncio.run(run())


async def opens(
    world: World, user: UserId, position: int | None, reader: Reader, *, is_ours: bool | None = None
) -> tuple[Stream, UserLog]:
    """The steps of the route, without HTTP: join the log, ask where it stands, open; notes where the reader began."""
    log = world.hub.hold(user)
    cursor = None
    if position is not None:
        (event, *_) = await world.store.read_after(user, position - 1, 1) if position else [None]
        cursor = Cursor(world.store.epoch, position, event.tag if event else 0)
    place = await world.store.start_position(user, cursor)
    log.join_at(place.head)
    reader.began_at = place.position
    if is_ours is None:  # stepped by hand, or run in tasks: nobody sees a difference
        is_ours = world.rng.random() < 0.5
    stream = Stream(world.hub, log, place, reader.send, tab=None, expires_in_s=None, transport=None, is_ours=is_ours)
    log.enter(stream)
    await stream.open(b"")
    return stream, log


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # the conditions are of any kind
            await asyncio.sleep(0.005)
    assert condition(), what


@pytest.mark.parametrize("seed", range(6))
def test_no_stream_has_a_gap_a_double_or_disorder_whatever_the_hints_do(tmp_path: Path, seed: int) -> None:
    """Of the signals 10 % are lost, 15 % late, 5 % doubled; readers begin anywhere and are slow (I2, I3)."""

    def chaos(world: World, events: Sequence[Committed]) -> None:
        for event in events:
            fate = world.rng.random()
            if fate < 0.10:
                continue
            if fate < 0.25:
                world.hub.loop.call_later(world.rng.random() * 0.02, world.hub.committed, [event])
                continue
            world.hub.committed([event])
            if fate > 0.95:
                world.hub.committed([event])

    async def play(world: World) -> None:
        followed: list[tuple[UserId, Reader]] = []

        async def write() -> None:
            for number in range(400):
                sender, recipient = world.rng.sample(PEOPLE, 2)
                await world.send(sender, recipient, text=str(number))

        async def follow() -> None:
            for _ in range(30):
                user = world.rng.choice(PEOPLE)
                head = (await world.store.start_position(user, None)).head
                position = world.rng.choice([None, 0, world.rng.randint(0, head)])
                reader = Reader(world.rng, world.rng.choice([0.0, 0.0, 0.2, 1.0]))
                await opens(world, user, position, reader)
                followed.append((user, reader))
                await asyncio.sleep(world.rng.random() * 0.02)

        await asyncio.gather(write(), follow())
        await world.hub._sweep()
        for user, reader in followed:
            head = (await world.store.start_position(user, None)).head
            expected = [*range(reader.began_at + 1, head + 1)]
            await until(lambda ids=reader.ids, all_of=expected: len(ids()) >= len(all_of), f"{user} at {head}")  # type: ignore[misc]
            assert expected == reader.ids()

    with_world(tmp_path / "x.db", play, seed=seed, signals=chaos)


def test_an_event_that_every_hint_missed_comes_with_the_sweep(tmp_path: Path) -> None:
    """Losing all signals delays and loses nothing (I3)."""

    async def play(world: World) -> None:
        reader = Reader(world.rng, 0.0)
        await opens(world, PEOPLE[0], None, reader)
        for _ in range(10):
            await world.send(PEOPLE[1], PEOPLE[0])
        assert [] == reader.ids()
        await world.hub._sweep()
        await until(lambda: [*range(1, 11)] == reader.ids(), "all ten")

    with_world(tmp_path / "x.db", play, signals=lambda _world, _events: None)


def test_a_hint_that_comes_while_the_log_is_read_is_followed_by_another_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page that is under way may be of before its commit, and the next sweep is far (I3)."""

    async def play(world: World) -> None:
        reader = Reader(world.rng, 0.0)
        _, log = await opens(world, PEOPLE[0], None, reader)
        read_after, has_read, is_answered = world.store.read_after, asyncio.Event(), asyncio.Event()

        async def read_after_slowly(user: UserId, position: int, limit: int) -> list[LogEvent]:
            page = await read_after(user, position, limit)
            has_read.set()
            await is_answered.wait()
            return page

        monkeypatch.setattr(world.store, "read_after", read_after_slowly)
        log.kick()
        await has_read.wait()
        await world.send(PEOPLE[1], PEOPLE[0])
        world.hub.heard(world.hub.epoch, [Hint(PEOPLE[0], 1, 0, None, msgspec.Raw(b"null"))])
        is_answered.set()
        await until(lambda: [1] == reader.ids(), "the message")

    with_world(tmp_path / "x.db", play, signals=lambda _world, _events: None)


def test_a_log_whose_tail_retention_has_passed_goes_on(tmp_path: Path) -> None:
    """A reader that stands there is sent away, to be told `expired`; a reader that comes after has the events that are
    written from then on (I3)."""

    async def play(world: World) -> None:
        behind = Reader(world.rng, 0.0)
        await opens(world, PEOPLE[0], None, behind)
        for _ in range(5):
            await world.send(PEOPLE[1], PEOPLE[0])  # nobody hears of it
        await world.store.trim(10**12, 2)

        await world.hub._sweep()
        await until(lambda: "goodbye" in behind.types(), "sent away")
        assert ["caught_up", "goodbye"] == behind.types()
        after = Reader(world.rng, 0.0)
        await opens(world, PEOPLE[0], 3, after)
        await until(lambda: [4, 5] == after.ids(), "what was kept")
        await world.send(PEOPLE[1], PEOPLE[0])
        await world.hub._sweep()
        await until(lambda: [4, 5, 6] == after.ids(), "and what comes")

    with_world(tmp_path / "x.db", play, signals=lambda _world, _events: None)


def test_a_reader_that_joins_a_log_behind_its_head_is_caught_up_at_the_head(tmp_path: Path) -> None:
    """An event that is committed before a stream begins is its past, whether the hub has heard of it or not (7.6.1)."""

    async def play(world: World) -> None:
        first, second, third = (Reader(world.rng, 0.0) for _ in range(3))
        await opens(world, PEOPLE[0], None, first)  # holds the log at 0
        for _ in range(3):
            await world.send(PEOPLE[1], PEOPLE[0])
        await opens(world, PEOPLE[0], 1, second)
        await opens(world, PEOPLE[0], 3, third)
        await until(lambda: "caught_up" in second.types() and "caught_up" in third.types(), "caught up")
        assert ["new_message", "new_message", "caught_up"] == second.types()
        assert ["caught_up"] == third.types()

    with_world(tmp_path / "x.db", play, signals=lambda _world, _events: None)


def test_the_readers_of_an_erased_log_are_cut_by_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their place is one in a log that is gone: they return, and are told to reload. Others go on."""
    monkeypatch.setattr(maintenance, "FORGET_WAIT_MAX_S", 0.0)  # nobody here looks for an erasure, and tells of it

    async def play(world: World) -> None:
        erased, other = Reader(world.rng, 0.0), Reader(world.rng, 0.0)
        await asyncio.create_task(opens(world, PEOPLE[0], None, erased))  # its own, as a request has: it is cancelled
        await opens(world, PEOPLE[1], None, other)
        await world.send(PEOPLE[1], PEOPLE[0])
        await until(lambda: [1] == erased.ids() == other.ids(), "the message")
        open_maintenance(f"sqlite:///{tmp_path / 'x.db'}").erase(PEOPLE[0])

        await world.hub._sweep()
        user_log = world.hub.hold(PEOPLE[0])
        assert ([True], 0) == ([stream.is_ending for stream in user_log.streams], user_log.tail)
        assert [False] == [stream.is_ending for stream in world.hub.hold(PEOPLE[1]).streams]
        await world.send(PEOPLE[0], PEOPLE[1])
        await until(lambda: [1, 2] == other.ids(), "what comes after")

    with_world(tmp_path / "x.db", play)


@pytest.mark.parametrize("is_of_another_node", [False, True])
def test_a_hint_of_another_event_than_was_handed_out_cuts_the_readers(tmp_path: Path, is_of_another_node: bool) -> None:
    """The database went back and grew again, and the node whose commit is gone is gone with it: nobody else knows. A
    reader that returns is compared with what is there. A duplicate of what was handed out cuts nobody.
    """

    async def play(world: World) -> None:
        reader = Reader(world.rng, 0.0)
        stream, log = await asyncio.create_task(opens(world, PEOPLE[0], None, reader))
        for _ in range(2):
            await world.send(PEOPLE[1], PEOPLE[0])
        await until(lambda: [1, 2] == reader.ids(), "the messages")
        (event,) = await world.store.read_after(PEOPLE[0], 1, 1)

        def hints(tag: int) -> None:
            if is_of_another_node:
                world.hub.heard("former", [Hint(PEOPLE[0], 2, tag ^ 2, None, msgspec.Raw(b"null"))])
                world.hub.heard(world.hub.epoch, [Hint(PEOPLE[0], 2, tag, None, msgspec.Raw(b"null"))])
            else:
                world.hub.committed([Committed(PEOPLE[0], LogEvent(2, tag, event.data, event.type))])

        hints(event.tag)
        assert (False, 2) == (stream.is_ending, log.tail)
        hints(event.tag ^ 1)
        assert (True, None) == (stream.is_ending, log.tail)

    with_world(tmp_path / "x.db", play)


def test_a_poll_that_waits_while_its_log_begins_anew_is_told_to_ask_again(tmp_path: Path) -> None:
    """Its place was one in what is no more: an answer from there on would pass by what stands there now."""
    reader, writer = PEOPLE[:2]
    config = Config(db=f"sqlite:///{tmp_path / 'x.db'}", secret="s" * 32)
    token = jwt.encode({"sub": reader, "exp": 4_000_000_000}, config.secret, "HS256")

    async def play() -> None:
        node = Node(config)
        await node.start()
        await node.store.append(NewMessage(writer, reader, "x", "text", None, None))
        start = await node.store.start_position(reader, None)
        transport = httpx2.ASGITransport(app=Router(routes(node, API_PREFIX)))
        cursor = format_cursor(node.store.epoch, start.head, start.head_tag)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as client:
            path = f"{API_PREFIX}/events/me?cursor={cursor}&wait="
            user_log = node.hub.hold(reader)
            user_log.join_at(0)
            user_log.kick()
            await until(lambda: user_log.tail == start.head, "the message")
            polling = asyncio.create_task(client.get(f"{path}20"))
            await until(lambda: bool(user_log.waiters), "the poll")
            other = Hint(reader, start.head, start.head_tag + 1, None, msgspec.Raw(b"null"))
            user_log.hint_of_another(node.store.epoch, other)
            assert 503 == (await polling).status_code
            assert 200 == (await client.get(f"{path}0")).status_code
        await node.stop()

    asyncio.run(play())


def test_a_stuck_reader_delays_nobody_and_goes_on_from_the_log(tmp_path: Path) -> None:
    """It holds one write; the rest stays in the store, and comes in order when it reads again."""

    async def play(world: World) -> None:
        stuck, quick = Reader(world.rng, 0.0), Reader(world.rng, 0.0)
        await opens(world, PEOPLE[0], None, stuck)
        await opens(world, PEOPLE[0], None, quick)
        stuck.is_stuck = asyncio.Event()
        for number in range(300):
            await world.send(PEOPLE[1], PEOPLE[0], str(number))
        assert [*range(1, 301)] == quick.ids()
        assert [] == stuck.ids()
        stuck.is_stuck.set()
        await until(lambda: [*range(1, 301)] == stuck.ids(), "the stuck reader has all")

    with_world(tmp_path / "x.db", play)


def test_a_send_that_is_not_ours_is_run_in_tasks_of_the_stream_and_in_its_context(tmp_path: Path) -> None:
    """It is so for every cause of a frame: another user's send, the timer, the end. Frames of one moment are all
    written."""
    asked_by = contextvars.ContextVar("asked_by", default="nobody")

    class Careful(Reader):
        async def send(self, message: Any) -> None:
            async with asyncio.timeout(3):
                contexts.append(asked_by.get())
                await super().send(message)

    contexts: list[str] = []

    async def play(world: World) -> None:
        reader = Careful(world.rng, 0.0)

        async def ask() -> Stream:
            asked_by.set("the reader")
            stream, _ = await opens(world, PEOPLE[0], None, reader, is_ours=False)
            return stream

        stream = await asyncio.create_task(ask())
        asked_by.set("a writer")
        for number in range(5):
            await world.send(PEOPLE[1], PEOPLE[0], str(number))
            for online in (True, False):
                stream.offer_ephemeral(Frame(frame.presence("u1", online)))
        await until(lambda: 5 == len(reader.ids()) and 10 == reader.types().count("presence"), "all of them")
        stream.tick(world.hub.loop.time() + 17)
        await until(lambda: "heartbeat" in reader.types(), "a heartbeat")
        stream.end("draining", 5)
        await until(lambda: "goodbye" in reader.types(), "goodbye")
        assert {"the reader"} == set(contexts)
        assert 18 == len(contexts)

    with_world(tmp_path / "x.db", play)


def test_catching_up_ends_with_one_caught_up(tmp_path: Path) -> None:
    """After the missed events, once, also when there was nothing to catch up."""

    async def play(world: World) -> None:
        for _ in range(250):
            await world.send(PEOPLE[1], PEOPLE[0])
        late, fresh = Reader(world.rng, 0.0), Reader(world.rng, 0.0)
        await opens(world, PEOPLE[0], 0, late)
        await opens(world, PEOPLE[0], None, fresh)
        await until(lambda: "caught_up" in late.types(), "caught up")
        await world.send(PEOPLE[1], PEOPLE[0])
        await until(lambda: 251 in late.ids() and 251 in fresh.ids(), "live")
        assert ["new_message"] * 250 + ["caught_up", "new_message"] == late.types()
        assert ["caught_up", "new_message"] == fresh.types()

    with_world(tmp_path / "x.db", play)


def test_a_goodbye_waits_for_the_write_before_it(tmp_path: Path) -> None:
    """Ending a stream whose socket is full says goodbye after what was begun, and nothing after that."""

    async def play(world: World) -> None:
        reader = Reader(world.rng, 0.0)
        stream, _log = await opens(world, PEOPLE[0], None, reader)
        reader.is_stuck = asyncio.Event()
        await world.send(PEOPLE[1], PEOPLE[0])
        stream.end("draining", 1234)
        stream.end("max_age", 1)
        await world.send(PEOPLE[1], PEOPLE[0])
        reader.is_stuck.set()
        await until(lambda: "goodbye" in reader.types(), "goodbye")
        assert ["caught_up", "new_message", "goodbye"] == reader.types()
        assert {"reason": "draining", "retry_ms": 1234} == json.loads(reader.frames[-1].data)["data"]

    with_world(tmp_path / "x.db", play)


def test_a_log_is_held_only_while_somebody_reads_it(tmp_path: Path) -> None:
    """The last reader takes the tail, the ring and the entry with it."""

    async def play(world: World) -> None:
        stream, log = await opens(world, PEOPLE[0], None, Reader(world.rng, 0.0))
        await world.send(PEOPLE[1], PEOPLE[0])
        stream.close()
        log.leave(stream)
        world.hub.release(log)
        assert world.hub.find(PEOPLE[0]) is None
        await world.send(PEOPLE[1], PEOPLE[0])
        again = Reader(world.rng, 0.0)
        await opens(world, PEOPLE[0], 1, again)
        await until(lambda: [2] == again.ids(), "the one it missed")

    with_world(tmp_path / "x.db", play)
