"""``GET /{chatUserId}``: a page of a conversation, with the cursor at which it was read (I4)."""

from __future__ import annotations

from starlette.types import Receive, Scope

from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import HistoryPage
from tidings.protocol.user_id import UserId
from tidings.server.api.answer import Answer
from tidings.server.api.people import describe
from tidings.server.api.request import last_segment, read_limit, read_number, read_query, read_user_id
from tidings.server.node import Node

HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX = 50, 200  # messages; two screens, and what one answer may cost


async def get_history(node: Node, scope: Scope, _receive: Receive) -> Answer:
    """A page of the conversation with somebody, oldest first."""
    caller = await node.identity.identify(scope)
    return await history_with(node, caller.user, last_segment(scope), read_query(scope))


async def history_with(node: Node, user: UserId, named: str, query: dict[str, str]) -> Answer:
    """A page of the user's conversation with whom a request names."""
    peer = read_user_id(named)
    before, after = read_number(query, "before"), read_number(query, "after")
    limit = read_limit(query, HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX)
    return Answer(200, encode_json(await history_page(node, user, peer, before, after, limit)))


async def history_page(
    node: Node, user: UserId, peer: UserId, before: int | None, after: int | None, limit: int
) -> HistoryPage:
    """A page of a user's conversation with somebody, as this user sees it."""
    page = await node.store.history(user, peer, before=before, after=after, limit=limit)
    people = await describe(node, user, {peer: page.relation})
    return HistoryPage(
        user_id=user,
        messages=page.messages,
        has_more=page.has_more,
        cursor=page.cursor,
        watermarks=page.watermarks,
        user=people[peer],
        blocked=page.relation.blocks,
    )
