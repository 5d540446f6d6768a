"""``GET /{chatUserId}``: a page of a conversation, with the cursor at which it was read (I4)."""

from __future__ import annotations

from starlette.types import Receive, Scope

from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import HistoryPage
from tidings.server.api.answer import Answer
from tidings.server.api.people import describe
from tidings.server.api.request import last_segment, read_limit, read_number, read_query, read_user_id
from tidings.server.node import Node

HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX = 50, 200  # messages; two screens, and what one answer may cost


async def get_history(node: Node, scope: Scope, _receive: Receive) -> Answer:
    """A page of the conversation with somebody, oldest first."""
    caller = await node.identity.identify(scope)
    peer = read_user_id(last_segment(scope))
    query = read_query(scope)
    page = await node.store.history(
        caller.user,
        peer,
        before=read_number(query, "before"),
        after=read_number(query, "after"),
        limit=read_limit(query, HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX),
    )
    people = await describe(node, caller.user, {peer: page.relation})
    answer = HistoryPage(
        user_id=caller.user,
        messages=page.messages,
        has_more=page.has_more,
        cursor=page.cursor,
        watermarks=page.watermarks,
        user=people[peer],
        blocked=page.relation.blocks,
    )
    return Answer(200, encode_json(answer))
