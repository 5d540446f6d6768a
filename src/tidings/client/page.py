"""The server's answers on request: pages of the inbox and of a conversation."""

from __future__ import annotations

import msgspec

from tidings.protocol.shapes import Message, Person, Watermarks


class HistoryPage(msgspec.Struct, frozen=True):
    """Messages of one conversation, oldest first, with the cursor at which they were read."""

    messages: list[Message]
    has_more: bool
    cursor: str
    watermarks: Watermarks
    user: Person
    blocked: bool = False  # by the caller


class Conversation(msgspec.Struct, frozen=True):
    """One line of the inbox; ``user`` is the other side, ``position`` what ``inbox(before=...)`` takes."""

    user: Person
    last_message: Message | None
    unread: int
    watermarks: Watermarks
    updatedAt: str
    position: int
    blocked: bool = False  # by the caller


class InboxPage(msgspec.Struct, frozen=True):
    """Conversations, the latest first, with the cursor at which they were read."""

    conversations: list[Conversation]
    has_more: bool
    cursor: str
    unread_total: int = 0  # over all conversations


class Blocked(msgspec.Struct, frozen=True):
    """Somebody whom the caller blocks; ``since`` is a time, ``position`` what ``blocked(before=...)`` takes."""

    user: Person
    since: str
    position: int


class BlockedPage(msgspec.Struct, frozen=True):
    """Those whom the caller blocks, the latest first."""

    blocked: list[Blocked]
    has_more: bool
