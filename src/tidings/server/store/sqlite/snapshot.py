"""One state of a database file, read by one connection."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import msgspec

from tidings.protocol.events import KIND_MESSAGE, LogEvent
from tidings.protocol.shapes import Message
from tidings.protocol.user_id import UserId
from tidings.server.store import BlockedPage, HistoryPage, InboxPage, Report, ServiceKey, TokenProfile
from tidings.server.store.maintenance import Entry, Unsent
from tidings.server.store.rows import message_id
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, SEQ_BITS, Ends
from tidings.server.store.sqlite import history, log, profiles, revoke, safety, service_keys
from tidings.server.store.sqlite.file import read_epoch
from tidings.server.store.sqlite.schema import find_user, read_ends

_MESSAGE_ID = re.compile("m([0-9a-f]{1,16})([0-9a-f]{6})")
_NUMBER_MAX = (1 << 63) - 1


class SqliteSnapshot:
    """The state that a connection sees from now on; it stays as it is."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        self._connection = connection
        self.epoch = read_epoch(connection)

    def heads(self) -> dict[UserId, int]:
        return dict(self._connection.execute("SELECT name, head FROM users"))

    def ends(self, user: UserId) -> Ends | None:
        uid = find_user(self._connection, user)
        return None if uid is None else read_ends(self._connection, uid)

    def read_after(self, user: UserId, position: int, limit: int) -> list[LogEvent]:
        return log.read_after(self._connection, user, position, limit)

    def entries_after(self, user: UserId, position: int) -> Iterator[Entry]:
        found = self._connection.execute(
            "SELECT feed.cur, members.tag, feed.mid & ?, senders.name, messages.client_id"
            " FROM feed JOIN messages ON messages.id = feed.mid JOIN users AS senders ON senders.uid = messages.sender"
            " JOIN members ON members.uid = feed.uid AND members.chat = feed.chat"
            " WHERE feed.uid = ? AND feed.cur > ? AND feed.kind = ?",
            (CONVERSATION_SEQ_MAX, find_user(self._connection, user), position, KIND_MESSAGE),
        )
        return (Entry(cur, message_id(tag, seq), sender, client_id) for cur, tag, seq, sender, client_id in found)

    def has_message(self, id: str) -> bool:
        found = _MESSAGE_ID.fullmatch(id)
        tag, seq = (0, 0) if found is None else (int(part, 16) for part in found.groups())
        if not 0 < tag <= _NUMBER_MAX:
            return False
        row = self._connection.execute(
            "SELECT 1 FROM members JOIN messages ON messages.id = (cid << ? | ?) WHERE tag = ?",
            (SEQ_BITS, seq, tag),
        ).fetchone()
        return row is not None

    def history(self, user: UserId, peer: UserId, *, before: int | None, after: int | None, limit: int) -> HistoryPage:
        return history.history(self._connection, self.epoch, user, peer, before, after, limit)

    def inbox(self, user: UserId, *, before: int | None, limit: int) -> InboxPage:
        return history.inbox(self._connection, self.epoch, user, before, limit)

    def blocked(self, user: UserId, *, before: int | None, limit: int) -> BlockedPage:
        return safety.blocked(self._connection, user, before, limit)

    def reports_by(self, user: UserId) -> Iterator[tuple[Report, int]]:
        found = self._connection.execute(
            "SELECT reported, reason, seq, messages, ts FROM reports WHERE reporter = ? ORDER BY id", (user,)
        )
        for reported, reason, seq, messages, made_ms in found:
            copies = msgspec.json.decode(messages, type=list[Message])
            yield Report(user, reported, reason, seq, copies), made_ms

    def reports_about(self, user: UserId) -> int:
        (about,) = self._connection.execute("SELECT count(*) FROM reports WHERE reported = ?", (user,)).fetchone()
        return int(about)

    def unsent(self, user: UserId) -> Iterator[Unsent]:
        """See ``Snapshot.unsent``: a file of ours has no outbox."""
        return iter(())

    def service_keys(self) -> list[ServiceKey]:
        return service_keys.service_keys(self._connection)

    def profile(self, user: UserId) -> TokenProfile | None:
        """See ``Snapshot.profile``."""
        return profiles.read(self._connection, [user]).get(user)

    def revoked_until(self, user: UserId) -> float | None:
        return revoke.revoked_until(self._connection, user)
