"""The reads of conversations and of their list. Each runs inside one read transaction: it returns one state."""

from __future__ import annotations

import sqlite3

from tidings.protocol.shapes import Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.store import HistoryPage, InboxPage, rows
from tidings.server.store.rows import head_cursor
from tidings.server.store.rules import SEQ_BITS, SEQ_MAX, seqs_between
from tidings.server.store.sqlite.safety import relation
from tidings.server.store.sqlite.schema import find_user, read_ends, read_watermarks


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
    cursor = head_cursor(epoch, read_ends(connection, user))
    side = connection.execute(
        "SELECT cid, ifnull(tag, cid) FROM members WHERE uid = ? AND peer = ?", (user, peer)
    ).fetchone()
    empty = HistoryPage([], False, cursor, Watermarks(), relation(connection, owner, peer_name))
    if side is None or user is None or peer is None:
        return empty
    conversation, tag = side
    first = conversation << SEQ_BITS
    lowest, highest = (first + bound for bound in seqs_between(after, before))
    found = connection.execute(
        "SELECT id & ?, sender = ?, client_id, type, ts, body FROM messages"
        f" WHERE id > ? AND id < ? ORDER BY id {'DESC' if after is None else 'ASC'} LIMIT ?",
        (SEQ_MAX, user, lowest, highest, limit + 1),
    )
    return rows.history_page(
        owner,
        peer_name,
        empty._replace(watermarks=read_watermarks(connection, user, peer)),
        tag,
        found,
        limit,
        is_newest_first=after is None,
    )


def inbox(connection: sqlite3.Connection, epoch: str, owner: UserId, before: int | None, limit: int) -> InboxPage:
    """A page of conversations; see ``Store.inbox``."""
    user = find_user(connection, owner)
    found = connection.execute(
        """
        SELECT peers.name, mine.last_cur, mine.recv_n, mine.read_n, theirs.recv_n,
               EXISTS (SELECT 1 FROM blocks WHERE uid = mine.uid AND peer = mine.peer),
               EXISTS (SELECT 1 FROM blocks WHERE uid = mine.peer AND peer = mine.uid),
               mine.read_seq, mine.dlv_seq, theirs.told_read, theirs.told_dlv,
               ifnull(mine.tag, mine.cid),
               mine.last_seq, messages.sender = mine.uid, messages.client_id, messages.type, messages.ts, messages.body
        FROM members AS mine
        JOIN users AS peers ON peers.uid = mine.peer
        JOIN members AS theirs ON theirs.uid = mine.peer AND theirs.peer = mine.uid
        JOIN messages ON messages.id = (mine.cid << ?) + mine.last_seq
        WHERE mine.uid = ? AND mine.last_cur < ? ORDER BY mine.last_cur DESC LIMIT ?
        """,
        (SEQ_BITS, user, (1 << 62) if before is None else before, limit + 1),
    ).fetchall()
    cursor = head_cursor(epoch, read_ends(connection, user))
    return rows.inbox_page(owner, found, limit, cursor, _unread_total(connection, user))


def _unread_total(connection: sqlite3.Connection, user: int | None) -> int:
    """Count the unread messages in all conversations; as in the inbox nothing where the user blocks the other side."""
    row = connection.execute(
        "SELECT ifnull(sum(recv_n - read_n), 0) FROM members WHERE uid = ?"
        " AND peer NOT IN (SELECT peer FROM blocks WHERE uid = ?)",
        (user, user),
    ).fetchone()
    return int(row[0])
