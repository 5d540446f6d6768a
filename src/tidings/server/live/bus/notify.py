"""The bus on the database itself: LISTEN and NOTIFY, on two connections of their own.

A notification is sent after the commit and not within it: there, all commits of the database would queue for one lock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from tidings.server.live.bus.carrier import FAREWELL_WAIT_MAX_S, READ_KEY, Outgoing, Seal, State
from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import Failure
from tidings.server.store.postgres.link import Link
from tidings.server.store.postgres.sentences import failure_text

AT_ONCE_MAX = 100  # in one statement
LOOK_EVERY_S = 5.0  # whether a connection on which nothing comes is one
ANSWER_WAIT_MAX_S = 3.0
RETRY_PAUSE_S = 0.5
NOTIFY = "SELECT pg_notify($1, body) FROM unnest($2::text[]) body"


class NotifyBus:
    """The nodes that listen on one channel, which is the schema's: a database has its own channels."""

    body_size_max_bytes = 7_900  # with its seal; NOTIFY takes less than 8,000

    def __init__(self, address: Address) -> None:
        self._address = address
        self._channel = f"tidings_{address.schema}"
        self._listening = Link(address, self._listen)
        self._notifying = Link(address, synchronous_commit="off")
        self._outgoing = Outgoing()
        self._ended = asyncio.Event()
        self._heard: Callable[[bytes], None] = lambda _: None
        self._seal: Seal | None = None  # not known before the database told it
        self._state = State()
        self._lost = 0

    @property
    def trouble(self) -> str:
        return self._state.trouble

    @property
    def dropped(self) -> int:
        return self._outgoing.dropped + self._lost

    async def run(self, heard: Callable[[bytes], None], came_back: Callable[[], None]) -> None:
        self._heard = heard
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen_for_ever(came_back))
                tasks.create_task(self._notify_for_ever())
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_WAIT_MAX_S):
                    await self._notify(self._outgoing.rest(AT_ONCE_MAX))
            self._listening.drop()
            self._notifying.drop()

    def publish(self, body: bytes) -> None:
        self._outgoing.add(body)

    async def _listen(self, connection: Any) -> None:
        self._ended.clear()
        connection.add_termination_listener(lambda _: self._ended.set())
        await connection.add_listener(self._channel, self._take)

    def _take(self, _connection: Any, _process: int, _channel: str, body: str) -> None:
        if self._seal is not None:
            self._heard(self._seal.open(body.encode(errors="replace")))

    async def _listen_for_ever(self, came_back: Callable[[], None]) -> None:
        while True:
            try:
                async with asyncio.timeout(ANSWER_WAIT_MAX_S):
                    ((key,),) = await self._listening.fetch(READ_KEY)
            except Failure as failure:
                self._state.note(failure_text(self._address, failure))
                self._listening.drop()
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            self._seal = Seal(key)
            if self._state.note(""):
                came_back()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._ended.wait()
                    self._state.note("the database ended the connection")

    async def _notify_for_ever(self) -> None:
        while True:
            await self._notify(await self._outgoing.take(AT_ONCE_MAX))

    async def _notify(self, bodies: list[bytes]) -> None:
        if self._seal is None or not bodies:
            self._lost += len(bodies)
            return
        sealed = [self._seal.close(body).decode() for body in bodies]
        try:
            async with asyncio.timeout(ANSWER_WAIT_MAX_S):
                await self._notifying.fetch(NOTIFY, self._channel, sealed)
        except Failure:
            self._lost += len(bodies)
            self._notifying.drop()
