"""The registry of events: what a frame or an entry of a log may be, what its data is, and in whose log it is.

A new kind of event is a shape in ``shapes.py`` and an entry here; CONTRIBUTING.md lists all places that follow. The
browser's client has the same registry as a union (``web/client/src/wire/types.ts``, generated).
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from tidings.protocol.shapes import (
    Connected,
    Goodbye,
    Message,
    PresenceChange,
    ProfileChange,
    Reached,
    Receipt,
    Reset,
    Typing,
)

DELETED = "deleted"  # message_type of a message whose sender was erased; its text is empty

CONNECTED: Final = "connected"
RESET: Final = "reset"
NEW_MESSAGE: Final = "new_message"
MESSAGE_DELIVERED: Final = "message_delivered"
MESSAGE_READ: Final = "message_read"
CAUGHT_UP: Final = "caught_up"
HEARTBEAT: Final = "heartbeat"
TYPING: Final = "typing"
PRESENCE: Final = "presence"
PROFILE: Final = "profile"
GOODBYE: Final = "goodbye"

# What a store writes for an event of a log. A number is never given to another kind: rows outlive the code.
KIND_MESSAGE, KIND_DELIVERED, KIND_READ_BY_PEER, KIND_READ_BY_OWNER = 1, 2, 3, 4


class EventType(msgspec.Struct, frozen=True):
    """One type of event.

    Attributes:
        doc: The meaning, in a sentence.
        data: The shape of what it has.
        log: The log that has it: that of ``both`` sides of a conversation, of the ``other`` side than the one that
            caused it, or ``none``: it is told on open streams and kept nowhere.
        kinds: The numbers under which a store keeps it; several where it matters in whose log it is.
    """

    doc: str
    data: type[msgspec.Struct]
    log: Literal["both", "other", "none"] = "none"
    kinds: tuple[int, ...] = ()


EVENTS: Final = {
    CONNECTED: EventType("The first frame of a stream.", Connected),
    RESET: EventType("The position asked for cannot be served.", Reset),
    NEW_MESSAGE: EventType("A message was sent.", Message, "both", (KIND_MESSAGE,)),
    MESSAGE_DELIVERED: EventType("Messages have reached a device.", Receipt, "other", (KIND_DELIVERED,)),
    MESSAGE_READ: EventType("Messages were read.", Receipt, "both", (KIND_READ_BY_PEER, KIND_READ_BY_OWNER)),
    CAUGHT_UP: EventType("All of the past has been sent; from now on the stream is live.", Reached),
    HEARTBEAT: EventType("The stream lives.", Reached),
    TYPING: EventType("Somebody is typing.", Typing),
    PRESENCE: EventType("Somebody has come or gone.", PresenceChange),
    PROFILE: EventType("Somebody has another name or picture.", ProfileChange),
    GOODBYE: EventType("The last frame of a stream that the server ends.", Goodbye),
}
"""By the ``type`` on the wire."""

LOG_EVENT_TYPES: Final = frozenset(name for name, each in EVENTS.items() if each.log != "none")
TYPE_OF_KIND: Final = {kind: name for name, each in EVENTS.items() for kind in each.kinds}


class LogEvent(msgspec.Struct, frozen=True):
    """One entry of a user's log."""

    position: int
    tag: int
    data: Message | Receipt
    type: str
