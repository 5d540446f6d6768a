"""The reads of conversations and of their list. Each runs inside one read transaction: it returns one state."""

from __future__ import annotations

import sqlite3

from tidings.protocol.shapes import Message, Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.config import PAGE_SIZE_MAX_BYTES
from tidings.server.store import ConversationSummary, HistoryPage, InboxPage, Relation
from tidings.server.store.sqlite.safety import relation
from tidings.server.store.sqlite.schema import SEQ_BITS, SEQ_MASK, find_user, head_cursor, make_message, read_watermarks


def history(
    connection: sqlite3.Connection,
    epoch: str,
    owner: UserId,
    peer_name: UserId,
    before: int | None,
    after: int | None,
    limit: int,
) -> HistoryPage:
    """A page of a conversation; see ``Store.history``."""
    user, peer = find_user(connection, owner), find_user(connection, peer_name)
    cursor = head_cursor(connection, epoch, user)
    side = None
    if user is not None and peer is not None:
        side = connection.execute(
            "SELECT cid, ifnull(tag, cid) FROM members WHERE uid = ? AND peer = ?", (user, peer)
        ).fetchone()
    told = relation(connection, owner, peer_name)
    if side is None or user is None or peer is None:
        return HistoryPage([], False, cursor, Watermarks(), told)
    conversation, tag = side
    first = conversation << SEQ_BITS
    # Clamped to this conversation: a bound outside would reach into the neighbours' messages.
    lowest = first + min(max(after or 0, 0), SEQ_MASK)
    highest = first + min(max(SEQ_MASK + 1 if before is None else before, 0), SEQ_MASK + 1)
    order = "DESC" if after is None else "ASC"
    rows = connection.execute(
        "SELECT id, sender, client_id, type, ts, body FROM messages"
        f" WHERE id > ? AND id < ? ORDER BY id {order} LIMIT ?",
        (lowest, highest, limit + 1),
    )
    watermarks = read_watermarks(connection, user, peer)
    messages: list[Message] = []
    size, has_more = 0, False
    for row in rows:
        if len(messages) == limit or size >= PAGE_SIZE_MAX_BYTES:
            has_more = True
            break
        messages.append(_seen(owner, peer_name, user, watermarks, tag, *row))
        size += len(row[-1])
    if after is None:
        messages.reverse()
    return HistoryPage(messages, has_more, cursor, watermarks, told)


def inbox(connection: sqlite3.Connection, epoch: str, owner: UserId, before: int | None, limit: int) -> InboxPage:
    """A page of conversations; see ``Store.inbox``."""
    user = find_user(connection, owner)
    cursor = head_cursor(connection, epoch, user)
    if user is None:
        return InboxPage([], False, cursor, 0)
    rows = connection.execute(
        """
        SELECT peers.name, mine.last_cur, mine.recv_n, mine.read_n, theirs.recv_n,
               EXISTS (SELECT 1 FROM blocks WHERE uid = mine.uid AND peer = mine.peer),
               EXISTS (SELECT 1 FROM blocks WHERE uid = mine.peer AND peer = mine.uid),
               mine.read_seq, mine.dlv_seq, theirs.told_read, theirs.told_dlv,
               ifnull(mine.tag, mine.cid),
               messages.id, messages.sender, messages.client_id, messages.type, messages.ts, messages.body
        FROM members AS mine
        JOIN users AS peers ON peers.uid = mine.peer
        JOIN members AS theirs ON theirs.uid = mine.peer AND theirs.peer = mine.uid
        JOIN messages ON messages.id = (mine.cid << ?) + mine.last_seq
        WHERE mine.uid = ? AND mine.last_cur < ? ORDER BY mine.last_cur DESC LIMIT ?
        """,
        (SEQ_BITS, user, (1 << 62) if before is None else before, limit + 1),
    ).fetchall()
    summaries = []
    for name, last_position, received, read, sent, blocks, is_blocked, *rest in rows[:limit]:
        watermarks = Watermarks(*rest[:4])
        last_message = _seen(owner, name, user, watermarks, *rest[4:])
        unread = 0 if blocks else received - read
        told = Relation(sent > 0, received > 0, bool(blocks), bool(is_blocked))
        summaries.append(ConversationSummary(name, last_message, unread, watermarks, last_position, told))
    return InboxPage(summaries, len(rows) > limit, cursor, _unread_total(connection, user))


def _unread_total(connection: sqlite3.Connection, user: int) -> int:
    """Count the unread messages in all conversations; as in the inbox nothing where the user blocks the other side."""
    row = connection.execute(
        "SELECT ifnull(sum(recv_n - read_n), 0) FROM members WHERE uid = ?"
        " AND peer NOT IN (SELECT peer FROM blocks WHERE uid = ?)",
        (user, user),
    ).fetchone()
    return int(row[0])


def _seen(
    owner: UserId,
    peer: UserId,
    user: int,
    watermarks: Watermarks,
    tag: int,
    mid: int,
    sender: int,
    client_id: str | None,
    message_type: str,
    sent_ms: int,
    body: str,
) -> Message:
    """A message row as the owner sees it under these watermarks."""
    seq, is_own = mid & SEQ_MASK, sender == user
    delivered_upto = watermarks.peer_delivered_upto if is_own else watermarks.delivered_upto
    read_upto = watermarks.peer_read_upto if is_own else watermarks.read_upto
    return make_message(
        owner, peer, tag, seq, is_own, client_id, message_type, sent_ms, body, seq <= delivered_upto, seq <= read_upto
    )
