"""The meaning of a signal that stops: the first one drains, a second one ends at once.

One reason to stop may come as several signals: ``timeout`` sends SIGTERM to its child and then to the whole process
group, systemd adds SIGHUP where it is told to, and Ctrl-C in a terminal reaches us and the program that started us,
which hands it on. So one that comes soon after the first says nothing new. Ctrl-C, which a person may press twice, has
less time for that than two fingers need.
"""

from __future__ import annotations

import signal
from enum import Enum, auto

SAME_WITHIN_S = 0.5  # of the first signal: who hands one on does so in milliseconds, on a machine that is busy in more
SAME_KEY_WITHIN_S = 0.1  # of SIGINT: a key that is pressed twice takes longer


class Said(Enum):
    """The meaning of a signal."""

    STOP = auto()
    NOTHING_NEW = auto()
    AT_ONCE = auto()


class Stopping:
    """The signals of one process so far."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def take(self, number: signal.Signals, now_s: float) -> Said:
        """Return what this one says, at this time of any clock that does not go back."""
        if self._since_s is None:
            self._since_s = now_s
            return Said.STOP
        within_s = SAME_KEY_WITHIN_S if number == signal.SIGINT else SAME_WITHIN_S
        return Said.NOTHING_NEW if now_s - self._since_s < within_s else Said.AT_ONCE
