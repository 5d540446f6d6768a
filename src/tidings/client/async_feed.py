"""Events as an asynchronous iterator that never gives up by itself.

Rules of this file:

- Each stream and each poll is a job in a task that the feed owns: whoever waits for an event may be cancelled (by
  ``asyncio.timeout``, say) and come back; the jobs go on meanwhile, and nothing is lost or asked twice.
- The consumer takes their results. A stream's task reads one piece ahead of it and no more.
- Closing cancels the jobs, so that they end at once and with their connections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

import httpx2

from tidings.client.core import Event
from tidings.client.following import POLL_TIMEOUT_S, REFUSAL_SIZE_MAX_BYTES, Following, OnState
from tidings.client.fork import OfOneProcess
from tidings.client.machine import Effect
from tidings.client.token import AsyncTokenSource
from tidings.client.transport import AnswerBody


class AsyncFeed(Following, OfOneProcess):
    """The events of one user from a cursor on, over as many streams and polls as it takes.

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
        self._is_closed = False
        self._abandoned: list[object] = []
        self._open()

    def _open(self) -> None:
        self._jobs: dict[int, asyncio.Task[None]] = {}
        self._happened: asyncio.Queue[Callable[[], None]] = asyncio.Queue()

    def _begin_in_child(self) -> None:
        self._leave_to_parent()
        # Kept, as ``AsyncClient`` keeps its connections.
        self._abandoned.append((self._jobs, self._happened))
        self._open()

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
            Exception: The caller's token function raised it.
        """
        self._count_as_done()
        while not self._is_closed:
            if not self._queue:
                self._begin()
            while (effect := self._next_job()) is not None:
                self._act(effect)
            if self._queue:
                return self._hand_out()
            try:
                async with asyncio.timeout(self._left_s()):
                    happened = await self._happened.get()
            except TimeoutError:
                self._follower.tick(time.monotonic())
            else:
                happened()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the iteration, also one that waits in another task, and close the connections."""
        self._is_closed = True
        self._happened.put_nowait(lambda: None)
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        if jobs:
            await asyncio.wait(jobs)

    def _act(self, effect: Effect) -> None:
        generation = effect.generation
        assert generation is not None, "jobs are numbered"
        if effect.type in ("abort_stream", "abort_poll"):
            job = self._jobs.get(generation)
            if job is not None:
                job.cancel()
            return
        run = self._run_stream if effect.type == "open_stream" else self._run_poll
        job = asyncio.create_task(run(generation, effect.token != "initial"), name=f"tidings-{effect.type}")
        self._jobs[generation] = job
        job.add_done_callback(lambda _: self._jobs.pop(generation, None))

    def _raise(self, generation: int, error: Exception) -> None:
        """The caller's token function failed."""
        self._follower.abandon(generation, time.monotonic())
        raise error

    # In tasks of their own.

    async def _run_stream(self, generation: int, refresh: bool) -> None:
        tell = self._happened.put_nowait
        try:
            token = await self._tokens.get(refresh=refresh)
        except Exception as error:
            return tell(partial(self._raise, generation, error))
        http, may_tell = self._http(), asyncio.Semaphore(1)
        request = self._stream_request(http, generation, token)
        tell(lambda: None)  # from now on there is a deadline
        try:
            response = await http.send(request, stream=True, follow_redirects=False)
            try:
                refusal = b""
                chunks = response.aiter_bytes()
                if response.status_code != 200:
                    async for part in chunks:
                        refusal += part
                        if len(refusal) >= REFUSAL_SIZE_MAX_BYTES:
                            break
                tell(partial(self._stream_answered, generation, response, refusal))
                if response.status_code == 200:
                    async for chunk in chunks:
                        await may_tell.acquire()
                        tell(partial(self._take_piece, generation, may_tell, chunk))
            finally:
                await response.aclose()
        except Exception as trouble:
            tell(partial(self._stream_ended, generation, trouble))
        else:
            tell(partial(self._stream_ended, generation, None))

    async def _run_poll(self, generation: int, refresh: bool) -> None:
        tell = self._happened.put_nowait
        try:
            token = await self._tokens.get(refresh=refresh)
        except Exception as error:
            return tell(partial(self._raise, generation, error))
        http = self._http()
        request = self._poll_request(http, generation, token)
        try:
            async with asyncio.timeout(POLL_TIMEOUT_S):
                response = await http.send(request, stream=True, follow_redirects=False)
                try:
                    body = AnswerBody()
                    async for part in response.aiter_bytes():
                        body.add(part)
                finally:
                    await response.aclose()
        except Exception as trouble:
            tell(partial(self._poll_lost, generation, trouble))
        else:
            tell(partial(self._poll_answered, generation, response, body.whole()))

    def _take_piece(self, generation: int, may_tell: asyncio.Semaphore, chunk: bytes) -> None:
        self._stream_received(generation, chunk)
        may_tell.release()
