"""The schema in the database: its versions, and how it is brought up to date.

Nodes of two versions work on one schema while they are replaced, so a migration only adds. ``readable_by`` is the
lowest version that may work on it: a migration raises it that takes something away.
"""

from __future__ import annotations

import functools
import secrets
from importlib.resources import files
from typing import Any

from tidings.errors import ConfigurationError, DatabaseTooNew
from tidings.server.store.postgres import driver, sentences
from tidings.server.store.postgres.address import Address

OUTBOX_SINCE, HOURLY_SINCE = 2, 5  # the versions that have these tables; a command may meet a former one
SERVICE_KEYS_SINCE = 6
PROFILES_SINCE = 7
EPOCH_SIZE_BYTES = 4  # 8 hex digits
MIGRATE_LOCK = "tidings.migrate."  # of the schema whose name follows
LOCK_WAIT_MS = 2_000  # of a migration: others' writes wait behind one that waits for a table
MIGRATE_WAIT_MS = 60_000  # for another's migration, and for each of its statements

Connection = Any  # asyncpg's, which has no types


def new_epoch() -> str:
    """The identity of a history that begins now, or that is no longer what its readers saw."""
    return secrets.token_hex(EPOCH_SIZE_BYTES)


async def check_server(connection: Connection, address: Address) -> None:
    """Return when the server can have a database of ours.

    Raises:
        ConfigurationError: It is too old, or behind a pooler of which the URL does not tell.
        NotNow: It is a standby.
    """
    version, is_standby, lock_timeout = await connection.fetchrow(
        "SELECT current_setting('server_version_num')::int,"
        " pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, current_setting('lock_timeout')"
    )
    if not address.is_pooled and lock_timeout != f"{driver.LOCK_WAIT_MS}ms":
        raise sentences.unsaid_pooler(address)  # that was told to pass over settings of a session
    if version < driver.VERSION_MIN * 10_000:
        raise ConfigurationError(
            f"db (TIDINGS_DB): {address.shown} is PostgreSQL {version // 10_000};"
            f" Tidings needs {driver.VERSION_MIN} or later"
        )
    if is_standby:
        raise sentences.standby(address)


async def read_version(connection: Connection, address: Address) -> int:
    """The version of the schema; 0 where there is none.

    Raises:
        DatabaseTooNew: A newer Tidings made of it what this one cannot work on.
    """
    # By the catalogs' rows: to_regclass may answer from before another's migration that this transaction waited for.
    has_meta = await connection.fetchval(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = 'meta'",
        address.schema,
    )
    if has_meta is None:
        return 0
    version, readable_by = await connection.fetchrow(address.sql("SELECT version, readable_by FROM TIDINGS.meta"))
    check_readable(version, readable_by)
    return int(version)


def check_readable(version: int, readable_by: int) -> None:
    """Return when this Tidings may work on a schema of this version.

    Raises:
        DatabaseTooNew: It may not.
    """
    if readable_by > known_version():
        raise DatabaseTooNew(version, known_version())


async def migrate(connection: Connection, address: Address) -> int:
    """Bring the schema up to date, whoever else does so at the same time; the version before.

    Raises:
        DatabaseTooNew: A newer Tidings made of it what this one cannot work on.
    """
    if await read_version(connection, address) >= known_version():  # which needs no right to make anything
        return known_version()
    async with connection.transaction():
        await connection.execute(
            f"SET LOCAL lock_timeout = {MIGRATE_WAIT_MS}; SET LOCAL statement_timeout = {MIGRATE_WAIT_MS}"
        )
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", MIGRATE_LOCK + address.schema)
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
        before = await read_version(connection, address)
        for number, script in enumerate(_scripts(), start=1):
            if number == 1 and before == 0 and not await _has_schema(connection, address):
                await connection.execute(f'CREATE SCHEMA "{address.schema}"')
            if number > before:
                await connection.execute(address.sql(script))
    return before


async def deny(connection: Connection, address: Address) -> None:
    """Take from everybody what PostgreSQL grants to everybody with a function that is made, or restored."""
    if await read_version(connection, address) >= OUTBOX_SINCE:
        await connection.execute(address.sql("REVOKE ALL ON FUNCTION TIDINGS.enqueue FROM PUBLIC"))


def script(address: Address, after: int, role: str | None) -> str:
    """SQL that does what ``migrate`` does to a schema of the version ``after``, for whoever runs it in our place.

    It fails as a whole where the schema has another version. ``role`` gets what a node needs, where another one owns
    the schema.
    """
    schema, known = f'"{address.schema}"', known_version()
    lines = [
        f"-- Tidings: the schema {address.schema} from version {after} to {known}, in one transaction.",
        "BEGIN;",
        f"SET LOCAL lock_timeout = {LOCK_WAIT_MS};",
        f"SELECT pg_advisory_xact_lock(hashtextextended('{MIGRATE_LOCK}{address.schema}', 0));",
    ]
    if after == 0:
        lines.append(f"CREATE SCHEMA IF NOT EXISTS {schema};")
    else:
        lines.append(
            f"DO $$ BEGIN IF (SELECT version FROM {schema}.meta) <> {after} THEN"
            f" RAISE EXCEPTION 'the schema {address.schema} has not version {after}'; END IF; END $$;"
        )
    lines += [address.sql(each) for each in _scripts()[after:]]
    if role is not None:
        to = 'TO "' + role.replace('"', '""') + '";'
        lines += [
            f"GRANT USAGE ON SCHEMA {schema} {to}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} {to}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} {to}",
            f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} {to}",
        ]
    return "\n".join([*lines, "COMMIT;"])


async def _has_schema(connection: Connection, address: Address) -> bool:
    return bool(await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", address.schema))


def known_version() -> int:
    """The version of the schema that this Tidings makes."""
    return len(_scripts())


@functools.cache
def _scripts() -> tuple[str, ...]:
    folder = files("tidings.server.store.postgres") / "migrations"
    scripts = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name)
    return tuple(each.read_text("utf-8") for each in scripts)
