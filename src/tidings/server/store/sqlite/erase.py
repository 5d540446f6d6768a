"""Erasing a user: texts and log go, the other sides keep their threads with holes where the texts were.

Others' logs and histories need some facts to be whole, and these stay: that there was a message, when, and by somebody
whose name is now one that we made up. Everything happens in steps, each one transaction of at most about
ERASE_SLICE_ROWS rows; the name goes in the last one, which sees that nothing came in between. So an erasure that was
interrupted is finished by doing it again.

Bytes of a row stay in the file: SQLite leaves copies behind when it moves rows between pages, and ``secure_delete``
overwrites only what is deleted. So the file is written anew (``scrub``), also after an erasure that did not come to it.

``meta`` counts the steps, so that a server, which keeps recent events in memory, notices that of another process; it
answers there when it has forgotten them.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time

from tidings.protocol.events import DELETED
from tidings.protocol.user_id import ERASED_ID_DIGITS, ERASED_ID_PREFIX, UserId
from tidings.server.store.limits import ERASE_SLICE_ROWS
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, SEQ_BITS
from tidings.server.store.sqlite import profiles, revoke, service_keys, trim
from tidings.server.store.sqlite.file import transaction
from tidings.server.store.sqlite.schema import find_user
from tidings.server.store.sqlite.wal import fold

SCRUB_WAIT_MAX_S, SCRUB_PAUSE_S = 60.0, 0.1  # for readers of a database whose log is to be emptied after an erasure


class Erasure:
    """One erasure; call ``step`` in a transaction each until it is done."""

    def __init__(self, name: UserId) -> None:
        self._name = name
        self._reached: dict[int, int] = {}  # conversation → id of the last message seen to
        self.was_known = False
        self.messages = 0
        self.events = 0

    def step(self, connection: sqlite3.Connection) -> bool:
        """Do a slice; whether nothing is left."""
        user = find_user(connection, self._name)
        is_named = revoke.hide(connection, self._name) | service_keys.remove_of(connection, self._name)
        is_named |= profiles.forget(connection, self._name)
        if user is None and not is_named:
            return True
        self.was_known = True
        count_step(connection)
        connection.execute("INSERT OR REPLACE INTO meta(k, v) VALUES ('unscrubbed', 1)")
        if user is None:
            return True
        left = ERASE_SLICE_ROWS
        for (conversation,) in connection.execute("SELECT cid FROM members WHERE uid = ?", (user,)).fetchall():
            left -= self._empty_messages(connection, user, conversation, left)
            if left <= 0:
                return False
        (head,) = connection.execute("SELECT head FROM users WHERE uid = ?", (user,)).fetchone()
        trimmed = trim.cut(connection, user, head - 1)
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
            (first, conversation << SEQ_BITS | CONVERSATION_SEQ_MAX, limit),
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
            (ERASED_ID_PREFIX + secrets.token_hex(ERASED_ID_DIGITS // 2), time.time_ns() // 1_000_000, user),
        )
        connection.execute("DELETE FROM blocks WHERE uid = ?", (user,))
        connection.execute("UPDATE members SET opened_ms = 0 WHERE uid = ? AND opened_ms > 0", (user,))


def count_step(connection: sqlite3.Connection) -> None:
    """Have a server look at all logs, and forget what it has of them."""
    connection.execute("INSERT INTO meta(k, v) VALUES ('erasures', 1) ON CONFLICT (k) DO UPDATE SET v = v + 1")


def count(connection: sqlite3.Connection) -> int:
    """How many steps of erasures there were."""
    return _number(connection, "erasures")


def note_forgotten(connection: sqlite3.Connection, steps: int) -> None:
    """Say that the server has nothing in memory any more of what was erased in so many steps."""
    connection.execute("INSERT OR REPLACE INTO meta(k, v) VALUES ('erasures_forgotten', ?)", (steps,))


def is_forgotten(connection: sqlite3.Connection) -> bool:
    """Whether the server has said so of all steps."""
    return _number(connection, "erasures_forgotten") >= count(connection)


def needs_scrub(connection: sqlite3.Connection) -> bool:
    """Whether something was erased whose bytes may still be in the file."""
    return _number(connection, "unscrubbed") > 0


def scrub(connection: sqlite3.Connection, directory: str) -> None:
    """Write the file anew, and empty its log: afterwards there is nothing in them but what can be read.

    Writers wait meanwhile. Takes as much room again in ``directory``, and in the log.

    Raises:
        sqlite3.OperationalError: There is no room, or others read for longer than SCRUB_WAIT_MAX_S.
    """
    os.environ["SQLITE_TMPDIR"] = directory  # not where other users of the machine have their files
    deadline = time.monotonic() + SCRUB_WAIT_MAX_S
    connection.execute("VACUUM")
    while not fold(connection, "TRUNCATE"):
        if time.monotonic() >= deadline:
            raise sqlite3.OperationalError("another program reads the database, and so holds its log")
        time.sleep(SCRUB_PAUSE_S)
    with transaction(connection):
        connection.execute("DELETE FROM meta WHERE k = 'unscrubbed'")


def _number(connection: sqlite3.Connection, key: str) -> int:
    row = connection.execute("SELECT v FROM meta WHERE k = ?", (key,)).fetchone()
    return 0 if row is None else int(row[0])
