"""Names and pictures by tokens, where no host's ``people`` tells them: kept in the database, for all nodes.

Rules of this file:

- A request does not wait: the token of a caller is noted in memory, and kept a moment later.
- The last token counts. One that says nothing takes nothing away: a provider has several kinds of tokens.
- A profile that is kept already is not written again, however many tokens say it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import islice
from typing import Final

from tidings.errors import Unavailable
from tidings.protocol.user_id import UserId
from tidings.server.store import Store, TokenProfile

NOTED_MAX: Final = 10_000  # users whose tokens came since the database last took any; beyond, the oldest is forgotten
KEPT_AT_ONCE: Final = 200  # looked up by one read
TROUBLE_PAUSE_S: Final = 5.0  # while the database takes nothing

log = logging.getLogger("tidings.profiles")


class Profiles:
    """Names and pictures of users, as their tokens told."""

    def __init__(self) -> None:
        self._noted: dict[UserId, TokenProfile] = {}
        self._news: asyncio.Event | None = None  # of the event loop in which the node runs

    def note(self, user: UserId, profile: TokenProfile) -> None:
        """Remember it, and have it kept."""
        self._noted.pop(user, None)
        if len(self._noted) >= NOTED_MAX:
            del self._noted[next(iter(self._noted))]
        self._noted[user] = profile
        if self._news is not None:
            self._news.set()

    async def of(self, users: Sequence[UserId], store: Store) -> dict[UserId, TokenProfile]:
        """The profiles of those of them who have one, noted a moment ago or kept long ago.

        Raises:
            Unavailable: They cannot be read now.
        """
        kept = await store.profiles(users) if users else {}
        return kept | {user: self._noted[user] for user in users if user in self._noted}

    async def keep_for_ever(self, store: Store) -> None:
        """Keep what is noted, until cancelled."""
        self._news = news = asyncio.Event()
        news.set()
        while True:
            await news.wait()
            news.clear()
            try:
                while self._noted:
                    await self._keep_some(store)
            except Unavailable as failure:
                log.debug("names and pictures are not kept yet: %s", failure.detail)
                await asyncio.sleep(TROUBLE_PAUSE_S)
                news.set()

    async def _keep_some(self, store: Store) -> None:
        noted = dict(islice(self._noted.items(), KEPT_AT_ONCE))
        kept = await store.profiles(list(noted))
        for user, profile in noted.items():
            if kept.get(user) != profile:
                await store.keep_profile(user, profile)
            if self._noted.get(user) is profile:
                del self._noted[user]
