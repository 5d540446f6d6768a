"""The present faults: kind, person and end.

A fault is for one person's requests, or for everybody's (``user`` None). Each heals by itself after ``HEAL_AFTER_S``.
The three cuts exclude each other; all else can hold together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

from tidings.server.demo.limits import HEAL_AFTER_S

Cut = Literal["refuse", "reset", "stall"]
Kind = Literal["refuse", "reset", "stall", "lose_replies", "delay", "buffer"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
CUTS: Final[tuple[Cut, ...]] = get_args(Cut)


class Conditions(NamedTuple):
    """How the network is for somebody."""

    cut: Cut | None = None
    loses_replies: bool = False
    buffers_streams: bool = False
    delay_s: float = 0.0


@dataclass(frozen=True)
class Fault:
    """One thing that is broken. ``ends_at`` is of the monotonic clock."""

    kind: Kind
    user: str | None
    ends_at: float
    delay_ms: int = 0


class Faults:
    """The faults that hold. ``changed`` is called with the fault that began, or None when some ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[tuple[Kind, str | None], Fault] = {}
        self.changed: Callable[[Fault | None], None] = lambda _fault: None

    def begin(self, kind: Kind, user: str | None, delay_ms: int = 0) -> None:
        """Break this from now on; what holds already begins its time anew."""
        if kind in CUTS:
            for cut in CUTS:
                self._held.pop((cut, user), None)
        fault = Fault(kind, user, self._clock() + HEAL_AFTER_S, delay_ms)
        self._held[kind, user] = fault
        self.changed(fault)

    def end(self, kind: Kind, user: str | None) -> None:
        """Heal this; nothing when it does not hold."""
        if self._held.pop((kind, user), None) is not None:
            self.changed(None)

    def end_all(self) -> None:
        """Heal everything."""
        if self._held:
            self._held.clear()
            self.changed(None)

    def end_due(self) -> float | None:
        """Heal what has held for its time; the seconds until the next one is due, None when nothing holds."""
        now = self._clock()
        due = [key for key, fault in self._held.items() if fault.ends_at <= now]
        for key in due:
            del self._held[key]
        if due:
            self.changed(None)
        return min((fault.ends_at - now for fault in self._held.values()), default=None)

    def held(self) -> list[tuple[Fault, float]]:
        """Every fault that holds, with the seconds that it still will."""
        now = self._clock()
        return [(fault, max(0.0, fault.ends_at - now)) for fault in self._held.values()]

    def conditions(self, user: str | None) -> Conditions:
        """Return the faults that hold for this person's requests; None: for those that are nobody's."""
        found = [fault for fault in self._held.values() if fault.user is None or fault.user == user]
        cuts = {fault.kind for fault in found}
        return Conditions(
            cut=next((cut for cut in CUTS if cut in cuts), None),
            loses_replies=any(fault.kind == "lose_replies" for fault in found),
            buffers_streams=any(fault.kind == "buffer" for fault in found),
            delay_s=max((fault.delay_ms for fault in found), default=0) / 1000,
        )

    @property
    def refuses_everybody(self) -> bool:
        """Whether nobody may even connect."""
        return ("refuse", None) in self._held
