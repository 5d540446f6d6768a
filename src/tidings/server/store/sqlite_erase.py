"""Erasing a user: texts and log go, the other sides keep their threads with holes where the texts were.

What stays is what others' logs and histories need to be whole: that there was a message, when, and by somebody
whose name is now one that we made up. Everything happens in steps, each one transaction of at most about
ERASE_SLICE_ROWS rows; the name goes in the last one, which sees that nothing came in between. So an erasure that was
interrupted is finished by doing it again.
"""

from __future__ import annotations

import secrets
import sqlite3
import time

from tidings.protocol.events import DELETED, UserId
from tidings.server.config import ERASE_SLICE_ROWS
from tidings.server.store import sqlite_trim
from tidings.server.store.sqlite_read import SEQ_BITS, SEQ_MASK, find_user

ERASED_NAME_PREFIX = "erased-"
ERASED_NAME_BYTES = 8  # 16 hex digits: nobody guesses one, and two are never alike


class Erasure:
    """One erasure; call ``step`` in a transaction each until it is done."""

    def __init__(self, name: UserId) -> None:
        self._name = name
        self._reached: dict[int, int] = {}  # conversation → id of the last message seen to
        self.messages = 0
        self.events = 0

    def step(self, connection: sqlite3.Connection) -> bool:
        """Do a slice; whether nothing is left."""
        user = find_user(connection, self._name)
        if user is None:
            return True
        left = ERASE_SLICE_ROWS
        for (conversation,) in connection.execute("SELECT cid FROM members WHERE uid = ?", (user,)).fetchall():
            left -= self._empty_messages(connection, user, conversation, left)
            if left <= 0:
                return False
        (head,) = connection.execute("SELECT head FROM users WHERE uid = ?", (user,)).fetchone()
        trimmed = sqlite_trim.cut(connection, user, head - 1)
        self.events += trimmed
        if trimmed:
            return False
        self._take_name(connection, user)
        return True

    def _empty_messages(self, connection: sqlite3.Connection, user: int, conversation: int, limit: int) -> int:
        """Empty the user's messages among the next ones of a conversation; how many rows that took."""
        first = self._reached.get(conversation, conversation << SEQ_BITS)
        seen, last = connection.execute(
            "SELECT count(*), max(id) FROM (SELECT id FROM messages WHERE id > ? AND id <= ? ORDER BY id LIMIT ?)",
            (first, conversation << SEQ_BITS | SEQ_MASK, limit),
        ).fetchone()
        if seen:
            self.messages += connection.execute(
                "UPDATE messages SET body = '', type = ?, client_id = NULL, digest = NULL"
                " WHERE id > ? AND id <= ? AND sender = ? AND type <> ?",
                (DELETED, first, last, user, DELETED),
            ).rowcount
            self._reached[conversation] = last
        return int(seen)

    def _take_name(self, connection: sqlite3.Connection, user: int) -> None:
        self.events += connection.execute("DELETE FROM feed WHERE uid = ?", (user,)).rowcount
        connection.execute(
            "UPDATE users SET name = ?, floor = head, erased_ms = ? WHERE uid = ?",
            (ERASED_NAME_PREFIX + secrets.token_hex(ERASED_NAME_BYTES), time.time_ns() // 1_000_000, user),
        )
        connection.execute("DELETE FROM blocks WHERE uid = ?", (user,))
        connection.execute("UPDATE members SET opened_ms = 0 WHERE uid = ? AND opened_ms > 0", (user,))
