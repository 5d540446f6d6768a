"""The store with its jobs served on virtual time, and a disk that fails where the plan says.

The SQL, the transactions, the batches and the answers are the product's; only *when* a job is served is decided
here. A write is visible to readers from its COMMIT on, and its answer comes later: the races lie between.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, cast

from tidings.server.store.sqlite.threads import Crew

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
        self._fail_if_it_is_time(sql)
        return self._commit() if sql == "COMMIT" else self._real.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        self._fail_if_it_is_time(sql)
        return self._real.executemany(sql, parameters)

    def _fail_if_it_is_time(self, sql: str) -> None:
        disk = self._disk
        if sql.startswith("INSERT") and disk.clock() < disk.full_until:
            raise failure("database or disk is full", sqlite3.SQLITE_FULL)
        if disk.poisons and sql.startswith("INSERT INTO feed"):
            disk.poisons -= 1
            raise failure("a defect in one write", sqlite3.SQLITE_ERROR)

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


class WakingQueue(SimpleQueue[Any]):
    """A queue that says when something was put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.woken: Callable[[], None] = lambda: None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self.woken()


class SimulatedCrew(Crew):
    """The store's crew without threads: each turn, and each answer, is a callback of the loop.

    A read sees the database at one moment, and its answer comes later.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, disk: Disk, crashed: Callable[[], None]) -> None:
        self._loop = loop
        self._disk = disk
        self._crashed = crashed
        self._opened: list[sqlite3.Connection] = []
        self._writing: WriterConnection | None = None
        self._answered_at = 0.0

    def queue(self) -> WakingQueue:
        return WakingQueue()

    def connection(self, name: str, opened: sqlite3.Connection) -> sqlite3.Connection:
        self._opened.append(opened)
        if name == "reader":
            return opened
        self._writing = WriterConnection(opened, self._disk)
        return cast(sqlite3.Connection, self._writing)  # as far as the store's writes use one

    def die(self) -> None:
        """The process is gone: what is not committed is not, and nobody hears an answer."""
        self._disk.dead = True
        for connection in self._opened:
            connection.close()

    def start(self, name: str, queue: SimpleQueue[Any], turn: Callable[[], bool]) -> Callable[[], None]:
        assert isinstance(queue, WakingQueue)
        worker = Worker(self._loop, self._disk, queue, turn, self._crashed, is_alone=name == "writer")
        queue.woken = worker.wake  # of several readers one does it all: the others only wait for the end
        return worker.finish

    def tell(self, name: str, loop: asyncio.AbstractEventLoop, callback: Callable[..., object], answer: Any) -> None:
        disk = self._disk
        if name == "reader":
            loop.call_later(disk.delay_s(), self._unless_dead, callback, answer)
        elif disk.has_crashed:
            return
        elif self._writing is not None and self._writing.in_transaction:
            self._unless_dead(callback, answer)  # the loop goes on while the disk works: heard before the COMMIT
        else:
            self._answered_at = max(self._answered_at + 1e-6, loop.time() + disk.delay_s())
            loop.call_at(self._answered_at, self._unless_dead, callback, answer)

    def _unless_dead(self, callback: Callable[..., object], answer: Any) -> None:
        if not self._disk.dead:
            callback(answer)


class Worker:
    """Takes its turns when the loop says so; nothing more once the process is dead."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        disk: Disk,
        queue: WakingQueue,
        turn: Callable[[], bool],
        crashed: Callable[[], None],
        *,
        is_alone: bool,
    ) -> None:
        self._loop, self._disk, self._queue, self._turn, self._crashed = loop, disk, queue, turn, crashed
        self._is_alone = is_alone  # one turn serves all that waits; otherwise each job has a turn of its own
        self._is_due = self._is_over = False

    def wake(self) -> None:
        if not self._is_over and not (self._is_alone and self._is_due):
            self._is_due = True
            self._loop.call_later(self._disk.delay_s(), self._take_turn)

    def finish(self) -> None:
        while not self._is_over and not self._disk.dead:
            self._is_over = not self._turn()
        self._is_over = True

    def _take_turn(self) -> None:
        self._is_due = False
        if self._is_over or self._disk.dead or self._queue.empty():
            return
        self._is_over = not self._turn()
        if not self._is_alone:
            return
        if self._disk.has_crashed:
            self._crashed()
        elif not self._queue.empty():
            self.wake()
