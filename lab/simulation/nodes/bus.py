"""A bus between the nodes that loses, doubles, delays and reorders, splits, and goes away; or one that does not.

It takes the place of NATS. The other bus of a run is the product's own, over the LISTEN and NOTIFY of the simulated
database. Where parcels are lost the nodes sweep, and a sweep makes up for a hint that nobody gave. So in a part of the
runs the bus loses nothing, and an event must come within the time that a hint takes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.simulation.nodes.process import Process

if TYPE_CHECKING:
    from lab.simulation.nodes.world import NodesWorld

LOST_IN_A_ROW_MAX = 3  # of one way, while nothing else is wrong: a beat a second tells of a loss
LATE_S = 2.0
RELIABLE = 0.5  # the share of runs in which it loses nothing


class Wires:
    """All that is between the nodes."""

    def __init__(self, world: NodesWorld) -> None:
        self.world = world
        self.rng = random.Random(world.rng.getrandbits(64))
        self.is_reliable = self.rng.random() < RELIABLE
        self.lost = 0.0 if self.is_reliable else self.rng.choice([0.0, 0.1, 0.3])
        self.late = 0.0 if self.is_reliable else self.rng.choice([0.0, 0.1])
        self.doubled = 0.0 if self.is_reliable else self.rng.choice([0.0, 0.1])
        self.body_size_max_bytes = self.rng.choice([600, 1 << 20])
        self.is_split = False  # into the even and the odd, and nobody is told
        self.is_down = False
        self.ends: list[UnreliableBus] = []

    @property
    def is_fine(self) -> bool:
        """It is no worse than usual."""
        return not self.is_split and not self.is_down

    def open(self, *_of: object) -> UnreliableBus:
        """In the place of ``open_bus``: the end of the process whose step this is."""
        process = self.world.loop.process
        assert process is not None
        end = UnreliableBus(self, process, len(self.ends))
        self.ends.append(end)
        return end

    def go_down(self) -> None:
        """Every node loses its connection."""
        self.is_down = True
        for end in self.ends:
            end.trouble = "it is down"

    def heal(self) -> None:
        """No split; every node has a connection again."""
        self.is_split = self.is_down = False
        for end in self.ends:
            end.come_back()

    def carry(self, source: UnreliableBus, body: bytes) -> None:
        """Bring it to every other node, or to its own, as a bus does."""
        self.ends = [end for end in self.ends if not end.process.is_dead]
        for end in self.ends:
            if self.is_split and (end.number + source.number) % 2:
                continue
            if self.rng.random() < self.lost and source.lost.get(end, 0) < LOST_IN_A_ROW_MAX:
                source.lost[end] = source.lost.get(end, 0) + 1
                continue
            source.lost[end] = 0
            for _ in range(2 if self.rng.random() < self.doubled else 1):
                is_late = self.rng.random() < self.late
                delay_s = self.rng.uniform(0.0, LATE_S) if is_late else self.rng.uniform(0.0001, 0.003)
                with self.world.loop.inside(end.process):
                    self.world.loop.call_later(delay_s, end.hear, body)


class UnreliableBus:
    """One node's end."""

    def __init__(self, wires: Wires, process: Process, number: int) -> None:
        self.process = process
        self.number = number
        self.body_size_max_bytes = wires.body_size_max_bytes
        self.dropped = 0
        self.trouble = "it is not connected yet"
        self.lost: dict[UnreliableBus, int] = {}
        self._wires = wires
        self._heard: Callable[[bytes], None] | None = None
        self._came_back: Callable[[], None] = lambda: None

    async def run(self, heard: Callable[[bytes], None], came_back: Callable[[], None]) -> None:
        self._heard, self._came_back = heard, came_back
        self.come_back()
        await asyncio.get_running_loop().create_future()

    def publish(self, body: bytes) -> None:
        if not self.trouble and not self.process.is_dead:
            self._wires.carry(self, body)

    def come_back(self) -> None:
        """It has a connection again, unless the bus is down."""
        if self._heard is not None and self.trouble and not self._wires.is_down and not self.process.is_dead:
            self.trouble = ""
            with self._wires.world.loop.inside(self.process):
                self._wires.world.loop.call_soon(self._came_back)

    def hear(self, body: bytes) -> None:
        """A parcel arrives."""
        if not self.trouble and not self.process.is_dead and self._heard is not None:
            self._heard(body)
