"""The store on one SQLite file: WAL, ``synchronous=FULL``, one writer thread, two reader threads.

FULL is not a setting: with NORMAL a power cut loses acknowledged messages, and group commit leaves it 8 % to gain.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.resources import files
from typing import TypeVar

from tidings.errors import ConfigurationError, DatabaseTooNew, Unavailable
from tidings.protocol.cursor import Cursor
from tidings.protocol.events import LogEvent, UserId, Watermarks
from tidings.server.config import COMMIT_WAIT_MAX_S, READ_WAIT_MAX_S
from tidings.server.store import Appended, HistoryPage, InboxPage, NewMessage, OnCommit, Place
from tidings.server.store import sqlite_read as read
from tidings.server.store import sqlite_write as write
from tidings.server.store.lock import DatabaseLock
from tidings.server.store.threads import Readers, Writer, Written

T = TypeVar("T")

READER_THREADS = 2  # one slow page does not hold up the others; more only fight for the interpreter
CACHE_SIZE_KIB = 65_536  # page cache of the writer's connection
READER_CACHE_SIZE_KIB = 16_384
WAL_SIZE_MAX_BYTES = 64 << 20  # what a checkpoint leaves of the write-ahead log on the disk
BUSY_WAIT_MS = 5_000  # a backup tool may hold the file for a moment
EPOCH_SIZE_BYTES = 4  # 8 hex digits


class SqliteStore:
    """One database file, served by this process alone."""

    def __init__(self, path: str, on_commit: OnCommit) -> None:
        self._path = os.path.abspath(path)
        self._on_commit = on_commit
        self._lock = DatabaseLock(self._path)
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._epoch = ""

    @property
    def epoch(self) -> str:
        """Identity of this database's history."""
        return self._epoch

    async def start(self) -> None:
        """Lock, open and migrate the file; see ``Store.start``."""
        writing = await asyncio.to_thread(self._open)
        self._writer = Writer(writing, self._on_commit)
        self._readers = Readers([self._connect(READER_CACHE_SIZE_KIB, query_only=True) for _ in range(READER_THREADS)])

    async def close(self) -> None:
        """Finish what was accepted, and let go of the file."""
        if self._writer is not None and self._readers is not None:
            await asyncio.to_thread(self._writer.close)
            await asyncio.to_thread(self._readers.close)
            self._writer = self._readers = None
        self._lock.release()

    async def check(self) -> None:
        """Send an empty job through the writer."""
        await self._write(lambda _connection: Written(None, []))

    async def append(self, message: NewMessage) -> Appended:
        """See ``Store.append``."""
        return await self._write(partial(write.append, new=message))

    async def advance(self, reader: UserId, peer: UserId, delivered_upto: int, read_upto: int) -> Watermarks:
        """See ``Store.advance``."""
        return await self._write(
            partial(write.advance, reader=reader, peer=peer, delivered_upto=delivered_upto, read_upto=read_upto)
        )

    async def place(self, user: UserId, cursor: Cursor | None) -> Place:
        """See ``Store.place``."""
        return await self._read(partial(read.place, epoch=self._epoch, name=user, cursor=cursor))

    async def read_after(self, user: UserId, position: int, limit: int) -> list[LogEvent]:
        """See ``Store.read_after``."""
        return await self._read(partial(read.read_after, owner=user, position=position, limit=limit))

    async def heads(self, users: Sequence[UserId]) -> dict[UserId, int]:
        """See ``Store.heads``."""
        return await self._read(partial(read.heads, names=users))

    async def history(
        self, user: UserId, peer: UserId, *, before: int | None, after: int | None, limit: int
    ) -> HistoryPage:
        """See ``Store.history``."""
        return await self._read(
            partial(
                read.history, epoch=self._epoch, owner=user, peer_name=peer, before=before, after=after, limit=limit
            )
        )

    async def inbox(self, user: UserId, *, before: int | None, limit: int) -> InboxPage:
        """See ``Store.inbox``."""
        return await self._read(partial(read.inbox, epoch=self._epoch, owner=user, before=before, limit=limit))

    async def has_written(self, writer: UserId, reader: UserId) -> bool:
        """See ``Store.has_written``."""
        return await self._read(partial(read.has_written, writer=writer, reader=reader))

    async def _write(self, work: Callable[[sqlite3.Connection], Written[T]]) -> T:
        if self._writer is None:
            raise Unavailable("unavailable", "The server is starting or stopping.", retry_after_s=2)
        return await _within(
            COMMIT_WAIT_MAX_S,
            self._writer.submit(work),
            "The message is not known to be stored; send it again with the same client_id.",
        )

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._readers is None:
            raise Unavailable("unavailable", "The server is starting or stopping.", retry_after_s=2)
        return await _within(READ_WAIT_MAX_S, self._readers.submit(work), "The database did not answer in time.")

    def _open(self) -> sqlite3.Connection:
        try:
            self._lock.acquire()
            connection = self._connect(CACHE_SIZE_KIB)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA journal_size_limit = {WAL_SIZE_MAX_BYTES}")
                _migrate(connection)
                (self._epoch,) = connection.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchone()
            except BaseException:
                connection.close()
                raise
        except (OSError, sqlite3.Error) as failure:
            self._lock.release()
            raise ConfigurationError(f"db (TIDINGS_DB): {self._path} cannot be opened: {failure}") from failure
        except DatabaseTooNew:
            self._lock.release()
            raise
        return connection

    def _connect(self, cache_size_kib: int, *, query_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA busy_timeout = {BUSY_WAIT_MS}")
        connection.execute(f"PRAGMA cache_size = -{cache_size_kib}")
        if query_only:
            connection.execute("PRAGMA query_only = ON")
        return connection


async def _within(limit_s: float, answer: Awaitable[T], late: str) -> T:
    try:
        async with asyncio.timeout(limit_s):
            return await answer
    except TimeoutError:
        raise Unavailable("unavailable", late, retry_after_s=2) from None


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date: every numbered script above ``user_version``, each in one transaction.

    Raises:
        DatabaseTooNew: The version is above the last script.
    """
    folder = files("tidings.server.store") / "migrations" / "sqlite"
    scripts = sorted((script for script in folder.iterdir() if script.name.endswith(".sql")), key=lambda s: s.name)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(scripts):
        raise DatabaseTooNew(version, len(scripts))
    for number, script in enumerate(scripts, start=1):
        if number <= version:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(script.read_text("utf-8")):
                connection.execute(statement)
            if number == 1:
                epoch = secrets.token_hex(EPOCH_SIZE_BYTES)
                connection.execute("INSERT INTO meta(k, v) VALUES ('epoch', ?)", (epoch,))
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _statements(script: str) -> list[str]:
    """The statements of a script; ``executescript`` would commit in between."""
    statements, rest = [], ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            statements.append(rest)
            rest = ""
    return statements
