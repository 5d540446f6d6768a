"""Locks on logs, as a database gives them: one holder each, and whoever waits gets it in turn.

Two that wait for each other are a defect of the product, whose batches take their locks in one order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from lab.simulation.nodes.world import NodesWorld

errors = asyncpg.exceptions
STEP_S = 0.0005  # between two locks of one batch


class Locks:
    """The locks of one database, by the name of the log's owner."""

    def __init__(self, world: NodesWorld, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._holders: dict[str, object] = {}
        self._queues: dict[str, list[tuple[object, asyncio.Future[None]]]] = {}
        self._waits_for: dict[object, str] = {}

    def is_held(self, name: str, *, but_by: object = None) -> bool:
        """Somebody has this lock, and it is not this one."""
        return self._holders.get(name) not in (None, but_by)

    def hold(self, holder: object, name: str) -> None:
        """Take a lock that is free."""
        self._holders[name] = holder

    async def take(self, holder: object, names: Sequence[str], wait_s: float) -> None:
        """Take one after the other, waiting so long for each.

        Raises:
            LockNotAvailableError: That was too short.
            DeadlockDetectedError: The one that has it waits for this holder.
        """
        for name in names:
            if self._holders.get(name) is holder:
                continue
            if name in self._holders:
                await self._wait_for(holder, name, wait_s)
            self.hold(holder, name)
            await asyncio.sleep(self._rng.uniform(0.0, STEP_S))

    async def _wait_for(self, holder: object, name: str, wait_s: float) -> None:
        self._waits_for[holder] = name
        seen, at = [holder], self._holders[name]
        while at in self._waits_for:
            seen.append(at)
            at = self._holders.get(self._waits_for[at])
            if at in seen:
                self._world.wrong("a deadlock: two batches take their locks in different orders")
                raise errors.DeadlockDetectedError("deadlock detected")
        waiter = self._world.loop.create_future()
        self._queues.setdefault(name, []).append((holder, waiter))
        try:
            async with asyncio.timeout(wait_s):
                await waiter
        except TimeoutError:
            raise errors.LockNotAvailableError("canceling statement due to lock timeout") from None
        finally:
            self._waits_for.pop(holder, None)

    def release(self, holder: object) -> None:
        """Give back all that it has, each to the next who waits."""
        for name in [name for name, each in self._holders.items() if each is holder]:
            del self._holders[name]
            queue = self._queues.get(name, [])
            while queue:
                following, waiter = queue.pop(0)
                if not waiter.done():
                    self._holders[name] = following
                    waiter.set_result(None)
                    break
