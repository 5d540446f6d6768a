"""Presence over a real hub, and its arithmetic with a clock in hand: no crowd makes a storm (PROTOCOL.md 18)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tidings.protocol.user_id import UserId
from tidings.server.config import Config
from tidings.server.live.hub import Hub, UserLog
from tidings.server.live.presence import PRESENCE_TOLD_AT_ONCE, PRESENCE_WATCH_S, PRESENCE_WATCHES_MAX, Presence
from tidings.server.live.stream import Stream
from tidings.server.metrics import Metrics
from tidings.server.store import StartPosition
from tidings.server.store.sqlite.store import SqliteStore

GRACE_S = 30.0
ADA, BEN, ZOE = UserId("ada"), UserId("ben"), UserId("zoe")
CROWD = 10_000


class Room:
    """Presence with a clock that a test turns, and a list of what was told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.here: set[UserId] = set()
        self.told: list[tuple[UserId, UserId, bool]] = []
        self.presence = Presence(
            lambda: self.now, GRACE_S, self.here.__contains__, lambda *frame: self.told.append(frame)
        )

    def settled(self) -> Room:
        """Turn the clock to the end of the first period."""
        return self.turn(GRACE_S)

    def turn(self, seconds: float = 0.0) -> Room:
        """Let time pass, with the ticks that the timer would give."""
        end = self.now + seconds
        while (due := self.presence.tick(self.now)) is not None and due <= end:
            self.now = due
        self.now = end
        return self

    def comes(self, user: UserId) -> None:
        if user not in self.here:
            self.here.add(user)
            self.presence.arrived(user)

    def goes(self, user: UserId) -> None:
        self.here.remove(user)
        self.presence.left(user)

    def new(self) -> list[tuple[UserId, UserId, bool]]:
        told, self.told = self.told, []
        return told


# shows: complaints/20
def test_an_absence_is_told_after_the_grace_and_a_return_at_once() -> None:
    """Nothing in between, whatever comes and goes within the grace."""
    room = Room().settled()
    assert room.presence.watch(ADA, BEN) is False
    room.comes(BEN)
    assert [(ADA, BEN, True)] == room.turn(1).new()
    for _ in range(20):
        room.goes(BEN)
        room.turn(GRACE_S - 1)
        room.comes(BEN)
        room.presence.watch(ADA, BEN)
    assert [] == room.turn(1).new()
    room.goes(BEN)
    assert [] == room.turn(GRACE_S - 1).new()
    assert room.presence.online(BEN) is True
    assert [(ADA, BEN, False)] == room.turn(2).new()


def test_a_watch_that_goes_on_elsewhere_ends_here_unless_it_began_later() -> None:
    """The news of another node may be older than the question that came here since."""
    room = Room().settled()
    room.presence.watch(ADA, BEN)
    room.presence.unwatch(ADA, BEN, room.now - 0.001)
    room.comes(BEN)
    assert [(ADA, BEN, True)] == room.turn(3).new()
    room.presence.unwatch(ADA, BEN, room.now)
    room.goes(BEN)
    assert [] == room.turn(2 * GRACE_S).new()


def test_changes_within_a_tick_are_told_as_one_or_not_at_all() -> None:
    """Only what differs from what the watcher knows."""
    room = Room().settled()
    room.presence.watch(ADA, BEN)
    room.comes(BEN)
    room.goes(BEN)
    room.comes(BEN)
    assert [(ADA, BEN, True)] == room.turn(1).new()
    room.comes(ZOE)
    assert room.presence.watch(ADA, ZOE) is True
    assert [] == room.turn(1).new()


def test_before_it_has_settled_nobody_is_absent_and_nothing_is_told() -> None:
    """Then each watcher hears once what it did not know."""
    room = Room()
    assert room.presence.watch(ADA, BEN) is None
    assert room.presence.watch(ADA, ZOE) is None
    room.comes(ZOE)
    assert room.presence.online(ZOE) is True
    assert [] == room.turn(GRACE_S - 1).new()
    assert [(ADA, BEN, False), (ADA, ZOE, True)] == sorted(room.turn(2).new())
    assert [] == room.turn(5).new()


def test_a_watch_ends_by_itself_and_with_a_block() -> None:
    """And leaves nothing behind."""
    room = Room().settled()
    room.presence.watch(ADA, BEN)
    room.presence.watch(BEN, ADA)
    room.presence.watch(ZOE, BEN)
    room.presence.forget(BEN, ADA)
    room.comes(BEN)
    room.comes(ADA)
    assert [(ZOE, BEN, True)] == room.turn(1).new()
    room.turn(PRESENCE_WATCH_S)
    room.goes(BEN)
    room.goes(ADA)
    assert [] == room.turn(2 * GRACE_S).new()
    held = {name: value for name, value in vars(room.presence).items() if isinstance(value, dict) and value}
    assert {} == held


def test_one_watches_a_few_and_the_oldest_gives_way() -> None:
    """A user that walks through a list of conversations watches the last ones."""
    room = Room().settled()
    people = [UserId(f"u{number}") for number in range(PRESENCE_WATCHES_MAX + 1)]
    for person in people:
        room.presence.watch(ADA, person)
    for person in people:
        room.comes(person)
    assert [(ADA, person, True) for person in people[1:]] == room.turn(1).new()


def test_a_crowd_that_comes_at_once_is_told_in_batches() -> None:
    """10,000 people arrive, each watched by the next: at most PRESENCE_TOLD_AT_ONCE frames a tick, each once."""
    room = Room().settled()
    people = [UserId(f"u{number}") for number in range(CROWD)]
    for number, person in enumerate(people):
        room.presence.watch(person, people[number - 1])
    for person in people:
        room.comes(person)
    ticks = 0
    while room.told == [] or len(room.told) < CROWD:
        before = len(room.told)
        room.now = room.presence.tick(room.now) or 0.0
        assert len(room.told) - before <= PRESENCE_TOLD_AT_ONCE
        ticks += 1
    assert CROWD / PRESENCE_TOLD_AT_ONCE == ticks
    assert CROWD == len(set(room.told)) == len(room.turn(5).told)


def with_hub(path: Path, play: Callable[[Hub], Awaitable[None]], **limits: Any) -> None:
    async def run() -> None:
        store = SqliteStore(str(path), lambda _events: None)
        await store.start()
        hub = Hub(Config(**limits), store, Metrics(), random.Random(1))
        started = asyncio.Event()
        running = asyncio.create_task(hub.run(started.set))
        await started.wait()
        try:
            await play(hub)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await store.close()

    asyncio.run(run())


def test_ten_thousand_reconnections_cost_no_frame_and_little_time(tmp_path: Path) -> None:
    """Over the hub: everybody watches somebody, all streams end and come back within the grace. PROTOCOL 18.0.8

    Then a tenth of them stay away: each of their watchers hears it once, in batches that leave the loop to others.
    """
    people = [UserId(f"u{number}") for number in range(CROWD)]
    told: list[dict[str, Any]] = []

    async def take(message: Any) -> None:
        for line in message["body"].splitlines():
            if line.startswith(b"data: ") and (frame := json.loads(line[6:]))["type"] == "presence":
                told.append(frame["data"])

    async def play(hub: Hub) -> None:
        assert hub.presence is not None
        presence = hub.presence
        streams: dict[UserId, tuple[Stream, UserLog]] = {}

        async def opens(user: UserId) -> None:
            log = hub.hold(user)
            log.join_at(0)
            stream = Stream(
                hub, log, StartPosition(0, 0, 0, 0, None), take, tab=None, expires_in_s=None, transport=None
            )
            log.enter(stream)
            await stream.open(b"")
            streams[user] = stream, log

        def closes(user: UserId) -> None:
            stream, log = streams.pop(user)
            stream.close()
            log.streams.remove(stream)
            hub.release(log)

        async def until(condition: Callable[[], bool]) -> int:
            """Wait; the most frames that came in one turn of the loop, however long the machine takes for it."""
            most, before = 0, len(told)
            async with asyncio.timeout(60):
                while not condition():
                    await asyncio.sleep(0)
                    most, before = max(most, len(told) - before), len(told)
            return most

        for user in people:
            await opens(user)
        for number, user in enumerate(people):
            presence.watch(user, people[number - 1])
        await until(lambda: presence.online(UserId("nobody")) is False)

        began = time.process_time()
        for user in people:
            closes(user)
        for user in people:
            await opens(user)
        spent_s = time.process_time() - began
        assert [] == told
        assert spent_s < 2, f"{spent_s:.1f} s of CPU for {CROWD} reconnections"

        for user in people[::10]:
            closes(user)
        assert 0 < await until(lambda: len(told) >= CROWD // 10) <= PRESENCE_TOLD_AT_ONCE
        assert {False} == {each["online"] for each in told}
        assert sorted(people[::10]) == sorted(each["chat_user_id"] for each in told)

    with_hub(tmp_path / "x.db", play, presence_grace_s=1.0, secret="x" * 32)
