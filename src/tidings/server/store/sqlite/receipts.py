"""The watermarks of a reader rise, and the other side is told: inside the writer's transaction.

Everything is checked before the first write, so that a refusal leaves nothing.
"""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple

from tidings.errors import NotFound
from tidings.protocol.cursor import tag_of
from tidings.protocol.events import (
    MESSAGE_DELIVERED,
    MESSAGE_READ,
    LogEvent,
    Receipt,
    UserId,
    Watermarks,
    format_time,
)
from tidings.server.store import Committed
from tidings.server.store.sqlite.safety import blockers
from tidings.server.store.sqlite.schema import (
    KIND_DELIVERED,
    KIND_READ_BY_OWNER,
    KIND_READ_BY_PEER,
    SEQ_BITS,
    SEQ_MASK,
    find_user,
    read_watermarks,
)
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
    found = None
    if reader_uid is not None and peer_uid is not None:
        found = connection.execute(
            "SELECT mine.cid, mine.last_seq, mine.read_seq, mine.dlv_seq, theirs.recv_n FROM members AS mine"
            " JOIN members AS theirs ON theirs.uid = mine.peer AND theirs.peer = mine.uid"
            " WHERE mine.uid = ? AND mine.peer = ?",
            (reader_uid, peer_uid),
        ).fetchone()
    conversation, last_seq, read_seq, dlv_seq, written = found or (0, 0, 0, 0, 0)
    if max(delivered_upto, read_upto) > last_seq:
        raise NotFound("unknown_message", f"The last message of this conversation is {last_seq}.")
    if reader_uid is None or peer_uid is None:
        return Written(Watermarks(), [])
    if reader_uid in blockers(connection, reader_uid, peer_uid):
        return Written(read_watermarks(connection, reader_uid, peer_uid), [])

    now_ms = time.time_ns() // 1_000_000
    own, other = Side(reader, reader_uid), Side(peer, peer_uid)
    committed: list[Committed] = []
    if read_upto > read_seq:
        # A row that a disk has lost is passed over: refused, the receipt would be sent again for ever.
        message_id, sender, nth = connection.execute(
            "SELECT id, sender, nth FROM messages WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1",
            (conversation << SEQ_BITS, conversation << SEQ_BITS | read_upto),
        ).fetchone() or (conversation << SEQ_BITS, reader_uid, 0)
        received = nth if sender == peer_uid else (message_id & SEQ_MASK) - nth
        connection.execute(
            "UPDATE members SET read_seq = ?, read_n = ?, dlv_seq = max(dlv_seq, ?) WHERE uid = ? AND peer = ?",
            (read_upto, received, read_upto, reader_uid, peer_uid),
        )
        committed.append(_record(connection, own, other, KIND_READ_BY_OWNER, conversation, read_upto, now_ms))
    if delivered_upto > max(dlv_seq, read_upto):
        connection.execute(
            "UPDATE members SET dlv_seq = ? WHERE uid = ? AND peer = ?", (delivered_upto, reader_uid, peer_uid)
        )
    if written > 0 or tells_strangers:
        committed += tell(connection, own, other, now_ms)
    return Written(read_watermarks(connection, reader_uid, peer_uid), committed)


def tell(connection: sqlite3.Connection, reader: Side, peer: Side, now_ms: int) -> list[Committed]:
    """Tell the peer how far the reader has read and received, where it was not told so far."""
    conversation, dlv_seq, read_seq, told_dlv, told_read = connection.execute(
        "SELECT cid, dlv_seq, read_seq, told_dlv, told_read FROM members WHERE uid = ? AND peer = ?",
        (reader.uid, peer.uid),
    ).fetchone()
    rising = []
    if read_seq > told_read:
        rising.append((KIND_READ_BY_PEER, read_seq))
        told_dlv = max(told_dlv, read_seq)  # read is delivered, and no event of its own
    if dlv_seq > told_dlv:
        rising.append((KIND_DELIVERED, dlv_seq))
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
    event_type = MESSAGE_DELIVERED if kind == KIND_DELIVERED else MESSAGE_READ
    by = owner.name if kind == KIND_READ_BY_OWNER else other.name
    receipt = Receipt(chat_user_id=other.name, by=by, upto=upto, at=format_time(now_ms))
    return Committed(owner.name, LogEvent(position, tag_of(now_ms), receipt, event_type))


def _next_position(connection: sqlite3.Connection, user: int) -> int:
    row = connection.execute("UPDATE users SET head = head + 1 WHERE uid = ? RETURNING head", (user,)).fetchone()
    return int(row[0])
