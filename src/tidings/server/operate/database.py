"""The database that a command works on: opened, or a sentence why not."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator

from tidings.errors import ConfigurationError, DatabaseInUse
from tidings.server.store import sqlite_path
from tidings.server.store.lock import DatabaseLock
from tidings.server.store.sqlite_file import connect, known_version, schema_version

COMMAND_LOCK_WAIT_S = 0.5  # a server that is just going may take a moment; one that serves is told about at once


@contextlib.contextmanager
def opened(url: str, *, query_only: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection to a database whose schema is that of this Tidings, beside a server or not.

    Raises:
        ConfigurationError: It is not there, is none of ours, or has an older schema.
        DatabaseTooNew: A newer Tidings wrote it.
    """
    path = existing(url)
    try:
        connection = connect(path, query_only=query_only)
        with contextlib.closing(connection):
            version = schema_version(connection)
            if version < known_version():
                raise ConfigurationError(
                    f"{path} has schema version {version}, this Tidings knows {known_version()}: run tidings migrate"
                )
            yield connection
    except sqlite3.Error as failure:
        raise ConfigurationError(f"db (TIDINGS_DB): {path} cannot be used: {failure}") from failure


def existing(url: str) -> str:
    """The file of a database URL.

    Raises:
        ConfigurationError: It is not there.
    """
    path = os.path.abspath(sqlite_path(url))
    if not os.path.isfile(path):
        raise ConfigurationError(f"db (TIDINGS_DB): there is no database {path}; name it with --db")
    return path


@contextlib.contextmanager
def unserved(path: str, doing: str) -> Iterator[None]:
    """Hold the lock of a database.

    Raises:
        ConfigurationError: A server holds it, or the lock's file cannot be made.
    """
    lock = DatabaseLock(path)
    try:
        lock.acquire(COMMAND_LOCK_WAIT_S)
    except DatabaseInUse as held:
        by = "a server" if held.process_id is None else f"process {held.process_id}"
        raise ConfigurationError(f"{path} is served by {by}: stop it before {doing}") from None
    except OSError as failure:
        raise ConfigurationError(f"db (TIDINGS_DB): {path} cannot be locked: {failure.strerror}") from None
    try:
        give_to_owner(path, path + ".lock")
        yield
    finally:
        lock.release()


def give_to_owner(path: str, *made: str) -> None:
    """Let files that root makes beside a database belong to whom it, or its directory, belongs: a server opens them."""
    if os.geteuid() == 0:
        place = os.stat(path if os.path.exists(path) else os.path.dirname(path))
        for each in made:
            os.chown(each, place.st_uid, place.st_gid)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction; what goes wrong in it leaves nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
