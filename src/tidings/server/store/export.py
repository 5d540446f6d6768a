"""All that is kept of one person, as lines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from tidings.protocol.encoding import format_time
from tidings.protocol.shapes import Message
from tidings.protocol.user_id import UserId
from tidings.server.store import ConversationSummary
from tidings.server.store.maintenance import Snapshot
from tidings.server.store.rules import Ends

CONVERSATIONS_AT_ONCE = 100
MESSAGES_AT_ONCE = 500
EVENTS_AT_ONCE = 500

Line = dict[str, Any]


def export(snapshot: Snapshot, user: UserId) -> Iterator[Line]:
    """Everything that is kept of a user, as one snapshot: a ``user``, and then by conversation and log.

    Each is ``{"type", "data"}``: ``conversation`` (other party, watermarks, unread), ``message`` in both directions,
    the receipts that the log still holds, under their types of PROTOCOL.md 7.5, whom this user blocks (``block``),
    what this user reported (``report``), how many reports about this user there are (``reported``), messages in this
    user's name that wait in an outbox or were refused (``unsent``), service keys that stand for this user alone
    (``service_key``), name and picture by a token (``profile``), and until when their sign-ins were ended
    (``revocation``). Nothing where nothing is kept.
    """
    ends = snapshot.ends(user)
    if ends is not None:
        exported_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        yield {"type": "user", "data": {"id": user, "events": ends.head, "exported_at": exported_at}}
        for each in _conversations(snapshot, user):
            yield {"type": "conversation", "data": _shown(each)}
            yield from _messages(snapshot, user, each.peer)
        yield from _receipts(snapshot, user, ends)
        yield from _blocks(snapshot, user)
    # What is kept by name, and so also of somebody who was erased, or who never wrote.
    yield from _reports(snapshot, user)
    yield from _unsent(snapshot, user)
    for key in snapshot.service_keys():
        if key.user == user:
            yield {"type": "service_key", "data": {"name": key.name, "created": format_time(key.created_ms)}}
    profile = snapshot.profile(user)
    if profile is not None:
        yield {"type": "profile", "data": {"name": profile.name, "avatar_url": profile.picture}}
    until = snapshot.revoked_until(user)
    if until is not None:
        yield {"type": "revocation", "data": {"until": format_time(int(until * 1000))}}


def _conversations(snapshot: Snapshot, user: UserId) -> Iterator[ConversationSummary]:
    before: int | None = None
    while True:
        page = snapshot.inbox(user, before=before, limit=CONVERSATIONS_AT_ONCE)
        yield from page.conversations
        if not page.has_more:
            return
        before = page.conversations[-1].position


def _shown(summary: ConversationSummary) -> Line:
    return {
        "user_id": summary.peer,
        "messages": summary.last_message.seq,
        "unread": summary.unread,
        "watermarks": msgspec.to_builtins(summary.watermarks),
    }


def _messages(snapshot: Snapshot, user: UserId, peer: UserId) -> Iterator[Line]:
    after = 0
    while True:
        page = snapshot.history(user, peer, before=None, after=after, limit=MESSAGES_AT_ONCE)
        for message in page.messages:
            yield {"type": "message", "data": msgspec.to_builtins(message)}
        if not page.has_more:
            return
        after = page.messages[-1].seq


def _receipts(snapshot: Snapshot, user: UserId, ends: Ends) -> Iterator[Line]:
    position = ends.floor
    while position < ends.head:
        for event in snapshot.read_after(user, position, EVENTS_AT_ONCE):
            position = event.position
            if not isinstance(event.data, Message):
                yield {"type": event.type, "data": msgspec.to_builtins(event.data)}


def _blocks(snapshot: Snapshot, user: UserId) -> Iterator[Line]:
    before: int | None = None
    while True:
        page = snapshot.blocked(user, before=before, limit=CONVERSATIONS_AT_ONCE)
        for each in page.blocked:
            yield {"type": "block", "data": {"user_id": each.peer, "since": each.since}}
        if not page.has_more:
            return
        before = page.blocked[-1].position


def _reports(snapshot: Snapshot, user: UserId) -> Iterator[Line]:
    for report, made_ms in snapshot.reports_by(user):
        data = {"user_id": report.reported, "reason": report.reason, "seq": report.seq, "at": format_time(made_ms)}
        yield {"type": "report", "data": {**data, "messages": msgspec.to_builtins(report.messages)}}
    about = snapshot.reports_about(user)
    if about:  # by whom is not this user's to know
        yield {"type": "reported", "data": {"reports": about}}


def _unsent(snapshot: Snapshot, user: UserId) -> Iterator[Line]:
    for each in snapshot.unsent(user):
        data = {"user_id": each.recipient, "type": each.message_type, "text": each.text, "client_id": each.client_id}
        yield {"type": "unsent", "data": {**data, "at": format_time(each.queued_ms), "why": each.why}}
