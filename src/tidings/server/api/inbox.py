"""``GET /inbox/{me}``: a page of the caller's conversations, with the cursor at which it was read (I4)."""

from __future__ import annotations

from starlette.types import Receive, Scope

from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import Conversation, InboxPage
from tidings.protocol.user_id import UserId
from tidings.server.api.answer import Answer
from tidings.server.api.endpoint import asked_page
from tidings.server.api.people import describe
from tidings.server.node import Node


async def get_inbox(node: Node, scope: Scope, _receive: Receive) -> Answer:
    """A page of the caller's conversations, the latest first."""
    return Answer(200, encode_json(await inbox_page(node, *await asked_page(node, scope))))


async def inbox_page(node: Node, user: UserId, before: int | None, limit: int) -> InboxPage:
    """A page of a user's conversations, as this user sees it."""
    page = await node.store.inbox(user, before=before, limit=limit)
    people = await describe(node, user, {each.peer: each.relation for each in page.conversations})
    conversations = [
        Conversation(
            user=people[each.peer],
            last_message=each.last_message,
            unread=each.unread,
            watermarks=each.watermarks,
            updatedAt=each.last_message.createdAt,
            position=each.position,
            blocked=each.relation.blocks,
        )
        for each in page.conversations
    ]
    return InboxPage(
        user_id=user,
        conversations=conversations,
        has_more=page.has_more,
        cursor=page.cursor,
        unread_total=page.unread_total,
    )
