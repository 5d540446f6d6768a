"""Blocks and reports in the SQLite store. The check of a send is in its own transaction: no race."""

from __future__ import annotations

import sqlite3
import time

from tidings.errors import NOT_ALLOWED_DETAIL, Forbidden
from tidings.protocol.encoding import encode_json, format_time
from tidings.protocol.user_id import UserId
from tidings.server.store import Blocked, BlockedPage, Relation, Report
from tidings.server.store.sqlite.schema import find_user
from tidings.server.store.sqlite.threads import Written


def refuse_blocked(*, blocks: bool, is_blocked: bool) -> None:
    """Return when neither the sender blocks the recipient nor the other way round.

    Raises:
        Forbidden: To the one who blocks, with the reason; to the one who is blocked, in the words of any refusal.
    """
    if blocks:
        raise Forbidden("blocked_by_you", "You blocked this person; unblock them to write.")
    if is_blocked:
        raise Forbidden("not_allowed", NOT_ALLOWED_DETAIL)


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
    rows = connection.execute(
        """
        SELECT peers.name, blocks.ts, blocks.nth
        FROM blocks JOIN users AS peers ON peers.uid = blocks.peer
        WHERE blocks.uid = (SELECT uid FROM users WHERE name = ?) AND blocks.nth < ?
        ORDER BY blocks.nth DESC LIMIT ?
        """,
        (user, (1 << 62) if before is None else before, limit + 1),
    ).fetchall()
    return BlockedPage(
        [
            Blocked(name, format_time(ts), position, relation(connection, user, name))
            for name, ts, position in rows[:limit]
        ],
        len(rows) > limit,
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
    if user is None:
        (user,) = connection.execute("INSERT INTO users(name) VALUES (?) RETURNING uid", (name,)).fetchone()
    return int(user)


def blockers(connection: sqlite3.Connection, one: int, other: int) -> set[int]:
    """Return those of the two that block the other."""
    rows = connection.execute(
        "SELECT uid FROM blocks WHERE uid = ? AND peer = ? UNION ALL SELECT uid FROM blocks WHERE uid = ? AND peer = ?",
        (one, other, other, one),
    )
    return {uid for (uid,) in rows}


def relation(connection: sqlite3.Connection, owner: UserId, peer_name: UserId) -> Relation:
    """Return the relation of two users; see ``Store.relation``."""
    user, peer = find_user(connection, owner), find_user(connection, peer_name)
    if user is None or peer is None:
        return Relation()
    rows = connection.execute(
        "SELECT uid, recv_n FROM members WHERE uid = ? AND peer = ?"
        " UNION ALL SELECT uid, recv_n FROM members WHERE uid = ? AND peer = ?",
        (user, peer, peer, user),
    )
    received: dict[int, int] = dict(rows.fetchall())
    who = blockers(connection, user, peer)
    return Relation(received.get(peer, 0) > 0, received.get(user, 0) > 0, user in who, peer in who)
