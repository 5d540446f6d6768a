"""A server's process, or processes: started, stopped as its documentation says, killed, measured."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
from pathlib import Path

from lab.scoreboard.reader import until

START_DEADLINE_S = 60.0
STOP_PATIENCE_S = 10.0
"""What service managers grant a stop before they kill is 10 s in many set-ups (systemd's own default is 90 s)."""


class ServedProcess:
    """One server on 127.0.0.1, in a process group of its own, on the same port whenever it starts again."""

    def __init__(
        self, command: list[str], directory: Path, port: int, *, environment: dict[str, str], stop: signal.Signals
    ) -> None:
        self.port = port
        self.must_be_killed = False
        self._command = command
        self._directory = directory
        self.environment = environment
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        path = self._directory / "output.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    async def start(self) -> None:
        """Start it and wait until it accepts connections."""
        with (self._directory / "output.txt").open("ab") as output:
            self._process = process = subprocess.Popen(  # noqa: ASYNC220 - it is short, and loops are not what is measured
                self._command, cwd=self._directory, env=self.environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        serves = await until(lambda: process.poll() is not None or accepts(self.port), START_DEADLINE_S)
        if not serves or process.poll() is not None:
            self.kill()
            raise RuntimeError(f"{self._command[0]} does not serve:\n{self.output[-4000:]}")

    async def stop(self) -> None:
        """Ask it to stop; after STOP_PATIENCE_S kill it, and keep in mind that this was needed."""
        assert self._process is not None
        process = self._process
        process.send_signal(self._stop)
        if not await until(lambda: process.poll() is not None, STOP_PATIENCE_S):
            self.must_be_killed = True
        self.kill()

    def kill(self) -> None:
        """SIGKILL to every process of it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def memory_kib(self) -> int:
        """Return the memory of its processes: PSS without pages of files, which are the kernel's to drop."""
        assert self._process is not None
        total = 0
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    group = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[2])
                    if group == self._process.pid:
                        rollup = (folder / "smaps_rollup").read_text()
                        held = (line for line in rollup.splitlines() if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
                        total += sum(int(line.split()[1]) for line in held)
                except OSError:  # it ended meanwhile
                    continue
        return total


def accepts(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port below those that the kernel gives to outgoing connections: it stays free while its server is down."""
    for port in random.sample(range(10_000, 30_000), 100):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 10000 and 30000")
