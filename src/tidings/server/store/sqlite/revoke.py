"""Revocations in the SQLite store: so that what was ended stays ended after a restart."""

from __future__ import annotations

import sqlite3

from tidings.protocol.user_id import UserId, hidden_id
from tidings.server.config import REVOKED_USERS_MAX
from tidings.server.store.sqlite.threads import Written


def revoke(connection: sqlite3.Connection, user: UserId, until: float) -> Written[None]:
    """Keep a revocation, and drop the oldest beyond REVOKED_USERS_MAX; see ``Store.revoke``."""
    connection.execute(
        "INSERT INTO revocations(name, until) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET until = max(until, excluded.until)",
        (user, until),
    )
    connection.execute(
        "DELETE FROM revocations WHERE name IN (SELECT name FROM revocations ORDER BY until DESC LIMIT -1 OFFSET ?)",
        (REVOKED_USERS_MAX,),
    )
    return Written(None, [])


def hide(connection: sqlite3.Connection, user: UserId) -> bool:
    """Keep an erased user's revocation without the name; whether there was one.

    It must go on holding: a token that was issued before it is as good as ever.
    """
    row = connection.execute("DELETE FROM revocations WHERE name = ? RETURNING until", (user,)).fetchone()
    if row is not None:
        revoke(connection, hidden_id(user), row[0])
    return row is not None


def revoked_until(connection: sqlite3.Connection, user: UserId) -> float | None:
    """Until when this user's sign-ins are revoked, under their name or without it; None: they are not."""
    (until,) = connection.execute(
        "SELECT max(until) FROM revocations WHERE name IN (?, ?)", (user, hidden_id(user))
    ).fetchone()
    return until  # type: ignore[no-any-return]


def revocations(connection: sqlite3.Connection, since: float) -> dict[UserId, float]:
    """The revocations, the oldest first; see ``Store.revocations``."""
    rows = connection.execute("SELECT name, until FROM revocations WHERE until > ? ORDER BY until", (since,)).fetchall()
    return {UserId(name): until for name, until in rows}
