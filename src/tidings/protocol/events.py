"""The events of a user's log and what they look like on the wire.

Shapes of PROTOCOL.md: a ``Message`` is what a person sent, an event is one entry of a user's log. Here they are
values and their JSON; where they are kept is ``server/store``, when they are written is ``server/live/hub.py``.

Positions, ``seq`` and watermarks are plain integers from 1; 0 means "nothing yet".
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import NewType

import msgspec

UserId = NewType("UserId", str)
MessageId = NewType("MessageId", str)
Seq = NewType("Seq", int)
Position = NewType("Position", int)

NEW_MESSAGE = "new_message"
MESSAGE_DELIVERED = "message_delivered"
MESSAGE_READ = "message_read"
DELETED = "deleted"  # message_type of a message whose sender was erased; its text is empty
LOG_EVENT_TYPES = (NEW_MESSAGE, MESSAGE_DELIVERED, MESSAGE_READ)


class Message(msgspec.Struct, frozen=True):
    """What a person sent, as one of its two participants sees it."""

    id: MessageId = msgspec.field(name="_id")
    seq: int
    sender_id: str
    recipient_id: str
    text: str
    message_type: str
    sent: bool
    delivered: bool
    read: bool
    createdAt: str
    client_id: str | None  # the sender's own id of this send; null for the other side


class Receipt(msgspec.Struct, frozen=True):
    """How far ``by`` has received or read the conversation with the log owner's peer ``chat_user_id``."""

    chat_user_id: str
    by: str
    upto: int
    at: str


class Watermarks(msgspec.Struct, frozen=True):
    """How far both sides of a conversation have received and read, as message seqs; only rise."""

    read_upto: int = 0
    delivered_upto: int = 0
    peer_read_upto: int = 0
    peer_delivered_upto: int = 0


class Person(msgspec.Struct, frozen=True):
    """A user as screens show it; name is the id where the host tells nothing else."""

    id: str
    name: str
    avatar_url: str | None = None
    online: bool | None = None  # None: unknown, or not for the one who asks


class LogEvent(msgspec.Struct, frozen=True):
    """One entry of a user's log."""

    position: int
    tag: int
    data: Message | Receipt
    type: str


_encode = msgspec.json.Encoder().encode

# Characters that are legal inside JSON strings and that line splitters of third-party clients take for line ends.
_LINE_ENDS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def encode_json(value: object) -> bytes:
    """One line of JSON in UTF-8; U+0085, U+2028 and U+2029 are escaped (they occur only inside strings)."""
    encoded = _encode(value)
    if not encoded.isascii():
        for raw, escaped in _LINE_ENDS:
            if raw in encoded:
                encoded = encoded.replace(raw, escaped)
    return encoded


def encode_payload(type: str, data: bytes) -> bytes:
    """The ``{"type", "data"}`` object of a frame; ``data`` is already JSON."""
    return b'{"type":"%s","data":%s}' % (type.encode(), data)


def format_time(ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, from milliseconds since 1970."""
    return f"{_format_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=64)  # what is sent now, and a page of history, share their seconds
def _format_second(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
