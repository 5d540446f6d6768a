"""Tidings on PostgreSQL: one node or several of one database, by `tidings serve --workers`, and what is between them.

The database waits for its disk at each commit, as SQLite's does. It is this process's own and goes on when its nodes
are killed; each system here has a schema of its own in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from lab import nats, postgres
from lab.process import Program
from lab.systems.system import Row
from lab.systems.tidings import QUERY_TOKENS, Tidings, browser_client


class TidingsNodes(Tidings):
    name = "Tidings, three nodes"
    setup = (
        "`tidings serve --workers 3` on PostgreSQL, which waits for its disk, LISTEN and NOTIFY between the nodes; a"
        " kill ends all three at once, and the database goes on"
    )
    lacks = "Each acknowledgement waits for the disk."

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] = QUERY_TOKENS,
        *,
        nodes: int = 3,
        on_nats: bool = False,
        schema: str = "",
    ) -> None:
        super().__init__(directory, settings=settings)
        self.nodes, self.on_nats = nodes, on_nats
        self.schema = schema or "s_" + sha256(str(directory.absolute()).encode()).hexdigest()[:16]

    def beside(self, directory: Path) -> TidingsNodes:
        """One more node of the same database, at an address of its own."""
        return TidingsNodes(directory, self.settings, nodes=1, on_nats=self.on_nats, schema=self.schema)

    async def prepare(self) -> None:
        """Start them in this thread: they end with the thread that started them, and that of a start soon does."""
        assert self.services

    def command(self) -> list[str]:
        url = postgres.shared(fsync="on").url(schema=self.schema)
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--db", url, "--workers", str(self.nodes)]
        return [*self.program, "serve", *where]

    def environment(self) -> dict[str, str]:
        return super().environment() | ({"TIDINGS_BUS": nats.shared().url()} if self.on_nats else {})

    @property
    def services(self) -> tuple[Program, ...]:
        database = postgres.shared(fsync="on")
        return (database, nats.shared()) if self.on_nats else (database,)


ROWS = (Row(TidingsNodes, "browser client", browser_client),)
