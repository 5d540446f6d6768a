"""The audience of a conversation: the people whose logs an event of it enters.

ARCHITECTURE.md, "Growth", lists the other places that know how many they are: two.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tidings.protocol.user_id import UserId
from tidings.server.store.rules import SEQ_BITS

# One of the audience: the user's number, how this side names the conversation, the user's name, the head of the log.
# The bare row: as a class it would cost each message a microsecond (lab/benchmarks/store.py).
Side = tuple[int, int, UserId, int]


def audience(connection: sqlite3.Connection, conversation: int) -> list[Side]:
    """Everybody who has a side of a conversation."""
    return connection.execute(
        "SELECT members.uid, chat, name, head FROM members JOIN users USING (uid) WHERE cid = ?", (conversation,)
    ).fetchall()


def enter(
    connection: sqlite3.Connection, sides: Sequence[Side], conversation: int, kind: int, seq: int, now_ms: int
) -> list[tuple[UserId, int]]:
    """Put an event into the logs of these sides; where it stands now, by user."""
    mid = conversation << SEQ_BITS | seq
    connection.executemany(
        "UPDATE users SET head = ? WHERE uid = ?", [(head + 1, uid) for uid, _chat, _name, head in sides]
    )
    connection.executemany(
        "INSERT INTO feed(uid, cur, kind, chat, mid, ts) VALUES (?, ?, ?, ?, ?, ?)",
        [(uid, head + 1, kind, chat, mid, now_ms) for uid, chat, _name, head in sides],
    )
    return [(name, head + 1) for _uid, _chat, name, head in sides]
