"""Events as an iterator that never gives up by itself.

Rules of this file:

- Each stream and each poll is a job in a thread of its own, so that polls go on while a stream is tried. The thread
  that iterates takes the results: there the follower, the caller's token function and ``on_state`` live.
- A stream's thread reads one piece ahead of the consumer and no more.
- A job that is given up has its connection shut down; what it still tells is ignored.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

import httpx2

from tidings.client.core import Event
from tidings.client.following import POLL_TIMEOUT_S, REFUSAL_SIZE_MAX_BYTES, Following, OnState
from tidings.client.fork import OfOneProcess
from tidings.client.interrupt import Line
from tidings.client.machine import Effect
from tidings.client.token import TokenSource
from tidings.client.transport import AnswerBody, within


class _Job:
    """A stream or a poll on its way."""

    def __init__(self) -> None:
        self.line = Line()
        self.may_tell = threading.Semaphore(1)  # taken for each piece of a stream, given back when it is taken up

    def end(self) -> None:
        """Give it up."""
        self.line.end()
        self.may_tell.release()


class Feed(Following, OfOneProcess):
    """The events of one user from a cursor on, over as many streams and polls as it takes.

    Iterate over it in one thread; ``close`` may be called from any. Waits for ever, returns only when closed, and
    raises only what trying again cannot mend. After an exception iteration may go on.

    Attributes:
        cursor: See ``Following``: store this to go on later without a gap.
    """

    def __init__(
        self,
        http: Callable[[], httpx2.Client],
        url: str,
        tokens: TokenSource,
        *,
        cursor: str | None,
        on_state: OnState,
    ) -> None:
        Following.__init__(self, url, cursor=cursor, token_renewable=tokens.renewable, on_state=on_state)
        OfOneProcess.__init__(self)
        self._http = http
        self._tokens = tokens
        self._is_closed = False
        self._open()

    def _open(self) -> None:
        self._jobs: dict[int, _Job] = {}
        self._happened: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def _begin_in_child(self) -> None:
        self._leave_to_parent()
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """Return the next event.

        Raises:
            ServerProblem: The server refused for good.
            StopIteration: The feed was closed.
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
                happened = self._happened.get(timeout=self._left_s())
            except queue.Empty:
                self._follower.tick(time.monotonic())
            else:
                happened()
        raise StopIteration

    def close(self) -> None:
        """End the iteration; a wait or read in another thread returns at once."""
        self._is_closed = True
        for job in list(self._jobs.values()):
            job.end()
        self._happened.put(lambda: None)

    def _act(self, effect: Effect) -> None:
        generation = effect.generation
        assert generation is not None, "jobs are numbered"
        if effect.type in ("abort_stream", "abort_poll"):
            job = self._jobs.pop(generation, None)
            if job is not None:
                job.end()
            return
        try:
            token = self._tokens.get(refresh=effect.token != "initial")
        except BaseException:
            self._follower.abandon(generation, time.monotonic())
            raise
        job = self._jobs[generation] = _Job()
        if self._is_closed:
            job.end()  # ``close`` came before there was anything to end
        http, run = self._http(), self._run_stream if effect.type == "open_stream" else self._run_poll
        ask = self._stream_request if effect.type == "open_stream" else self._poll_request
        request = ask(http, generation, token, trace=job.line.trace)
        name = f"tidings-{effect.type}"
        threading.Thread(target=run, args=(generation, job, http, request), name=name, daemon=True).start()

    # In threads of their own.

    def _run_stream(self, generation: int, job: _Job, http: httpx2.Client, request: httpx2.Request) -> None:
        tell = self._happened.put
        try:
            response = http.send(request, stream=True, follow_redirects=False)
            try:
                refusal = b""
                chunks = response.iter_bytes()
                while (
                    response.status_code != 200
                    and len(refusal) < REFUSAL_SIZE_MAX_BYTES
                    and (part := next(chunks, b""))
                ):
                    refusal += part
                tell(partial(self._stream_answered, generation, response, refusal))
                for chunk in chunks if response.status_code == 200 else ():
                    job.may_tell.acquire()
                    if generation not in self._jobs:
                        return
                    tell(partial(self._take_piece, generation, job, chunk))
            finally:
                response.close()
        except Exception as trouble:
            tell(partial(self._stream_ended, generation, trouble))
        else:
            tell(partial(self._stream_ended, generation, None))
        finally:
            self._jobs.pop(generation, None)

    def _run_poll(self, generation: int, job: _Job, http: httpx2.Client, request: httpx2.Request) -> None:
        tell = self._happened.put
        try:
            with within(time.monotonic() + POLL_TIMEOUT_S):
                response = http.send(request, stream=True, follow_redirects=False)
                try:
                    body = AnswerBody()
                    for part in response.iter_bytes():
                        body.add(part)
                finally:
                    response.close()
        except Exception as trouble:
            tell(partial(self._poll_lost, generation, trouble))
        else:
            tell(partial(self._poll_answered, generation, response, body.whole()))
        finally:
            self._jobs.pop(generation, None)

    def _take_piece(self, generation: int, job: _Job, chunk: bytes) -> None:
        self._stream_received(generation, chunk)
        job.may_tell.release()
