"""The answers of the host's functions: asked within a time, and believed only as far as they answer what they should.

A function that fails is no answer (503): neither a yes nor a no. A rule that answers something else than was asked for
is a no, and a line in the log: ``(False, "muted")`` would count as yes. A person that a search finds is shown to
strangers, so what a screen could not take of it is left out.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tidings.errors import Unavailable
from tidings.protocol.shapes import FoundPerson
from tidings.protocol.user_id import UserId, check_user_id
from tidings.server.store import Report

HOST_CALL_MAX_S = 5.0  # user(), may_send() and people() of the host; slower is a refusal, or ids for names
PEOPLE_FOUND_MAX = 20  # of one search: a list to choose from; who is not in it has a longer text, and nobody lists all
FOUND_TEXT_LENGTH_MAX = 200  # characters of a name or of ``about``: a line of a list
AVATAR_URL_LENGTH_MAX = 2048  # characters; signed addresses of picture stores have several hundred

_AVATAR_URL = re.compile(r"(?:https://|/(?![/\\]))[^\x00-\x20\x7f\\]*", re.IGNORECASE)

log = logging.getLogger("tidings.host")

MaySend = Callable[[UserId, UserId], bool | Awaitable[bool]]
"""The host's rule: may this sender write to this recipient?"""

Profile = Mapping[str, str | None]
People = Callable[[list[str]], Mapping[str, Profile] | Awaitable[Mapping[str, Profile]]]
"""The host's names and pictures: ids → ``{"name": ..., "avatar_url": ...}``."""

SearchPeople = Callable[[UserId, str], Sequence[Profile] | Awaitable[Sequence[Profile]]]
"""The host's search: for this user, people by this text, each with ``id``, ``name``, ``avatar_url`` and ``about``."""

TakeReport = Callable[[Report], Awaitable[None] | None]
"""The host's taker of reports; what it raises is answered 503, and the reporter may try again."""


async def call_host(name: str, function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function of the host, sync or async, within HOST_CALL_MAX_S.

    Raises:
        Unavailable: It failed or took too long; the traceback is in the log.
    """
    try:
        result = function(*arguments)
        if inspect.isawaitable(result):
            async with asyncio.timeout(HOST_CALL_MAX_S):
                result = await result
    except (Exception, asyncio.CancelledError) as failure:
        task = asyncio.current_task()
        if isinstance(failure, asyncio.CancelledError) and task is not None and task.cancelling():
            raise  # it is us who are to stop, and not something that the function waited for
        log.exception("%s of the host application failed", name)
        raise _no_answer() from None
    return result


async def may_write(may_send: MaySend | None, sender: UserId, recipient: UserId) -> bool:
    """Whether ``may_send`` lets the one write to the other; without one everybody may.

    Raises:
        Unavailable: It could not be asked.
    """
    if may_send is None:
        return True
    told = await call_host("may_send()", may_send, sender, recipient)
    if not isinstance(told, bool):
        log.error("may_send() of the host application answered a %s, not True or False: a no", type(told).__name__)
    return told is True


async def ask_people(people: People | None, wanted: Sequence[UserId]) -> dict[UserId, Profile]:
    """The profiles of those of them whom ``people`` knows.

    Raises:
        Unavailable: It could not be asked.
    """
    if people is None or not wanted:
        return {}
    told = await call_host("people()", people, list(wanted))
    if told is None:
        return {}
    if not isinstance(told, Mapping):
        log.error("people() of the host application answered a %s, not a dict by id", type(told).__name__)
        raise _no_answer()
    return {user: profile for user in wanted if isinstance(profile := told.get(user), Mapping)}


async def find_people(search_people: SearchPeople, user: UserId, text: str) -> list[FoundPerson]:
    """The people whom the host finds for a user by this text: at most PEOPLE_FOUND_MAX, each once, without the user.

    Raises:
        Unavailable: It could not be asked.
    """
    told = await call_host("search_people()", search_people, user, text)
    if told is None:
        return []
    if not isinstance(told, Sequence) or isinstance(told, str | bytes):
        log.error("search_people() of the host application answered a %s, not a list", type(told).__name__)
        raise _no_answer()
    found: dict[str, FoundPerson] = {}
    odd: list[str] = []
    for each in told:
        if len(found) == PEOPLE_FOUND_MAX:
            break
        try:
            person = _found(each, odd)
        except ValueError as wrong:
            odd.append(str(wrong))
        else:
            if person.id != user:
                found.setdefault(person.id, person)
    if odd:
        log.error("search_people() of the host application: left out %d times: %s", len(odd), odd[0])
    return list(found.values())


def _found(told: object, odd: list[str]) -> FoundPerson:
    """A person as a screen can take it; ``odd`` gets why something of it was left out.

    Raises:
        ValueError: There is nobody to be written to, or without a name.
    """
    if not isinstance(told, Mapping):
        raise ValueError(f"a person is a dict, not a {type(told).__name__}")  # noqa: TRY004  # as all that is odd
    user = told.get("id")
    if not isinstance(user, str):
        raise ValueError(f"an id is a text, not a {type(user).__name__}")  # noqa: TRY004
    user = check_user_id(user)
    name, avatar_url, about = told.get("name"), told.get("avatar_url"), told.get("about")
    if name is not None and not _is_line(name):
        raise ValueError(f"a name is a text of 1 to {FOUND_TEXT_LENGTH_MAX} characters without control characters")
    if avatar_url is not None and not _is_picture(avatar_url):
        odd.append("an avatar_url begins with https:// or with the / of a path of this host")
        avatar_url = None
    if about is not None and not _is_line(about):
        odd.append(f"about is a text of 1 to {FOUND_TEXT_LENGTH_MAX} characters without control characters")
        about = None
    return FoundPerson(user, name or user, avatar_url, about)


def _is_line(text: object) -> bool:
    return (
        isinstance(text, str)
        and 0 < len(text.strip()) <= len(text) <= FOUND_TEXT_LENGTH_MAX
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
    )


def _is_picture(url: object) -> bool:
    return isinstance(url, str) and len(url) <= AVATAR_URL_LENGTH_MAX and _AVATAR_URL.fullmatch(url) is not None


def _no_answer() -> Unavailable:
    return Unavailable("unavailable", "The application could not answer; try again.", retry_after_s=2)
