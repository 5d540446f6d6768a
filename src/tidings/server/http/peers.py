"""The common accounts of one server's peers: connections by address, and what they do not take.

One address has at most ``connections_per_address_max`` connections. Trusted proxies are no address of anybody.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

from tidings.server.config import Config
from tidings.server.http.slow_answers import Untaken
from tidings.server.identity.address import Addresses
from tidings.server.metrics import Metrics

TELL_EVERY_S = 60.0  # an address with too many connections is one line in so long

log = logging.getLogger("tidings.connection")


class Peers:
    """The limits of each peer, the connections of each address, and a count of the peers that were ended, by reason."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self.request_wait_max_s = config.request_wait_max_s
        self.write_blocked_max_s = config.write_blocked_max_s
        self.may_detach = config.detached_streams
        self.untaken = Untaken()
        self._per_address_max = config.connections_per_address_max
        self._addresses = Addresses(config.trusted_proxies)
        self._metrics = metrics
        self._open: Counter[str] = Counter()
        self._tell_at = 0.0

    def admit(self, peer: str) -> str | None:
        """Count a connection of this peer, and tell under which name; None: it has too many. Empty: not counted."""
        name = self._addresses.name(peer)
        if name and self._open[name] >= self._per_address_max:
            self._refuse(name)
            return None
        if name:
            self._open[name] += 1
        return name

    def release(self, name: str) -> None:
        """One that was counted under this name has ended; nothing if it was not counted."""
        if name:
            self._open[name] -= 1
            if self._open[name] <= 0:
                del self._open[name]

    def ended(self, reason: str) -> None:
        """Count a connection that was ended for what its peer did."""
        self._metrics.connections_refused.labels(reason=reason).inc()

    def _refuse(self, name: str) -> None:
        self.ended("too_many")
        if time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + TELL_EVERY_S
            log.warning(
                "%s has %d connections, and more are refused; if it is a proxy, name it in trusted_proxies"
                " (TIDINGS_TRUSTED_PROXIES)",
                name,
                self._per_address_max,
            )
