"""One connection for upkeep: it is used by calls that block, and by one thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import DriverFailure, Failure, connect
from tidings.server.store.postgres.link import fetch
from tidings.server.store.postgres.schema import check_server
from tidings.server.store.postgres.sentences import refusal

T = TypeVar("T")

STATEMENT_WAIT_MAX_MS = 120_000  # a vacuum, and the last look of an erasure at everything of one person
IDLE_MAX_MS = 600_000  # of an export whose reader stands still, and of pg_dump, which has the state by then
ANSWER_WAIT_MAX_S = STATEMENT_WAIT_MAX_MS / 1000 + 5  # of a server that stands still, which ends no statement


class Session:
    """A connection, and the event loop that it lives in."""

    def __init__(self, runner: asyncio.Runner, connection: Any, address: Address) -> None:
        self._runner = runner
        self.connection = connection
        self.address = address

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of something that waits for the database."""
        return self._runner.run(work)

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """The rows of a statement, in a transaction of its own if none is open."""
        if self.connection.is_in_transaction():
            return await self.connection.fetch(self.address.sql(sql), *values)  # type: ignore[no-any-return]
        return await fetch(self.connection, self.address, sql, *values)

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Likewise, for a caller that waits."""
        return self.run(self.fetch(sql, *values))

    def row(self, sql: str, *values: Any) -> Any:
        """The only row of a statement."""
        (row,) = self.rows(sql, *values)
        return row

    def execute(self, sql: str) -> None:
        """Do a statement that is no part of a transaction, or begins or ends one."""
        self.run(self.connection.execute(self.address.sql(sql)))


@contextlib.contextmanager
def opened(address: Address) -> Iterator[Session]:
    """A session on a database that can be ours.

    Raises:
        ConfigurationError, NotNow: The database cannot be used, or something went wrong with it.
    """
    with asyncio.Runner() as runner:
        try:
            connecting = connect(
                address,
                ANSWER_WAIT_MAX_S,
                statement_timeout=str(STATEMENT_WAIT_MAX_MS),
                idle_in_transaction_session_timeout=str(IDLE_MAX_MS),
            )
            connection = runner.run(connecting)
        except (*Failure, ValueError) as failure:
            raise refusal(address, failure) from failure
        try:
            session = Session(runner, connection, address)
            runner.run(_look(session))
            yield session
        except (*DriverFailure, TimeoutError) as failure:  # and no other, which is of the caller's own work
            raise refusal(address, failure) from failure
        finally:
            connection.terminate()


async def _look(session: Session) -> None:
    async with session.connection.transaction():
        await check_server(session.connection, session.address)
