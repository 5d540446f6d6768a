"""The store with its jobs served on virtual time, and a disk that fails where the plan says.

The SQL, the transactions, the batches and the answers are the product's; only *when* a job is served is decided
here. A write is visible to readers from its COMMIT on, and its answer comes later: the races lie between.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from typing import Any

from tidings.server.store import OnCommit
from tidings.server.store.sqlite.place import OpenFiles
from tidings.server.store.sqlite.store import SqliteStore
from tidings.server.store.sqlite.threads import Readers, Writer, _Job

LATENCY_S = 0.004
SLOW_S = 12.0  # a disk that thinks: beyond the time that the server waits for it


class Crashed(BaseException):
    """The process ends here."""


def failure(text: str, code: int) -> sqlite3.OperationalError:
    """The error that SQLite raises, with its result code."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


class Disk:
    """One process's part of the disk; ``dead`` when the process is."""

    def __init__(self, rng: random.Random, clock: Callable[[], float], committed: Callable[[], None]) -> None:
        self.rng = rng
        self.clock = clock
        self.committed = committed  # called after each COMMIT, before anybody is told
        self.dead = False
        self.crash_at_commit: str | None = None  # "before" or "after" the next COMMIT
        self.has_crashed = False
        self.has_failed = False  # the writer stopped for good
        self.full_until = 0.0
        self.fails_commits = 0  # so many next COMMITs fail for want of room
        self.breaks_commit = False  # the next COMMIT fails with an I/O error
        self.poisons = 0  # so many next messages cannot be inserted
        self.slow_until = 0.0

    def delay_s(self) -> float:
        """Until a job is served, or its answer is heard."""
        if self.clock() < self.slow_until:
            return self.rng.uniform(0.0, SLOW_S)
        return self.rng.uniform(0.0, LATENCY_S) if self.rng.random() < 0.9 else self.rng.uniform(0.0, 0.3)


class WriterConnection:
    """The writer's connection, as far as the store's writes use one."""

    def __init__(self, real: sqlite3.Connection, disk: Disk) -> None:
        self._real = real
        self._disk = disk

    @property
    def in_transaction(self) -> bool:
        return self._real.in_transaction

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        disk = self._disk
        if sql.startswith("INSERT") and disk.clock() < disk.full_until:
            raise failure("database or disk is full", sqlite3.SQLITE_FULL)
        if disk.poisons and sql.startswith("INSERT INTO feed"):
            disk.poisons -= 1
            raise failure("a defect in one write", sqlite3.SQLITE_ERROR)
        if sql == "COMMIT":
            return self._commit()
        return self._real.execute(sql, parameters)

    def close(self) -> None:
        self._real.close()

    def _commit(self) -> sqlite3.Cursor:
        disk = self._disk
        if disk.breaks_commit:
            disk.breaks_commit, disk.has_failed = False, True
            raise failure("disk I/O error", sqlite3.SQLITE_IOERR)
        if disk.fails_commits:
            disk.fails_commits -= 1
            raise failure("database or disk is full", sqlite3.SQLITE_FULL)
        if disk.crash_at_commit == "before":
            disk.has_crashed = True
            raise Crashed
        done = self._real.execute("COMMIT")
        disk.committed()
        if disk.crash_at_commit == "after":
            disk.has_crashed = True
            raise Crashed
        return done


class SimulatedWriter(Writer):
    """The writer without its thread: each turn is a callback of the loop."""

    def __init__(
        self,
        connection: WriterConnection,
        on_commit: OnCommit,
        files: OpenFiles,
        disk: Disk,
        crashed: Callable[[], None],
    ) -> None:
        self._disk = disk
        self._crashed = crashed
        self._is_due = self._is_over = False
        self._answered_at = 0.0
        super().__init__(connection, on_commit, files)  # type: ignore[arg-type]

    def _start(self) -> None:
        """No thread."""

    def submit(self, work: Callable[[sqlite3.Connection], Any], *, goes_first: bool = False) -> asyncio.Future[Any]:
        future = super().submit(work, goes_first=goes_first)
        self._wake()
        return future

    def close(self) -> None:
        self._queue.put(None)
        while not self._is_over and self._turn():
            pass
        self._is_over = True

    def abandon(self) -> None:
        """The process is gone: what is not committed is not."""
        if not self._is_over:
            self._is_over = True
            self._connection.close()

    def _wake(self) -> None:
        if not self._is_due and not self._is_over:
            self._is_due = True
            self._loop.call_later(self._disk.delay_s(), self._serve_turn)

    def _serve_turn(self) -> None:
        self._is_due = False
        if self._is_over or self._queue.empty():
            return
        if not self._turn():
            self._is_over = True
        if self._disk.has_crashed:
            self._crashed()
        elif not self._queue.empty():
            self._wake()

    def _answer(self, batch: list[_Job]) -> None:
        if self._disk.has_crashed:
            return
        if self._connection.in_transaction:  # the loop goes on while the disk works: heard before the COMMIT
            self._resolve(batch)
            return
        self._answered_at = max(self._answered_at + 1e-6, self._loop.time() + self._disk.delay_s())
        self._loop.call_at(self._answered_at, self._resolve, batch)

    def _resolve(self, batch: list[_Job]) -> None:
        if not self._disk.dead:
            super()._resolve(batch)


class SimulatedReaders(Readers):
    """The readers without their threads: a read sees the database at one moment, and its answer comes later."""

    def __init__(self, connections: list[sqlite3.Connection], meet: Callable[[Exception], None], disk: Disk) -> None:
        self._disk = disk
        super().__init__(connections, meet)

    def _start(self, connections: list[sqlite3.Connection]) -> None:
        self._connections = connections

    def submit(self, work: Callable[[sqlite3.Connection], Any]) -> asyncio.Future[Any]:
        future = super().submit(work)
        self._loop.call_later(self._disk.delay_s(), self._read_next)
        return future

    def close(self) -> None:
        while not self._queue.empty():
            self._read_next()
        self.abandon()

    def abandon(self) -> None:
        """The process is gone: nobody hears the answers."""
        for connection in self._connections:
            connection.close()
        self._connections = []

    def _read_next(self) -> None:
        if self._queue.empty() or self._disk.dead:
            return
        job = self._queue.get_nowait()
        assert job is not None
        self._serve(self._connections[0], job)
        self._loop.call_later(self._disk.delay_s(), self._deliver, job)

    def _deliver(self, job: _Job) -> None:
        if not self._disk.dead:
            job.resolve(job.outcome)


class SimulatedStore(SqliteStore):
    """The product's store, whose jobs are served by the loop."""

    def __init__(self, path: str, on_commit: OnCommit, disk: Disk, crashed: Callable[[], None]) -> None:
        super().__init__(path, on_commit)
        self._disk = disk
        self._crashed = crashed

    def _start_threads(self, writing: sqlite3.Connection, reading: list[sqlite3.Connection]) -> None:
        self._writer = SimulatedWriter(
            WriterConnection(writing, self._disk), self._on_commit, self._files, self._disk, self._crashed
        )
        self._readers = SimulatedReaders(reading, self._writer.meet, self._disk)

    def abandon(self) -> None:
        """The process is gone."""
        self._disk.dead = True
        if isinstance(self._writer, SimulatedWriter) and isinstance(self._readers, SimulatedReaders):
            self._writer.abandon()
            self._readers.abandon()
        self._writer = self._readers = None
        self._lock.release()
