"""One state of a PostgreSQL database, read on one connection in one transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from tidings.protocol.events import KIND_MESSAGE, LogEvent
from tidings.protocol.shapes import Message
from tidings.protocol.user_id import UserId, hidden_id
from tidings.server.config import PAGE_SIZE_MAX_BYTES
from tidings.server.store import BlockedPage, HistoryPage, InboxPage, Report, ServiceKey, TokenProfile
from tidings.server.store.maintenance import Entry, Unsent
from tidings.server.store.postgres import reads
from tidings.server.store.postgres.schema import OUTBOX_SINCE, PROFILES_SINCE, SERVICE_KEYS_SINCE
from tidings.server.store.postgres.session import Session
from tidings.server.store.rows import message_id
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, SEQ_BITS, Ends

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_MESSAGE_ID = re.compile("m([0-9a-f]{1,16})([0-9a-f]{6})")
_NUMBER_MAX = (1 << 63) - 1


class PostgresSnapshot:
    """The state that a transaction sees; it stays as it is. See ``Snapshot``."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.epoch: str = session.row("SELECT epoch FROM TIDINGS.meta")[0]

    def heads(self) -> dict[UserId, int]:
        return {UserId(name): head for name, head in self._session.rows("SELECT name, head FROM TIDINGS.users")}

    def ends(self, user: UserId) -> Ends | None:
        return self._session.run(reads.ends(self._session.fetch, user))

    def read_after(self, user: UserId, position: int, limit: int) -> list[LogEvent]:
        """See ``Snapshot.read_after``."""
        return self._session.run(reads.read_after(self._session.fetch, user, position, limit, PAGE_SIZE_MAX_BYTES))

    def entries_after(self, user: UserId, position: int) -> Iterator[Entry]:
        """See ``Snapshot.entries_after``."""
        found = self._session.rows(
            f"SELECT f.cur, o.tag, (f.mid & {CONVERSATION_SEQ_MAX})::int, s.name, m.client_id"
            " FROM TIDINGS.users u JOIN TIDINGS.feed f ON f.uid = u.uid AND f.cur > $2 AND f.kind = $3"
            " JOIN TIDINGS.messages m ON m.id = f.mid JOIN TIDINGS.users s ON s.uid = m.sender"
            " JOIN TIDINGS.members o ON o.uid = f.uid AND o.chat = f.chat WHERE u.name = $1 ORDER BY f.cur",
            *(user, position, KIND_MESSAGE),
        )
        return (Entry(cur, message_id(tag, seq), sender, client_id) for cur, tag, seq, sender, client_id in found)

    def has_message(self, id: str) -> bool:
        """See ``Snapshot.has_message``."""
        found = _MESSAGE_ID.fullmatch(id)
        tag, seq = (0, 0) if found is None else (int(part, 16) for part in found.groups())
        if not 0 < tag <= _NUMBER_MAX:
            return False
        return bool(
            self._session.rows(
                "SELECT 1 FROM TIDINGS.members o JOIN TIDINGS.messages m"
                f" ON m.id = (o.cid << {SEQ_BITS}) + $2 WHERE o.tag = $1 LIMIT 1",
                *(tag, seq),
            )
        )

    def history(self, user: UserId, peer: UserId, *, before: int | None, after: int | None, limit: int) -> HistoryPage:
        return self._session.run(reads.history(self._session.fetch, user, peer, before, after, limit)).found

    def inbox(self, user: UserId, *, before: int | None, limit: int) -> InboxPage:
        return self._session.run(reads.inbox(self._session.fetch, user, before, limit)).found

    def blocked(self, user: UserId, *, before: int | None, limit: int) -> BlockedPage:
        return self._session.run(reads.blocked(self._session.fetch, user, before, limit))

    def reports_by(self, user: UserId) -> Iterator[tuple[Report, int]]:
        """See ``Snapshot.reports_by``."""
        found = self._session.rows(
            "SELECT reported, reason, seq, messages, ts FROM TIDINGS.reports WHERE reporter = $1 ORDER BY id", user
        )
        for reported, reason, seq, messages, made_ms in found:
            copies = msgspec.json.decode(messages, type=list[Message])
            yield Report(user, reported, reason, seq, copies), made_ms

    def reports_about(self, user: UserId) -> int:
        """See ``Snapshot.reports_about``."""
        ((about,),) = self._session.rows("SELECT count(*) FROM TIDINGS.reports WHERE reported = $1", user)
        return int(about)

    def unsent(self, user: UserId) -> Iterator[Unsent]:
        """See ``Snapshot.unsent``."""
        if self._session.row("SELECT version FROM TIDINGS.meta")[0] < OUTBOX_SINCE:
            return iter(())
        found = self._session.rows(
            "SELECT id, recipient, body, type, client_id, queued_ms, NULL FROM TIDINGS.outbox WHERE sender = $1"
            " UNION ALL SELECT id, recipient, body, type, client_id, queued_ms, why FROM TIDINGS.refused"
            " WHERE sender = $1 ORDER BY id",
            user,
        )
        return (Unsent(UserId(recipient), *rest) for _, recipient, *rest in found)

    def service_keys(self) -> list[ServiceKey]:
        """See ``Snapshot.service_keys``."""
        if self._session.row("SELECT version FROM TIDINGS.meta")[0] < SERVICE_KEYS_SINCE:
            return []
        return self._session.run(reads.service_keys(self._session.fetch))

    def profile(self, user: UserId) -> TokenProfile | None:
        """See ``Snapshot.profile``."""
        if self._session.row("SELECT version FROM TIDINGS.meta")[0] < PROFILES_SINCE:
            return None
        return self._session.run(reads.profiles(self._session.fetch, [user])).get(user)

    def revoked_until(self, user: UserId) -> float | None:
        """See ``Snapshot.revoked_until``."""
        ((until,),) = self._session.rows(
            "SELECT max(until) FROM TIDINGS.revocations WHERE name = ANY ($1::text[])", [user, hidden_id(user)]
        )
        return until  # type: ignore[no-any-return]
