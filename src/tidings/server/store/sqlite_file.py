"""A database file of ours: how it is opened, its schema, and whether a copy of it can be trusted."""

from __future__ import annotations

import os
import secrets
import sqlite3
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from tidings.errors import ConfigurationError, DatabaseTooNew

BUSY_WAIT_MS = 5_000  # a backup tool, or a command of ours beside a server, may hold the file for a moment
READER_CACHE_SIZE_KIB = 16_384
EPOCH_SIZE_BYTES = 4  # 8 hex digits


def connect(
    path: str, cache_size_kib: int = READER_CACHE_SIZE_KIB, *, query_only: bool = False, may_create: bool = False
) -> sqlite3.Connection:
    """Open a database with the settings that every connection of ours has.

    Raises:
        sqlite3.OperationalError: It is not there, or cannot be opened.
    """
    mode = "rwc" if may_create else "rw"
    address = f"{Path(os.path.abspath(path)).as_uri()}?mode={mode}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_WAIT_MS}")
    connection.execute(f"PRAGMA cache_size = -{cache_size_kib}")
    if query_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def settle(path: str) -> None:
    """Bring to the disk what a process wrote that did not live to fsync it.

    Its last transactions may be whole in the log and not durable. Whoever sends such a message again is answered
    without a write, and so without an fsync. Call it before anything is connected: closing a file takes back the
    locks that SQLite holds on it in this process.
    """
    for part in (path, f"{path}-wal", os.path.dirname(path)):
        if os.path.exists(part):
            descriptor = os.open(part, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def known_version() -> int:
    """The schema version that this Tidings writes."""
    return len(_scripts())


def schema_version(connection: sqlite3.Connection) -> int:
    """The schema version of a database; 0 for an empty one.

    Raises:
        DatabaseTooNew: A newer Tidings wrote it.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > known_version():
        raise DatabaseTooNew(version, known_version())
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date: every numbered script above ``user_version``, each in one transaction.

    Raises:
        DatabaseTooNew: The version is above the last script.
    """
    version = schema_version(connection)
    for number, script in enumerate(_scripts(), start=1):
        if number <= version:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(script.read_text("utf-8")):
                connection.execute(statement)
            if number == 1:
                connection.execute("INSERT INTO meta(k, v) VALUES ('epoch', ?)", (new_epoch(),))
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def new_epoch() -> str:
    """The identity of a history that begins now, or that is no longer what its readers saw."""
    return secrets.token_hex(EPOCH_SIZE_BYTES)


def read_epoch(connection: sqlite3.Connection) -> str:
    """The identity of this database's history."""
    (epoch,) = connection.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchone()
    return str(epoch)


def touch_tables(connection: sqlite3.Connection) -> None:
    """Read a row of each table, so that a file that is damaged all over is noticed at the start.

    Raises:
        sqlite3.DatabaseError: It is.
    """
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in names:
        connection.execute(f'SELECT * FROM "{name}" LIMIT 1').fetchone()


def check_whole(connection: sqlite3.Connection, name: str) -> None:
    """Return when this is a whole database of ours that this Tidings can serve.

    Raises:
        ConfigurationError: It is damaged, or something else.
        DatabaseTooNew: A newer Tidings wrote it.
    """
    try:
        faults = [row[0] for row in connection.execute("PRAGMA quick_check")]
        version = schema_version(connection)
        is_ours = version > 0 and bool(read_epoch(connection))
    except sqlite3.DatabaseError as failure:
        raise ConfigurationError(f"{name} is not a database of Tidings: {failure}") from failure
    if not is_ours:
        raise ConfigurationError(f"{name} is not a database of Tidings")
    if faults != ["ok"]:
        raise ConfigurationError(f"{name} is damaged: {faults[0]}")


def _scripts() -> list[Traversable]:
    folder = files("tidings.server.store") / "migrations" / "sqlite"
    return sorted((script for script in folder.iterdir() if script.name.endswith(".sql")), key=lambda s: s.name)


def _statements(script: str) -> list[str]:
    """The statements of a script; ``executescript`` would commit in between."""
    statements, rest = [], ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            statements.append(rest)
            rest = ""
    return statements
