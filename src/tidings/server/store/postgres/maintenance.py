"""The upkeep of a PostgreSQL database, beside any number of nodes; see ``Maintenance``.

An erasure leaves nothing in the tables. PostgreSQL's own log of writes, and copies of it elsewhere, keep what was
written to them until they are recycled.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Any

from tidings.errors import ConfigurationError
from tidings.protocol.user_id import ERASED_ID_DIGITS, ERASED_ID_PREFIX, UserId, hidden_id
from tidings.server.config import REVOKED_USERS_MAX
from tidings.server.store import ServiceKey, Trimmed
from tidings.server.store.limits import (
    ERASE_SLICE_ROWS,
    FORGET_PAUSE_S,
    FORGET_WAIT_MAX_S,
    SERVICE_KEYS_MAX,
    TRIM_PAUSE_S,
    TRIM_SLICE_EVENTS,
)
from tidings.server.store.maintenance import Copied, Erased, Restored, Schema, not_added
from tidings.server.store.postgres import copies, reads
from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import LOCK_NOT_AVAILABLE, Failure, code_of
from tidings.server.store.postgres.importing import PostgresImporter
from tidings.server.store.postgres.schema import (
    HOURLY_SINCE,
    OUTBOX_SINCE,
    PROFILES_SINCE,
    SERVICE_KEYS_SINCE,
    known_version,
    migrate,
    new_epoch,
    read_version,
    script,
)
from tidings.server.store.postgres.session import Session, opened
from tidings.server.store.postgres.snapshot import BEGIN, PostgresSnapshot
from tidings.server.store.postgres.store import NODES, trim_slice

NODE_SILENT_MS = 30_000  # a node says each second that it is there; one that has not for so long is gone, or stopped
LOCK_TRIES_MAX = 300  # of a log that somebody holds: about a minute
ADD_KEY = """
    WITH added AS (
      INSERT INTO TIDINGS.service_keys
      SELECT $1, $2, $3, $4, $5::bigint, $6::int WHERE (SELECT count(*) FROM TIDINGS.service_keys) < $7::int
      ON CONFLICT (name) DO NOTHING RETURNING 1)
    SELECT count(*) FROM added"""
REMOVE_KEYS = """
    WITH gone AS (DELETE FROM TIDINGS.service_keys WHERE {} = $1 RETURNING 1) SELECT count(*) FROM gone"""
STEP = "SELECT * FROM TIDINGS.erase_1($1, $2, $3, $4, $5, $6)"
FORGETFUL = f"{NODES} AND n.forgotten < (SELECT erasures FROM TIDINGS.meta)"


class PostgresMaintenance:
    """One schema of a database."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def schema(self) -> Schema:
        with opened(self._address) as session:
            return Schema(_version(session), known_version())

    def migrate(self) -> Schema:
        """Bring the schema up to date: nodes may go on meanwhile."""
        with opened(self._address) as session:
            return Schema(session.run(migrate(session.connection, self._address)), known_version())

    def script(self, after: int) -> str:
        """See ``Maintenance.script``; no connection is needed."""
        if after > known_version():
            raise ConfigurationError(f"--from {after}: this Tidings knows versions up to {known_version()}")
        return script(self._address, after, self._address.role)

    def begin_epoch(self) -> str:
        """Nodes learn of it within a second, and cut every reader."""
        with self._opened() as session:
            (epoch,) = session.row("SELECT TIDINGS.begin_epoch_1((SELECT epoch FROM TIDINGS.meta), $1)", new_epoch())
            return str(epoch)

    def backup(self, target: str) -> Copied:
        with self._opened() as session:
            return copies.backup(session, target)

    def restore(self, source: str) -> Restored:
        """Put a copy in the place of the schema; refused while a node serves it."""
        with opened(self._address) as session:
            nodes = session.row(NODES, NODE_SILENT_MS)[0] if _version(session) else 0
            if nodes:
                raise ConfigurationError(
                    f"db (TIDINGS_DB): nodes serve {self._address.shown}; stop all of them before restoring"
                )
            return copies.restore(session, source)

    def erase(self, user: UserId) -> Erased:
        made_up = ERASED_ID_PREFIX + secrets.token_hex(ERASED_ID_DIGITS // 2)
        of = (user, hidden_id(user), made_up, REVOKED_USERS_MAX, ERASE_SLICE_ROWS)
        reached = messages = events = 0
        was_known = False
        left = None
        tables = ["users", "messages", "feed", "blocks", "revocations"]
        with self._opened() as session:
            if _version(session) >= OUTBOX_SINCE:  # before the name goes, under which a node would store what waits
                tables += ["outbox", "refused"]
                was_known = _tried(session, "SELECT TIDINGS.erase_outbox_1($1)", user)[0] > 0
            if _version(session) >= HOURLY_SINCE:
                tables.append("hourly")
                session.rows("SELECT TIDINGS.erase_hourly_1($1)", user)
            if _version(session) >= SERVICE_KEYS_SINCE:
                tables.append("service_keys")
                was_known = _tried(session, REMOVE_KEYS.format("stands_for"), user)[0] > 0 or was_known
            if _version(session) >= PROFILES_SINCE:
                tables += ["profiles"]
                was_known |= bool(session.rows('DELETE FROM TIDINGS.profiles WHERE "user" = $1 RETURNING 1', user))
            while True:
                reached, known, emptied, removed, is_done = _tried(session, STEP, *of, reached)
                was_known, messages, events = was_known or known, messages + emptied, events + removed
                if is_done:
                    break
                time.sleep(TRIM_PAUSE_S)
            if was_known:
                for table in tables:
                    session.execute(f"VACUUM TIDINGS.{table}")
                if not _wait_until_forgotten(session):
                    left = "a node may still hand out what it has in memory; restart it"
        return Erased(was_known, messages, events, left)

    def trim(self, older_than_ms: int, events_max: int, *, dry_run: bool = False) -> Trimmed:
        with self._opened() as session:

            async def cut(uid: int, wanted: int) -> int:
                await asyncio.sleep(TRIM_PAUSE_S)
                ((gone,),) = await session.fetch("SELECT TIDINGS.cut_1($1, $2, $3)", uid, wanted, TRIM_SLICE_EVENTS)
                return int(gone)

            logs = events = kept = 0
            after_uid: int | None = 0
            while after_uid is not None:
                done, after_uid = session.run(
                    trim_slice(session.fetch, None if dry_run else cut, after_uid, older_than_ms, events_max)
                )
                logs, events, kept = logs + done.logs, events + done.events, kept + done.kept
            return Trimmed(logs, events, kept)

    def add_service_key(self, key: ServiceKey) -> None:
        with self._keys() as session:
            if not session.row(ADD_KEY, *key, SERVICE_KEYS_MAX)[0]:
                raise not_added(key.name, session.run(reads.service_keys(session.fetch)))

    def service_keys(self) -> list[ServiceKey]:
        with self._keys() as session:
            return session.run(reads.service_keys(session.fetch))

    def remove_service_key(self, name: str) -> bool:
        with self._keys() as session:
            return bool(session.row(REMOVE_KEYS.format("name"), name)[0])

    @contextlib.contextmanager
    def _keys(self) -> Iterator[Session]:
        """A session on a database that has service keys."""
        with self._opened() as session:
            found = _version(session)
            if found < SERVICE_KEYS_SINCE:
                raise ConfigurationError(
                    f"db (TIDINGS_DB): {self._address.shown} has schema version {found}, and service keys are"
                    f" there from {SERVICE_KEYS_SINCE} on: run tidings migrate"
                )
            yield session

    @contextlib.contextmanager
    def importer(self) -> Iterator[PostgresImporter]:
        with self._opened() as session:
            yield PostgresImporter(session)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[PostgresSnapshot]:
        with self._opened() as session:
            session.execute(BEGIN)
            yield PostgresSnapshot(session)

    def glance(self) -> contextlib.AbstractContextManager[PostgresSnapshot]:
        return self.snapshot()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Session]:
        """A session on a database that has our tables."""
        with opened(self._address) as session:
            if not _version(session):
                raise ConfigurationError(
                    f"db (TIDINGS_DB): {self._address.shown} has no tables of Tidings in the schema"
                    f" {self._address.schema}"
                )
            yield session


def _version(session: Session) -> int:
    return session.run(read_version(session.connection, session.address))


def _tried(session: Session, sql: str, *values: Any) -> Any:
    """The row of a step of an erasure, tried again while somebody holds the log."""
    for tries_left in reversed(range(LOCK_TRIES_MAX)):
        try:
            return session.row(sql, *values)
        except Failure as failure:
            if code_of(failure) != LOCK_NOT_AVAILABLE or not tries_left:
                raise


def _wait_until_forgotten(session: Session) -> bool:
    deadline = time.monotonic() + FORGET_WAIT_MAX_S
    while session.row(FORGETFUL, NODE_SILENT_MS)[0]:
        if time.monotonic() >= deadline:
            return False
        time.sleep(FORGET_PAUSE_S)
    return True
