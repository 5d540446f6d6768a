"""Virtual time: an event loop that never waits, and the clocks that product code reads.

When nothing is ready, the loop's clock jumps to the next timer. All chance comes from the seed and everything runs in
one thread, so one seed is one sequence of steps. The wall clock is the loop's clock with an offset that faults move.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import selectors
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

STARTED_AT_S = 1000.0  # of the monotonic clock
WALL_STARTED_AT_S = 1_780_000_000.0
STEPS_AT_ONE_MOMENT_MAX = 20_000  # turns of the loop in which time stands still: beyond it something spins


class Stuck(Exception):
    """Nothing will ever happen again, or time does not go on."""


class RealClock(Exception):
    """A module of the product has a clock under a name of its own, where no other can take its place."""


def _held() -> list[str]:
    clocks = (time.time, time.time_ns, time.monotonic)
    return [
        f"{name}.{key}"
        for name, module in list(sys.modules.items())
        if name.startswith("tidings.")
        for key, value in vars(module).items()
        if any(value is each for each in clocks)
    ]


class Clock:
    """Seconds of the monotonic and of the wall clock."""

    def __init__(self) -> None:
        self.now_s = STARTED_AT_S
        self.wall_offset_s = WALL_STARTED_AT_S - STARTED_AT_S

    def monotonic(self) -> float:
        """The clock in place of ``time.monotonic``."""
        return self.now_s

    def wall(self) -> float:
        """The clock in place of ``time.time``."""
        return self.now_s + self.wall_offset_s

    def wall_ns(self) -> int:
        """The clock in place of ``time.time_ns``."""
        return round(self.wall() * 1e9)

    @contextlib.contextmanager
    def installed(self, seed: int) -> Iterator[None]:
        """Let everything read these clocks, and draw from this seed where it has no source of chance of its own.

        Raises:
            RealClock: A part of the product would not.
        """
        if held := _held():
            raise RealClock(f"{', '.join(held)}: write time.time(), or a run reads the real clock there")
        state = random.getstate()
        random.seed(seed)
        with (
            patch.object(time, "time", self.wall),
            patch.object(time, "time_ns", self.wall_ns),
            patch.object(time, "monotonic", self.monotonic),
            patch.object(secrets, "randbits", random.getrandbits),
        ):
            try:
                yield
            finally:
                random.setstate(state)


class _Selector(selectors.SelectSelector):
    """Waits by moving the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck("no timer and nothing ready: everybody waits for somebody")
        self._turns = 0 if timeout > 0 else self._turns + 1
        if self._turns > STEPS_AT_ONE_MOMENT_MAX:
            raise Stuck(f"{STEPS_AT_ONE_MOMENT_MAX} turns of the loop without time going on")
        self._clock.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a ``Clock``; what would run in other threads runs at once in this one."""

    def __init__(self, clock: Clock) -> None:
        self._virtual_clock = clock
        super().__init__(_Selector(clock))

    def time(self) -> float:
        return self._virtual_clock.now_s

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as failure:
            future.set_exception(failure)
        return future
