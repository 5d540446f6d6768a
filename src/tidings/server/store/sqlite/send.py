"""A message is appended: what happens inside the writer's transaction. The decisions are in rules.py."""

from __future__ import annotations

import secrets
import sqlite3
import time

from tidings.protocol.events import KIND_MESSAGE
from tidings.protocol.shapes import Message
from tidings.server.store import Appended, Committed, NewMessage, rows, rules
from tidings.server.store.rules import HOUR_MS, SEQ_BITS, SEQ_MAX, TAG_BITS
from tidings.server.store.sqlite.receipts import Side, tell
from tidings.server.store.sqlite.schema import add_user, read_watermarks
from tidings.server.store.sqlite.threads import Written

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
    found = rules.Found(*connection.execute(LOOK, (new.sender, new.recipient, new.client_id)).fetchone())
    digest = None if new.client_id is None else rules.digest(new)
    if found.stored is not None:
        return Written(Appended(_find_stored(connection, found.stored, new, digest), is_new=False), [])
    now_ms = time.time_ns() // 1_000_000
    opened_ms = _openings(connection, found, new, now_ms) if rules.asks_openings(found, new) else []
    why = rules.refusal(found, new, len(opened_ms))
    if why is not None:
        raise rules.problem(why, new, rules.opening_wait_s(opened_ms, now_ms))

    # Checks are done; from here on everything writes.
    sender, sender_head, recipient, recipient_head, _, conversation, chat_tag, last_seq, sent, *_ = found
    told: list[Committed] = []
    if conversation is None:
        if sender is None:
            sender, sender_head = add_user(connection, new.sender), 0
        if recipient is None:
            recipient, recipient_head = add_user(connection, new.recipient), 0
        conversation, chat_tag = _open_conversation(connection, sender, recipient, now_ms)
        last_seq = sent = 0
    assert sender is not None
    assert recipient is not None
    if rules.tells_first(found):
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
        (mid, sender, sent + 1, new.client_id, digest, new.message_type, now_ms, new.text),
    )
    connection.execute(
        "INSERT INTO feed(uid, cur, kind, peer, mid, ts) VALUES (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?)",
        (
            *(recipient, recipient_position, KIND_MESSAGE, sender, mid, now_ms),
            *(sender, sender_position, KIND_MESSAGE, recipient, mid, now_ms),
        ),
    )
    positions = ((new.recipient, recipient_position), (new.sender, sender_position))
    appended, events = rows.appended(new, chat_tag, seq, now_ms, positions)
    return Written(appended, [*told, *events])


def _find_stored(connection: sqlite3.Connection, mid: int, new: NewMessage, digest: bytes | None) -> Message:
    stored_digest, sender, message_type, sent_ms, body = connection.execute(
        "SELECT digest, sender, type, ts, body FROM messages WHERE id = ?", (mid,)
    ).fetchone()
    rules.check_same(stored_digest, digest)
    # By the conversation and not by the recipient's name, which may have been erased since.
    tag, peer = connection.execute(
        "SELECT ifnull(tag, cid), peer FROM members WHERE uid = ? AND cid = ?", (sender, mid >> SEQ_BITS)
    ).fetchone()
    watermarks = read_watermarks(connection, sender, peer)
    content = (new.client_id, message_type, sent_ms, body)
    return rows.seen(new.sender, new.recipient, watermarks, tag, mid & SEQ_MAX, True, *content)


def _openings(connection: sqlite3.Connection, found: rules.Found, new: NewMessage, now_ms: int) -> list[int]:
    """When the sender began the latest conversations of the last hour; the index holds only those that it began."""
    opened = connection.execute(
        "SELECT opened_ms FROM members WHERE uid = ? AND opened_ms > ? ORDER BY opened_ms DESC LIMIT ?",
        (found.sender, now_ms - HOUR_MS, new.opening_limit_per_h),
    )
    return [opened_ms for (opened_ms,) in opened]


def _open_conversation(connection: sqlite3.Connection, opener: int, peer: int, now_ms: int) -> tuple[int, int]:
    """The conversation's number, by which it is kept, and its tag, by which people see it."""
    (conversation,) = connection.execute("UPDATE meta SET v = v + 1 WHERE k = 'conversations' RETURNING v").fetchone()
    tag = secrets.randbits(TAG_BITS)
    connection.execute(
        "INSERT INTO members(uid, peer, cid, tag, opened_ms) VALUES (?, ?, ?, ?, ?), (?, ?, ?, ?, 0)",
        (opener, peer, conversation, tag, now_ms, peer, opener, conversation, tag),
    )
    return int(conversation), tag
