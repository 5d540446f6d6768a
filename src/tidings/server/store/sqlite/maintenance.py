"""The upkeep of one SQLite file; see ``Maintenance``.

Beside a server, SQLite's own lock keeps its writer and ours apart. ``migrate`` and ``restore`` take the lock that a
server holds.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator

from tidings.errors import ConfigurationError
from tidings.protocol.user_id import UserId
from tidings.server.store import ServiceKey, Trimmed
from tidings.server.store.limits import FORGET_PAUSE_S, FORGET_WAIT_MAX_S, TRIM_PAUSE_S
from tidings.server.store.maintenance import Copied, Erased, Restored, Schema, not_added
from tidings.server.store.sqlite import copies, service_keys, trim
from tidings.server.store.sqlite.beside import opened, unserved
from tidings.server.store.sqlite.erase import Erasure, is_forgotten, needs_scrub, scrub
from tidings.server.store.sqlite.file import (
    connect,
    known_version,
    migrate,
    new_epoch,
    schema_version,
    set_pragma,
    transaction,
)
from tidings.server.store.sqlite.importing import SqliteImporter
from tidings.server.store.sqlite.owner import as_owner
from tidings.server.store.sqlite.snapshot import SqliteSnapshot
from tidings.server.store.sqlite.wal import check_log, fold

FOLD_EVERY_EVENTS = 100_000  # events removed until the log is folded into the file: a server does so for its own writes


class SqliteMaintenance:
    """One database file, by a name that may be a link's."""

    def __init__(self, name: str) -> None:
        self._name = name

    def schema(self) -> Schema:
        with opened(self._name, query_only=True, any_schema=True) as database:
            return Schema(schema_version(database.connection), known_version())

    def migrate(self) -> Schema:
        known = known_version()
        with as_owner(self._name) as path, unserved(path, "migrating", may_create=True):
            try:
                check_log(path)
                with contextlib.closing(connect(path)) as connection:
                    before = schema_version(connection)
                    set_pragma(connection, "journal_mode", "wal")
                    if before > 0:
                        fold(connection)
                    migrate(connection)
                    fold(connection)
            except (sqlite3.Error, OSError) as failure:
                raise ConfigurationError(f"db (TIDINGS_DB): {path} cannot be migrated: {failure}") from failure
        return Schema(before, known)

    def script(self, after: int) -> str:
        raise ConfigurationError("--sql is for PostgreSQL; an SQLite file is migrated by: tidings migrate")

    def begin_epoch(self) -> str:
        """Refused while a server runs, which has the epoch in memory."""
        if not self.schema().found:
            raise ConfigurationError(f"db (TIDINGS_DB): {self._name} is empty, and has no epoch")
        epoch = new_epoch()
        with as_owner(self._name) as path, unserved(path, "changing its epoch"):
            check_log(path)
            with contextlib.closing(connect(path)) as connection:
                with transaction(connection):
                    connection.execute("UPDATE meta SET v = ? WHERE k = 'epoch'", (epoch,))
                fold(connection)
        return epoch

    def backup(self, target: str) -> Copied:
        return copies.backup(self._name, target)

    def restore(self, source: str) -> Restored:
        return copies.restore(self._name, source)

    def erase(self, user: UserId) -> Erased:
        """The file and its log are written anew, for which sends wait."""
        with opened(self._name) as database:
            connection = database.connection
            set_pragma(connection, "secure_delete", 1)
            erasure = Erasure(user)
            while True:
                with transaction(connection):
                    is_done = erasure.step(connection)
                if is_done:
                    break
                time.sleep(TRIM_PAUSE_S)
            left = None
            if needs_scrub(connection):
                try:
                    scrub(connection, os.path.dirname(database.path))
                except sqlite3.OperationalError as failure:
                    left = f"copies of what was erased are still in the file, since {failure}; do it again later"
            if database.is_served and not _wait_until_forgotten(connection):
                left = left or "the server may still hand out what it has in memory; restart it"
        return Erased(erasure.was_known, erasure.messages, erasure.events, left)

    def trim(self, older_than_ms: int, events_max: int, *, dry_run: bool = False) -> Trimmed:
        cutoff_ms = time.time_ns() // 1_000_000 - older_than_ms
        logs = events = kept = unfolded = 0
        after_uid: int | None = 0
        with opened(self._name, query_only=dry_run) as database:
            connection = database.connection
            while after_uid is not None:
                found = trim.find(connection, after_uid, cutoff_ms, events_max)
                for uid, floor, countable in found.cuts:
                    logs += 1
                    if dry_run:
                        events += countable
                        continue
                    gone = _cut_all(connection, uid, floor)
                    events += gone
                    unfolded += gone
                    if unfolded >= FOLD_EVERY_EVENTS:
                        fold(connection)
                        unfolded = 0
                kept += found.kept
                after_uid = found.last_uid
            if unfolded:
                fold(connection)
        return Trimmed(logs, events, kept)

    def add_service_key(self, key: ServiceKey) -> None:
        with opened(self._name) as database, transaction(database.connection):
            if not service_keys.add(database.connection, key):
                raise not_added(key.name, service_keys.service_keys(database.connection))

    def service_keys(self) -> list[ServiceKey]:
        with opened(self._name, query_only=True) as database:
            return service_keys.service_keys(database.connection)

    def remove_service_key(self, name: str) -> bool:
        with opened(self._name) as database, transaction(database.connection):
            return service_keys.remove(database.connection, name)

    @contextlib.contextmanager
    def importer(self) -> Iterator[SqliteImporter]:
        with opened(self._name) as database:
            yield SqliteImporter(database.connection)
            if not database.is_served:
                fold(database.connection)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[SqliteSnapshot]:
        with opened(self._name, query_only=True) as database:
            yield SqliteSnapshot(database.connection)

    @contextlib.contextmanager
    def glance(self) -> Iterator[SqliteSnapshot]:
        with contextlib.closing(connect(self._name, read_only=True)) as connection:
            yield SqliteSnapshot(connection)


def _wait_until_forgotten(connection: sqlite3.Connection) -> bool:
    deadline = time.monotonic() + FORGET_WAIT_MAX_S
    while not is_forgotten(connection):
        if time.monotonic() >= deadline:
            return False
        time.sleep(FORGET_PAUSE_S)
    return True


def _cut_all(connection: sqlite3.Connection, uid: int, floor: int) -> int:
    gone = 0
    while True:
        with transaction(connection):
            now_gone = trim.cut(connection, uid, floor)
        if not now_gone:
            return gone
        gone += now_gone
        time.sleep(TRIM_PAUSE_S)  # a server's writer that waits for its turn asks every few milliseconds
