"""Messages for a transaction of the application, on its own connection, of whichever library that is.

Rules
1. No library is imported here: a connection of one that is not loaded there cannot be.
2. ``enqueue`` in the database is called by its full name, so that no search path of the connection matters, and all
   values are bound. Nothing else is said on the connection, and its transaction is left as it is.
3. A failure that says that this is not our database, or that a right is missing, becomes a sentence. Any other one is
   the application's: it comes as its library raised it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from tidings.errors import ConfigurationError
from tidings.server.store import NewMessage
from tidings.server.store.postgres.address import Address

NAMES = ("sender", "recipient", "body", "type", "client_id", "database")
TAKEN = (
    "connection= takes a connection of asyncpg or psycopg 3, a session or connection of SQLAlchemy, or Django's"
    " connection or its alias"
)
ANOTHER_DATABASE = "TD001"  # raised by enqueue
NO_TABLES = ("3F000", "42883", "42P01")
NO_RIGHT = "42501"


class Kind(NamedTuple):
    """Some classes of a library; ``waits``: their calls block."""

    library: str
    waits: bool
    module: str
    names: tuple[str, ...]


KINDS = (
    Kind("asyncpg", False, "asyncpg", ("Connection",)),
    Kind("psycopg", False, "psycopg", ("AsyncConnection",)),
    Kind("psycopg", True, "psycopg", ("Connection",)),
    Kind("sqlalchemy", False, "sqlalchemy.ext.asyncio", ("AsyncConnection", "AsyncSession", "async_scoped_session")),
    Kind("sqlalchemy", True, "sqlalchemy", ("Connection",)),
    Kind("sqlalchemy", True, "sqlalchemy.orm", ("Session", "scoped_session")),
    Kind("django", True, "django.db.backends.base.base", ("BaseDatabaseWrapper",)),
    Kind("django", True, "django.utils.connection", ("ConnectionProxy",)),
)


class PostgresOutbox:
    """The outbox in one schema; see ``Outbox``."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def enqueue(self, connection: Any, message: NewMessage, epoch: str | None) -> None:
        """See ``Outbox.enqueue``."""
        kind = _kind_of(connection)
        if kind.waits:
            raise TypeError("this connection waits in its thread: messages.send_now(..., connection=...) takes it")
        _check_dialect(kind, connection)
        with self._sentences():
            await connection.execute(*self._statement(kind, message, epoch))

    def enqueue_now(self, connection: Any, message: NewMessage, epoch: str | None) -> None:
        """See ``Outbox.enqueue_now``."""
        if isinstance(connection, str) and _has_project():
            connection = _find_alias(connection)
        kind = _kind_of(connection)
        if not kind.waits:
            raise TypeError("this connection is async: await messages.send(..., connection=...) takes it")
        _check_dialect(kind, connection)
        with self._sentences(), contextlib.ExitStack() as stack:
            executes = stack.enter_context(connection.cursor()) if kind.library == "django" else connection
            executes.execute(*self._statement(kind, message, epoch))

    def _statement(self, kind: Kind, message: NewMessage, epoch: str | None) -> tuple[Any, ...]:
        """The arguments of ``execute``."""
        values = (message.sender, message.recipient, message.text, message.message_type, message.client_id, epoch)
        if kind.library == "asyncpg":
            return (self._sql(*(f"${nth}" for nth, _ in enumerate(NAMES, start=1))), *values)
        if kind.library == "sqlalchemy":
            from sqlalchemy import text

            return text(self._sql(*(f":{name}" for name in NAMES))), dict(zip(NAMES, values, strict=True))
        return self._sql(*["%s"] * len(NAMES)), values

    def _sql(self, *values: str) -> str:
        bound = ", ".join(f"CAST({value} AS text)" for value in values)
        return self._address.sql(f"SELECT TIDINGS.enqueue({bound})")

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except Exception as failure:
            sentence = self._sentence(_code_of(failure))
            if sentence is None:
                raise
            raise ConfigurationError(f"connection=: {sentence}") from failure

    def _sentence(self, code: str) -> str | None:
        shown, schema = self._address.shown, self._address.schema
        if code == ANOTHER_DATABASE:
            return f"it is to another database than db (TIDINGS_DB), {shown}"
        if code in NO_TABLES:
            return (
                f"in its database is no outbox of Tidings in the schema {schema}; it is to be the one of db"
                f" (TIDINGS_DB), {shown}, with its tables: tidings migrate"
            )
        if code == NO_RIGHT:
            return (
                f"its user lacks a right. The owner of the schema says: GRANT USAGE ON SCHEMA {schema} TO the user;"
                f" GRANT EXECUTE ON FUNCTION {schema}.enqueue TO the user"
            )
        return None


def _kind_of(connection: object) -> Kind:
    """The kind of a connection, whose library is loaded if it is one.

    Raises:
        TypeError: It is none that is taken.
    """
    for kind in KINDS:
        module = sys.modules.get(kind.module)
        if module is not None and isinstance(connection, tuple(getattr(module, name) for name in kind.names)):
            return kind
    raise TypeError(f"{TAKEN}; this is a {type(connection).__name__}")


def _has_project() -> bool:
    """Whether there is a project of Django here: to have imported Django makes none."""
    if "django.db" not in sys.modules:
        return False
    from django.conf import ENVIRONMENT_VARIABLE, settings

    return settings.configured or ENVIRONMENT_VARIABLE in os.environ


def _find_alias(alias: str) -> Any:
    """Django's connection of this thread to the database of this alias.

    Raises:
        TypeError: There is none.
    """
    from django.db import connections
    from django.utils.connection import ConnectionDoesNotExist

    try:
        return connections[alias]
    except ConnectionDoesNotExist:
        raise TypeError(f"{TAKEN}; Django has no database {alias!r}") from None


def _check_dialect(kind: Kind, connection: Any) -> None:
    """Check that it is to PostgreSQL.

    Raises:
        ConfigurationError: It is not.
    """
    name = "postgresql"
    if kind.library == "django":
        name = connection.vendor
    elif kind.library == "sqlalchemy":
        name = (connection if hasattr(connection, "dialect") else connection.get_bind()).dialect.name
    if name != "postgresql":
        raise ConfigurationError(f"connection=: it is to {name}, and the outbox is in PostgreSQL, at db (TIDINGS_DB)")


def _code_of(failure: BaseException | None) -> str:
    """The SQLSTATE of a failure, which a library may have put into one of its own."""
    while failure is not None:
        code = getattr(failure, "sqlstate", None) or getattr(failure, "pgcode", None)
        if code:
            return str(code)
        failure = getattr(failure, "orig", None) or failure.__cause__
    return ""
