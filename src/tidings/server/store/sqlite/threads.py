"""The threads that own SQLite connections: one writer with group commit, a few readers.

Rules
1. The writer takes what is queued (at most WRITER_BATCH_MAX), runs it in one transaction and commits once. It never
   waits for company: the queue that forms during a commit is the batch.
2. A job raises a ``Problem`` before its first write, so that a refused one leaves nothing in the transaction.
3. A job that fails otherwise fails alone: the batch is rolled back and run again one by one.
4. After a commit the whole batch is answered by one call into the event loop.
5. When the disk says that it cannot be trusted (IOERR, CORRUPT, NOTADB), the writer stops for good: a commit that
   failed in fsync must not be tried again, only a restart reads what is really on the disk. So it does when its file is
   not in its place any more, and saves what only this process has (place.py); and when a reader meets damage.
6. When there is no room or another program holds the file, the batch is refused as it is: alone each write would meet
   the same. ``trouble`` says so until a write succeeds.
7. The threads are daemons: a process that ends without closing loses nothing that was acknowledged.
8. A log above FOLD_ABOVE_BYTES is folded into the file, once those who wrote were answered.
9. Only ``_start``, ``submit``, ``close`` and ``_run`` know that there are threads: the simulation
   (docs/proof/simulation.md) replaces these, and serves the same jobs by the same code on a clock of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from tidings.errors import Problem, Unavailable
from tidings.server.store import Committed, OnCommit
from tidings.server.store.limits import WRITER_QUEUE_MAX
from tidings.server.store.sqlite.place import OpenFiles, OutOfPlace
from tidings.server.store.sqlite.wal import FOLD_ABOVE_BYTES, fold

WRITER_BATCH_MAX = 256  # writes in one transaction; more gains nothing and delays the first

log = logging.getLogger("tidings.store")

T = TypeVar("T")

_FAIL_STOP = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}  # which no restart mends
_NOT_NOW = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY}
_PRIMARY_CODE_MASK = 0xFF  # the low byte of an extended result code


class Written(NamedTuple, Generic[T]):
    """The result of a write job: its answer, and the events that it put into logs."""

    answer: T
    committed: list[Committed]


class _Job:
    __slots__ = ("error", "future", "goes_first", "outcome", "work")

    def __init__(
        self, work: Callable[[sqlite3.Connection], Any], future: asyncio.Future[Any], *, goes_first: bool = False
    ) -> None:
        self.work = work
        self.goes_first = goes_first
        self.future = future
        self.outcome: Any = None
        self.error: BaseException | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        try:
            self.outcome = self.work(connection)
        except Problem as refused:
            self.error = refused

    def resolve(self, answer: Any) -> None:
        if self.future.done():  # the one who asked has gone
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(answer)


class Crew:
    """Those who do the store's jobs: threads. Another crew may do them at moments of its own."""

    def queue(self) -> SimpleQueue[Any]:
        """A queue that `start` is given."""
        return SimpleQueue()

    def connection(self, name: str, opened: sqlite3.Connection) -> sqlite3.Connection:
        """The connection through which a writer or a reader works: the one that was opened for it."""
        return opened

    def start(self, name: str, queue: SimpleQueue[Any], turn: Callable[[], bool]) -> Callable[[], None]:
        """Have `turn` take from the queue until it says that there is no more; what is returned waits for that."""

        def take_turns() -> None:
            while turn():
                pass

        thread = threading.Thread(target=take_turns, name=f"tidings-{name}", daemon=True)
        thread.start()
        return thread.join

    def tell(self, name: str, loop: asyncio.AbstractEventLoop, callback: Callable[..., object], answer: Any) -> None:
        """Let the event loop have an answer.

        Raises:
            RuntimeError: The loop is closed.
        """
        loop.call_soon_threadsafe(callback, answer)


def _raise(failure: Exception, _connection: sqlite3.Connection) -> Written[None]:
    raise failure


def _unavailable(detail: str) -> Unavailable:
    return Unavailable("unavailable", detail, retry_after_s=2)


def _not_stored() -> Unavailable:
    return _unavailable("The message could not be stored; send it again with the same client_id.")


def _primary_code(failure: BaseException) -> int:
    code: int = getattr(failure, "sqlite_errorcode", 0)
    return code & _PRIMARY_CODE_MASK


class Writer:
    """The only thread that writes."""

    def __init__(self, connection: sqlite3.Connection, on_commit: OnCommit, files: OpenFiles, crew: Crew) -> None:
        self._connection = crew.connection("writer", connection)
        self._crew = crew
        self._on_commit = on_commit
        self._files = files
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job | None] = crew.queue()
        self._stopped: str | None = None
        self._is_closing = False
        self._fold_above_bytes = FOLD_ABOVE_BYTES
        self.trouble: str | None = None  # why the last write was refused, if it was
        self.died: asyncio.Future[bool] = self._loop.create_future()  # whether another process may go on
        self._wait_for_end = crew.start("writer", self._queue, self._turn)

    def submit(
        self, work: Callable[[sqlite3.Connection], Written[T]], *, goes_first: bool = False
    ) -> asyncio.Future[T]:
        """Queue a write; the future resolves after its commit, with ``Written.answer``.

        One that ``goes_first`` sees the database before the others of its batch have written.

        Raises:
            Unavailable: The queue is full or the writer has stopped.
        """
        self.refuse_if_stopped()
        if self._queue.qsize() >= WRITER_QUEUE_MAX:
            raise _unavailable("Too many messages are waiting for the disk; send again later.")
        job = _Job(work, self._loop.create_future(), goes_first=goes_first)
        self._queue.put(job)
        if self._stopped is not None:  # it stopped between the check and the put
            self._fail_queued()
        return job.future

    def refuse_if_stopped(self) -> None:
        """Return as long as it works.

        Raises:
            Unavailable: It does not.
        """
        if self._stopped is not None:
            raise _unavailable(self._stopped)

    def meet(self, failure: Exception) -> None:
        """In the event loop: stop for good, as if the writer had met what a reader has."""
        with contextlib.suppress(Unavailable):  # it has stopped
            self.submit(partial(_raise, failure), goes_first=True).add_done_callback(asyncio.Future.exception)

    @property
    def queued(self) -> int:
        """Writes that wait."""
        return self._queue.qsize()

    def close(self) -> None:
        """Finish what is queued, close the connection and end the thread."""
        self._is_closing = True
        self._queue.put(None)
        self._wait_for_end()

    def _turn(self) -> bool:
        """Serve what is queued; whether there will be another turn."""
        try:
            if self._serve_batch():
                return True
            self._look()  # what is not in its place is saved before it is let go
            self._stopped = "The server is stopping."
            with contextlib.suppress(sqlite3.Error):  # then the next start does it
                fold(self._connection)
        except BaseException as failure:
            lost = self._cause(failure)
            if lost is not None:
                self._save(lost)
            else:
                log.critical("the writer thread died; sends are refused until a restart", exc_info=True)
                self._stopped = "The database cannot be written; the server needs a restart."
                self._die(may_go_on=_primary_code(failure) not in _DAMAGED)
        self._fail_queued()
        self._connection.close()
        return False

    def _look(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as failure:
            if _primary_code(failure) not in _NOT_NOW:
                raise
        try:
            self._files.check(self._connection)
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _cause(self, failure: BaseException) -> OutOfPlace | None:
        """Return the state of the files, if that is why something failed."""
        if isinstance(failure, OutOfPlace):
            return failure
        if isinstance(failure, sqlite3.Error) and _primary_code(failure) in _FAIL_STOP:
            try:
                self._files.check(None)
            except OutOfPlace as lost:
                return lost
        return None

    def _save(self, lost: OutOfPlace) -> None:
        self._stopped = "The database is not in its place any more; nothing is taken until a restart."
        log.critical("%s; nothing is taken until a restart", lost)
        self._fail_queued()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        rescued = self._files.rescue(self._connection, lost, self._wait)
        log.critical("the database that was not in its place: %s", rescued.text)
        self._die(may_go_on=rescued.may_go_on)

    def _die(self, *, may_go_on: bool) -> None:
        def tell() -> None:
            if not self.died.done():
                self.died.set_result(may_go_on)

        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(tell)

    def _wait(self, pause_s: float) -> bool:
        """Pause, but not longer than this process is wanted; whether it still is."""
        if self._is_closing:
            return False
        try:
            return self._queue.get(timeout=pause_s) is not None
        except Empty:
            return True

    def _serve_batch(self) -> bool:
        first = self._queue.get()
        batch: list[_Job] = []
        is_last = first is None
        if first is not None:
            batch.append(first)
        try:
            while not is_last and len(batch) < WRITER_BATCH_MAX:
                job = self._queue.get_nowait()
                if job is None:
                    is_last = True
                elif job.goes_first:
                    batch.insert(0, job)
                else:
                    batch.append(job)
        except Empty:
            pass
        try:
            self._commit(batch)
        except BaseException:
            for job in batch:
                job.error = _unavailable(
                    "The message is not known to be stored; send it again with the same client_id."
                )
            self._answer(batch)
            raise
        self._answer(batch)
        if self._files.log_size_bytes > self._fold_above_bytes:
            self._fold()
        return not is_last

    def _fold(self) -> None:
        try:
            self._look()
            is_complete = fold(self._connection)
            # A reader holds it up: not again before there is as much once more.
            self._fold_above_bytes = FOLD_ABOVE_BYTES + (0 if is_complete else self._files.log_size_bytes)
        except sqlite3.Error as failure:
            if _primary_code(failure) not in _NOT_NOW:
                raise
            log.warning("the write-ahead log was not folded into the file: %s", failure)

    def _commit(self, batch: list[_Job]) -> None:
        """Run the batch in one transaction, or, if that fails, each job in its own."""
        try:
            self._transact(batch)
        except Exception as failure:
            self._roll_back(failure)
            if _primary_code(failure) in _NOT_NOW:
                self.trouble = str(failure)
                if _primary_code(failure) == sqlite3.SQLITE_FULL:
                    self._fold_above_bytes = 0  # there may be room in the log when it begins anew
                log.warning("%d writes refused: %s", len(batch), failure)
                for job in batch:
                    job.error = _not_stored()
            else:
                log.warning("a batch of %d writes failed (%s); running them one by one", len(batch), failure)
                self._commit_one_by_one(batch)
        else:
            if self.trouble is not None and any(job.error is None and job.outcome.committed for job in batch):
                self.trouble = None

    def _commit_one_by_one(self, batch: list[_Job]) -> None:
        for job in batch:
            job.error = None
            try:
                self._transact([job])
            except Exception as failure:
                self._roll_back(failure)
                log.exception("a write failed")
                job.error = _not_stored()

    def _transact(self, jobs: list[_Job]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            job.run(self._connection)
        self._connection.execute("COMMIT")

    def _roll_back(self, failure: Exception) -> None:
        if _primary_code(failure) in _FAIL_STOP or isinstance(failure, OutOfPlace):
            raise failure
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _answer(self, batch: list[_Job]) -> None:
        try:
            self._crew.tell("writer", self._loop, self._resolve, batch)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.info("the event loop is gone; %d writes were not answered", len(batch))

    def _resolve(self, batch: list[_Job]) -> None:
        """In the event loop: first tell the streams, then answer those who wrote."""
        committed: list[Committed] = []
        for job in batch:
            if job.error is None:
                committed.extend(job.outcome.committed)
        if committed:
            try:
                self._on_commit(committed)
            except Exception:  # a hint only (I3): the sweep finds what it missed
                log.exception("telling the streams of a commit failed")
        for job in batch:
            job.resolve(None if job.error is not None else job.outcome.answer)

    def _fail_queued(self) -> None:
        left: list[_Job] = []
        try:
            while True:
                job = self._queue.get_nowait()
                if job is not None:
                    job.error = _unavailable(self._stopped or "The server is stopping.")
                    left.append(job)
        except Empty:
            pass
        if left:
            self._answer(left)


class Readers:
    """A few threads with read-only connections; each read is one snapshot."""

    def __init__(self, connections: list[sqlite3.Connection], meet: Callable[[Exception], None], crew: Crew) -> None:
        self._loop = asyncio.get_running_loop()
        self._meet = meet  # told, in the event loop, of damage
        self._crew = crew
        self._queue: SimpleQueue[_Job | None] = crew.queue()
        self._wait_for_ends = [
            crew.start("reader", self._queue, partial(self._turn, crew.connection("reader", each)))
            for each in connections
        ]

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Queue a read; the future resolves with what ``work`` returns."""
        job = _Job(work, self._loop.create_future())
        self._queue.put(job)
        return job.future

    def close(self) -> None:
        """Finish what is queued and end the threads."""
        for _ in self._wait_for_ends:
            self._queue.put(None)
        for wait_for_end in self._wait_for_ends:
            wait_for_end()

    def _turn(self, connection: sqlite3.Connection) -> bool:
        if (job := self._queue.get()) is not None:
            self._serve(connection, job)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._crew.tell("reader", self._loop, job.resolve, job.outcome)
                return True
        connection.close()
        return False

    def _serve(self, connection: sqlite3.Connection, job: _Job) -> None:
        try:
            connection.execute("BEGIN")
            try:
                job.run(connection)
            finally:
                if connection.in_transaction:  # SQLite itself ends it when the file cannot be read
                    connection.execute("ROLLBACK")
        except Exception as failure:
            log.exception("a read failed")
            if _primary_code(failure) in _DAMAGED:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(self._meet, failure)
            job.error = _unavailable("The database could not be read; try again.")
