"""A connection to the simulated database, as asyncpg gives it to the product.

A statement that was sent arrives and is done, whether or not somebody still waits for its answer. One that is cancelled
is cancelled by a request of its own, as PostgreSQL's are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg

from lab.simulation.nodes import statements
from lab.simulation.nodes.process import Process
from lab.simulation.nodes.statements import Rows
from tidings.server.store.postgres.driver import WARNING

if TYPE_CHECKING:
    from lab.simulation.nodes.database import Database

errors = asyncpg.exceptions


class Connection:
    """A connection of one process."""

    def __init__(self, database: Database, process: Process) -> None:
        self.process = process
        self.is_unheard = False  # nothing of it arrives any more, either way
        self.waits: asyncio.Future[None] | None = None  # for the standby
        self._database = database
        self._loop = database.world.loop
        self._is_closed = self._is_leaving = False
        self._statements: dict[asyncio.Task[None], asyncio.Future[Rows]] = {}
        self._log_listeners: list[Callable[..., object]] = []
        self._ended: list[Callable[..., object]] = []
        self._listeners: dict[str, list[Callable[..., object]]] = {}
        self._notified_at = 0.0

    # As asyncpg's.

    def is_closed(self) -> bool:
        return self._is_closed or self.process.is_dead

    def terminate(self) -> None:
        self.end(errors.ConnectionDoesNotExistError("connection was closed in the middle of operation"))

    async def close(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # as asyncpg has it
        self.end(errors.InterfaceError("connection is closed"))

    def add_log_listener(self, callback: Callable[..., object]) -> None:
        self._log_listeners.append(callback)

    def add_termination_listener(self, callback: Callable[..., object]) -> None:
        self._ended.append(callback)

    async def add_listener(self, channel: str, callback: Callable[..., object]) -> None:
        await self.fetch("SELECT 1")
        self._listeners.setdefault(channel, []).append(callback)

    def is_in_transaction(self) -> bool:
        return False

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Each statement in it stands for itself: what the product asks in one is no more than that."""
        yield

    async def execute(self, sql: str, *values: Any) -> str:
        await self.fetch(sql, *values)
        return ""

    async def fetchrow(self, sql: str, *values: Any) -> Any:
        return next(iter(await self.fetch(sql, *values)), None)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        row = await self.fetchrow(sql, *values)
        return None if row is None else row[0]

    async def fetch(self, sql: str, *values: Any, timeout: float | None = None) -> Rows:  # noqa: ASYNC109
        if self.is_closed():
            raise errors.InterfaceError("connection is closed")
        if self._is_leaving:
            raise asyncpg.InternalClientError("cannot switch to state; another operation is in progress")
        answer: asyncio.Future[Rows] = self._loop.create_future()
        former = list(self._statements)
        with self._loop.inside(None):
            task = self._loop.create_task(self._serve(former, statements.plain(sql), values, answer))
        self._statements[task] = answer
        task.add_done_callback(self._served)
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except (asyncio.CancelledError, TimeoutError):
            self._cancel_current_command()
            raise

    def _cancel_current_command(self, _waiter: object = None) -> None:
        with self._loop.inside(None):
            for task in self._statements:
                self._loop.call_later(self._database.delay_s(), self._cancel, task)

    # The server's side.

    async def _serve(
        self, former: Sequence[asyncio.Task[None]], sql: str, values: Sequence[Any], answer: asyncio.Future[Rows]
    ) -> None:
        database = self._database
        try:
            if former:
                await asyncio.wait(former)
            await database.travel(self)
            try:
                found: Rows | BaseException = await database.perform(self, sql, values)
            except asyncpg.PostgresError as failure:
                found = failure
            await database.travel(self)
        except asyncio.CancelledError:
            found = errors.QueryCanceledError("canceling statement due to user request")
        except Exception as failure:
            database.world.wrong(f"the simulated database failed: {failure!r} at {sql[:200]}")
            raise
        if not answer.done():
            if isinstance(found, BaseException):
                answer.set_exception(found)
            else:
                answer.set_result(found)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._statements.pop(task, None)

    def _cancel(self, task: asyncio.Task[None]) -> None:
        """As the server takes a request to cancel: a commit that waits for its standby stands, with a warning."""
        if self.waits is not None and not self.waits.done():
            self.warn()
            self.waits.set_result(None)
        elif not task.done():
            task.cancel()

    def warn(self) -> None:
        """Say that a commit stands here alone."""
        for callback in self._log_listeners:
            callback(self, SimpleNamespace(sqlstate=WARNING, message="canceling wait for synchronous replication"))

    def notified(self, channel: str, body: str) -> None:
        """Carry a notification to those who listen here, in order."""
        if self.is_unheard or channel not in self._listeners:
            return
        database = self._database
        at = max(database.frozen_until, database.world.clock.now_s + database.delay_s(), self._notified_at)
        self._notified_at = at
        with self._loop.inside(self.process):
            self._loop.call_at(at, self._hear, channel, body)

    def _hear(self, channel: str, body: str) -> None:
        if not self.is_closed():
            for callback in self._listeners[channel]:
                callback(self, 1, channel, body)

    def kill(self, failure: Exception) -> None:
        """The server ends it, and all that is done on it; a commit that waits for its standby stands here alone."""
        for task in list(self._statements):
            task.cancel()
        self._fail(failure)
        self._is_leaving = True  # asyncpg has heard the good-bye, and not yet that the connection is closed
        self._loop.call_later(self._database.delay_s(), self.end, failure)

    def _fail(self, failure: Exception) -> None:
        for answer in list(self._statements.values()):
            if not answer.done():
                answer.set_exception(failure)

    def end(self, failure: Exception) -> None:
        """It is over; statements that have arrived are done all the same."""
        if self._is_closed:
            return
        self._is_closed = True
        self._database.forget(self)
        self._fail(failure)
        with self._loop.inside(self.process):
            for callback in self._ended:
                self._loop.call_soon(callback, self)
