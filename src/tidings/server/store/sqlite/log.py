"""The reads of a log: where a reader starts, and what comes after. Each runs inside one read transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tidings.protocol.cursor import Cursor, tag_of
from tidings.protocol.encoding import format_time
from tidings.protocol.events import (
    KIND_MESSAGE,
    KIND_READ_BY_OWNER,
    NEW_MESSAGE,
    TYPE_OF_KIND,
    LogEvent,
)
from tidings.protocol.shapes import Receipt
from tidings.protocol.user_id import UserId
from tidings.server.config import PAGE_SIZE_MAX_BYTES
from tidings.server.store import Place
from tidings.server.store.sqlite.schema import SEQ_MASK, find_user, head_of, make_message

_HEADS_PER_QUERY = 500  # below SQLite's limit of bound values, whatever it was built with


def place(connection: sqlite3.Connection, epoch: str, name: UserId, cursor: Cursor | None) -> Place:
    """Where a reader starts; see ``Store.place``."""
    user = find_user(connection, name)
    head, head_tag, floor = (0, 0, 0) if user is None else head_of(connection, user)
    at_head = Place(head, head_tag, head, head_tag, None)
    if cursor is None:
        return at_head
    if cursor.epoch != epoch:
        return at_head._replace(reset="other_epoch")
    if cursor.position > head:
        return at_head._replace(reset="future")
    if cursor.position < floor:
        return at_head._replace(reset="expired")
    if cursor.position > floor:
        row = connection.execute("SELECT ts FROM feed WHERE uid = ? AND cur = ?", (user, cursor.position)).fetchone()
        if row is None or tag_of(row[0]) != cursor.tag:
            return at_head._replace(reset="unknown")
    return Place(cursor.position, cursor.tag, head, head_tag, None)


def read_after(
    connection: sqlite3.Connection,
    owner: UserId,
    position: int,
    limit: int,
    size_max_bytes: int = PAGE_SIZE_MAX_BYTES,
) -> list[LogEvent]:
    """A page of a log; see ``Store.read_after``."""
    user = find_user(connection, owner)
    if user is None:
        return []
    rows = connection.execute(
        """
        SELECT feed.cur, feed.kind, feed.mid, feed.ts, peers.name,
               messages.sender = feed.uid, messages.client_id, messages.type, messages.ts, messages.body,
               ifnull(mine.tag, mine.cid), mine.dlv_seq, mine.read_seq, theirs.told_dlv, theirs.told_read
        FROM feed
        JOIN users AS peers ON peers.uid = feed.peer
        JOIN members AS mine ON mine.uid = feed.uid AND mine.peer = feed.peer
        JOIN members AS theirs ON theirs.uid = feed.peer AND theirs.peer = feed.uid
        LEFT JOIN messages ON feed.kind = ? AND messages.id = feed.mid
        WHERE feed.uid = ? AND feed.cur > ? ORDER BY feed.cur LIMIT ?
        """,
        (KIND_MESSAGE, user, position, limit),
    )
    events: list[LogEvent] = []
    size = 0
    for cur, kind, mid, event_ms, peer, is_own, client_id, type_, sent_ms, body, tag, *marks in rows:
        seq = mid & SEQ_MASK
        if kind == KIND_MESSAGE:
            dlv_seq, read_seq = marks[2:] if is_own else marks[:2]
            message = make_message(
                owner, peer, tag, seq, bool(is_own), client_id, type_, sent_ms, body, seq <= dlv_seq, seq <= read_seq
            )
            events.append(LogEvent(cur, tag_of(event_ms), message, NEW_MESSAGE))
            size += len(body)
            if size >= size_max_bytes:
                break
        else:
            by = owner if kind == KIND_READ_BY_OWNER else peer
            event_type = TYPE_OF_KIND[kind]
            receipt = Receipt(chat_user_id=peer, by=by, upto=seq, at=format_time(event_ms))
            events.append(LogEvent(cur, tag_of(event_ms), receipt, event_type))
    return events


def heads(connection: sqlite3.Connection, names: Sequence[UserId]) -> dict[UserId, int]:
    """The heads of these logs."""
    found: dict[UserId, int] = {}
    for start in range(0, len(names), _HEADS_PER_QUERY):
        some = names[start : start + _HEADS_PER_QUERY]
        marks = ",".join("?" * len(some))
        found.update(connection.execute(f"SELECT name, head FROM users WHERE name IN ({marks})", some))
    return found
