"""The Python client for tasks: ``Client`` with ``await``, under the same names and the same rules."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from tidings.client import call
from tidings.client.async_feed import AsyncFeed
from tidings.client.call import DEADLINE_S, Call, Caller, Exchange, api_url
from tidings.client.client import ignore_state, losses_ignored
from tidings.client.following import OnState
from tidings.client.fork import OfOneProcess
from tidings.client.outbox import Outbox, Unsent, is_about_message
from tidings.client.token import AsyncToken, AsyncTokenSource, in_whose_name
from tidings.client.transport import (
    REQUEST_GOES_OUT,
    AnswerBody,
    connection_options,
    library_options,
    tidy_transport,
    trusted_certificates,
)
from tidings.errors import ServerProblem, StreamLost
from tidings.protocol.shapes import BlockedPage, FoundPerson, HistoryPage, InboxPage, Message, Watermarks

T = TypeVar("T")


class AsyncClient(OfOneProcess):
    """One user of one server, in one event loop. Use it with ``async with`` or ``aclose`` it.

    A process that is forked has its own connections: there, too, the client may be used, in a loop of that process.

    Any call may be cancelled. A send that was cancelled may or may not be committed; with an outbox it is sent later.

    Attributes:
        outbox: Where sends wait on disk until they are acknowledged; none unless a file was given.
    """

    def __init__(
        self,
        url: str,
        token: AsyncToken | None = None,
        *,
        key: str | None = None,
        user: str | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float = DEADLINE_S,
        outbox: str | os.PathLike[str] | None = None,
    ) -> None:
        """As ``Client``; the token's function may be async."""
        super().__init__()
        self._url = api_url(url)
        self._library_options = library_options({**(headers or {}), **in_whose_name(token, key, user, headers)})
        self._tokens = AsyncTokenSource(key if token is None else token)
        self._caller = Caller()
        self._deadline_s = deadline_s
        self._trusted = trusted_certificates()
        self._abandoned: list[httpx2.AsyncClient] = []
        self._connect()
        self.outbox = None if outbox is None else Outbox(outbox)

    def _connect(self) -> None:
        """As ``Client._connect``."""
        self._turns: dict[str, asyncio.Lock] = {}
        # No cap: each stream holds a connection, and calls must not wait for one.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        options = connection_options(self._url, self._trusted)
        transport = tidy_transport({**options, "limits": limits})
        self._http = httpx2.AsyncClient(transport=transport, **self._library_options)

    def _begin_in_child(self) -> None:
        # Kept, since letting go of a transport works on the event loop, which is the parent's.
        self._abandoned.append(self._http)
        self._connect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """As ``Client.close``."""
        await self._http.aclose()
        if self.outbox is not None:
            self.outbox.close()

    async def send(
        self, recipient: str, text: str, *, client_id: str | None = None, message_type: str = "text"
    ) -> Message:
        """As ``Client.send``."""
        until = self._until()
        if self.outbox is None:
            return await self._exchange(call.send(recipient, text, client_id, message_type), until)
        unsent = await asyncio.to_thread(self.outbox.put, recipient, text, client_id, message_type)
        async with self._turn(recipient):
            await self._deliver_waiting(self.outbox, recipient, until, before=unsent)
            try:
                return await self._deliver(self.outbox, unsent, until)
            except ServerProblem as problem:
                if is_about_message(problem):
                    await asyncio.to_thread(self.outbox.remove, unsent)
                raise

    async def flush(self) -> list[Message]:
        """As ``Client.flush``."""
        if self.outbox is None:
            return []
        until, sent = self._until(), list[Message]()
        waiting = await asyncio.to_thread(self.outbox.waiting)
        for recipient in dict.fromkeys(unsent.recipient for unsent in waiting):
            async with self._turn(recipient):
                sent += await self._deliver_waiting(self.outbox, recipient, until)
        return sent

    async def history(
        self, peer: str, *, before: int | None = None, after: int | None = None, limit: int | None = None
    ) -> HistoryPage:
        """As ``Client.history``."""
        return await self._exchange(call.history(peer, before, after, limit))

    async def inbox(self, *, before: int | None = None, limit: int | None = None) -> InboxPage:
        """As ``Client.inbox``."""
        return await self._exchange(call.inbox(before, limit))

    async def mark_read(self, peer: str, upto: int) -> Watermarks:
        """As ``Client.mark_read``."""
        return await self._exchange(call.receipts(peer, read_upto=upto))

    async def mark_delivered(self, peer: str, upto: int) -> Watermarks:
        """As ``Client.mark_delivered``."""
        return await self._exchange(call.receipts(peer, delivered_upto=upto))

    async def typing(self, peer: str) -> None:
        """As ``Client.typing``."""
        with losses_ignored():
            await self._exchange(call.typing(peer))

    async def block(self, peer: str) -> None:
        """As ``Client.block``."""
        await self._exchange(call.block(peer))

    async def unblock(self, peer: str) -> None:
        """As ``Client.unblock``."""
        await self._exchange(call.unblock(peer))

    async def blocked(self, *, before: int | None = None, limit: int | None = None) -> BlockedPage:
        """As ``Client.blocked``."""
        return await self._exchange(call.blocked(before, limit))

    async def people(self, text: str) -> list[FoundPerson]:
        """As ``Client.people``."""
        return await self._exchange(call.people(text))

    async def report(self, peer: str, reason: str, *, seq: int | None = None) -> None:
        """As ``Client.report``."""
        await self._exchange(call.report(peer, reason, seq))

    def events(self, cursor: str | None = None, *, on_state: OnState = ignore_state) -> AsyncFeed:
        """As ``Client.events``; ``on_state`` is called in the event loop."""
        return AsyncFeed(lambda: self._http, self._url, self._tokens, cursor=cursor, on_state=on_state)

    async def _deliver_waiting(
        self, outbox: Outbox, recipient: str, until: float, *, before: Unsent | None = None
    ) -> list[Message]:
        sent = []
        for unsent in await asyncio.to_thread(outbox.waiting, recipient, before=before):
            try:
                sent.append(await self._deliver(outbox, unsent, until))
            except ServerProblem as problem:
                await asyncio.to_thread(outbox.set_aside, unsent, problem)
        return sent

    async def _deliver(self, outbox: Outbox, unsent: Unsent, until: float) -> Message:
        asked = call.send(unsent.recipient, unsent.text, unsent.client_id, unsent.message_type)
        message = await self._exchange(asked, until)
        await asyncio.to_thread(outbox.remove, unsent)
        return message

    def _turn(self, recipient: str) -> asyncio.Lock:
        return self._turns.setdefault(recipient, asyncio.Lock())

    def _until(self) -> float:
        return time.monotonic() + self._deadline_s

    async def _exchange(self, asked: Call[T], until: float | None = None) -> T:
        """As ``Client._exchange``."""
        exchange = Exchange(
            asked, self._url, self._caller, until=until or self._until(), token_renewable=self._tokens.renewable
        )
        while True:
            try:
                async with _until(exchange.until) as bound:
                    token = await self._tokens.get(refresh=exchange.refresh_token)
            except TimeoutError:
                if bound.expired():
                    raise StreamLost("There was no token in time") from None
                raise
            request = exchange.request(self._http, token)
            try:
                response, body = await self._send(request, exchange)
            except Exception as trouble:
                if self._http.is_closed:
                    raise
                exchange.failed(trouble)
            else:
                answer = None
                try:
                    answer = exchange.answered(response, body)
                finally:
                    if answer is None:
                        await response.extensions["network_stream"].aclose()
                if answer is not None:
                    return answer.value
            await asyncio.sleep(exchange.wait_s)

    async def _send(self, request: httpx2.Request, exchange: Exchange[T]) -> tuple[httpx2.Response, bytes]:
        """As ``Client._send``."""
        body = AnswerBody()
        async with _until(exchange.connect_until()) as bound:

            async def trace(step: str, _: object) -> None:
                if step == REQUEST_GOES_OUT:
                    bound.reschedule(_loop_time(exchange.answer_until()))

            request.extensions["trace"] = trace
            response = await self._http.send(request, stream=True)
            try:
                async for part in response.aiter_bytes():
                    body.add(part)
            finally:
                await response.aclose()
        return response, body.whole()


def _until(moment: float) -> asyncio.Timeout:
    """``asyncio.timeout_at`` for monotonic seconds."""
    return asyncio.timeout_at(_loop_time(moment))


def _loop_time(moment: float) -> float:
    """Monotonic seconds on the event loop's clock, which may be another."""
    return asyncio.get_running_loop().time() + moment - time.monotonic()
