"""How the lab starts a program, waits until it serves, stops it and kills it: one way for all of them.

Rules of this file:

- A program has a process group of its own: `kill` ends it with all that it has started, and nothing else.
- It writes into files of its own directory; a start that fails shows what it wrote.
- Nothing sleeps for luck: everything waits for a condition, with a deadline.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

START_DEADLINE_S = 60.0  # ten times what it takes on a machine that does much else
PATIENCE_S = 30.0  # for what should come soon: as long as a machine may take that does much else
"""How long a test waits for something that should happen at once. Under the heartbeat of 15 s: a reader that gets
nothing fails instead of living on heartbeats."""

T = TypeVar("T")


def wait_for(condition: Callable[[], T | None], deadline_s: float = PATIENCE_S, what: str = "") -> T:
    """Return the first truthy value of `condition`; raises AssertionError after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, f"not within {deadline_s} s: {what or condition}"
        time.sleep(0.01)


def free_port() -> int:
    """A port below those that the kernel gives to outgoing connections: it stays free while its server is down."""
    for port in random.SystemRandom().sample(range(10_000, 30_000), 100):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 10000 and 30000")


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def is_gone(process_id: int) -> bool:
    """Whether the process has ended, all threads of it; one that nobody has waited for counts as ended.

    Its first thread may be gone while another one still has its open connections.
    """
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z" and len(os.listdir(f"/proc/{process_id}/task")) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


class Program(ABC):
    """One program and its directory. It may be started again after it has ended.

    `under` is a command that runs it (and becomes it, by exec). `process` is None while it does not run.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stdout_name: ClassVar[str] = "output.txt"
    stderr_name: ClassVar[str] = "output.txt"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.under: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def serves(self) -> object:
        """Something truthy once it can be used; asked again and again while it starts."""

    def environment(self) -> dict[str, str]:
        """Ours, without settings that are meant for another server."""
        return {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self.process is not None
        return self.process.pid

    @property
    def output(self) -> str:
        """All that it wrote to stdout and stderr since the first start."""
        names = dict.fromkeys((self.stdout_name, self.stderr_name))
        paths = (self.directory / name for name in names)
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [*self.under, *self.command()]
        with (
            (self.directory / self.stdout_name).open("ab") as stdout,
            (self.directory / self.stderr_name).open("ab") as stderr,
        ):
            self.process = process = subprocess.Popen(
                command, cwd=self.directory, env=self.environment(), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            )  # fmt: skip

        def ready() -> object:
            assert process.poll() is None, f"{command[0]} ended with {process.returncode} at start:\n{self.output}"
            return self.serves()

        try:
            wait_for(ready, START_DEADLINE_S, f"{command[0]} serves")
        except BaseException:
            self.kill()
            raise

    def end(self, patience_s: float = PATIENCE_S) -> int | None:
        """Ask it to stop, and kill what is left of it after so long. Its exit code; None if it had to be killed."""
        if (process := self.process) is None:
            return None
        process.send_signal(self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
        code = process.returncode
        self.kill()
        return code

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
            self.process = None
