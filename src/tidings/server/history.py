"""``GET /{chatUserId}`` and ``GET /inbox/{me}``: snapshots, each with the cursor at which it was read (I4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope

from tidings.errors import Problem
from tidings.protocol.events import Person, UserId, encode_json
from tidings.server.answer import Answer
from tidings.server.auth import call_host
from tidings.server.config import HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX, INBOX_PAGE_DEFAULT, INBOX_PAGE_MAX
from tidings.server.request import last_segment, own_log, read_limit, read_number, read_query, read_user_id
from tidings.server.store import Relation

if TYPE_CHECKING:
    from tidings.server.node import Node, Profile


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
    people = await describe(node, [peer], [page.relation])
    return Answer(
        200,
        encode_json(
            {
                "success": True,
                "user_id": caller.user,
                "messages": page.messages,
                "has_more": page.has_more,
                "cursor": page.cursor,
                "watermarks": page.watermarks,
                "user": people[peer],
                "blocked": page.relation.blocks,
            }
        ),
    )


async def get_inbox(node: Node, scope: Scope, _receive: Receive) -> Answer:
    """A page of the caller's conversations, the latest first."""
    caller = await node.identity.identify(scope)
    own_log(scope, caller.user)
    query = read_query(scope)
    page = await node.store.inbox(
        caller.user,
        before=read_number(query, "before"),
        limit=read_limit(query, INBOX_PAGE_DEFAULT, INBOX_PAGE_MAX),
    )
    people = await describe(
        node, [each.peer for each in page.conversations], [each.relation for each in page.conversations]
    )
    conversations = [
        {
            "user": people[each.peer],
            "last_message": each.last_message,
            "unread": each.unread,
            "watermarks": each.watermarks,
            "updatedAt": each.last_message.createdAt,
            "position": each.position,
            "blocked": each.relation.blocks,
        }
        for each in page.conversations
    ]
    return Answer(
        200,
        encode_json(
            {
                "success": True,
                "user_id": caller.user,
                "conversations": conversations,
                "has_more": page.has_more,
                "cursor": page.cursor,
                "unread_total": page.unread_total,
            }
        ),
    )


async def describe(node: Node, wanted: Sequence[UserId], relations: Sequence[Relation] = ()) -> dict[UserId, Person]:
    """Names and pictures from the host's ``people``, the id where it knows none or fails; and who is online.

    ``relations`` of the caller to each of them, in the same order, tell of whom the caller may know that.
    """
    known: Mapping[UserId, Profile] = {}
    if node.people is not None and wanted:
        try:
            known = await call_host("people()", node.people, wanted) or {}
        except Problem:
            known = {}  # logged; a screen with ids is better than none
    presence = node.hub.presence
    online: dict[UserId, bool | None] = {}
    if presence is not None:
        online = {user: presence.online(user) for user, each in zip(wanted, relations, strict=False) if each.is_mutual}
    return {user: _person(user, known.get(user), online.get(user)) for user in wanted}


def _person(user: UserId, told: object, online: bool | None) -> Person:
    if not isinstance(told, dict):
        return Person(user, user, online=online)
    name, avatar_url = told.get("name"), told.get("avatar_url")
    return Person(
        user,
        name if isinstance(name, str) and name else user,
        avatar_url if isinstance(avatar_url, str) else None,
        online,
    )
