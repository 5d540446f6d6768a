"""One seed from beginning to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.simulation.clock import Clock, Stuck, VirtualLoop
from lab.simulation.limits import Limits
from lab.simulation.nodes.plan import play as play_nodes
from lab.simulation.nodes.process import ProcessClock, ProcessLoop
from lab.simulation.nodes.world import NodesLimits, NodesWorld
from lab.simulation.plan import play
from lab.simulation.world import World

MEMORY = Path("/dev/shm")  # a disk that costs nothing: what a power cut leaves is not asked here


@dataclass(frozen=True)
class Kind:
    """The parts of a run."""

    clock: Any
    limits: Any
    loop: Any
    world: Any
    play: Any


ALONE = Kind(Clock, Limits, VirtualLoop, World, play)
SEVERAL = Kind(ProcessClock, NodesLimits, ProcessLoop, NodesWorld, play_nodes)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a seed."""

    seed: int
    hash: str
    operations: int
    faults_by_kind: Counter[str]
    commits: int
    seconds: float
    violations: list[str]
    recent: list[str]
    is_of_several: bool

    @property
    def faults(self) -> int:
        """All that were played."""
        return self.faults_by_kind.total()

    def report(self) -> str:
        """Return the failure, the last steps, and the command that shows it again."""
        return "\n".join(
            [
                *self.recent,
                "",
                f"seed {self.seed}: {self.violations[0]}",
                f"show it again: make fault SEED={self.seed}{' NODES=1' if self.is_of_several else ''}",
            ]
        )


def run_seed(seed: int, *, several: bool = False) -> Outcome:
    """Play one seed, of one node or of several."""
    kind = SEVERAL if several else ALONE
    clock = kind.clock()
    limits = kind.limits(random.Random(seed))
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="tidings-", dir=place) as directory,
        clock.installed(seed),
        limits.applied(),
        asyncio.Runner(loop_factory=lambda: kind.loop(clock)) as runner,
    ):
        return runner.run(_run(kind, seed, clock, limits, Path(directory)))


async def _run(kind: Kind, seed: int, clock: Clock, limits: Limits, directory: Path) -> Outcome:
    loop = asyncio.get_running_loop()
    world = kind.world(seed, clock, loop, limits, directory)
    loop.set_exception_handler(world.unhandled)
    begun = clock.now_s
    with _logs(world), world.installed():
        playing = loop.create_task(kind.play(world))
        try:
            await asyncio.wait([playing, world.broken], return_when=asyncio.FIRST_COMPLETED)
        except Stuck as stuck:
            world.wrong(str(stuck))
        if playing.done() and (failure := playing.exception()) is not None:
            world.wrong(f"the run itself failed: {failure!r}")
            if not world.violations[1:]:
                raise failure
        seconds = clock.now_s - begun
        await _end(world, playing)
    world.broken.cancel()
    return Outcome(
        seed,
        world.hash,
        world.operations,
        world.faults,
        world.truth.commits,
        seconds,
        world.violations,
        list(world.recent),
        kind is SEVERAL,
    )


async def _end(world: World, playing: asyncio.Task[None]) -> None:
    world.loop.set_exception_handler(lambda _loop, _context: None)
    playing.cancel()
    await asyncio.wait([playing])
    for device in world.devices:
        await device.crash()
        device.outbox.close()
    await world.host.end()


@contextlib.contextmanager
def _logs(world: World) -> Iterator[None]:
    """The product's log lines go to the run's record."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            world.logged(record)

    logger = logging.getLogger("tidings")
    handler = Handler(logging.WARNING)
    former = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = former
