"""Service keys in the SQLite store: commands add and remove them, a server beside reads them and notes their use."""

from __future__ import annotations

import sqlite3

from tidings.protocol.user_id import UserId
from tidings.server.store import ServiceKey
from tidings.server.store.limits import SERVICE_KEYS_MAX
from tidings.server.store.sqlite.threads import Written


def service_keys(connection: sqlite3.Connection) -> list[ServiceKey]:
    """All of them, by name."""
    rows = connection.execute(
        "SELECT name, digest, user, may_send_system, created_ms, used_day FROM service_keys ORDER BY name"
    ).fetchall()
    return [ServiceKey(name, digest, user, bool(system), *times) for name, digest, user, system, *times in rows]


def add(connection: sqlite3.Connection, key: ServiceKey) -> bool:
    """Let a key count; false: there is one of this name, or there are SERVICE_KEYS_MAX."""
    added = connection.execute(
        "INSERT INTO service_keys SELECT ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM service_keys) < ?"
        " ON CONFLICT (name) DO NOTHING",
        (*key, SERVICE_KEYS_MAX),
    )
    return added.rowcount > 0


def remove(connection: sqlite3.Connection, name: str) -> bool:
    """Let a key count no more; whether there was one of this name."""
    return connection.execute("DELETE FROM service_keys WHERE name = ?", (name,)).rowcount > 0


def remove_of(connection: sqlite3.Connection, user: UserId) -> bool:
    """Likewise those that stand for a user alone, who is erased."""
    return connection.execute("DELETE FROM service_keys WHERE user = ?", (user,)).rowcount > 0


def note_used(connection: sqlite3.Connection, digest: bytes, day: int) -> Written[None]:
    """Keep the day; see ``Store.note_key_used``."""
    connection.execute(
        "UPDATE service_keys SET used_day = ? WHERE digest = ? AND (used_day IS NULL OR used_day < ?)",
        (day, digest, day),
    )
    return Written(None, [])
