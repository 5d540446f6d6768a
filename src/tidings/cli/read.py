"""``inbox`` and ``history``: a user's messages that are there."""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tidings.cli import credentials
from tidings.cli.arguments import Parser, count, person
from tidings.cli.line import as_json, line
from tidings.cli.outcome import DONE, note
from tidings.terminal_text import harmless

if TYPE_CHECKING:
    from tidings.client import Client
    from tidings.protocol.shapes import Conversation, InboxPage, Message

DEADLINE_S = 15.0  # somebody waits at a shell, and can ask again
CONVERSATIONS_AT_ONCE, MESSAGES_AT_ONCE = 100, 200  # the longest pages that a server gives


def add(command: Callable[..., Parser]) -> None:
    """Add these commands."""
    reads = f"Reads TIDINGS_URL. {credentials.HELP} A program with a service key has TIDINGS_KEY and TIDINGS_USER."
    inbox = command("inbox", _inbox, "print conversations, the latest first, with what is unread", reads)
    inbox.add_argument("--limit", metavar="N", type=count, default=30, help="at most so many (default: %(default)s)")

    history = command("history", _history, "print the last messages of a conversation, oldest first", reads)
    history.add_argument("peer", metavar="PEER", type=person, help="user id of the other person")
    history.add_argument("--limit", metavar="N", type=count, default=50, help="at most so many (default: %(default)s)")
    history.add_argument("--before", metavar="SEQ", type=count, help="only those before the message of this number")
    for each in (inbox, history):
        each.add_argument("--json", action="store_true", help="print one JSON object a line")
        credentials.add_with_keys(each)


class Last(NamedTuple):
    """The last messages of all conversations of a user, the oldest first, and the cursor from which events go on."""

    messages: list[Message]
    cursor: str
    user_id: str


def last_messages(client: Client, wanted: int) -> Last:
    """Read so many, or all there are."""
    conversations, first, _ = _conversations(client, wanted)
    latest = heapq.merge(
        *(_backwards(client, each, wanted) for each in conversations),  # a page is fetched when it is their turn
        key=lambda message: (message.createdAt, message.seq),
        reverse=True,
    )
    return Last(list(islice(latest, wanted))[::-1], first.cursor, first.user_id)


def _inbox(options: argparse.Namespace) -> int:
    from tidings.client import Client

    with credentials.open_client(Client, options, deadline_s=DEADLINE_S) as client:
        conversations, first, has_more = _conversations(client, options.limit)
    for each in conversations:
        print(as_json(each) if options.json else _summary(each, first.user_id))
    if has_more:
        note(f"there are more conversations: --limit {2 * options.limit}")
    elif not conversations:
        note("there are no conversations")
    return DONE


def _history(options: argparse.Namespace) -> int:
    from tidings.client import Client

    messages: list[Message] = []
    before, has_more = options.before, True
    with credentials.open_client(Client, options, deadline_s=DEADLINE_S) as client:
        while has_more and len(messages) < options.limit:
            limit = min(MESSAGES_AT_ONCE, options.limit - len(messages))
            page = client.history(options.peer, before=before, limit=limit)
            messages, has_more = [*page.messages, *messages], page.has_more and bool(page.messages)
            before = messages[0].seq if messages else before
    for message in messages:
        print(as_json(message) if options.json else line(message, page.user_id))
    if has_more:
        note(f"there are older messages: --before {before}")
    elif not messages:
        note(f"there are no messages with {options.peer}" + (f" before {before}" if before else ""))
    return DONE


def _conversations(client: Client, wanted: int) -> tuple[list[Conversation], InboxPage, bool]:
    """The latest conversations, the first page of them, and whether there are more."""
    first = page = client.inbox(limit=min(wanted, CONVERSATIONS_AT_ONCE))
    conversations = list(page.conversations)
    while page.has_more and page.conversations and len(conversations) < wanted:
        limit = min(wanted - len(conversations), CONVERSATIONS_AT_ONCE)
        page = client.inbox(before=conversations[-1].position, limit=limit)
        conversations += page.conversations
    return conversations, first, page.has_more


def _backwards(client: Client, conversation: Conversation, wanted: int) -> Iterator[Message]:
    """The messages of a conversation up to the last one of the inbox, the latest first; fetched as they are needed."""
    message = conversation.last_message
    has_more = message is not None
    if message is not None:
        yield message
    while has_more and message is not None and message.seq > 1:
        page = client.history(conversation.user.id, before=message.seq, limit=min(MESSAGES_AT_ONCE, wanted))
        has_more = page.has_more
        for message in reversed(page.messages):
            yield message


def _summary(conversation: Conversation, me: str) -> str:
    """One line: with whom, how much is unread, and the last message."""
    user, last = conversation.user, conversation.last_message
    who = harmless(user.id) + (f" ({harmless(user.name)})" if user.name != user.id else "")
    unread = f", {conversation.unread} unread" if conversation.unread else ""
    blocked = ", blocked" if conversation.blocked else ""
    return f"{who}{unread}{blocked}" + (f": {line(last, me)}" if last else "")
