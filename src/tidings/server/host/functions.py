"""The answers of the host's functions: asked within a time, and believed only as far as they answer what they should.

A function that fails is no answer (503): neither a yes nor a no. A rule that answers something else than was asked for
is a no, and a line in the log: ``(False, "muted")`` would count as yes.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tidings.errors import Unavailable
from tidings.protocol.user_id import UserId
from tidings.server.store import Report

HOST_CALL_MAX_S = 5.0  # user(), may_send() and people() of the host; slower is a refusal, or ids for names

log = logging.getLogger("tidings.host")

MaySend = Callable[[UserId, UserId], bool | Awaitable[bool]]
"""The host's rule: may this sender write to this recipient?"""

Profile = Mapping[str, str | None]
People = Callable[[list[str]], Mapping[str, Profile] | Awaitable[Mapping[str, Profile]]]
"""The host's names and pictures: ids → ``{"name": ..., "avatar_url": ...}``."""

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


def _no_answer() -> Unavailable:
    return Unavailable("unavailable", "The application could not answer; try again.", retry_after_s=2)
