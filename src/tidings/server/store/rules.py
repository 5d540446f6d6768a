"""The decisions of every store, whatever its database: pure, without SQL, a clock or chance.

A store looks, asks here, and then writes: everything is decided before the first write, so that a refusal leaves
nothing. A store whose database decides by itself answers with the words of ``Refusal``; the sentences are here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from tidings.errors import (
    NOT_ALLOWED_DETAIL,
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    Problem,
    TooManyRequests,
    Unprocessable,
)
from tidings.protocol.cursor import Cursor, tag_of
from tidings.protocol.events import KIND_DELIVERED, KIND_READ_BY_PEER
from tidings.protocol.user_id import UserId
from tidings.server.config import Config
from tidings.server.store import BeginsConversation, NewMessage, StartPosition

SEQ_BITS = 24  # a message's number within its conversation; together they are one number
CONVERSATION_SEQ_MAX = (1 << SEQ_BITS) - 1  # 16.7 million messages; the next would run into the neighbour's numbers
TAG_BITS = 63  # of a conversation's tag, which is drawn: a database's integers, and two are never alike
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DIGEST_SIZE_BYTES = 16
CLIENT_ID_LENGTH_MAX = 64  # characters; a UUID with room
SYSTEM = "system"  # the type that only the host's own code may send
REFUSED_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # C0 except TAB, LF and CR, in what people write

_PRINTABLE_ASCII = re.compile(r"[\x20-\x7e]+")


# Is this a message?


def check_message(
    config: Config,
    sender: UserId,
    recipient: UserId,
    text: str,
    message_type: str,
    client_id: str | None,
    *,
    opening_limit_per_h: int | None,
) -> NewMessage:
    """A message that may be stored.

    Raises:
        BadRequest: Its text cannot be UTF-8.
        Unprocessable: It breaks a rule of PROTOCOL.md; the code says which.
    """
    if recipient == sender:
        raise Unprocessable("to_oneself", "A message goes to somebody else.")
    if not text or text.isspace():
        raise Unprocessable("empty_text", "The text is empty.")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # from the host's own code
        raise BadRequest("not_utf8", "The text has half a surrogate pair, which is no character.") from None
    if size > config.text_bytes_max:
        raise Unprocessable("text_too_long", f"The text has {size} bytes; at most {config.text_bytes_max} are allowed.")
    if REFUSED_CONTROL.search(text):
        raise Unprocessable("control_characters", "The text contains control characters other than TAB, LF and CR.")
    if message_type not in ("text", SYSTEM, *config.message_types):
        raise Unprocessable("unknown_type", f"Messages of type {message_type[:32]!r} are not configured here.")
    if client_id is not None and (len(client_id) > CLIENT_ID_LENGTH_MAX or not _PRINTABLE_ASCII.fullmatch(client_id)):
        raise Unprocessable("bad_client_id", f"A client_id has 1..{CLIENT_ID_LENGTH_MAX} printable ASCII characters.")
    passes_blocks = message_type == SYSTEM  # the application speaks to both, nobody to the other
    return NewMessage(sender, recipient, text, message_type, client_id, opening_limit_per_h, passes_blocks)


# May this be appended?


class Found(NamedTuple):
    """All that a send depends on, as the database has it in one look; None where there is nothing yet."""

    sender: int | None
    recipient: int | None
    erased_ms: int | None  # the recipient has left
    conversation: int | None
    tag: int
    last_seq: int
    received: int  # messages that the sender received in it; all others are the sender's own
    stored: int | None  # the message that the sender stored under this client_id
    blocks: bool  # the sender blocks the recipient
    is_blocked: bool


class Refusal(StrEnum):
    """Why a message is not appended."""

    HAS_LEFT = "has_left"
    OPENINGS = "openings"  # of too many conversations within an hour
    MAY_NOT_BEGIN = "may_not_begin"
    BLOCKS = "blocks"
    IS_BLOCKED = "is_blocked"
    IS_FULL = "is_full"


def asks_openings(found: Found, new: NewMessage) -> bool:
    """Whether it matters when the sender began the latest ``opening_limit_per_h`` conversations."""
    return found.conversation is None and found.sender is not None and new.opening_limit_per_h is not None


def refusal(found: Found, new: NewMessage, opened: int) -> Refusal | None:
    """Why a new message is not appended, when its sender ``opened`` so many conversations within the hour."""
    if found.erased_ms is not None:
        return Refusal.HAS_LEFT
    if found.conversation is None:  # before a block: else a sender who may begin none would find blocks out
        if asks_openings(found, new) and opened == new.opening_limit_per_h:
            return Refusal.OPENINGS
        if not new.may_begin:
            return Refusal.MAY_NOT_BEGIN
    if not new.passes_blocks:
        if found.blocks:
            return Refusal.BLOCKS
        if found.is_blocked or new.is_refused:
            return Refusal.IS_BLOCKED
    if found.conversation is not None and found.last_seq >= CONVERSATION_SEQ_MAX:
        return Refusal.IS_FULL
    return None


def problem(why: Refusal, new: NewMessage, wait_s: int) -> Problem:
    """Return the answer to the sender; one who is blocked gets the words of any refusal."""
    match why:
        case Refusal.HAS_LEFT:
            return Forbidden("not_allowed", "This person has left; nobody can write to them.")
        case Refusal.OPENINGS:
            detail = f"You may begin {new.opening_limit_per_h} conversations an hour; the next one in {wait_s} s."
            return TooManyRequests("new_conversations_limited", detail, retry_after_s=wait_s)
        case Refusal.MAY_NOT_BEGIN:
            return BeginsConversation()
        case Refusal.BLOCKS:
            return Forbidden("blocked_by_you", "You blocked this person; unblock them to write.")
        case Refusal.IS_BLOCKED:
            return Forbidden("not_allowed", NOT_ALLOWED_DETAIL)
        case Refusal.IS_FULL:
            return Conflict("conversation_full", "This conversation has reached its highest message number.")


def opening_wait_s(opened_ms: Sequence[int], now_ms: int) -> int:
    """Seconds until one more may be begun, after these of the last hour, the latest first."""
    return max(1, -(-(opened_ms[-1] + HOUR_MS - now_ms) // 1000)) if opened_ms else 0


def digest(new: NewMessage) -> bytes:
    """Return the fingerprint of a message: two sends under one client_id are the same send if they have the same."""
    content = f"{new.recipient}\0{new.message_type}\0{new.text}"  # a zero byte is in none of them
    return hashlib.blake2b(content.encode(), digest_size=DIGEST_SIZE_BYTES).digest()


def check_same(stored_digest: bytes | None, sent_digest: bytes | None) -> None:
    """Check that a client_id is used again for the same message only: that both digests are equal.

    Raises:
        Conflict: They are not.
    """
    if stored_digest != sent_digest:
        raise Conflict("client_id_reused", "This client_id was used for another message; use a new one.")


def tells_first(found: Found) -> bool:
    """Whether this is the sender's first answer: receipts that were kept from a stranger are told before it."""
    return found.conversation is not None and found.last_seq == found.received and not found.blocks


# What does a receipt raise?


class Marks(NamedTuple):
    """How far one side has received and read a conversation, and how far the other side was told so."""

    delivered: int
    read: int
    told_delivered: int
    told_read: int

    def raised(self, delivered_upto: int, read_upto: int) -> Marks:
        """After a receipt: nothing falls, and what was read is delivered."""
        read = max(self.read, read_upto)
        return self._replace(delivered=max(self.delivered, delivered_upto, read), read=read)

    def untold(self) -> list[tuple[int, int]]:
        """The kinds of event that tell the other side the rest, and how far each reaches; read is delivered, too."""
        rising = []
        if self.read > self.told_read:
            rising.append((KIND_READ_BY_PEER, self.read))
        if self.delivered > max(self.told_delivered, self.read if rising else 0):
            rising.append((KIND_DELIVERED, self.delivered))
        return rising


def check_receipt(last_seq: int, delivered_upto: int, read_upto: int) -> None:
    """Check that a receipt names no message beyond the last one of its conversation.

    Raises:
        NotFound: It does.
    """
    if max(delivered_upto, read_upto) > last_seq:
        raise NotFound("unknown_message", f"The last message of this conversation is {last_seq}.")


def received_upto(seq: int, nth: int, *, is_own: bool) -> int:
    """How many messages a reader received up to ``seq``, which is the ``nth`` of its sender."""
    return seq - nth if is_own else nth


# Where does a reader start, and what does a page hold?


class Ends(NamedTuple):
    """The last position of a log, when its event was written, and the position up to which nothing is kept."""

    head: int = 0
    head_ms: int | None = None
    floor: int = 0

    @property
    def head_tag(self) -> int:
        """The tag of a cursor at the head."""
        return 0 if self.head_ms is None else tag_of(self.head_ms)


def start_position(epoch: str, ends: Ends, cursor: Cursor | None, written_ms: int | None) -> StartPosition:
    """Where a reader starts; ``written_ms`` is when the event at the cursor's position was written, if there is one."""
    at_head = StartPosition(ends.head, ends.head_tag, ends.head, ends.head_tag, None)
    if cursor is None:
        return at_head
    if cursor.epoch != epoch:
        return at_head._replace(reset="other_epoch")
    if cursor.position > ends.head:
        return at_head._replace(reset="future")
    if cursor.position < ends.floor:
        return at_head._replace(reset="expired")
    if cursor.position > ends.floor and (written_ms is None or tag_of(written_ms) != cursor.tag):
        return at_head._replace(reset="unknown")
    return at_head._replace(position=cursor.position, tag=cursor.tag)


def seqs_between(after: int | None, before: int | None) -> tuple[int, int]:
    """The numbers below and above those of a page, both outside of it and inside of the conversation.

    A bound outside would reach into the neighbours' messages.
    """
    return min(max(after or 0, 0), CONVERSATION_SEQ_MAX), min(
        max(CONVERSATION_SEQ_MAX + 1 if before is None else before, 0), CONVERSATION_SEQ_MAX + 1
    )


# What does retention remove?


def wanted_floor(ends: Ends, events_max: int, is_old: Callable[[int], bool]) -> int:
    """Up to where a log is cut: what is old, and what is beyond its newest ``events_max``; the head always stays."""
    return min(max(ends.floor, ends.head - events_max, _last_old(ends, is_old)), ends.head - 1)


def next_floor(ends: Ends, wanted: int, slice_events: int) -> int:
    """The floor after one slice; the head always stays."""
    return max(ends.floor, min(ends.floor + slice_events, wanted, ends.head - 1))


def _last_old(ends: Ends, is_old: Callable[[int], bool]) -> int:
    """The last position that is old, found by halving: times rise with positions, but for clock changes."""
    old, young = ends.floor, ends.head
    if young - old < 2 or not is_old(old + 1):
        return old
    while young - old > 1:
        middle = (old + young) // 2
        if is_old(middle):
            old = middle
        else:
            young = middle
    return old
