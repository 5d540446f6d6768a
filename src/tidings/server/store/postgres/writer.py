"""The writes of a node: one connection, group commit, and a slow lane for those whose log somebody else holds.

Rules
1. Writes go in the order in which they came, in batches of one call and one transaction. Nothing waits for a batch to
   fill: while one is on its way the next one gathers.
2. A batch that the database is known not to have kept is tried again; a batch whose outcome is not known is
   ``Unavailable``, never tried again here, and its connection is ended: the client repeats it with its client_id.
   Nobody was told of a commit that it may have been: its logs are said to be missed after the next write that succeeds.
3. A lock that somebody else holds on one log stops nobody else. A batch waits LOCK_WAIT_MS for it; then the database
   is asked whose logs are held, and for HELD_FOR_S their writes go to the slow lane, which tries those that are free.
4. After every new connection the last commits of this node are looked for. If they are gone, acknowledged messages
   are: the database was rolled back, and a new epoch begins.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from tidings.errors import DatabaseTooNew, NotNow, Unavailable
from tidings.protocol.cursor import tag_of
from tidings.protocol.user_id import UserId
from tidings.server.config import COMMIT_WAIT_MAX_S
from tidings.server.store import Committed, OnCommit, OnMissed
from tidings.server.store.figures import Figures
from tidings.server.store.limits import WRITER_QUEUE_MAX
from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import (
    INTERNAL,
    KNOWN_NOT_COMMITTED,
    LOCK_NOT_AVAILABLE,
    LOCK_WAIT_MS,
    Failure,
    code_of,
    said,
    was_not_sent,
)
from tidings.server.store.postgres.link import SYNCHRONOUS, Link
from tidings.server.store.postgres.operations import WRITE, Operation, columns, outcomes
from tidings.server.store.postgres.schema import check_readable, new_epoch
from tidings.server.store.postgres.sentences import failure_text

log = logging.getLogger("tidings.store")

WRITER_BATCH_MAX = 256  # writes in one call; more gains nothing and delays the first
ANSWER_WAIT_MAX_S = COMMIT_WAIT_MAX_S - 1.0  # the connection ends before the writers are answered
REACH_WAIT_MAX_S = COMMIT_WAIT_MAX_S / 2  # for a database that is away: a client that is told so comes back
RETRY_PAUSE_MIN_S, RETRY_PAUSE_MAX_S = 0.005, 0.5
SLOW_LOCK_WAIT_MS = 20  # each of the slow lane has a try, and none holds up the next
SLOW_PAUSE_S = 0.05
HELD_FOR_S = 1.0  # so long it is believed that a log is held: one batch in a second finds out
LAST_COMMITS = 8  # looked for after a new connection
GREETING = (
    "SELECT epoch, version, readable_by, erasures,"
    " pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean FROM TIDINGS.meta"
)
FIND_COMMITS = """
    SELECT u.head, u.floor, f.ts FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY w(name, position, nth)
    LEFT JOIN TIDINGS.users u ON u.name = w.name
    LEFT JOIN TIDINGS.feed f ON f.uid = u.uid AND f.cur = w.position ORDER BY w.nth"""
HELD = """
    WITH free AS (SELECT uid FROM TIDINGS.users WHERE name = ANY ($1::text[]) FOR NO KEY UPDATE SKIP LOCKED)
    SELECT name FROM TIDINGS.users WHERE name = ANY ($1::text[]) AND uid NOT IN (SELECT uid FROM free)"""


# Failures that say nothing about the transaction: of the connection, its state, resources, operator, system, a defect.
_NOT_KNOWN = {"08", "25", "53", "57", "58", INTERNAL}


class _Call(NamedTuple):
    """A statement that is no operation between two users; a batch of its own."""

    sql: str
    values: tuple[Any, ...]


class _Job:
    __slots__ = ("asked_at", "future", "work")

    def __init__(self, work: Operation | _Call, future: asyncio.Future[Any], asked_at: float) -> None:
        self.work = work
        self.future = future
        self.asked_at = asked_at

    @property
    def names(self) -> tuple[UserId, ...]:
        return () if isinstance(self.work, _Call) else self.work.names

    def fail(self, problem: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(problem)

    def resolve(self, answer: Any) -> None:
        if self.future.done():  # the one who asked has gone
            return
        if isinstance(answer, Exception):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


def unavailable(detail: str) -> Unavailable:
    """The answer to a write or read that was not done, or is not known to be."""
    return Unavailable("unavailable", detail, retry_after_s=2)


def _not_known() -> Unavailable:
    return unavailable("The message is not known to be stored; send it again with the same client_id.")


def _not_stored() -> Unavailable:
    return unavailable("The message could not be stored; send it again with the same client_id.")


class Writer:
    """All writes of one node. Use it in one event loop."""

    def __init__(
        self, address: Address, on_commit: OnCommit, on_missed: OnMissed, on_epoch: Callable[[str], None]
    ) -> None:
        self._address = address
        self._on_commit = on_commit
        self._on_missed = on_missed
        self._on_epoch = on_epoch
        self._loop = asyncio.get_running_loop()
        self._link = Link(address, self.greet)
        self._slow_link = Link(address, self.greet)
        self._queue: deque[_Job] = deque()
        self._slow: deque[_Job] = deque()
        self._wake, self._slow_wake = asyncio.Event(), asyncio.Event()
        self._held_until: dict[UserId, float] = {}
        self._slow_names: Counter[UserId] = Counter()  # held ones that the slow lane has writes for
        self._last: deque[tuple[Committed, int]] = deque(maxlen=LAST_COMMITS)  # with the erasures until then
        self._missed: set[UserId] = set()  # whose logs may have got what was not told
        self._epoch = ""
        self._erasures = 0
        self.figures = Figures()
        self.away: Exception | None = None  # why there is no connection, as long as there is none
        self._is_closing = self._is_closing_slow = False
        self._task: asyncio.Task[None] | None = None
        self._slow_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and begin to serve.

        Raises:
            Failure: There is no connection.
            DatabaseTooNew, NotNow: See ``Store.start``.
        """
        await self._link.open()
        self._task = self._loop.create_task(self._run(), name="tidings-writer")
        self._slow_task = self._loop.create_task(self._run_slow(), name="tidings-slow-writer")

    async def close(self) -> None:
        """Finish what is queued, and close the connections."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._is_closing_slow = True
        self._slow_wake.set()
        if self._slow_task is not None:
            await asyncio.wait([self._slow_task])
        await self._link.close()
        await self._slow_link.close()

    @property
    def queued(self) -> int:
        """Writes that wait."""
        return len(self._queue) + len(self._slow)

    def submit(self, work: Operation) -> asyncio.Future[Any]:
        """Queue a write; the future resolves after its commit, with its answer.

        Raises:
            Unavailable: The queue is full, or it is closing.
        """
        return self._submit(work)

    def call(self, sql: str, *values: Any) -> asyncio.Future[list[Any]]:
        """Queue a statement; the future resolves after its commit, with its rows.

        Raises:
            Unavailable: The queue is full, or it is closing.
        """
        return self._submit(_Call(sql, values))

    def tell(self, committed: Sequence[Committed], missed: set[UserId]) -> None:
        """Tell the streams of a commit of this node, and of what they were not told of before."""
        untold, self._missed = self._missed, set()
        if untold:
            self._on_missed(sorted(untold))  # in any order, but in one: a run of the simulation can be shown again
        if committed:
            self._last.append((committed[-1], self._erasures))
            try:
                self._on_commit(committed)
            except Exception:  # a hint only (I3): the sweep finds what it missed
                log.exception("telling the streams of a commit failed")
        if missed:
            self._on_missed(sorted(missed))

    def note_unknown(self, users: Iterable[UserId]) -> None:
        """Know that these logs may have got what nobody was told of."""
        self._missed.update(users)

    def note_erasures(self, erasures: int) -> None:
        """Know how many steps of erasures there were: a name that is gone may have been erased."""
        self._erasures = erasures

    def learn_epoch(self, epoch: str) -> None:
        """Know the epoch that the database has; another one than before is told."""
        if epoch != self._epoch:
            if self._epoch:
                log.critical("the epoch of the database is now %s: every reader begins anew", epoch)
                self._last.clear()
            self._epoch = epoch
            self._on_epoch(epoch)

    def _submit(self, work: Operation | _Call) -> asyncio.Future[Any]:
        if self._is_closing:
            raise unavailable("The server is stopping.")
        if self.queued >= WRITER_QUEUE_MAX:
            raise unavailable("Too many messages are waiting for the database; send again later.")
        job = _Job(work, self._loop.create_future(), self._loop.time())
        self._queue.append(job)
        self._wake.set()
        return job.future

    # The lane of all

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._is_closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._guarded(self._take(), self._link)

    def _take(self) -> list[_Job]:
        """The next batch; who has given up, or is in the slow lane, is not in it."""
        if isinstance(self._queue[0].work, _Call):
            return [self._queue.popleft()]
        batch: list[_Job] = []
        while self._queue and len(batch) < WRITER_BATCH_MAX and not isinstance(self._queue[0].work, _Call):
            job = self._queue.popleft()
            if not job.future.done():
                batch.append(job)
        return self._without_held(batch)

    def _without_held(self, batch: list[_Job]) -> list[_Job]:
        """The batch but for what goes to the slow lane."""
        if not self._held_until and not self._slow_names:
            return batch
        now = self._loop.time()
        self._held_until = {name: until for name, until in self._held_until.items() if until > now}
        free: list[_Job] = []
        for job in batch:
            held = [name for name in job.names if name in self._held_until or self._slow_names[name] > 0]
            if held:
                self._slow_names.update(held)
                job.future.add_done_callback(partial(self._leave_slow, held))
                self._slow.append(job)
                self._slow_wake.set()
                self.figures.slow += 1
            else:
                free.append(job)
        return free

    def _leave_slow(self, names: Sequence[UserId], _future: asyncio.Future[Any]) -> None:
        self._slow_names.subtract(names)
        self._slow_names += Counter()  # what is at zero goes

    async def _guarded(self, batch: list[_Job], link: Link) -> None:
        try:
            await self._serve(batch, link)
        except Exception:  # a defect of ours: those who wait are told, and the writer lives
            log.critical("the writer failed", exc_info=True)
            link.drop()
            self._fail_unknown(batch)

    # The slow lane

    async def _run_slow(self) -> None:
        while True:
            self._forget_late()
            if not self._slow:
                if self._is_closing_slow:
                    return
                self._slow_wake.clear()
                await self._slow_wake.wait()
                continue
            free = await self._free_slow()
            for job in free:
                self._slow.remove(job)
            if free:
                await self._guarded(free, self._slow_link)
            else:
                await asyncio.sleep(SLOW_PAUSE_S)

    async def _free_slow(self) -> list[_Job]:
        """Those whose logs nobody holds now."""
        try:
            held = await self._ask_held(self._slow, self._slow_link)
        except Exception:  # a defect of ours: the lane lives, and those who wait are told in time
            log.critical("the slow lane failed", exc_info=True)
            return []
        return [job for job in self._slow if held is not None and held.isdisjoint(job.names)][:WRITER_BATCH_MAX]

    def _forget_late(self) -> None:
        """Answer those that waited too long: nothing was written for them."""
        while self._slow and (
            self._slow[0].future.done() or self._loop.time() - self._slow[0].asked_at > ANSWER_WAIT_MAX_S
        ):
            self._slow.popleft().fail(_not_stored())

    # Both

    async def _serve(self, batch: list[_Job], link: Link) -> None:
        pause_s = RETRY_PAUSE_MIN_S
        while batch:
            if not await self._reach(batch, link):
                return
            begun, end = self._loop.time(), self._loop.call_later(ANSWER_WAIT_MAX_S, link.drop)
            try:
                found = await self._fetch(batch, link)
            except Failure as failure:
                batch = await self._meet(failure, batch, link)
                await asyncio.sleep(pause_s if batch else 0)
                pause_s = min(RETRY_PAUSE_MAX_S, 2 * pause_s)
                continue
            finally:
                end.cancel()
            self.figures.round_trip_s.add(self._loop.time() - begun)
            self.figures.batch.add(len(batch))
            if link.was_warned:  # rule 2 of driver.py
                link.was_warned = False
                log.error("the database did not wait for its standby: %d writes are not known to be kept", len(batch))
                return self._fail_unknown(batch)
            return self._answer(batch, found)

    async def _fetch(self, batch: list[_Job], link: Link) -> list[Any]:
        first = batch[0].work
        if isinstance(first, _Call):
            return await link.fetch(first.sql, *first.values)
        lock_wait_ms = LOCK_WAIT_MS if link is self._link else SLOW_LOCK_WAIT_MS
        return await link.fetch(WRITE, lock_wait_ms, *columns([job.work for job in batch]))  # type: ignore[misc]

    async def _reach(self, batch: list[_Job], link: Link) -> bool:
        """Whether there is a connection; else the batch was answered: it was never sent."""
        pause_s = RETRY_PAUSE_MIN_S
        while not link.is_open:
            try:
                await link.open()
            except (*Failure, NotNow, DatabaseTooNew) as failure:
                self._note_away(failure)
                late = self._loop.time() - batch[0].asked_at > REACH_WAIT_MAX_S
                if late or self._is_closing or isinstance(failure, DatabaseTooNew):
                    self._fail(batch, unavailable("The database cannot be reached; send it again."))
                    return False
                await asyncio.sleep(pause_s)
                pause_s = min(RETRY_PAUSE_MAX_S, 2 * pause_s)
        if self.away is not None:
            self.away = None
            log.info("the database is back")
        return True

    def _note_away(self, failure: Exception) -> None:
        is_told, self.away = self.away is not None, failure
        if not is_told:  # a line for the change, and not for each batch
            log.error("the database cannot be used: %s", failure_text(self._address, failure))

    async def _meet(self, failure: BaseException, batch: list[_Job], link: Link) -> list[_Job]:
        """After a failure: what of the batch is to be tried again. All others were answered."""
        if was_not_sent(failure):
            self.figures.retries["connection"] += 1
            link.drop()
            return batch
        code = code_of(failure)
        if code in KNOWN_NOT_COMMITTED:
            self.figures.retries["lock" if code == LOCK_NOT_AVAILABLE else "conflict"] += 1
            now = self._loop.time()
            late = [job for job in batch if now - job.asked_at > ANSWER_WAIT_MAX_S - 1 or isinstance(job.work, _Call)]
            self._fail(late, _not_stored())
            batch = [job for job in batch if job not in late]
            if code != LOCK_NOT_AVAILABLE:
                return batch
            if link is self._slow_link:
                self._slow.extendleft(reversed(batch))
                return []
            held = await self._ask_held(batch, link)
            self._held_until.update(dict.fromkeys(held or (), now + HELD_FOR_S))
            return self._without_held(batch)
        is_of_a_value = not code and isinstance(failure, ValueError)  # that cannot be sent: never was
        if not is_of_a_value and (not code or code[:2] in _NOT_KNOWN or not link.is_open):
            log.warning("the outcome of %d writes is not known: %s", len(batch), said(failure))
            link.drop()
            self._fail_unknown(batch)
        elif len(batch) > 1:  # one that cannot be stored fails alone
            log.warning("a batch of %d writes failed (%s); running them one by one", len(batch), said(failure))
            for job in batch:
                await self._serve([job], link)
        else:
            log.error("a write failed: %s", said(failure))
            self._fail(batch, _not_stored())
        return []

    async def _ask_held(self, batch: Iterable[_Job], link: Link) -> set[UserId] | None:
        """The users whose logs are locked now; None where that could not be asked."""
        names = list({name for job in batch for name in job.names})
        try:
            async with asyncio.timeout(ANSWER_WAIT_MAX_S):
                return {UserId(name) for (name,) in await link.fetch(HELD, names)}
        except (*Failure, NotNow, DatabaseTooNew):
            link.drop()
            return None

    def _answer(self, batch: list[_Job], found: list[Any]) -> None:
        """First tell the streams, then answer those who wrote."""
        if isinstance(batch[0].work, _Call):
            self.tell([], set())
            return batch[0].resolve(found)
        answers, committed, missed = outcomes([job.work for job in batch], found)  # type: ignore[misc]
        self.tell(committed, missed)
        for job, answer in zip(batch, answers, strict=True):
            job.resolve(answer)

    def _fail_unknown(self, batch: Sequence[_Job]) -> None:
        self.figures.unknown += len(batch)
        self.note_unknown(name for job in batch for name in job.names)
        self._fail(batch, _not_known())

    def _fail(self, batch: Sequence[_Job], problem: Exception) -> None:
        for job in batch:
            job.fail(problem)

    # A new connection

    async def greet(self, connection: Any) -> None:
        """See what a new connection of this node is to: its epoch, and whether the last commits are there.

        Raises:
            DatabaseTooNew, NotNow: It cannot be used.
        """
        sql = self._address.sql
        async with connection.transaction():
            epoch, version, readable_by, erasures, only_reads = await connection.fetchrow(sql(GREETING))
            if only_reads:
                raise NotNow("The database is a standby, or takes no writes.")
            check_readable(version, readable_by)
            if self._last and epoch == self._epoch and await self._are_commits_gone(connection, erasures):
                log.critical("acknowledged messages are gone from the database: it was rolled back")
                epoch = await connection.fetchval(sql("SELECT TIDINGS.begin_epoch_1($1, $2)"), epoch, new_epoch())
        if not self._address.is_pooled:
            await connection.execute(SYNCHRONOUS)
        self.learn_epoch(epoch)

    async def _are_commits_gone(self, connection: Any, erasures: int) -> bool:
        last = list(self._last)  # the other lane may commit meanwhile
        names, positions = zip(*((each.user, each.event.position) for each, _ in last), strict=True)
        found = await connection.fetch(self._address.sql(FIND_COMMITS), list(names), list(positions))
        for ((_, event), erasures_before), (head, floor, there_ms) in zip(last, found, strict=True):
            if head is None:  # the name is gone: by an erasure, if there was one
                if erasures <= erasures_before:
                    return True
            elif head < event.position or (floor < event.position and (there_ms and tag_of(there_ms)) != event.tag):
                return True
        return False
