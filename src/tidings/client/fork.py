"""A child process begins some things anew instead of sharing them with its parent.

After a ``fork`` parent and child hold the same sockets: two that read from one get each other's answers. They also hold
copies of the same locks, and one that another thread had at that moment is never released in the child.
"""

from __future__ import annotations

import os
from weakref import WeakSet

_living: WeakSet[OfOneProcess] = WeakSet()


class OfOneProcess:
    """Something with connections or locks, which belongs to the process that it is in."""

    def __init__(self) -> None:
        _living.add(self)

    def _begin_in_child(self) -> None:
        """Called in a new child, before anything else runs there: leave the parent's things alone and make own ones."""
        raise NotImplementedError


def _begin_in_child() -> None:
    for each in list(_living):
        each._begin_in_child()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_begin_in_child)
