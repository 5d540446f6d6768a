"""The ``text/event-stream`` codec, without input or output.

Rules of this file:

- Written are only the forms that every measured client reads alike: LF, one
  line of data, never an ``id:`` or ``retry:`` without data, no byte order mark.
- Read is everything that WHATWG HTML 9.2.5 and 9.2.6 allow, in any chunking.
  Lines end at CR, LF or CRLF and nowhere else: U+2028 and U+0085 are text.
- Memory is bounded: a peer that never ends its line or its event is an error.
"""

import re
from dataclasses import dataclass
from typing import Final

from tidings.errors import ProtocolViolation

EVENT_SIZE_MAX_BYTES: Final = 1_048_576
"""Default bound of the decoder: sixteen times our server's largest frame, and what other clients were seen to take."""

RECONNECTION_TIME_MAX_MS: Final = 2**53 - 1
"""The largest integer that every client language holds exactly; a greater ``retry:`` is not a time."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_NEVER_IN_ID: Final = re.compile(rb"[\r\n\0]")
_DIGITS: Final = re.compile(rb"[0-9]+")


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event: its type, its data, and the last event id when it was dispatched."""

    event: str
    data: str
    id: str


def encode_event(data: bytes, *, id: bytes | None = None, retry_ms: int | None = None) -> bytes:
    """Return the bytes of one event, its closing blank line included.

    Args:
        data: One line of UTF-8, without CR and LF.
        id: The cursor after this event, without CR, LF and NUL; none leaves the reader's position alone.
        retry_ms: The reconnection time for readers that obey it.

    Source: WHATWG HTML 9.2.5.
    """
    assert b"\n" not in data, "data is one line"
    assert b"\r" not in data, "data is one line"
    frame = b""
    if retry_ms is not None:
        assert 0 <= retry_ms <= RECONNECTION_TIME_MAX_MS, "a reconnection time is a count of milliseconds"
        frame += b"retry: %d\n" % retry_ms
    if id is not None:
        assert _NEVER_IN_ID.search(id) is None, "an id is one line without NUL"
        frame += b"id: " + id + b"\n"
    return frame + b"data: " + data + b"\n\n"


class EventStreamDecoder:
    """Turns the bytes of one event stream, in any chunking, into its events.

    One decoder reads one response body. An event that is incomplete when the body ends is dropped with the decoder, as
    9.2.6 asks: a half event is no event.

    Attributes:
        last_event_id: The last event id that a blank line has confirmed; ``""`` before the first.
        retry_ms: The last valid ``retry:`` field, or none.
    """

    def __init__(self, *, size_max_bytes: int = EVENT_SIZE_MAX_BYTES, last_event_id: str = "") -> None:
        """
        Args:
            size_max_bytes: Bound of a line together with the data gathered before it in the same event.
            last_event_id: The id to start from, which events without their own carry.
        """
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._size_max_bytes = size_max_bytes
        self._at_start = True
        self._after_cr = False
        self._line = bytearray()
        self._id = last_event_id
        self._type = ""
        self._data: list[bytes] = []
        self._data_size_bytes = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes and return the events that they complete, in order.

        Raises:
            ProtocolViolation: The bound was passed; nothing sensible can follow.

        Source: WHATWG HTML 9.2.5 (lines), 9.2.6 (interpretation).
        """
        if not chunk:
            return []
        # A CRLF cut in two: its CR has already ended the line, so that no event waits for the LF.
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
            if not chunk:
                return []
        self._after_cr = chunk.endswith(b"\r")
        events: list[Event] = []
        *parts, rest = _LINE_END.split(chunk)
        for part in parts:
            self._extend_line(part)
            event = self._interpret(bytes(self._line))
            self._line.clear()
            if event is not None:
                events.append(event)
        self._extend_line(rest)
        return events

    def _extend_line(self, part: bytes) -> None:
        if len(self._line) + len(part) + self._data_size_bytes > self._size_max_bytes:
            raise ProtocolViolation(f"an event of the stream is larger than {self._size_max_bytes} bytes")
        self._line += part

    def _interpret(self, line: bytes) -> Event | None:
        """Act on one line without its end; an event results only from a blank one."""
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        # A comment has the empty name, which is none of these.
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_size_bytes += len(value) + 1
        elif name == b"id":
            if b"\0" not in value:
                self._id = _decode(value)
        elif name == b"event":
            self._type = _decode(value)
        elif name == b"retry" and _DIGITS.fullmatch(value):
            self._set_retry(value)
        return None

    def _set_retry(self, digits: bytes) -> None:
        # Python refuses to convert thousands of digits; sixteen significant ones decide.
        significant = digits.lstrip(b"0")
        if len(significant) <= 16 and (time_ms := int(significant or b"0")) <= RECONNECTION_TIME_MAX_MS:
            self.retry_ms = time_ms

    def _dispatch(self) -> Event | None:
        """End the block: the id is confirmed in any case, an event results only if there was data."""
        self.last_event_id = self._id
        event_type, data = self._type, self._data
        self._type, self._data, self._data_size_bytes = "", [], 0
        if not data:
            return None
        return Event(event=event_type or "message", data=_decode(b"\n".join(data)), id=self._id)


def _decode(value: bytes) -> str:
    # Line ends are ASCII and thus never inside a character: decoding by field equals decoding the stream.
    return value.decode("utf-8", "replace")
