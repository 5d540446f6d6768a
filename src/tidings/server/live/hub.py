"""The streams of this process: who follows which log, and how a commit reaches them.

Rules of this file. Everything here runs in the event loop's thread.
1. A stream is a position in a log. It is handed an event only when it stands exactly before it and can take it at
   once; otherwise it is woken and pulls from the ring or the store. So there is neither gap nor duplicate, no queue
   for each stream, and a slow reader falls out of the fast path by itself.
2. No await stands between "the position is n-1" and "the position is n".
3. ``tail`` is the position of the last event that this log handed out here. It starts at the head that the store
   told (``join_at``). After that ``_append`` alone raises it, by one; only where retention removed the next events
   before they were read does ``_fill`` move it to the last of those. A hint at or below the tail is a duplicate and is
   ignored, unless it is of another event than was handed out there: then the log is not what it was. The hint for
   tail + 1 is appended. A hint beyond says that one was missed: the log is read from the tail (I3). ``begin_anew`` sets
   the tail anew, for a log that is not what it was.
4. A reader joins the log before the store tells it where it stands: of a later commit there is a
   hint, and an earlier one is stored.
5. The sweep asks for the heads of all held logs and reads those that grew unnoticed. It makes hints
   dispensable. A log whose head is below the tail was erased: its readers are cut, and begin anew; so are all when
   the database went back and the epoch is another one.
6. The hub never waits for a reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import islice
from typing import Any, Protocol

from tidings.errors import Unavailable
from tidings.protocol.cursor import format_cursor
from tidings.protocol.encoding import encode_json
from tidings.protocol.events import LogEvent
from tidings.protocol.shapes import ProfileChange
from tidings.protocol.user_id import UserId
from tidings.server.config import EVENTS_PAGE_MAX, Config
from tidings.server.live import frame
from tidings.server.live.bus import Hint
from tidings.server.live.bus.told import LOOK, PRESENCE, PROFILE
from tidings.server.live.frame import Frame, Rendered, rendered_of
from tidings.server.live.presence import Presence
from tidings.server.live.timer import SlowTimer
from tidings.server.metrics import Metrics
from tidings.server.store import Committed, Store

RING_EVENTS_MAX = 64  # recent events kept per connected user; a short hiccup is served without the store
DRAIN_MARGIN_S = 1.0  # beyond the window: a busy machine closes its listener late, and who comes before gets a 503

log = logging.getLogger("tidings.hub")

SWEEP_INTERVAL_S = 15.0  # the longest delay of an event that every hint missed (I3)
UNANSWERED_SWEEP_INTERVAL_S = 1.0  # likewise while the store does not answer
HINTS_MISSED_PAUSE_S = 0.1  # from the news that hints were missed to the sweep: they come in crowds, and some only late
SWEEP_USERS_MAX = 1000  # logs asked for in one query
RING_IDLE_S = 60.0  # a ring not written for so long is dropped
DRAIN_STREAMS_AT_ONCE = 200  # streams ended between two turns of the loop
DRAIN_LOOK_S = 0.02  # how often a drain looks whether the last stream has gone


class LogStream(Protocol):
    """The part of a stream that a log needs."""

    tab: str | None
    opened_at: float  # of the loop's clock
    state: str
    is_ending: bool  # or has ended

    def offer(self, rendered: Rendered, frame: Frame, now: float) -> None:
        """An event was appended to the log: take it at once if it is the next one and nothing is in the way."""

    def offer_ephemeral(self, frame: Frame) -> None:
        """A frame without a position: written if it can be at once, else dropped."""

    def end(self, reason: str, retry_ms: int) -> None:
        """Say goodbye and end the body cleanly, as soon as what is being written is out."""

    def abort(self, reason: str) -> None:
        """Cut the connection."""


class Others(Protocol):
    """The other nodes of the database, as a hub needs them."""

    @property
    def trouble(self) -> str:
        """Return why no hints of theirs come, for an operator; empty when they do."""

    @property
    def are_all_away(self) -> bool:
        """Whether there are some, and the database is away for each of them, as they say."""

    def publish(self, events: Sequence[Committed]) -> None:
        """Give them hints of a commit."""

    def tell(self, kind: str, to: str, about: str = "") -> None:
        """Tell them what is in no log; see told.py of the bus."""

    def has(self, user: UserId) -> bool:
        """Whether this user has a stream or poll on one of them."""

    def changed(self, user: UserId) -> None:
        """The first stream or poll of a user came here, or the last went."""

    def leave(self) -> None:
        """This node ends."""


class Nobody:
    """The others of a node that is alone."""

    trouble = ""
    are_all_away = False

    def publish(self, events: Sequence[Committed]) -> None:
        """Nobody is to be told."""

    def tell(self, kind: str, to: str, about: str = "") -> None:
        """Nobody is to be told."""

    def has(self, user: UserId) -> bool:
        return False

    def changed(self, user: UserId) -> None:
        """Nobody is to be told."""

    def leave(self) -> None:
        """Nobody is to be told."""


class UserLog:
    """The tail of one user's log, for as long as somebody here reads it."""

    __slots__ = (
        "_filling",
        "_hinted",
        "_hub",
        "_is_wanted",
        "_ring",
        "_ring_used_at",
        "_vacancy",
        "beginnings",
        "holders",
        "newcomers",
        "streams",
        "tail",
        "user",
        "waiters",
    )

    def __init__(self, hub: Hub, user: UserId) -> None:
        self._hub = hub
        self.user = user
        self.beginnings = 0  # how often it began anew
        self.tail: int | None = None  # not known before the store told the head
        self.streams: list[LogStream] = []  # the oldest first
        self.waiters: tuple[asyncio.Future[None], ...] = ()  # few; an empty list would be 56 bytes for every user
        self.holders = 0
        self.newcomers = 0  # streams that wait for the place of another
        self._vacancy: asyncio.Event | None = None  # made by who waits for it
        self._ring: deque[Rendered] | None = None
        self._ring_used_at = 0.0
        self._hinted = 0  # highest position heard of while the tail was not known
        self._filling = self._is_wanted = False  # the log is being read; that was asked for since it began

    def enter(self, stream: LogStream) -> None:
        """Count the stream, which has its place now, among those that are open."""
        self.streams.append(stream)
        self._hub.stream_count += 1

    def leave(self, stream: LogStream) -> None:
        """Its place is free; until here an ending stream keeps it."""
        self.streams.remove(stream)
        self._hub.stream_count -= 1
        if self._vacancy is not None:
            self._vacancy.set()
            self._vacancy = None

    async def vacancy(self) -> None:
        """Return when a stream has left."""
        if self._vacancy is None:
            self._vacancy = asyncio.Event()
        await self._vacancy.wait()

    def join_at(self, head: int) -> None:
        """Take what the store says of the head: the first one starts the tail, later ones may be a hint."""
        if self.tail is None:
            self.tail = head
            head = self._hinted
        if head > self.tail:
            self.kick()

    def hint(self, event: LogEvent) -> None:
        """An event was committed. May be lost, doubled or late."""
        if self.tail is None:
            self._hinted = max(self._hinted, event.position)
        elif event.position == self.tail + 1:
            self._append(Rendered(self._hub.epoch, event))
        elif event.position > self.tail:
            self.kick()
        else:
            self._compare(event.position, event.tag)

    def hint_of_another(self, epoch: str, hint: Hint) -> None:
        """Likewise, by another node, which may have encoded it."""
        if self.tail is None:
            self._hinted = max(self._hinted, hint.position)
        elif hint.position == self.tail + 1 and epoch == self._hub.epoch and (rendered := rendered_of(epoch, hint)):
            self._append(rendered)
        elif hint.position > self.tail:
            self.kick()
        elif epoch == self._hub.epoch:
            self._compare(hint.position, hint.tag)

    def recent_after(self, position: int, limit: int) -> list[Rendered]:
        """Return the entries of the ring after ``position``, if it reaches back to the next one; else nothing."""
        ring = self._ring
        if not ring or ring[0].position > position + 1:
            return []
        start = position + 1 - ring[0].position
        return list(islice(ring, start, start + limit))

    def kick(self) -> None:
        """Read the log from the tail and hand out what is found. Only one such reading at a time, and another one after
        it where it was asked for meanwhile: what it found may be of before the commit.
        """
        self._is_wanted = True
        if not self._filling:
            self._filling = True
            self._hub.spawn(self._fill())

    def begin_anew(self, head: int | None, reason: str) -> None:
        """The log is not what it was: forget it, and cut its readers; when they return they are told to reload."""
        self.beginnings += 1
        self.tail, self._ring, self._hinted = head, None, 0
        for stream in list(self.streams):
            stream.abort(reason)
        self.wake_waiters()

    def refuse_former(self, beginnings: int) -> None:
        """Return when the log did not begin anew since there were so many: what was read of it holds.

        Raises:
            Unavailable: It did; asked again, it says so.
        """
        if beginnings != self.beginnings:
            raise Unavailable("unavailable", "The database went back to a former state; ask again.", retry_after_s=1)

    def ephemeral(self, frame: Frame) -> None:
        """Hand a frame without a position to the streams that can take it at once; the others do without."""
        for stream in self.streams:
            stream.offer_ephemeral(frame)

    async def wait_beyond(self, position: int, wait_s: float) -> None:
        """Return when the tail is beyond ``position``, the hub drains, or ``wait_s`` seconds have passed."""
        if (self.tail or 0) > position or self._hub.is_draining:
            return
        waiter = self._hub.loop.create_future()
        self.waiters += (waiter,)
        try:
            async with asyncio.timeout(wait_s):
                await waiter
        except TimeoutError:
            pass
        finally:
            self.waiters = tuple(each for each in self.waiters if each is not waiter)

    def wake_waiters(self) -> None:
        """Let every waiting poll look again."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def forget_recent(self) -> None:
        """Read what is asked for from the store: what the ring has may be erased there."""
        self._ring = None

    def drop_idle_ring(self, now: float) -> None:
        """Give the ring's memory back when nothing was written for a while."""
        if self._ring is not None and now - self._ring_used_at > RING_IDLE_S:
            self._ring = None

    def _compare(self, position: int, tag: int) -> None:
        """A hint at or below the tail is a duplicate; of another event than was handed out there, it tells that the
        database went back, before those whose commits are gone have found it out, or where they are gone with them.
        """
        cursor = format_cursor(self._hub.epoch, position, tag)
        if any(known.position == position and known.cursor != cursor for known in self.recent_after(position - 1, 1)):
            log.critical("an event that was handed out is another one in the database: its readers begin anew")
            self.begin_anew(None, "other_epoch")

    def _append(self, rendered: Rendered) -> None:
        assert self.tail is not None
        assert rendered.position == self.tail + 1
        if self._ring is None:
            self._ring = deque(maxlen=RING_EVENTS_MAX)
        self._ring.append(rendered)
        self._ring_used_at = now = self._hub.loop.time()
        self.tail = rendered.position
        if self.streams:
            frame = Frame(rendered.frame())
            for stream in self.streams:
                stream.offer(rendered, frame, now)
        self.wake_waiters()

    async def _fill(self) -> None:
        try:
            while self.tail is not None:
                tail, epoch, self._is_wanted = self.tail, self._hub.epoch, False
                events = await self._hub.store.read_after(self.user, tail, EVENTS_PAGE_MAX)
                if self._hub.epoch != epoch:  # these are perhaps of the former history
                    continue
                if events and events[0].position > self.tail + 1:
                    # Retention has passed the tail, and with it whoever stands there: they pull, and find it out.
                    self.tail, self._ring = events[0].position - 1, None
                for event in events:
                    if event.position == self.tail + 1:
                        self._append(Rendered(self._hub.epoch, event))
                if self.tail == tail and not self._is_wanted:
                    return
        except Unavailable:  # the hint is spent, and the next sweep may be far
            self._hub.loop.call_later(UNANSWERED_SWEEP_INTERVAL_S, self._hub.sweep_soon)
        finally:
            self._filling = False


class Hub:
    """All logs that somebody here reads."""

    def __init__(self, config: Config, store: Store, metrics: Metrics, rng: random.Random) -> None:
        self.config = config
        self.store = store
        self.metrics = metrics
        self.rng = rng
        self.loop = asyncio.get_running_loop()
        self.timer = SlowTimer()
        self.is_draining = False
        self.drain_ends_at = self._drain_window_s = 0.0
        self.stream_count = 0
        self._logs: dict[UserId, UserLog] = {}
        self.presence: Presence | None = None
        if config.presence:
            self.presence = Presence(self.loop.time, config.presence_grace_s, self._is_here, self._tell_presence)
            self.timer.add(self.presence, self.loop.time())
        self.others: Others = Nobody()
        self._sweep_now = asyncio.Event()
        self.store_trouble = ""  # why the store took no write at the last look (watch.py)
        self._tasks: asyncio.TaskGroup | None = None
        store.listen(self.missed, self.begin_anew)
        metrics.streams_open.set_function(lambda: self.stream_count)
        metrics.users_connected.set_function(lambda: len(self._logs))

    @property
    def epoch(self) -> str:
        """The store's epoch."""
        return self.store.epoch

    async def run(self, started: Callable[[], None]) -> None:
        """Own all tasks of the hub until cancelled; call ``started`` when it can be used."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                started()
                await self._sweep_for_ever()
        finally:
            self._tasks = None
            self.timer.stop()

    def spawn(self, work: Coroutine[Any, Any, None], context: contextvars.Context | None = None) -> asyncio.Task[None]:
        """Run ``work`` in the hub's task group. An exception in it is logged, and harms nobody else.

        It runs in ``context``, else in an empty one: whose request or commit it was that caused it is not its matter.
        """
        if self._tasks is None:
            work.close()
            raise RuntimeError("the hub is not running")
        task = self._tasks.create_task(_guarded(work), context=context or contextvars.Context())
        task.add_done_callback(lambda _done: work.close())  # one that is cancelled before its first step
        return task

    def find(self, user: UserId) -> UserLog | None:
        """The log of a user that somebody here reads."""
        return self._logs.get(user)

    def hold(self, user: UserId) -> UserLog:
        """Join a user's log; give it back with ``release``."""
        user_log = self._logs.get(user)
        if user_log is None:
            user_log = self._logs[user] = UserLog(self, user)
            self.others.changed(user)
            if self.presence is not None and not self.others.has(user):
                self.presence.arrived(user)
        user_log.holders += 1
        return user_log

    def release(self, user_log: UserLog) -> None:
        """Give a log back; the last one closes it."""
        user_log.holders -= 1
        if user_log.holders == 0 and self._logs.get(user_log.user) is user_log:
            del self._logs[user_log.user]
            self.others.changed(user_log.user)
            if self.presence is not None and not self.others.has(user_log.user):
                self.presence.left(user_log.user)

    def logs(self) -> list[UserLog]:
        """Every log that somebody here reads."""
        return list(self._logs.values())

    def people(self) -> Iterable[UserId]:
        """Everybody who has a stream or poll here."""
        return self._logs

    def arrived_elsewhere(self, user: UserId) -> None:
        """The first stream or poll of a user came on another node."""
        if self.presence is not None and user not in self._logs:
            self.presence.arrived(user)

    def left_elsewhere(self, user: UserId) -> None:
        """The last one on any other node went."""
        if self.presence is not None and user not in self._logs:
            self.presence.left(user)

    def committed(self, events: Sequence[Committed]) -> None:
        """The store's completion: give the logs that are read here a hint."""
        for user, event in events:
            user_log = self._logs.get(user)
            if user_log is not None:
                user_log.hint(event)
        self.others.publish(events)

    def heard(self, epoch: str, hints: Sequence[Hint]) -> None:
        """Another node has committed: give the logs that are read here a hint."""
        for hint in hints:
            user_log = self._logs.get(UserId(hint.user))
            if user_log is not None:
                user_log.hint_of_another(epoch, hint)

    def sweep_soon(self) -> None:
        """Hints of other nodes may have been lost: do not wait for the next sweep."""
        self._sweep_now.set()

    def missed(self, users: Sequence[UserId]) -> None:
        """A commit in these logs may not have been told, here or on any node: let all read them."""
        self.look(users)
        for user in users:
            self.others.tell(LOOK, user)

    def look(self, users: Sequence[UserId]) -> None:
        """A commit in these logs may not have been told: read them."""
        for missed in filter(None, map(self._logs.get, users)):
            if missed.tail is not None:
                missed.kick()

    def begin_anew(self) -> None:
        """The database went back: cut every reader, and know no tail before the store tells it again."""
        for user_log in list(self._logs.values()):
            user_log.begin_anew(None, "other_epoch")

    async def forget_erased(self) -> None:
        """Somebody was erased in the store, by whomever: have nothing of it here, and cut who reads their log."""
        for user_log in self._logs.values():
            user_log.forget_recent()
        await self._sweep()

    async def drain(self, *, still_listens: bool) -> None:
        """End every stream with a goodbye of its own and let waiting polls answer; return when the streams have gone.

        The window is as long as so many need to come back at ``drain_streams_per_s``, but ``drain_window_s`` at most.
        Streams are told to come back spread over a time as long as it. Where the server still listens, which it does
        until this returns, that time begins after the window: who comes while we refuse gets a 503, which a browser's
        own EventSource takes as the end. A reader that does not take its goodbye within ``drain_window_s`` is cut.
        """
        began_at, config = self.loop.time(), self.config
        if not self.is_draining:
            self.is_draining = True
            readers = self.stream_count + sum(len(user_log.waiters) for user_log in self._logs.values())
            self._drain_window_s = min(config.drain_window_s, readers / config.drain_streams_per_s)
            self.drain_ends_at = began_at + self._drain_window_s
            await self._say_goodbye(self._drain_window_s + DRAIN_MARGIN_S if still_listens else 0.0)
        if still_listens:
            await asyncio.sleep(max(0.0, self.drain_ends_at - self.loop.time()))
        while self.stream_count > 0 and self.loop.time() < began_at + config.drain_window_s:  # noqa: ASYNC110  # once
            await asyncio.sleep(DRAIN_LOOK_S)
        self.abort_streams("draining")
        await asyncio.sleep(0)  # detached connections are lost in the next turn of the loop

    async def _say_goodbye(self, refused_for_s: float) -> None:
        refused_for_ms, window_ms = int(refused_for_s * 1000), int(self._drain_window_s * 1000)
        ended = 0
        for user_log in list(self._logs.values()):
            user_log.wake_waiters()
            for stream in list(user_log.streams):
                stream.end("draining", refused_for_ms + self.rng.randrange(window_ms + 1))
                ended += 1
                if ended % DRAIN_STREAMS_AT_ONCE == 0:
                    await asyncio.sleep(0)

    def abort_streams(self, reason: str) -> None:
        """Cut the streams that are still open."""
        for user_log in list(self._logs.values()):
            for stream in list(user_log.streams):
                stream.abort(reason)

    def drain_retry_after_s(self) -> int:
        """``Retry-After`` for what is refused while draining: what is left of the window, and a random part of it."""
        left_s = max(0.0, self.drain_ends_at - self.loop.time())
        return max(1, round(left_s + self.rng.random() * self._drain_window_s))

    def _is_here(self, user: UserId) -> bool:
        return user in self._logs or self.others.has(user)

    def _tell_presence(self, watcher: UserId, watched: UserId, online: bool) -> None:
        self.show_presence(watcher, watched, online)
        self.others.tell(PRESENCE, watcher, f"{online:d}{watched}")  # whose streams may be elsewhere

    def show_presence(self, watcher: UserId, watched: UserId, online: bool) -> None:
        """Tell the streams here that somebody came or went."""
        user_log = self._logs.get(watcher)
        if user_log is not None:
            user_log.ephemeral(Frame(frame.presence(watched, online)))

    def tell_profile(self, to: UserId, change: ProfileChange) -> None:
        """Tell a user's streams, here and elsewhere, that somebody has another name or picture."""
        self.show_profile(to, change)
        if self.others.has(to):
            self.others.tell(PROFILE, to, encode_json(change).decode())

    def show_profile(self, to: UserId, change: ProfileChange) -> None:
        """Tell the streams here."""
        user_log = self._logs.get(to)
        if user_log is not None:
            user_log.ephemeral(Frame(frame.profile(change)))

    async def _sweep_for_ever(self) -> None:
        is_answered = True
        while True:
            pause_s = SWEEP_INTERVAL_S if is_answered else UNANSWERED_SWEEP_INTERVAL_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s * self.rng.uniform(0.8, 1.0)):
                    await self._sweep_now.wait()
                await asyncio.sleep(HINTS_MISSED_PAUSE_S)
                self._sweep_now.clear()
                self.metrics.bus_sweeps.inc()
            was_answered, is_answered = is_answered, False
            try:
                await self._sweep()
                is_answered = True
            except Unavailable as failure:
                if was_answered:
                    log.warning("the store does not answer the sweep: %s", failure.detail)
            except Exception:
                log.exception("the sweep failed; the next one makes up for it")

    async def _sweep(self) -> None:
        users = list(self._logs)
        for start in range(0, len(users), SWEEP_USERS_MAX):
            tails = {
                user: self._logs[user].tail or 0
                for user in users[start : start + SWEEP_USERS_MAX]
                if user in self._logs
            }
            heads = await self.store.heads(list(tails))
            now = self.loop.time()
            for user, tail in tails.items():
                user_log, head = self._logs.get(user), heads.get(user, 0)
                if user_log is not None and user_log.tail is not None:
                    user_log.drop_idle_ring(now)
                    if head > user_log.tail:
                        user_log.kick()
                    elif head < tail:  # than before the store was asked: what came since is only newer
                        user_log.begin_anew(head, "erased")


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("a task of the hub failed")
