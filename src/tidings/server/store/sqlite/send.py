"""A message is appended: what happens inside the writer's transaction. The decisions are in rules.py."""

from __future__ import annotations

import secrets
import sqlite3
import time

from tidings.protocol.events import KIND_MESSAGE
from tidings.protocol.shapes import Message, Watermarks
from tidings.server.store import Appended, Committed, NewMessage, rows, rules
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, HOUR_MS, SEQ_BITS, TAG_BITS
from tidings.server.store.sqlite.audience import audience, enter
from tidings.server.store.sqlite.receipts import tell
from tidings.server.store.sqlite.schema import add_user
from tidings.server.store.sqlite.threads import Written

# All that a send depends on, in one look: eleven statements for each message cost the writer 50 us, these six 35.
LOOK = """
    SELECT sender.uid, recipient.uid, recipient.erased_ms, own.cid, own.tag, own.last_seq, own.recv_n, messages.id,
           EXISTS (SELECT 1 FROM blocks WHERE uid = sender.uid AND peer = recipient.uid),
           EXISTS (SELECT 1 FROM blocks WHERE uid = recipient.uid AND peer = sender.uid)
    FROM (SELECT 1)
    LEFT JOIN users AS sender ON sender.name = ?
    LEFT JOIN users AS recipient ON recipient.name = ?
    LEFT JOIN members AS own ON own.uid = sender.uid AND own.chat = recipient.uid
    LEFT JOIN messages ON messages.sender = sender.uid AND messages.client_id = ?
"""


def append(connection: sqlite3.Connection, new: NewMessage) -> Written[Appended]:
    """Put a message into both logs; see ``Store.append``."""
    found = rules.Found._make(connection.execute(LOOK, (new.sender, new.recipient, new.client_id)).fetchone())
    digest = None if new.client_id is None else rules.digest(new)
    if found.stored is not None:
        return Written(Appended(_find_stored(connection, found.stored, new, digest), is_new=False), [])
    now_ms = time.time_ns() // 1_000_000
    opened_ms = _openings(connection, found, new, now_ms) if rules.asks_openings(found, new) else []
    why = rules.refusal(found, new, len(opened_ms))
    if why is not None:
        raise rules.problem(why, new, rules.opening_wait_s(opened_ms, now_ms))

    # Checks are done; from here on everything writes.
    sender, recipient, _, conversation, tag, last_seq, received, *_ = found
    told: list[Committed] = []
    if conversation is None:
        sender = add_user(connection, new.sender) if sender is None else sender
        recipient = add_user(connection, new.recipient) if recipient is None else recipient
        conversation, tag = open_conversation(connection, sender, recipient, now_ms)
        last_seq = received = 0
    elif rules.tells_first(found):
        told = tell(connection, conversation, sender, new.sender, now_ms)

    seq = last_seq + 1
    mid = conversation << SEQ_BITS | seq
    connection.execute(
        "INSERT INTO messages(id, sender, nth, client_id, digest, type, ts, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (mid, sender, seq - received, new.client_id, digest, new.message_type, now_ms, new.text),
    )
    sides = audience(connection, conversation)
    positions = enter(connection, sides, conversation, KIND_MESSAGE, seq, now_ms)
    connection.executemany(
        "UPDATE members SET last_cur = ?, last_seq = ?, recv_n = recv_n + ? WHERE uid = ? AND chat = ?",
        [(head + 1, seq, uid != sender, uid, chat) for uid, chat, _name, head in sides],
    )
    appended, events = rows.appended(new, tag, seq, now_ms, positions)
    return Written(appended, [*told, *events])


def _find_stored(connection: sqlite3.Connection, mid: int, new: NewMessage, digest: bytes | None) -> Message:
    stored_digest, sender, message_type, sent_ms, body = connection.execute(
        "SELECT digest, sender, type, ts, body FROM messages WHERE id = ?", (mid,)
    ).fetchone()
    rules.check_same(stored_digest, digest)
    # By the conversation and not by the recipient's name, which may have been erased since.
    tag, *marks = connection.execute(
        "SELECT tag, read_seq, dlv_seq, told_read, told_dlv FROM sides WHERE uid = ? AND cid = ?",
        (sender, mid >> SEQ_BITS),
    ).fetchone()
    content = (new.client_id, message_type, sent_ms, body)
    return rows.seen(new.sender, new.recipient, Watermarks(*marks), tag, mid & CONVERSATION_SEQ_MAX, True, *content)


def _openings(connection: sqlite3.Connection, found: rules.Found, new: NewMessage, now_ms: int) -> list[int]:
    """When the sender began the latest conversations of the last hour; the index holds only those that it began."""
    opened = connection.execute(
        "SELECT opened_ms FROM members WHERE uid = ? AND opened_ms > ? ORDER BY opened_ms DESC LIMIT ?",
        (found.sender, now_ms - HOUR_MS, new.opening_limit_per_h),
    )
    return [opened_ms for (opened_ms,) in opened]


def open_conversation(connection: sqlite3.Connection, opener: int, peer: int, now_ms: int) -> tuple[int, int]:
    """The conversation's number, by which it is kept, and its tag, by which people see it.

    With ``now_ms`` 0 nobody has begun it: it counts for no limit.
    """
    (conversation,) = connection.execute("UPDATE meta SET v = v + 1 WHERE k = 'conversations' RETURNING v").fetchone()
    tag = secrets.randbits(TAG_BITS)
    connection.execute(
        "INSERT INTO members(uid, chat, cid, tag, opened_ms) VALUES (?, ?, ?, ?, ?), (?, ?, ?, ?, 0)",
        (opener, peer, conversation, tag, now_ms, peer, opener, conversation, tag),
    )
    return int(conversation), tag
