"""How a message is printed: as one line that cannot steer a terminal, or as one JSON object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tidings.terminal_text import harmless

if TYPE_CHECKING:
    from tidings.protocol.shapes import Message


def line(message: Message, me: str | None) -> str:
    """When, who to whom, and what."""
    sender, recipient = ("me" if user == me else harmless(user) for user in (message.sender_id, message.recipient_id))
    at = message.createdAt.partition(".")[0].removesuffix("Z") + "Z"
    return f"{harmless(at)} {sender} → {recipient}: {harmless(message.text)}"


def as_json(shape: object) -> str:
    """A shape of the wire: ASCII, and thus harmless."""
    import msgspec

    return json.dumps(msgspec.to_builtins(shape))


def event_as_json(cursor: str | None, type: str, data: object) -> str:
    """An event, as ``tail`` prints it."""
    return as_json({"id": cursor, "type": type, "data": data})
