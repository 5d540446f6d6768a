"""The reads that all others share: users by their names, the ends of their logs, watermarks."""

from __future__ import annotations

import sqlite3

from tidings.protocol.shapes import Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.store.rules import Ends


def find_user(connection: sqlite3.Connection, name: UserId) -> int | None:
    """The number of a user, or None for one never seen."""
    row = connection.execute("SELECT uid FROM users WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def add_user(connection: sqlite3.Connection, name: UserId) -> int:
    """The number of a user who is new."""
    row = connection.execute("INSERT INTO users(name) VALUES (?) RETURNING uid", (name,)).fetchone()
    return int(row[0])


def read_watermarks(connection: sqlite3.Connection, user: int, chat: int) -> Watermarks:
    """The watermarks of both sides, as ``user`` sees them: of the other one what was told."""
    row = connection.execute(
        "SELECT read_seq, dlv_seq, told_read, told_dlv FROM sides WHERE uid = ? AND chat = ?", (user, chat)
    ).fetchone()
    return Watermarks(*(row or ()))


def read_ends(connection: sqlite3.Connection, user: int | None) -> Ends:
    """The ends of a log; of one that nobody wrote to, for None."""
    row = connection.execute(
        "SELECT head, (SELECT ts FROM feed WHERE feed.uid = users.uid AND cur = head), floor FROM users WHERE uid = ?",
        (user,),
    ).fetchone()
    return Ends(*(row or ()))
