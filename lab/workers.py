"""An application under a server with several processes on one port: each of them is a node.

Which process has a stream is asked of the kernel, not of the product.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2

from lab import plain_http
from lab.host import Host
from lab.node import Person, Stream
from lab.process import PATIENCE_S, START_DEADLINE_S, wait_for


class Workers(Host):
    """`command` starts `count` processes that serve `app` of `source`, on a PostgreSQL database."""

    def __init__(self, directory: Path, server: list[str], count: int, *, source: Path, db: str) -> None:
        super().__init__(directory, "", source=source)
        self._server, self.count, self.db = server, count, db
        # A connection for each request. One that is kept is to a process that may have stood still for longer than its
        # server keeps idle connections (gunicorn: 2 s): it ends it, and the next request meets that.
        for_one_request = httpx2.Limits(max_keepalive_connections=0)
        self.http = plain_http.client(timeout=PATIENCE_S, limits=for_one_request)

    def command(self) -> list[str]:
        return [word.format(port=self.port, count=self.count) for word in self._server]

    def environment(self) -> dict[str, str]:
        assert self.db is not None
        return super().environment() | {"HOST_DB": self.db}

    def start(self) -> None:
        super().start()
        wait_for(lambda: len(self.serving()) == self.count, START_DEADLINE_S, f"{self.count} processes serve")

    def processes(self) -> list[int]:
        """The processes that the main one has started."""
        return [int(id) for id in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def serving(self) -> list[int]:
        """Those of them that wait for connections: the listener is among what they look at."""
        listener = {inode for local, remote, inode in _sockets() if local == self.port and remote == 0}
        return [id for id in self.processes() if _looks_at(id, listener)]

    def process_of(self, stream: Stream) -> int:
        """The process at the other end of a stream."""
        theirs = {inode for local, remote, inode in _sockets() if (local, remote) == (self.port, stream.port)}
        [found] = wait_for(lambda: [id for id in self.processes() if theirs & _inodes(id).keys()])
        return found

    @contextlib.contextmanager
    def one_on_each(self, people: Sequence[Person]) -> Iterator[list[tuple[int, Stream]]]:
        """A stream of each person, each on another process: those that have one stand still until all have one."""
        placed: list[tuple[int, Stream]] = []
        try:
            for person in people:
                stream = person.opens_stream().live()
                process = self.process_of(stream)
                assert process not in [each for each, _ in placed]
                placed.append((process, stream))
                os.kill(process, signal.SIGSTOP)
        finally:
            for process, _ in placed:
                os.kill(process, signal.SIGCONT)
        yield placed


def _sockets() -> list[tuple[int, int, int]]:
    """(local port, remote port, inode) of the TCP sockets of this machine."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return [(int(row[1].split(":")[1], 16), int(row[2].split(":")[1], 16), int(row[9])) for row in rows]


def _inodes(process: int) -> dict[int, int]:
    """The sockets of a process: inode, descriptor."""
    found = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for entry in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if (name := str(entry.readlink())).startswith("socket:["):
                    found[int(name[8:-1])] = int(entry.name)
    return found


def _looks_at(process: int, inodes: set[int]) -> bool:
    """Whether an epoll of the process has one of these sockets in it."""
    descriptors = {descriptor for inode, descriptor in _inodes(process).items() if inode in inodes}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for entry in Path(f"/proc/{process}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):
                lines = [line.split() for line in entry.read_text().splitlines() if line.startswith("tfd:")]
                if descriptors & {int(line[1]) for line in lines}:
                    return True
    return False
