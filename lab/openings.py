"""Whether somebody opens a file, for microseconds as it may be: inotify(7)."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

IN_OPEN = 0x20  # <sys/inotify.h>


@contextmanager
def openings(path: Path) -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether anybody has opened this file since."""
    library = ctypes.CDLL(None, use_errno=True)
    descriptor: int = library.inotify_init1(os.O_CLOEXEC)
    try:
        assert library.inotify_add_watch(descriptor, os.fsencode(path), IN_OPEN) > 0, os.strerror(ctypes.get_errno())
        yield lambda: bool(select.select([descriptor], [], [], 0)[0])
    finally:
        os.close(descriptor)
