"""Older messages go into the database, beside a server or without one: what is decided alike for every database.

Rules
1. Nothing that is there changes: a message is added behind the last one of its conversation, in the order of time, with
   its own time. One that would have to go before a message that is there is refused, with all others.
2. A message that is there already, with the same sender, time and text, is not added: an import that was interrupted is
   done again, and adds the rest.
3. Everything is checked before the first write. The writes are slices, each one whole transaction, between which a
   server's writes have their turn.
4. A log is not news of the past: the events of these people's logs go, as retention removes them, up to one at the
   head. So a reader is told ``reset`` (``expired``) and loads what there is; the invariants are those of retention.
5. In the end the conversations of each of these people are in the order of their last messages.
6. Both sides have read what was imported, where they had read all that was there; ``keeps_unread``: as far as its lines
   say so.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import BinaryIO, Final, NamedTuple, Protocol

from tidings.errors import ConfigurationError
from tidings.protocol.encoding import format_time
from tidings.protocol.user_id import UserId
from tidings.server.store import NewMessage
from tidings.server.store.import_lines import Conversation, Older, read_lines
from tidings.server.store.limits import TRIM_PAUSE_S
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, digest

SLICE_MESSAGES: Final = 500  # in one transaction: some milliseconds that a send may wait
SLICE_CONVERSATIONS: Final = 50


class Side(NamedTuple):
    """One side of a conversation, as the rows of ``members`` have it."""

    last_seq: int = 0
    received: int = 0
    received_read: int = 0
    read_seq: int = 0
    delivered_seq: int = 0
    told_read: int = 0
    told_delivered: int = 0


class Known(NamedTuple):
    """A message that a conversation has."""

    sender: UserId
    sent_ms: int
    text: str


class Added(NamedTuple):
    """A message and its numbers in the conversation."""

    message: Older
    seq: int
    nth: int
    digest: bytes | None


class Imported(NamedTuple):
    """So many messages of so many conversations were added, and so many had been there."""

    messages: int
    conversations: int
    present: int


class Importer(Protocol):
    """A database into which messages are imported; each call is one transaction."""

    def known(self, one: UserId, other: UserId) -> list[Known]:
        """The messages of a conversation, the oldest first."""

    def holder(self, sender: UserId, ids: Sequence[str]) -> set[str]:
        """Those of these ids under which the sender has a message."""

    def add(self, slices: Sequence[Conversation], *, keeps_unread: bool) -> None:
        """Add these behind the last messages of their conversations, by ``grown``, and cut the logs of their people.

        Raises:
            ConfigurationError: One of them would have to go before a message that came meanwhile.
        """

    def arrange(self, user: UserId) -> bool:
        """Put a user's conversations into the order of their last messages; whether they were not."""

    def tell(self) -> None:
        """Have servers look at their logs at once."""


def import_messages(importer: Importer, file: BinaryIO, *, keeps_unread: bool, dry_run: bool = False) -> Imported:
    """Import the lines of a file; with ``dry_run`` only count.

    Raises:
        ConfigurationError: A line cannot be imported; nothing was, unless the text says so.
    """
    with read_lines(file) as lines:
        added = conversations = present = 0
        for each in lines.conversations():
            missing = _missing(importer, each)
            present += len(each.messages) - len(missing)
            added += len(missing)
            conversations += bool(missing)
        if dry_run:
            return Imported(added, conversations, present)
        if added:
            for some in _slices(_missing_in(importer, lines.conversations())):
                importer.add(some, keeps_unread=keeps_unread)
                time.sleep(TRIM_PAUSE_S)
        # Also after a run that was interrupted right before.
        was_arranged = [importer.arrange(user) for user in lines.users()]
        if added or any(was_arranged):
            importer.tell()
        return Imported(added, conversations, present)


def grown(
    sides: dict[UserId, Side], new: Sequence[Older], *, keeps_unread: bool
) -> tuple[list[Added], dict[UserId, Side]]:
    """The numbers of messages that come behind those of a conversation, and both sides afterwards."""
    (seq,) = {side.last_seq for side in sides.values()}
    received = {user: side.received for user, side in sides.items()}
    after = dict(sides)
    # Whoever has not read all that is there has not read what comes behind it.
    reads = {user for user, side in sides.items() if side.received_read == side.received}
    receives = {user for user, side in sides.items() if user in reads or side.delivered_seq == seq}
    added = []
    for message in new:
        seq += 1
        received[message.recipient] += 1
        added.append(Added(message, seq, seq - received[message.sender], _digest(message)))
        if keeps_unread and not message.is_read:
            reads.discard(message.recipient)
        if keeps_unread and not message.is_delivered:
            receives.discard(message.recipient)
        for user in reads:
            after[user] = after[user]._replace(read_seq=seq, received_read=received[user])
        for user in reads | receives:
            after[user] = after[user]._replace(delivered_seq=seq)
    for user, side in after.items():
        side = side._replace(last_seq=seq, received=received[user])
        if seq > received[user]:  # the other side is told of somebody who has written to it
            side = side._replace(told_read=side.read_seq, told_delivered=side.delivered_seq)
        after[user] = side
    return added, after


def check_behind(last_ms: int, last_seq: int, slice: Conversation) -> None:
    """Check that messages may be added behind the last one of their conversation.

    Raises:
        ConfigurationError: They may not.
    """
    first = slice.messages[0]
    who = f"{slice.one} and {slice.other}"
    if first.sent_ms < last_ms:
        raise ConfigurationError(
            f"line {first.line}: {who} have a message of {format_time(last_ms)} here, and what is imported cannot go"
            " before it; import the messages of before while nobody writes"
        )
    if last_seq + len(slice.messages) > CONVERSATION_SEQ_MAX:
        raise ConfigurationError(f"line {first.line}: the conversation of {who} would have too many messages")


def is_in_order(positions: Iterable[int]) -> bool:
    """Whether conversations, the one with the oldest last message first, are at rising positions."""
    return all(before < after for before, after in pairwise(positions))


def _missing_in(importer: Importer, conversations: Iterator[Conversation]) -> Iterator[Conversation]:
    for each in conversations:
        yield each._replace(messages=_missing(importer, each))


def _missing(importer: Importer, conversation: Conversation) -> list[Older]:
    """The messages that are to be added.

    Raises:
        ConfigurationError: One of them cannot be.
    """
    one, other, messages = conversation
    known = importer.known(one, other)
    left = Counter(known)
    missing = []
    for message in messages:
        key = Known(message.sender, message.sent_ms, message.text)
        if left[key]:
            left[key] -= 1
        else:
            missing.append(message)
    if missing:
        last_ms = max((each.sent_ms for each in known), default=0)
        check_behind(last_ms, len(known), Conversation(one, other, missing))
        _check_ids(importer, missing)
    return missing


def _check_ids(importer: Importer, messages: Sequence[Older]) -> None:
    for sender in {message.sender for message in messages}:
        named = {message.id: message.line for message in messages if message.sender == sender and message.id}
        for id in importer.holder(sender, list(named)):
            raise ConfigurationError(
                f"line {named[id]}: {sender} has another message with the id {id!r} here; nothing was imported"
            )


def _slices(conversations: Iterator[Conversation]) -> Iterator[list[Conversation]]:
    """Parts of conversations, of some messages at once."""
    slices: list[Conversation] = []
    size = 0
    for each in conversations:
        for start in range(0, len(each.messages), SLICE_MESSAGES):
            some = each._replace(messages=each.messages[start : start + SLICE_MESSAGES])
            if slices and (size + len(some.messages) > SLICE_MESSAGES or len(slices) >= SLICE_CONVERSATIONS):
                yield slices
                slices, size = [], 0
            slices.append(some)
            size += len(some.messages)
    if slices:
        yield slices


def _digest(message: Older) -> bytes | None:
    if message.id is None:
        return None
    content = (message.sender, message.recipient, message.text, message.message_type, message.id)
    return digest(NewMessage(*content, opening_limit_per_h=None))
