"""A server that is measured: how it is started, how it is published to and read.

A file beside this one has a subclass of `System` for each: what differs from its defaults, what it does not do, and
which client its documentation gives. The scoreboard breaks it, the benchmarks load it.
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lab.process import Program, accepts, free_port
from lab.systems.event_source import StreamRequest
from lab.systems.reader import Reader

HERE = Path(__file__).parent

MakeReader = Callable[["System", str, str], Awaitable[Reader]]
"""Of (system, base url, name of the reader)."""


@dataclass(frozen=True)
class Publication:
    """The request that publishes one letter; it is acknowledged by a status in `positive`."""

    path: str
    headers: dict[str, str]
    content: bytes
    positive: tuple[int, ...]


class Server(Program):
    """One server on 127.0.0.1, with its data in a directory of its own, on the same port whenever it starts again."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = free_port()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        inherited = super().environment().items()
        return {name: value for name, value in inherited if not name.startswith(("DJANGO_", "PYTHON"))}

    def serves(self) -> object:
        return accepts(self.port)

    @property
    def services(self) -> tuple[Program, ...]:
        """The programs that it cannot do without, such as its database: they run when it does, and longer."""
        return ()


class System(Server):
    """One server of a kind."""

    name: ClassVar[str]
    setup: ClassVar[str]
    """What is started, and what differs from its defaults."""
    lacks: ClassVar[str]
    """What it does not do, as far as it shows in the table."""

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

    async def prepare(self) -> None:
        """Do what has to be done once before the first start."""
        return

    @abc.abstractmethod
    def publish(self, reader: str, text: str, key: str) -> Publication: ...

    @abc.abstractmethod
    def stream(self, reader: str) -> StreamRequest: ...


@dataclass(frozen=True)
class Row:
    """A row of the table: a system, read by one client."""

    system: type[System]
    client: str
    make_reader: MakeReader

    @property
    def name(self) -> str:
        return f"{self.system.name}, {self.client}"
