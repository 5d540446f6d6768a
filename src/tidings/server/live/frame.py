"""The frames of a stream: the bytes of one event each, and the same events as JSON for polls.

Every frame is one line of JSON in ``data:`` with the shape ``{"type", "data"}`` and no ``event:`` field, so that a
browser's ``onmessage`` sees it. Frames of the log carry their cursor as ``id:``; the others carry none, so that they
never move a reader's position. Source: PROTOCOL.md, Frames.
"""

from __future__ import annotations

import re

from starlette.types import Message

from tidings.protocol.cursor import format_cursor
from tidings.protocol.encoding import encode_json, encode_payload
from tidings.protocol.events import CAUGHT_UP, CONNECTED, GOODBYE, HEARTBEAT, PRESENCE, PROFILE, RESET, TYPING, LogEvent
from tidings.protocol.shapes import Connected, Goodbye, PresenceChange, ProfileChange, Reached, Reset, Typing
from tidings.protocol.sse import encode_event
from tidings.server.live.bus import Hint

_TYPE = re.compile(r"[a-z0-9_]{1,64}")  # also one that only a later version knows


class Frame:
    """A piece of a stream's body, made once for all streams that take it: for ASGI, and as HTTP/1.1 writes it."""

    __slots__ = ("body", "chunk", "is_last")

    def __init__(self, body: bytes, *, is_last: bool = False) -> None:
        self.body = body
        self.is_last = is_last
        self.chunk = b"%x\r\n%b\r\n%b" % (len(body), body, b"0\r\n\r\n" if is_last else b"")  # RFC 9112 7.1

    def message(self) -> Message:
        """The message to an ASGI server."""
        return {"type": "http.response.body", "body": self.body, "more_body": not self.is_last}


class Rendered:
    """An event of one log, encoded once for all its readers."""

    __slots__ = ("cursor", "data", "position", "type")

    def __init__(self, epoch: str, event: LogEvent) -> None:
        self.position = event.position
        self.cursor = format_cursor(epoch, event.position, event.tag)
        self.type = event.type
        self.data = encode_json(event.data)

    def frame(self) -> bytes:
        """As a frame of the stream."""
        return encode_event(encode_payload(self.type, self.data), id=self.cursor.encode())

    def event(self) -> bytes:
        """As an element of ``events`` in the answer to a poll."""
        return b'{"id":"%s","type":"%s","data":%s}' % (self.cursor.encode(), self.type.encode(), self.data)


def rendered_of(epoch: str, hint: Hint) -> Rendered | None:
    """The event as another node encoded it; None where it did not, or not as lines of a stream can have it."""
    data = bytes(hint.data)
    if hint.type is None or not _TYPE.fullmatch(hint.type) or not _is_line(data):
        return None
    rendered = Rendered.__new__(Rendered)
    rendered.position, rendered.cursor = hint.position, format_cursor(epoch, hint.position, hint.tag)
    rendered.type, rendered.data = hint.type, data
    return rendered


def _is_line(data: bytes) -> bool:
    """Whether it is text, and one line for whoever splits lines."""
    try:
        text = data.decode()
        return text.splitlines() == [text]
    except UnicodeDecodeError:
        return False


def connected(data: Connected, *, cursor: str | None, retry_ms: int) -> bytes:
    """The first frame; without ``cursor`` it carries no id, since a ``reset`` follows."""
    payload = encode_json({"type": CONNECTED, "message": "SSE connected", "data": data})
    return encode_event(payload, id=None if cursor is None else cursor.encode(), retry_ms=retry_ms)


def reset(reason: str, head_cursor: str) -> bytes:
    """Tells that a position cannot be served: reload the snapshots and go on from ``cursor``."""
    return encode_event(
        encode_payload(RESET, encode_json(Reset(reason=reason, cursor=head_cursor))), id=head_cursor.encode()
    )


def caught_up(cursor: str) -> bytes:
    """Tells that everything up to here has been sent."""
    return encode_event(encode_payload(CAUGHT_UP, encode_json(Reached(cursor))))


def heartbeat(cursor: str) -> bytes:
    """Shows that the stream lives, and where it stands."""
    return encode_event(encode_payload(HEARTBEAT, encode_json(Reached(cursor))))


def typing(chat_user_id: str) -> bytes:
    """Tells that the other one is typing; kept in no log."""
    return encode_event(encode_payload(TYPING, encode_json(Typing(chat_user_id))))


def presence(chat_user_id: str, online: bool) -> bytes:
    """Tells that the other one has come or gone; kept in no log."""
    return encode_event(encode_payload(PRESENCE, encode_json(PresenceChange(chat_user_id, online))))


def profile(change: ProfileChange) -> bytes:
    """Tells that the other one has another name or picture; kept in no log."""
    return encode_event(encode_payload(PROFILE, encode_json(change)))


def goodbye(reason: str, retry_ms: int) -> bytes:
    """The last frame: why the server ends the stream, and when to come back."""
    return encode_event(encode_payload(GOODBYE, encode_json(Goodbye(reason, retry_ms))), retry_ms=retry_ms)
