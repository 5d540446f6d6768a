"""The caller of a request, and callers that are known by their token already."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import msgspec

from tidings.protocol.user_id import UserId
from tidings.server.identity.rates import RateLimit
from tidings.server.store import ServiceKey

CALLER = "tidings.caller"  # in the scope of a request: the user who was known, for the line of a refusal
KEY_NAME = "tidings.key"  # likewise the name of the service key by which a program came


class Caller(msgspec.Struct, frozen=True, gc=False):
    """A caller, with the end and the beginning of what is known of it.

    ``expires_at``: seconds since 1970; None: for as long as the stream lives. ``known_at``: what is older than a
    revocation counts no more; seconds of the clock of whoever told. ``key``: by which a program of the host's came.
    """

    user: UserId
    expires_at: float | None
    known_at: float
    key: ServiceKey | None = None

    def take(self, rate: RateLimit) -> None:
        """Take one from the caller's bucket. A service key has a rate of its own, which was taken as it came.

        Raises:
            TooManyRequests: It is empty.
        """
        if self.key is None:
            rate.take(self.user)


class RecentCallers:
    """Callers by the hash of their token, the most recent ones: at least half of ``most``, and never more.

    Two plain halves, of which the older one is forgotten when the younger is full: an entry of an ordered dictionary
    takes 80 bytes more, and there is one for each open stream.
    """

    def __init__(self, most: int) -> None:
        self._half = most // 2
        self._young: dict[bytes, Caller] = {}
        self._old: dict[bytes, Caller] = {}

    def get(self, digest: bytes) -> Caller | None:
        """The caller, or None for a token not seen before, or long ago."""
        known = self._young.get(digest)
        if known is None and (known := self._old.pop(digest, None)) is not None:
            self.add(digest, known)
        return known

    def add(self, digest: bytes, caller: Caller) -> None:
        """Keep the caller of this token; the older half is forgotten when there is no more room."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[digest] = caller

    def __iter__(self) -> Iterator[Caller]:
        """Yield every caller that is known."""
        return chain(self._old.values(), self._young.values())

    def clear(self) -> None:
        self._old.clear()
        self._young.clear()
