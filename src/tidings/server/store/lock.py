"""The exclusive lock beside an SQLite database: one process serves it.

The kernel drops the lock with the process, however it ends. The file holds the process id, for the sentence that
refuses a second server.
"""

from __future__ import annotations

import fcntl
import os
import time

from tidings.errors import DatabaseInUse
from tidings.server.config import DATABASE_LOCK_WAIT_S

_RETRY_EVERY_S = 0.05


class DatabaseLock:
    """Held from ``acquire`` until ``release`` or the end of the process."""

    def __init__(self, database_path: str) -> None:
        self._path = database_path + ".lock"
        self._descriptor: int | None = None

    def acquire(self, wait_s: float = DATABASE_LOCK_WAIT_S) -> None:
        """Take the lock, waiting for a predecessor that is just going.

        Raises:
            DatabaseInUse: It is still held after ``wait_s`` seconds.
            OSError: The lock file cannot be made.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                    os.close(descriptor)
                    raise DatabaseInUse(int(holder) if holder.isdigit() else None) from None
                time.sleep(_RETRY_EVERY_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go. The file stays: removing it would let two processes lock two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
