"""The operations of a run of several nodes: those of one node's run, an application that enqueues, and what shows a
hint that nobody gave.
"""

from __future__ import annotations

import asyncio
import random

from lab.simulation import plan
from lab.simulation.nodes.cluster import NodeServer
from lab.simulation.nodes.world import NodesWorld
from lab.simulation.plan import Step

ALONE_S = 5.0
SAID_UNTIL_STRUCK = 8  # requests of which one may meet the node


def some_server(world: NodesWorld, rng: random.Random) -> NodeServer:
    """The machine of some node, whether it serves or not."""
    return rng.choice(world.host.servers)


async def enqueue(world: NodesWorld, rng: random.Random) -> None:
    """The application has some messages sent, in transactions of its own."""
    if world.host.database.is_fine:
        for _ in range(rng.choice([1, 1, 4])):
            world.application.enqueue(*rng.sample(world.users, 2), is_notified=rng.random() < 0.8)


async def say_alone(world: NodesWorld, rng: random.Random) -> None:
    """Somebody writes, or reads, and then nobody does: no later event brings along one that was not told."""
    await (plan.say if rng.random() < 0.7 else plan.mark)(world, rng)
    await asyncio.sleep(ALONE_S)


async def lose_answer(world: NodesWorld, rng: random.Random) -> None:
    """A node is cut off between a commit and its answer, while nobody else says anything.

    A sender that sends again is told by another node that it is stored; and the node tells of it when it is back.
    """
    server, database = some_server(world, rng), world.host.database
    process = server.process
    if process is None or not world.host.is_fine:
        return
    struck = database.commits.next_of(process)
    for _ in range(SAID_UNTIL_STRUCK):
        await (plan.say if rng.random() < 0.7 else plan.mark)(world, rng)
        await asyncio.wait([struck], timeout=0.5)
        if struck.done():
            database.cut(process, is_noticed=rng.random() < 0.7)
            await asyncio.sleep(rng.choice([0.5, 10.0, 10.0]))
            database.reach(process)
            return await asyncio.sleep(8.0)


OPERATION_WEIGHTS: list[tuple[Step, float]] = [
    *plan.OPERATION_WEIGHTS,
    (enqueue, 1),
    (say_alone, 0.8),
    (lose_answer, 0.6),
]
