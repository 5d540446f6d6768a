"""Judges what readers showed against what was acknowledged to the senders. Pure: numbers and times in, counts out.

Each sender numbers its letters to one reader 1, 2, 3 ... and publishes the next one only after the last was
acknowledged, so the order is beyond doubt. Letters that were never acknowledged may be shown or not: nobody was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Tally:
    """Counts of one reader, or of several.

    Attributes:
        acknowledged: Letters whose publishing the server answered positively.
        lost: Of them, those that the reader never showed.
        doubled: Showings of a letter that had been shown before.
        reordered: Letters first shown after one with a higher number.
    """

    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.acknowledged + other.acknowledged,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.reordered + other.reordered,
        )

    @property
    def faults(self) -> tuple[int, int, int]:
        """Lost, doubled, reordered."""
        return (self.lost, self.doubled, self.reordered)


def count(acknowledged: Iterable[int], shown: Sequence[int]) -> Tally:
    """The tally of one reader: numbers acknowledged, and numbers shown in the order of showing."""
    wanted = set(acknowledged)
    seen: set[int] = set()
    doubled = reordered = highest = 0
    for number in shown:
        if number in seen:
            doubled += 1
            continue
        seen.add(number)
        reordered += number < highest
        highest = max(highest, number)
    return Tally(len(wanted), len(wanted - seen), doubled, reordered)


def longest_silence_s(since: float, shown_at: Sequence[float]) -> float:
    """The longest time without a showing, from `since` to the last one; times in seconds, ascending."""
    moments = [since, *(at for at in shown_at if at >= since)]
    return max((later - earlier for earlier, later in pairwise(moments)), default=0.0)
