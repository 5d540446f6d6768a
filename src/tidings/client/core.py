"""Following a user's events, without input or output.

A ``Follower`` is told what happens to its streams and polls (``stream_answered``, ``stream_received``,
``poll_answered``, ...) and hands out events; its ``effects`` say what to open, to ask and to give up, its
``deadline_s`` when to ``tick``. Its driver owns sockets, clock (monotonic seconds) and randomness; threads and tasks
drive the same one.

Rules of this file:

- The cursor moves only when an event is handed out, never with the connection; each attempt resumes from it (I4).
- An event at or below the cursor is dropped: after a resume, or where a stream takes over from polls, the same event
  may come twice. One that is not the next was lost before it: a log is dense, so the attempt ends.
- A heartbeat that stands elsewhere than the cursor means that something was missed: the attempt ends, and the next
  one asks again from the cursor.
- A page of the log counts only for the cursor that was asked for, and everything only for one user.

Source: PROTOCOL.md, Event stream, Events and Reconnection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final

import msgspec

from tidings.client.machine import NO_STREAMS, Effect, Machine, Status
from tidings.errors import ProtocolViolation
from tidings.protocol import events
from tidings.protocol.cursor import parse_cursor
from tidings.protocol.retry import Outcome
from tidings.protocol.shapes import Connected, EventsPage, Frame, Goodbye, Message, Reached, Reset
from tidings.protocol.sse import Event as StreamEvent
from tidings.protocol.sse import EventStreamDecoder

CONTENT_TYPE: Final = "text/event-stream"

UNREADABLE: Final = (ProtocolViolation, ValueError, RecursionError)
"""What reading may raise: not as promised, no JSON, no UTF-8, nested too deep."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as a follower hands it out.

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
        if self.type != events.NEW_MESSAGE:
            return None
        try:
            return msgspec.convert(self.data, Message)
        except msgspec.ValidationError as error:
            raise ProtocolViolation(f"a new_message that is no message: {error}") from error


@dataclass(frozen=True, slots=True)
class _Heartbeat:
    in_step: bool


_decode_frame = msgspec.json.Decoder(Frame).decode
_decode_page = msgspec.json.Decoder(EventsPage).decode


class _Log:
    """One user's way along a log, whichever way its events come."""

    def __init__(self, cursor: str | None) -> None:
        self.cursor = cursor
        self.started_from = cursor
        self.user_id: str | None = None

    def belongs_to(self, user_id: str) -> None:
        """Learn whose it is, or check it."""
        if self.user_id not in (None, user_id):
            raise ProtocolViolation("the events are another user's")
        self.user_id = user_id

    def begin(self, cursor: str) -> None:
        """Nothing was handed out so far: from here on."""
        self.cursor = self.started_from = cursor

    def advance(self, event: Event) -> Event | None:
        """Move to the event and return it, if it is the next one; none if it was handed out before."""
        assert event.cursor is not None, "an event of the log has a position"
        ours, theirs = parse_cursor(self.cursor or ""), parse_cursor(event.cursor)
        if ours is None or theirs is None:  # of another form: it is new if it differs
            is_old = event.cursor == self.cursor
        else:
            is_old = theirs.epoch == ours.epoch and theirs.position <= ours.position
            if not is_old and (theirs.epoch, theirs.position) != (ours.epoch, ours.position + 1):
                raise ProtocolViolation("events are missing before this one")
        if is_old:
            return None
        self.cursor = event.cursor
        return event

    def reset(self, reset: Reset) -> Event:
        """Events are missing up to here."""
        self.cursor = reset.cursor
        return Event(events.RESET, msgspec.to_builtins(reset), self.cursor)


class _Stream:
    """Reads one stream, asked for at the log's cursor of that moment."""

    def __init__(self, log: _Log) -> None:
        self.asked = log.cursor
        self._log = log
        self._decoder = EventStreamDecoder()
        self._frame_id = ""
        self._is_connected = False

    def read(self, chunk: bytes) -> Iterator[Event | Connected | _Heartbeat | Goodbye]:
        """Return the events of these bytes, in order; the log's cursor moves with each.

        Raises:
            ProtocolViolation, ValueError, RecursionError: The rest cannot be read.
        """
        for frame in self._decoder.feed(chunk):
            read = self._interpret(frame)
            if read is not None:
                yield read

    def _interpret(self, stream_event: StreamEvent) -> Event | Connected | _Heartbeat | Goodbye | None:
        frame = _decode_frame(stream_event.data)
        # A frame without an id carries the last one; only an id that differs is its own.
        has_id = stream_event.id != self._frame_id
        self._frame_id = stream_event.id
        if (frame.type == events.CONNECTED) == self._is_connected:
            raise ProtocolViolation(f"{frame.type} as {'a later' if self._is_connected else 'the first'} frame")
        match frame.type:
            case events.CONNECTED:
                return self._connect(msgspec.convert(frame.data, Connected))
            case events.HEARTBEAT:
                return _Heartbeat(msgspec.convert(frame.data, Reached).cursor == self._log.cursor)
            case events.CAUGHT_UP:
                return None
            case events.GOODBYE:
                return msgspec.convert(frame.data, Goodbye)
            case events.RESET:
                return self._log.reset(msgspec.convert(frame.data, Reset))
            case _ if has_id or frame.type in events.LOG_EVENT_TYPES:
                return self._log.advance(Event(frame.type, frame.data, stream_event.id))
            case _:
                return Event(frame.type, frame.data, None)

    def _connect(self, connected: Connected) -> Connected:
        if self.asked is not None and connected.resumed and connected.cursor != self.asked:
            raise ProtocolViolation("resumed from another cursor than asked")
        if self.asked is None and self._log.cursor not in (None, connected.cursor):
            raise ProtocolViolation("the stream begins elsewhere than where polls have come to")
        self._log.belongs_to(connected.user_id)
        # Without ``resumed`` a reset frame follows in the same write and moves the cursor.
        if self._log.cursor is None:
            self._log.begin(connected.cursor)
        self._is_connected = True
        return connected


class Follower:
    """One user's way along a log, over any number of streams and polls.

    Attributes:
        effects: The effects since they were last taken.
    """

    def __init__(self, random: Callable[[], float], *, cursor: str | None = None, token_renewable: bool = True) -> None:
        """
        Args:
            random: Draws from [0, 1).
            cursor: Where to go on; none follows from now.
            token_renewable: A new token can be had when one is refused; else a 401 is the end.
        """
        self.effects: list[Effect] = []
        self._log = _Log(cursor)
        self._machine = Machine(random, token_renewable=token_renewable)
        self._streams: dict[int, _Stream] = {}
        self._polls: dict[int, str | None] = {}  # the cursors that were asked for

    @property
    def cursor(self) -> str | None:
        """After the last event handed out; none before the first answer, if none was given."""
        return self._log.cursor

    @property
    def started_from(self) -> str | None:
        """Where the first stream or poll started; the cursor given, if any."""
        return self._log.started_from

    @property
    def user_id(self) -> str | None:
        """The user of the log, as the server said; none before the first answer."""
        return self._log.user_id

    @property
    def status(self) -> Status:
        """Of the connection."""
        return self._machine.status

    @property
    def deadline_s(self) -> float | None:
        """By when to ``tick``; monotonic seconds. None when only something else can change anything."""
        deadline_ms = self._machine.deadline
        return None if deadline_ms is None else deadline_ms / 1000

    def left_s(self, now_s: float) -> float | None:
        """How long until then: in whole milliseconds, so that no rest of rounding is waited for again and again."""
        deadline_ms = self._machine.deadline
        return None if deadline_ms is None else max(0, ceil(deadline_ms - now_s * 1000)) / 1000

    def connect(self, now_s: float) -> None:
        """Begin, or begin anew after a refusal."""
        self._do(self._machine.connect(now_s * 1000))

    def disconnect(self, now_s: float) -> None:
        """End what is open."""
        self._do(self._machine.disconnect(now_s * 1000))

    def tick(self, now_s: float) -> None:
        """Time has passed."""
        self._do(self._machine.tick(now_s * 1000))

    def abandon(self, generation: int, now_s: float) -> None:
        """A stream or poll could not be asked for: no token. The next step tries again."""
        self._machine.abandon(generation, now_s * 1000)

    def stream_requested(self, generation: int, now_s: float) -> str | None:
        """The request for a stream goes out; returns its ``Last-Event-ID``."""
        self._streams = {generation: _Stream(self._log)}
        self._do(self._machine.stream_requested(generation, now_s * 1000))
        return self._log.cursor

    def stream_answered(
        self,
        generation: int,
        status: int,
        content_type: str,
        retry_after_s: float | None,
        now_s: float,
        problem: str | None = None,
    ) -> None:
        """The header section came; anything but an event stream ends the attempt. ``problem`` is a refusal's code."""
        if status != 200:
            outcome = Outcome("status", status=status, retry_after_s=retry_after_s)
            self.stream_ended(generation, outcome, problem if problem == NO_STREAMS else f"{status}", now_s)
        elif content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
            self.stream_ended(generation, Outcome("violation"), "not an event stream", now_s)

    def stream_received(self, generation: int, chunk: bytes, now_s: float) -> list[Event]:
        """Take bytes of the body: the events to hand out, in order."""
        handed_out: list[Event] = []
        stream, machine, now_ms = self._streams.get(generation), self._machine, now_s * 1000
        if stream is None:
            return handed_out  # given up meanwhile
        self._do(machine.stream_bytes(generation, now_ms))
        try:
            for read in stream.read(chunk):
                match read:
                    case Event():
                        handed_out.append(read)
                    case Connected():
                        self._do(machine.stream_connected(generation, read.heartbeat_ms, now_ms))
                    case _Heartbeat():
                        self._do(machine.stream_heartbeat(generation, read.in_step, now_ms))
                    case Goodbye():
                        self._do(machine.stream_goodbye(generation, read.retry_ms, read.reason, now_ms))
                if generation not in self._streams:
                    break
        except UNREADABLE as error:
            self.stream_ended(generation, Outcome("violation"), f"violation: {error}", now_s)
        return handed_out

    def stream_ended(self, generation: int, outcome: Outcome, reason: str, now_s: float) -> None:
        """It ended without a goodbye."""
        self._do(self._machine.stream_ended(generation, outcome, reason, now_s * 1000))

    def poll_requested(self, generation: int) -> str | None:
        """A poll goes out; returns the cursor that it asks for."""
        self._polls = {generation: self._log.cursor}
        return self._log.cursor

    def poll_answered(self, generation: int, body: bytes, now_s: float) -> list[Event]:
        """Take a page of the log: the events to hand out, in order."""
        handed_out: list[Event] = []
        if generation not in self._polls:
            return handed_out  # given up meanwhile
        asked = self._polls.pop(generation)
        try:
            page = _decode_page(body)
            if page.user_id:
                self._log.belongs_to(page.user_id)
            if page.reset:
                handed_out.append(self._log.reset(page.reset))
            for each in page.events:
                event = self._log.advance(Event(each.type, each.data, each.id))
                if event is not None:
                    handed_out.append(event)
            if asked is None and self._log.cursor is None:
                self._log.begin(page.cursor)
            elif page.cursor != (self._log.cursor if page.events or page.reset else asked):
                raise ProtocolViolation("the page ends elsewhere than its events")
        except UNREADABLE as error:
            self.poll_failed(generation, Outcome("violation"), f"violation: {error}", now_s)
        else:
            self._do(self._machine.poll_done(generation, page.has_more, now_s * 1000))
        return handed_out

    def poll_failed(self, generation: int, outcome: Outcome, reason: str, now_s: float) -> None:
        """It was refused or lost."""
        self._do(self._machine.poll_failed(generation, outcome, reason, now_s * 1000))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if effect.type == "abort_stream" and effect.generation is not None:
                self._streams.pop(effect.generation, None)
            elif effect.type == "abort_poll" and effect.generation is not None:
                self._polls.pop(effect.generation, None)
        self.effects += effects
