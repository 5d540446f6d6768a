"""From rows to shapes: what a database holds becomes what people see, the same for every store.

A store names the columns of its rows in the order that stands here. Times are milliseconds since 1970. ``other`` is
the side of a conversation that the owner of the log, or whoever asks, is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from tidings.protocol.cursor import format_cursor, tag_of
from tidings.protocol.encoding import format_time
from tidings.protocol.events import (
    KIND_DELIVERED,
    KIND_MESSAGE,
    KIND_READ_BY_OWNER,
    KIND_READ_BY_PEER,
    NEW_MESSAGE,
    TYPE_OF_KIND,
    LogEvent,
)
from tidings.protocol.shapes import Message, MessageId, Receipt, Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.config import PAGE_SIZE_MAX_BYTES
from tidings.server.store import (
    Appended,
    Blocked,
    BlockedPage,
    Committed,
    ConversationSummary,
    HistoryPage,
    InboxPage,
    NewMessage,
    Relation,
)
from tidings.server.store.rules import Ends


def message_id(tag: int, seq: int) -> MessageId:
    """The opaque id on the wire; ``tag`` is the conversation's, drawn, since a counter would tell how many there are.

    A conversation from before tags were drawn has its number for one.
    """
    return MessageId(f"m{tag:x}{seq:06x}")


def head_cursor(epoch: str, ends: Ends) -> str:
    """The cursor of a reader that has all there is."""
    return format_cursor(epoch, ends.head, ends.head_tag)


def seen(
    owner: UserId,
    other: UserId,
    watermarks: Watermarks,
    tag: int,
    seq: int,
    is_own: bool,
    client_id: str | None,
    message_type: str,
    sent_ms: int,
    body: str,
) -> Message:
    """A message as one side sees it under these watermarks."""
    delivered_upto = watermarks.peer_delivered_upto if is_own else watermarks.delivered_upto
    read_upto = watermarks.peer_read_upto if is_own else watermarks.read_upto
    return Message(
        id=message_id(tag, seq),
        seq=seq,
        sender_id=owner if is_own else other,
        recipient_id=other if is_own else owner,
        text=body,
        message_type=message_type,
        sent=True,
        delivered=seq <= delivered_upto,
        read=seq <= read_upto,
        createdAt=format_time(sent_ms),
        client_id=client_id if is_own else None,
    )


def receipt(owner: UserId, other: UserId, kind: int, upto: int, position: int, at_ms: int) -> LogEvent:
    """A receipt in the owner's log."""
    by = owner if kind == KIND_READ_BY_OWNER else other
    data = Receipt(chat_user_id=other, by=by, upto=upto, at=format_time(at_ms))
    return LogEvent(position, tag_of(at_ms), data, TYPE_OF_KIND[kind])


def receipts(
    positions: Iterable[tuple[UserId, int]], other: UserId, kind: int, upto: int, at_ms: int
) -> list[Committed]:
    """Return a receipt at these positions of the logs that it entered; each names the conversation by ``other``."""
    return [Committed(user, receipt(user, other, kind, upto, position, at_ms)) for user, position in positions]


def appended(
    new: NewMessage, tag: int, seq: int, at_ms: int, positions: Iterable[tuple[UserId, int]]
) -> tuple[Appended, list[Committed]]:
    """Return the answer to the sender of a new message, and its event at these positions of the logs."""
    created_at = format_time(at_ms)

    def shown(client_id: str | None) -> Message:
        return Message(
            id=message_id(tag, seq),
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

    own, event_tag = shown(new.client_id), tag_of(at_ms)
    events = [
        Committed(user, LogEvent(position, event_tag, own if user == new.sender else shown(None), NEW_MESSAGE))
        for user, position in positions
    ]
    return Appended(own, is_new=True), events


def _message_event(owner: UserId, row: Sequence[Any]) -> LogEvent:
    position, _kind, seq, at_ms, other, tag, is_own, client_id, message_type, sent_ms, body, *marks = row
    message = seen(owner, other, Watermarks(*marks), tag, seq, bool(is_own), client_id, message_type, sent_ms, body)
    return LogEvent(position, tag_of(at_ms), message, NEW_MESSAGE)


def _receipt_event(owner: UserId, row: Sequence[Any]) -> LogEvent:
    position, kind, upto, at_ms, other, *_of_a_message = row
    return receipt(owner, other, kind, upto, position, at_ms)


_BUILDERS: dict[int, Callable[[UserId, Sequence[Any]], LogEvent]] = {
    KIND_MESSAGE: _message_event,
    KIND_DELIVERED: _receipt_event,
    KIND_READ_BY_PEER: _receipt_event,
    KIND_READ_BY_OWNER: _receipt_event,
}
BUILDER_OF_KIND: Final = {kind: _BUILDERS[kind] for kind in TYPE_OF_KIND}  # a kind without a builder fails right here
_BODY = 10  # of a row: the text of a message


def log_events(owner: UserId, rows: Iterable[Sequence[Any]], size_max_bytes: int) -> list[LogEvent]:
    """A page of a log, about ``size_max_bytes`` of text; the builder of its kind makes the event of each row.

    Of rows: position, kind, seq, when it entered the log, other side; of a message tag, is it own, client_id, type,
    when it was sent, text; the watermarks.
    """
    events: list[LogEvent] = []
    size = 0
    for row in rows:
        events.append(BUILDER_OF_KIND[row[1]](owner, row))
        size += len(row[_BODY] or "")
        if size >= size_max_bytes:
            break
    return events


def history_page(
    owner: UserId,
    other: UserId,
    empty: HistoryPage,
    tag: int,
    rows: Iterable[Sequence[Any]],
    limit: int,
    *,
    is_newest_first: bool,
) -> HistoryPage:
    """A page of a conversation, as ``empty`` but for its messages; of one row more than ``limit``, if there is.

    Of rows: seq, is it own, client_id, type, when it was sent, text.
    """
    messages: list[Message] = []
    size, has_more = 0, False
    for seq, is_own, *rest in rows:
        if len(messages) == limit or size >= PAGE_SIZE_MAX_BYTES:
            has_more = True
            break
        messages.append(seen(owner, other, empty.watermarks, tag, seq, bool(is_own), *rest))
        size += len(messages[-1].text)
    if is_newest_first:
        messages.reverse()
    return empty._replace(messages=messages, has_more=has_more)


def inbox_page(owner: UserId, rows: Sequence[Sequence[Any]], limit: int, cursor: str, unread_total: int) -> InboxPage:
    """A page of conversations, of one row more than ``limit``, if there is.

    Of rows: other side, position of the last message, messages received, of those read, messages sent, whether the
    owner blocks and is blocked; the watermarks; of the last message tag, seq, is it own, client_id, type, when it was
    sent, text.
    """
    summaries = []
    for other, position, received, read, sent, blocks, is_blocked, *rest in rows[:limit]:
        watermarks = Watermarks(*rest[:4])
        tag, seq, is_own, *content = rest[4:]
        last_message = seen(owner, other, watermarks, tag, seq, bool(is_own), *content)
        unread = 0 if blocks else received - read
        told = Relation(sent > 0, received > 0, bool(blocks), bool(is_blocked))
        summaries.append(ConversationSummary(other, last_message, unread, watermarks, position, told))
    return InboxPage(summaries, len(rows) > limit, cursor, unread_total)


def blocked_page(rows: Sequence[tuple[UserId, int, int, Relation]], limit: int) -> BlockedPage:
    """A page of blocks, of one row more than ``limit``, if there is: who, when, position, relation."""
    page = [Blocked(peer, format_time(since_ms), position, told) for peer, since_ms, position, told in rows[:limit]]
    return BlockedPage(page, len(rows) > limit)
