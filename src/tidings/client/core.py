"""Following an event stream, without input or output.

A ``Follower`` is told what happens to an attempt (``begin``, ``answered``, ``received``, ``body_ended``, ``broke``,
``fell_silent``) and says what follows: events to hand out, the time by which more must have come, and after the
attempt what to do next. Whoever drives it owns sockets, clock (monotonic seconds) and randomness; threads and tasks
can drive the same one.

Rules of this file:

- The cursor moves only when an event is handed out, never with the connection; each attempt resumes from it (I4).
- An event at or below the cursor is dropped: after a resume the same event may come twice.
- A heartbeat that stands elsewhere than the cursor means that something was missed: the attempt ends, and the next
  one asks again from the cursor.
- A stream is live only after its ``connected`` frame, and only bytes keep it alive.

Source: PROTOCOL.md, Event stream and Reconnection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

import msgspec

from tidings.errors import ProtocolViolation
from tidings.protocol.cursor import parse_cursor
from tidings.protocol.events import LOG_EVENT_TYPES, NEW_MESSAGE, Message
from tidings.protocol.retry import Action, Outcome, OutcomeKind, next_attempt
from tidings.protocol.sse import Event as StreamEvent
from tidings.protocol.sse import EventStreamDecoder

CONNECTED_WITHIN_S: Final = 8.0
"""From the request to the ``connected`` frame; a server sends it with the headers, so that later means a buffer."""

STABLE_AFTER_S: Final = 10.0
"""Live for so long, and one heartbeat seen: only then are earlier failures forgotten."""

RESET: Final = "reset"
CONTENT_TYPE: Final = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Event:
    """What a follower hands out.

    Attributes:
        type: ``new_message``, ``message_delivered``, ``message_read``, ``typing``, ``reset``, or one that a newer
            server knows.
        data: The JSON object of the frame.
        cursor: The position after this event; none where the event is in no log (``typing``).
    """

    type: str
    data: dict[str, object]
    cursor: str | None

    @property
    def message(self) -> Message | None:
        """The message of a ``new_message``, else none.

        Raises:
            ProtocolViolation: The server sent something else under that name.
        """
        if self.type != NEW_MESSAGE:
            return None
        try:
            return msgspec.convert(self.data, Message)
        except msgspec.ValidationError as error:
            raise ProtocolViolation(f"a new_message that is no message: {error}") from error


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What the next request must carry: the ``Last-Event-ID``, and whether the token must be fetched anew."""

    last_event_id: str | None
    refresh_token: bool


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do after an attempt; ``reason`` is a short word for people and logs."""

    action: Action
    wait_s: float
    reason: str


class _Frame(msgspec.Struct):
    type: str
    data: dict[str, object]


class _Connected(msgspec.Struct):
    user_id: str
    cursor: str
    resumed: bool
    heartbeat_ms: Annotated[float, msgspec.Meta(gt=0)]


class _Position(msgspec.Struct):
    cursor: str


class _Goodbye(msgspec.Struct):
    reason: str
    retry_ms: Annotated[float, msgspec.Meta(ge=0)]


_decode_frame = msgspec.json.Decoder(_Frame).decode


class Follower:
    """One user's way along a log, over any number of streams.

    Attributes:
        cursor: After the last event handed out; none until the first ``connected`` frame, if none was given.
        started_from: Where the first stream started; the cursor given, if any.
        user_id: Whose log it is, as the server said; none before the first ``connected`` frame.
        connected: The ``connected`` frame of this attempt has come.
        over: This attempt can give nothing more; close it and ask for the next step.
        deadline_s: Bytes (or, before it, the ``connected`` frame) must have come by then; monotonic seconds.
    """

    def __init__(self, *, cursor: str | None = None, token_renewable: bool = True) -> None:
        """
        Args:
            cursor: Where to go on; none follows from now.
            token_renewable: A new token can be had when one is refused; else a 401 is the end.
        """
        self.cursor = cursor
        self.started_from = cursor
        self.user_id: str | None = None
        self.connected = False
        self.deadline_s = 0.0
        self._token_renewable = token_renewable
        self._failures = 0
        self._rejected = False  # 401 came, and no other answer since
        self._token_expired = False
        self._forget_attempt()

    def _forget_attempt(self) -> None:
        self.connected = False
        self._decoder = EventStreamDecoder()
        self._frame_id = ""
        self._answered = False
        self._watchdog_s = CONNECTED_WITHIN_S
        self._live_since_s: float | None = None
        self._heartbeat_seen = False
        self._outcome: Outcome | None = None
        self._reason = ""

    @property
    def over(self) -> bool:
        return self._outcome is not None

    def begin(self, now_s: float) -> StreamRequest:
        """Start an attempt: what its request must carry."""
        self._forget_attempt()
        self.deadline_s = now_s + CONNECTED_WITHIN_S
        refresh = self._token_renewable and (self._rejected or self._token_expired)
        self._token_expired = False
        return StreamRequest(self.cursor, refresh)

    def answered(self, status: int, content_type: str, retry_after_s: float | None = None) -> None:
        """The header section came; anything but an event stream ends the attempt."""
        self._answered = True
        if status != 200:
            refreshed = status == 401 and self._rejected
            self._rejected = status == 401
            self._end(Outcome("status", status=status, retry_after_s=retry_after_s, refreshed=refreshed), f"{status}")
            return
        self._rejected = False
        if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
            self._end(Outcome("violation"), "not an event stream")

    def received(self, chunk: bytes, now_s: float) -> list[Event]:
        """Take bytes of the body: the events to hand out, in order. Look at ``over`` afterwards."""
        events: list[Event] = []
        try:
            for frame in self._decoder.feed(chunk):
                event = self._interpret(frame, now_s)
                if event is not None:
                    events.append(event)
                if self.over:
                    break
        except (
            ProtocolViolation,
            ValueError,
            RecursionError,
        ) as error:  # what decoding raises: no JSON, nested too deep
            self._end(Outcome("violation"), f"violation: {error}")
        if self.connected:
            self.deadline_s = now_s + self._watchdog_s
        return events

    def body_ended(self) -> None:
        """The body came to its regular end."""
        self._end(Outcome("end" if self.connected else "network"), "end")

    def broke(self) -> None:
        """The connection was refused, reset or cut."""
        self._end(Outcome("network"), "network")

    def fell_silent(self) -> None:
        """The deadline passed."""
        kind: OutcomeKind = "mute" if self._answered and not self.connected else "timeout"
        self._end(Outcome(kind), kind)

    def next_step(self, now_s: float, random: float) -> NextStep:
        """Decide what follows the attempt that is over; ``random`` is drawn from [0, 1)."""
        outcome = self._outcome
        assert outcome is not None, "the attempt is over"
        live_s = 0.0 if self._live_since_s is None else now_s - self._live_since_s
        if live_s >= STABLE_AFTER_S and self._heartbeat_seen:
            outcome = replace(outcome, stable=True)
        if outcome.status == 401 and not self._token_renewable:
            return NextStep("stop", 0, self._reason)
        attempt = next_attempt(self._failures, outcome, random)
        self._failures = attempt.failures
        return NextStep(attempt.action, attempt.wait_ms / 1000, self._reason)

    def _end(self, outcome: Outcome, reason: str) -> None:
        # The first reason counts: after a goodbye or a violation the connection breaks in some way, too.
        if self._outcome is None:
            self._outcome, self._reason = outcome, reason

    def _interpret(self, stream_event: StreamEvent, now_s: float) -> Event | None:
        frame = _decode_frame(stream_event.data)
        # A frame without an id carries the last one; only an id that differs is its own.
        has_id = stream_event.id != self._frame_id
        self._frame_id = stream_event.id
        if (frame.type == "connected") == self.connected:
            raise ProtocolViolation(f"{frame.type} as {'a later' if self.connected else 'the first'} frame")
        match frame.type:
            case "connected":
                self._connect(msgspec.convert(frame.data, _Connected), now_s)
            case "heartbeat":
                self._heartbeat_seen = True
                if msgspec.convert(frame.data, _Position).cursor != self.cursor:
                    self._end(Outcome("violation"), "events were missed")
            case "caught_up":
                pass
            case "goodbye":
                goodbye = msgspec.convert(frame.data, _Goodbye)
                self._token_expired = goodbye.reason == "token_expired"
                self._end(Outcome("goodbye", retry_ms=goodbye.retry_ms), goodbye.reason)
            case "reset":
                self.cursor = msgspec.convert(frame.data, _Position).cursor
                return Event(RESET, frame.data, self.cursor)
            case _ if has_id or frame.type in LOG_EVENT_TYPES:
                if _is_after(stream_event.id, self.cursor):
                    self.cursor = stream_event.id
                    return Event(frame.type, frame.data, self.cursor)
            case _:
                return Event(frame.type, frame.data, None)
        return None

    def _connect(self, connected: _Connected, now_s: float) -> None:
        if self.cursor is None:
            self.cursor = self.started_from = connected.cursor
        elif connected.resumed and connected.cursor != self.cursor:
            raise ProtocolViolation("resumed from another cursor than asked")
        # Without ``resumed`` a reset frame follows in the same write and moves the cursor.
        self.connected = True
        self.user_id = connected.user_id
        self._live_since_s = now_s
        self._watchdog_s = 2 * connected.heartbeat_ms / 1000 + 5


def _is_after(new: str, applied: str | None) -> bool:
    """Whether an event's cursor lies behind the one applied; a cursor of another form or epoch is new if it differs."""
    ours = parse_cursor(applied or "")
    theirs = parse_cursor(new)
    if ours is None or theirs is None or ours.epoch != theirs.epoch:
        return new != applied
    return theirs.position > ours.position
