"""Backup and restore: a whole copy, or none.

A copy is made under another name, checked, written to the disk, and only then named as wished: what bears the final
name is whole. A restored database has a new epoch, so that every client's cursor is answered with a reset.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tidings.errors import ConfigurationError
from tidings.server.operate.database import existing, give_to_owner, unserved
from tidings.server.store import sqlite_path
from tidings.server.store.sqlite_file import check_whole, connect, new_epoch

BESIDE = ("", "-wal", "-shm")  # the files of a database: the -wal may hold what was committed last


class Copied(NamedTuple):
    """What is in a copy."""

    path: str
    users: int
    messages: int
    size_bytes: int


class Restored(NamedTuple):
    """What was restored, and where the database of before is now; None where there was none."""

    users: int
    messages: int
    kept_aside: str | None


def backup(url: str, target: str) -> Copied:
    """Copy a database, also while a server serves it: everything that was acknowledged when this began is in it.

    Raises:
        ConfigurationError: There is a file of this name, or the database cannot be read or the copy not written.
    """
    source = existing(url)
    path = os.path.abspath(target)
    if os.path.lexists(path):
        raise ConfigurationError(f"{path} is already there; choose another name")
    with _written(path) as partial:
        try:
            with contextlib.closing(connect(source, query_only=True)) as connection:
                check_readable(connection, source)
                _copy(connection, partial)
            users, messages = _checked_counts(partial, "the copy")
        except (sqlite3.Error, OSError) as failure:
            raise ConfigurationError(f"{source} cannot be copied to {path}: {failure}") from failure
    return Copied(path, users, messages, os.path.getsize(path))


def restore(url: str, source: str) -> Restored:
    """Put a copy in the place of a database, which is kept aside.

    Raises:
        ConfigurationError: A server holds the database, or the copy is damaged or cannot be read.
        DatabaseTooNew: A newer Tidings wrote the copy.
    """
    if not os.path.isfile(source):
        raise ConfigurationError(f"there is no file {source}")
    path = os.path.abspath(sqlite_path(url))
    with unserved(path, "restoring"), _written(path, may_replace=True) as partial:
        try:
            with contextlib.closing(connect(source, query_only=True)) as connection:
                check_whole(connection, source)
                _copy(connection, partial)
            with contextlib.closing(connect(partial)) as connection:
                connection.execute("UPDATE meta SET v = ? WHERE k = 'epoch'", (new_epoch(),))
            users, messages = _checked_counts(partial, "the copy of it")
            give_to_owner(path, partial)
            aside = _put_aside(path)
        except (sqlite3.Error, OSError) as failure:
            raise ConfigurationError(f"{source} cannot be restored to {path}: {failure}") from failure
    return Restored(users, messages, aside)


def check_readable(connection: sqlite3.Connection, name: str) -> None:
    """Return when this is a database of ours, by its schema alone: the whole check is made on the copy.

    Raises:
        ConfigurationError: It is something else.
    """
    try:
        connection.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchone()
    except sqlite3.DatabaseError as failure:
        raise ConfigurationError(f"{name} is not a database of Tidings: {failure}") from failure


def _copy(connection: sqlite3.Connection, target: str) -> None:
    """Copy everything in one step: in smaller ones every write of a server would begin the copy anew."""
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
        connection.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, complete by itself


def _checked_counts(path: str, name: str) -> tuple[int, int]:
    with contextlib.closing(connect(path)) as connection:
        check_whole(connection, name)
        users, messages = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("users", "messages")
        )
    return users, messages


@contextlib.contextmanager
def _written(path: str, *, may_replace: bool = False) -> Iterator[str]:
    """The name of a file to be written in the place of ``path``: renamed at the end, gone if anything goes wrong."""
    partial = f"{path}.partial-{os.getpid()}"
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.close(descriptor)
    except OSError as failure:
        raise ConfigurationError(f"{path} cannot be written: {failure.strerror}") from None
    try:
        yield partial
        _sync(partial)
        if not may_replace and os.path.lexists(path):
            raise ConfigurationError(f"{path} has come to be meanwhile; choose another name")
        os.rename(partial, path)
        _sync(os.path.dirname(path))
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            Path(partial + ending).unlink(missing_ok=True)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_aside(path: str) -> str | None:
    """Rename a database with what belongs to it, the main file first: alone, its companions can do no harm."""
    if not os.path.lexists(path):
        for ending in BESIDE[1:]:  # of a database that was deleted by hand; they must not meet the new one
            Path(path + ending).unlink(missing_ok=True)
        return None
    aside = f"{path}.before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    for ending in BESIDE:
        if os.path.lexists(path + ending):
            os.rename(path + ending, aside + ending)
    return aside
