"""A store counts its work: in plain numbers, for they stand on the path of every message."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter


class Buckets:
    """How many values were up to each bound, those above the last one too, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Figures:
    """The writes of a node to a database that is elsewhere.

    Attributes:
        round_trip_s: From a batch's way to the database to its answer.
        batch: Writes in a batch.
        retries: Batches that were tried again, by reason: ``lock``, ``conflict``, ``connection``.
        slow: Writes for a log that somebody else held, which went to the slow lane.
        unknown: Writes whose outcome is not known.
    """

    __slots__ = ("batch", "retries", "round_trip_s", "slow", "unknown")

    def __init__(self) -> None:
        self.round_trip_s = Buckets(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
        self.batch = Buckets(1, 2, 4, 8, 16, 32, 64, 128, 256)
        self.retries: Counter[str] = Counter()
        self.slow = 0
        self.unknown = 0
