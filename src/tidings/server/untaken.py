"""What all answers that their readers do not take hold of our memory, by address.

A page may have a megabyte, and a reader has some seconds before it is known to be too slow: one user with a thousand
connections would have a gigabyte held for them. So they have a share together, and who has waited longest gives way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tidings.server.config import UNTAKEN_BY_PROXIES_MAX_BYTES, UNTAKEN_PER_ADDRESS_MAX_BYTES


class Untaken:
    """The connections whose reader takes less than is written, in the order in which they began to.

    The name is that of the peer's address; empty for those of trusted proxies, which have one share together.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, dict[object, tuple[int, Callable[[], None]]]] = {}
        self._size_bytes: Counter[str] = Counter()

    def add(self, name: str, connection: object, size_bytes: int, end: Callable[[], None]) -> None:
        """So much lies unsent for a connection; ``end`` is called when it has to give way, perhaps at once."""
        self._waiting.setdefault(name, {})[connection] = size_bytes, end
        self._size_bytes[name] += size_bytes
        share_bytes = UNTAKEN_PER_ADDRESS_MAX_BYTES if name else UNTAKEN_BY_PROXIES_MAX_BYTES
        while self._size_bytes[name] > share_bytes:
            oldest = next(iter(self._waiting[name]))
            _size, give_way = self._waiting[name][oldest]
            self.remove(name, oldest)
            give_way()

    def remove(self, name: str, connection: object) -> None:
        """It has been taken, or the connection is gone; nothing if it does not wait."""
        waiting = self._waiting.get(name)
        if waiting is None or connection not in waiting:
            return
        self._size_bytes[name] -= waiting.pop(connection)[0]
        if not waiting:
            del self._waiting[name], self._size_bytes[name]
