"""The use of a server, by the operating system's accounting."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CPU_OF_ALL_THREADS = 2  # with a process's number the clock of its CPU: clock_getcpuclockid(3) makes it so on Linux
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
SOCKET_SLABS = ("TCP", "sock_inode_cache", "filp", "dentry", "eventpoll_epi", "eventpoll_pwq", "kmalloc-64")


def processes(root: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield root
    try:
        children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from processes(int(child))


def cpu_s(root: int) -> float:
    """User and system time of all of them, all threads, to the nanosecond; of children that ended, to 10 ms."""
    return sum(_own_cpu_s(each) + sum(map(int, _stat(each)[13:15])) / TICKS_PER_S for each in processes(root))


def rss_kib(root: int) -> int:
    """Resident memory of all of them."""
    return sum(int(_stat(each)[21]) * PAGE_KIB for each in processes(root))


def held_kib(root: int) -> int:
    """Return the KiB that all of them hold: PSS without pages of files, which are the kernel's to drop."""
    total = 0
    for each in processes(root):
        with contextlib.suppress(OSError):  # it ended meanwhile
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    return total


def disk_bytes(root: int) -> int:
    """Bytes that all of them had written to files, as the disk sees them: whole pages. Sockets are not counted."""
    return sum(int(dict(_io(each))["write_bytes"]) for each in processes(root))


def kernel_kib() -> int | None:
    """Return the kernel's memory for sockets, both ends of each; None where slabs cannot be read (not root)."""
    try:
        lines = Path("/proc/slabinfo").read_text().splitlines()[2:]
    except PermissionError:
        return None
    sizes = {name: int(used) * int(size) // 1024 for name, used, _, size, *_ in map(str.split, lines)}
    return sum(sizes.get(name, 0) for name in SOCKET_SLABS)


def _own_cpu_s(process: int) -> float:
    return time.clock_gettime(~process << 3 | _CPU_OF_ALL_THREADS)


def _io(process: int) -> Iterator[list[str]]:
    return (line.split(": ") for line in Path(f"/proc/{process}/io").read_text().splitlines())


def _stat(process: int) -> list[str]:
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
