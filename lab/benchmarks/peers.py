"""The servers that are compared, each set up as its documentation says, and what each of them does not do."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lab.systems import dialects
from lab.systems.dialects import SECRET
from tidings.bench.dialect import Dialect

SYSTEMS = Path(__file__).parents[1] / "systems"
SERVED = SYSTEMS / "served"
GUIDE_SETTINGS = ("MESSAGES_FILE=/dev/null", "NODE_ENV=production")
START_DEADLINE_S = 20.0
STREAMS_MAX = 18_000  # at one server: below the usual limit of descriptors
UNLIMITED = {
    "TIDINGS_SENDS_PER_S": "1000000",
    "TIDINGS_SENDS_BURST": "1000000",
    "TIDINGS_SIGNALS_PER_S": "1000000",
    "TIDINGS_STREAMS_MAX": "19100",
    "TIDINGS_STREAMS_PER_USER_MAX": "1000",
}


class Peer(NamedTuple):
    """A server: its command for a port and an empty folder, how it is spoken to, and what it leaves out.

    ``past`` opens streams at the beginning of what is stored, ``receipts`` says what was read; a text instead says why
    that cannot be done. ``is_durable``: what was answered is on the disk. ``streams_max``: where more
    take it minutes.
    """

    name: str
    without: str
    command: Callable[[int, Path], list[str]]
    dialect: Callable[[str], Dialect]
    past: Callable[[str], Dialect] | str = "stores nothing"
    receipts: Callable[[str], Dialect] | str = "no receipts"
    is_durable: bool = False
    streams_max: int = STREAMS_MAX


class Running:
    """A peer's process, kept to the first CPU where there are two: the load has the other."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.peer = peer
        self.port = port
        self.url = f"http://127.0.0.1:{port}/api/message"
        self.dialect = peer.dialect(self.url)
        with (folder / "output.txt").open("wb") as output:
            self._process = subprocess.Popen(
                [*pinned(0), *peer.command(port, folder)],
                cwd=folder,
                env={**os.environ, "TIDINGS_SECRET": SECRET, "TIDINGS_LOG_LEVEL": "warning", **UNLIMITED},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.pid = self._process.pid
        ends_at = time.monotonic() + START_DEADLINE_S
        while not _accepts(port):
            if self._process.poll() is not None or time.monotonic() > ends_at:
                raise RuntimeError(f"{peer.name} does not start:\n{(folder / 'output.txt').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask it to end, then end it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it, where nobody wants what it has: a drain takes seconds."""
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def pinned(cpu: int) -> list[str]:
    """The beginning of a command that keeps it to one CPU, where there are several."""
    return ["taskset", "-c", str(cpu)] if (os.cpu_count() or 1) > 1 else []


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _nginx(port: int, folder: Path) -> list[str]:
    (folder / "nginx.conf").write_text((SERVED / "nginx.conf").read_text().replace("PORT", str(port)))
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", f"{folder}/", "-c", "nginx.conf"]


def _uvicorn(program: Path, folder: Path, module: str, port: int) -> list[str]:
    return [
        str(program), "--app-dir", str(folder), f"{module}:app", "--port", str(port), "--no-access-log",
        "--backlog", "4096", "--timeout-keep-alive", "600",
    ]  # fmt: skip


def floor_program(folder: Path) -> Path:
    """The compiled floor."""
    program = folder / "floor"
    subprocess.run(["cc", "-O2", "-o", str(program), str(SERVED / "floor.c")], check=True)
    return program


def served_by_us(path: Path, **settings: str) -> Peer:
    """Tidings on a database that is there, with these settings in its environment."""
    program = str(Path(sys.executable).with_name("tidings"))
    return _ours(
        "Tidings",
        lambda port, _: [
            *("env", *(f"{name}={value}" for name, value in settings.items())),
            *(program, "serve", "--port", str(port), "--db", f"sqlite:///{path}"),
        ],
    )


def _ours(name: str, command: Callable[[int, Path], list[str]]) -> Peer:
    return Peer(name, "", command, dialects.tidings, dialects.tidings_past, dialects.tidings_receipts, is_durable=True)


def all_peers(floor: Path) -> list[Peer]:
    """Tidings first."""
    program, node = str(Path(sys.executable).with_name("tidings")), shutil.which("node") or "node"
    return [
        _ours("Tidings", lambda port, folder: served_by_us(folder / "b.db").command(port, folder)),
        _ours(
            "Tidings, not detached",
            lambda port, folder: served_by_us(folder / "b.db", TIDINGS_DETACHED_STREAMS="0").command(port, folder),
        ),
        Peer(
            "C, epoll",
            "no store, no identity, no limits, no resuming",
            lambda port, _: [str(floor), str(port)],
            dialects.plain,
        ),
        Peer(
            "C, epoll, fdatasync",
            "no identity, no limits, no resuming, nothing can be read again",
            lambda port, folder: [str(floor), str(port), str(folder / "log")],
            dialects.plain,
            "cannot be read again",
            is_durable=True,
        ),
        Peer(
            "guide's Express",
            "memory only, no identity, no ids, nothing to the sender's own streams",
            lambda port, _: ["env", f"PORT={port}", *GUIDE_SETTINGS, node, str(SERVED / "guide.mjs")],
            dialects.guide,
        ),
        Peer(
            "sse-starlette",
            "memory only, no identity, no ids, nothing to the sender's own streams",
            lambda port, _: _uvicorn(SYSTEMS / ".venv/bin/uvicorn", SERVED, "sse_starlette_app", port),
            dialects.queues,
            streams_max=10_000,
        ),
        Peer(
            "FastAPI's SSE",
            "memory only, no identity, no ids, nothing to the sender's own streams",
            lambda port, _: _uvicorn(Path(program).with_name("uvicorn"), SERVED, "fastapi_app", port),
            dialects.queues,
            streams_max=10_000,
        ),
        Peer(
            "nginx with nchan",
            "memory only, no identity, no order between channels, no receipts",
            _nginx,
            dialects.plain,
            dialects.nchan_past,
        ),
    ]  # fmt: skip
