"""How often a user or an address may do something: token buckets in memory, one for each of them and kind."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from tidings.errors import TooManyRequests
from tidings.server.config import RATE_USERS_MAX


class RateLimit:
    """At most ``per_s`` a second on average and ``burst`` at once, for each user or address."""

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = max(1.0, burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when that was

    def check(self, name: str) -> float:
        """What the bucket of this name has, one at least; nothing is taken.

        Raises:
            TooManyRequests: It is empty; ``retry_after_s`` says when it will not be.
        """
        now = self._clock()
        left, since = self._buckets.get(name, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_s)
        if left < 1.0:
            wait_s = max(1, ceil((1.0 - left) / self._per_s))
            raise TooManyRequests("rate_limited", f"That was too often; go on in {wait_s} s.", retry_after_s=wait_s)
        return left

    def take(self, name: str) -> None:
        """Take one from the bucket of this name.

        Raises:
            TooManyRequests: It is empty; ``retry_after_s`` says when it will not be.
        """
        self._buckets[name] = (self.check(name) - 1.0, self._clock())
        self._buckets.move_to_end(name)
        if len(self._buckets) > RATE_USERS_MAX:
            self._buckets.popitem(last=False)
