"""Ending the streams of one user that are replaced, since another needs the place, or whose tokens were revoked; and
those that a service key opened which was revoked.

Other endings stand elsewhere: a drain and an erased log in ``hub.py`` (``Hub.drain``, ``UserLog.begin_anew``), and
``max_age``, an expired token and a reader that takes nothing in ``stream.py``.

A stream that ends keeps its place until the connection is gone: else readers that take nothing would hold more than
the cap, and others would find the node full. One that does not take its goodbye is cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tidings.errors import Unavailable
from tidings.protocol.user_id import UserId
from tidings.server.live.hub import Hub, LogStream, UserLog
from tidings.server.live.stream import ENDED, GOODBYE_RETRY_MS, Stream

REVOKE_GOODBYE_MAX_S = 0.5  # a stream that has not taken its goodbye by then is cut: revoked means within a second
REPLACED_GOODBYE_MAX_S = 0.5  # likewise one whose place another stream of its user waits for
PLACE_WAIT_MAX_S = 5.0  # for such a place; a server that does not let go of what we cut is somebody else's
REPLACED_RETRY_MS = (30_000, 45_000)  # two tabs that replace each other must not chase each other


async def make_room(hub: Hub, user_log: UserLog, tab: str | None) -> None:
    """End the predecessor of the same tab, and the oldest streams beyond the user's cap; return when there is a place.

    Raises:
        Unavailable: None came free, although all that could give way were cut.
    """
    if tab is not None:
        replace(hub, [stream for stream in user_log.streams if stream.tab == tab])
    user_log.newcomers += 1
    try:
        async with asyncio.timeout(PLACE_WAIT_MAX_S):
            while len(user_log.streams) >= hub.config.streams_per_user_max:
                staying = [stream for stream in user_log.streams if not stream.is_ending]
                replace(hub, staying[: max(0, len(staying) + user_log.newcomers - hub.config.streams_per_user_max)])
                ending = [stream for stream in user_log.streams if stream.is_ending]
                try:
                    async with asyncio.timeout(REPLACED_GOODBYE_MAX_S):
                        await user_log.vacancy()
                except TimeoutError:
                    for stream in ending:
                        stream.abort("slow_consumer")
    except TimeoutError:
        raise no_room(hub) from None
    finally:
        user_log.newcomers -= 1


def replace(hub: Hub, streams: Sequence[LogStream]) -> None:
    """End streams in whose place another came, or needs to."""
    for stream in streams:
        stream.end("replaced", hub.rng.randint(*REPLACED_RETRY_MS))


async def end_streams(hub: Hub, user: UserId) -> int:
    """End the user's streams within a second, and let waiting polls answer; how many streams."""
    user_log = hub.find(user)
    if user_log is None:
        return 0
    return await _end(hub, [user_log], user_log.streams)


async def end_streams_of_keys(hub: Hub, digests: set[bytes]) -> None:
    """Likewise those that these service keys opened; polls of others answer early."""
    logs = hub.logs()
    await _end(
        hub, logs, [each for log in logs for each in log.streams if isinstance(each, Stream) and each.key in digests]
    )


async def _end(hub: Hub, logs: Sequence[UserLog], streams: Sequence[LogStream]) -> int:
    streams = [stream for stream in streams if stream.state is not ENDED]
    for stream in streams:
        stream.end("token_expired", hub.rng.randint(*GOODBYE_RETRY_MS))
    for each in logs:
        each.wake_waiters()
    if any(stream.state is not ENDED for stream in streams):
        await asyncio.sleep(REVOKE_GOODBYE_MAX_S)
        for stream in streams:
            if stream.state is not ENDED:
                stream.abort("slow_consumer")
    return len(streams)


def no_room(hub: Hub) -> Unavailable:
    """The refusal of a stream for which there is no place."""
    return Unavailable(
        "too_many_streams", "This server has no room for another stream.", retry_after_s=hub.rng.randint(5, 15)
    )
