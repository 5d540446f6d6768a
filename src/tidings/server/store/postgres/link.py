"""A connection to the database that comes back: opened when it is needed, dropped when something is wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import (
    IDLE_IN_TRANSACTION_MAX_MS,
    LOCK_WAIT_MS,
    MESSAGES,
    STATEMENT_WAIT_MAX_MS,
    WARNING,
    Failure,
    connect,
)

CLOSE_WAIT_MAX_S = 2.0  # for a server to say good-bye

Greet = Callable[[Any], Awaitable[None]]

# A database or its user may be set to answer before a commit is on the disk; one that waits for more goes on with that.
SYNCHRONOUS = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)
_IN_A_POOL = (
    f"SET LOCAL statement_timeout = {STATEMENT_WAIT_MAX_MS}; SET LOCAL lock_timeout = {LOCK_WAIT_MS};"
    f" SET LOCAL idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MAX_MS};"
    f" SET LOCAL client_min_messages = {MESSAGES}; SET LOCAL jit = off; {SYNCHRONOUS.replace('false', 'true')}"
)


class Link:
    """One connection at a time; ``greet`` is called with each new one, before its first use."""

    def __init__(self, address: Address, greet: Greet | None = None, **settings: str) -> None:
        self._address = address
        self._greet = greet
        self._settings = settings
        self._connection: Any = None
        self.was_warned = False  # since the one who waits for an outcome has looked

    async def open(self) -> None:
        """Return when there is a connection.

        Raises:
            Failure: There is none.
        """
        if self._connection is not None and not self._connection.is_closed():
            return
        self._connection = await connect(self._address, **self._settings)
        self._connection.add_log_listener(self._listen)
        self.was_warned = False
        if self._greet is not None:
            try:
                await self._greet(self._connection)
            except BaseException:
                self.drop()
                raise

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """The rows of a statement, which is a transaction of its own.

        Raises:
            Failure: See driver.py for what it means.
        """
        await self.open()
        return await fetch(self._connection, self._address, sql, *values)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None and not self._connection.is_closed()

    def drop(self) -> None:
        """End the connection at once, whatever waits on it."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Take leave of the server, or not, if that takes long."""
        if self._connection is not None:
            with contextlib.suppress(*Failure, asyncio.CancelledError):
                await self._connection.close(timeout=CLOSE_WAIT_MAX_S)
            self._connection = None

    def _listen(self, _connection: Any, message: Any) -> None:
        if message.sqlstate == WARNING:
            self.was_warned = True


async def fetch(connection: Any, address: Address, sql: str, *values: Any) -> list[Any]:
    """The rows of a statement on a connection that no transaction is on."""
    statement = address.sql(sql)
    if not address.is_pooled:
        return await connection.fetch(statement, *values)  # type: ignore[no-any-return]
    async with connection.transaction(
        isolation="read_committed"
    ):  # a pooler gives the next statement another connection
        await connection.execute(_IN_A_POOL)
        return await connection.fetch(statement, *values)  # type: ignore[no-any-return]
