"""The course of a run of several nodes: operations, and faults of nodes, database and bus between them."""

from __future__ import annotations

import asyncio
import contextlib
import random

from lab.simulation import plan
from lab.simulation.nodes.cluster import NodeServer
from lab.simulation.nodes.operations import OPERATION_WEIGHTS, some_server
from lab.simulation.nodes.world import Doubt, NodesWorld
from lab.simulation.plan import Step
from tidings.errors import Unavailable
from tidings.protocol.user_id import UserId

OPERATIONS = (70, 100)
FAULTS = (5, 11)
COMMIT_WITHIN_S = 5.0
WRITTEN_MEANWHILE = 12  # messages in the second in which one node after the other learns of an epoch


async def _commit_of(world: NodesWorld, server: NodeServer) -> None:
    """Return when the node has committed something and has not heard of it; without one after a while."""
    if server.process is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COMMIT_WITHIN_S):
                await world.host.database.commits.next_of(server.process)


async def kill(world: NodesWorld, rng: random.Random) -> None:
    """A node's process ends now, and is started again."""
    server = some_server(world, rng)
    if rng.random() < 0.5:
        await _commit_of(world, server)
    server.crash()
    await asyncio.sleep(rng.choice([0.0, 0.5, 6.0, 15.0]))
    await server.start()


async def drain(world: NodesWorld, rng: random.Random) -> None:
    """A new version is rolled out: one node after the other."""
    for server in world.host.servers if rng.random() < 0.5 else [some_server(world, rng)]:
        await server.drain()
        await asyncio.sleep(rng.choice([0.0, 1.0]))
        await server.start()


async def pause(world: NodesWorld, rng: random.Random) -> None:
    """A node takes no step for a while, mostly longer than the others wait for a word of it."""
    await some_server(world, rng).pause(rng.choice([0.5, 5.0, 8.0, 20.0]))


async def cut_off(world: NodesWorld, rng: random.Random) -> None:
    """One node has no way to the database, perhaps from the moment of a commit on, or none has."""
    database = world.host.database
    servers = world.host.servers if rng.random() < 0.3 else [some_server(world, rng)]
    if rng.random() < 0.6:
        await _commit_of(world, servers[0])
    away = [server.process for server in servers if server.process is not None]
    for process in away:
        database.cut(process, is_noticed=rng.random() < 0.5)
    await asyncio.sleep(rng.choice([0.5, 3.0, 12.0]))
    for process in away:
        database.reach(process)


async def restart_database(world: NodesWorld, rng: random.Random) -> None:
    """The database ends every connection, and comes back."""
    database = world.host.database
    database.stop()
    await asyncio.sleep(rng.choice([0.1, 2.0, 15.0]))
    database.start()


async def freeze_database(world: NodesWorld, rng: random.Random) -> None:
    """The database answers nobody for a while."""
    seconds = rng.choice([0.5, 4.0, 12.0])
    world.host.database.freeze(seconds)
    await asyncio.sleep(seconds)


async def lose_outcomes(world: NodesWorld, rng: random.Random) -> None:
    """Connections break while a commit is on its way; the database takes some transactions back by itself.

    The promise of a message that is acknowledged, or told of, holds meanwhile as ever.
    """
    commits = world.host.database.commits
    commits.loses, commits.conflicts = rng.choice([0.1, 0.3]), rng.choice([0.0, 0.2])
    await asyncio.sleep(rng.uniform(5.0, 40.0))
    commits.loses = commits.conflicts = 0.0


async def hold(world: NodesWorld, rng: random.Random) -> None:
    """Another program holds the log of somebody."""
    await world.host.database.hold(rng.choice(world.users), rng.choice([0.1, 1.0, 5.0, 12.0]))


async def lose_standby(world: NodesWorld, rng: random.Random) -> None:
    """The standby is away, and commits wait; it comes back, or takes the place of the database.

    It has all that anybody was told is stored. A device that has read other things begins anew.
    """
    host, database = world.host, world.host.database
    standby = database.commits.standby
    if world.doubt is not None or not database.is_up or standby.is_away:
        return
    source = host.path.with_name(f"standby-{world.next_number()}.db")
    database.back_up(source)
    database.disturb()
    standby.is_away = True
    await asyncio.sleep(rng.choice([0.5, 3.0, 10.0, 14.0]))
    database.disturb()
    if not standby.is_away or rng.random() < 0.5 or world.doubt is not None or not database.is_up:
        return standby.come_back()
    database.stop()
    await asyncio.sleep(rng.choice([0.1, 2.0]))
    await world.promote(source)
    database.start()


async def split(world: NodesWorld, rng: random.Random) -> None:
    """The bus carries between some nodes only, and says so to nobody."""
    wires = world.host.wires
    if wires.is_reliable:
        return
    wires.is_split = True
    await asyncio.sleep(rng.choice([1.0, 6.0, 20.0]))
    world.host.disturb()
    wires.is_split = False


async def lose_bus(world: NodesWorld, rng: random.Random) -> None:
    """The bus is down for all."""
    wires = world.host.wires
    if wires.is_reliable:
        return
    wires.go_down()
    await asyncio.sleep(rng.choice([0.5, 5.0, 15.0]))
    world.host.disturb()
    wires.is_down = False
    wires.heal()


async def trim(world: NodesWorld, rng: random.Random) -> None:
    """Retention passes those who stand far behind, on some node."""
    server = some_server(world, rng)
    if server.node is None or not server.is_fine:
        return
    older_than_ms = rng.choice([10_000, 120_000, 10**12])
    with world.loop.inside(server.process):
        trimming = world.loop.create_task(server.node.store.trim(older_than_ms, rng.choice([1, 3, 12, 10**6])))
    await asyncio.wait([trimming], timeout=60)
    if trimming.done() and not trimming.cancelled() and not isinstance(trimming.exception(), Unavailable | None):
        world.wrong(f"retention failed: {trimming.exception()!r}")


async def jump(world: NodesWorld, rng: random.Random) -> None:
    """The wall clock of one node, or of all and the database, jumps either way."""
    if world.revokes:  # a token that comes after a revocation would be of before
        return
    if rng.random() < 0.5:
        await plan.jump(world, rng)
    else:
        server = some_server(world, rng)
        server.skew_s = rng.choice([-30.0, 0.0, 45.0, 3600.0])
        if server.process is not None:
            server.process.skew_s = server.skew_s


async def back_up(world: NodesWorld, rng: random.Random) -> None:
    """The operator makes a copy."""
    world.host.back_up()


async def restore(world: NodesWorld, rng: random.Random) -> None:
    """The database goes back to a copy while the nodes run, by the operator's command or silently."""
    host = world.host
    if world.doubt is not None:
        return
    if not host.copies:
        host.back_up()
        await asyncio.sleep(rng.uniform(0.0, 30.0))
    if world.doubt is not None or not host.copies or not host.database.is_up or host.database.commits.standby.is_away:
        return
    is_silent = rng.random() < 0.6
    source, former = rng.choice(host.copies), world.truth.epoch
    host.database.stop()
    await asyncio.sleep(rng.choice([0.1, 1.0, 6.0]))
    witnesses = world.witnesses(source)
    if is_silent and not witnesses:
        host.database.start()
        return
    host.copies = []
    host.rewinds += 1
    host.database.restore(source, is_silent=is_silent)
    world.rewound(is_silent=is_silent)
    if is_silent:
        world.doubt = Doubt(former, witnesses, world.clock.now_s)
    host.database.start()


async def begin_epoch(world: NodesWorld, rng: random.Random) -> None:
    """The operator begins a new epoch while the nodes run and people write; nothing else of the database changes."""
    database = world.host.database
    if world.doubt is not None or not database.is_up or database.commits.standby.is_away:
        return
    world.host.copies = []  # of the former epoch: none of them can take its place without a word
    database.begin_epoch()
    for _ in range(WRITTEN_MEANWHILE):
        await plan.say(world, rng)
        await asyncio.sleep(rng.uniform(0.0, 0.2))


async def revoke(world: NodesWorld, rng: random.Random) -> None:
    """Some node is told to end all sign-ins of a user.

    It is one whose clock is not ahead: it would refuse the user until that time has come.
    """
    able = [each for each in world.host.servers if each.is_fine and each.process is not None and each.skew_s <= 0]
    if not world.revokes or not able:
        return
    server, user = rng.choice(able), UserId(rng.choice(world.users))
    assert server.node is not None
    world.endings.revoked(user)
    with world.loop.inside(server.process):
        revoking = world.loop.create_task(server.node.revoke(user))
    await asyncio.wait([revoking], timeout=60)
    if not revoking.done() or revoking.cancelled():
        return
    if revoking.exception() is None:
        world.endings.kept(user)
    elif not isinstance(revoking.exception(), Unavailable):
        world.wrong(f"a revocation failed: {revoking.exception()!r}")


FAULT_WEIGHTS: list[tuple[Step, float]] = [
    *(
        (step, weight / 2)
        for step, weight in plan.FAULT_WEIGHTS
        if step in (plan.cut, plan.part, plan.stall, plan.lose)
    ),
    (kill, 3),
    (drain, 1),
    (pause, 2),
    (cut_off, 2),
    (restart_database, 1.5),
    (freeze_database, 1),
    (lose_outcomes, 2),
    (hold, 1.5),
    (lose_standby, 1),
    (split, 1),
    (lose_bus, 1),
    (trim, 1),
    (jump, 0.5),
    (back_up, 1),
    (restore, 2.5),
    (begin_epoch, 1.5),
    (revoke, 1),
]


async def play(world: NodesWorld) -> None:
    """The whole run."""
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(world.look_for_ever())
        await plan.play(
            world,
            operations=OPERATIONS,
            operation_weights=OPERATION_WEIGHTS,
            faults=FAULTS,
            fault_weights=FAULT_WEIGHTS,
        )
        looking.cancel()
