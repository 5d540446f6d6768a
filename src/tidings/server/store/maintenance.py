"""The operator's work on a database, beside a server or without one: the contract that every store's upkeep meets.

Rules
1. A call blocks until it is done, and says in values what it did; a program that has more to do calls it in a thread.
2. ``snapshot``, ``glance``, ``schema``, ``backup`` and ``service_keys`` only read. ``erase``, ``trim``, an import and
   changes of a service key write in steps of milliseconds, each one whole transaction, between which a server's writes
   have their turn. These may run beside a server.
   ``migrate``, ``begin_epoch`` and ``restore`` may where the engine can tell the server; else they are refused while
   one runs.
3. A server may have in memory what was erased. It learns of it by ``Store.check``, and forgets it before ``erase`` is
   done; else the answer says so.
4. A copy is whole and was looked through, or there is none; so is what is restored. A restored database has a new
   epoch, so that every client's cursor is answered with a reset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from tidings.errors import ConfigurationError
from tidings.protocol.events import LogEvent
from tidings.protocol.shapes import MessageId
from tidings.protocol.user_id import UserId
from tidings.server.store import BlockedPage, HistoryPage, InboxPage, Report, ServiceKey, TokenProfile, Trimmed
from tidings.server.store.importing import Importer
from tidings.server.store.rules import Ends


class Schema(NamedTuple):
    """The schema version of a database, 0 for an empty one, and the one that this Tidings writes."""

    found: int
    known: int


class Copied(NamedTuple):
    """The contents of a copy."""

    path: str
    users: int
    messages: int
    size_bytes: int


class Restored(NamedTuple):
    """The database that was restored, and the place of the one before; None where there was none."""

    users: int
    messages: int
    kept_aside: str | None


class Erased(NamedTuple):
    """How many messages were emptied and events removed, and what of it is not everywhere gone yet.

    ``was_known`` is false where there was nobody.
    """

    was_known: bool
    messages: int
    events: int
    left: str | None


class Entry(NamedTuple):
    """A message in somebody's log."""

    position: int
    id: MessageId
    sender: UserId
    client_id: str | None


class Unsent(NamedTuple):
    """A message of an application's transaction that is in no log: it waits, or was refused (``why``)."""

    recipient: UserId
    text: str
    message_type: str
    client_id: str
    queued_ms: int
    why: str | None


def not_added(name: str, there: Sequence[ServiceKey]) -> ConfigurationError:
    """Why a service key was not added to those that there are."""
    if any(key.name == name for key in there):
        return ConfigurationError(f"there is a key {name}: choose another name, or revoke it first: tidings key revoke")
    return ConfigurationError(
        f"there are {len(there)} keys, the most that there can be: revoke some that nobody uses; see tidings key list"
    )


class Snapshot(Protocol):
    """One state of a database, however long the reading takes. A user never seen has nothing."""

    @property
    def epoch(self) -> str:
        """Identity of this database's history."""

    def heads(self) -> dict[UserId, int]:
        """The heads of all logs."""

    def ends(self, user: UserId) -> Ends | None:
        """The ends of a log; None for a user never seen."""

    def read_after(self, user: UserId, position: int, limit: int) -> list[LogEvent]:
        """The events of a log after a position, in order."""

    def entries_after(self, user: UserId, position: int) -> Iterator[Entry]:
        """The messages of a log that are there: an entry whose message is gone is left out."""

    def has_message(self, id: str) -> bool:
        """Whether a message of this id is stored."""

    def history(self, user: UserId, peer: UserId, *, before: int | None, after: int | None, limit: int) -> HistoryPage:
        """A page of the conversation with a peer, oldest first."""

    def inbox(self, user: UserId, *, before: int | None, limit: int) -> InboxPage:
        """A page of conversations, the latest first."""

    def blocked(self, user: UserId, *, before: int | None, limit: int) -> BlockedPage:
        """A page of those whom the user blocks, the latest first."""

    def reports_by(self, user: UserId) -> Iterator[tuple[Report, int]]:
        """The reports that this user made, the oldest first, with when, in milliseconds since 1970."""

    def reports_about(self, user: UserId) -> int:
        """How many reports there are about this user."""

    def unsent(self, user: UserId) -> Iterator[Unsent]:
        """The messages in this user's name that are in no log, the oldest first."""

    def service_keys(self) -> list[ServiceKey]:
        """The service keys, by name."""

    def profile(self, user: UserId) -> TokenProfile | None:
        """The name and picture by this user's token; None: there are none."""

    def revoked_until(self, user: UserId) -> float | None:
        """Until when this user's sign-ins are revoked, seconds since 1970, under their name or without it."""


class Maintenance(Protocol):
    """The upkeep of one database. See the rules above.

    Every call raises ``ConfigurationError`` where the database is not there or cannot be used, with the reason, and
    ``DatabaseTooNew`` where a newer Tidings wrote it.
    """

    def schema(self) -> Schema:
        """The versions."""

    def migrate(self) -> Schema:
        """Bring the schema up to date, making the database if there is none; the version before, and the one of now."""

    def script(self, after: int) -> str:
        """Return SQL that does what ``migrate`` does to a schema of the version ``after``; it is for others to run."""

    def begin_epoch(self) -> str:
        """Give the database a new epoch, so that every client's cursor is answered with a reset; the epoch."""

    def backup(self, target: str) -> Copied:
        """Copy the database into a new file: everything that was acknowledged when this began is in it."""

    def restore(self, source: str) -> Restored:
        """Put a copy in the place of the database, which is kept aside."""

    def erase(self, user: UserId) -> Erased:
        """Empty a user's messages, remove the log and replace the name; nothing where there is nobody of this name.

        Afterwards nothing of it is in the database's bytes. The remains of an erasure that was interrupted are removed,
        too.
        """

    def trim(self, older_than_ms: int, events_max: int, *, dry_run: bool = False) -> Trimmed:
        """Shorten the logs as retention does; with ``dry_run`` only count what would go."""

    def add_service_key(self, key: ServiceKey) -> None:
        """Let a service key count, from its next request on: on each node within a second.

        Raises:
            ConfigurationError: There is one of this name, or there are SERVICE_KEYS_MAX.
        """

    def service_keys(self) -> list[ServiceKey]:
        """The service keys, by name."""

    def remove_service_key(self, name: str) -> bool:
        """Let a service key count no more, on each node within a second; whether there was one of this name."""

    def importer(self) -> AbstractContextManager[Importer]:
        """Let older messages be imported."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Read the database as it is now."""

    def glance(self) -> AbstractContextManager[Snapshot]:
        """Likewise, beside a server that comes and goes: takes no lock, checks nothing, and may be asked often."""
