"""Older messages go into a database, each call in a transaction of its own, behind the locks of the logs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tidings.protocol.events import KIND_MESSAGE
from tidings.protocol.user_id import UserId
from tidings.server.store.import_lines import Conversation
from tidings.server.store.importing import Added, Known, Side, check_behind, grown, is_in_order
from tidings.server.store.postgres.driver import LOCK_NOT_AVAILABLE, Failure, code_of
from tidings.server.store.postgres.session import Session
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, SEQ_BITS, TAG_BITS

T = TypeVar("T")

LOCK_TRIES_MAX = 300  # of logs that somebody holds: about a minute

_OF = f"x.id > o.cid << {SEQ_BITS} AND x.id <= o.cid << {SEQ_BITS} | {CONVERSATION_SEQ_MAX}"
KNOWN = f"""
    SELECT x.sender = o.uid, x.ts, x.body FROM TIDINGS.users u JOIN TIDINGS.users p ON p.name = $2
    JOIN TIDINGS.members o ON o.uid = u.uid AND o.chat = p.uid JOIN TIDINGS.messages x ON {_OF}
    WHERE u.name = $1 ORDER BY x.id"""
HOLDER = """
    SELECT m.client_id FROM TIDINGS.users u
    JOIN TIDINGS.messages m ON m.sender = u.uid AND m.client_id = ANY ($2::text[]) WHERE u.name = $1"""
SIDE = """
    SELECT last_seq, recv_n, read_n, read_seq, dlv_seq, told_read, told_dlv FROM TIDINGS.members
    WHERE uid = $1 AND chat = $2"""
ADD_MESSAGES = """
    INSERT INTO TIDINGS.messages(id, sender, nth, client_id, digest, type, ts, body)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[], $5::bytea[], $6::text[], $7::bigint[],
      $8::text[])"""
GROW = """
    UPDATE TIDINGS.members SET last_cur = $3, last_seq = $4, recv_n = $5, read_n = $6, read_seq = $7, dlv_seq = $8,
    told_read = $9, told_dlv = $10 WHERE uid = $1 AND chat = $2"""
IN_ORDER = f"""
    SELECT o.last_cur, o.chat, m.id, u.head, u.uid FROM TIDINGS.users u JOIN TIDINGS.members o ON o.uid = u.uid
    JOIN TIDINGS.messages m ON m.id = (o.cid << {SEQ_BITS}) + o.last_seq WHERE u.name = $1 ORDER BY m.ts, o.last_cur"""
ARRANGE = """
    UPDATE TIDINGS.members o SET last_cur = x.position FROM unnest($2::bigint[], $3::bigint[]) x(chat, position)
    WHERE o.uid = $1 AND o.chat = x.chat"""


class PostgresImporter:
    """Works on one connection."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def known(self, one: UserId, other: UserId) -> list[Known]:
        """See ``Importer.known``."""
        found = self._session.rows(KNOWN, one, other)
        return [Known(one if is_own else other, sent_ms, body) for is_own, sent_ms, body in found]

    def holder(self, sender: UserId, ids: Sequence[str]) -> set[str]:
        """See ``Importer.holder``."""
        return {id for (id,) in self._session.rows(HOLDER, sender, list(ids))}

    def add(self, slices: Sequence[Conversation], *, keeps_unread: bool) -> None:
        """See ``Importer.add``."""
        names = sorted({name for each in slices for name in (each.one, each.other)})

        def add_all() -> None:
            uids = self._users(names)
            for each in slices:
                self._add(each, uids, keeps_unread)

        self._transact(names, add_all)

    def arrange(self, user: UserId) -> bool:
        """See ``Importer.arrange``."""

        def put_in_order() -> bool:
            found = self._session.rows(IN_ORDER, user)
            if is_in_order(position for position, *_ in found):
                return False
            _, chat, mid, head, uid = found[-1]
            positions = list(range(head + 1, head + 1 + len(found)))
            self._session.rows(ARRANGE, uid, [row[1] for row in found], positions)
            self._cut_log(uid, positions[-1], chat, mid)
            return True

        return self._transact([user], put_in_order)

    def tell(self) -> None:
        """See ``Importer.tell``: as of an erasure, after which a node looks at all logs."""
        self._session.rows("UPDATE TIDINGS.meta SET erasures = erasures + 1")

    def _transact(self, names: Sequence[UserId], work: Callable[[], T]) -> T:
        """Do it behind the locks of these logs, tried again while somebody holds one."""
        for tries_left in reversed(range(LOCK_TRIES_MAX)):
            self._session.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            try:
                self._session.rows("SELECT TIDINGS.lock_users_1($1::text[])", list(names))
                done = work()
                self._session.execute("COMMIT")
            except BaseException as failure:
                if not self._session.connection.is_closed():
                    self._session.execute("ROLLBACK")
                is_held = isinstance(failure, Failure) and code_of(failure) == LOCK_NOT_AVAILABLE
                if not is_held or not tries_left:
                    raise
            else:
                return done
        raise AssertionError("the last try returns or raises")

    def _users(self, names: Sequence[UserId]) -> dict[UserId, int]:
        """The numbers of these people, made where there are none; nobody else can, behind the locks."""
        self._session.rows(
            "INSERT INTO TIDINGS.users(name) SELECT x FROM unnest($1::text[]) x"
            ' WHERE NOT EXISTS (SELECT 1 FROM TIDINGS.users u WHERE u.name = x COLLATE "C")',
            list(names),
        )
        found = self._session.rows("SELECT name, uid FROM TIDINGS.users WHERE name = ANY ($1::text[])", list(names))
        return {UserId(name): uid for name, uid in found}

    def _add(self, slice: Conversation, uids: dict[UserId, int], keeps_unread: bool) -> None:
        one, other = uids[slice.one], uids[slice.other]
        of = {slice.one: (one, other), slice.other: (other, one)}
        conversation = self._conversation(one, other)
        sides = {name: Side(*self._session.row(SIDE, *both)) for name, both in of.items()}
        (last_ms,) = self._session.row(
            f"SELECT coalesce(max(x.ts), 0) FROM TIDINGS.members o JOIN TIDINGS.messages x ON {_OF}"
            " WHERE o.uid = $1 AND o.chat = $2",
            *(one, other),
        )
        check_behind(last_ms, sides[slice.one].last_seq, slice)

        added, after = grown(sides, slice.messages, keeps_unread=keeps_unread)
        rows = [self._row(conversation, uids, each) for each in added]
        self._session.rows(ADD_MESSAGES, *map(list, zip(*rows, strict=True)))
        for name, (uid, chat) in of.items():
            (head,) = self._session.row("SELECT head FROM TIDINGS.users WHERE uid = $1", uid)
            self._session.rows(GROW, uid, chat, head + 1, *after[name])
            self._cut_log(uid, head + 1, chat, rows[-1][0])

    @staticmethod
    def _row(conversation: int, uids: dict[UserId, int], added: Added) -> tuple[Any, ...]:
        message, seq, nth, digest = added
        number = conversation << SEQ_BITS | seq
        content = (message.id, digest, message.message_type, message.sent_ms, message.text)
        return (number, uids[message.sender], nth, *content)

    def _conversation(self, one: int, other: int) -> int:
        found = self._session.rows("SELECT cid FROM TIDINGS.members WHERE uid = $1 AND chat = $2", one, other)
        if found:
            return int(found[0][0])
        (conversation,) = self._session.row("SELECT nextval('TIDINGS.conversations')")
        self._session.rows(
            "INSERT INTO TIDINGS.members(uid, chat, cid, tag) VALUES ($1, $2, $3, $4), ($2, $1, $3, $4)",
            *(one, other, conversation, secrets.randbits(TAG_BITS)),
        )
        return int(conversation)

    def _cut_log(self, uid: int, head: int, chat: int, mid: int) -> None:
        """Leave one event in a log: that of this message, at this position."""
        self._session.rows("DELETE FROM TIDINGS.feed WHERE uid = $1", uid)
        self._session.rows(
            "INSERT INTO TIDINGS.feed(uid, cur, kind, chat, mid, ts) VALUES ($1, $2, $3, $4, $5, TIDINGS.now_ms_1())",
            *(uid, head, KIND_MESSAGE, chat, mid),
        )
        self._session.rows("UPDATE TIDINGS.users SET head = $2, floor = $3 WHERE uid = $1", uid, head, head - 1)
