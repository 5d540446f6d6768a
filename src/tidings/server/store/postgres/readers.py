"""The reads of a node: a few connections, so that one slow page does not hold up the others."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from tidings.errors import Unavailable
from tidings.server.store.limits import READ_WAIT_MAX_S
from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import Failure, code_of
from tidings.server.store.postgres.link import Link
from tidings.server.store.postgres.sentences import failure_text

log = logging.getLogger("tidings.store")

READERS = 2  # of one node; the database has some hundred connections for all

# A connection that stood idle may have been ended by the server or on its way there; the next one is new.
_CONNECTION_GONE = ("08", "57")


class Readers:
    """Some connections, each for one read at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._is_away = False
        self._links = [Link(address) for _ in range(READERS)]
        self._free: asyncio.LifoQueue[Link] = asyncio.LifoQueue()
        for link in self._links:
            self._free.put_nowait(link)

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """The rows of a statement that only reads.

        Raises:
            Unavailable: The database gave none in time.
        """
        try:
            async with asyncio.timeout(READ_WAIT_MAX_S):
                link = await self._free.get()
                try:
                    found = await _read(link, sql, values)
                finally:
                    self._free.put_nowait(link)
        except Failure as failure:
            self._note(failure)
            is_late = isinstance(failure, TimeoutError)
            detail = "The database did not answer in time." if is_late else "The database cannot be read now."
            raise Unavailable("unavailable", detail, retry_after_s=2) from failure
        self._note(None)
        return found

    def _note(self, failure: BaseException | None) -> None:
        """A line for a change of state."""
        if self._is_away != (failure is not None):
            self._is_away = failure is not None
            if failure is None:
                log.info("the database is read again")
            else:
                log.error("the database cannot be read: %s", failure_text(self._address, failure))

    async def close(self) -> None:
        """Close the connections."""
        for link in self._links:
            await link.close()


async def _read(link: Link, sql: str, values: tuple[Any, ...]) -> list[Any]:
    try:
        stood_idle = link.is_open
        try:
            return await link.fetch(sql, *values)
        except Failure as failure:
            code = code_of(failure)
            if not stood_idle or (code and code[:2] not in _CONNECTION_GONE):
                raise
            link.drop()
            return await link.fetch(sql, *values)
    except BaseException:  # also where the one who asked has gone: an answer may be on its way
        link.drop()
        raise
