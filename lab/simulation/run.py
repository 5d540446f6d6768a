"""One seed from beginning to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.simulation.clock import Clock, Stuck, VirtualLoop
from lab.simulation.limits import Limits
from lab.simulation.plan import play
from lab.simulation.world import World

MEMORY = Path("/dev/shm")  # a disk that costs nothing: what a power cut leaves is not asked here


@dataclass(frozen=True)
class Outcome:
    """The outcome of a seed."""

    seed: int
    hash: str
    operations: int
    faults: int
    commits: int
    seconds: float
    violations: list[str]
    recent: list[str]

    def report(self) -> str:
        """Return the failure, the last steps, and the command that shows it again."""
        return "\n".join(
            [
                *self.recent,
                "",
                f"seed {self.seed}: {self.violations[0]}",
                f"show it again: make fault SEED={self.seed}",
            ]
        )


def run_seed(seed: int) -> Outcome:
    """Play one seed."""
    clock = Clock()
    limits = Limits(random.Random(seed))
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="tidings-", dir=place) as directory,
        clock.installed(seed),
        limits.applied(),
        asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner,
    ):
        return runner.run(_run(seed, clock, limits, Path(directory)))


async def _run(seed: int, clock: Clock, limits: Limits, directory: Path) -> Outcome:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    world = World(seed, clock, loop, limits, directory)
    loop.set_exception_handler(world.unhandled)
    begun = clock.now_s
    with _logs(world):
        playing = loop.create_task(play(world))
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
