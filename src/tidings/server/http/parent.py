"""A process that another one of ours has started: a line of standard input says how, and it ends with the other.

The other one keeps that stream open as long as it lives. When it ends, however the other ended, this process gets
SIGTERM, drains and is gone: none is left behind. ``parent_has_gone`` tells it from a SIGTERM that somebody sent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TypeVar

import msgspec

T = TypeVar("T")

_has_gone = threading.Event()


def read_orders(kind: type[T]) -> T:
    """The first line; from now on this process ends with its parent, at once where that ended before it said how."""
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        raise SystemExit(0)
    orders = msgspec.json.decode(line, type=kind)
    threading.Thread(target=_end_with_parent, name="tidings-parent", daemon=True).start()
    return orders


def parent_has_gone() -> bool:
    """Whether the process that started this one ended first, so that this one ends."""
    return _has_gone.is_set()


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):  # not the buffered reader: its lock would be held at the interpreter's end
        pass
    _has_gone.set()
    os.kill(os.getpid(), signal.SIGTERM)
