"""Events as an asynchronous iterator that never gives up by itself.

Rules of this file:

- Everything that waits is one step, in a task that the feed owns: whoever waits for an event may be cancelled (by
  ``asyncio.timeout``, say) and come back; the step goes on meanwhile, and nothing is lost or asked twice.
- Closing cancels the step, so that it ends at once and with its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from time import monotonic
from types import TracebackType
from typing import Final, Self

import httpx2

from tidings.client.core import Event
from tidings.client.following import Following, OnState
from tidings.client.fork import OfOneProcess
from tidings.client.token import AsyncTokenSource

GRACE_S: Final = 1.0
"""A read gets so long at least."""


class AsyncFeed(Following, OfOneProcess):
    """The events of one user from a cursor on, over as many streams as it takes.

    Iterate over it in one task; leave it with ``async with`` or ``aclose``. Waits for ever, returns only when closed,
    and raises only what trying again cannot mend. After an exception or a cancellation iteration may go on.

    Attributes:
        cursor: See ``Following``: store this to go on later without a gap.
    """

    def __init__(
        self,
        http: Callable[[], httpx2.AsyncClient],
        url: str,
        tokens: AsyncTokenSource,
        *,
        cursor: str | None,
        on_state: OnState,
    ) -> None:
        Following.__init__(self, url, cursor=cursor, token_renewable=tokens.renewable, on_state=on_state)
        OfOneProcess.__init__(self)
        self._http = http
        self._tokens = tokens
        self._chunks: AsyncIterator[bytes] | None = None
        self._attempting = False
        self._step: asyncio.Task[None] | None = None
        self._closed = False
        self._abandoned: list[object] = []

    def _begin_in_child(self) -> None:
        # Kept, as ``AsyncClient`` keeps its connections.
        self._abandoned.append((self._step, self._response, self._chunks))
        self._step = self._response = self._chunks = None
        self._attempting = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            ServerProblem: The server refused for good.
            StopAsyncIteration: The feed was closed.
            Exception: Whatever the caller's token function raises.
        """
        self._count_as_done()
        while not self._queue and not self._closed:
            if self._step is None:
                self._step = asyncio.create_task(self._advance(), name="tidings-feed")
            step = self._step
            await asyncio.wait({step})
            self._step = None
            if not step.cancelled():
                step.result()
        if self._closed:
            raise StopAsyncIteration
        return self._hand_out()

    async def aclose(self) -> None:
        """End the iteration, also one that waits in another task, and close the connection."""
        self._closed = True
        step, self._step = self._step, None
        if step is not None:
            step.cancel()
            await asyncio.wait({step})
            if not step.cancelled():
                step.exception()  # nobody waits for it any more
        await self._end_attempt()

    async def _advance(self) -> None:
        if not self._attempting:
            await self._begin_attempt()
        elif self._follower.over:
            await self._finish_attempt()
        else:
            await self._read_on()

    async def _begin_attempt(self) -> None:
        """Open a stream."""
        wanted = self._begin()
        request = self._request(self._http(), wanted, await self._tokens.get(refresh=wanted.refresh_token))
        self._attempting = True
        with self._trouble_told():
            async with self._deadline():
                response = await self._http().send(request, stream=True, follow_redirects=False)
                self._chunks = response.aiter_bytes()
                if not self._answered(response):
                    async for chunk in self._chunks:
                        if not self._keep_refusal(chunk):
                            break

    async def _read_on(self) -> None:
        """Take what comes next from the open stream."""
        assert self._chunks is not None
        with self._trouble_told():
            async with self._deadline():
                chunk = await anext(self._chunks, None)
            if chunk is None:
                self._follower.body_ended()
            else:
                self._took(chunk)

    async def _finish_attempt(self) -> None:
        """Close the stream, and wait as long as the policy says."""
        try:
            wait_s = self._next_wait_s()
        finally:
            await self._end_attempt()
        await asyncio.sleep(wait_s)

    async def _end_attempt(self) -> None:
        self._attempting = False
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            await response.aclose()

    def _deadline(self) -> asyncio.Timeout:
        # After the deadline, too: what came while the consumer was busy lies in the socket.
        return asyncio.timeout(max(GRACE_S, self._follower.deadline_s - monotonic()))
