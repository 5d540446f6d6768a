"""Applications of other people under uvicorn, as a `Node` that the tests can use."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.node import Node
from lab.process import PATIENCE_S, Program, accepts, free_port

HOSTS = Path(__file__).parents[1] / "tests" / "server"


class Host(Node):
    """uvicorn with an application such as ``hosts:mounted``, from ``source``; it is told its database by HOST_DB.

    Its people are known by their names alone, unless the application has other means.
    """

    stdout_name = "stderr.txt"

    def __init__(self, directory: Path, app: str, *options: str, source: Path = HOSTS) -> None:
        super().__init__(directory)
        self.app = app
        self.options = options
        self.source = source

    def token(self, user_id: str, **_: object) -> str:
        return user_id

    def start(self) -> None:
        self.port = free_port()
        super().start()

    def command(self) -> list[str]:
        return [sys.executable, "-m", "uvicorn", self.app, "--port", str(self.port), *self.options]

    def environment(self) -> dict[str, str]:
        own = {"HOST_DB": f"sqlite:///{self.database}", "PYTHONPATH": str(self.source)}
        return Program.environment(self) | own

    def serves(self) -> object:
        return accepts(self.port)

    def wait_exit(self, deadline_s: float | None = None) -> None:
        assert self.process is not None
        self.process.wait(deadline_s or PATIENCE_S)
        self.kill()
        assert "Traceback" not in self.output, self.output
