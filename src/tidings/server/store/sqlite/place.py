"""Whether an open database is still what its path names, and what to do when it is not.

SQLite goes on with the files that it has open, whatever became of their names or of their bytes: everything is
acknowledged, and gone with the process. So the writer looks once a second, stops, and saves what only it has.

Rules
1. If the file is in its place and what belongs to it is not, the log is folded into it: nothing is lost, and another
   process may start.
2. If the file's place is empty, a copy is made of what is open, and put there: likewise.
3. If another file is in its place, the copy stays beside it: which of them counts is for people, and so nobody starts
   again by itself.
4. While a copy fails, for want of room say, the process lives on and tries again: it has the only one. A file that has
   another name now is not lost, and is not waited for. A process that is told to stop puts the copy elsewhere.
5. If the bytes of a file were changed and not by SQLite, nothing is written into it any more. The bytes that were
   written last are still in the writer's cache: a copy of what it sees stays beside.
6. The log was changed by another program if it differs from the index that SQLite keeps of it (``-shm``). The writer
   may compare the two because nobody else may write meanwhile. The file was changed by another program if none of the
   ids in its mark is in the mark that a reader of file and log together sees (wal.py, rule 3).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import struct
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

from tidings.server.store.sqlite.file import sync
from tidings.server.store.sqlite.lock import DatabaseLock
from tidings.server.store.sqlite.wal import Mark, fold, mark_copy, read_mark

RESCUE_RETRY_S = 5.0  # until another try to save what only this process has; room may have been made

log = logging.getLogger("tidings.store")

OPEN_BESIDE = ("-wal", "-shm")  # what SQLite keeps beside a database that is open
_INDEX = struct.Struct("=12xBBHI4xII8s")  # of -shm: is it made, bytes' order, page's size, frames, checksum, salts
_LOG_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_MARK_PAGE = 2  # of ``meta``, which is the first table that is made, also by VACUUM
_PAGE_MAX_BYTES = 65_536


class OutOfPlace(Exception):
    """Files of an open database are not where they were, or not what they were."""

    def __init__(self, endings: tuple[str, ...], *, is_changed: bool = False) -> None:
        self.endings = endings  # of those that are not: "" is the file itself
        self.is_changed = is_changed
        files = ", ".join(f"the {ending or 'file'}" for ending in endings)
        super().__init__(
            f"{files} of the database was changed in its place by another program"
            if is_changed
            else f"{files} of the database is not in its place any more"
        )


class Rescued(NamedTuple):
    """The result of a rescue, and whether another process may go on in its place."""

    text: str
    may_go_on: bool


class OpenFiles:
    """The files of a database that this process has open, by what they are and not by their names."""

    def __init__(self, lock: DatabaseLock) -> None:
        self._lock = lock
        self._path = lock.path
        self._keys = {ending: _key(self._path + ending) for ending in ("", *OPEN_BESIDE)}
        self._log, self._index = (lock.open_beside(ending) for ending in OPEN_BESIDE)
        self._mark = Mark()  # as it was seen last
        self._seen = (0, b"")  # likewise the log: where its last frame is, and that frame's header

    @property
    def log_size_bytes(self) -> int:
        """Return the size of the log on the disk; 0 where there is none."""
        try:
            return os.stat(self._path + "-wal").st_size
        except FileNotFoundError:
            return 0

    def check(self, connection: sqlite3.Connection | None) -> None:
        """Return when each is in its place, and what it was.

        ``connection`` is in a write transaction that has not written yet, so that nobody changes anything meanwhile;
        without one the mark that was seen last has to do.

        Raises:
            OutOfPlace: It is not.
        """
        gone = tuple(ending for ending, key in self._keys.items() if _key(self._path + ending) != key)
        if gone:
            raise OutOfPlace(gone)
        if not self._is_our_log():
            raise OutOfPlace(("-wal",), is_changed=True)
        if connection is not None:
            self._mark = read_mark(connection)
        if not self._is_our_file():
            raise OutOfPlace(("",), is_changed=True)

    def _is_our_log(self) -> bool:
        """Source: SQLite, WAL-mode file format, 2.1."""
        index = os.pread(self._index, _INDEX.size, 0)
        if len(index) < _INDEX.size:
            return True
        is_made, _order, page_size, frames, *checksum, salts = _INDEX.unpack(index)
        if not is_made or frames == 0:
            return True
        size = _FRAME_HEADER_BYTES + (page_size if page_size > 1 else _PAGE_MAX_BYTES)
        header = os.pread(self._log, _LOG_HEADER_BYTES, 0)
        place = _LOG_HEADER_BYTES + (frames - 1) * size
        last = os.pread(self._log, _FRAME_HEADER_BYTES, place)
        seen_place, seen = self._seen
        if (
            header[16:24] == last[8:16] == salts
            and last[16:24] == struct.pack(">II", *checksum)
            and (seen[8:16] != salts or seen == os.pread(self._log, _FRAME_HEADER_BYTES, seen_place))
        ):
            self._seen = place, last
            return True
        return index != os.pread(self._index, _INDEX.size, 0)  # another process writes just now

    def _is_our_file(self) -> bool:
        if self._mark.ids[0] == Mark().ids[0]:  # no fold came to its end yet
            return True
        size = int.from_bytes(os.pread(self._lock.descriptor, 2, 16), "big")
        size = size if size > 1 else _PAGE_MAX_BYTES
        page = os.pread(self._lock.descriptor, size, (_MARK_PAGE - 1) * size)
        return any(each.encode() in page for each in self._mark.ids)

    def rescue(self, connection: sqlite3.Connection, lost: OutOfPlace, wait: Callable[[float], bool]) -> Rescued:
        """Save what was acknowledged; ``wait`` pauses before another try, and says whether there may be one."""
        self._lock.keep_what_is_beside()
        if lost.is_changed:
            return self._copy_what_is_left(connection)
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
                    return self._copy_elsewhere(connection)

    def _fold(self, connection: sqlite3.Connection) -> Rescued:
        fold(connection, "TRUNCATE")
        busy, _in_log, _folded = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()  # the mark, too
        if busy:
            raise sqlite3.OperationalError("another program reads it")
        log_file = self._path + "-wal"
        if _key(log_file) in (None, self._keys["-wal"]):
            return Rescued("all of it is in the file now", True)
        aside = f"{log_file}.not-its-own-{_now()}"
        os.rename(log_file, aside)  # of no use to it, and whose it is is not known
        return Rescued(f"all of it is in the file now; the -wal that was put there is {aside} now", True)

    def _copy_what_is_left(self, connection: sqlite3.Connection) -> Rescued:
        """Rule 5. Nothing of it goes into the file's place: whether all is in it cannot be told."""
        try:
            copy = self._write_copy(connection, self._path)
            with contextlib.closing(sqlite3.connect(copy)) as made:
                ((fault,),) = made.execute("PRAGMA integrity_check(1)")
        except (sqlite3.Error, OSError) as failure:
            return Rescued(f"it cannot be saved: {failure}; restore the last backup with: tidings restore", False)
        advice = f"tidings restore {copy}" if fault == "ok" else f"damaged ({fault}): restore the last backup"
        return Rescued(f"what this process still had of it is in {copy}: {advice}", False)

    def _copy_elsewhere(self, connection: sqlite3.Connection) -> Rescued:
        """In a directory of its own, which only this user can enter, near the place or for temporary files."""
        near = os.path.dirname(self._path)
        while not os.path.isdir(near):
            near = os.path.dirname(near)
        failures = []
        for place in (near, tempfile.gettempdir()):
            try:
                directory = tempfile.mkdtemp(prefix="tidings-rescued-", dir=place)
                copy = self._write_copy(connection, os.path.join(directory, os.path.basename(self._path)))
            except (sqlite3.Error, OSError) as failure:
                failures.append(f"{place}: {failure}")
            else:
                return Rescued(f"all that was acknowledged is in {copy}: tidings restore {copy}", False)
        return Rescued(f"it is lost: {'; '.join(failures)}", False)

    def _write_copy(self, connection: sqlite3.Connection, beside: str) -> str:
        """The name of a copy, which is written whole or not at all."""
        copy = f"{beside}.rescued-{_now()}"
        try:
            write_copy(connection, copy)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(copy)
            raise
        return copy

    def _copy(self, connection: sqlite3.Connection) -> Rescued:
        copy = self._write_copy(connection, self._path)
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


def _now() -> str:
    """For the name of a file: the moment, and this process."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"


def _key(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return status.st_dev, status.st_ino
