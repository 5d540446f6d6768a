"""The store on one SQLite file: WAL, ``synchronous=FULL``, one writer thread, two reader threads.

FULL is not a setting: with NORMAL a power cut loses acknowledged messages, and group commit leaves it 8 % to gain.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from tidings.errors import ConfigurationError, NotNow, TidingsError, Unavailable
from tidings.protocol.cursor import Cursor
from tidings.protocol.events import LogEvent
from tidings.protocol.shapes import Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.config import COMMIT_WAIT_MAX_S, PAGE_SIZE_MAX_BYTES
from tidings.server.store import (
    Appended,
    BlockedPage,
    CheckWaiting,
    HistoryPage,
    InboxPage,
    NewMessage,
    OnCommit,
    OnMissed,
    OnMoved,
    OnNewEpoch,
    Relation,
    Report,
    ServiceKey,
    StartPosition,
    TokenProfile,
    Trimmed,
)
from tidings.server.store.hourly import Hourly
from tidings.server.store.limits import CHECK_KEPT_S, READ_WAIT_MAX_S, TRIM_PAUSE_S, TRIM_PAUSES_MAX
from tidings.server.store.sqlite import erase, history, profiles, receipts, revoke, safety, send, service_keys, trim
from tidings.server.store.sqlite.file import (
    check_served,
    connect,
    known_version,
    migrate,
    read_epoch,
    schema_version,
    set_pragma,
    settle,
)
from tidings.server.store.sqlite.lock import DatabaseLock
from tidings.server.store.sqlite.log import heads, read_after, start_position
from tidings.server.store.sqlite.place import OpenFiles
from tidings.server.store.sqlite.threads import Crew, Readers, Writer, Written
from tidings.server.store.sqlite.wal import FOLD_ABOVE_BYTES, check_log, fold, rescued_beside

log = logging.getLogger("tidings.store")

T = TypeVar("T")

READER_THREADS = 2  # one slow page does not hold up the others; more only fight for the interpreter
CACHE_SIZE_KIB = 65_536  # page cache of the writer's connection
ROOM_SIZE_BYTES = 65_536  # what must be writable before a full disk counts as over: the longest message with its rows

# What a restart does not mend; all else passes: a full disk, another program that holds the file, too many open files.
_NOT_OURS = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}
_NOT_OURS_BY_FILE = {
    errno.EACCES,
    errno.EISDIR,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}


class SqliteStore:
    """One database file, served by this process alone."""

    def __init__(self, path: str, on_commit: OnCommit, crew: Crew | None = None) -> None:
        self._path = os.path.realpath(path)
        self._on_commit = on_commit
        self._crew = crew or Crew()
        self._lock = DatabaseLock(self._path)
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._epoch = ""
        self._checking: asyncio.Future[int] | None = None
        self._check_begun = 0.0
        self._check_trouble: str | None = None
        self._died: asyncio.Future[bool] | None = None
        self._hourly = Hourly(time.monotonic)

    @property
    def epoch(self) -> str:
        """Identity of this database's history."""
        return self._epoch

    async def start(self) -> None:
        """Lock, open and migrate the file; see ``Store.start``."""
        writing = await asyncio.to_thread(self._open)
        reading = [connect(self._path, read_only=True) for _ in range(READER_THREADS)]
        self._writer = Writer(writing, self._on_commit, self._files, self._crew)
        self._readers = Readers(reading, self._writer.meet, self._crew)
        self._died = self._writer.died

    def listen(self, missed: OnMissed, began_anew: OnNewEpoch) -> None:
        """Tell nothing: the file is this process's alone, and a commit without an answer ends the writer."""

    async def close(self) -> None:
        """Finish what was accepted, and let go of the file."""
        if self._writer is not None and self._readers is not None:
            # Readers first: the last connection to go folds the log into the file; two that go at once leave it.
            await _in_a_thread(self._readers.close)
            await _in_a_thread(self._writer.close)
            self._writer = self._readers = None
        self._lock.release()

    async def check(self) -> int:
        """It is a job for the writer, but one for all who ask within CHECK_KEPT_S."""
        if self._writer is None:
            raise _not_running()
        self._writer.refuse_if_stopped()
        now, trouble = asyncio.get_running_loop().time(), self._writer.trouble
        is_old = now - self._check_begun > CHECK_KEPT_S or trouble != self._check_trouble
        if self._checking is None or (is_old and self._checking.done()):
            look = self._look if trouble is None else self._look_for_room
            self._checking = self._writer.submit(look, goes_first=True)
            self._checking.add_done_callback(self._checked)
            self._check_begun, self._check_trouble = now, trouble
        return await _within(COMMIT_WAIT_MAX_S, asyncio.shield(self._checking), "The database did not answer in time.")

    def _checked(self, done: asyncio.Future[int]) -> None:
        is_well = not done.cancelled() and done.exception() is None
        if is_well and self._writer is not None and self._check_trouble is not None:
            self._writer.trouble = None

    def _look(self, connection: sqlite3.Connection) -> Written[int]:
        self._files.check(connection)
        return Written(erase.count(connection), [])

    def _look_for_room(self, connection: sqlite3.Connection) -> Written[int]:
        """After a refusal write as much as a message, to see whether what caused it is over."""
        looked = self._look(connection)
        connection.execute("INSERT OR REPLACE INTO meta(k, v) VALUES ('room', zeroblob(?))", (ROOM_SIZE_BYTES,))
        return looked

    async def nodes(self) -> int:
        """See ``Store.nodes``: another would not be let in."""
        return 1

    async def note_forgotten(self, erasures: int) -> None:
        await self._write(partial(_note_forgotten, erasures=erasures))

    async def failed(self) -> bool:
        assert self._died is not None, "start it first"
        return await asyncio.shield(self._died)

    @property
    def is_lost(self) -> bool:
        return self._died is not None and self._died.done() and not self._died.result()

    async def append(self, message: NewMessage) -> Appended:
        return await self._write(partial(send.append, new=message))

    async def advance(
        self, reader: UserId, peer: UserId, delivered_upto: int, read_upto: int, *, tells_strangers: bool = True
    ) -> Watermarks:
        return await self._write(
            partial(
                receipts.advance,
                reader=reader,
                peer=peer,
                delivered_upto=delivered_upto,
                read_upto=read_upto,
                tells_strangers=tells_strangers,
            )
        )

    async def start_position(self, user: UserId, cursor: Cursor | None) -> StartPosition:
        return await self._read(partial(start_position, epoch=self._epoch, name=user, cursor=cursor))

    async def read_after(
        self, user: UserId, position: int, limit: int, size_max_bytes: int = PAGE_SIZE_MAX_BYTES
    ) -> list[LogEvent]:
        return await self._read(
            partial(read_after, owner=user, position=position, limit=limit, size_max_bytes=size_max_bytes)
        )

    async def heads(self, users: Sequence[UserId]) -> dict[UserId, int]:
        return await self._read(partial(heads, names=users))

    async def history(
        self, user: UserId, peer: UserId, *, before: int | None, after: int | None, limit: int
    ) -> HistoryPage:
        return await self._read(
            partial(
                history.history, epoch=self._epoch, owner=user, peer_name=peer, before=before, after=after, limit=limit
            )
        )

    async def inbox(self, user: UserId, *, before: int | None, limit: int) -> InboxPage:
        return await self._read(partial(history.inbox, epoch=self._epoch, owner=user, before=before, limit=limit))

    async def unread(self, user: UserId) -> int:
        return await self._read(partial(history.unread, owner=user))

    async def relation(self, user: UserId, peer: UserId) -> Relation:
        return await self._read(partial(safety.relation, owner=user, peer_name=peer))

    async def block(self, user: UserId, peer: UserId) -> None:
        await self._write(partial(safety.block, user=user, peer=peer))

    async def unblock(self, user: UserId, peer: UserId) -> None:
        await self._write(partial(safety.unblock, user=user, peer=peer))

    async def blocked(self, user: UserId, *, before: int | None, limit: int) -> BlockedPage:
        return await self._read(partial(safety.blocked, user=user, before=before, limit=limit))

    async def take_hourly(self, what: str, user: UserId, most: int) -> None:
        self._hourly.take(what, user, most)

    async def add_report(self, report: Report) -> None:
        await self._write(partial(safety.add_report, report=report))

    async def revoke(self, user: UserId, until: float) -> None:
        await self._write(partial(revoke.revoke, user=user, until=until))

    async def revocations(self, since: float = 0.0) -> dict[UserId, float]:
        return await self._read(partial(revoke.revocations, since=since))

    async def service_keys(self) -> list[ServiceKey]:
        return await self._read(service_keys.service_keys)

    async def note_key_used(self, digest: bytes, day: int) -> None:
        await self._write(partial(service_keys.note_used, digest=digest, day=day))

    async def keep_profile(self, user: UserId, profile: TokenProfile) -> None:
        await self._write(partial(profiles.keep, user=user, profile=profile))

    async def profiles(self, users: Sequence[UserId]) -> dict[UserId, TokenProfile]:
        return await self._read(partial(profiles.read, users=users))

    async def move_outbox(self, check: CheckWaiting, moved: OnMoved) -> None:
        """See ``Store.move_outbox``: the file is ours alone, and no transaction of others reaches it."""

    async def trim(self, older_than_ms: int, events_max: int, *, not_within_s: float = 0) -> Trimmed:
        cutoff_ms = time.time_ns() // 1_000_000 - older_than_ms
        after_uid: int | None = 0
        logs = events = kept = 0
        while after_uid is not None:
            found = await self._read(
                partial(trim.find, after_uid=after_uid, cutoff_ms=cutoff_ms, events_max=events_max)
            )
            for uid, floor, _events in found.cuts:
                logs += 1
                while gone := await self._write_when_idle(partial(_cut, uid=uid, floor=floor)):
                    events += gone
            kept += found.kept
            after_uid = found.last_uid
        return Trimmed(logs, events, kept)

    @property
    def write_queue(self) -> int:
        return 0 if self._writer is None else self._writer.queued

    @property
    def figures(self) -> None:
        return None

    @property
    def size_bytes(self) -> int:
        return sum(os.path.getsize(part) for part in (self._path, self._path + "-wal") if os.path.exists(part))

    async def _write_when_idle(self, work: Callable[[sqlite3.Connection], Written[T]]) -> T:
        """Write when nobody else wants to, or after TRIM_PAUSES_MAX pauses in which others might."""
        for _ in range(TRIM_PAUSES_MAX):
            await asyncio.sleep(TRIM_PAUSE_S)
            if self.write_queue == 0:
                break
        return await self._write(work)

    async def _write(self, work: Callable[[sqlite3.Connection], Written[T]]) -> T:
        if self._writer is None:
            raise _not_running()
        return await _within(
            COMMIT_WAIT_MAX_S,
            self._writer.submit(work),
            "The message is not known to be stored; send it again with the same client_id.",
        )

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._readers is None:
            raise _not_running()
        return await _within(READ_WAIT_MAX_S, self._readers.submit(work), "The database did not answer in time.")

    def _open(self) -> sqlite3.Connection:
        try:
            if not os.path.exists(self._path):
                check_log(self._path)  # before there is an empty file of this name
            self._lock.acquire(may_create=True)
            settle(self._lock.descriptor, self._path)
            check_log(self._path)
            connection = connect(self._path, CACHE_SIZE_KIB)
            try:
                set_pragma(connection, "journal_mode", "wal")
                set_pragma(connection, "journal_size_limit", FOLD_ABOVE_BYTES)
                version = schema_version(connection)
                if version > 0:
                    _fold_if_there_is_room(connection)
                if version < known_version():
                    migrate(connection)
                    _fold_if_there_is_room(connection)
                self._lock.sign()
                self._epoch = read_epoch(connection)
                check_served(connection)
                self._files = OpenFiles(self._lock)
            except BaseException:
                connection.close()
                raise
        except (OSError, sqlite3.Error) as failure:
            self._lock.release()
            reason = failure.strerror if isinstance(failure, OSError) else failure
            code = getattr(failure, "sqlite_errorcode", 0) & 0xFF
            error: type[TidingsError] = ConfigurationError
            if code == sqlite3.SQLITE_CORRUPT:
                advice = "it is damaged; keep a copy of it, and restore the last backup with: tidings restore"
            elif code in _NOT_OURS or getattr(failure, "errno", None) in _NOT_OURS_BY_FILE:
                advice = "name a file that this user may write, in a directory that exists, with --db"
            else:
                error, advice = NotNow, "starting again may help"
            raise error(f"db (TIDINGS_DB): {self._path} cannot be opened: {reason}; {advice}") from failure
        except TidingsError:
            self._lock.release()
            raise
        for copy in rescued_beside(self._path):
            log.warning("%s is what a server saved whose files were changed: restore it, or remove it", copy)
        return connection


def _fold_if_there_is_room(connection: sqlite3.Connection) -> None:
    """Write the log anew into the file: an fsync that failed is not made good by one that succeeds."""
    with contextlib.suppress(sqlite3.OperationalError):  # no room: the log stays, and is settled
        fold(connection)


def _note_forgotten(connection: sqlite3.Connection, erasures: int) -> Written[None]:
    erase.note_forgotten(connection, erasures)
    return Written(None, [])


def _cut(connection: sqlite3.Connection, uid: int, floor: int) -> Written[int]:
    return Written(trim.cut(connection, uid, floor), [])


def _not_running() -> Unavailable:
    return Unavailable("unavailable", "The server is starting or stopping.", retry_after_s=2)


async def _in_a_thread(work: Callable[[], None]) -> None:
    try:
        await asyncio.to_thread(work)
    except RuntimeError:  # the interpreter is ending and begins no thread; nothing else is left to run in this loop
        work()


async def _within(limit_s: float, answer: asyncio.Future[T], late: str) -> T:
    """The answer, or ``Unavailable`` with the sentence ``late``. A timer by hand: asyncio.timeout costs 3 us more."""
    timer = answer.get_loop().call_later(limit_s, _give_up, answer, late)
    try:
        return await answer
    finally:
        timer.cancel()


def _give_up(answer: asyncio.Future[Any], late: str) -> None:
    if not answer.done():
        answer.set_exception(Unavailable("unavailable", late, retry_after_s=2))
