"""Blocks and reports in the SQLite store. The check of a send is in its own transaction: no race."""

from __future__ import annotations

import sqlite3
import time

from tidings.protocol.encoding import encode_json
from tidings.protocol.user_id import UserId
from tidings.server.store import BlockedPage, Relation, Report, rows
from tidings.server.store.sqlite.schema import add_user, find_user
from tidings.server.store.sqlite.threads import Written


def block(connection: sqlite3.Connection, user: UserId, peer: UserId) -> Written[None]:
    """Block; see ``Store.block``."""
    uid = _user_row(connection, user)
    connection.execute(
        "INSERT INTO blocks(uid, peer, ts, nth)"
        " VALUES (?, ?, ?, (SELECT ifnull(max(nth), 0) + 1 FROM blocks WHERE uid = ?))"
        " ON CONFLICT (uid, peer) DO NOTHING",
        (uid, _user_row(connection, peer), time.time_ns() // 1_000_000, uid),
    )
    return Written(None, [])


def unblock(connection: sqlite3.Connection, user: UserId, peer: UserId) -> Written[None]:
    """Take a block back; see ``Store.unblock``."""
    connection.execute(
        "DELETE FROM blocks WHERE uid = (SELECT uid FROM users WHERE name = ?)"
        " AND peer = (SELECT uid FROM users WHERE name = ?)",
        (user, peer),
    )
    return Written(None, [])


def blocked(connection: sqlite3.Connection, user: UserId, before: int | None, limit: int) -> BlockedPage:
    """A page of those whom a user blocks; see ``Store.blocked``."""
    found = connection.execute(
        """
        SELECT peers.name, blocks.ts, blocks.nth
        FROM blocks JOIN users AS peers ON peers.uid = blocks.peer
        WHERE blocks.uid = (SELECT uid FROM users WHERE name = ?) AND blocks.nth < ?
        ORDER BY blocks.nth DESC LIMIT ?
        """,
        (user, (1 << 62) if before is None else before, limit + 1),
    ).fetchall()
    return rows.blocked_page(
        [(name, since_ms, position, relation(connection, user, name)) for name, since_ms, position in found], limit
    )


def add_report(connection: sqlite3.Connection, report: Report) -> Written[None]:
    """Keep a report; see ``Store.add_report``."""
    connection.execute(
        "INSERT INTO reports(reporter, reported, reason, seq, messages, ts) VALUES (?, ?, ?, ?, ?, ?)",
        (
            report.reporter,
            report.reported,
            report.reason,
            report.seq,
            encode_json(report.messages).decode(),
            time.time_ns() // 1_000_000,
        ),
    )
    return Written(None, [])


def _user_row(connection: sqlite3.Connection, name: UserId) -> int:
    user = find_user(connection, name)
    return add_user(connection, name) if user is None else user


def blockers(connection: sqlite3.Connection, one: int, other: int) -> set[int]:
    """Return those of the two that block the other."""
    found = connection.execute(
        "SELECT uid FROM blocks WHERE uid = ? AND peer = ? UNION ALL SELECT uid FROM blocks WHERE uid = ? AND peer = ?",
        (one, other, other, one),
    )
    return {uid for (uid,) in found}


def relation(connection: sqlite3.Connection, owner: UserId, peer_name: UserId) -> Relation:
    """Return the relation of two users; see ``Store.relation``."""
    user, peer = find_user(connection, owner), find_user(connection, peer_name)
    if user is None or peer is None:
        return Relation()
    row = connection.execute(
        "SELECT last_seq - recv_n, recv_n FROM members WHERE uid = ? AND chat = ?", (user, peer)
    ).fetchone()
    sent, received = row or (0, 0)
    who = blockers(connection, user, peer)
    return Relation(sent > 0, received > 0, user in who, peer in who)
