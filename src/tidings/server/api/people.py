"""A caller learns these things of people: name, picture, and whether they are there."""

from __future__ import annotations

from collections.abc import Mapping

from tidings.errors import Problem
from tidings.protocol.shapes import Person
from tidings.protocol.user_id import UserId
from tidings.server.host.functions import Profile, ask_people, may_write
from tidings.server.node import Node
from tidings.server.store import Relation


async def describe(node: Node, caller: UserId, wanted: Mapping[UserId, Relation]) -> dict[UserId, Person]:
    """Return the description of these people for the caller; ``wanted`` says what each is to the caller.

    Names and pictures come from the host's ``people``; the id is the name where it knows none, fails, or the caller may
    not know it. Whether somebody is online is told to those who have both written, and neither blocks the other.
    """
    named = [user for user, relation in wanted.items() if await _may_know(node, caller, user, relation)]
    try:
        known = await ask_people(node.people, named)
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
        node.rates.stranger_profiles.take(caller)
        return await may_write(node.may_send, caller, user)
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
