"""The reads of logs, conversations and lists. Each is one statement, and so one snapshot, with the epoch in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from tidings.protocol.cursor import Cursor
from tidings.protocol.events import LogEvent
from tidings.protocol.shapes import Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.store import (
    BlockedPage,
    HistoryPage,
    InboxPage,
    Relation,
    ServiceKey,
    StartPosition,
    TokenProfile,
    rows,
    rules,
)
from tidings.server.store.rows import head_cursor
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, SEQ_BITS, Ends, seqs_between

T = TypeVar("T")

Fetch = Callable[..., Awaitable[list[Any]]]

_NUMBER_MAX = (1 << 62) - 1  # above any position


class Of(NamedTuple, Generic[T]):
    """The result of a read, and the epoch of the database in that moment."""

    epoch: str
    found: T


_ENDS = "u.head, (SELECT f.ts FROM TIDINGS.feed f WHERE f.uid = u.uid AND f.cur = u.head), u.floor"

_RELATION = """
    coalesce(theirs.recv_n, 0) > 0, coalesce(mine.recv_n, 0) > 0,
    EXISTS (SELECT 1 FROM TIDINGS.blocks b WHERE b.uid = u.uid AND b.peer = p.uid),
    EXISTS (SELECT 1 FROM TIDINGS.blocks b WHERE b.uid = p.uid AND b.peer = u.uid)"""

_SIDES = """
    LEFT JOIN TIDINGS.members mine ON mine.uid = u.uid AND mine.chat = p.uid
    LEFT JOIN TIDINGS.members theirs ON theirs.uid = p.uid AND theirs.chat = u.uid"""


def _ends(head: int | None, head_ms: int | None, floor: int | None) -> Ends:
    return Ends() if head is None or floor is None else Ends(head, head_ms, floor)


START_POSITION = f"""
    SELECT k.epoch, {_ENDS}, (SELECT f.ts FROM TIDINGS.feed f WHERE f.uid = u.uid AND f.cur = $2)
    FROM TIDINGS.meta k LEFT JOIN TIDINGS.users u ON u.name = $1"""


async def start_position(fetch: Fetch, user: UserId, cursor: Cursor | None) -> Of[StartPosition]:
    """Where a reader starts; see ``Store.start_position``."""
    position = -1 if cursor is None else min(cursor.position, _NUMBER_MAX)
    ((epoch, *ends, written_ms),) = await fetch(START_POSITION, user, position)
    return Of(epoch, rules.start_position(epoch, _ends(*ends), cursor, written_ms))


async def ends(fetch: Fetch, user: UserId) -> Ends | None:
    """The ends of a log; None for a user never seen."""
    found = await fetch(f"SELECT {_ENDS} FROM TIDINGS.users u WHERE u.name = $1", user)
    return Ends(*found[0]) if found else None


# The LIMIT is inside: else the planner begins with all conversations of the user, and reads the whole log.
READ_AFTER = f"""
    SELECT f.cur, f.kind, (f.mid & {CONVERSATION_SEQ_MAX})::int, f.ts, p.name, mine.tag, m.sender = f.uid,
           m.client_id, m.type, m.ts, m.body, mine.read_seq, mine.dlv_seq, theirs.told_read, theirs.told_dlv
    FROM (
      SELECT * FROM TIDINGS.feed WHERE uid = (SELECT uid FROM TIDINGS.users WHERE name = $1) AND cur > $2
      ORDER BY cur LIMIT $3) f
    JOIN TIDINGS.users p ON p.uid = f.chat
    JOIN TIDINGS.members mine ON mine.uid = f.uid AND mine.chat = f.chat
    JOIN TIDINGS.members theirs ON theirs.uid = f.chat AND theirs.chat = f.uid
    LEFT JOIN TIDINGS.messages m ON f.kind = 1 AND m.id = f.mid
    ORDER BY f.cur"""


async def read_after(fetch: Fetch, user: UserId, position: int, limit: int, size_max_bytes: int) -> list[LogEvent]:
    """A page of a log; see ``Store.read_after``."""
    return rows.log_events(user, await fetch(READ_AFTER, user, min(position, _NUMBER_MAX), limit), size_max_bytes)


HEADS = "SELECT k.epoch, u.name, u.head FROM TIDINGS.meta k LEFT JOIN TIDINGS.users u ON u.name = ANY ($1::text[])"


async def heads(fetch: Fetch, users: Sequence[UserId]) -> Of[dict[UserId, int]]:
    """The heads of these logs; see ``Store.heads``."""
    found = await fetch(HEADS, list(users))
    return Of(found[0][0], {UserId(name): head for _, name, head in found if name is not None})


HISTORY = f"""
    SELECT k.epoch, {_ENDS}, {_RELATION},
           coalesce(mine.read_seq, 0), coalesce(mine.dlv_seq, 0), coalesce(theirs.told_read, 0),
           coalesce(theirs.told_dlv, 0), mine.tag, (m.id & {CONVERSATION_SEQ_MAX})::int, m.sender = u.uid,
           m.client_id, m.type, m.ts, m.body
    FROM TIDINGS.meta k LEFT JOIN TIDINGS.users u ON u.name = $1 LEFT JOIN TIDINGS.users p ON p.name = $2 {_SIDES}
    LEFT JOIN LATERAL (
      SELECT * FROM TIDINGS.messages x
      WHERE x.id > (mine.cid << {SEQ_BITS}) + $3 AND x.id < (mine.cid << {SEQ_BITS}) + $4
      ORDER BY x.id ORDERED LIMIT $5) m ON true
    ORDER BY m.id ORDERED"""
NEWEST_FIRST, OLDEST_FIRST = HISTORY.replace("ORDERED", "DESC"), HISTORY.replace("ORDERED", "ASC")


async def history(
    fetch: Fetch, user: UserId, peer: UserId, before: int | None, after: int | None, limit: int
) -> Of[HistoryPage]:
    """A page of a conversation; see ``Store.history``."""
    lowest, highest = seqs_between(after, before)
    statement = NEWEST_FIRST if after is None else OLDEST_FIRST
    found = await fetch(statement, user, peer, lowest, highest, limit + 1)
    epoch, head, head_ms, floor, *rest = found[0]
    cursor = head_cursor(epoch, _ends(head, head_ms, floor))
    empty = HistoryPage([], False, cursor, Watermarks(*rest[4:8]), Relation(*rest[:4]))
    messages = [row[13:] for row in found if row[13] is not None]
    page = rows.history_page(user, peer, empty, rest[8], messages, limit, is_newest_first=after is None)
    return Of(epoch, page)


# As in the inbox nothing where the user blocks the other side.
_UNREAD = """
    (SELECT coalesce(sum(o.recv_n - o.read_n), 0) FROM TIDINGS.members o WHERE o.uid = u.uid
     AND NOT EXISTS (SELECT 1 FROM TIDINGS.blocks b WHERE b.uid = o.uid AND b.peer = o.chat))"""

INBOX = f"""
    SELECT k.epoch, {_ENDS}, {_UNREAD},
           p.name, mine.last_cur, mine.recv_n, mine.read_n, theirs.recv_n,
           EXISTS (SELECT 1 FROM TIDINGS.blocks b WHERE b.uid = u.uid AND b.peer = p.uid),
           EXISTS (SELECT 1 FROM TIDINGS.blocks b WHERE b.uid = p.uid AND b.peer = u.uid),
           mine.read_seq, mine.dlv_seq, theirs.told_read, theirs.told_dlv, mine.tag,
           mine.last_seq, m.sender = u.uid, m.client_id, m.type, m.ts, m.body
    FROM TIDINGS.meta k LEFT JOIN TIDINGS.users u ON u.name = $1
    LEFT JOIN LATERAL (
      SELECT * FROM TIDINGS.members x WHERE x.uid = u.uid AND x.last_cur < $2 AND x.last_seq > 0
      ORDER BY x.last_cur DESC LIMIT $3) mine ON true
    LEFT JOIN TIDINGS.users p ON p.uid = mine.chat
    LEFT JOIN TIDINGS.members theirs ON theirs.uid = mine.chat AND theirs.chat = mine.uid
    LEFT JOIN TIDINGS.messages m ON m.id = (mine.cid << {SEQ_BITS}) + mine.last_seq
    ORDER BY mine.last_cur DESC"""


async def inbox(fetch: Fetch, user: UserId, before: int | None, limit: int) -> Of[InboxPage]:
    """A page of conversations; see ``Store.inbox``."""
    found = await fetch(INBOX, user, _NUMBER_MAX if before is None else min(before, _NUMBER_MAX), limit + 1)
    epoch, head, head_ms, floor, unread_total, *_ = found[0]
    cursor = head_cursor(epoch, _ends(head, head_ms, floor))
    conversations = [row[5:] for row in found if row[5] is not None]
    page = rows.inbox_page(user, conversations, limit, cursor, unread_total)
    return Of(epoch, page)


UNREAD = f"SELECT {_UNREAD} FROM TIDINGS.users u WHERE u.name = $1"


async def unread(fetch: Fetch, user: UserId) -> int:
    """The unread messages of a user; see ``Store.unread``."""
    found = await fetch(UNREAD, user)
    return int(found[0][0]) if found else 0


RELATION = f"""
    SELECT {_RELATION} FROM TIDINGS.users u JOIN TIDINGS.users p ON p.name = $2 {_SIDES} WHERE u.name = $1"""


async def relation(fetch: Fetch, user: UserId, peer: UserId) -> Relation:
    """The relation of two users; see ``Store.relation``."""
    found = await fetch(RELATION, user, peer)
    return Relation(*found[0]) if found else Relation()


BLOCKED = f"""
    SELECT p.name, b.ts, b.nth, {_RELATION}
    FROM TIDINGS.users u
    JOIN TIDINGS.blocks b ON b.uid = u.uid AND b.nth < $2
    JOIN TIDINGS.users p ON p.uid = b.peer {_SIDES}
    WHERE u.name = $1 ORDER BY b.nth DESC LIMIT $3"""


async def blocked(fetch: Fetch, user: UserId, before: int | None, limit: int) -> BlockedPage:
    """A page of those whom a user blocks; see ``Store.blocked``."""
    found = await fetch(BLOCKED, user, _NUMBER_MAX if before is None else min(before, _NUMBER_MAX), limit + 1)
    return rows.blocked_page([(name, ts, nth, Relation(*told)) for name, ts, nth, *told in found], limit)


async def service_keys(fetch: Fetch) -> list[ServiceKey]:
    """The service keys, by name."""
    found = await fetch(
        "SELECT name, digest, stands_for, may_send_system, created_ms, used_day FROM TIDINGS.service_keys ORDER BY name"
    )
    return [ServiceKey(*row) for row in found]


async def revocations(fetch: Fetch, since: float) -> dict[UserId, float]:
    """The revocations, the oldest first; see ``Store.revocations``."""
    found = await fetch("SELECT name, until FROM TIDINGS.revocations WHERE until > $1 ORDER BY until", since)
    return {UserId(name): until for name, until in found}


async def profiles(fetch: Fetch, users: Sequence[UserId]) -> dict[UserId, TokenProfile]:
    """Names and pictures by tokens; see ``Store.profiles``."""
    found = await fetch(
        'SELECT "user", name, picture FROM TIDINGS.profiles WHERE "user" = ANY ($1::text[])', list(users)
    )
    return {UserId(user): TokenProfile(name, picture) for user, name, picture in found}


async def size_bytes(fetch: Fetch) -> int:
    """The size of our tables with their indexes."""
    ((size,),) = await fetch(
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c"
        " WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'TIDINGS.meta'::regclass)"
        " AND c.relkind = 'r'"
    )
    return int(size)
