"""From a database URL to its store, to its outbox, and to its upkeep."""

from __future__ import annotations

from functools import cache

from tidings.errors import ConfigurationError
from tidings.protocol.shown_url import shown_url
from tidings.server.store import OnCommit, Outbox, Store
from tidings.server.store.maintenance import Maintenance
from tidings.server.store.sqlite.maintenance import SqliteMaintenance
from tidings.server.store.sqlite.store import SqliteStore


def open_store(url: str, on_commit: OnCommit) -> Store:
    """The store that a database URL names; not started yet.

    Raises:
        ConfigurationError: No store takes this URL.
    """
    if is_postgres(url):
        from tidings.server.store.postgres.address import read_address
        from tidings.server.store.postgres.store import PostgresStore

        return PostgresStore(read_address(url), on_commit)
    return SqliteStore(_sqlite_path(url), on_commit)


def open_maintenance(url: str) -> Maintenance:
    """The upkeep of the database that a URL names.

    Raises:
        ConfigurationError: No store takes this URL.
    """
    if is_postgres(url):
        from tidings.server.store.postgres.address import read_address
        from tidings.server.store.postgres.maintenance import PostgresMaintenance

        return PostgresMaintenance(read_address(url))
    return SqliteMaintenance(_sqlite_path(url))


@cache
def open_outbox(url: str) -> Outbox:
    """The outbox of the database that a URL names.

    Raises:
        ConfigurationError: There is none in this kind of database, or the URL cannot be read.
    """
    if not is_postgres(url):
        raise ConfigurationError(
            "connection=: db (TIDINGS_DB) is a file of SQLite, which no transaction of the application reaches; name"
            " the application's PostgreSQL database there, or send without connection="
        )
    from tidings.server.store.postgres.address import read_address
    from tidings.server.store.postgres.enqueue import PostgresOutbox

    return PostgresOutbox(read_address(url))


def is_postgres(url: str) -> bool:
    """Whether it is a URL for the extra ``postgres``, which is imported only then."""
    return url.partition("://")[0] in ("postgresql", "postgres")


def _sqlite_path(url: str) -> str:
    """The file that a ``sqlite:`` URL names.

    Raises:
        ConfigurationError: It is another kind of URL, or names no file.
    """
    scheme, separator, rest = url.partition("://")
    if scheme != "sqlite" or not separator:
        raise ConfigurationError(
            f"db (TIDINGS_DB) {shown_url(url)!r}: only sqlite:///path.db and postgresql://user@host/database are known"
        )
    if not rest.startswith("/") or len(rest) < 2:
        raise ConfigurationError(
            f"db (TIDINGS_DB) {shown_url(url)!r}: write sqlite:///relative/path.db or sqlite:////absolute/path.db"
        )
    path = rest[1:]
    if path == ":memory:" or path.startswith("file:"):
        raise ConfigurationError(
            f"db (TIDINGS_DB) {url!r}: messages are kept in a file and never in memory alone; name one, in a temporary"
            " directory if it is for a test"
        )
    if "?" in path or "\0" in path:
        raise ConfigurationError(f"db (TIDINGS_DB) {url!r}: it takes the path of a file, and no options")
    return path
