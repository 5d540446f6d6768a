"""Older messages go into a file, each call in a transaction of its own; see ``Importer``."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from tidings.protocol.events import KIND_MESSAGE
from tidings.protocol.user_id import UserId
from tidings.server.store.import_lines import Conversation
from tidings.server.store.importing import Known, Side, check_behind, grown, is_in_order
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, SEQ_BITS
from tidings.server.store.sqlite import erase
from tidings.server.store.sqlite.file import transaction
from tidings.server.store.sqlite.schema import add_user, find_user
from tidings.server.store.sqlite.send import open_conversation

_IDS_PER_QUERY = 500  # below SQLite's limit of bound values, whatever it was built with


class SqliteImporter:
    """Works on an open file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def known(self, one: UserId, other: UserId) -> list[Known]:
        uid, chat = find_user(self._connection, one), find_user(self._connection, other)
        found = self._connection.execute(
            "SELECT messages.sender = members.uid, ts, body FROM members"
            " JOIN messages ON id > members.cid << ? AND id <= members.cid << ? | ?"
            " WHERE members.uid = ? AND members.chat = ? ORDER BY id",
            (SEQ_BITS, SEQ_BITS, CONVERSATION_SEQ_MAX, uid, chat),
        )
        return [Known(one if is_own else other, sent_ms, body) for is_own, sent_ms, body in found]

    def holder(self, sender: UserId, ids: Sequence[str]) -> set[str]:
        uid, held = find_user(self._connection, sender), set[str]()
        for start in range(0, len(ids), _IDS_PER_QUERY):
            some = ids[start : start + _IDS_PER_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT client_id FROM messages WHERE sender = ? AND client_id IN ({marks})"
            held |= {id for (id,) in self._connection.execute(query, (uid, *some))}
        return held

    def add(self, slices: Sequence[Conversation], *, keeps_unread: bool) -> None:
        with transaction(self._connection):
            for each in slices:
                self._add(each, keeps_unread)

    def arrange(self, user: UserId) -> bool:
        with transaction(self._connection):
            uid = find_user(self._connection, user)
            found = self._connection.execute(
                "SELECT last_cur, chat, messages.id, head FROM members JOIN users USING (uid)"
                " JOIN messages ON id = (cid << ?) + last_seq WHERE uid = ? ORDER BY ts, last_cur",
                (SEQ_BITS, uid),
            ).fetchall()
            if is_in_order(position for position, *_ in found):
                return False
            head = found[0][3]
            self._connection.executemany(
                "UPDATE members SET last_cur = ? WHERE uid = ? AND chat = ?",
                [(head + nth, uid, chat) for nth, (_, chat, _, _) in enumerate(found, 1)],
            )
            _, chat, mid, _ = found[-1]
            self._cut_log(uid, head + len(found), chat, mid)
            return True

    def tell(self) -> None:
        """As of an erasure, after which a server looks at all logs."""
        with transaction(self._connection):
            erase.count_step(self._connection)

    def _add(self, slice: Conversation, keeps_unread: bool) -> None:
        names = (slice.one, slice.other)
        uids = {name: self._user(name) for name in names}
        one, other = (uids[name] for name in names)
        row = self._connection.execute("SELECT cid FROM members WHERE uid = ? AND chat = ?", (one, other)).fetchone()
        conversation = open_conversation(self._connection, one, other, 0)[0] if row is None else row[0]
        of = {slice.one: (one, other), slice.other: (other, one)}
        sides = {name: self._side(*of[name]) for name in names}
        (last_ms,) = self._connection.execute(
            "SELECT ifnull(max(ts), 0) FROM messages WHERE id > ? AND id <= ?",
            (conversation << SEQ_BITS, conversation << SEQ_BITS | CONVERSATION_SEQ_MAX),
        ).fetchone()
        last_seq = sides[slice.one].last_seq
        check_behind(last_ms, last_seq, slice)

        first = conversation << SEQ_BITS
        added, after = grown(sides, slice.messages, keeps_unread=keeps_unread)
        self._connection.executemany(
            "INSERT INTO messages(id, sender, nth, client_id, digest, type, ts, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (first + seq, uids[each.sender], nth, each.id, digest, each.message_type, each.sent_ms, each.text)
                for each, seq, nth, digest in added
            ],
        )
        mid = first + added[-1].seq
        for name in names:
            uid, chat = of[name]
            (head,) = self._connection.execute("SELECT head FROM users WHERE uid = ?", (uid,)).fetchone()
            self._connection.execute(
                "UPDATE members SET last_cur = ?, last_seq = ?, recv_n = ?, read_n = ?, read_seq = ?, dlv_seq = ?,"
                " told_read = ?, told_dlv = ? WHERE uid = ? AND chat = ?",
                (head + 1, *after[name], uid, chat),
            )
            self._cut_log(uid, head + 1, chat, mid)

    def _user(self, name: UserId) -> int:
        uid = find_user(self._connection, name)
        return add_user(self._connection, name) if uid is None else uid

    def _side(self, uid: int, chat: int) -> Side:
        row = self._connection.execute(
            "SELECT last_seq, recv_n, read_n, read_seq, dlv_seq, told_read, told_dlv FROM members"
            " WHERE uid = ? AND chat = ?",
            (uid, chat),
        ).fetchone()
        return Side(*row)

    def _cut_log(self, uid: int | None, head: int, chat: int, mid: int) -> None:
        """Leave one event in a log: that of this message, at this position."""
        now_ms = time.time_ns() // 1_000_000
        self._connection.execute("DELETE FROM feed WHERE uid = ?", (uid,))
        self._connection.execute(
            "INSERT INTO feed(uid, cur, kind, chat, mid, ts) VALUES (?, ?, ?, ?, ?, ?)",
            (uid, head, KIND_MESSAGE, chat, mid, now_ms),
        )
        self._connection.execute("UPDATE users SET head = ?, floor = ? WHERE uid = ?", (head, head - 1, uid))
