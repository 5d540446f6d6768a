"""Two people who write to each other without pause, for a while.

Their own pages do the writing, through their own outboxes: of each person's windows one, so that the rate is the
person's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidings.server.demo.count import Tab
from tidings.server.demo.limits import TRAFFIC_FOR_S, TRAFFIC_RATE_MAX_PER_S

FRESH_S = 2.5  # of a person's windows one writes that was heard of within this: two of its reports


class Traffic:
    """The pairs that write now, and how fast."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._per_second = 0
        self._people: Sequence[str] = ()
        self._ends_at = 0.0

    def order(self, per_second: int, people: Sequence[str]) -> None:
        """Begin, or with a rate of 0 end.

        Raises:
            ValueError: It is too much, or not between two people.
        """
        if per_second == 0:
            self._ends_at = 0.0
            return
        if not 0 < per_second <= TRAFFIC_RATE_MAX_PER_S:
            raise ValueError(f"per_second goes from 0 to {TRAFFIC_RATE_MAX_PER_S}")
        if len(set(people)) != 2:
            raise ValueError("people are two")
        self._per_second, self._people = per_second, list(people)
        self._ends_at = self._clock() + TRAFFIC_FOR_S

    def state(self) -> dict[str, Any]:
        """For the drawer."""
        left = max(0.0, self._ends_at - self._clock())
        return {
            "per_second": self._per_second if left else 0,
            "people": list(self._people) if left else [],
            "seconds_left": round(left, 1),
        }

    def share(self, tab_id: str, user: str, tabs: Mapping[str, Tab]) -> dict[str, Any] | None:
        """Return how much this page should write, and to whom; None for a page that should not write."""
        left = self._ends_at - self._clock()
        if left <= 0 or user not in self._people:
            return None
        now = self._clock()
        fresh = [id for id, tab in tabs.items() if tab.user == user and now - tab.heard_at < FRESH_S]
        if not fresh or min(fresh) != tab_id:
            return None
        [peer] = [person for person in self._people if person != user]
        return {"to": peer, "per_second": self._per_second, "seconds_left": round(left, 1)}
