"""The meaning of the columns: the numbers of users, conversations and messages, and the reads that all others share."""

from __future__ import annotations

import sqlite3

from tidings.protocol.cursor import format_cursor, tag_of
from tidings.protocol.encoding import format_time
from tidings.protocol.shapes import Message, MessageId, Watermarks
from tidings.protocol.user_id import UserId

SEQ_BITS = 24
SEQ_MASK = (1 << SEQ_BITS) - 1


def find_user(connection: sqlite3.Connection, name: UserId) -> int | None:
    """The number of a user, or None for one never seen."""
    row = connection.execute("SELECT uid FROM users WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def message_id(tag: int, seq: int) -> MessageId:
    """The opaque id on the wire; ``tag`` is the conversation's, drawn, since a counter would tell how many there are.

    A conversation from before tags were drawn has its number for one.
    """
    return MessageId(f"m{tag:x}{seq:06x}")


def read_watermarks(connection: sqlite3.Connection, user: int, peer: int) -> Watermarks:
    """The watermarks of both sides, as ``user`` sees them: of the other one what was told."""
    row = connection.execute(
        "SELECT mine.read_seq, mine.dlv_seq, theirs.told_read, theirs.told_dlv FROM members AS mine"
        " JOIN members AS theirs ON theirs.uid = mine.peer AND theirs.peer = mine.uid"
        " WHERE mine.uid = ? AND mine.peer = ?",
        (user, peer),
    ).fetchone()
    return Watermarks(*(row or (0, 0, 0, 0)))


def head_of(connection: sqlite3.Connection, user: int) -> tuple[int, int, int]:
    """Head, its tag and the floor of a log."""
    head, floor, ts = connection.execute(
        "SELECT head, floor, (SELECT ts FROM feed WHERE feed.uid = users.uid AND cur = head) FROM users WHERE uid = ?",
        (user,),
    ).fetchone()
    return head, (0 if ts is None else tag_of(ts)), floor


def head_cursor(connection: sqlite3.Connection, epoch: str, user: int | None) -> str:
    head, tag, _floor = (0, 0, 0) if user is None else head_of(connection, user)
    return format_cursor(epoch, head, tag)


def make_message(
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
