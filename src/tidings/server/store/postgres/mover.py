"""From the outbox into the logs: what transactions of the application enqueued, on one connection of its own.

Rules
1. A row leaves the outbox in the transaction that writes its message, or puts it among those that were refused. So a
   crash, a lost connection or an outcome that is not known neither loses nor doubles any: whoever looks next finds what
   is there.
2. Rows are moved in the order of one look at the outbox, from its begin: what is committed later comes later. One node
   moves at a time (``move_1``); the others have looked for nothing, and look again.
3. A row that cannot be stored is refused, and stops no other: by our check, by the function in the database, or because
   the database fails with it alone.
4. A log that somebody else holds stops nobody else: its rows are left for HELD_FOR_S.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tidings.errors import DatabaseTooNew, NotNow, Problem
from tidings.protocol.user_id import UserId
from tidings.server.store import Appended, CheckWaiting, Moved, OnMoved, Refused, Waiting
from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import (
    INTERNAL,
    KNOWN_NOT_COMMITTED,
    LOCK_NOT_AVAILABLE,
    LOCK_WAIT_MS,
    UNIQUE,
    Failure,
    code_of,
    said,
)
from tidings.server.store.postgres.link import Link
from tidings.server.store.postgres.operations import Append, columns, outcomes
from tidings.server.store.postgres.sentences import failure_text
from tidings.server.store.postgres.writer import ANSWER_WAIT_MAX_S, HELD, HELD_FOR_S, Writer
from tidings.server.store.rules import DAY_MS

log = logging.getLogger("tidings.outbox")

LOOK_EVERY_S = 1.0  # where no notification comes: behind a pooler, or when one was lost
BUSY_LOOK_EVERY_S, BUSY_S = 0.01, 1.0  # by the node that moved the last one: of transactions at once one alone notifies
LOOK_ROWS = 1024  # read at once: a look at a long outbox may pass all rows that went before a vacuum
MOVE_ROWS_MAX = 256  # in one transaction, which holds the logs of all of them: as a batch of the writer
RETRY_PAUSE_S = 0.05
TRIES_MAX = 5  # of what was the same for two nodes at once, and may also be the fault of a row
END_WAIT_MAX_S = 2.0  # for the last move of a node that stops
REFUSED_MAX = 10_000  # rows kept, with their texts
REFUSED_KEPT_MS = 30 * DAY_MS
FORGET_EVERY_S = 3600.0
TEXT_READ_MAX = 16_385  # characters; a longer one is too long, however long it is

LOOK = f"""
    SELECT id, sender, recipient, left(body, {TEXT_READ_MAX}), type, client_id FROM TIDINGS.outbox
    WHERE NOT (sender = ANY ($1::text[]) OR recipient = ANY ($1::text[])) ORDER BY id LIMIT {LOOK_ROWS}"""
MOVE = "SELECT * FROM TIDINGS.move_1($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)"
FORGET = "SELECT TIDINGS.forget_refused_1($1, $2)"

# Failures that a row may be the cause of: its values, a constraint, a raised error, a limit, a defect.
OF_A_ROW = {"22", "23", "P0", "54", INTERNAL}

_NOTHING: list[tuple[Any, ...]] = [()] * 11  # the columns of no operation


class Mover:
    """The moves of one node, which tell its streams as its writer does."""

    def __init__(self, address: Address, writer: Writer, check: CheckWaiting, moved: OnMoved) -> None:
        self._address = address
        self._writer = writer
        self._check = check
        self._moved = moved
        self._link = Link(address, self._greet)
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._held_until: dict[str, float] = {}
        self._moved_at = self._forgotten_at = float("-inf")
        self._is_well = True
        self._tries = 0

    async def run(self) -> None:
        """Move, and wait for more, until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self._move_all()
                    self._note(None)
                except (*Failure, NotNow, DatabaseTooNew) as failure:
                    self._link.drop()
                    self._note(failure)
                except Exception:  # a defect of ours: it is logged, and the next look is another one
                    self._link.drop()
                    log.exception("a move failed")
                is_busy = self._loop.time() - self._moved_at < BUSY_S
                timer = self._loop.call_later(BUSY_LOOK_EVERY_S if is_busy else LOOK_EVERY_S, self._wake.set)
                await self._wake.wait()
                timer.cancel()
        finally:
            self._link.drop()

    async def _greet(self, connection: Any) -> None:
        await self._writer.greet(connection)
        if not self._address.is_pooled:  # a pooler hands no notification on
            await connection.add_listener(self._address.sql("TIDINGS.outbox"), lambda *_: self._wake.set())

    async def _move_all(self) -> None:
        while True:
            found = [Waiting(*row) for row in await self._fetch(LOOK, self._held())]
            for start in range(0, len(found), MOVE_ROWS_MAX):
                if not await self._move(found[start : start + MOVE_ROWS_MAX]):
                    return
            if len(found) < LOOK_ROWS:
                break
        if self._loop.time() - self._forgotten_at > FORGET_EVERY_S:
            self._forgotten_at = self._loop.time()
            await self._fetch(FORGET, REFUSED_KEPT_MS, REFUSED_MAX)

    async def _move(self, found: Sequence[Waiting], why: str = "") -> bool:
        """Move some rows; with ``why`` refuse them. False: they are another node's now, or come later."""
        appends: list[Append] = []
        moved: list[Waiting] = []
        refused: list[Refused] = []
        for waiting in found:
            try:
                if not why:
                    appends.append(Append(self._check(waiting)))
                    moved.append(waiting)
                    continue
            except Problem as problem:
                refused.append(Refused(waiting, problem.code))
            else:
                refused.append(Refused(waiting, why))
        ids = [waiting.id for waiting in moved], [each.waiting.id for each in refused], [each.why for each in refused]
        moving = asyncio.create_task(self._fetch(MOVE, *ids, LOCK_WAIT_MS, *(columns(appends) or _NOTHING)))
        try:
            rows = await asyncio.shield(moving)
        except Failure as failure:
            return await self._meet(failure, found, why)
        except asyncio.CancelledError:  # a node that stops tells the others of its last move
            await asyncio.wait([moving], timeout=END_WAIT_MAX_S)
            self._link.drop()
            await asyncio.wait([moving])
            if moving.exception() is None:
                self._take(appends, moved, refused, moving.result())
            raise
        self._tries = 0
        return self._take(appends, moved, refused, rows)

    def _take(
        self, appends: Sequence[Append], moved: Sequence[Waiting], refused: list[Refused], rows: Sequence[Any]
    ) -> bool:
        """Tell what a move did; whether it did anything."""
        if self._link.was_warned:  # rule 2 of driver.py: nobody was told anything, and who looks next finds the truth
            self._link.was_warned = False
            log.error("the database did not wait for its standby: %d moves are not known to be kept", len(moved))
            self._writer.note_unknown(name for append in appends for name in append.names)
            return True
        if not rows:  # another node is about it
            return False
        *rows, _ = rows
        self._moved_at = self._loop.time()
        answers, committed, missed = outcomes(appends, rows)
        self._writer.tell(committed, missed)
        words = dict(_words(rows))
        for nth, (waiting, answer) in enumerate(zip(moved, answers, strict=True), start=1):
            if isinstance(answer, Problem):
                refused.append(Refused(waiting, answer.code if words[nth] == "stored" else words[nth]))
        stored = [answer for answer in answers if isinstance(answer, Appended)]
        new = sum(answer.is_new for answer in stored)
        self._moved(Moved(new, len(stored) - new, refused))
        if refused:
            self._forgotten_at = float("-inf")
        return True

    async def _meet(self, failure: BaseException, found: Sequence[Waiting], why: str) -> bool:
        """After a failure: whether the rows behind these can be moved; see the rules of the writer."""
        code = code_of(failure)
        names = {UserId(name) for waiting in found for name in (waiting.sender, waiting.recipient)}
        if code == LOCK_NOT_AVAILABLE:
            held = {name for (name,) in await self._fetch(HELD, list(names))}
            self._held_until |= dict.fromkeys(held, self._loop.time() + HELD_FOR_S)
        self._tries += 1
        if code in KNOWN_NOT_COMMITTED and (code != UNIQUE or self._tries < TRIES_MAX):
            await asyncio.sleep(RETRY_PAUSE_S)
            self._wake.set()
            return False
        if why or code[:2] not in OF_A_ROW or not self._link.is_open:
            self._writer.note_unknown(names)
            raise failure
        if len(found) == 1:
            log.error("message %d of the outbox cannot be stored: %s", found[0].id, said(failure))
            return await self._move(found, "failed")
        log.warning("a move of %d messages failed (%s); moving them one by one", len(found), said(failure))
        for waiting in found:  # one that cannot be stored fails alone
            if not await self._move([waiting]):
                return False
        return True

    def _held(self) -> list[str]:
        """The users whose log somebody else holds, as far as we know."""
        now = self._loop.time()
        self._held_until = {name: until for name, until in self._held_until.items() if until > now}
        return list(self._held_until)

    async def _fetch(self, sql: str, *values: Any) -> list[Any]:
        """The rows of a statement that is never cancelled: after ANSWER_WAIT_MAX_S its connection ends.

        Raises:
            Failure: See driver.py for what it means.
            DatabaseTooNew, NotNow: The database cannot be used.
        """
        end = self._loop.call_later(ANSWER_WAIT_MAX_S, self._link.drop)
        try:
            return await self._link.fetch(sql, *values)
        finally:
            end.cancel()

    def _note(self, failure: BaseException | None) -> None:
        """A line for a change of state."""
        if self._is_well != (failure is None):
            self._is_well = failure is None
            if failure is None:
                log.info("the outbox is read again")
            else:
                log.warning("the outbox cannot be read: %s", failure_text(self._address, failure))


def _words(rows: Iterable[Any]) -> Iterator[tuple[int, str]]:
    """The outcome of each operation, in the words of the database."""
    return ((n, word) for n, word, *_ in rows if word != "event")
