"""The machine that the server runs on: processes that start, crash, drain and are restarted, and their database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starlette.routing import Router

from lab.simulation.disk import Disk, SimulatedCrew
from lab.simulation.network import Connection
from tidings.server.api.answer import not_found
from tidings.server.app import API_PREFIX, routes
from tidings.server.config import COMMIT_WAIT_MAX_S
from tidings.server.identity.tokens import TokenIdentity
from tidings.server.node import Node
from tidings.server.store import Committed, OnCommit, Store
from tidings.server.store.open import open_maintenance
from tidings.server.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from lab.simulation.world import World

LATE_HINT_S = 5.0


class SimulatedNode(Node):
    """One process: the product's node, and what is open in it."""

    def __init__(self, world: World, **parts: Any) -> None:
        rng = random.Random(world.rng.getrandbits(64))
        super().__init__(world.config, owns_process=True, rng=rng, **parts)
        self.identity = TokenIdentity(world.config, None, clock=world.clock.wall)
        self.world = world
        self.app = Router(routes(self, API_PREFIX), redirect_slashes=False, default=not_found)
        self.requests: dict[asyncio.Task[None], None] = {}
        self.connections: dict[Connection, None] = {}
        self.is_dead = False


class SqliteNode(SimulatedNode):
    """A node that is alone with its database, and whose hints may be lost, late, doubled and out of order."""

    def __init__(self, world: World) -> None:
        super().__init__(world, open_store=self.open_store)
        self.disk = Disk(random.Random(world.rng.getrandbits(64)), world.clock.monotonic, world.committed)
        self.crew = SimulatedCrew(world.loop, self.disk, world.host.crash)

    def open_store(self, _url: str, on_commit: OnCommit) -> Store:
        """The product's store, whose jobs are served by the loop and whose hints come as the seed wants."""

        def hint(event: Committed) -> None:
            if not self.is_dead:
                on_commit([event])

        def committed(events: Sequence[Committed]) -> None:
            rng, hints = self.disk.rng, self.world.limits.hints
            for event in events:
                fate = rng.random()
                if fate < hints.lost:
                    continue
                delay_s = rng.uniform(0.0, LATE_HINT_S) if fate < hints.lost + hints.late else 0.0
                for _ in range(2 if rng.random() < hints.doubled else 1):
                    if delay_s:
                        self.world.loop.call_later(delay_s, hint, event)
                    else:
                        hint(event)

        return SqliteStore(str(self.world.host.path), committed, self.crew)


N = TypeVar("N", bound=SimulatedNode)


class Serving(Generic[N]):
    """A place for one node's process: started, reached by requests, crashed, drained."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.node: N | None = None
        self.is_listening = False
        self.is_draining = False
        self.is_up = False  # from the end of its start to the beginning of its end
        self.disturbed_at = world.clock.now_s
        self._buried: list[asyncio.Task[Any]] = []

    def began(self) -> None:
        """The process that was started serves."""
        self.is_listening = self.is_up = True
        self.is_draining = False
        self.disturbed_at = self.world.clock.now_s

    def accept(self, connection: Connection) -> None:
        """A request arrives."""
        node = self.node
        if node is None or not self.is_listening:
            connection.abort()
            return
        connection.node = node
        connection.arrived()
        task = self.world.loop.create_task(self._serve(node, connection))
        node.requests[task] = None
        node.connections[connection] = None
        task.add_done_callback(lambda done: node.requests.pop(done, None))

    async def _serve(self, node: N, connection: Connection) -> None:
        try:
            await node.app(connection.scope, connection.receive, connection.send)
        except Exception as failure:
            self.world.wrong(f"{connection.who}: the application raised {failure!r}")
        finally:
            if not connection.is_detached:
                node.connections.pop(connection, None)
                connection.finished()

    def crash(self) -> None:
        """The process ends between two instructions: what is committed is kept, nothing else."""
        node = self.node
        if node is None or not self.is_up:
            return
        self.node = None
        self.world.trace("crash", len(node.requests))
        self.is_up = self.is_listening = self.is_draining = False
        self.disturbed_at = self.world.clock.now_s
        node.is_dead = True
        self.bury(node)

    def bury(self, node: N) -> None:
        """Nothing of the process reaches anything any more."""
        for connection in node.connections:
            connection.crash()
        for task in node.requests:
            task.cancel()
            self._buried.append(task)

    async def drain(self) -> None:
        """Stop as ``tidings serve`` does at SIGTERM (server/http/serve.py), and start again."""
        node = self.node
        if node is None or not self.is_up or self.is_draining:
            return
        self.world.trace("drain", len(node.requests))
        self.is_draining = True
        self.disturbed_at = self.world.clock.now_s
        await node.hub.drain(still_listens=True)
        if node.is_dead:
            return
        self.is_listening = False
        if node.requests:
            await asyncio.wait(list(node.requests), timeout=COMMIT_WAIT_MAX_S + 1)
        if node.is_dead:
            return
        for connection in list(node.connections):
            connection.abort()
        for task in node.requests:
            task.cancel()
        await self._stop(node)

    async def _stop(self, node: N) -> None:
        self.is_up = self.is_listening = False
        await node.stop()
        node.is_dead = True
        self.node = None
        self.is_draining = False
        self.world.trace("stopped")


class Host(Serving[SqliteNode]):
    """The machine of a node that is alone with its database: the parts that outlive the process."""

    def __init__(self, world: World, directory: Path) -> None:
        super().__init__(world)
        self.path = directory / "tidings.db"
        self.url = f"sqlite:///{self.path}"
        self.rewinds = 0
        self._copies: list[Path] = []

    @property
    def is_fine(self) -> bool:
        """It serves, and its disk works."""
        node, now = self.node, self.world.clock.now_s
        if node is None or not self.is_listening or self.is_draining or node.disk.has_failed:
            return False
        return max(node.disk.slow_until, node.disk.full_until) <= now

    async def start(self) -> None:
        """Start a process on the database as it is."""
        if self.node is not None:
            return
        self.world.trace("start")
        node = self.node = SqliteNode(self.world)
        await node.start()
        self.world.truth.open(str(self.path))
        self.began()

    def bury(self, node: SqliteNode) -> None:
        node.crew.die()
        at_once(node.store.close())
        super().bury(node)
        for task in asyncio.all_tasks(self.world.loop):
            if task.get_name() == "tidings" and task not in self._buried:  # what runs beside the requests
                task.cancel()
                self._buried.append(task)

    async def _stop(self, node: SqliteNode) -> None:
        await super()._stop(node)
        node.disk.dead = True

    async def heal(self) -> None:
        """A good disk, and a process that serves."""
        if self.node is not None:
            disk = self.node.disk
            disk.full_until = disk.slow_until = 0.0
            disk.fails_commits = disk.poisons = 0
            disk.breaks_commit = False
            disk.crash_at_commit = None
            if disk.has_failed:
                self.crash()
        while self.is_draining:  # noqa: ASYNC110  # a second more or less is nothing here
            await asyncio.sleep(0.5)
        if self.node is None:
            await self.start()
        self.disturbed_at = self.world.clock.now_s

    @property
    def has_copy(self) -> bool:
        """There is something to restore."""
        return bool(self._copies)

    def back_up(self) -> None:
        """Copy the database beside whoever serves it, with the operators' own command."""
        target = self.path.with_name(f"copy-{self.world.next_number()}.db")
        copied = open_maintenance(self.url).backup(str(target))
        self._copies.append(target)
        self.world.trace("backup", copied.users, copied.messages)

    def restore(self) -> None:
        """Put a copy in the database's place with the operators' own command: a new epoch."""
        self._replace(is_silent=False)

    def roll_back(self) -> None:
        """Put a copy there without a word, as a snapshot of a virtual machine does: the same epoch."""
        self._replace(is_silent=True)

    def _replace(self, *, is_silent: bool) -> None:
        assert self.node is None, "nobody serves it"
        if not self._copies:
            return
        copy = self.world.rng.choice(self._copies)
        self.world.truth.close()
        if is_silent:
            for ending in ("-wal", "-shm"):
                Path(f"{self.path}{ending}").unlink(missing_ok=True)
            shutil.copyfile(copy, f"{self.path}.partial")
            os.replace(f"{self.path}.partial", self.path)
        else:
            former = self.world.truth.epoch
            open_maintenance(self.url).restore(str(copy))
        self.rewinds += 1
        self.world.rewound(is_silent=is_silent)
        if not is_silent and self.world.truth.epoch == former:
            self.world.wrong("a restored database has the epoch of before: no cursor tells what was lost")
        # A copy of what no longer is the past cannot be told apart from it by any cursor.
        self._copies = []

    async def end(self) -> None:
        """Leave nothing behind."""
        if self.node is not None:
            self.crash()
        self.world.truth.close()
        if self._buried:
            await asyncio.wait(self._buried)


def at_once(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it to its end now: whatever it leaves to other threads happens at once here, so it waits for nothing."""
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
        raise AssertionError("it waits for something")
