"""Schema and retention: what a database needs now and then."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import NamedTuple

from tidings.errors import ConfigurationError
from tidings.server.config import TRIM_PAUSE_S
from tidings.server.operate.database import as_owner, opened, unserved
from tidings.server.store import Trimmed
from tidings.server.store.open import sqlite_path
from tidings.server.store.sqlite import trim
from tidings.server.store.sqlite.file import connect, known_version, schema_version, set_pragma, transaction
from tidings.server.store.sqlite.file import migrate as migrate_file
from tidings.server.store.sqlite.wal import check_log, fold

DAY_MS = 86_400_000
FOLD_EVERY_EVENTS = 100_000  # events removed until the log is folded into the file: a server does so for its own writes


class Schema(NamedTuple):
    """The schema version of a database, 0 for an empty one, and the one that this Tidings writes."""

    found: int
    known: int


def read_schema(url: str) -> Schema:
    """The versions, whether a server runs or not.

    Raises:
        ConfigurationError: There is no such database.
        DatabaseTooNew: A newer Tidings wrote it.
    """
    with opened(url, query_only=True, any_schema=True) as database:
        return Schema(schema_version(database.connection), known_version())


def migrate(url: str) -> Schema:
    """Bring the schema up to date, making the database if there is none; the version before, and the one it has now.

    Raises:
        ConfigurationError: A server holds it, or it cannot be written.
        DatabaseTooNew: A newer Tidings wrote it.
    """
    known = known_version()
    with as_owner(sqlite_path(url)) as path, unserved(path, "migrating", may_create=True):
        try:
            check_log(path)
            with contextlib.closing(connect(path)) as connection:
                before = schema_version(connection)
                set_pragma(connection, "journal_mode", "wal")
                if before > 0:
                    fold(connection)
                migrate_file(connection)
                fold(connection)
        except (sqlite3.Error, OSError) as failure:
            raise ConfigurationError(f"db (TIDINGS_DB): {path} cannot be migrated: {failure}") from failure
    return Schema(before, known)


def retain(url: str, *, keep_days: float, events_max: int, dry_run: bool) -> Trimmed:
    """Remove from each log what is older, and what is beyond its newest ``events_max``; see ``Store.trim``.

    With ``dry_run`` only count it.

    Raises:
        ConfigurationError: The database is not there or cannot be used.
    """
    cutoff_ms = time.time_ns() // 1_000_000 - int(keep_days * DAY_MS)
    logs = events = kept = unfolded = 0
    after_uid: int | None = 0
    with opened(url, query_only=dry_run) as database:
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


def _cut_all(connection: sqlite3.Connection, uid: int, floor: int) -> int:
    gone = 0
    while True:
        with transaction(connection):
            now_gone = trim.cut(connection, uid, floor)
        if not now_gone:
            return gone
        gone += now_gone
        time.sleep(TRIM_PAUSE_S)  # a server's writer that waits for its turn asks every few milliseconds
