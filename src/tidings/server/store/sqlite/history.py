"""The reads of conversations and of their list. Each runs inside one read transaction: it returns one state."""

from __future__ import annotations

import sqlite3

from tidings.protocol.shapes import Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.store import HistoryPage, InboxPage, rows
from tidings.server.store.rows import head_cursor
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, SEQ_BITS, seqs_between
from tidings.server.store.sqlite.safety import relation
from tidings.server.store.sqlite.schema import find_user, read_ends


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
    user, chat = find_user(connection, owner), find_user(connection, peer_name)
    cursor = head_cursor(epoch, read_ends(connection, user))
    side = connection.execute(
        "SELECT cid, tag, read_seq, dlv_seq, told_read, told_dlv FROM sides WHERE uid = ? AND chat = ?", (user, chat)
    ).fetchone()
    told = relation(connection, owner, peer_name)
    if side is None:
        return HistoryPage([], False, cursor, Watermarks(), told)
    conversation, tag, *marks = side
    first = conversation << SEQ_BITS
    lowest, highest = (first + bound for bound in seqs_between(after, before))
    found = connection.execute(
        "SELECT id & ?, sender = ?, client_id, type, ts, body FROM messages"
        f" WHERE id > ? AND id < ? ORDER BY id {'DESC' if after is None else 'ASC'} LIMIT ?",
        (CONVERSATION_SEQ_MAX, user, lowest, highest, limit + 1),
    )
    empty = HistoryPage([], False, cursor, Watermarks(*marks), told)
    return rows.history_page(owner, peer_name, empty, tag, found, limit, is_newest_first=after is None)


def inbox(connection: sqlite3.Connection, epoch: str, owner: UserId, before: int | None, limit: int) -> InboxPage:
    """A page of conversations; see ``Store.inbox``."""
    user = find_user(connection, owner)
    found = connection.execute(
        """
        SELECT name, last_cur, recv_n, read_n, last_seq - recv_n,
               EXISTS (SELECT 1 FROM blocks WHERE uid = sides.uid AND peer = sides.chat),
               EXISTS (SELECT 1 FROM blocks WHERE uid = sides.chat AND peer = sides.uid),
               read_seq, dlv_seq, told_read, told_dlv,
               tag, last_seq, messages.sender = sides.uid, client_id, type, ts, body
        FROM sides JOIN messages ON messages.id = (cid << ?) + last_seq
        WHERE uid = ? AND last_cur < ? ORDER BY last_cur DESC LIMIT ?
        """,
        (SEQ_BITS, user, (1 << 62) if before is None else before, limit + 1),
    ).fetchall()
    cursor = head_cursor(epoch, read_ends(connection, user))
    return rows.inbox_page(owner, found, limit, cursor, _unread_total(connection, user))


def unread(connection: sqlite3.Connection, owner: UserId) -> int:
    """The unread messages of a user; see ``Store.unread``."""
    return _unread_total(connection, find_user(connection, owner))


def _unread_total(connection: sqlite3.Connection, user: int | None) -> int:
    """Count the unread messages in all conversations; as in the inbox nothing where the user blocks the other side."""
    row = connection.execute(
        "SELECT ifnull(sum(recv_n - read_n), 0) FROM members WHERE uid = ?"
        " AND chat NOT IN (SELECT peer FROM blocks WHERE uid = ?)",
        (user, user),
    ).fetchone()
    return int(row[0])
