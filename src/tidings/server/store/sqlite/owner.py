"""A command of root acts as the user to whom a database belongs.

It works on a directory that may be the service's user's own, who can put a link in the place of any name there. So root
acts as that user for as long as it touches something in it: then nothing can be reached that this user could not reach
alone, and what is made belongs to whom it should.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
from collections.abc import Iterator
from typing import NamedTuple

LINKS_MAX = 40  # as the kernel follows


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
