"""What feeds of threads and of tasks have in common: everything but waiting.

A ``Following`` holds a ``Follower`` and what lies between it and the consumer: the events taken and not yet handed
out, the cursor that may be stored, the request to send and the refusal that came.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal

import httpx2

from tidings.client.answer import read_problem, read_retry_after_s
from tidings.client.core import CONNECTED_WITHIN_S, Event, Follower, StreamRequest

log = logging.getLogger("tidings.client")

READ_TIMEOUT_S: Final = 300.0
"""Backstop under the feeds' own deadlines, which know the heartbeat and normally come long before it."""

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


OnState = Callable[[ConnectionState], None]


class Following:
    """The part of a feed that never waits.

    Attributes:
        cursor: After the last event that the consumer is done with: it has come back for the next one. Store this,
            not ``event.cursor``, to go on later without a gap.
    """

    def __init__(self, url: str, *, cursor: str | None, token_renewable: bool, on_state: OnState) -> None:
        """
        Raises:
            ValueError: What no cursor can be.
        """
        if cursor is not None and not (cursor.isascii() and cursor.isprintable() and cursor):
            raise ValueError(f"{cursor!r} is no cursor: give one as it was printed")
        self.cursor = cursor
        self._url = url
        self._on_state = on_state
        self._follower = Follower(cursor=cursor, token_renewable=token_renewable)
        self._queue: deque[Event] = deque()
        self._handed: Event | None = None
        self._response: httpx2.Response | None = None
        self._refusal = bytearray()

    @property
    def user_id(self) -> str | None:
        """Whose events these are, as the server said; none before the first connection."""
        return self._follower.user_id

    def _count_as_done(self) -> None:
        """The consumer is back for the next event."""
        if self._handed is not None:
            self.cursor = self._handed.cursor or self.cursor
            self._handed = None

    def _hand_out(self) -> Event:
        self._handed = self._queue.popleft()
        return self._handed

    def _begin(self) -> StreamRequest:
        """Start an attempt: what its request must carry."""
        self._on_state(ConnectionState("connecting"))
        return self._follower.begin(monotonic())

    def _request(
        self, http: httpx2.Client | httpx2.AsyncClient, wanted: StreamRequest, token: str, **extensions: object
    ) -> httpx2.Request:
        """The request of an attempt."""
        headers = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {token}",
            "Cache-Control": "no-store",
        }
        if wanted.last_event_id is not None:
            headers["Last-Event-ID"] = wanted.last_event_id
        timeout = httpx2.Timeout(CONNECTED_WITHIN_S, read=READ_TIMEOUT_S)
        return http.build_request("GET", self._url, headers=headers, timeout=timeout, extensions=extensions)

    def _answered(self, response: httpx2.Response) -> bool:
        """Take the header section; whether the body is a stream. Else it is a refusal, for ``_keep_refusal``."""
        self._response = response
        self._refusal = bytearray()
        content_type = response.headers.get("content-type", "")
        self._follower.answered(response.status_code, content_type, read_retry_after_s(response))
        return response.status_code == 200

    def _keep_refusal(self, chunk: bytes) -> bool:
        """Keep a piece of a refusal's body; whether more is wanted."""
        self._refusal += chunk
        return len(self._refusal) <= REFUSAL_SIZE_MAX_BYTES

    def _took(self, chunk: bytes) -> None:
        """Take a piece of the stream."""
        was_connected = self._follower.connected
        self._queue.extend(self._follower.received(chunk, monotonic()))
        # Frames without an event (the first one, a heartbeat) may have said where we are.
        self.cursor = self._follower.cursor if not self._queue else self.cursor or self._follower.started_from
        if self._follower.connected and not was_connected:
            self._on_state(ConnectionState("connected"))

    @contextmanager
    def _trouble_told(self, has_expired: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Tell the follower what went wrong with the connection; after the deadline every trouble is silence."""
        try:
            yield
        except (httpx2.TimeoutException, TimeoutError):
            self._follower.fell_silent()
        except httpx2.RequestError as error:
            log.debug("connection broke error=%s", error)
            if has_expired():
                self._follower.fell_silent()
            else:
                self._follower.broke()

    def _next_wait_s(self) -> float:
        """What the policy says after an attempt: seconds until the next one.

        Raises:
            ServerProblem: The server refused for good.
        """
        step = self._follower.next_step(monotonic(), random.random())
        if step.action == "stop":
            assert self._response is not None, "only an answer can be a refusal"
            raise read_problem(self._response, bytes(self._refusal))
        log.info("stream ended reason=%s wait_s=%.3f", step.reason, step.wait_s)
        if step.wait_s > 0:
            self._on_state(ConnectionState("waiting", step.reason, step.wait_s))
        return step.wait_s
