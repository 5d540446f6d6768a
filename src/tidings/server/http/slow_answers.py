"""The bytes that readers do not take and that therefore lie in our memory, by user and by address.

A page may have a megabyte, and a reader has some seconds before it is known to be too slow: one user with a thousand
connections would have a gigabyte held for them. So they have a share together, whoever carries it (answers and
streams, straight or through a proxy), and who has waited longest gives way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

UNTAKEN_PER_USER_MAX_BYTES = 8 << 20  # of answers and streams that a user's readers do not take; eight whole pages
UNTAKEN_PER_ADDRESS_MAX_BYTES = 32 << 20  # likewise of an address; an office at once
UNTAKEN_BY_PROXIES_MAX_BYTES = 256 << 20  # likewise of all trusted proxies together; most take at once whatever comes


class _Share:
    """The answers that wait within one share, in the order in which they began to."""

    __slots__ = ("most_bytes", "size_bytes", "waiting")

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.size_bytes = 0
        self.waiting: dict[object, None] = {}


class _Waiting(NamedTuple):
    size_bytes: int
    end: Callable[[], object]
    shares: tuple[tuple[str, str], ...]


class Untaken:
    """The connections whose reader takes less than is written.

    The address is empty for those of trusted proxies, which have one share together; the user where nobody is known.
    """

    def __init__(self) -> None:
        self._waiting: dict[object, _Waiting] = {}
        self._shares: dict[tuple[str, str], _Share] = {}

    def add(self, connection: object, size_bytes: int, end: Callable[[], object], *, address: str, user: str) -> None:
        """So much lies unsent for a connection; ``end`` is called when it has to give way, perhaps at once."""
        shares = {("address", address): UNTAKEN_PER_ADDRESS_MAX_BYTES if address else UNTAKEN_BY_PROXIES_MAX_BYTES}
        if user:
            shares["user", user] = UNTAKEN_PER_USER_MAX_BYTES
        self._waiting[connection] = _Waiting(size_bytes, end, tuple(shares))
        for name, most_bytes in shares.items():
            share = self._shares.setdefault(name, _Share(most_bytes))
            share.waiting[connection] = None
            share.size_bytes += size_bytes
        for name in shares:
            while (held := self._shares.get(name)) is not None and held.size_bytes > held.most_bytes:
                oldest = next(iter(held.waiting))
                give_way = self._waiting[oldest].end
                self.remove(oldest)
                give_way()

    def remove(self, connection: object) -> None:
        """It has been taken, or the connection is gone; nothing if it does not wait."""
        waiting = self._waiting.pop(connection, None)
        if waiting is None:
            return
        for name in waiting.shares:
            share = self._shares[name]
            share.size_bytes -= waiting.size_bytes
            del share.waiting[connection]
            if not share.waiting:
                del self._shares[name]
