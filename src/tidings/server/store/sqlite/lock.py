"""The exclusive lock on an SQLite database: one process serves a file, whatever name it was opened by.

Rules
1. The lock lies on the file itself, on a byte that SQLite never locks, and belongs to our open description of it
   (fcntl(2), F_OFD_SETLK): symbolic links, hard links and mounts lead to the same one, it is in nobody's way, and the
   kernel drops it with the process, however that ends.
2. Closing any descriptor of a file takes back all locks that SQLite holds on it in this process (POSIX). So ours is
   closed after the last connection, and a file that this process has here is not opened once more: ``_open_here``.
3. A second byte is locked as POSIX has it, for nothing but the sentence that refuses a second server: such a lock tells
   whose it is.
4. Nothing is ever written into a file by its name, and no link is followed: the path is a real one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import sys
import threading
import time

from tidings.errors import ConfigurationError, DatabaseInUse

DATABASE_LOCK_WAIT_S = 10.0  # a reloading server's predecessor needs a moment to go

_RETRY_EVERY_S = 0.05
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510  # what SQLite locks to read, and to delete a log (its os.h)
_SERVING, _WHO = 0x40000200, 0x40000201  # the bytes behind those that SQLite locks
_FLOCK = "hhqqiq"  # struct flock of Linux, with room behind it

_open_here: dict[tuple[int, int], tuple[int, int]] = {}  # (device, inode) → descriptor, process
_guard = threading.Lock()


class DatabaseLock:
    """Held from ``acquire`` until ``release`` or the end of the process; ``path`` is a real path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._key = (0, 0)
        self._beside: list[int] = []

    @property
    def descriptor(self) -> int:
        """The file, open for reading and writing, as long as it is held."""
        assert self._descriptor is not None, "acquire it first"
        return self._descriptor

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode of the file that is locked."""
        return self._key

    def acquire(self, wait_s: float = DATABASE_LOCK_WAIT_S, *, may_create: bool = False) -> None:
        """Take the lock, waiting for a predecessor that is just going.

        Raises:
            DatabaseInUse: It is still held after ``wait_s`` seconds.
            ConfigurationError: The file cannot be served where it is.
            OSError: It cannot be opened.
        """
        deadline = time.monotonic() + wait_s
        while (holder := self._try(may_create)) is not None:
            if time.monotonic() >= deadline:
                raise DatabaseInUse(holder or None)
            time.sleep(_RETRY_EVERY_S)

    def share(self) -> None:
        """Let others serve it, and keep the file open: connections of this process may still use it."""
        _lock(self.descriptor, fcntl.F_UNLCK, _SERVING, 1)

    def sign(self) -> None:
        """Let others see which process has it. After the last close of another descriptor of this file: rule 2."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _WHO)

    def keep_what_is_beside(self) -> None:
        """Let no connection that closes delete a log by its name: what bears it now may be another's."""
        _lock(self.descriptor, fcntl.F_RDLCK, _SHARED_FIRST, _SHARED_SIZE)

    def open_beside(self, ending: str) -> int:
        """A descriptor of a file that SQLite locks, too, to be read until this is released: rule 2 holds for it."""
        descriptor = os.open(self.path + ending, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._beside.append(descriptor)
        return descriptor

    def release(self) -> None:
        """Let go. All connections to the file must be closed."""
        while self._beside:
            os.close(self._beside.pop())
        with _guard:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None and _open_here.get(self._key) == (descriptor, os.getpid()):
                del _open_here[self._key]
                os.close(descriptor)

    def _try(self, may_create: bool) -> int | None:
        """None when the lock is ours now; else who holds it, 0 if that is not known."""
        with _guard:
            try:
                here = _open_here.get(_key(os.stat(self.path, follow_symlinks=False)))
            except FileNotFoundError:
                if not may_create:
                    raise
                here = None
            if here is not None:
                return here[1]
            flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_CREAT if may_create else 0)
            descriptor = os.open(self.path, flags, 0o600)
            key = _key(os.fstat(descriptor))
            if key in _open_here:  # put there just now; the descriptor is lost, as closing it would do harm
                return _open_here[key][1]
            try:
                _check_place(descriptor, self.path)
                try:
                    _lock(descriptor, fcntl.F_WRLCK, _SERVING, 1)
                except OSError as failure:
                    if failure.errno not in (errno.EAGAIN, errno.EACCES):
                        raise
                    holder = _holder(descriptor)
                    os.close(descriptor)
                    return holder
                if not _is_at(self.path, key):  # exchanged while we waited, as restore does
                    os.close(descriptor)
                    return 0
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor, self._key = descriptor, key
            _open_here[key] = (descriptor, os.getpid())
            return None


def is_held_here(path: str) -> bool:
    """Whether this process holds the lock of the file at a real path."""
    try:
        here = _open_here.get(_key(os.stat(path, follow_symlinks=False)))
    except OSError:
        return False
    return here is not None and here[1] == os.getpid()


def _is_at(path: str, key: tuple[int, int]) -> bool:
    try:
        return _key(os.stat(path, follow_symlinks=False)) == key
    except FileNotFoundError:
        return False


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _check_place(descriptor: int, path: str) -> None:
    """Return when a database can be where this file is.

    Raises:
        ConfigurationError: It is no file, or its directory is not the place where its log would survive.
    """
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise ConfigurationError(f"db (TIDINGS_DB): {path} is no file")
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        if _mount(descriptor) != _mount(directory):
            raise ConfigurationError(
                f"db (TIDINGS_DB): {path} is mounted by itself: what is committed last is in a file beside it, and"
                " would not survive; mount its directory instead"
            )
    finally:
        os.close(directory)


def _mount(descriptor: int) -> bytes | None:
    """Which mount a descriptor was opened through; None where the kernel does not tell."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", "rb") as lines:  # bytes: a codec may be one that is not loaded yet
            return next((line for line in lines if line.startswith(b"mnt_id")), None)
    except OSError:
        return None


def _lock(descriptor: int, kind: int, start: int, length: int) -> None:
    if sys.platform == "linux":
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0, 0))
        except OSError as failure:
            if failure.errno != errno.EINVAL:  # a kernel that does not know it, as some sandboxes have
                raise
        else:
            return
    # Without open file description locks: a POSIX lock, for which rule 2 is more than a courtesy.
    names = {fcntl.F_WRLCK: fcntl.LOCK_EX, fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_UNLCK: fcntl.LOCK_UN}
    fcntl.lockf(descriptor, names[kind] | fcntl.LOCK_NB, length, start)


def _holder(descriptor: int) -> int:
    """The process that has signed; 0 where nobody has, or the system does not say."""
    if sys.platform != "linux":
        return 0
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _WHO, 1, 0, 0)
    kind, _whence, _start, _length, process, _room = struct.unpack(
        _FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
    )
    return 0 if kind == fcntl.F_UNLCK else int(process)


def _forget() -> None:
    """In a child after a fork: the lock is its parent's, and ends with that."""
    _guard.release()
    for descriptor, _process in _open_here.values():
        os.close(descriptor)
    _open_here.clear()


os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_forget)
