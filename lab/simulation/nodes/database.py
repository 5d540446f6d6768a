"""The database of all nodes, as asyncpg shows it: connections, and what goes wrong with them.

``statements`` has the meaning of each statement, ``commits`` when a batch is done, ``locks`` who waits for whom. Here
stands who reaches it. A statement that arrived is done, whether or not somebody still waits for it; then its answer
travels back, or is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import sqlite3
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from lab.simulation.nodes import outbox, statements
from lab.simulation.nodes.commits import Commits
from lab.simulation.nodes.connection import Connection
from lab.simulation.nodes.process import Process
from lab.simulation.nodes.statements import Rows
from tidings.server.store.postgres.driver import CONNECT_WAIT_MAX_S
from tidings.server.store.postgres.schema import known_version, new_epoch
from tidings.server.store.sqlite.file import connect, migrate

if TYPE_CHECKING:
    from lab.simulation.nodes.world import NodesWorld

errors = asyncpg.exceptions
SENT_AGAIN_S = (1.0, 2.0, CONNECT_WAIT_MAX_S - 3.0)  # the first packet of a connection, when no answer came


class Database:
    """One database server."""

    def __init__(self, world: NodesWorld, path: Path) -> None:
        self.world = world
        self.rng = random.Random(world.rng.getrandbits(64))
        self.is_up = True
        self.frozen_until = 0.0
        self.unreached: dict[Process, None] = {}  # processes that have no way to it
        self.latency_s = self.rng.choice([0.0002, 0.002, 0.02])
        self.erasures = 0
        self.retention = statements.Retention()
        self.rows = connect(_created(path))
        self.commits = Commits(world, self.rows, self.rng)
        self._disturbed: dict[Process | None, float] = {None: world.clock.now_s}  # None: for all
        self._connections: dict[Connection, None] = {}
        self._foreign = 0  # logs that another program holds
        self._lost: list[asyncio.Future[None]] = []

    @property
    def is_fine(self) -> bool:
        """Everybody reaches it, and it answers and commits."""
        return (
            self.is_up
            and not self.unreached
            and not self.commits.standby.is_away
            and self.frozen_until <= self.world.clock.now_s
            and not self._foreign
            and not any(self._is_unheard(connection) for connection in self._connections)
        )

    def answers(self, process: Process) -> bool:
        """Whether this process reaches it, and it answers what is read."""
        return (
            self.is_up
            and process not in self.unreached
            and self.frozen_until <= self.world.clock.now_s
            and not any(self._is_unheard(each) for each in self._connections if each.process is process)
        )

    @staticmethod
    def _is_unheard(connection: Connection) -> bool:
        return connection.is_unheard and not connection.process.is_dead

    @property
    def disturbed_at(self) -> float:
        """When something was done to it last."""
        return max(self.frozen_until, *self._disturbed.values())

    def disturbed_for(self, process: Process) -> float:
        """Likewise, to all of it or to its way to this process."""
        return max(self.frozen_until, self._disturbed[None], self._disturbed.get(process, 0.0))

    # What goes wrong.

    def disturb(self, process: Process | None = None) -> None:
        """Note that something was done to it now, or only to its way to this process."""
        self._disturbed[process] = self.world.clock.now_s

    def stop(self) -> None:
        """End every connection: what is committed is, and nothing else."""
        self.disturb()
        self.is_up = False
        for connection in list(self._connections):
            connection.kill(errors.AdminShutdownError("terminating connection due to administrator command"))

    def freeze(self, seconds: float) -> None:
        """Answer nobody for so long. One freeze does not end another: what travels waits for that."""
        self.frozen_until = max(self.frozen_until, self.world.clock.now_s + seconds)

    def start(self) -> None:
        """Take connections again."""
        self.disturb()
        self.is_up = True

    def cut(self, process: Process, *, is_noticed: bool) -> None:
        """Let nothing pass between it and a process; what is open ends, or is never heard of again."""
        self.disturb(process)
        self.unreached[process] = None
        for connection in list(self._connections):
            if connection.process is process:
                if is_noticed:
                    connection.end(
                        errors.ConnectionDoesNotExistError("connection was closed in the middle of operation")
                    )
                else:
                    connection.is_unheard = True

    def reach(self, process: Process) -> None:
        """Let it through again."""
        self.disturb(process)
        self.unreached.pop(process, None)

    def heal(self) -> None:
        """Nothing is wrong with it any more."""
        if not self.is_fine:
            self.disturb()
        self.unreached.clear()
        self.frozen_until = min(self.frozen_until, self.world.clock.now_s)
        self.commits.heal()
        self.is_up = True

    async def hold(self, name: str, seconds: float) -> None:
        """Hold the log of one user, as another program may."""
        locks = self.commits.locks
        if locks.is_held(name):
            return
        holder = object()
        locks.hold(holder, name)
        self._foreign += 1
        await asyncio.sleep(seconds)
        self.disturb()
        self._foreign -= 1
        locks.release(holder)

    def close(self) -> None:
        """Nobody needs it any more."""
        self.rows.close()

    def back_up(self, target: Path) -> None:
        """Copy all that is committed."""
        with contextlib.closing(sqlite3.connect(target)) as copy:
            self.rows.backup(copy)

    def restore(self, source: Path, *, is_silent: bool) -> None:
        """Be that copy from now on, with an epoch of its own if the operator's command did it."""
        assert not self.is_up, "nobody is connected"
        with contextlib.closing(sqlite3.connect(source)) as copy:
            copy.backup(self.rows)
        if not is_silent:
            statements.begin_epoch(self.rows, statements.epoch(self.rows), new_epoch())

    def begin_epoch(self) -> None:
        """Begin a new epoch, as ``tidings epoch --bump`` does while the nodes run."""
        self._small("begin_epoch_1", [statements.epoch(self.rows), new_epoch()])

    # Connections.

    async def connect(self, _address: object = None, **_settings: str) -> Connection:
        """In the place of ``driver.connect``.

        Raises:
            OSError, TimeoutError: There is no way, or no answer.
        """
        process = self.world.loop.process
        assert process is not None
        await asyncio.sleep(self.delay_s())
        for pause_s in (*SENT_AGAIN_S, 0.0):
            if process not in self.unreached and self.frozen_until <= self.world.clock.now_s:
                break
            await asyncio.sleep(pause_s)
        else:
            raise TimeoutError
        if not self.is_up or process.is_dead:
            raise ConnectionRefusedError("connection refused")
        self._connections = {each: None for each in self._connections if not each.process.is_dead}
        connection = Connection(self, process)
        self._connections[connection] = None
        return connection

    def forget(self, connection: Connection) -> None:
        """It is no connection any more."""
        self._connections.pop(connection, None)
        if connection.is_unheard:
            self.disturb(connection.process)

    def delay_s(self) -> float:
        """One way."""
        return self.rng.uniform(0.1, 1.0) * self.latency_s

    async def travel(self, connection: Connection) -> None:
        """One way, however long it takes."""
        await asyncio.sleep(self.delay_s())
        while self.frozen_until > self.world.clock.now_s:  # noqa: ASYNC110  # which may move on meanwhile
            await asyncio.sleep(self.frozen_until - self.world.clock.now_s)
        if connection.is_unheard:
            self._lost.append(self.world.loop.create_future())
            await self._lost[-1]  # for ever

    def notify(self, channel: str, body: str) -> None:
        """Give a notification to every connection that listens."""
        for connection in list(self._connections):
            connection.notified(channel, body)

    # Statements.

    async def perform(self, connection: Connection, sql: str, values: Sequence[Any]) -> Rows:
        """The rows of a statement, which is a transaction of its own.

        Raises:
            asyncpg.PostgresError: It was not done, or the connection ends.
        """
        name = _function(sql)
        if name.startswith("write_"):
            lock_wait_ms, *columns = values
            names, work = [*columns[1], *columns[2]], partial(statements.write, self.rows, columns)
            return await self.commits.write(connection, lock_wait_ms / 1000, names, work)
        if name == "move_1":
            return await self._move(connection, *values)
        if name == "check_1":
            return [(statements.epoch(self.rows), self.erasures)]
        if name == "find_cuts_1":
            return statements.find_cuts(self.rows, self.world.clock.wall_ns() // 1_000_000, *values)
        if name == "retain_1":
            return self.retention.next_slice(self.rows, self.world.clock.wall_ns() // 1_000_000, *values)
        if name in statements.SMALL_WRITES:
            return self._small(name, values)
        if sql.startswith("SELECT epoch, version"):
            return [(statements.epoch(self.rows), known_version(), 1, self.erasures, False)]
        if "WITH ORDINALITY" in sql:
            return statements.find_commits(self.rows, *values)
        if "SKIP LOCKED" in sql:
            return [(each,) for each in values[0] if self.commits.locks.is_held(each, but_by=connection)]
        if sql.startswith("SELECT pg_notify"):
            channel, bodies = values
            for body in bodies:
                self.notify(channel, body)
            return []
        if sql.startswith(("UPDATE nodes", "DELETE FROM nodes")):
            return []
        for beginning, rows in statements.CONSTANT_READS:
            if sql.startswith(beginning) and not (beginning == "SELECT 1" and sql != beginning):
                return rows
        if sql.startswith("SELECT") and not name:
            return statements.read(self.rows, sql, values)
        raise statements.UnknownStatement(sql)

    async def _move(
        self,
        connection: Connection,
        moved: Sequence[int],
        refused: Sequence[int],
        _whys: Sequence[str],
        lock_wait_ms: int,
        *columns: Sequence[Any],
    ) -> Rows:
        locks = self.commits.locks
        if locks.is_held(outbox.LOCK):  # another node is about it
            return []
        locks.hold(connection, outbox.LOCK)
        names, work = [*columns[1], *columns[2]], partial(outbox.move, self.rows, [*moved, *refused], columns)
        return await self.commits.write(connection, lock_wait_ms / 1000, names, work)

    def _small(self, name: str, values: Sequence[Any]) -> Rows:
        def work() -> Rows:
            answer = statements.SMALL_WRITES[name](self.rows, *values)
            return answer if isinstance(answer, list) else [(answer,)]

        if name == "cut_1":
            (user,) = self.rows.execute("SELECT name FROM users WHERE uid = ?", (values[0],)).fetchone()
            if self.commits.locks.is_held(user):
                return [(0,)]
        if name == "begin_epoch_1":
            self.erasures += 1
        return self.commits.commit(work)


@cache
def _function(sql: str) -> str:
    """The numbered function of the product that a statement calls, if it does."""
    found = re.search(r"(\w+_\d+)\(", sql)
    return "" if found is None else found[1]


def _created(path: Path) -> str:
    """An empty database; its path."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        migrate(connection)
        connection.execute(outbox.TABLE)
    return str(path)
