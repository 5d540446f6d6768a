"""The watermarks of a reader rise, and the others are told: inside the writer's transaction."""

from __future__ import annotations

import sqlite3
import time

from tidings.protocol.events import KIND_READ_BY_OWNER
from tidings.protocol.shapes import Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.store import Committed, rows
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, SEQ_BITS, Marks, check_receipt, received_upto
from tidings.server.store.sqlite.audience import audience, enter
from tidings.server.store.sqlite.safety import blockers
from tidings.server.store.sqlite.schema import find_user, read_watermarks
from tidings.server.store.sqlite.threads import Written


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
    user, chat = find_user(connection, reader), find_user(connection, peer)
    found = connection.execute(
        "SELECT cid, last_seq, recv_n, dlv_seq, read_seq, told_dlv, told_read FROM members WHERE uid = ? AND chat = ?",
        (user, chat),
    ).fetchone()
    check_receipt(0 if found is None else found[1], delivered_upto, read_upto)
    if found is None or user is None or chat is None:
        return Written(Watermarks(), [])
    if user in blockers(connection, user, chat):
        return Written(read_watermarks(connection, user, chat), [])

    conversation, last_seq, received, *marks = found
    now_ms = time.time_ns() // 1_000_000
    before = Marks(*marks)
    after = before.raised(delivered_upto, read_upto)
    committed: list[Committed] = []
    if after != before:
        connection.execute(
            "UPDATE members SET dlv_seq = ?, read_seq = ? WHERE uid = ? AND chat = ?",
            (after.delivered, after.read, user, chat),
        )
    if after.read > before.read:
        # A row that a disk has lost is passed over: refused, the receipt would be sent again for ever.
        message_id, sender, nth = connection.execute(
            "SELECT id, sender, nth FROM messages WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1",
            (conversation << SEQ_BITS, conversation << SEQ_BITS | after.read),
        ).fetchone() or (conversation << SEQ_BITS, user, 0)
        connection.execute(
            "UPDATE members SET read_n = ? WHERE uid = ? AND chat = ?",
            (received_upto(message_id & CONVERSATION_SEQ_MAX, nth, is_own=sender == user), user, chat),
        )
        own = [side for side in audience(connection, conversation) if side[0] == user]
        positions = enter(connection, own, conversation, KIND_READ_BY_OWNER, after.read, now_ms)
        committed += rows.receipts(positions, peer, KIND_READ_BY_OWNER, after.read, now_ms)
    if tells_strangers or last_seq > received:  # the reader has written
        committed += tell(connection, conversation, user, reader, now_ms)
    return Written(read_watermarks(connection, user, chat), committed)


def tell(
    connection: sqlite3.Connection, conversation: int, user: int | None, reader: UserId, now_ms: int
) -> list[Committed]:
    """Tell the others how far the reader has read and received, where they were not told so far."""
    assert user is not None
    side = (user, conversation)
    marks = connection.execute(
        "SELECT dlv_seq, read_seq, told_dlv, told_read FROM members WHERE uid = ? AND cid = ?", side
    ).fetchone()
    rising = Marks(*marks).untold()
    if rising:
        connection.execute(
            "UPDATE members SET told_dlv = dlv_seq, told_read = read_seq WHERE uid = ? AND cid = ?", side
        )
    committed: list[Committed] = []
    for kind, upto in rising:
        others = [side for side in audience(connection, conversation) if side[0] != user]
        positions = enter(connection, others, conversation, kind, upto, now_ms)
        committed += rows.receipts(positions, reader, kind, upto, now_ms)
    return committed
