"""How often somebody did something within the last hour: in memory, where one process alone has the database."""

from __future__ import annotations

from collections.abc import Callable

from tidings.errors import TooManyRequests
from tidings.protocol.user_id import UserId

HOUR_S = 3600.0
REMEMBERED_MAX = 50_000  # people and things that they do; the one that did nothing for longest is forgotten


class Hourly:
    """When each did what, as long as that is less than an hour ago."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._done_at: dict[tuple[str, UserId], list[float]] = {}  # the latest to do something is the last one

    def take(self, what: str, user: UserId, most: int) -> None:
        """See ``Store.take_hourly``."""
        now = self._clock()
        self._forget(now)
        recent = [at for at in self._done_at.get((what, user), ()) if at > now - HOUR_S]
        if len(recent) >= most:
            raise TooManyRequests.after(recent[-most] + HOUR_S - now)
        self._done_at.pop((what, user), None)
        self._done_at[what, user] = [*recent, now]
        if len(self._done_at) > REMEMBERED_MAX:
            del self._done_at[self._longest]

    def _forget(self, now: float) -> None:
        while self._done_at and self._done_at[self._longest][-1] <= now - HOUR_S:
            del self._done_at[self._longest]

    @property
    def _longest(self) -> tuple[str, UserId]:
        """The one that did nothing for longest."""
        return next(iter(self._done_at))
