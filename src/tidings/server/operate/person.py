"""One person's data: all of it as lines, and all of it gone."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from tidings.errors import ConfigurationError
from tidings.protocol.encoding import format_time
from tidings.protocol.user_id import UserId, check_user_id
from tidings.server.config import FORGET_PAUSE_S, FORGET_WAIT_MAX_S, TRIM_PAUSE_S
from tidings.server.operate.database import opened
from tidings.server.store import ConversationSummary
from tidings.server.store.sqlite import history, log, revoke, safety
from tidings.server.store.sqlite.erase import Erasure, is_forgotten, needs_scrub, scrub
from tidings.server.store.sqlite.file import read_epoch, set_pragma, transaction
from tidings.server.store.sqlite.schema import find_user

CONVERSATIONS_AT_ONCE = 100
MESSAGES_AT_ONCE = 500
EVENTS_AT_ONCE = 500


class Erased(NamedTuple):
    """How many messages were emptied and events removed, and what of it is not everywhere gone yet.

    ``was_known`` is false where there was nobody.
    """

    was_known: bool
    messages: int
    events: int
    left: str | None


def export(url: str, user: str) -> Iterator[dict[str, Any]]:
    """Everything that is kept of a user, as one snapshot: a ``user``, and then by conversation and log.

    Each is ``{"type", "data"}``: ``conversation`` (other party, watermarks, unread), ``message`` in both directions,
    the receipts that the log still holds, under their types of PROTOCOL.md 7.5, whom this user blocks (``block``),
    what this user reported (``report``), how many reports about this user there are (``reported``), and until when
    their sign-ins were ended (``revocation``). Nothing where nothing is kept.

    Raises:
        ConfigurationError: The id cannot be one, or the database cannot be used.
    """
    owner = _checked(user)
    with opened(url, query_only=True) as database:
        connection = database.connection
        connection.execute("BEGIN")  # one snapshot, however long the reading takes
        if find_user(connection, owner) is not None:
            epoch = read_epoch(connection)
            place = log.place(connection, epoch, owner, None)
            exported_at = datetime.now(UTC).isoformat(timespec="milliseconds")
            yield {"type": "user", "data": {"id": owner, "events": place.head, "exported_at": exported_at}}
            for each in _conversations(connection, epoch, owner):
                yield {"type": "conversation", "data": _shown(each)}
                yield from _messages(connection, epoch, owner, each.peer)
            yield from _receipts(connection, owner, place.head)
            yield from _blocks(connection, owner)
        # What is kept by name, and so also of somebody who was erased, or who never wrote.
        yield from _reports(connection, owner)
        yield from _revocation(connection, owner)


def erase(url: str, user: str) -> Erased:
    """Empty a user's messages, remove the log and replace the name; nothing where there is nobody of this name.

    A server may run meanwhile. Afterwards no byte of what was removed is in the file or its log: both are written anew,
    for which sends wait. The remains of an erasure that was interrupted are removed, too.

    Raises:
        ConfigurationError: The id cannot be one, or the database cannot be used.
    """
    name = _checked(user)
    with opened(url) as database:
        connection = database.connection
        set_pragma(connection, "secure_delete", 1)
        erasure = Erasure(name)
        while True:
            with transaction(connection):
                is_done = erasure.step(connection)
            if is_done:
                break
            time.sleep(TRIM_PAUSE_S)
        left = None
        if needs_scrub(connection):
            try:
                scrub(connection, os.path.dirname(database.path))
            except sqlite3.OperationalError as failure:
                left = f"copies of what was erased are still in the file, since {failure}; do it again later"
        if database.is_served and not _wait_until_forgotten(connection):
            left = left or "the server may still hand out what it has in memory; restart it"
    return Erased(erasure.was_known, erasure.messages, erasure.events, left)


def _wait_until_forgotten(connection: sqlite3.Connection) -> bool:
    deadline = time.monotonic() + FORGET_WAIT_MAX_S
    while not is_forgotten(connection):
        if time.monotonic() >= deadline:
            return False
        time.sleep(FORGET_PAUSE_S)
    return True


def _checked(user: str) -> UserId:
    try:
        return check_user_id(user)
    except ValueError as wrong:
        raise ConfigurationError(f"--user: {wrong}") from None


def _conversations(connection: sqlite3.Connection, epoch: str, owner: UserId) -> Iterator[ConversationSummary]:
    before: int | None = None
    while True:
        page = history.inbox(connection, epoch, owner, before, CONVERSATIONS_AT_ONCE)
        yield from page.conversations
        if not page.has_more:
            return
        before = page.conversations[-1].position


def _shown(summary: ConversationSummary) -> dict[str, Any]:
    return {
        "user_id": summary.peer,
        "messages": summary.last_message.seq,
        "unread": summary.unread,
        "watermarks": msgspec.to_builtins(summary.watermarks),
    }


def _messages(connection: sqlite3.Connection, epoch: str, owner: UserId, peer: UserId) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        page = history.history(connection, epoch, owner, peer, before=None, after=after, limit=MESSAGES_AT_ONCE)
        for message in page.messages:
            yield {"type": "message", "data": msgspec.to_builtins(message)}
        if not page.has_more:
            return
        after = page.messages[-1].seq


def _receipts(connection: sqlite3.Connection, owner: UserId, head: int) -> Iterator[dict[str, Any]]:
    user = find_user(connection, owner)
    (position,) = connection.execute("SELECT floor FROM users WHERE uid = ?", (user,)).fetchone()
    while position < head:
        for event in log.read_after(connection, owner, position, EVENTS_AT_ONCE):
            position = event.position
            if not hasattr(event.data, "text"):
                yield {"type": event.type, "data": msgspec.to_builtins(event.data)}


def _blocks(connection: sqlite3.Connection, owner: UserId) -> Iterator[dict[str, Any]]:
    before: int | None = None
    while True:
        page = safety.blocked(connection, owner, before, CONVERSATIONS_AT_ONCE)
        for each in page.blocked:
            yield {"type": "block", "data": {"user_id": each.peer, "since": each.since}}
        if not page.has_more:
            return
        before = page.blocked[-1].position


def _reports(connection: sqlite3.Connection, owner: UserId) -> Iterator[dict[str, Any]]:
    rows = connection.execute(
        "SELECT reported, reason, seq, messages, ts FROM reports WHERE reporter = ? ORDER BY id", (owner,)
    )
    for reported, reason, seq, messages, ts in rows:
        data = {"user_id": reported, "reason": reason, "seq": seq, "at": format_time(ts)}
        yield {"type": "report", "data": {**data, "messages": json.loads(messages)}}
    (about,) = connection.execute("SELECT count(*) FROM reports WHERE reported = ?", (owner,)).fetchone()
    if about:  # by whom is not this user's to know
        yield {"type": "reported", "data": {"reports": about}}


def _revocation(connection: sqlite3.Connection, owner: UserId) -> Iterator[dict[str, Any]]:
    until = revoke.revoked_until(connection, owner)
    if until is not None:
        yield {"type": "revocation", "data": {"until": format_time(int(until * 1000))}}
