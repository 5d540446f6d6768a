"""The nodes, and what stands before them: each request goes to any that takes it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.simulation.network import Connection
from lab.simulation.nodes.bus import Wires
from lab.simulation.nodes.database import Database
from lab.simulation.nodes.process import Process
from lab.simulation.server import Serving, SimulatedNode
from tidings.errors import DatabaseAway, TidingsError
from tidings.server.store import Committed, OnCommit, Store
from tidings.server.store.open import open_store

if TYPE_CHECKING:
    from lab.simulation.nodes.world import NodesWorld

URL = "postgresql://app@simulated/chat"
RESTART_PAUSE_S = 1.0  # of whoever starts a process that could not start
CONNECTED_WITHIN_S = 3.0  # to a database whose way is free again: packets that were lost are sent again after some time
NOTICED_S = 1.0  # a balancer sends to a node that has gone for so long


class ClusterNode(SimulatedNode):
    """One of several nodes."""

    def __init__(self, world: NodesWorld, process: Process) -> None:
        open_bus = {} if world.host.uses_notify else {"open_bus": world.host.wires.open}
        super().__init__(world, open_store=self.open_store, **open_bus)
        self.process = process
        self.last_commit: Committed | None = None
        self._world = world

    def open_store(self, url: str, on_commit: OnCommit) -> Store:
        """The product's store, with a look at what it tells."""

        def committed(events: Sequence[Committed]) -> None:
            if self.is_dead:
                return
            if not self._world.doubts(self):
                for user, event in events:
                    row = self._world.truth.row(user, event.position)
                    if row is None or row.tag != event.tag:
                        self._world.wrong(f"I1: {self.process.name} tells of {user} {event.position}, not committed")
            for user, event in events:
                self._world.told_at[user, event.position, event.tag] = self._world.clock.now_s
            self.last_commit = events[-1]
            on_commit(events)

        return open_store(url, committed)


class NodeServer(Serving[ClusterNode]):
    """The machine of one node."""

    world: NodesWorld

    def __init__(self, world: NodesWorld, name: str) -> None:
        super().__init__(world)
        self.name = name
        self.skew_s = world.rng.choice([0.0, -0.4, 7.0, 3600.0])
        self.process: Process | None = None
        self.gone_at = world.clock.now_s
        self._is_starting = False

    @property
    def is_fine(self) -> bool:
        """It serves."""
        return self.is_listening and not self.is_draining and not self.is_paused

    @property
    def is_paused(self) -> bool:
        """It takes no step."""
        return self.process is not None and self.process.is_paused

    async def start(self) -> None:
        """Start a process, again and again until it serves."""
        if self.node is not None or self._is_starting:
            return
        self._is_starting = True
        try:
            while self.node is None:
                await self._start_once()
        finally:
            self._is_starting = False

    async def _start_once(self) -> None:
        self.world.trace("start", self.name)
        process = Process(self.world.loop, self.name, self.skew_s)
        with self.world.loop.inside(process):
            node = ClusterNode(self.world, process)
            starting = self.world.loop.create_task(node.start())
        try:
            await starting
        except TidingsError as failure:
            self.world.trace("not started", self.name, str(failure))
            if not isinstance(failure, DatabaseAway):
                self.world.wrong(f"{self.name} does not start: {failure}")
            self._buried += process.die()
            await asyncio.sleep(RESTART_PAUSE_S)
            return
        self.node, self.process = node, process
        self.began()

    def accept(self, connection: Connection) -> None:
        """A request arrives."""
        with self.world.loop.inside(self.process):
            super().accept(connection)

    def crash(self) -> None:
        self.gone_at = self.world.clock.now_s
        super().crash()

    def bury(self, node: ClusterNode) -> None:
        super().bury(node)
        self._buried += node.process.die()
        self.process = None

    async def drain(self) -> None:
        """As the one-node server's, in the node's own process."""
        if self.is_paused:
            return
        with self.world.loop.inside(self.process):
            draining = self.world.loop.create_task(super().drain())
        await asyncio.wait([draining])
        self.gone_at = self.world.clock.now_s

    async def _stop(self, node: ClusterNode) -> None:
        await super()._stop(node)
        self.process = None
        node.process.is_dead = True  # and whatever it forgot to end stays as it is

    async def pause(self, seconds: float) -> None:
        """Stop every step of it for so long."""
        process = self.process
        if process is None or process.is_paused:
            return
        self.world.trace("pause", self.name, seconds)
        self.disturbed_at = self.world.clock.now_s
        process.pause()
        await asyncio.sleep(seconds)
        self.go_on(process)

    def go_on(self, process: Process) -> None:
        """End a pause."""
        if process.is_paused:
            self.world.trace("go on", self.name)
            self.disturbed_at = self.world.clock.now_s
            process.go_on()


class Cluster:
    """All nodes, their database and their bus: what a run of one node has as its ``Host``."""

    def __init__(self, world: NodesWorld, directory: Path) -> None:
        self.world = world
        self.path = directory / "database.db"
        self.url = URL
        self.database = Database(world, self.path)
        self.wires = Wires(world)
        self.servers = [NodeServer(world, f"n{number}") for number in range(world.rng.choice([2, 2, 3, 4]))]
        self.uses_notify = not self.wires.is_reliable and world.rng.random() < 0.4
        self.rewinds = 0
        self._disturbed_at = world.clock.now_s
        self.copies: list[Path] = []
        self.rng = random.Random(world.rng.getrandbits(64))

    @property
    def nodes(self) -> list[ClusterNode]:
        """Those that serve."""
        return [server.node for server in self.servers if server.node is not None]

    @property
    def is_listening(self) -> bool:
        """Some node takes requests."""
        return any(server.is_listening for server in self.servers)

    @property
    def is_fine(self) -> bool:
        """All of it works as it should."""
        return (
            all(server.is_fine for server in self.servers)
            and self.database.is_fine
            and self.wires.is_fine
            and self.world.doubt is None
        )

    @property
    def disturbed_at(self) -> float:
        """When something was done to any part of it last."""
        return max(self._disturbed_at, self.database.disturbed_at, *(each.disturbed_at for each in self.servers))

    def prompt_since(self, node: object) -> float | None:
        """Since when this node hears and tells all at once; None where something is in the way, or it is none.

        Faults elsewhere are not: another node's, or those of its way to the database.
        """
        server = next((each for each in self.servers if each.node is node), None)
        if not self.wires.is_reliable or server is None or server.process is None or not server.is_fine:
            return None
        if not self.database.answers(server.process) or self.world.doubts(server.node):
            return None
        connected_at = self.database.disturbed_for(server.process) + CONNECTED_WITHIN_S
        return max(self._disturbed_at, server.disturbed_at, connected_at)

    def node_of(self, process: Process) -> ClusterNode | None:
        """The node that runs in a process, while it serves."""
        return next((each.node for each in self.servers if each.process is process), None)

    def disturb(self) -> None:
        """Something is done to it now."""
        self._disturbed_at = self.world.clock.now_s

    async def start(self) -> None:
        """Start all nodes."""
        self.world.truth.open(str(self.path))
        await asyncio.gather(*(server.start() for server in self.servers))

    def accept(self, connection: Connection) -> None:
        """A request goes to any node; sometimes still to one that has just gone."""
        now = self.world.clock.now_s
        able = [each for each in self.servers if each.is_listening or now - each.gone_at < NOTICED_S]
        if able:
            self.rng.choice(able).accept(connection)
        else:
            connection.abort()

    def back_up(self) -> None:
        """Copy the database."""
        target = self.path.with_name(f"copy-{self.world.next_number()}.db")
        self.database.back_up(target)
        self.copies.append(target)
        self.world.trace("backup")

    async def heal(self) -> None:
        """A database, a bus, and nodes that work."""
        self.disturb()
        self.database.heal()
        self.wires.heal()
        for server in self.servers:
            if server.process is not None:
                server.go_on(server.process)
        for server in self.servers:
            while server.is_draining or server._is_starting:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
            await server.start()
        self.disturb()

    async def end(self) -> None:
        """Leave nothing behind."""
        for server in self.servers:
            server.crash()
        self.database.close()
        self.world.truth.close()
        await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0)), *(t for s in self.servers for t in s._buried)])
