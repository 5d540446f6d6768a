"""Our own clients over networks that break: each message once, in order, on every device (I4)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from lab.client_build import build_client
from lab.crowd import UNLIMITED
from lab.faults.networks import broken_network
from lab.node import Node
from lab.proxy import Proxy

EACH_S = 0.7


def shaken(proxy: Proxy) -> None:
    """One fault after the other."""
    kinds: tuple[Callable[[], None], ...] = (
        lambda: proxy.end_open("close"),
        lambda: proxy.trickle(1),
        proxy.refuse,
        proxy.lose_post_replies,
        lambda: proxy.stall(up=False),
        lambda: proxy.end_open("reset"),
    )
    for breaks in kinds:
        breaks()
        time.sleep(EACH_S)  # the fault itself
        proxy.restore()


# shows: reliability/network-cut, faults/networks
def test_both_clients_get_every_message_once_over_a_network_that_breaks_again_and_again(tmp_path: Path) -> None:
    """The Python client writes; it and the package for JavaScript read on two devices of one user, through a network
    that is cut, trickles, refuses, loses answers, stalls and resets. PROTOCOL 17.0.1, 6.1.5, 9.0.13
    """
    with Node(tmp_path / "node", heartbeat_interval_s=1, **UNLIMITED) as node:
        outcome = broken_network(node, build_client(tmp_path / "client"), "shaken", shaken, 0)
        assert outcome.holds, outcome
