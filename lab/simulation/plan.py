"""The course of a run, drawn from its seed: operations of people and devices, and faults between them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lab.simulation.device import Device
from lab.simulation.ending import calm
from lab.simulation.world import World
from tidings.client import call
from tidings.errors import Unavailable

OPERATIONS = (200, 260)
FAULTS = (6, 16)
CALMS = (1, 3)

Step = Callable[[Any, random.Random], Awaitable[None]]  # of a world, one node's or several nodes'


def device_that_is_on(world: World, rng: random.Random) -> Device | None:
    """Some device whose program runs."""
    running = [device for device in world.devices if device.is_on]
    return rng.choice(running) if running else None


async def say(world: World, rng: random.Random) -> None:
    """Somebody writes, sometimes several times at once."""
    if (device := device_that_is_on(world, rng)) is not None:
        for _ in range(rng.choice([1, 1, 1, 1, 1, 5])):
            peer = rng.choice([user for user in world.users if user != device.user])
            device.spawn(device.say(peer))


async def mark(world: World, rng: random.Random) -> None:
    """Somebody reads, or a device tells what it has received."""
    if (device := device_that_is_on(world, rng)) is not None:
        peer = rng.choice([user for user in world.users if user != device.user])
        device.spawn(device.mark(peer, is_read=rng.random() < 0.5))


async def repeat(world: World, rng: random.Random) -> None:
    """A send that was acknowledged is sent again."""
    if (device := device_that_is_on(world, rng)) is not None:
        mine = [client_id for user, client_id in world.acknowledged if user == device.user]
        if mine:
            work = device.repeat if rng.random() < 0.7 else device.reuse
            device.spawn(work(rng.choice(mine)))


async def look_up(world: World, rng: random.Random) -> None:
    """Somebody turns pages, or types."""
    if (device := device_that_is_on(world, rng)) is None:
        return
    peer = rng.choice([user for user in world.users if user != device.user])
    last = len(world.truth.between(device.user, peer))
    before, after = rng.choice([(None, None), (rng.randint(0, last + 2), None), (None, rng.randint(0, last + 2))])
    history = call.history(peer, before, after, rng.choice([None, 1, 7]))
    calls: list[call.Call[Any]] = [history, call.inbox(None, 2), call.typing(peer)]
    device.spawn(device.look_up(rng.choice(calls)))


async def save(world: World, rng: random.Random) -> None:
    """A device writes to its disk."""
    rng.choice(world.devices).save()


async def wait(world: World, rng: random.Random) -> None:
    """Nothing for a while."""
    await asyncio.sleep(rng.choice([5.0, 16.0, 40.0]))


async def rush(world: World, rng: random.Random) -> None:
    """Devices come back, or read late, while others write; and then nobody says anything for a while."""
    for device in rng.sample(world.devices, rng.randint(1, len(world.devices))):
        how = rng.randrange(3)
        if how > 0:
            device.link.cut(is_noticed=True)
        else:
            device.link.stall(1.5)
        if how > 1:
            device.link.bytes_per_s = 400.0
            world.loop.call_later(rng.uniform(3.0, 6.0), device.link.heal)
    for _ in range(rng.randint(1, 6)):
        await say(world, rng)
        await asyncio.sleep(rng.uniform(0.0, 1.0))
    await asyncio.sleep(30.0)


async def switch(world: World, rng: random.Random) -> None:
    """A device is switched on or off; it goes on from its disk, or is a new one."""
    device = rng.choice(world.devices)
    if device.is_on and rng.random() < 0.5:
        await device.crash()
        if rng.random() < 0.15:
            device.forget()
    device.start()


OPERATION_WEIGHTS: list[tuple[Step, float]] = [
    (say, 10),
    (mark, 4),
    (repeat, 1),
    (look_up, 1.5),
    (save, 1),
    (wait, 0.4),
    (rush, 0.4),
    (switch, 1),
]


async def cut(world: World, rng: random.Random) -> None:
    """A connection breaks; the server notices, or keeps a half-open one."""
    rng.choice(world.devices).link.cut(is_noticed=rng.random() < 0.5)


async def part(world: World, rng: random.Random) -> None:
    """A device has no network for a while."""
    link = rng.choice(world.devices).link
    link.cut(is_noticed=rng.random() < 0.3)
    link.is_down = True
    world.loop.call_later(rng.uniform(1.0, 60.0), link.heal)


async def stall(world: World, rng: random.Random) -> None:
    """A device's bytes stop, and nothing is closed."""
    link = rng.choice(world.devices).link
    seconds = rng.choice([2.0, 25.0, 80.0])
    link.stall(seconds)
    world.loop.call_later(seconds, link.heal)


async def slow_down(world: World, rng: random.Random) -> None:
    """A device reads slowly for a while."""
    link = rng.choice(world.devices).link
    link.bytes_per_s = rng.choice([50.0, 400.0])
    world.loop.call_later(rng.uniform(5.0, 60.0), link.heal)


async def lose(world: World, rng: random.Random) -> None:
    """Requests and answers are lost, or come when nobody waits any more."""
    for device in rng.sample(world.devices, rng.randint(1, len(world.devices))):
        device.link.loses = rng.choice([0.1, 0.3])
        world.loop.call_later(rng.uniform(5.0, 60.0), device.link.heal)


async def crash(world: World, rng: random.Random) -> None:
    """The server's process ends now, or at its next COMMIT; it is started again."""
    node = world.host.node
    if node is not None and rng.random() < 0.6:
        node.disk.crash_at_commit = rng.choice(["before", "after"])
    else:
        world.host.crash()
    await _start_later(world, rng)


async def _start_later(world: World, rng: random.Random) -> None:
    await asyncio.sleep(rng.choice([0.0, 0.5, 10.0]))
    await world.host.start()


async def drain(world: World, rng: random.Random) -> None:
    """A new version is rolled out."""
    await world.host.drain()
    await _start_later(world, rng)


async def fill(world: World, rng: random.Random) -> None:
    """The disk is full, slow, or one write cannot be done."""
    if (node := world.host.node) is None:
        return
    now, fate = world.clock.now_s, rng.randrange(5)
    if fate == 0:
        node.disk.full_until = now + rng.uniform(1.0, 20.0)
    elif fate == 1:
        node.disk.fails_commits = rng.randint(1, 3)
    elif fate == 2:
        world.poisoned += 1
        node.disk.poisons = rng.randint(1, 3)
    elif fate == 3:
        world.slowed += 1
        node.disk.slow_until = now + rng.uniform(5.0, 40.0)
    else:
        node.disk.breaks_commit = True
        await asyncio.sleep(rng.uniform(1.0, 20.0))
        if node.disk.has_failed:  # /readyz is red: whoever looks after it restarts it
            world.host.crash()
        await _start_later(world, rng)
    world.host.disturbed_at = max(world.host.disturbed_at, now, node.disk.full_until, node.disk.slow_until)


async def trim(world: World, rng: random.Random) -> None:
    """Retention passes those who stand far behind."""
    if (node := world.host.node) is None or not world.host.is_listening:
        return
    older_than_ms = rng.choice([10_000, 120_000, 10**12])
    try:
        async with asyncio.timeout(60):
            await node.store.trim(older_than_ms, rng.choice([1, 3, 12, 10**6]))
    except (Unavailable, TimeoutError):
        pass


async def jump(world: World, rng: random.Random) -> None:
    """The wall clock jumps, either way."""
    seconds = rng.choice([-7200.0, -30.0, -0.5, 0.7, 45.0, 7200.0])
    world.trace("jump", seconds)
    world.clock.wall_offset_s += seconds


async def back_up(world: World, rng: random.Random) -> None:
    """The operator makes a copy."""
    if world.host.node is not None:
        world.host.back_up()


async def restore(world: World, rng: random.Random) -> None:
    """A copy takes the database's place, by the operator's command or silently."""
    host = world.host
    if not host.has_copy and host.node is not None:
        host.back_up()
        await asyncio.sleep(rng.uniform(0.0, 30.0))
    away = [device for device in world.devices if device.is_on and rng.random() < 0.3]
    for device in away:  # they come back when the log has perhaps grown beyond their place
        await device.crash()
        world.loop.call_later(rng.uniform(1.0, 60.0), device.start)
    if rng.random() < 0.5:
        await host.drain()
    host.crash()
    if host.node is not None:
        return
    if rng.random() < 0.5:
        host.restore()
    else:
        for device in world.devices:
            device.link.cut(is_noticed=True)
        host.roll_back()
        for device in world.devices:
            if world.is_phantom(device) or device.is_loading:
                await device.crash()
                device.forget()
                if device not in away:
                    device.start()
    await _start_later(world, rng)


FAULT_WEIGHTS: list[tuple[Step, float]] = [
    (cut, 2),
    (part, 2),
    (stall, 1.5),
    (slow_down, 1),
    (lose, 2),
    (crash, 3),
    (drain, 1),
    (fill, 2),
    (trim, 2),
    (jump, 1),
    (back_up, 1.5),
    (restore, 1.5),
]


async def play(
    world: World,
    *,
    operations: tuple[int, int] = OPERATIONS,
    operation_weights: Sequence[tuple[Step, float]] = OPERATION_WEIGHTS,
    faults: tuple[int, int] = FAULTS,
    fault_weights: Sequence[tuple[Step, float]] = FAULT_WEIGHTS,
) -> None:
    """The whole run: start, operations with faults and calms between them, and the calm at the end."""
    rng = world.rng
    await world.host.start()
    for device in world.devices:
        device.start()
    count = rng.randint(*operations)
    at = {rng.randrange(count): calm for _ in range(rng.randint(*CALMS))}
    steps, weights = zip(*operation_weights, strict=True)
    wanted = [weight * rng.choice([0.3, 1.0, 2.0]) for weight in weights]
    kinds, weights = zip(*fault_weights, strict=True)
    fault_wanted = [weight * rng.choice([0.0, 1.0, 1.0, 3.0]) for weight in weights]
    fault_at = {rng.randrange(count): rng.choices(kinds, fault_wanted)[0] for _ in range(rng.randint(*faults))}
    pace_s = rng.choice([0.05, 0.3, 1.5])
    background: dict[asyncio.Task[None], None] = {}
    for number in range(count):
        fault = fault_at.get(number)
        if fault is not None:
            world.faults[fault.__name__] += 1
            world.trace("fault", fault.__name__)
            task = world.loop.create_task(fault(world, rng))
            background[task] = None
            task.add_done_callback(lambda done: background.pop(done, None))
        step = rng.choices(steps, wanted)[0]
        world.operations += 1
        world.trace("operation", number, step.__name__)
        await step(world, rng)
        await asyncio.sleep(rng.expovariate(1 / pace_s))
        world.look()
        if number in at:
            await _finish(background)
            await calm(world)
    await _finish(background)
    await calm(world)


async def _finish(background: dict[asyncio.Task[None], None]) -> None:
    while background:
        await asyncio.wait(list(background))
