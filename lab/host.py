"""Applications of other people under uvicorn, as a `Node` that the tests can use."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from lab.node import PATIENCE_S, START_DEADLINE_S, Node, wait_for

HOSTS = Path(__file__).parents[1] / "tests" / "server"


class Host(Node):
    """uvicorn with an application such as ``hosts:mounted``, from ``source``; it is told its database by HOST_DB.

    Its people are known by their names alone, unless the application has other means.
    """

    def __init__(self, directory: Path, app: str, *options: str, source: Path = HOSTS) -> None:
        super().__init__(directory)
        self.app = app
        self.options = options
        self.source = source

    def token(self, user_id: str, **_: object) -> str:
        return user_id

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = {**os.environ, "HOST_DB": f"sqlite:///{self.database}", "PYTHONPATH": str(self.source)}
        with (self.directory / "stderr.txt").open("ab") as stderr:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=environment, cwd=self.directory,
                start_new_session=True,
            )  # fmt: skip
        wait_for(self.accepts, START_DEADLINE_S, "uvicorn listens")

    def command(self) -> list[str]:
        return [sys.executable, "-m", "uvicorn", self.app, "--port", str(self.port), *self.options]

    def accepts(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0

    def kill(self) -> None:
        """End it at once, with the workers that it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        super().kill()

    def wait_exit(self, deadline_s: float | None = None) -> None:
        assert self.process is not None
        self.process.wait(deadline_s or PATIENCE_S)
        self.process = None
        self._close()
        assert "Traceback" not in self.output, self.output
