"""A sender: publishes numbered letters to one reader, each only after the last was acknowledged.

It does what a person does in front of a chat, or a job that must get through: an attempt that was not answered
positively is repeated until one is, under the idempotency key where the system documents one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx2

from lab.systems.reader import letter, until
from lab.systems.system import Publication

ATTEMPT_TIMEOUT_S = 10.0
BURST_DEADLINE_S = 300.0
PAUSE_S = 0.25
"""Between attempts, unless the server names another wait in `Retry-After`."""


Publish = Callable[[str, str, str], Publication]
"""Of (reader, text, key): the same key on every attempt."""


class Sender:
    """Publishes to `reader` through the server, or a proxy, at `base_url`.

    Attributes:
        published_at, acknowledged_at: By number, seconds of the monotonic clock; of the first attempt, of the answer.
        repeated: Attempts beyond the first of a letter.
    """

    def __init__(self, base_url: str, reader: str, publish: Publish, *, rate_per_s: float) -> None:
        self.reader = reader
        self.published_at: dict[int, float] = {}
        self.acknowledged_at: dict[int, float] = {}
        self.repeated = 0
        self._base_url = base_url
        self._publish = publish
        self._interval_s = 1 / rate_per_s
        self._burst_left = 0
        self._burst_size_bytes = 0
        self._number = 0
        self._refusal = ""
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None
        self._http = httpx2.AsyncClient(trust_env=False, timeout=ATTEMPT_TIMEOUT_S)

    async def greet(self) -> None:
        """Publish a letter 0 that does not count."""
        await self._attempt(0, f"{self.reader}-greeting-{time.monotonic_ns()}", 0)

    def start(self) -> None:
        self._task = asyncio.create_task(self._send())

    async def stop(self, deadline_s: float) -> None:
        """Finish the letter under way, within the deadline."""
        self._is_stopping = True
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=deadline_s)
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.result()

    async def close(self) -> None:
        await self._http.aclose()

    async def burst(self, count: int, size_bytes: int) -> None:
        """Publish so many letters of that size as fast as they are acknowledged; returns when they are."""
        self._burst_size_bytes = size_bytes
        self._burst_left = count
        if not await until(lambda: not self._burst_left, BURST_DEADLINE_S, pause_s=0.05):
            raise RuntimeError(
                f"{self._burst_left} letters to {self.reader} are left; the last answer was {self._refusal}"
            )

    async def _send(self) -> None:
        while not self._is_stopping:
            began = time.monotonic()
            self._number += 1
            size_bytes = self._burst_size_bytes if self._burst_left else 0
            await self._send_one(self._number, size_bytes)
            if size_bytes:
                self._burst_left -= 1
            else:
                await asyncio.sleep(max(0.0, began + self._interval_s - time.monotonic()))

    async def _send_one(self, number: int, size_bytes: int) -> None:
        self.published_at[number] = time.monotonic()
        key = f"{self.reader}-{number}"
        while (wait_s := await self._attempt(number, key, size_bytes)) is not None:
            if self._is_stopping:
                return
            self.repeated += 1
            await asyncio.sleep(wait_s)
        self.acknowledged_at[number] = time.monotonic()

    async def _attempt(self, number: int, key: str, size_bytes: int) -> float | None:
        """None when it was acknowledged, else seconds until the next attempt."""
        request = self._publish(self.reader, letter(number, size_bytes), key)
        try:
            answer = await self._http.post(
                self._base_url + request.path, content=request.content, headers=request.headers
            )
        except httpx2.TransportError as error:
            self._refusal = repr(error)
            return PAUSE_S
        if answer.status_code in request.positive:
            return None
        self._refusal = f"{answer.status_code} {answer.text[:200]}"
        named = answer.headers.get("retry-after", "")
        return float(named) if named.isdigit() else PAUSE_S
