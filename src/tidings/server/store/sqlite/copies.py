"""Backup and restore: a whole copy, or none.

A copy is made under another name, checked, written to the disk, and only then named as wished: what bears the final
name is whole. A restored database has a new epoch, so that every client's cursor is answered with a reset.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from tidings.errors import ConfigurationError
from tidings.server.store.maintenance import Copied, Restored
from tidings.server.store.sqlite.beside import opened, unserved
from tidings.server.store.sqlite.file import check_whole, connect, known_version, new_epoch, sync
from tidings.server.store.sqlite.owner import as_owner
from tidings.server.store.sqlite.place import write_copy
from tidings.server.store.sqlite.wal import BESIDE


def backup(name: str, target: str) -> Copied:
    """Copy a database, also while a server serves it: everything that was acknowledged when this began is in it.

    Raises:
        ConfigurationError: There is a file of this name, or the database cannot be read or the copy not written.
    """
    target = os.path.abspath(target)
    if os.path.lexists(target):
        raise ConfigurationError(f"{target} is already there; choose another name")
    with opened(name, query_only=True, any_schema=True) as database:
        check_readable(database.connection, database.path)
        with as_owner(target) as path, _written(path) as partial:
            try:
                write_copy(database.connection, partial)
                users, messages = _checked_counts(partial, "the copy")
            except (sqlite3.Error, OSError) as failure:
                raise ConfigurationError(f"{database.path} cannot be copied to {path}: {failure}") from failure
            size_bytes = os.path.getsize(partial)
    return Copied(target, users, messages, size_bytes)


def restore(name: str, source: str) -> Restored:
    """Put a copy in the place of a database, which is kept aside.

    Raises:
        ConfigurationError: A server holds the database, or the copy is damaged or cannot be read.
        DatabaseTooNew: A newer Tidings wrote the copy.
    """
    known_version()  # read before this process acts as another user, who may not see our own files
    with as_owner(name) as path, _source(source) as connection, contextlib.ExitStack() as held:
        if os.path.lexists(path):
            held.enter_context(unserved(path, "restoring"))
        partial = held.enter_context(_written(path, may_replace=True))
        try:
            write_copy(connection, partial)
            with contextlib.closing(connect(partial)) as copy:
                copy.execute("UPDATE meta SET v = ? WHERE k = 'epoch'", (new_epoch(),))
            users, messages = _checked_counts(partial, "the copy of it")
            aside = _put_aside(path)
        except (sqlite3.Error, OSError) as failure:
            raise ConfigurationError(f"{source} cannot be restored to {path}: {failure}") from failure
    return Restored(users, messages, aside)


@contextlib.contextmanager
def _source(name: str) -> Iterator[sqlite3.Connection]:
    """One snapshot of a copy, read with the rights of whose directory it is in, whoever this process acts as."""
    with as_owner(name) as path:
        if not os.path.isfile(path):
            raise ConfigurationError(f"there is no file {name}")
        try:
            connection = connect(path)
        except sqlite3.Error as failure:
            raise ConfigurationError(f"{name} cannot be read: {failure}") from failure
    try:
        with as_owner(name):
            check_whole(connection, name)
            connection.execute("BEGIN")
            check_readable(connection, name)
        yield connection
    finally:
        with as_owner(name):
            connection.close()


def check_readable(connection: sqlite3.Connection, name: str) -> None:
    """Return when this is a database of ours, by its schema alone: the whole check is made on the copy.

    Raises:
        ConfigurationError: It is something else.
    """
    try:
        connection.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchone()
    except sqlite3.DatabaseError as failure:
        raise ConfigurationError(f"{name} is not a database of Tidings: {failure}") from failure


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
        yield partial
        sync(partial)
        if not may_replace and os.path.lexists(path):
            raise ConfigurationError(f"{path} has come to be meanwhile; choose another name")
        os.rename(partial, path)
        sync(os.path.dirname(path))
    finally:
        for ending in ("", *BESIDE):
            Path(partial + ending).unlink(missing_ok=True)


def _put_aside(path: str) -> str | None:
    """Give a database, with what belongs to it, another name. It keeps its own, too, until the copy takes that.

    So there is no moment without a database, in which a server could begin a new one.
    """
    stamp = f"{path}.before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    names = (f"{stamp}-{number}" for number in itertools.count(1))  # of one process in one second, too
    aside = next(name for name in names if not os.path.lexists(name))
    there = [ending for ending in ("", *BESIDE) if os.path.lexists(path + ending)]
    for ending in there:
        if ending == "":
            os.link(path, aside)
        else:
            os.rename(path + ending, aside + ending)
    return aside if there else None
