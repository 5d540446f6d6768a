"""One open event stream: a position in a log, and the ASGI ``send`` that its frames go to.

The hub hands frames to ``offer``, which writes them at once where ``send`` is our own server's, by stepping it: no
queue, no task and no generator for each stream. A ``send`` that is not ours (another server's, or one that a middleware
has wrapped) may do what only a task can, and may look at its context: it is run in a task of the stream, in the context
of its request. There, and where a socket is full, a task pulls from the ring or the store at the reader's pace.

States::

    PULLING ──caught up──▶ LIVE ──send suspended──▶ WRITING ──it finished──▶ LIVE or PULLING
       ▲                    │                          │
       └─fell behind, or ───┘        goodbye written, abort(), close() ──▶ ENDED
         send is not ours

Only the pulling task writes in PULLING, only ``_push`` in LIVE and WRITING: two writers never meet.
Source: PROTOCOL.md, Frames; WHATWG HTML 9.2.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Generator
from typing import Any

from starlette.types import Send

from tidings.errors import Unavailable
from tidings.protocol.cursor import format_cursor
from tidings.server.config import EVENTS_PAGE_DEFAULT
from tidings.server.live import frame
from tidings.server.live.frame import Frame, Rendered
from tidings.server.live.hub import Hub, UserLog
from tidings.server.logs import Line, in_request, request_id
from tidings.server.own_connection import OwnConnection, OwnSocket
from tidings.server.store import StartPosition

FRAME_BATCH_MAX_BYTES = 1 << 16  # written at once while catching up; one socket buffer's worth
EPHEMERAL_WAITING_MAX = 16  # typing and presence frames that wait for a server's send; a user watches ten people
HEARTBEAT_JITTER = 0.1  # so that streams opened together do not beat together
STREAM_AGE_JITTER = 0.2  # so that streams opened together do not end together
GOODBYE_RETRY_MS = (250, 1500)  # after max_age and token_expired: soon, but not all at once

log = logging.getLogger("tidings.stream")

PULLING, LIVE, WRITING, ENDED = "pulling", "live", "writing", "ended"


class Stream:
    """A reader of one user's log. Everything runs in the event loop's thread."""

    __slots__ = (
        "_began_at",
        "_context",
        "_deadline",
        "_deadline_reason",
        "_detached",
        "_goodbye",
        "_heartbeat_s",
        "_hub",
        "_is_caught_up",
        "_is_direct",
        "_is_last_write",
        "_log",
        "_past",
        "_pull",
        "_request_id",
        "_send",
        "_steps",
        "_task",
        "_transport",
        "_waiting",
        "_wrote_at",
        "cursor",
        "is_ending",
        "key",
        "opened_at",
        "position",
        "reason",
        "slot",
        "state",
        "tab",
    )

    def __init__(
        self,
        hub: Hub,
        user_log: UserLog,
        start: StartPosition,
        send: Send,
        *,
        tab: str | None,
        key: bytes | None = None,
        expires_in_s: float | None,
        transport: asyncio.WriteTransport | None,
        is_ours: bool = False,
    ) -> None:
        now, config = hub.loop.time(), hub.config
        self._hub = hub
        self._log = user_log
        self._send = send
        self._transport = transport
        self._detached: OwnSocket | None = None
        self._task = asyncio.current_task()
        self._request_id = request_id()
        self.tab = tab
        self.key = key  # digest of the service key that opened it
        self.position = self._began_at = start.position
        self._past = start.head  # the tail may still be behind what the store told us
        self.cursor = format_cursor(hub.epoch, start.position, start.tag)
        self.state = PULLING
        self.is_ending = False
        self.reason = "client"  # why it ended: the other side, unless we say otherwise
        self.opened_at = now
        self.slot = 0
        self._steps: Generator[Any, None, None] | None = None
        self._goodbye: Frame | None = None
        self._pull: asyncio.Task[None] | None = None
        self._is_direct = is_ours  # ``send`` is, and waits for nothing but the socket: it may be stepped by hand
        self._context = None if is_ours else contextvars.copy_context()
        self._waiting: tuple[Frame, ...] = ()  # pushed, and not yet written by the task
        self._is_caught_up = self._is_last_write = False
        self._wrote_at = now
        self._heartbeat_s = config.heartbeat_interval_s * hub.rng.uniform(1 - HEARTBEAT_JITTER, 1 + HEARTBEAT_JITTER)
        age_s = config.stream_age_max_s * hub.rng.uniform(1 - STREAM_AGE_JITTER, 1 + STREAM_AGE_JITTER)
        self._deadline, self._deadline_reason = now + age_s, "max_age"
        if expires_in_s is not None and expires_in_s < age_s:
            self._deadline, self._deadline_reason = now + expires_in_s, "token_expired"

    async def open(self, first: bytes) -> None:
        """Write the first frames, already standing in the hub's log; then be live or start catching up."""
        if self.position >= max(self._log.tail or 0, self._past):
            first += frame.caught_up(self.cursor)
            self._is_caught_up = True
        self._hub.timer.add(self, self._due())
        await self._put(Frame(first))
        self._wrote_at = self._hub.loop.time()
        if self.state is not ENDED:
            self._settle()

    def detach(self, connection: OwnConnection) -> bool:
        """Go on without the ASGI task, which may end then; ``leave`` is called when the connection is lost.

        To be asked right after ``open``, in the same turn of the loop: nothing is half written then.
        """
        if self.state not in (LIVE, PULLING) or not self._is_direct:
            return False
        detached = connection.detach(self)
        if detached is None:
            return False
        self._detached = detached
        self._send = self._task = self._transport = None  # type: ignore[assignment]  # they hold the request
        return True

    def leave(self) -> None:
        """The one way out of the log, whoever held the connection."""
        self.close()
        hub, user_log = self._hub, self._log
        user_log.leave(self)
        hub.metrics.streams_closed.labels(reason=self.reason).inc()
        with in_request(self._request_id):
            log.info(
                Line(
                    "stream ended",
                    user=user_log.user,
                    cursor=self.cursor,
                    events=self.position - self._began_at,
                    seconds=round(hub.loop.time() - self.opened_at, 1),
                    reason=self.reason,
                )
            )
        hub.release(user_log)

    def offer(self, rendered: Rendered, frame: Frame, now: float) -> None:
        """An event was appended to the log: take it at once if it is the next one and nothing is in the way."""
        if self.state is not LIVE or self.position >= rendered.position:
            return  # the pulling task looks at the tail itself; or it started beyond this event
        if self.position == rendered.position - 1:
            self.position = rendered.position
            self.cursor = rendered.cursor
            self._push(frame, now)
        else:
            self._start_pulling()

    def offer_ephemeral(self, frame: Frame) -> None:
        """A frame without a position: written if it can be at once, else dropped.

        A task that writes already takes some more: what comes in the same moment would be lost otherwise.
        """
        if self.state is LIVE:
            self._push(frame, self._hub.loop.time())
        elif self.state is PULLING and not self._is_direct and len(self._waiting) < EPHEMERAL_WAITING_MAX:
            self._waiting += (frame,)

    def end(self, reason: str, retry_ms: int) -> None:
        """Say goodbye and end the body cleanly, as soon as what is being written is out."""
        if self.state is ENDED or self.is_ending:
            return
        self.is_ending = True
        self.reason = reason
        self._goodbye = Frame(frame.goodbye(reason, retry_ms), is_last=True)
        if self.state is LIVE:
            self._settle()

    def abort(self, reason: str) -> None:
        """Cut the connection: nothing can be said on a full socket."""
        self.reason = reason
        self.close()
        if self._detached is not None:
            self._detached.abort()
        elif self._transport is not None:
            self._transport.abort()
        elif self._task is not None:
            self._task.cancel()  # under a server whose socket we do not own: it closes what is left incomplete

    def close(self) -> None:
        """Write nothing any more. Called again it does nothing."""
        self.state = ENDED
        self.is_ending = True
        self._hub.timer.remove(self)
        if self._pull is not None:
            self._pull.cancel()
            self._pull = None
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def tick(self, now: float) -> float | None:
        """Cut a reader that takes nothing, end what is old, or beat."""
        if self.state is ENDED:
            return None
        if self.state is not LIVE and now - self._wrote_at >= self._hub.config.write_blocked_max_s:
            self.abort("slow_consumer")
            return None
        if now >= self._deadline:
            self.end(self._deadline_reason, self._hub.rng.randint(*GOODBYE_RETRY_MS))
        elif self.state is LIVE and now - self._wrote_at >= self._heartbeat_s:
            self._push(Frame(frame.heartbeat(self.cursor)), now)
        return None if self.state is ENDED else self._due()

    def _due(self) -> float:
        # The state may change without a word to the timer: be asked at the earliest of all, and decide then.
        due = self._wrote_at + min(self._heartbeat_s, self._hub.config.write_blocked_max_s)
        if self.state is not LIVE:
            due = max(due, self._hub.loop.time())
        return due if self.is_ending else min(due, self._deadline)

    def _settle(self) -> None:
        """Nothing is being written now: say goodbye, catch up, or be live."""
        if self._goodbye is not None and self._is_direct:
            goodbye, self._goodbye = self._goodbye, None
            self._is_last_write = True
            self._push(goodbye, self._hub.loop.time())
        elif self._goodbye is None and self._is_caught_up and self.position >= (self._log.tail or 0):
            self.state = LIVE
        else:
            self._start_pulling()

    def _push(self, frame: Frame, now: float) -> None:
        """Write by stepping ``_put``; where it suspends, it is stepped on when what it waits for is done.

        A `send` that is not ours is left to the task. To a detached socket that takes it, it is one call: stepping
        would cost a frame 2 us more.
        """
        self._wrote_at = now
        if self._detached is not None and self._detached.write(frame):
            if self._is_last_write:
                self.close()
            return
        if not self._is_direct:
            self._waiting += (frame,)
            self._start_pulling()
            return
        self.state = WRITING
        self._steps = self._put(frame).__await__()
        self._step()

    async def _put(self, frame: Frame) -> None:
        if self._detached is not None:
            await self._detached.put(frame)
        else:
            await self._send(frame.message())

    def _step(self, _done: object = None) -> None:
        if self._steps is None:  # closed while it waited
            return
        try:
            awaited = self._steps.send(None)
        except StopIteration:
            self._steps = None
            if self._is_last_write:
                self.close()
            else:
                self._settle()
        except Exception:
            log.exception("writing to a stream failed")
            self.abort("error")
        else:
            if awaited is None:  # a bare yield: once around the loop
                self._hub.loop.call_soon(self._step)
            else:  # a future, taken as asyncio.Task takes it
                awaited._asyncio_future_blocking = False
                awaited.add_done_callback(self._step)

    def _start_pulling(self) -> None:
        self.state = PULLING
        self._wrote_at = self._hub.loop.time()
        self._pull = self._hub.spawn(self._pull_all(), self._context)

    async def _pull_all(self) -> None:
        """Write what was pushed, what the log has beyond the position, and what else is due, until the stream is live.

        Nothing is read from the store before the socket takes it: what waits unread would be in our memory.
        """
        try:
            while True:
                if self._detached is not None:
                    await self._detached.writable()
                if self._waiting:
                    pushed, *others = self._waiting
                    self._waiting = tuple(others)
                    await self._put(pushed)
                    self._wrote_at = self._hub.loop.time()
                elif self._goodbye is not None:
                    break
                elif self.position < max(self._log.tail or 0, self._past):
                    await self._pull_page()
                elif not self._is_caught_up:
                    self._is_caught_up = True
                    await self._write(frame.caught_up(self.cursor))
                else:
                    break
            if self._goodbye is not None:
                await self._put(self._goodbye)
                self._pull = None
                self.close()
            else:
                self._pull = None
                self.state = LIVE
        except Unavailable:
            self._pull = None
            self.abort("store_unavailable")  # the client comes back with its cursor, after a backoff
        except Exception:
            log.exception("writing to a stream failed")
            self._pull = None
            self.abort("error")

    async def _pull_page(self) -> None:
        """Write the next events after the position, as many as one write takes."""
        page = await self._read_page()
        if page is None:  # trimmed under the reader: it gets a reset next time
            self.end("max_age", self._hub.rng.randint(*GOODBYE_RETRY_MS))
            return
        body, last = page
        await self._write(body)
        self.position, self.cursor = last.position, last.cursor

    async def _read_page(self) -> tuple[bytes, Rendered] | None:
        """The frames of the next events and the last of these, from the ring if it reaches back so far, else the store.

        Events that do not fit one write are read again for the next: no stream keeps them. None: there is a gap.
        """
        page = self._log.recent_after(self.position, EVENTS_PAGE_DEFAULT)
        if not page:
            self._hub.metrics.catch_up_reads.inc()
            events = await self._hub.store.read_after(
                self._log.user, self.position, EVENTS_PAGE_DEFAULT, FRAME_BATCH_MAX_BYTES
            )
            page = [Rendered(self._hub.epoch, event) for event in events]
        if not page or page[0].position != self.position + 1:
            return None
        frames: list[bytes] = []
        size = 0
        for rendered in page:
            frames.append(rendered.frame())
            size += len(frames[-1])
            if size >= FRAME_BATCH_MAX_BYTES:
                break
        return b"".join(frames), rendered

    async def _write(self, body: bytes) -> None:
        await self._put(Frame(body))
        self._wrote_at = self._hub.loop.time()
