"""The servers that are compared, each set up as its documentation says, and what each of them does not do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lab.meter import cpu_s
from lab.systems import dialects
from lab.systems.guide import Guide
from lab.systems.nchan import Nchan
from lab.systems.sse_starlette import SseStarlette, uvicorn_arguments
from lab.systems.system import HERE, Server
from lab.systems.tidings import Tidings
from lab.systems.tidings_nodes import TidingsNodes
from tidings.bench.dialect import Dialect

STREAMS_MAX = 18_000  # at one server: below the usual limit of descriptors
SETTINGS = {
    "TIDINGS_LOG_LEVEL": "warning",
    "TIDINGS_STREAMS_MAX": "19100",
    "TIDINGS_STREAMS_PER_USER_MAX": "1000",
}
ON_POSTGRES = "Tidings on PostgreSQL"
TWO_WITH_NOTIFY, TWO_WITH_NATS = "Tidings, two nodes, NOTIFY", "Tidings, two nodes, NATS"
OF_UVICORN = ("--no-access-log", "--backlog", "4096", "--timeout-keep-alive", "600")


class Peer(NamedTuple):
    """A server: how it is made for an empty folder, how it is spoken to, and what it leaves out.

    ``past`` opens streams at the beginning of what is stored, ``receipts`` says what was read; a text instead says why
    that cannot be done. ``is_durable``: what was answered is on the disk. ``streams_max``: where more
    take it minutes.
    """

    name: str
    without: str
    server: Callable[[Path], Server]
    dialect: Callable[[str], Dialect]
    past: Callable[[str], Dialect] | str = "stores nothing"
    receipts: Callable[[str], Dialect] | str = "no receipts"
    is_durable: bool = False
    streams_max: int = STREAMS_MAX
    nodes: int = 0  # of one database on PostgreSQL


class Running:
    """A peer's process, kept to the first CPU where there are two: the load has the other.

    With ``shares_cpus`` it has them all, as the load has then, and what it cannot do without.
    """

    def __init__(self, peer: Peer, folder: Path, *, shares_cpus: bool = False) -> None:
        self.peer = peer
        self.folder = folder
        self.server = peer.server(folder)
        self.server.under = [] if shares_cpus else pinned(0)
        self.server.start()
        self.pid = self.server.pid
        self.port = self.server.port
        self.url = f"{self.server.url}/api/message"
        self.dialect = peer.dialect(self.url)

    def cpu_s(self) -> float:
        """The CPU that it has used, and what it cannot do without."""
        return cpu_s(self.pid) + self.services_cpu_s()

    def services_cpu_s(self) -> float:
        """The CPU that its database and its bus have used."""
        return sum(cpu_s(each.pid) for each in self.server.services)

    def stop(self) -> None:
        """Ask it to end, then end it."""
        self.server.end(20)

    def kill(self) -> None:
        """End it, where nobody wants what it has: a drain takes seconds."""
        self.server.kill()


class Floor(Server):
    """A program in C that does the least that one can; with `log` it appends to a file and waits for the disk."""

    def __init__(self, directory: Path, program: Path, log: str = "") -> None:
        super().__init__(directory)
        self.program, self.log = program, log

    def command(self) -> list[str]:
        return [str(self.program), str(self.port), *([str(self.directory / self.log)] if self.log else [])]


class FastApi(Server):
    """FastAPI's own event streams."""

    def command(self) -> list[str]:
        uvicorn = str(Path(sys.executable).with_name("uvicorn"))
        return [uvicorn, *uvicorn_arguments("fastapi_app", self.port), *OF_UVICORN]


def pinned(cpu: int) -> list[str]:
    """The beginning of a command that keeps it to one CPU, where there are several."""
    return ["taskset", "-c", str(cpu)] if (os.cpu_count() or 1) > 1 else []


def floor_program(folder: Path) -> Path:
    """The compiled floor."""
    program = folder / "floor"
    subprocess.run(["cc", "-O2", "-o", str(program), str(HERE / "floor.c")], check=True)
    return program


def served_by_us(path: Path | None = None, **settings: str) -> Peer:
    """Tidings with these settings in its environment, on a database that is there, or on a new one."""
    return Peer(
        "Tidings",
        "",
        lambda folder: Tidings(folder, path, SETTINGS | settings),
        dialects.tidings,
        dialects.tidings_past,
        dialects.tidings_receipts,
        is_durable=True,
    )


def on_postgres(name: str, nodes: int, *, on_nats: bool = False) -> Peer:
    """So many nodes of Tidings on PostgreSQL."""
    return Peer(
        name,
        "",
        lambda folder: TidingsNodes(folder, SETTINGS, nodes=nodes, on_nats=on_nats),
        dialects.tidings,
        is_durable=True,
        nodes=nodes,
    )


def all_peers(floor: Path) -> list[Peer]:
    """Tidings first."""
    return [
        served_by_us(),
        served_by_us(TIDINGS_DETACHED_STREAMS="0")._replace(name="Tidings, not detached"),
        Peer(
            "C, epoll",
            "no store, no identity, no limits, no resuming",
            lambda folder: Floor(folder, floor),
            dialects.plain,
        ),
        Peer(
            "C, epoll, fdatasync",
            "no identity, no limits, no resuming, nothing can be read again",
            lambda folder: Floor(folder, floor, "log"),
            dialects.plain,
            "cannot be read again",
            is_durable=True,
        ),
        Peer(
            "guide's Express",
            "memory only, no identity, no ids, nothing to the sender's own streams",
            lambda folder: Guide(folder, os.devnull),
            dialects.guide,
        ),
        Peer(
            "sse-starlette",
            "memory only, no identity, no ids, nothing to the sender's own streams",
            lambda folder: SseStarlette(folder, *OF_UVICORN),
            dialects.queues,
            streams_max=10_000,
        ),
        Peer(
            "FastAPI's SSE",
            "memory only, no identity, no ids, nothing to the sender's own streams",
            FastApi,
            dialects.queues,
            streams_max=10_000,
        ),
        Peer(
            "nginx with nchan",
            "memory only, no identity, no order between channels, no receipts",
            lambda folder: Nchan(folder, workers=1),
            dialects.plain,
            dialects.nchan_past,
        ),
        on_postgres(ON_POSTGRES, 1),
        on_postgres(TWO_WITH_NOTIFY, 2),
        on_postgres(TWO_WITH_NATS, 2, on_nats=True),
    ]
