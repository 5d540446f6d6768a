"""The reads of a log: where a reader starts, and what comes after. Each runs inside one read transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tidings.protocol.cursor import Cursor
from tidings.protocol.events import KIND_MESSAGE, LogEvent
from tidings.protocol.user_id import UserId
from tidings.server.config import PAGE_SIZE_MAX_BYTES
from tidings.server.store import StartPosition, rows, rules
from tidings.server.store.sqlite.schema import find_user, read_ends

_HEADS_PER_QUERY = 500  # below SQLite's limit of bound values, whatever it was built with


def start_position(connection: sqlite3.Connection, epoch: str, name: UserId, cursor: Cursor | None) -> StartPosition:
    """Where a reader starts; see ``Store.start_position``."""
    user = find_user(connection, name)
    position = None if cursor is None else cursor.position
    written = connection.execute("SELECT ts FROM feed WHERE uid = ? AND cur = ?", (user, position)).fetchone()
    return rules.start_position(epoch, read_ends(connection, user), cursor, None if written is None else written[0])


def read_after(
    connection: sqlite3.Connection,
    owner: UserId,
    position: int,
    limit: int,
    size_max_bytes: int = PAGE_SIZE_MAX_BYTES,
) -> list[LogEvent]:
    """A page of a log; see ``Store.read_after``."""
    found = connection.execute(
        """
        SELECT feed.cur, feed.kind, feed.mid & ?, feed.ts, sides.name,
               sides.tag, messages.sender = feed.uid, messages.client_id, messages.type, messages.ts, messages.body,
               sides.read_seq, sides.dlv_seq, sides.told_read, sides.told_dlv
        FROM feed
        JOIN sides ON sides.uid = feed.uid AND sides.chat = feed.chat
        LEFT JOIN messages ON feed.kind = ? AND messages.id = feed.mid
        WHERE feed.uid = ? AND feed.cur > ? ORDER BY feed.cur LIMIT ?
        """,
        (rules.CONVERSATION_SEQ_MAX, KIND_MESSAGE, find_user(connection, owner), position, limit),
    )
    return rows.log_events(owner, found, size_max_bytes)


def heads(connection: sqlite3.Connection, names: Sequence[UserId]) -> dict[UserId, int]:
    """The heads of these logs."""
    found: dict[UserId, int] = {}
    for start in range(0, len(names), _HEADS_PER_QUERY):
        some = names[start : start + _HEADS_PER_QUERY]
        marks = ",".join("?" * len(some))
        found.update(connection.execute(f"SELECT name, head FROM users WHERE name IN ({marks})", some))
    return found
