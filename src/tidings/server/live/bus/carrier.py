"""The parts that every bus has: what waits to be sent, the seal on it, and whether it is up, with a line for a change.

Strangers may reach a bus: on NATS, and as another role of the database. Each parcel is sealed with a key that only a
reader of our tables knows: what they publish is none of ours, and counts as a parcel that cannot be read.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections import deque

QUEUE_MAX = 1_000  # parcels that wait to be sent; beyond, the oldest is dropped, and the number tells
FAREWELL_WAIT_MAX_S = 0.5  # for the last parcels of a node that stops

SEAL_SIZE_BYTES = 32  # in hexadecimal digits, since a notification is text
READ_KEY = "SELECT key FROM TIDINGS.bus"

log = logging.getLogger("tidings.bus")


class Outgoing:
    """Parcels that wait to be sent."""

    def __init__(self) -> None:
        self._bodies: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self.dropped = 0

    def add(self, body: bytes) -> None:
        if len(self._bodies) >= QUEUE_MAX:
            self._bodies.popleft()
            self.dropped += 1
        self._bodies.append(body)
        self._wake.set()

    async def take(self, most: int) -> list[bytes]:
        """Return so many when there is one, without waiting for more."""
        while not self._bodies:
            self._wake.clear()
            await self._wake.wait()
        return self.rest(most)

    def rest(self, most: int) -> list[bytes]:
        """Likewise, if there are any."""
        return [self._bodies.popleft() for _ in range(min(most, len(self._bodies)))]


class Seal:
    """The seal of the nodes of a database."""

    def __init__(self, key: str) -> None:
        self._key = hashlib.sha256(key.encode()).digest()

    def close(self, body: bytes) -> bytes:
        """A parcel as it is carried."""
        return self._of(body) + body

    def open(self, data: bytes) -> bytes:
        """The parcel, or nothing where none of our nodes sealed it."""
        body = data[SEAL_SIZE_BYTES:]
        return body if hmac.compare_digest(self._of(body), data[:SEAL_SIZE_BYTES]) else b""

    def _of(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, key=self._key, digest_size=SEAL_SIZE_BYTES // 2).hexdigest().encode()


class State:
    """Whether hints come."""

    def __init__(self) -> None:
        self.trouble = "it is not connected yet"
        self._is_known = False

    def note(self, trouble: str) -> bool:
        """Know the trouble, or that there is none; whether it comes back by that."""
        changed = bool(trouble) != bool(self.trouble) or not self._is_known
        self.trouble, self._is_known = trouble, True
        if changed and trouble:
            log.warning("the bus is down: %s", trouble)
        elif changed:
            log.info("the bus is up")
        return changed and not trouble
