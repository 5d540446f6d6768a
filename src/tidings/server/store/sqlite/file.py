"""A database file of ours: how it is opened, its schema, and whether a copy of it can be trusted."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from tidings.errors import ConfigurationError, DatabaseTooNew

BUSY_WAIT_MS = 5_000  # a backup tool, or a command of ours beside a server, may hold the file for a moment
READER_CACHE_SIZE_KIB = 16_384
EPOCH_SIZE_BYTES = 4  # 8 hex digits
CHECK_WHOLE_BYTES = 64 << 20  # looked through at each start: 0.2 s; a million messages (311 MiB) would take 1 s


def connect(path: str, cache_size_kib: int = READER_CACHE_SIZE_KIB, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a database file with the settings that every connection of ours has.

    One that is ``read_only`` leaves the log as it is when it closes, also as the last one.

    Raises:
        sqlite3.OperationalError: It is not there, or cannot be opened.
        ConfigurationError: It does not take a setting.
    """
    address = f"{Path(os.path.abspath(path)).as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    try:
        set_pragma(connection, "synchronous", 2)  # FULL
        set_pragma(connection, "busy_timeout", BUSY_WAIT_MS)
        set_pragma(connection, "cache_size", -cache_size_kib)
        set_pragma(connection, "wal_autocheckpoint", 0)  # wal.fold alone does that
    except BaseException:
        connection.close()
        raise
    return connection


def set_pragma(connection: sqlite3.Connection, name: str, value: int | str) -> None:
    """Set what SQLite may silently leave as it was, and look.

    Raises:
        ConfigurationError: It is something else now.
    """
    answer = connection.execute(f"PRAGMA {name} = {value}").fetchone()
    if answer is None:
        answer = connection.execute(f"PRAGMA {name}").fetchone()
    if answer != (value,):
        raise ConfigurationError(
            f"db (TIDINGS_DB): {name} cannot be {value}, it is {answer and answer[0]}: is the file on a local disk?"
        )


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction; what goes wrong in it leaves nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def settle(descriptor: int, path: str) -> None:
    """Bring to the disk what a process wrote that did not live to fsync it; ``descriptor`` is the file's.

    Its last transactions may be whole in the log and not durable. A client that sends such a message again is answered
    without a write, and so without an fsync.
    """
    os.fsync(descriptor)
    for beside in (f"{path}-wal", os.path.dirname(path)):
        if os.path.exists(beside):
            sync(beside)


def sync(path: str) -> None:
    """Bring a file or directory to the disk. No database that this process has open: see lock.py, rule 2."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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
        with transaction(connection):
            for statement in _statements(script):
                connection.execute(statement)
            if number == 1:
                connection.execute("INSERT INTO meta(k, v) VALUES ('epoch', ?)", (new_epoch(),))
            set_pragma(connection, "user_version", number)


def new_epoch() -> str:
    """The identity of a history that begins now, or that is no longer what its readers saw."""
    return secrets.token_hex(EPOCH_SIZE_BYTES)


def read_epoch(connection: sqlite3.Connection) -> str:
    """The identity of this database's history."""
    (epoch,) = connection.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchone()
    return str(epoch)


def check_served(connection: sqlite3.Connection) -> None:
    """Return when a database looks sound: all of it up to CHECK_WHOLE_BYTES, else the rows that a use touches first.

    Raises:
        sqlite3.DatabaseError: It is damaged.
    """
    sizes = [connection.execute(f"PRAGMA {each}").fetchone()[0] for each in ("page_count", "page_size")]
    if sizes[0] * sizes[1] <= CHECK_WHOLE_BYTES:
        ((fault,),) = connection.execute("PRAGMA quick_check(1)")
        if fault != "ok":
            raise damaged(fault)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in names:
        for order in ("ASC", "DESC"):
            connection.execute(f'SELECT * FROM "{name}" ORDER BY 1 {order} LIMIT 1').fetchone()


def damaged(fault: str) -> sqlite3.DatabaseError:
    """The error that SQLite raises where it meets a page that cannot be."""
    failure = sqlite3.DatabaseError(f"database disk image is malformed: {fault}")
    failure.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return failure


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


@functools.cache
def _scripts() -> tuple[str, ...]:
    folder = files("tidings.server.store.sqlite") / "migrations"
    scripts = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name)
    return tuple(each.read_text("utf-8") for each in scripts)


def _statements(script: str) -> list[str]:
    """The statements of a script; ``executescript`` would commit in between."""
    statements, rest = [], ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            statements.append(rest)
            rest = ""
    return statements
