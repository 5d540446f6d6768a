"""The server's truth: read from its database, beside it, and whether it runs or not."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tidings.protocol.events import KIND_MESSAGE
from tidings.server.store.rows import message_id
from tidings.server.store.rules import SEQ_BITS, SEQ_MAX
from tidings.server.store.sqlite.file import connect, read_epoch

_MESSAGE_ID = re.compile("m([0-9a-f]{1,16})([0-9a-f]{6})")


@dataclass
class Truth:
    """Every message that was committed after the positions in question.

    Attributes:
        epoch: Of the database; cursors of another one say nothing about it.
        recipients: Message id → user id.
        logs: User id → message id → position in that user's log.
        earlier: Of the messages that were asked for, those that are there, but before those positions.
        doubled: Messages that the server has more than once: the same sender, the same ``client_id``.
    """

    epoch: str = ""
    recipients: dict[str, str] = field(default_factory=dict)
    logs: dict[str, dict[str, int]] = field(default_factory=dict)
    earlier: set[str] = field(default_factory=set)
    doubled: int = 0


def read_heads(path: str) -> dict[str, int]:
    """The head of each log."""
    connection = connect(path, read_only=True)
    try:
        return dict(connection.execute("SELECT name, head FROM users"))
    finally:
        connection.close()


def read_truth(path: str, after: Mapping[str, int], asked: Iterable[str] = ()) -> Truth:
    """Return every log after these positions, as one snapshot; a log that is not named from its beginning."""
    connection = connect(path, read_only=True)
    try:
        connection.execute("BEGIN")
        truth = _read(connection, after)
        for id in set(asked) - truth.recipients.keys():
            if _is_there(connection, id):
                truth.earlier.add(id)
        return truth
    finally:
        connection.close()


def _read(connection: sqlite3.Connection, after: Mapping[str, int]) -> Truth:
    truth = Truth(read_epoch(connection))
    keys: set[tuple[int, str]] = set()
    for uid, name, head in connection.execute("SELECT uid, name, head FROM users").fetchall():
        since = after.get(name, 0)
        if head <= since:
            continue
        # The log alone will not do: an entry whose message is gone is a message that is gone.
        rows = connection.execute(
            "SELECT feed.cur, members.tag, messages.id, messages.sender, messages.client_id FROM feed"
            " JOIN messages ON messages.id = feed.mid"
            " LEFT JOIN members ON members.uid = feed.uid AND members.peer = feed.peer"
            " WHERE feed.uid = ? AND feed.cur > ? AND feed.kind = ?",
            (uid, since, KIND_MESSAGE),
        )
        log = truth.logs.setdefault(name, {})
        for position, tag, mid, sender, client_id in rows:
            id = message_id(mid >> SEQ_BITS if tag is None else tag, mid & SEQ_MAX)
            log[id] = position
            if sender != uid:
                truth.recipients[id] = name
                if client_id is not None:
                    truth.doubled += (sender, client_id) in keys
                    keys.add((sender, client_id))
    return truth


def _is_there(connection: sqlite3.Connection, id: str) -> bool:
    found = _MESSAGE_ID.fullmatch(id)
    if found is None or int(found[1], 16) >= 1 << 63:
        return False
    tag, seq = (int(part, 16) for part in found.groups())
    row = connection.execute("SELECT cid FROM members WHERE tag = ?", (tag,)).fetchone()
    mid = (tag if row is None else row[0]) << SEQ_BITS | seq
    return mid < 1 << 63 and connection.execute("SELECT 1 FROM messages WHERE id = ?", (mid,)).fetchone() is not None
