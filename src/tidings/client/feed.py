"""Events as an iterator that never gives up by itself."""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Final, Literal, Self

import httpx2

from tidings.client.answer import read_problem, read_retry_after_s
from tidings.client.core import CONNECTED_WITHIN_S, Event, Follower
from tidings.client.token import TokenSource
from tidings.client.watchdog import Watchdog

log = logging.getLogger("tidings.client")

READ_TIMEOUT_S: Final = 300.0
"""Backstop under the watchdog, which knows the heartbeat and normally comes long before it."""

REFUSAL_SIZE_MAX_BYTES: Final = 65_536
"""What is read of a refusal's body; a problem body is below 1 KiB."""


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What the feed is doing, for those who show it.

    Attributes:
        status: ``connecting``, ``connected`` (the ``connected`` frame came), or ``waiting`` for the next attempt.
        reason: While waiting: a short word, such as ``network``, ``timeout``, ``503`` or ``draining``.
        wait_s: While waiting: seconds until the next attempt.
    """

    status: Literal["connecting", "connected", "waiting"]
    reason: str = ""
    wait_s: float = 0.0


class Feed:
    """The events of one user from a cursor on, over as many streams as it takes.

    Iterate over it in one thread; ``close`` may be called from any. Waits for ever, returns only when closed, and
    raises only what trying again cannot mend. After an exception iteration may go on.

    Attributes:
        cursor: After the last event that the consumer is done with: it has come back for the next one. Store this,
            not ``event.cursor``, to go on later without a gap.
    """

    def __init__(
        self,
        http: httpx2.Client,
        url: str,
        tokens: TokenSource,
        *,
        cursor: str | None,
        on_state: Callable[[ConnectionState], None],
    ) -> None:
        self.cursor = cursor
        self._http = http
        self._url = url
        self._tokens = tokens
        self._on_state = on_state
        self._follower = Follower(cursor=cursor, token_renewable=tokens.renewable)
        self._queue: deque[Event] = deque()
        self._handed: Event | None = None
        self._response: httpx2.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._watchdog: Watchdog | None = None
        self._refusal = bytearray()
        self._attempting = False
        self._closed = threading.Event()

    @property
    def user_id(self) -> str | None:
        """Whose events these are, as the server said; none before the first connection."""
        return self._follower.user_id

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
            if not self._attempting:
                self._begin_attempt()
            elif self._follower.over:
                self._finish_attempt()
            else:
                self._read_on()
        if self._closed.is_set():
            self._end_attempt()
            raise StopIteration
        self._handed = self._queue.popleft()
        return self._handed

    def close(self) -> None:
        """End the iteration; a wait or read in another thread returns at once."""
        self._closed.set()
        watchdog = self._watchdog
        if watchdog is not None:
            watchdog.end()

    def _count_as_done(self) -> None:
        if self._handed is not None:
            self.cursor = self._handed.cursor or self.cursor
            self._handed = None

    def _begin_attempt(self) -> None:
        """Open a stream."""
        self._on_state(ConnectionState("connecting"))
        wanted = self._follower.begin(monotonic())
        headers = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {self._tokens.get(refresh=wanted.refresh_token)}",
            "Cache-Control": "no-store",
        }
        if wanted.last_event_id is not None:
            headers["Last-Event-ID"] = wanted.last_event_id
        self._attempting = True
        watchdog = Watchdog(self._follower.deadline_s)
        self._watchdog = watchdog
        if self._closed.is_set():
            watchdog.end()  # ``close`` came before there was anything to end
        request = self._http.build_request(
            "GET",
            self._url,
            headers=headers,
            timeout=httpx2.Timeout(CONNECTED_WITHIN_S, read=READ_TIMEOUT_S),
            extensions={"trace": watchdog.trace},
        )
        with self._trouble_told(watchdog):
            self._response = response = self._http.send(request, stream=True, follow_redirects=False)
            self._chunks = response.iter_bytes()
            status, content_type = response.status_code, response.headers.get("content-type", "")
            self._follower.answered(status, content_type, read_retry_after_s(response))
            if status != 200:
                self._refusal = bytearray()
                for chunk in self._chunks:
                    self._refusal += chunk
                    if len(self._refusal) > REFUSAL_SIZE_MAX_BYTES:
                        break

    def _read_on(self) -> None:
        """Take what comes next from the open stream."""
        follower, watchdog = self._follower, self._watchdog
        assert watchdog is not None
        was_connected = follower.connected
        with self._trouble_told(watchdog):
            chunk = next(self._chunks, None)
            if chunk is not None:
                self._queue.extend(follower.received(chunk, monotonic()))
                watchdog.extend(follower.deadline_s)
            elif watchdog.expired:
                follower.fell_silent()
            else:
                follower.body_ended()
        # Frames without an event (the first one, a heartbeat) may have said where we are.
        self.cursor = follower.cursor if not self._queue else self.cursor or follower.started_from
        if follower.connected and not was_connected:
            self._on_state(ConnectionState("connected"))

    @contextmanager
    def _trouble_told(self, watchdog: Watchdog) -> Iterator[None]:
        """Tell the follower what went wrong with the connection."""
        try:
            yield
        except httpx2.TimeoutException:
            self._follower.fell_silent()
        except httpx2.RequestError as error:
            log.debug("connection broke error=%s", error)
            if watchdog.expired:
                self._follower.fell_silent()
            else:
                self._follower.broke()

    def _finish_attempt(self) -> None:
        """Close the stream, and wait as long as the policy says."""
        response = self._response
        self._end_attempt()
        step = self._follower.next_step(monotonic(), random.random())
        if step.action == "stop":
            assert response is not None, "only an answer can be a refusal"
            raise read_problem(response, bytes(self._refusal))
        log.info("stream ended reason=%s wait_s=%.3f", step.reason, step.wait_s)
        if step.wait_s > 0:
            self._on_state(ConnectionState("waiting", step.reason, step.wait_s))
            self._closed.wait(step.wait_s)

    def _end_attempt(self) -> None:
        self._attempting = False
        if self._watchdog is not None:
            self._watchdog.end()
            self._watchdog = None
        if self._response is not None:
            self._response.close()
            self._response = None
