"""Events as an iterator that never gives up by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import httpx2

from tidings.client.core import Event
from tidings.client.following import Following, OnState
from tidings.client.fork import OfOneProcess
from tidings.client.token import TokenSource
from tidings.client.watchdog import Watchdog


class Feed(Following, OfOneProcess):
    """The events of one user from a cursor on, over as many streams as it takes.

    Iterate over it in one thread; ``close`` may be called from any. Waits for ever, returns only when closed, and
    raises only what trying again cannot mend. After an exception iteration may go on.

    Attributes:
        cursor: See ``Following``: store this to go on later without a gap.
    """

    def __init__(
        self, http: Callable[[], httpx2.Client], url: str, tokens: TokenSource, *, cursor: str | None, on_state: OnState
    ) -> None:
        Following.__init__(self, url, cursor=cursor, token_renewable=tokens.renewable, on_state=on_state)
        OfOneProcess.__init__(self)
        self._http = http
        self._tokens = tokens
        self._chunks: Iterator[bytes] = iter(())
        self._watchdog: Watchdog | None = None
        self._closed = threading.Event()

    def _begin_in_child(self) -> None:
        # The stream is the parent's, which reads on. Here it goes on over another one.
        self._watchdog = self._response = None
        self._chunks = iter(())
        is_closed, self._closed = self._closed.is_set(), threading.Event()
        if is_closed:
            self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        self._end_attempt()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """Return the next event.

        Raises:
            ServerProblem: The server refused for good.
            StopIteration: The feed was closed.
            Exception: Whatever the caller's token function raises.
        """
        self._count_as_done()
        while not self._queue and not self._closed.is_set():
            if self._watchdog is None:
                self._begin_attempt()
            elif self._follower.over:
                self._finish_attempt()
            else:
                self._read_on(self._watchdog)
        if self._closed.is_set():
            self._end_attempt()
            raise StopIteration
        return self._hand_out()

    def close(self) -> None:
        """End the iteration; a wait or read in another thread returns at once."""
        self._closed.set()
        watchdog = self._watchdog
        if watchdog is not None:
            watchdog.end()

    def _begin_attempt(self) -> None:
        """Open a stream."""
        wanted = self._begin()
        token = self._tokens.get(refresh=wanted.refresh_token)
        watchdog = Watchdog(self._follower.deadline_s)
        self._watchdog = watchdog
        if self._closed.is_set():
            watchdog.end()  # ``close`` came before there was anything to end
        request = self._request(self._http(), wanted, token, trace=watchdog.trace)
        with self._trouble_told(lambda: watchdog.expired):
            response = self._http().send(request, stream=True, follow_redirects=False)
            self._chunks = response.iter_bytes()
            if not self._answered(response):
                all(self._keep_refusal(chunk) for chunk in self._chunks)

    def _read_on(self, watchdog: Watchdog) -> None:
        """Take what comes next from the open stream."""
        with self._trouble_told(lambda: watchdog.expired):
            chunk = next(self._chunks, None)
            if chunk is not None:
                self._took(chunk)
                watchdog.extend(self._follower.deadline_s)
            elif watchdog.expired:
                self._follower.fell_silent()
            else:
                self._follower.body_ended()

    def _finish_attempt(self) -> None:
        """Close the stream, and wait as long as the policy says."""
        try:
            wait_s = self._next_wait_s()
        finally:
            self._end_attempt()
        self._closed.wait(wait_s)

    def _end_attempt(self) -> None:
        if self._watchdog is not None:
            self._watchdog.end()
            self._watchdog = None
        if self._response is not None:
            self._response.close()
            self._response = None
