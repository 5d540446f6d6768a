"""The watermarks of a reader rise, and the other side is told: inside the writer's transaction."""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple

from tidings.protocol.events import KIND_READ_BY_OWNER
from tidings.protocol.shapes import Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.store import Committed, rows
from tidings.server.store.rules import SEQ_BITS, SEQ_MAX, Marks, check_receipt, received_upto
from tidings.server.store.sqlite.safety import blockers
from tidings.server.store.sqlite.schema import find_user, read_watermarks
from tidings.server.store.sqlite.threads import Written


class Side(NamedTuple):
    """One of the two in a conversation: the name on the wire and the number here."""

    name: UserId
    uid: int


def advance(
    connection: sqlite3.Connection,
    reader: UserId,
    peer: UserId,
    delivered_upto: int,
    read_upto: int,
    *,
    tells_strangers: bool,
) -> Written[Watermarks]:
    """Raise watermarks; see ``Store.advance``."""
    reader_uid, peer_uid = find_user(connection, reader), find_user(connection, peer)
    found = connection.execute(
        "SELECT mine.cid, mine.last_seq, theirs.recv_n, mine.dlv_seq, mine.read_seq, mine.told_dlv, mine.told_read"
        " FROM members AS mine"
        " JOIN members AS theirs ON theirs.uid = mine.peer AND theirs.peer = mine.uid"
        " WHERE mine.uid = ? AND mine.peer = ?",
        (reader_uid, peer_uid),
    ).fetchone()
    check_receipt(0 if found is None else found[1], delivered_upto, read_upto)
    if found is None or reader_uid is None or peer_uid is None:
        return Written(Watermarks(), [])
    if reader_uid in blockers(connection, reader_uid, peer_uid):
        return Written(read_watermarks(connection, reader_uid, peer_uid), [])

    now_ms = time.time_ns() // 1_000_000
    own, other = Side(reader, reader_uid), Side(peer, peer_uid)
    conversation, _, sent, *marks = found
    before = Marks(*marks)
    after = before.raised(delivered_upto, read_upto)
    committed: list[Committed] = []
    if after != before:
        connection.execute(
            "UPDATE members SET dlv_seq = ?, read_seq = ? WHERE uid = ? AND peer = ?",
            (after.delivered, after.read, reader_uid, peer_uid),
        )
    if after.read > before.read:
        # A row that a disk has lost is passed over: refused, the receipt would be sent again for ever.
        message_id, sender, nth = connection.execute(
            "SELECT id, sender, nth FROM messages WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1",
            (conversation << SEQ_BITS, conversation << SEQ_BITS | after.read),
        ).fetchone() or (conversation << SEQ_BITS, reader_uid, 0)
        connection.execute(
            "UPDATE members SET read_n = ? WHERE uid = ? AND peer = ?",
            (received_upto(message_id & SEQ_MAX, nth, is_own=sender == reader_uid), reader_uid, peer_uid),
        )
        committed.append(_record(connection, own, other, KIND_READ_BY_OWNER, conversation, after.read, now_ms))
    if sent > 0 or tells_strangers:
        committed += tell(connection, own, other, now_ms)
    return Written(read_watermarks(connection, reader_uid, peer_uid), committed)


def tell(connection: sqlite3.Connection, reader: Side, peer: Side, now_ms: int) -> list[Committed]:
    """Tell the peer how far the reader has read and received, where it was not told so far."""
    conversation, *marks = connection.execute(
        "SELECT cid, dlv_seq, read_seq, told_dlv, told_read FROM members WHERE uid = ? AND peer = ?",
        (reader.uid, peer.uid),
    ).fetchone()
    rising = Marks(*marks).untold()
    if rising:
        connection.execute(
            "UPDATE members SET told_dlv = dlv_seq, told_read = read_seq WHERE uid = ? AND peer = ?",
            (reader.uid, peer.uid),
        )
    return [_record(connection, peer, reader, kind, conversation, upto, now_ms) for kind, upto in rising]


def _record(
    connection: sqlite3.Connection,
    owner: Side,
    other: Side,
    kind: int,
    conversation: int,
    upto: int,
    now_ms: int,
) -> Committed:
    """Put a receipt into the owner's log."""
    position = _next_position(connection, owner.uid)
    connection.execute(
        "INSERT INTO feed(uid, cur, kind, peer, mid, ts) VALUES (?, ?, ?, ?, ?, ?)",
        (owner.uid, position, kind, other.uid, conversation << SEQ_BITS | upto, now_ms),
    )
    return Committed(owner.name, rows.receipt(owner.name, other.name, kind, upto, position, now_ms))


def _next_position(connection: sqlite3.Connection, user: int) -> int:
    row = connection.execute("UPDATE users SET head = head + 1 WHERE uid = ? RETURNING head", (user,)).fetchone()
    return int(row[0])
