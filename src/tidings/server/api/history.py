"""``GET /{chatUserId}`` and ``GET /inbox/{me}``: snapshots, each with the cursor at which it was read (I4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope

from tidings.errors import Problem
from tidings.protocol.events import Person, UserId, encode_json
from tidings.server.api.answer import Answer
from tidings.server.api.request import last_segment, own_log, read_limit, read_number, read_query, read_user_id
from tidings.server.config import HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX, INBOX_PAGE_DEFAULT, INBOX_PAGE_MAX
from tidings.server.host.functions import ask_people, may_write
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
    people = await describe(node, caller.user, {peer: page.relation})
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
    people = await describe(node, caller.user, {each.peer: each.relation for each in page.conversations})
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


async def describe(node: Node, caller: UserId, wanted: Mapping[UserId, Relation]) -> dict[UserId, Person]:
    """What the caller is told of these people; ``wanted`` says what each is to the caller.

    Names and pictures come from the host's ``people``; the id is the name where it knows none, fails, or the caller may
    not know it. Whether somebody is online is told to those who have both written, and neither blocks the other.
    """
    named = [user for user, relation in wanted.items() if await _may_know(node, caller, user, relation)]
    try:
        known = await ask_people(node, named)
    except Problem:
        known = {}  # logged; a screen with ids is better than none
    presence = node.hub.presence
    return {
        user: _person(user, known.get(user), presence.online(user) if presence and relation.is_mutual else None)
        for user, relation in wanted.items()
    }


async def _may_know(node: Node, caller: UserId, user: UserId, relation: Relation) -> bool:
    """A profile belongs to a conversation. Else whoever counts ids gets everybody's name."""
    if relation.is_conversation or user == caller:
        return True
    if node.people is None or not node.config.stranger_profiles:
        return False
    try:
        node.stranger_profile_rate.take(caller)
        return await may_write(node, caller, user)
    except Problem:
        return False


def _person(user: UserId, told: Profile | None, online: bool | None) -> Person:
    name, avatar_url = (None, None) if told is None else (told.get("name"), told.get("avatar_url"))
    return Person(
        user,
        name if isinstance(name, str) and name else user,
        avatar_url if isinstance(avatar_url, str) else None,
        online,
    )
