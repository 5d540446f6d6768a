"""Retention: events at the old end of the logs go. Messages stay: a log is for catching up, history for reading.

The floor of a log rises in the same transaction in which the rows below it go, TRIM_SLICE_EVENTS at a time, so that
whoever stands below it is told ``expired`` and nobody meets a hole. The row at the head always stays.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import NamedTuple

from tidings.server.store.limits import TRIM_SLICE_EVENTS, TRIM_USERS_AT_ONCE
from tidings.server.store.rules import Ends, next_floor, wanted_floor
from tidings.server.store.sqlite.schema import read_ends


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
    found = connection.execute(
        "SELECT uid, head, floor FROM users WHERE uid > ? ORDER BY uid LIMIT ?", (after_uid, TRIM_USERS_AT_ONCE)
    ).fetchall()
    cuts: list[Cut] = []
    kept = 0
    for uid, head, floor in found:
        wanted = wanted_floor(Ends(head, None, floor), events_max, partial(_is_old, connection, uid, cutoff_ms))
        kept += head - max(floor, wanted)
        if wanted > floor:
            cuts.append(Cut(uid, wanted, wanted - floor))
    return Found(cuts, kept, found[-1][0] if len(found) == TRIM_USERS_AT_ONCE else None)


def cut(connection: sqlite3.Connection, uid: int, wanted: int) -> int:
    """Raise the floor by one slice towards ``wanted``, and remove what is below; how many events went (0: done)."""
    ends = read_ends(connection, uid)
    floor = next_floor(ends, wanted, TRIM_SLICE_EVENTS)
    if floor == ends.floor:
        return 0
    connection.execute("UPDATE users SET floor = ? WHERE uid = ?", (floor, uid))
    return connection.execute("DELETE FROM feed WHERE uid = ? AND cur <= ?", (uid, floor)).rowcount


def _is_old(connection: sqlite3.Connection, uid: int, cutoff_ms: int, position: int) -> bool:
    row = connection.execute("SELECT ts FROM feed WHERE uid = ? AND cur = ?", (uid, position)).fetchone()
    return row is not None and row[0] < cutoff_ms
