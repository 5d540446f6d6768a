"""The harness asks of a system: start it, publish to it, read it, stop it.

An adapter in ``systems/`` is a subclass. It says beside its row what it does not do (`lacks`), where that decides the
outcome, and which client its documentation gives.
"""

from __future__ import annotations

import abc
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lab.scoreboard.event_source import StreamRequest
from lab.scoreboard.reader import Reader
from lab.scoreboard.sender import Publication
from lab.systems.served_process import ServedProcess, free_port

HERE = Path(__file__).parent

MakeReader = Callable[["System", str, str], Awaitable[Reader]]
"""Of (system, base url, name of the reader)."""


class System(abc.ABC):
    """One server of a kind, with its data in a directory of its own."""

    name: ClassVar[str]
    setup: ClassVar[str]
    """What is started, and what differs from its defaults."""
    lacks: ClassVar[str]
    """What it does not do, as far as it shows in the table."""
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.process = ServedProcess(
            self.command(), directory, self.port,
            environment={**clean_environment(), **self.environment()}, stop=self.stop_signal,
        )  # fmt: skip

    @classmethod
    @abc.abstractmethod
    def version(cls) -> str:
        """Names and versions of what runs."""

    @classmethod
    @abc.abstractmethod
    def missing(cls) -> str:
        """Return the parts that are not installed, and how to install them; "" when all is there."""

    @classmethod
    def build(cls) -> None:
        """Make what all scenes of this system share, once."""
        return

    @abc.abstractmethod
    def command(self) -> list[str]: ...

    def environment(self) -> dict[str, str]:
        return {}

    async def prepare(self) -> None:
        """Do what has to be done once before the first start."""
        return

    @abc.abstractmethod
    def publish(self, reader: str, text: str, key: str) -> Publication: ...

    @abc.abstractmethod
    def stream(self, reader: str) -> StreamRequest: ...

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Row:
    """A row of the table: a system, read by one client."""

    system: type[System]
    client: str
    make_reader: MakeReader

    @property
    def name(self) -> str:
        return f"{self.system.name}, {self.client}"


def clean_environment() -> dict[str, str]:
    """This process's environment without settings meant for another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TIDINGS_", "DJANGO_", "PYTHON"))}
