"""A caller learns these things of people: name, picture, and whether they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidings.errors import Problem
from tidings.protocol.shapes import Person, ProfileChange
from tidings.protocol.user_id import UserId
from tidings.server.host.functions import Profile, ask_people, may_write
from tidings.server.node import Node
from tidings.server.store import Relation

PEERS_AT_ONCE = 100  # people told of a new name or picture between two reads of the store


async def describe(node: Node, caller: UserId, wanted: Mapping[UserId, Relation]) -> dict[UserId, Person]:
    """Return the description of these people for the caller; ``wanted`` says what each is to the caller.

    Names and pictures come from the host's ``people``, without a host from verified tokens; the id is the name where
    there is none, they fail, or the caller may not know it. Whether somebody is online is told to those who have both
    written, and neither blocks the other.
    """
    named = [user for user, relation in wanted.items() if await _may_know(node, caller, user, relation)]
    try:
        known = await _known(node, named)
    except Problem:
        known = {}  # logged; a screen with ids is better than none
    presence = node.hub.presence
    return {
        user: _person(user, known.get(user), presence.online(user) if presence and relation.is_mutual else None)
        for user, relation in wanted.items()
    }


async def tell_profile(node: Node, user: UserId) -> None:
    """Ask the host for a user's name and picture, and tell everybody who has a conversation with the user, and is here.

    Raises:
        Unavailable: The host, or the database, could not be asked.
    """
    person = _person(user, (await _known(node, [user])).get(user), None)
    change = ProfileChange(user, person.name, person.avatar_url)
    before, has_more = None, True
    while has_more:
        page = await node.store.inbox(user, before=before, limit=PEERS_AT_ONCE)
        for each in page.conversations:
            node.hub.tell_profile(each.peer, change)
        has_more = page.has_more
        before = page.conversations[-1].position if has_more else None


async def _known(node: Node, users: Sequence[UserId]) -> Mapping[UserId, Profile]:
    """The profiles by the host, or without a host by their tokens."""
    if node.profiles is None:
        return await ask_people(node.people, users)
    profiles = await node.profiles.of(users, node.store)
    return {user: {"name": each.name, "avatar_url": each.picture} for user, each in profiles.items()}


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
