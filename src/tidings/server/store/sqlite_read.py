"""The reads of the SQLite store. Each runs inside one read transaction: what it returns belongs together."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tidings.protocol.cursor import Cursor, format_cursor, tag_of
from tidings.protocol.events import (
    MESSAGE_DELIVERED,
    MESSAGE_READ,
    NEW_MESSAGE,
    LogEvent,
    Message,
    MessageId,
    Receipt,
    UserId,
    Watermarks,
    format_time,
)
from tidings.server.config import PAGE_SIZE_MAX_BYTES
from tidings.server.store import ConversationSummary, HistoryPage, InboxPage, Place, Relation

SEQ_BITS = 24
SEQ_MASK = (1 << SEQ_BITS) - 1
KIND_MESSAGE, KIND_DELIVERED, KIND_READ_BY_PEER, KIND_READ_BY_OWNER = 1, 2, 3, 4

_HEADS_PER_QUERY = 500  # below SQLite's limit of bound values, whatever it was built with


def find_user(connection: sqlite3.Connection, name: UserId) -> int | None:
    """The number of a user, or None for one never seen."""
    row = connection.execute("SELECT uid FROM users WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def message_id(tag: int, seq: int) -> MessageId:
    """The opaque id on the wire; ``tag`` is the conversation's, drawn, since a counter would tell how many there are.

    A conversation from before tags were drawn has its number for one.
    """
    return MessageId(f"m{tag:x}{seq:06x}")


def blockers(connection: sqlite3.Connection, one: int, other: int) -> set[int]:
    """Who of the two blocks the other."""
    rows = connection.execute(
        "SELECT uid FROM blocks WHERE uid = ? AND peer = ? UNION ALL SELECT uid FROM blocks WHERE uid = ? AND peer = ?",
        (one, other, other, one),
    )
    return {uid for (uid,) in rows}


def read_watermarks(connection: sqlite3.Connection, user: int, peer: int) -> Watermarks:
    """The watermarks of both sides, as ``user`` sees them: of the other one what was told."""
    row = connection.execute(
        "SELECT mine.read_seq, mine.dlv_seq, theirs.told_read, theirs.told_dlv FROM members AS mine"
        " JOIN members AS theirs ON theirs.uid = mine.peer AND theirs.peer = mine.uid"
        " WHERE mine.uid = ? AND mine.peer = ?",
        (user, peer),
    ).fetchone()
    return Watermarks(*(row or (0, 0, 0, 0)))


def _head(connection: sqlite3.Connection, user: int) -> tuple[int, int, int]:
    """Head, its tag and the floor of a log."""
    head, floor, ts = connection.execute(
        "SELECT head, floor, (SELECT ts FROM feed WHERE feed.uid = users.uid AND cur = head) FROM users WHERE uid = ?",
        (user,),
    ).fetchone()
    return head, (0 if ts is None else tag_of(ts)), floor


def place(connection: sqlite3.Connection, epoch: str, name: UserId, cursor: Cursor | None) -> Place:
    """Where a reader starts; see ``Store.place``."""
    user = find_user(connection, name)
    head, head_tag, floor = (0, 0, 0) if user is None else _head(connection, user)
    at_head = Place(head, head_tag, head, head_tag, None)
    if cursor is None:
        return at_head
    if cursor.epoch != epoch:
        return at_head._replace(reset="other_epoch")
    if cursor.position > head:
        return at_head._replace(reset="future")
    if cursor.position < floor:
        return at_head._replace(reset="expired")
    if cursor.position > floor:
        row = connection.execute("SELECT ts FROM feed WHERE uid = ? AND cur = ?", (user, cursor.position)).fetchone()
        if row is None or tag_of(row[0]) != cursor.tag:
            return at_head._replace(reset="unknown")
    return Place(cursor.position, cursor.tag, head, head_tag, None)


def read_after(
    connection: sqlite3.Connection,
    owner: UserId,
    position: int,
    limit: int,
    size_max_bytes: int = PAGE_SIZE_MAX_BYTES,
) -> list[LogEvent]:
    """A page of a log; see ``Store.read_after``."""
    user = find_user(connection, owner)
    if user is None:
        return []
    rows = connection.execute(
        """
        SELECT feed.cur, feed.kind, feed.mid, feed.ts, peers.name,
               messages.sender = feed.uid, messages.client_id, messages.type, messages.ts, messages.body,
               ifnull(mine.tag, mine.cid), mine.dlv_seq, mine.read_seq, theirs.told_dlv, theirs.told_read
        FROM feed
        JOIN users AS peers ON peers.uid = feed.peer
        JOIN members AS mine ON mine.uid = feed.uid AND mine.peer = feed.peer
        JOIN members AS theirs ON theirs.uid = feed.peer AND theirs.peer = feed.uid
        LEFT JOIN messages ON feed.kind = ? AND messages.id = feed.mid
        WHERE feed.uid = ? AND feed.cur > ? ORDER BY feed.cur LIMIT ?
        """,
        (KIND_MESSAGE, user, position, limit),
    )
    events: list[LogEvent] = []
    size = 0
    for cur, kind, mid, event_ms, peer, is_own, client_id, type_, sent_ms, body, tag, *marks in rows:
        seq = mid & SEQ_MASK
        if kind == KIND_MESSAGE:
            dlv_seq, read_seq = marks[2:] if is_own else marks[:2]
            message = _message(
                owner, peer, tag, seq, bool(is_own), client_id, type_, sent_ms, body, seq <= dlv_seq, seq <= read_seq
            )
            events.append(LogEvent(cur, tag_of(event_ms), message, NEW_MESSAGE))
            size += len(body)
            if size >= size_max_bytes:
                break
        else:
            by = owner if kind == KIND_READ_BY_OWNER else peer
            event_type = MESSAGE_DELIVERED if kind == KIND_DELIVERED else MESSAGE_READ
            receipt = Receipt(chat_user_id=peer, by=by, upto=seq, at=format_time(event_ms))
            events.append(LogEvent(cur, tag_of(event_ms), receipt, event_type))
    return events


def heads(connection: sqlite3.Connection, names: Sequence[UserId]) -> dict[UserId, int]:
    """The heads of these logs."""
    found: dict[UserId, int] = {}
    for start in range(0, len(names), _HEADS_PER_QUERY):
        some = names[start : start + _HEADS_PER_QUERY]
        marks = ",".join("?" * len(some))
        found.update(connection.execute(f"SELECT name, head FROM users WHERE name IN ({marks})", some))
    return found


def history(
    connection: sqlite3.Connection,
    epoch: str,
    owner: UserId,
    peer_name: UserId,
    before: int | None,
    after: int | None,
    limit: int,
) -> HistoryPage:
    """A page of a conversation; see ``Store.history``."""
    user, peer = find_user(connection, owner), find_user(connection, peer_name)
    cursor = _head_cursor(connection, epoch, user)
    side = None
    if user is not None and peer is not None:
        side = connection.execute(
            "SELECT cid, ifnull(tag, cid) FROM members WHERE uid = ? AND peer = ?", (user, peer)
        ).fetchone()
    told = relation(connection, owner, peer_name)
    if side is None or user is None or peer is None:
        return HistoryPage([], False, cursor, Watermarks(), told)
    conversation, tag = side
    first = conversation << SEQ_BITS
    # Clamped to this conversation: a bound outside would reach into the neighbours' messages.
    lowest = first + min(max(after or 0, 0), SEQ_MASK)
    highest = first + min(max(SEQ_MASK + 1 if before is None else before, 0), SEQ_MASK + 1)
    order = "DESC" if after is None else "ASC"
    rows = connection.execute(
        "SELECT id, sender, client_id, type, ts, body FROM messages"
        f" WHERE id > ? AND id < ? ORDER BY id {order} LIMIT ?",
        (lowest, highest, limit + 1),
    )
    watermarks = read_watermarks(connection, user, peer)
    messages: list[Message] = []
    size, has_more = 0, False
    for row in rows:
        if len(messages) == limit or size >= PAGE_SIZE_MAX_BYTES:
            has_more = True
            break
        messages.append(_seen(owner, peer_name, user, watermarks, tag, *row))
        size += len(row[-1])
    if after is None:
        messages.reverse()
    return HistoryPage(messages, has_more, cursor, watermarks, told)


def inbox(connection: sqlite3.Connection, epoch: str, owner: UserId, before: int | None, limit: int) -> InboxPage:
    """A page of conversations; see ``Store.inbox``."""
    user = find_user(connection, owner)
    cursor = _head_cursor(connection, epoch, user)
    if user is None:
        return InboxPage([], False, cursor, 0)
    rows = connection.execute(
        """
        SELECT peers.name, mine.last_cur, mine.recv_n, mine.read_n, theirs.recv_n,
               EXISTS (SELECT 1 FROM blocks WHERE uid = mine.uid AND peer = mine.peer),
               EXISTS (SELECT 1 FROM blocks WHERE uid = mine.peer AND peer = mine.uid),
               mine.read_seq, mine.dlv_seq, theirs.told_read, theirs.told_dlv,
               ifnull(mine.tag, mine.cid),
               messages.id, messages.sender, messages.client_id, messages.type, messages.ts, messages.body
        FROM members AS mine
        JOIN users AS peers ON peers.uid = mine.peer
        JOIN members AS theirs ON theirs.uid = mine.peer AND theirs.peer = mine.uid
        JOIN messages ON messages.id = (mine.cid << ?) + mine.last_seq
        WHERE mine.uid = ? AND mine.last_cur < ? ORDER BY mine.last_cur DESC LIMIT ?
        """,
        (SEQ_BITS, user, (1 << 62) if before is None else before, limit + 1),
    ).fetchall()
    summaries = []
    for name, last_position, received, read, sent, blocks, is_blocked, *rest in rows[:limit]:
        watermarks = Watermarks(*rest[:4])
        last_message = _seen(owner, name, user, watermarks, *rest[4:])
        unread = 0 if blocks else received - read
        told = Relation(sent > 0, received > 0, bool(blocks), bool(is_blocked))
        summaries.append(ConversationSummary(name, last_message, unread, watermarks, last_position, told))
    return InboxPage(summaries, len(rows) > limit, cursor, _unread_total(connection, user))


def _unread_total(connection: sqlite3.Connection, user: int) -> int:
    """What is unread in all conversations; as in the inbox nothing where the user blocks the other side."""
    row = connection.execute(
        "SELECT ifnull(sum(recv_n - read_n), 0) FROM members WHERE uid = ?"
        " AND peer NOT IN (SELECT peer FROM blocks WHERE uid = ?)",
        (user, user),
    ).fetchone()
    return int(row[0])


def relation(connection: sqlite3.Connection, owner: UserId, peer_name: UserId) -> Relation:
    """What two users are to each other; see ``Store.relation``."""
    user, peer = find_user(connection, owner), find_user(connection, peer_name)
    if user is None or peer is None:
        return Relation()
    rows = connection.execute(
        "SELECT uid, recv_n FROM members WHERE uid = ? AND peer = ?"
        " UNION ALL SELECT uid, recv_n FROM members WHERE uid = ? AND peer = ?",
        (user, peer, peer, user),
    )
    received: dict[int, int] = dict(rows.fetchall())
    who = blockers(connection, user, peer)
    return Relation(received.get(peer, 0) > 0, received.get(user, 0) > 0, user in who, peer in who)


def _head_cursor(connection: sqlite3.Connection, epoch: str, user: int | None) -> str:
    head, tag, _floor = (0, 0, 0) if user is None else _head(connection, user)
    return format_cursor(epoch, head, tag)


def _seen(
    owner: UserId,
    peer: UserId,
    user: int,
    watermarks: Watermarks,
    tag: int,
    mid: int,
    sender: int,
    client_id: str | None,
    message_type: str,
    sent_ms: int,
    body: str,
) -> Message:
    """A message row as the owner sees it under these watermarks."""
    seq, is_own = mid & SEQ_MASK, sender == user
    delivered_upto = watermarks.peer_delivered_upto if is_own else watermarks.delivered_upto
    read_upto = watermarks.peer_read_upto if is_own else watermarks.read_upto
    return _message(
        owner, peer, tag, seq, is_own, client_id, message_type, sent_ms, body, seq <= delivered_upto, seq <= read_upto
    )


def _message(
    owner: UserId,
    peer: UserId,
    tag: int,
    seq: int,
    is_own: bool,
    client_id: str | None,
    message_type: str,
    sent_ms: int,
    body: str,
    delivered: bool,
    read: bool,
) -> Message:
    return Message(
        id=message_id(tag, seq),
        seq=seq,
        sender_id=owner if is_own else peer,
        recipient_id=peer if is_own else owner,
        text=body,
        message_type=message_type,
        sent=True,
        delivered=delivered,
        read=read,
        createdAt=format_time(sent_ms),
        client_id=client_id if is_own else None,
    )
