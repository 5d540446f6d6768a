"""The common part of feeds of threads and of tasks: everything but waiting.

A ``Following`` holds a ``Follower`` and what lies between it and the consumer: the events taken and not yet handed
out, the cursor that may be stored, the requests to send and the refusal that came. Its driver runs the jobs that
``_next_job`` names, each beside the others, and lets it take their results in the thread or task of the consumer.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import httpx2

from tidings.client.answer import read_problem, read_retry_after_s
from tidings.client.core import Event, Follower
from tidings.client.machine import MUTE_AFTER_MS, POLL_INTERVAL_MS, Effect
from tidings.client.token import authorization
from tidings.client.transport import describe, is_timeout
from tidings.errors import ProtocolViolation, ServerProblem
from tidings.protocol.retry import Outcome

log = logging.getLogger("tidings.client")

READ_TIMEOUT_S: Final = 300.0
"""Backstop under the feeds' own deadlines, which know the heartbeat and normally come long before it."""

POLL_TIMEOUT_S: Final = 15.0
"""A poll that takes longer is taken for lost."""

POLL_LIMIT: Final = 200  # events of a page

REFUSAL_SIZE_MAX_BYTES: Final = 65_536
"""What is read of a refusal's body; a problem body is below 1 KiB."""


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """The state of the feed, for programs that show it.

    Attributes:
        status: ``connecting``, ``connected`` (the ``connected`` frame came), ``polling`` (no stream gets through, but
            the log is read every few seconds), or ``waiting`` for the next attempt.
        reason: While waiting: a short word, such as ``network``, ``timeout``, ``503`` or ``draining``.
        wait_s: While waiting: seconds until the next attempt; while polling: between two polls.
        detail: While waiting: what the library said of the trouble, if it said something.
    """

    status: Literal["connecting", "connected", "polling", "waiting"]
    reason: str = ""
    wait_s: float = 0.0
    detail: str = ""


OnState = Callable[[ConnectionState], None]


class Following:
    """The part of a feed that never waits.

    Attributes:
        cursor: After the last event that the consumer is done with: it has come back for the next one. Store this,
            not ``event.cursor``, to go on later without a gap.
    """

    def __init__(self, url: str, *, cursor: str | None, token_renewable: bool, on_state: OnState) -> None:
        """
        Args:
            url: Of the API.

        Raises:
            ValueError: The text cannot be a cursor.
        """
        if cursor is not None and not (cursor.isascii() and cursor.isprintable() and cursor):
            raise ValueError(f"{cursor!r} is no cursor: give one as it was printed")
        self.cursor = cursor
        self._url = url
        self._tab = uuid.uuid4().hex  # the same again ends its predecessor, which the server may take to be open
        self._on_state = on_state
        self._follower = Follower(random.random, cursor=cursor, token_renewable=token_renewable)
        self._queue: deque[Event] = deque()
        self._handed: Event | None = None
        self._problem: ServerProblem | None = None
        self._detail = ""
        self._is_told_of_polls = False

    @property
    def user_id(self) -> str | None:
        """The user of these events, as the server said; none before the first answer."""
        return self._follower.user_id

    def _leave_to_parent(self) -> None:
        """After a fork: what is open is the parent's."""
        self._tab = uuid.uuid4().hex
        self._problem = None
        self._follower.disconnect(time.monotonic())
        self._follower.effects.clear()

    def _count_as_done(self) -> None:
        """The consumer is back for the next event."""
        if self._handed is not None:
            self.cursor = self._handed.cursor or self.cursor
            self._handed = None

    def _hand_out(self) -> Event:
        self._handed = self._queue.popleft()
        return self._handed

    def _begin(self) -> None:
        """Begin, unless it goes on.

        Raises:
            ServerProblem: The server refused for good; the next time it begins anew.
        """
        if self._follower.status in ("refused", "closed"):
            problem, self._problem = self._problem, None
            if problem is not None:
                raise problem
        if self._follower.status in ("idle", "refused", "closed"):
            self._follower.connect(time.monotonic())

    def _left_s(self) -> float | None:
        """How long nothing is due; none if it is not known that anything ever will be."""
        return self._follower.left_s(time.monotonic())

    def _next_job(self) -> Effect | None:
        """The next stream or poll to begin or to abort, after what is told by the way."""
        while self._follower.effects:
            effect = self._follower.effects.pop(0)
            if effect.type in ("open_stream", "poll", "abort_stream", "abort_poll"):
                if effect.type == "open_stream" and self._follower.status != "polling":
                    self._on_state(ConnectionState("connecting"))
                return effect
            self._tell(effect)
        if self._is_told_of_polls and self._follower.status not in ("polling", "connected"):
            self._is_told_of_polls = False
            self._on_state(ConnectionState("waiting", "poll", self._left_s() or 0.0, self._detail))
        return None

    def _tell(self, effect: Effect) -> None:
        if effect.type == "connected":
            self._is_told_of_polls = False
            self._on_state(ConnectionState("connected"))
        elif effect.type == "reachable":
            self._is_told_of_polls = True
            self._on_state(ConnectionState("polling", wait_s=POLL_INTERVAL_MS / 1000))
        elif effect.type == "reconnecting":
            wait_s = (effect.delay_ms or 0.0) / 1000
            log.info("stream ended reason=%s wait_s=%.3f", effect.reason, wait_s)
            if wait_s > 0 and self._follower.status != "polling":
                self._on_state(ConnectionState("waiting", effect.reason or "", wait_s, self._detail))

    def _stream_request(
        self, http: httpx2.Client | httpx2.AsyncClient, generation: int, token: str | None, **extensions: object
    ) -> httpx2.Request:
        """The request for a stream, which goes out now."""
        last_event_id = self._follower.stream_requested(generation, time.monotonic())
        headers = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Cache-Control": "no-store",
            **authorization(token),
        }
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        timeout = httpx2.Timeout(MUTE_AFTER_MS / 1000, read=READ_TIMEOUT_S)
        url, query = f"{self._url}/sse/me", {"tab": self._tab}
        return http.build_request("GET", url, params=query, headers=headers, timeout=timeout, extensions=extensions)

    def _poll_request(
        self, http: httpx2.Client | httpx2.AsyncClient, generation: int, token: str | None, **extensions: object
    ) -> httpx2.Request:
        """The request for a page of the log, which goes out now."""
        cursor = self._follower.poll_requested(generation)
        query = {"wait": "0", "limit": f"{POLL_LIMIT}"} | ({} if cursor is None else {"cursor": cursor})
        headers = {"Accept": "application/json", "Cache-Control": "no-store", **authorization(token)}
        timeout = httpx2.Timeout(MUTE_AFTER_MS / 1000, read=POLL_TIMEOUT_S)
        url = f"{self._url}/events/me"
        return http.build_request("GET", url, params=query, headers=headers, timeout=timeout, extensions=extensions)

    # What comes of the jobs. Called in the thread or task of the consumer.

    def _stream_answered(self, generation: int, response: httpx2.Response, refusal: bytes) -> None:
        """The header section came, and of a refusal the body."""
        problem = None
        if response.status_code != 200:
            self._problem = read_problem(response, refusal)
            problem = self._problem.code
        content_type, retry_after_s = response.headers.get("content-type", ""), read_retry_after_s(response)
        self._detail = ""
        answered = (response.status_code, content_type, retry_after_s, time.monotonic())
        self._follower.stream_answered(generation, *answered, problem)

    def _stream_received(self, generation: int, chunk: bytes) -> None:
        """A piece of the stream came."""
        self._take(self._follower.stream_received(generation, chunk, time.monotonic()))

    def _stream_ended(self, generation: int, trouble: Exception | None) -> None:
        """The body came to its regular end, or something happened to the connection."""
        if trouble is None:
            self._follower.stream_ended(generation, Outcome("end"), "end", time.monotonic())
        else:
            outcome, reason = self._outcome_of(trouble)
            self._follower.stream_ended(generation, outcome, reason, time.monotonic())

    def _poll_answered(self, generation: int, response: httpx2.Response, body: bytes) -> None:
        """A poll has its answer."""
        if response.status_code == 200:
            self._take(self._follower.poll_answered(generation, body, time.monotonic()))
            return
        self._problem, self._detail = read_problem(response, body), ""
        status, retry_after_s = response.status_code, read_retry_after_s(response)
        outcome = Outcome("status", status=status, retry_after_s=retry_after_s)
        self._follower.poll_failed(generation, outcome, f"{status}", time.monotonic())

    def _poll_lost(self, generation: int, trouble: Exception) -> None:
        """A poll has none."""
        outcome, reason = self._outcome_of(trouble)
        self._follower.poll_failed(generation, outcome, reason, time.monotonic())

    def _take(self, events: list[Event]) -> None:
        self._queue.extend(events)
        # Frames without an event (the first one, a heartbeat) and empty pages may have said where we are.
        self.cursor = self._follower.cursor if not self._queue else self.cursor or self._follower.started_from

    def _outcome_of(self, trouble: Exception) -> tuple[Outcome, str]:
        log.debug("connection broke error=%s", trouble)
        self._detail = describe(trouble)
        if isinstance(trouble, ProtocolViolation):
            return Outcome("violation"), "violation"
        if is_timeout(trouble):
            return Outcome("timeout"), "timeout"
        return Outcome("network"), "network"
