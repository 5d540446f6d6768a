"""One timer for all streams: heartbeats, ages and blocked writes need no precision, and no timer each.

A wheel of buckets, SLOW_TIMER_TICK_S wide. An entry says when it wants to be asked again; a write that makes the next
heartbeat later moves nothing.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Protocol

SLOW_TIMER_TICK_S = 0.0625  # of heartbeats, ages, write limits; a tick's work holds up all else; 1/16 is exact


class Timed(Protocol):
    """A thing that stands in the wheel."""

    slot: int

    def tick(self, now: float) -> float | None:
        """Do what is due at ``now`` (seconds of the loop's clock); when to ask again, or None for never."""


class SlowTimer:
    """Asks each member at about the time that it named, a tick late at most."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buckets: dict[int, dict[Timed, None]] = {}  # in the order of arrival, so that a run can be repeated
        self._next = int(self._loop.time() / SLOW_TIMER_TICK_S) + 1
        # In a context of its own: it is made in that of the first request, which is somebody's.
        self._handle = self._loop.call_later(SLOW_TIMER_TICK_S, self._turn, context=Context())

    def add(self, member: Timed, due: float) -> None:
        """Ask ``member`` at ``due``, seconds of the loop's clock."""
        member.slot = max(self._next, int(due / SLOW_TIMER_TICK_S) + 1)
        self._buckets.setdefault(member.slot, {})[member] = None

    def remove(self, member: Timed) -> None:
        """Forget ``member``; nothing if it is not in the wheel."""
        bucket = self._buckets.get(member.slot)
        if bucket is not None:
            bucket.pop(member, None)
            if not bucket:
                del self._buckets[member.slot]

    def stop(self) -> None:
        """Ask nobody any more."""
        self._handle.cancel()
        self._buckets.clear()

    def _turn(self) -> None:
        now = self._loop.time()
        current = int(now / SLOW_TIMER_TICK_S)
        while self._next <= current:
            bucket = self._buckets.pop(self._next, None)
            self._next += 1
            for member in bucket or ():
                due = member.tick(now)
                if due is not None:
                    self.add(member, due)
        self._handle = self._loop.call_at((current + 1) * SLOW_TIMER_TICK_S, self._turn)
