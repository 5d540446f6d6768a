"""The writes of the simulated database: when a batch is committed, and what goes wrong with it.

A batch takes its locks one after the other and holds them until its commit, which is one moment. Where the standby is
away a commit waits for it, seen by nobody; when such a wait is cancelled, the commit stands here alone and is answered
with a warning, as PostgreSQL does.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import asyncpg

from lab.simulation.nodes import statements
from lab.simulation.nodes.connection import Connection
from lab.simulation.nodes.locks import Locks
from lab.simulation.nodes.process import Process
from lab.simulation.nodes.statements import Rows
from tidings.server.store.postgres.driver import LOCK_WAIT_MS, STATEMENT_WAIT_MAX_MS

if TYPE_CHECKING:
    from lab.simulation.nodes.world import NodesWorld

errors = asyncpg.exceptions
WORK_S = 0.004  # of a batch behind its locks


class Standby:
    """The other copy of the database, which a commit waits for."""

    def __init__(self) -> None:
        self.is_away = False
        self.waiting: list[asyncio.Future[None]] = []

    def come_back(self) -> None:
        """It has everything: let the commits go on."""
        self.is_away = False
        for each in self.waiting:
            if not each.done():
                each.set_result(None)
        self.waiting = []


class Commits:
    """All writes of one database."""

    def __init__(self, world: NodesWorld, rows: sqlite3.Connection, rng: random.Random) -> None:
        self.locks = Locks(world, rng)
        self.standby = Standby()
        self.loses = 0.0  # the share of batches whose connection breaks, before or after they are done
        self.conflicts = 0.0  # the share of batches that the database takes back by itself
        self._world = world
        self._rows = rows
        self._rng = rng
        self._awaited: dict[Process, asyncio.Future[None]] = {}

    def next_of(self, process: Process) -> asyncio.Future[None]:
        """A future that is done when a batch of this process is committed, and its answer has not left."""
        return self._awaited.setdefault(process, self._world.loop.create_future())

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.loses = self.conflicts = 0.0
        self.standby.come_back()

    async def write(
        self, connection: Connection, lock_wait_s: float, names: Sequence[str], work: Callable[[], Rows]
    ) -> Rows:
        """The rows of a batch that writes to these logs, and is committed by then.

        Raises:
            asyncpg.PostgresError: It was not done, or the connection ends.
        """
        fate, begun = self._rng.random(), self._world.clock.now_s
        try:
            try:
                async with asyncio.timeout(STATEMENT_WAIT_MAX_MS / 1000):
                    names = statements.in_lock_order(self._rows, names)
                    await self.locks.take(connection, names, lock_wait_s or LOCK_WAIT_MS / 1000)
                    await asyncio.sleep(self._rng.uniform(0.0, WORK_S))
                    if fate < self.conflicts:
                        raise self._rng.choice([errors.SerializationError, errors.DeadlockDetectedError])("injected")
                    if fate > 1.0 - self.loses:
                        connection.end(errors.ConnectionDoesNotExistError("connection was closed"))
                        if self._rng.random() < 0.5:
                            return []
                    await self._wait_for_standby(connection)
            except TimeoutError:
                if connection.waits is None:
                    raise errors.QueryCanceledError("canceling statement due to statement timeout") from None
                connection.warn()
            except asyncio.CancelledError:
                if connection.waits is not None:
                    self._commit_batch(connection, work)
                raise
            return self._commit_batch(connection, work)
        finally:
            connection.waits = None
            self.locks.release(connection)
            self._world.trace("write", f"{self._world.clock.now_s - begun:.4f}")

    def commit(self, work: Callable[[], Rows], by: Process | None = None) -> Rows:
        """The rows of some work, which is a transaction; by a node that has to tell of it, or by nobody."""
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            found = work()
            self._rows.execute("COMMIT")
        except BaseException:
            self._rows.execute("ROLLBACK")
            raise
        self._world.committed_by(by)
        return found

    def _commit_batch(self, connection: Connection, work: Callable[[], Rows]) -> Rows:
        found = self.commit(work, connection.process)
        awaited = self._awaited.pop(connection.process, None)
        if awaited is not None and not awaited.done():
            awaited.set_result(None)
        return found

    async def _wait_for_standby(self, connection: Connection) -> None:
        if self.standby.is_away:
            connection.waits = self._world.loop.create_future()
            self.standby.waiting.append(connection.waits)
            await connection.waits
            connection.waits = None
