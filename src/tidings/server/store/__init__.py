"""Where the logs are kept. The contract that every store meets; tests/contract/test_store.py is its proof.

Rules
1. A write returns after a durable commit (fsync) that put its events into the logs of everybody concerned: all or
   none (I1). A refused append writes nothing.
2. Each log's positions are 1, 2, 3 ...; a position is given out under that user's lock inside the transaction, and
   no reader sees n+1 before n (I2).
3. ``on_commit`` tells what was committed, once, in the order of positions, in the event loop's thread, before the
   write returns. It is a hint for streams (I3): what it misses is found in the log.
4. Reads never write: a user never seen has an empty log and no row. Each read is one snapshot.
5. The row at the head of a log is never trimmed, and a message never: retention shortens logs, not history.
6. Waiting is bounded. An append that is not known to be committed is ``Unavailable``; the same ``client_id`` again is
   safe.

A store takes one sender and one recipient, and what it answers to the sender does not need the recipient's position:
a later store may keep both logs on different machines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from tidings.errors import NotFound
from tidings.protocol.cursor import Cursor
from tidings.protocol.events import LogEvent
from tidings.protocol.shapes import Message, Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.config import PAGE_SIZE_MAX_BYTES
from tidings.server.store.figures import Figures


class NewMessage(NamedTuple):
    """A message to be appended; already validated."""

    sender: UserId
    recipient: UserId
    text: str
    message_type: str
    client_id: str | None
    opening_limit_per_h: int | None  # conversations that the sender may begin within an hour; None: any number
    passes_blocks: bool = False  # the host's own word, which no block between the two keeps out
    is_refused: bool = (
        False  # by the host's rule: refused where and as a block refuses, so that nobody tells them apart
    )
    may_begin: bool = True  # else BeginsConversation where it would begin a conversation


class BeginsConversation(NotFound):
    """The message would begin a conversation, and may not: whoever asks looks for the recipient, and asks again."""

    def __init__(self) -> None:
        super().__init__("unknown_person", "Nobody here has this id.")


class Committed(NamedTuple):
    """An event that is now in a log."""

    user: UserId
    event: LogEvent


class Appended(NamedTuple):
    """The message as its sender sees it; ``is_new`` is false when the same client_id had already stored it."""

    message: Message
    is_new: bool


class StartPosition(NamedTuple):
    """Where a reader starts in a log, and where the log ends."""

    position: int
    tag: int
    head: int
    head_tag: int
    reset: str | None  # expired, unknown, future or other_epoch: position and tag are then the head's


class Relation(NamedTuple):
    """The relation of a user to a peer, seen from the user."""

    has_written: bool = False
    was_written_to: bool = False
    blocks: bool = False
    is_blocked: bool = False

    @property
    def is_conversation(self) -> bool:
        """One of both has written: they see each other's name and picture."""
        return self.has_written or self.was_written_to

    @property
    def is_mutual(self) -> bool:
        """Both have written and neither blocks: they may know of each other's presence."""
        return self.has_written and self.was_written_to and not self.blocks and not self.is_blocked


class HistoryPage(NamedTuple):
    """Messages oldest first, read at ``cursor``."""

    messages: list[Message]
    has_more: bool
    cursor: str
    watermarks: Watermarks
    relation: Relation


class ConversationSummary(NamedTuple):
    """One line of the inbox; ``position`` is the log position of its last message."""

    peer: UserId
    last_message: Message
    unread: int  # 0 where the owner blocks the peer
    watermarks: Watermarks
    position: int
    relation: Relation


class InboxPage(NamedTuple):
    """Conversations, the latest first, read at ``cursor``."""

    conversations: list[ConversationSummary]
    has_more: bool
    cursor: str
    unread_total: int  # over all conversations, not only those of the page


class Trimmed(NamedTuple):
    """The result of retention: so many events of so many logs went, and so many are kept."""

    logs: int
    events: int
    kept: int


class Blocked(NamedTuple):
    """Somebody whom a user blocks; ``position`` rises with each block that this user made."""

    peer: UserId
    since: str
    position: int
    relation: Relation


class BlockedPage(NamedTuple):
    """Those whom a user blocks, the latest first."""

    blocked: list[Blocked]
    has_more: bool


class Report(NamedTuple):
    """A report of one user about another, with the messages of their conversation that prove it.

    ``messages`` are copies as the reporter sees them, oldest first, of both sides; the last one is that of ``seq``,
    or where ``seq`` is None the last of the conversation.
    """

    reporter: UserId
    reported: UserId
    reason: str
    seq: int | None
    messages: list[Message]


class ServiceKey(NamedTuple):
    """A credential of the host's other programs. Its secret is kept nowhere, but as ``digest``: SHA-256 of it."""

    name: str
    digest: bytes
    user: UserId | None  # whom it stands for; None: anybody
    may_send_system: bool
    created_ms: int  # since 1970
    used_day: int | None = None  # the last on which it was used, in days since 1970 (UTC)


class TokenProfile(NamedTuple):
    """The name of a user, and the address of a picture, by their token; None: it says none."""

    name: str | None
    picture: str | None


class Waiting(NamedTuple):
    """A message that a transaction of the application enqueued; nobody has checked it but the database."""

    id: int
    sender: str
    recipient: str
    text: str
    message_type: str
    client_id: str


class Refused(NamedTuple):
    """A message of the outbox that does not go into the logs; ``why`` is a word of ours."""

    waiting: Waiting
    why: str


class Moved(NamedTuple):
    """Some messages of the outbox: so many were stored, so many had been before, and the others were refused."""

    stored: int
    repeated: int
    refused: list[Refused]


OnCommit = Callable[[Sequence[Committed]], None]
OnMissed = Callable[[Sequence[UserId]], None]
OnNewEpoch = Callable[[], None]
CheckWaiting = Callable[[Waiting], NewMessage]
OnMoved = Callable[[Moved], None]


class Outbox(Protocol):
    """The place where transactions of the application leave messages, on connections of their own.

    Each raises ``TypeError`` for what is no connection that can be taken here, ``ConfigurationError`` for one to a
    database without these tables or rights, and else what the connection's library raises.
    """

    async def enqueue(self, connection: Any, message: NewMessage, epoch: str | None) -> None:
        """Have the message sent when the transaction commits; ``epoch``: of the database that the connection is to."""

    def enqueue_now(self, connection: Any, message: NewMessage, epoch: str | None) -> None:
        """Likewise, on a connection of a library that waits in the caller's thread."""


class Store(Protocol):
    """A durable, ordered log for every user. See the rules above."""

    @property
    def epoch(self) -> str:
        """Identity of this database's history; 1..32 lower-case letters and digits."""

    async def start(self) -> None:
        """Open, migrate and lock the database.

        Raises:
            DatabaseInUse: Another process serves it, and it takes one alone.
            DatabaseAway: It cannot be reached, or is not up yet.
            DatabaseTooNew: A newer Tidings wrote it.
            ConfigurationError: It cannot be opened; the text says why.
            NotNow: It cannot be opened now: the disk is full, or another program holds it.
        """

    def listen(self, missed: OnMissed, began_anew: OnNewEpoch) -> None:
        """Tell, in the event loop's thread, of what ``on_commit`` cannot.

        ``missed``: a commit in the logs of these users may not have been told; they are to be read. ``began_anew``: the
        database went back, and ``epoch`` is another one now: nothing that was read before holds any more. A store that
        is alone with its database tells neither.
        """

    async def close(self) -> None:
        """Finish what was accepted, and let go of the database."""

    async def check(self) -> int:
        """Make sure that a write would be taken now, and return how many steps of erasures there were so far.

        Cheap, however many ask. To be called now and then: it notices when the database is not in its place any more.

        Raises:
            Unavailable: A write would not be taken; the text says why.
        """

    async def note_forgotten(self, erasures: int) -> None:
        """Keep that this process has nothing in memory of what was erased in so many steps."""

    async def nodes(self) -> int:
        """Return how many processes, with this one, have looked at the database in the last seconds."""

    async def failed(self) -> bool:
        """Wait until this process can write no more; return whether another process may go on with the database.

        It can write no more when the disk is not to be trusted, or the database is not in its place any more. When
        this returns, all that could be saved is saved.
        """

    @property
    def is_lost(self) -> bool:
        """Whether it has failed, and another process may not go on by itself; also after ``close``."""

    async def append(self, message: NewMessage) -> Appended:
        """Put a message into the logs of both participants.

        Raises:
            Conflict: The client_id was used for another recipient, type or text.
            TooManyRequests: It would begin one conversation more than ``opening_limit_per_h``.
            BeginsConversation: It would, and may not.
            Forbidden: One of both blocks the other and the message does not pass blocks, or it is refused.
            Unavailable: Not committed, or not known to be.
        """

    async def advance(
        self, reader: UserId, peer: UserId, delivered_upto: int, read_upto: int, *, tells_strangers: bool = True
    ) -> Watermarks:
        """Raise the reader's watermarks in the conversation with ``peer``; 0 and lower values change nothing.

        Reading raises delivered too. One event for each watermark that rose: read to both, delivered to the peer.
        While the reader blocks the peer nothing rises: the peer would be told. Without ``tells_strangers`` the peer is
        told nothing before the reader has written to it; the message that does is preceded by what was not told.

        Raises:
            NotFound: A watermark beyond the last message, or no such conversation.
            Unavailable: Not committed, or not known to be.
        """

    async def start_position(self, user: UserId, cursor: Cursor | None) -> StartPosition:
        """Where a reader with this cursor starts; None: at the head."""

    async def read_after(
        self, user: UserId, position: int, limit: int, size_max_bytes: int = PAGE_SIZE_MAX_BYTES
    ) -> list[LogEvent]:
        """The events after ``position`` in order, at most ``limit`` and about ``size_max_bytes`` of text."""

    async def heads(self, users: Sequence[UserId]) -> dict[UserId, int]:
        """The heads of these users' logs; users never seen are left out."""

    async def history(
        self, user: UserId, peer: UserId, *, before: int | None, after: int | None, limit: int
    ) -> HistoryPage:
        """Messages with ``before`` > seq > ``after``: the newest of them, or the oldest when ``after`` is given."""

    async def inbox(self, user: UserId, *, before: int | None, limit: int) -> InboxPage:
        """Conversations whose last message is at a position below ``before``, the latest first."""

    async def unread(self, user: UserId) -> int:
        """How many messages the user has not read: the ``unread_total`` of the inbox, without its conversations."""

    async def relation(self, user: UserId, peer: UserId) -> Relation:
        """Return the relation of the two, seen from ``user``."""

    async def block(self, user: UserId, peer: UserId) -> None:
        """Let ``user`` block ``peer``, again without effect: appends between both that come later are refused."""

    async def unblock(self, user: UserId, peer: UserId) -> None:
        """Take a block back; nothing where there is none."""

    async def blocked(self, user: UserId, *, before: int | None, limit: int) -> BlockedPage:
        """Those whom a user blocks, at a position below ``before``, the latest first."""

    async def take_hourly(self, what: str, user: UserId, most: int) -> None:
        """Count that ``user`` does this once more, for all who have the database.

        Raises:
            TooManyRequests: They have done it ``most`` times within the last hour.
        """

    async def add_report(self, report: Report) -> None:
        """Keep a report for whoever reads the table."""

    async def revoke(self, user: UserId, until: float) -> None:
        """Keep that the user's tokens issued up to ``until``, seconds since 1970, are refused. It never falls."""

    async def revocations(self, since: float = 0.0) -> dict[UserId, float]:
        """Return the revocations until after ``since``, the oldest first; of more than REVOKED_USERS_MAX the latest."""

    async def service_keys(self) -> list[ServiceKey]:
        """Return those that count now."""

    async def note_key_used(self, digest: bytes, day: int) -> None:
        """Keep that a service key was used on this day; nothing where there is no such key."""

    async def keep_profile(self, user: UserId, profile: TokenProfile) -> None:
        """Keep a user's profile, in the place of what was kept."""

    async def profiles(self, users: Sequence[UserId]) -> dict[UserId, TokenProfile]:
        """Return the profiles of these users, some hundred at most; those who have none are left out."""

    async def move_outbox(self, check: CheckWaiting, moved: OnMoved) -> None:
        """Move into the logs what transactions of the application have enqueued, until cancelled.

        Each message once, by whichever node is first, in the order in which they were enqueued. ``check`` raises a
        ``Problem`` for one that cannot be stored. Returns at once where no transaction of others can be.
        """

    async def trim(self, older_than_ms: int, events_max: int, *, not_within_s: float = 0) -> Trimmed:
        """Remove from each log what is older, and what is beyond its newest ``events_max``; whichever keeps less.

        Where other nodes have the database, too: the part of it that no other does, and nothing if they began all of it
        within ``not_within_s``; ``kept`` is of all logs.
        In small slices that give way to other writes. A reader below the new floor is told ``expired``.
        """

    @property
    def write_queue(self) -> int:
        """Writes that wait for the disk now."""

    @property
    def figures(self) -> Figures | None:
        """Counts of its work since it started; None for a database that is in this process."""

    @property
    def size_bytes(self) -> int:
        """Return the size of the database on the disk now."""
