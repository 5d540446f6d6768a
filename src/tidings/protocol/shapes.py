"""Every shape of the wire, once: what requests, answers, problems and events have in them.

Rules of this file:

- The server writes these and the Python client reads them. The OpenAPI of ``tidings.fastapi`` and the types of the
  browser's client (``web/client/src/wire/types.ts``) are generated from them, with the sentences that stand here.
- A field of an answer or an event is always there, unless it may be ``UNSET``; another default is for readers only, who
  do not insist on the field. A request's shape ends in ``Body``; its fields that have a default may be left out.
- A bound of a request is for its documents: the route that reads the value refuses in its own words. Answers and events
  have none but those without which a client could not go on, since a newer server may move them.
- A ``seq`` and a watermark are whole numbers from 1, and 0 is "nothing yet"; a time is ISO 8601, UTC, milliseconds.

Source: PROTOCOL.md, which has a section for each.
"""

from __future__ import annotations

from typing import Annotated, Any, NewType

from msgspec import UNSET, Meta, Struct, UnsetType, field

MessageId = NewType("MessageId", str)

_CALLER = Meta(description="The caller")
_BLOCKED = Meta(description="Whether the caller blocks the other side")
_OTHER_SIDE = Meta(description="The other side")
_NEXT_PAGE = Meta(description="For `before` of the next page")
_TIME = Meta(description="ISO 8601, UTC, milliseconds")
_SEQ = Meta(description="A message's seq")
_READ_AT = Meta(description="The caller's head at which this was read: events up to here are in it, others are not")


# What answers and events are made of.


class Message(Struct, frozen=True):
    """A person's message, as one of its two participants sees it."""

    id: MessageId = field(name="_id")
    seq: Annotated[int, Meta(description="Number in the conversation, the same for both sides; the order on a screen")]
    sender_id: str
    recipient_id: str
    text: str
    message_type: str
    sent: bool
    delivered: bool
    read: bool
    createdAt: Annotated[str, Meta(description="ISO 8601, UTC, milliseconds; for display only")]
    client_id: Annotated[str | None, Meta(description="The sender's own id of this send; null for the other side")]


class Watermarks(Struct, frozen=True):
    """How far both sides of a conversation have received and read, as message seqs. They only rise."""

    read_upto: int = 0
    delivered_upto: int = 0
    peer_read_upto: int = 0
    peer_delivered_upto: int = 0


class Person(Struct, frozen=True):
    """A user as screens show it; the name is the id where the host tells nothing else."""

    id: str
    name: str
    avatar_url: str | None = None
    online: Annotated[bool | None, Meta(description="Null: unknown, or not for the caller to know")] = None


class FoundPerson(Struct, frozen=True):
    """A user whom the host's search found."""

    id: str
    name: str
    avatar_url: str | None = None
    about: Annotated[str | None, Meta(description="Plain text that tells people of one name apart, or null")] = None


# What events and frames have as their data; ``events.py`` says which has which.


class Receipt(Struct, frozen=True):
    """How far `by` has received or read a conversation."""

    chat_user_id: Annotated[str, Meta(description="The other party, seen from the log's owner")]
    by: str
    upto: Annotated[int, _SEQ]
    at: Annotated[str, _TIME]


class Frame(Struct, frozen=True):
    """The `data:` line of a frame; `connected` has a `message` beside it."""

    type: str
    data: dict[str, Any]


class Limits(Struct, frozen=True):
    """The sizes that the server takes."""

    text_bytes: Annotated[int, Meta(description="The longest text, in bytes of UTF-8")] = 0
    body_bytes: Annotated[int, Meta(description="The longest body of a request")] = 0
    streams_per_user: Annotated[int, Meta(description="Beyond it the oldest ends")] = 0


class Connected(Struct, frozen=True, kw_only=True):
    """Where a stream begins, and how often it is heard of."""

    user_id: Annotated[str, _CALLER]
    cursor: Annotated[str, Meta(description="Where the stream begins: as given, or the head")]
    head: Annotated[str, Meta(description="The cursor of the log's last event")] = ""
    resumed: Annotated[bool, Meta(description="Whether the stream goes on from the cursor that was given")]
    heartbeat_ms: Annotated[float, Meta(gt=0, description="Milliseconds of silence before a heartbeat")]
    server_time: Annotated[str, _TIME] = ""
    limits: Limits = Limits()


class Reset(Struct, frozen=True, kw_only=True):
    """A position that cannot be served; snapshots are to be loaded anew."""

    reason: Annotated[str, Meta(description="`expired`, `unknown`, `future` or `other_epoch`")] = ""
    cursor: Annotated[str, Meta(description="The head, from which the reader goes on")]


class Reached(Struct, frozen=True):
    """How far a stream is."""

    cursor: Annotated[str, Meta(description="The position after the last frame of this stream")]


class Typing(Struct, frozen=True):
    """Somebody is typing to the caller."""

    chat_user_id: str


class PresenceChange(Struct, frozen=True):
    """Somebody whom the caller watches has come or gone."""

    chat_user_id: str
    online: bool


class ProfileChange(Struct, frozen=True):
    """Somebody with whom the caller has a conversation has another name or picture."""

    chat_user_id: str
    name: str
    avatar_url: str | None


class Goodbye(Struct, frozen=True):
    """The server ends the stream."""

    reason: Annotated[str, Meta(description="`draining`, `max_age`, `token_expired` or `replaced`")]
    retry_ms: Annotated[float, Meta(ge=0, description="Milliseconds until the stream is to be opened again")]


# Bodies of requests.


class SendBody(Struct, frozen=True):
    """A message to send."""

    recipientId: str
    text: Annotated[str, Meta(description="Up to 16,384 bytes of UTF-8, and not blank")]
    message_type: str = "text"
    client_id: Annotated[
        str | None,
        Meta(description="Names this send: the same id again never doubles it. 1 to 64 printable ASCII characters"),
    ] = None


class ReceiptBody(Struct, frozen=True, omit_defaults=True):
    """How far the caller has received or read in one conversation; at least one of them."""

    chatUserId: Annotated[str, _OTHER_SIDE]
    delivered_upto: Annotated[int | None, _SEQ] = None
    read_upto: Annotated[int | None, _SEQ] = None


class ReceiptsBody(Struct, frozen=True):
    """How far the caller has received or read in several conversations."""

    receipts: Annotated[list[ReceiptBody], Meta(min_length=1, max_length=100)]


class PeerBody(Struct, frozen=True):
    """The other side."""

    chatUserId: str


class ReportBody(Struct, frozen=True):
    """A report about somebody; the messages up to `seq`, or the last ones, go along."""

    chatUserId: str
    reason: Annotated[str, Meta(max_length=1000)]
    seq: Annotated[int | None, _SEQ] = None


# Answers.


class Accepted(Struct, frozen=True):
    """It was heard."""

    success: bool = True


class Sent(Struct, frozen=True, kw_only=True):
    """The message as it was committed."""

    success: bool = True
    message: Message


class HistoryPage(Struct, frozen=True, kw_only=True):
    """Messages of one conversation, oldest first, and the cursor at which they were read."""

    success: bool = True
    user_id: Annotated[str, _CALLER] = ""
    messages: list[Message]
    has_more: bool
    cursor: Annotated[str, _READ_AT]
    watermarks: Watermarks
    user: Annotated[Person, _OTHER_SIDE]
    blocked: Annotated[bool, _BLOCKED] = False


class Conversation(Struct, frozen=True, kw_only=True):
    """One line of the inbox; `user` is the other side."""

    user: Person
    last_message: Message | None
    unread: int
    watermarks: Watermarks
    updatedAt: Annotated[str, _TIME]
    position: Annotated[int, _NEXT_PAGE]
    blocked: Annotated[bool, _BLOCKED] = False


class InboxPage(Struct, frozen=True, kw_only=True):
    """Conversations, the latest first, and the cursor at which they were read."""

    success: bool = True
    user_id: Annotated[str, _CALLER] = ""
    conversations: list[Conversation]
    has_more: bool
    cursor: Annotated[str, _READ_AT]
    unread_total: Annotated[int, Meta(description="Unread messages over all conversations")] = 0


class LogEntry(Struct, frozen=True):
    """One entry of the caller's log."""

    id: Annotated[str, Meta(description="Its cursor")]
    type: str
    data: dict[str, Any]


class EventsPage(Struct, frozen=True, kw_only=True):
    """A page of the caller's log; `reset` says why it does not go on where it was asked to."""

    success: bool = True
    user_id: Annotated[str, _CALLER] = ""
    events: list[LogEntry]
    cursor: Annotated[str, Meta(description="Of the last event; as given where there is none")]
    has_more: bool
    reset: Reset | UnsetType | None = UNSET


class Received(Struct, frozen=True, kw_only=True):
    """The watermarks after it."""

    success: bool = True
    watermarks: Watermarks


class ReceiptTold(Struct, frozen=True):
    """The watermarks of one conversation after it, or the code of why it was refused."""

    chatUserId: str
    watermarks: Watermarks | UnsetType = UNSET
    code: str | UnsetType = UNSET


class ReceivedList(Struct, frozen=True, kw_only=True):
    """The results of several receipts, in their order."""

    success: bool = True
    user_id: Annotated[str, _CALLER] = ""
    receipts: list[ReceiptTold]


class Presence(Struct, frozen=True, kw_only=True):
    """Whether the other side is online; changes are told for `watch_s` seconds."""

    success: bool = True
    online: bool | None
    watch_s: int


class Blocked(Struct, frozen=True):
    """Somebody whom the caller blocks."""

    user: Person
    since: Annotated[str, _TIME]
    position: Annotated[int, _NEXT_PAGE]


class BlockedPage(Struct, frozen=True, kw_only=True):
    """Those whom the caller blocks, the latest first."""

    success: bool = True
    blocked: list[Blocked]
    has_more: bool


class FoundPeople(Struct, frozen=True, kw_only=True):
    """The people whom the host's search found, in its order."""

    success: bool = True
    q: Annotated[str, Meta(description="The text that was searched for, trimmed and in NFC")] = ""
    people: list[FoundPerson]


class ProblemDetails(Struct, frozen=True, kw_only=True):
    """A refusal (RFC 9457)."""

    type: Annotated[str, Meta(description="`urn:tidings:problem:` and the code")]
    title: str
    status: int
    code: Annotated[str, Meta(description="What to decide by; PROTOCOL.md 5 lists all")]
    detail: Annotated[str, Meta(description="A sentence for people")]
    success: bool = False
    message: Annotated[str, Meta(description="As `detail`")]
