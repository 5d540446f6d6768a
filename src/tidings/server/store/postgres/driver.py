"""asyncpg, and the meaning of its failures for a write; sentences.py has what is said of them to an operator.

Rules
1. ``KNOWN_NOT_COMMITTED`` are the only failures of a write after which it may be tried again: the database says by them
   that nothing was kept. After any other one it is not known.
2. A write is never cancelled: a commit that waits for its standby answers a cancelled wait with success and a warning.
   The connection is ended instead, and the warning counts as not known.
"""

from __future__ import annotations

from typing import Any

from tidings.extra import needs
from tidings.server.store.postgres.address import Address

with needs("db (TIDINGS_DB): PostgreSQL needs asyncpg", "postgres"):
    import asyncpg

VERSION_MIN = 15  # the oldest that was tested
CONNECTIONS_MAX = 7  # of one node: 2 for writes, 2 for reads, 2 for hints, 1 for the outbox
CONNECT_WAIT_MAX_S = 5.0
STATEMENT_WAIT_MAX_MS = 8_000  # the server ends a statement before we end the connection, and that before we answer
LOCK_WAIT_MS = 200  # on the lane that everybody's writes are on
IDLE_IN_TRANSACTION_MAX_MS = 10_000  # a node that stopped in between holds no lock for longer
MESSAGES = "notice"  # rule 2: the warning comes, whatever level is set for the user

SERIALIZATION, DEADLOCK, LOCK_NOT_AVAILABLE, UNIQUE = "40001", "40P01", "55P03", "23505"
KNOWN_NOT_COMMITTED = {SERIALIZATION, DEADLOCK, LOCK_NOT_AVAILABLE, UNIQUE}
LACKS_RIGHT = "42501"
WARNING = "01000"
INTERNAL = "XX"  # a class: a defect of the database, or of its files

# What asyncpg raises of the database, of its own state (a statement on a connection that the server said it ends, and
# whose end is not here yet; no host with the wished target_session_attrs), and what else when it cannot reach it.
DriverFailure = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
Failure = (*DriverFailure, OSError, TimeoutError, EOFError)


async def connect(
    address: Address, answer_wait_max_s: float | None = None, /, **settings: str
) -> asyncpg.Connection[Any]:
    """A connection, with these settings of the session where there is no pooler.

    ``answer_wait_max_s`` is how long each statement may take, for one who keeps no time of their own.

    Raises:
        Failure: There is none.
    """
    if address.is_pooled:
        return await _connect(address, command_timeout=answer_wait_max_s, statement_cache_size=0)
    server_settings = {
        "application_name": "tidings",
        "client_min_messages": MESSAGES,
        "default_transaction_isolation": "read committed",
        "jit": "off",
        "lock_timeout": str(LOCK_WAIT_MS),
        "statement_timeout": str(STATEMENT_WAIT_MAX_MS),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MAX_MS),
        "idle_session_timeout": "0",  # a connection that listens stands idle
        # Every statement is some look-ups by an index, also where the statistics are of yesterday.
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        **settings,
    }
    return await _connect(address, command_timeout=answer_wait_max_s, server_settings=server_settings)


async def _connect(address: Address, **options: Any) -> asyncpg.Connection[Any]:
    try:
        return await asyncpg.connect(address.dsn, timeout=CONNECT_WAIT_MAX_S, **options)
    except OverflowError as failure:  # a port above 65535, which the driver leaves to the system
        raise ValueError("a port that there is not") from failure


def code_of(failure: BaseException) -> str:
    """The SQLSTATE of a failure; empty where the server did not say anything."""
    return getattr(failure, "sqlstate", None) or ""


def was_not_sent(failure: BaseException) -> bool:
    """Whether the driver refused a statement since the server had taken leave, and nothing of it was sent."""
    return isinstance(failure, asyncpg.InternalClientError) and str(failure).startswith("cannot switch to state")


def said(failure: BaseException) -> str:
    """The first line of a failure: further ones may show the row, and so a text."""
    return (str(failure).splitlines() or [type(failure).__name__])[0]
