"""A message is appended: what happens inside the writer's transaction.

Everything is checked before the first write, so that a refusal leaves nothing.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time

from tidings.errors import Conflict, Forbidden, TooManyRequests
from tidings.protocol.cursor import tag_of
from tidings.protocol.encoding import format_time
from tidings.protocol.events import KIND_MESSAGE, NEW_MESSAGE, LogEvent
from tidings.protocol.shapes import Message
from tidings.protocol.user_id import UserId
from tidings.server.store import Appended, BeginsConversation, Committed, NewMessage
from tidings.server.store.sqlite.receipts import Side, tell
from tidings.server.store.sqlite.safety import refuse_blocked
from tidings.server.store.sqlite.schema import SEQ_BITS, SEQ_MASK, message_id, read_watermarks
from tidings.server.store.sqlite.threads import Written

SEQ_MAX = SEQ_MASK  # 16.7 million messages in one conversation; the next would run into the neighbour's numbers
HOUR_MS = 3_600_000
TAG_BITS = 63  # of a conversation's tag: SQLite's integers, and two are never alike
DIGEST_SIZE_BYTES = 16


# All that a send depends on, in one look: eleven statements for each message cost the writer 50 us, these six 35.
LOOK = """
    SELECT sender.uid, sender.head, recipient.uid, recipient.head, recipient.erased_ms,
           own.cid, ifnull(own.tag, own.cid), own.last_seq, other.recv_n, messages.id,
           EXISTS (SELECT 1 FROM blocks WHERE uid = sender.uid AND peer = recipient.uid),
           EXISTS (SELECT 1 FROM blocks WHERE uid = recipient.uid AND peer = sender.uid)
    FROM (SELECT 1)
    LEFT JOIN users AS sender ON sender.name = ?
    LEFT JOIN users AS recipient ON recipient.name = ?
    LEFT JOIN members AS own ON own.uid = sender.uid AND own.peer = recipient.uid
    LEFT JOIN members AS other ON other.uid = recipient.uid AND other.peer = sender.uid
    LEFT JOIN messages ON messages.sender = sender.uid AND messages.client_id = ?
"""


def append(connection: sqlite3.Connection, new: NewMessage) -> Written[Appended]:
    """Put a message into both logs; see ``Store.append``."""
    found = connection.execute(LOOK, (new.sender, new.recipient, new.client_id)).fetchone()
    sender, sender_head, recipient, recipient_head, erased_ms = found[:5]
    conversation, chat_tag, last_seq, received, stored, blocks, is_blocked = found[5:]
    digest = None if new.client_id is None else _digest(new)
    if stored is not None:
        return Written(Appended(_find_stored(connection, stored, new, digest), is_new=False), [])
    if erased_ms is not None:
        raise Forbidden("not_allowed", "This person has left; nobody can write to them.")
    now_ms = time.time_ns() // 1_000_000
    if conversation is None:  # before a block: else whoever may begin none, or with nobody, would find blocks out
        if sender is not None and new.opening_limit_per_h is not None:
            _check_openings(connection, sender, new.opening_limit_per_h, now_ms)
        if not new.may_begin:
            raise BeginsConversation()
    if not new.passes_blocks:
        refuse_blocked(blocks=blocks, is_blocked=is_blocked or new.is_refused)
    told: list[Committed] = []
    if conversation is None:
        # Checks are done; from here on everything writes.
        if sender is None:
            sender, sender_head = _add_user(connection, new.sender), 0
        if recipient is None:
            recipient, recipient_head = _add_user(connection, new.recipient), 0
        conversation, chat_tag = _open_conversation(connection, sender, recipient, now_ms)
        last_seq = received = 0
    elif last_seq >= SEQ_MAX:
        raise Conflict("conversation_full", "This conversation has reached its highest message number.")
    elif (
        received == 0 and not blocks
    ):  # the first answer: what was kept from the other side until now is told before it
        told = tell(connection, Side(new.sender, sender), Side(new.recipient, recipient), now_ms)
        recipient_head += len(told)

    seq, sender_position, recipient_position = last_seq + 1, sender_head + 1, recipient_head + 1
    mid = conversation << SEQ_BITS | seq
    connection.execute("UPDATE users SET head = head + 1 WHERE uid IN (?, ?)", (sender, recipient))
    connection.execute(
        "UPDATE members SET last_cur = ?, last_seq = ?, recv_n = recv_n + 1 WHERE uid = ? AND peer = ?",
        (recipient_position, seq, recipient, sender),
    )
    connection.execute(
        "UPDATE members SET last_cur = ?, last_seq = ? WHERE uid = ? AND peer = ?",
        (sender_position, seq, sender, recipient),
    )
    connection.execute(
        "INSERT INTO messages(id, sender, nth, client_id, digest, type, ts, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (mid, sender, received + 1, new.client_id, digest, new.message_type, now_ms, new.text),
    )
    connection.execute(
        "INSERT INTO feed(uid, cur, kind, peer, mid, ts) VALUES (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?)",
        (
            *(recipient, recipient_position, KIND_MESSAGE, sender, mid, now_ms),
            *(sender, sender_position, KIND_MESSAGE, recipient, mid, now_ms),
        ),
    )

    created_at = format_time(now_ms)

    def seen(client_id: str | None) -> Message:
        return Message(
            id=message_id(chat_tag, seq),
            seq=seq,
            sender_id=new.sender,
            recipient_id=new.recipient,
            text=new.text,
            message_type=new.message_type,
            sent=True,
            delivered=False,
            read=False,
            createdAt=created_at,
            client_id=client_id,
        )

    own = seen(new.client_id)
    tag = tag_of(now_ms)
    return Written(
        Appended(own, is_new=True),
        [
            *told,
            Committed(new.recipient, LogEvent(recipient_position, tag, seen(None), NEW_MESSAGE)),
            Committed(new.sender, LogEvent(sender_position, tag, own, NEW_MESSAGE)),
        ],
    )


def _digest(new: NewMessage) -> bytes:
    content = f"{new.recipient}\0{new.message_type}\0{new.text}"  # a zero byte is in none of them
    return hashlib.blake2b(content.encode(), digest_size=DIGEST_SIZE_BYTES).digest()


def _find_stored(connection: sqlite3.Connection, mid: int, new: NewMessage, digest: bytes | None) -> Message:
    stored_digest, sender, message_type, ts, body = connection.execute(
        "SELECT digest, sender, type, ts, body FROM messages WHERE id = ?", (mid,)
    ).fetchone()
    if stored_digest != digest:
        raise Conflict("client_id_reused", "This client_id was used for another message; use a new one.")
    # By the conversation and not by the recipient's name, which may have been erased since.
    tag, peer = connection.execute(
        "SELECT ifnull(tag, cid), peer FROM members WHERE uid = ? AND cid = ?", (sender, mid >> SEQ_BITS)
    ).fetchone()
    watermarks, seq = read_watermarks(connection, sender, peer), mid & SEQ_MASK
    return Message(
        id=message_id(tag, seq),
        seq=seq,
        sender_id=new.sender,
        recipient_id=new.recipient,
        text=body,
        message_type=message_type,
        sent=True,
        delivered=seq <= watermarks.peer_delivered_upto,
        read=seq <= watermarks.peer_read_upto,
        createdAt=format_time(ts),
        client_id=new.client_id,
    )


def _check_openings(connection: sqlite3.Connection, sender: int, limit: int, now_ms: int) -> None:
    """Refuse one conversation too many within an hour; the index holds only conversations that the sender began."""
    opened = connection.execute(
        "SELECT opened_ms FROM members WHERE uid = ? AND opened_ms > ? ORDER BY opened_ms DESC LIMIT ?",
        (sender, now_ms - HOUR_MS, limit),
    ).fetchall()
    if len(opened) == limit:
        wait_s = max(1, -(-(opened[-1][0] + HOUR_MS - now_ms) // 1000))
        raise TooManyRequests(
            "new_conversations_limited",
            f"You may begin {limit} conversations an hour; the next one in {wait_s} s.",
            retry_after_s=wait_s,
        )


def _add_user(connection: sqlite3.Connection, name: UserId) -> int:
    row = connection.execute("INSERT INTO users(name) VALUES (?) RETURNING uid", (name,)).fetchone()
    return int(row[0])


def _open_conversation(connection: sqlite3.Connection, opener: int, peer: int, now_ms: int) -> tuple[int, int]:
    """The conversation's number, by which it is kept, and its tag, by which people see it."""
    (conversation,) = connection.execute("UPDATE meta SET v = v + 1 WHERE k = 'conversations' RETURNING v").fetchone()
    tag = secrets.randbits(TAG_BITS)
    connection.execute(
        "INSERT INTO members(uid, peer, cid, tag, opened_ms) VALUES (?, ?, ?, ?, ?), (?, ?, ?, ?, 0)",
        (opener, peer, conversation, tag, now_ms, peer, opener, conversation, tag),
    )
    return int(conversation), tag
