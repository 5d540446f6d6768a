"""How much of everything, and what all works need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from lab.benchmarks.peers import Running
from lab.meter import cpu_s
from tidings.bench.run import Outcome, is_whole
from tidings.bench.sends import Senders
from tidings.bench.streams import Audience

CONNECTIONS = 64
PAIRS = 500
TEXT_SIZE = 100  # characters, as people write
CALM_S = 0.3  # in which a server that is done with what was before uses next to nothing
CALM_SHARE = 0.05  # of a CPU; the heartbeats of 18,000 streams take half of that
CALM_TRIES = 200

Take = Callable[[str, float], None]  # a figure's name, and the figure


class Size:
    """A full run, or a quick one."""

    def __init__(self, *, quick: bool) -> None:
        self.rounds = 1 if quick else 3
        self.seconds = 1.0 if quick else 2.0
        self.seconds_shared = 2.0 if quick else 4.0
        self.rates_between = {500: 3.0} if quick else {100: 6.0, 500: 6.0}  # messages a second: for so long
        self.devices = (1,) if quick else (0, 1, 3)
        self.rates = {500: 1.5} if quick else {100: 4.0, 500: 2.5, 2000: 1.5}  # messages a second: for so long
        self.stream_counts = (1000, 3000) if quick else (1000, 10_000, 18_000)
        self.beside_pairs = 100 if quick else 250
        self.latency_streams = 3000 if quick else 10_000
        self.connects = 500 if quick else 2000
        self.storm = 1000 if quick else 10_000
        self.missed = 10  # messages of each reader while it was away
        self.receipts_each = 6 if quick else 16
        self.catch_up_readers = 20 if quick else 100
        self.catch_up_events = 500
        self.fan_out_streams = 1000
        self.fan_out_events = 20 if quick else 100
        self.appends = 2000 if quick else 8000


class Used:
    """CPU of a server since ``begin``."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.begin()

    def begin(self) -> None:
        """From now on."""
        self._from_s, self._services_from_s = self._running.cpu_s(), self._running.services_cpu_s()

    def us(self) -> float:
        """Microseconds until now."""
        return (self._running.cpu_s() - self._from_s) * 1e6

    def services_us(self) -> float:
        """Those of its database and its bus."""
        return (self._running.services_cpu_s() - self._services_from_s) * 1e6


async def calm(running: Running) -> None:
    """Return when the server has nothing to do: what it used before is not of the next work."""
    used = cpu_s(running.pid)
    for _ in range(CALM_TRIES):
        await asyncio.sleep(CALM_S)
        before, used = used, cpu_s(running.pid)
        if used - before < CALM_SHARE * CALM_S:
            return
    raise SystemExit(f"{running.peer.name} does not come to rest")


def in_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run a work in an event loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def whole(outcome: Outcome) -> None:
    """Stop at a run that shows something else than speed."""
    if not is_whole(outcome) or outcome.refused:
        raise SystemExit(f"not everything arrived once, in order: {outcome}")


def accepted(senders: Senders) -> None:
    """Stop where something was refused."""
    if set(senders.statuses) - set(range(200, 300)):
        raise SystemExit(f"refused: {senders.statuses}")


def all_came(audience: Audience, frames: int) -> None:
    """Stop where something is missing, double or out of order."""
    seen = (audience.frames, audience.doubled, audience.disordered, audience.lost, audience.ended)
    if seen != (frames, 0, 0, 0, 0):
        raise SystemExit(f"of {frames} frames came, were doubled, disordered, lost, and streams ended: {seen}")
