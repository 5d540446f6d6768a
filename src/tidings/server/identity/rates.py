"""How often a user or an address may do something: token buckets in memory, one for each of them and kind."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from tidings.errors import TooManyRequests
from tidings.server.config import Config

RATE_USERS_MAX = 50_000  # users or addresses whose rates are remembered; an older one starts with a full bucket
STREAM_OPENINGS_BURST_TIMES = 3  # a user may open all their streams so often at once: a network that comes and goes
STRANGER_PROFILES_PER_H = 60  # of strangers, for one user where they are told at all: to find a few, and not everybody
TYPING_FRAME_GAP_S = 1.0  # typing to the same person within this adds nothing

_ROUNDING = 1e-6  # of an interval: what sums of floats may be off by


class RateLimit:
    """At most ``per_s`` a second on average and ``burst`` at once, for each user or address.

    Of a bucket one number is kept, the time at which it will be full again, in two plain halves of which the older
    one is forgotten when the younger is full: there is one for each open stream, and an ordered entry takes 200 bytes
    more.
    """

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float]) -> None:
        self._interval_s = 1.0 / per_s
        self._whole_s = (
            max(1.0, burst) - 1.0
        ) * self._interval_s  # from a bucket with the last one in it to a full one
        self._clock = clock
        self._young: dict[Hashable, float] = {}
        self._old: dict[Hashable, float] = {}

    def check(self, name: Hashable) -> None:
        """Nothing, if there is one in the bucket of this name; it stays there.

        Raises:
            TooManyRequests: It is empty; ``retry_after_s`` says when it will not be.
        """
        self._full_at(name)

    def take(self, name: Hashable) -> None:
        """Take one from the bucket of this name.

        Raises:
            TooManyRequests: It is empty; ``retry_after_s`` says when it will not be.
        """
        full_at = self._full_at(name) + self._interval_s
        if len(self._young) >= RATE_USERS_MAX // 2:
            self._old, self._young = self._young, {}
        self._young[name] = full_at

    def _full_at(self, name: Hashable) -> float:
        now = self._clock()
        full_at = self._young.get(name)
        if full_at is None:
            full_at = self._old.get(name, now)
        wait_s = full_at - now - self._whole_s
        if wait_s > self._interval_s * _ROUNDING:
            raise TooManyRequests.after(wait_s)
        return max(now, full_at)


class Rates:
    """The rates of a node's users, each kind by itself; what makes rows the store counts for all nodes."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        def signals() -> RateLimit:
            return RateLimit(config.signals_per_s, config.signals_per_s, clock)

        def hourly(most: int) -> RateLimit:
            return RateLimit(most / 3600, most, clock)

        self.sends = RateLimit(config.sends_per_s, config.sends_burst, clock)
        self.openings = RateLimit(
            config.stream_openings_per_s, STREAM_OPENINGS_BURST_TIMES * config.streams_per_user_max, clock
        )
        self.receipts, self.typing, self.presence, self.blocks = signals(), signals(), signals(), signals()
        self.typing_frames = RateLimit(1 / TYPING_FRAME_GAP_S, 1, clock)  # by both people: what is more is not told
        self.unknown_people = hourly(config.new_conversations_per_h)
        self.stranger_profiles = hourly(STRANGER_PROFILES_PER_H)
        self.people_searches = RateLimit(config.people_searches_per_min / 60, config.people_searches_per_min, clock)
