"""Retention: events at the old end of the logs go. Messages stay: a log is for catching up, history for reading.

The floor of a log rises in the same transaction in which the rows below it go, TRIM_SLICE_EVENTS at a time, so that
whoever stands below it is told ``expired`` and nobody meets a hole. The row at the head always stays.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from tidings.server.config import TRIM_SLICE_EVENTS, TRIM_USERS_AT_ONCE


class Cut(NamedTuple):
    """The part of one log that may go: everything up to ``floor``."""

    uid: int
    floor: int
    events: int


class Found(NamedTuple):
    """The parts of the logs that may go, of those that were looked at; ``last_uid`` is None when there are no more."""

    cuts: list[Cut]
    kept: int
    last_uid: int | None


def find(connection: sqlite3.Connection, after_uid: int, cutoff_ms: int, events_max: int) -> Found:
    """Look through the next logs for events from before ``cutoff_ms`` and for more than ``events_max`` of them."""
    rows = connection.execute(
        "SELECT uid, head, floor FROM users WHERE uid > ? ORDER BY uid LIMIT ?", (after_uid, TRIM_USERS_AT_ONCE)
    ).fetchall()
    cuts: list[Cut] = []
    kept = 0
    for uid, head, floor in rows:
        wanted = min(max(floor, head - events_max, _last_before(connection, uid, floor, head, cutoff_ms)), head - 1)
        kept += head - max(floor, wanted)
        if wanted > floor:
            cuts.append(Cut(uid, wanted, wanted - floor))
    return Found(cuts, kept, rows[-1][0] if len(rows) == TRIM_USERS_AT_ONCE else None)


def cut(connection: sqlite3.Connection, uid: int, floor: int) -> int:
    """Raise the floor by one slice towards ``floor``, and remove what is below; how many events went (0: done)."""
    row = connection.execute("SELECT floor, head FROM users WHERE uid = ?", (uid,)).fetchone()
    if row is None:
        return 0
    present, head = row
    next_floor = min(present + TRIM_SLICE_EVENTS, floor, head - 1)
    if next_floor <= present:
        return 0
    connection.execute("UPDATE users SET floor = ? WHERE uid = ?", (next_floor, uid))
    return connection.execute("DELETE FROM feed WHERE uid = ? AND cur <= ?", (uid, next_floor)).rowcount


def _last_before(connection: sqlite3.Connection, uid: int, floor: int, head: int, cutoff_ms: int) -> int:
    """The last position whose event is older, found by halving: times rise with positions, but for clock changes."""

    def is_old(position: int) -> bool:
        row = connection.execute("SELECT ts FROM feed WHERE uid = ? AND cur = ?", (uid, position)).fetchone()
        return row is not None and row[0] < cutoff_ms

    old, young = floor, head
    if head - floor < 2 or not is_old(floor + 1):
        return floor
    while young - old > 1:
        middle = (old + young) // 2
        if is_old(middle):
            old = middle
        else:
            young = middle
    return old
