"""Names and pictures by tokens, in the SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tidings.protocol.user_id import UserId
from tidings.server.store import TokenProfile
from tidings.server.store.sqlite.threads import Written


def keep(connection: sqlite3.Connection, user: UserId, profile: TokenProfile) -> Written[None]:
    """See ``Store.keep_profile``."""
    connection.execute("INSERT OR REPLACE INTO profiles(user, name, picture) VALUES (?, ?, ?)", (user, *profile))
    return Written(None, [])


def read(connection: sqlite3.Connection, users: Sequence[UserId]) -> dict[UserId, TokenProfile]:
    """See ``Store.profiles``."""
    marks = ",".join("?" * len(users))
    rows = connection.execute(f"SELECT user, name, picture FROM profiles WHERE user IN ({marks})", tuple(users))
    return {UserId(user): TokenProfile(name, picture) for user, name, picture in rows}


def forget(connection: sqlite3.Connection, user: UserId) -> bool:
    """Delete the profile of somebody who is erased; whether there was one."""
    return connection.execute("DELETE FROM profiles WHERE user = ?", (user,)).rowcount > 0
