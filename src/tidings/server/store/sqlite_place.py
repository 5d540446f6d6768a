"""Whether an open database is still what its path names, and what to do when it is not.

SQLite goes on with the files that it has open, whatever became of their names: everything is acknowledged, and gone
with the process. So the writer looks once a second, stops, and saves what only it has.

Rules
1. If the file is in its place and what belongs to it is not, the log is folded into it: nothing is lost, and another
   process may start.
2. If the file's place is empty, a copy is made of what is open, and put there: likewise.
3. If another file is in its place, the copy stays beside it: which of them counts is for people, and so nobody starts
   again by itself.
4. While a copy fails, for want of room say, the process lives on and tries again: it has the only one. A file that has
   another name now is not lost, and is not waited for.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from typing import NamedTuple

from tidings.server.config import RESCUE_RETRY_S
from tidings.server.store.lock import DatabaseLock
from tidings.server.store.sqlite_file import sync
from tidings.server.store.sqlite_wal import fold, mark_copy

log = logging.getLogger("tidings.store")

OPEN_BESIDE = ("-wal", "-shm")  # what SQLite keeps beside a database that is open


class OutOfPlace(Exception):
    """Files of an open database are not where they were."""

    def __init__(self, endings: tuple[str, ...]) -> None:
        self.endings = endings  # of those that are not: "" is the file itself
        super().__init__(", ".join(f"the {ending or 'file'}" for ending in endings))


class Rescued(NamedTuple):
    """What became of it, and whether another process may go on in its place."""

    text: str
    may_go_on: bool


class OpenFiles:
    """The files of a database that this process has open, by what they are and not by their names."""

    def __init__(self, lock: DatabaseLock) -> None:
        self._lock = lock
        self._path = lock.path
        self._keys = {ending: _key(self._path + ending) for ending in ("", *OPEN_BESIDE)}

    @property
    def log_size_bytes(self) -> int:
        """What the log takes on the disk; 0 where there is none."""
        try:
            return os.stat(self._path + "-wal").st_size
        except FileNotFoundError:
            return 0

    def check(self) -> None:
        """Return when each is in its place.

        Raises:
            OutOfPlace: It is not.
        """
        gone = tuple(ending for ending, key in self._keys.items() if _key(self._path + ending) != key)
        if gone:
            raise OutOfPlace(gone)

    def rescue(self, connection: sqlite3.Connection, lost: OutOfPlace, wait: Callable[[float], bool]) -> Rescued:
        """Save what was acknowledged; ``wait`` pauses before another try, and says whether there may be one."""
        self._lock.keep_what_is_beside()
        while True:
            try:
                return self._fold(connection) if "" not in lost.endings else self._copy(connection)
            except (sqlite3.Error, OSError) as failure:
                if os.fstat(self._lock.descriptor).st_nlink > 0:
                    return Rescued(f"it was moved, and is whole with its -wal where it is now ({failure})", False)
                log.critical(
                    "%s is gone, and what was acknowledged cannot be saved: %s; trying again", self._path, failure
                )
                if not wait(RESCUE_RETRY_S):
                    return Rescued(f"it is lost: {failure}", False)

    def _fold(self, connection: sqlite3.Connection) -> Rescued:
        fold(connection, "TRUNCATE")
        busy, _in_log, _folded = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()  # the mark, too
        if busy:
            raise sqlite3.OperationalError("another program reads it")
        return Rescued("all of it is in the file now", True)

    def _copy(self, connection: sqlite3.Connection) -> Rescued:
        copy = f"{self._path}.rescued-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
        try:
            write_copy(connection, copy)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(copy)
            raise
        for ending in OPEN_BESIDE:
            if _key(self._path + ending) == self._keys[ending]:  # of the former file; the next one must not meet it
                os.unlink(self._path + ending)
        try:
            os.link(copy, self._path)
        except FileExistsError:
            return Rescued(f"another file is in its place now; all that was acknowledged is in {copy}", False)
        os.unlink(copy)
        sync(os.path.dirname(self._path))
        return Rescued("all that was acknowledged was put in its place", True)


def write_copy(connection: sqlite3.Connection, target: str) -> None:
    """Make a whole database of its own, in one file that only its owner reads, of what a connection sees.

    In one step: in smaller ones every write of a server would begin the copy anew.

    Raises:
        FileExistsError: There is something of this name.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
        connection.backup(copy, pages=-1)
        (mode,) = copy.execute("PRAGMA journal_mode = DELETE").fetchone()
        if mode != "delete":
            raise sqlite3.OperationalError("the copy is not complete by itself")
        mark_copy(copy)
    sync(target)


def _key(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return status.st_dev, status.st_ino
