"""The database that a command works on: opened, or a sentence why not.

A command of root works on a directory that may be the service's user's own, who can put a link in the place of any
name there. So root acts as that user for as long as it touches something in it (``as_owner``): then nothing can be
reached that this user could not reach alone, and what is made belongs to whom it should.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from tidings.errors import ConfigurationError, DatabaseInUse
from tidings.server.store.open import sqlite_path
from tidings.server.store.sqlite.file import connect, known_version, schema_version, set_pragma
from tidings.server.store.sqlite.lock import DatabaseLock
from tidings.server.store.sqlite.wal import check_log, fold

COMMAND_LOCK_WAIT_S = 0.5  # a server that is just going may take a moment; one that serves is told about at once
LINKS_MAX = 40  # as the kernel follows


class Database(NamedTuple):
    """An open database: its real path, and whether a server has it too."""

    path: str
    connection: sqlite3.Connection
    is_served: bool


@contextlib.contextmanager
def opened(url: str, *, query_only: bool = False, any_schema: bool = False) -> Iterator[Database]:
    """A database whose schema is that of this Tidings, beside a server or not.

    Raises:
        ConfigurationError: It is not there, is none of ours, has an older schema (unless ``any_schema``), or its log is
            not its own.
        DatabaseTooNew: A newer Tidings wrote it.
    """
    known = known_version()
    with as_owner(sqlite_path(url)) as path:
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
        except (sqlite3.Error, OSError) as failure:
            raise ConfigurationError(f"db (TIDINGS_DB): {path} cannot be used: {failure}") from failure
        finally:
            lock.release()


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


@contextlib.contextmanager
def as_owner(path: str) -> Iterator[str]:
    """While root, act as the user to whom the directory of a file belongs; the file's real path.

    The whole process does, until the end. Links are followed one by one, each with the rights of whose it is. Inside of
    another one it acts as another user, and afterwards as the former again.
    """
    global _acting
    former = _acting
    itself = former or _Who(os.geteuid(), os.getegid(), tuple(os.getgroups()))
    is_root = former is not None or itself.user == 0
    try:
        if former is not None:
            _become(_Who(0, 0, (0,)))
        for _ in range(LINKS_MAX):
            directory = os.path.realpath(os.path.dirname(os.path.abspath(path)))
            if is_root and os.geteuid() == 0 and os.path.isdir(directory):
                _act_as_owner_of(directory)
            path = os.path.join(directory, os.path.basename(os.path.abspath(path)))
            if not os.path.islink(path):
                break
            path = os.path.join(directory, os.readlink(path))
        yield path
    finally:
        if _acting is not None:
            _become(itself)
        _acting = former


class _Who(NamedTuple):
    user: int
    group: int
    groups: tuple[int, ...]
    is_shut_out: bool = False  # of a directory above its own


_acting: _Who | None = None  # this process is root's, and acts as somebody else


def _act_as_owner_of(directory: str) -> None:
    global _acting
    owner = os.stat(directory)
    if owner.st_uid == 0:
        return
    try:
        group = pwd.getpwuid(owner.st_uid).pw_gid
    except KeyError:  # a user without a name, as a container's may be
        group = owner.st_gid
    _acting = _Who(owner.st_uid, group, (group,))
    _become(_acting)
    if not os.path.exists(directory):
        _acting = _acting._replace(is_shut_out=True)
        _become(_acting)


def _become(who: _Who) -> None:
    os.seteuid(0)
    os.setgroups(who.groups)
    os.setegid(who.group)
    os.seteuid(who.user)
    if who.is_shut_out:
        _go_through_closed_directories()


_READ_SEARCH = 1 << 2  # CAP_DAC_READ_SEARCH, capabilities(7)
_CAPABILITY_VERSION_3 = 0x20080522


def _go_through_closed_directories() -> None:
    """Let this thread reach and read what is closed to whom it acts as, but write nothing of others.

    A service of systemd with ``DynamicUser=yes`` has its directory behind one that only root may enter.
    """
    library = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice
    if library.capget(header, sets) == 0:
        sets[0] |= _READ_SEARCH
        if library.capset(header, sets) == 0:
            return
    raise OSError(ctypes.get_errno(), "the directory of the database cannot be reached as the user whose it is")
