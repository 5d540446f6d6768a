"""A sentence for each failure of the database: it says what is the case and what to do, to an operator.

No sentence lets anybody in: the URL is shown without password and options. The server's own words may be
in another language, so nothing here hangs on them: a refusal is told by its SQLSTATE and, where several share one, by
the function of the server that refuses.

A refusal is ``DatabaseAway`` where it may pass by itself, and else a ``ConfigurationError``.
"""

from __future__ import annotations

import os
import ssl

import asyncpg

from tidings.errors import ConfigurationError, DatabaseAway, NotNow, TidingsError
from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import CONNECTIONS_MAX, DriverFailure, code_of, said

_NOT_NOW = ("08", "40", "53", "55", "57", "58")  # connection, conflict, resources, state, operator, system
_OF_A_POOLER = ("unsupported startup parameter", "prepared statement")

# Functions of the server, which refuse a connection (miscinit.c, postinit.c, auth.c).
_LOOKS_AT_ROLE, _LOOKS_AT_DATABASE, _LOOKS_AT_HBA = "InitializeSessionUserId", "CheckMyDatabase", "ClientAuthentication"


def refusal(address: Address, failure: BaseException) -> TidingsError:
    """Return the sentence for an operator."""
    at = f"db (TIDINGS_DB): {address.shown}"
    if any(each in str(failure) for each in _OF_A_POOLER) and not address.is_pooled:
        return unsaid_pooler(address)
    if code_of(failure) and isinstance(failure, asyncpg.PostgresError):
        return _of_the_server(address, at, failure)
    if isinstance(failure, asyncpg.TargetServerAttributeNotMatched):  # as long as a fail-over lasts
        return DatabaseAway(f"{at}: each of its hosts is a standby, or takes no writes now (target_session_attrs)")
    if isinstance(failure, ValueError):  # of the URL, which its text may quote
        return ConfigurationError(f"{at}: an option, a port or a host of the URL cannot be read")
    if isinstance(failure, DriverFailure):
        return DatabaseAway(f"{at} does not answer")
    if isinstance(failure, ssl.SSLError):
        return ConfigurationError(
            f"{at}: TLS fails: {failure.reason or 'unknown'}; see sslmode in the options of the URL"
        )
    if isinstance(failure, ConnectionError) and "rejected SSL" in str(failure):
        return ConfigurationError(f"{at} takes no TLS, and sslmode in the options of the URL asks for it")
    if isinstance(failure, TimeoutError):
        return DatabaseAway(f"{at} does not answer in time")
    return DatabaseAway(f"{at} cannot be reached: {_why(failure)}")


def _of_the_server(address: Address, at: str, failure: asyncpg.PostgresError) -> TidingsError:
    """The sentence for what the server said."""
    code, by = code_of(failure), getattr(failure, "server_source_function", None)
    match code:
        case "28P01":
            return ConfigurationError(f"{at} refuses this user, or the password is wrong")
        case "28000" if by == _LOOKS_AT_HBA:
            return ConfigurationError(
                f"{at} lets this user not in from here ({said(failure)}); a line in the server's pg_hba.conf does, or"
                " sslmode in the options of the URL, where the server wants TLS"
            )
        case "28000":  # no such role, one without LOGIN, or another proof than a password failed
            return ConfigurationError(f"{at} refuses this user: {said(failure)}")
        case "3D000":
            return ConfigurationError(f"{at}: there is no database of this name; make it with: createdb")
        case "42501" if by == _LOOKS_AT_DATABASE:
            return ConfigurationError(
                f"{at}: the user of the URL may not connect to this database. Its owner says: GRANT CONNECT ON DATABASE"
                " the database TO the user"
            )
        case "42501":
            return ConfigurationError(
                f"{at}: the user of the URL lacks a right. Its owner says: CREATE SCHEMA {address.schema};"
                f" GRANT USAGE, CREATE ON SCHEMA {address.schema} TO the user"
            )
        case "3F000" | "42P01" | "42883":
            return ConfigurationError(f"{at} has no tables of Tidings in the schema {address.schema}")
        case "25006":
            return standby(address)
        case "42704" | "22023" | "55P02":  # of the options -c of the URL, or of PGOPTIONS
            return ConfigurationError(f"{at} does not take a setting of the URL's options: {said(failure)}")
        case "53300":
            return DatabaseAway(f"{at} {_no_connection_left(by)}; a node wants {CONNECTIONS_MAX}")
        case "57P03":
            return DatabaseAway(f"{at} is starting, stopping or recovering, and takes no connections: {said(failure)}")
        case "57P01" | "57P02":
            return DatabaseAway(f"{at} ended the connection: it is stopping, or an administrator ended it")
        case "55P03":
            return DatabaseAway(
                f"{at}: another transaction holds what this waits for; see it in pg_stat_activity, and try again"
            )
        case "25P03":
            return DatabaseAway(f"{at} ended a transaction in which nothing was asked for too long")
        case "57014":
            return DatabaseAway(f"{at} took too long, and gave up: {said(failure)}")
        case "55000" if by == _LOOKS_AT_DATABASE:
            return DatabaseAway(
                f"{at}: this database takes no connections now. An administrator says: ALTER DATABASE the database"
                " ALLOW_CONNECTIONS true"
            )
    if code.startswith("08") and not isinstance(failure, asyncpg.ProtocolViolationError):
        return DatabaseAway(f"{at} cannot be reached: the connection was lost")
    kind = DatabaseAway if code[:2] in _NOT_NOW else ConfigurationError
    return kind(f"{at}: {said(failure)} ({code})")


def _no_connection_left(by: str | None) -> str:
    if by == _LOOKS_AT_ROLE:
        return "gives the user of the URL no more connections: raise the limit, ALTER ROLE the user CONNECTION LIMIT n"
    if by == _LOOKS_AT_DATABASE:
        return "gives this database no more connections: raise the limit, ALTER DATABASE its name CONNECTION LIMIT n"
    return "has no connection left: raise max_connections, or let fewer programs connect"


def _why(failure: BaseException) -> str:
    """The reason that the system gives, without the driver's additions."""
    number = getattr(failure, "errno", None)
    if isinstance(failure, OSError) and number is not None:
        # What getaddrinfo says has numbers of its own, below zero, and its words are the whole of it.
        return os.strerror(number) if number > 0 else str(failure.strerror)
    if isinstance(failure, (ConnectionError, EOFError)):
        return "the connection was lost"
    return "no address of it answers"  # several were tried, each with an end of its own


def failure_text(address: Address, failure: BaseException) -> str:
    """Return what a log may say of a failure."""
    return str(failure if isinstance(failure, TidingsError) else refusal(address, failure))


def nameless_text(address: Address, failure: BaseException) -> str:
    """Return it without the database's address, for an answer."""
    return failure_text(address, failure).replace(f"db (TIDINGS_DB): {address.shown}", "The database")


def standby(address: Address) -> NotNow:
    """Return the sentence for a database that only reads."""
    return NotNow(
        f"db (TIDINGS_DB): {address.shown} is a standby, or takes no writes; name the primary, or several hosts with"
        " target_session_attrs=read-write"
    )


def unsaid_pooler(address: Address) -> ConfigurationError:
    """Return the sentence for a pooler that the URL does not tell of."""
    return ConfigurationError(
        f"db (TIDINGS_DB): a pooler is before {address.shown}; add bouncer=1 to the options of the URL"
    )
