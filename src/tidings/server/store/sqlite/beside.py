"""A database file that a command works on, beside a server or without one: opened, or a sentence why not."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from tidings.errors import ConfigurationError, DatabaseInUse
from tidings.server.store.sqlite.file import connect, known_version, schema_version, set_pragma
from tidings.server.store.sqlite.lock import DatabaseLock, is_held_here
from tidings.server.store.sqlite.owner import as_owner
from tidings.server.store.sqlite.wal import check_log, fold

COMMAND_LOCK_WAIT_S = 0.5  # a server that is just going may take a moment; one that serves is told about at once


class Database(NamedTuple):
    """An open database: its real path, and whether a server has it too."""

    path: str
    connection: sqlite3.Connection
    is_served: bool


@contextlib.contextmanager
def opened(name: str, *, query_only: bool = False, any_schema: bool = False) -> Iterator[Database]:
    """A database whose schema is that of this Tidings, beside a server or not.

    Raises:
        ConfigurationError: It is not there, is none of ours, has an older schema (unless ``any_schema``), or its log is
            not its own.
        DatabaseTooNew: A newer Tidings wrote it.
    """
    known = known_version()
    with _with_rights(name) as path:
        lock = DatabaseLock(existing(path))
        try:
            is_served = not _settled(lock)
            with contextlib.closing(connect(path)) as connection:
                version = schema_version(connection)
                if version < known and not any_schema:
                    raise ConfigurationError(
                        f"{path} has schema version {version}, this Tidings knows {known}: run tidings migrate"
                    )
                if version > 0 and not is_served:
                    fold(connection)
                if query_only:
                    set_pragma(connection, "query_only", 1)
                yield Database(path, connection, is_served)
        except BrokenPipeError:  # of the output of whoever works on it
            raise
        except (sqlite3.Error, OSError) as failure:
            raise ConfigurationError(f"db (TIDINGS_DB): {path} cannot be used: {failure}") from failure
        finally:
            lock.release()


def _with_rights(name: str) -> contextlib.AbstractContextManager[str]:
    """The real path. A server that works on its own file has the rights, and they are all its threads'."""
    path = os.path.realpath(name)
    return contextlib.nullcontext(path) if is_held_here(path) else as_owner(name)


def _settled(lock: DatabaseLock) -> bool:
    """Look whether the log is the file's own, unless a server has done so; whether there is none."""
    try:
        lock.acquire(0)
    except DatabaseInUse:
        if not os.path.exists(f"{lock.path}-wal"):
            raise ConfigurationError(
                f"db (TIDINGS_DB): {lock.path} is served under another name: use that, where its -wal is"
            ) from None
        return False
    check_log(lock.path)
    lock.share()
    return True


def existing(path: str) -> str:
    """The path of a database.

    Raises:
        ConfigurationError: It is not there.
    """
    if not os.path.isfile(path):
        raise ConfigurationError(f"db (TIDINGS_DB): there is no database {path}; name it with --db")
    return path


@contextlib.contextmanager
def unserved(path: str, doing: str, *, may_create: bool = False) -> Iterator[DatabaseLock]:
    """Hold the lock of a database.

    Raises:
        ConfigurationError: A server holds it, or it cannot be opened.
    """
    lock = DatabaseLock(path)
    try:
        lock.acquire(COMMAND_LOCK_WAIT_S, may_create=may_create)
    except DatabaseInUse as held:
        by = "a server" if held.process_id is None else f"process {held.process_id}"
        raise ConfigurationError(f"{path} is served by {by}: stop it before {doing}") from None
    except OSError as failure:
        raise ConfigurationError(f"db (TIDINGS_DB): {path} cannot be locked: {failure.strerror}") from None
    try:
        yield lock
    finally:
        lock.release()
