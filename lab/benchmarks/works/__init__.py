"""The works that are measured, in the order of the table; each has a server of its own, newly started."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from lab.benchmarks.peers import Peer, Running
from lab.benchmarks.works import catch_up, connect, fan_out, idle, message, nodes, receipt, storm
from lab.benchmarks.works.size import Size, Take


class Work(NamedTuple):
    """``measure`` takes figures at a running server.

    ``is_for``: which servers it is about. ``why_not`` says why one of them has no part in it, ``why_not_all`` why it
    lacks some of the figures; or nothing. ``shares_cpus``: server, load and database have all CPUs, and not one each.
    """

    name: str
    title: str
    measure: Callable[[Running, Size, Take], None]
    why_not: Callable[[Peer], str] = lambda peer: ""
    why_not_all: Callable[[Peer], str] = lambda peer: ""
    is_for: Callable[[Peer], bool] = lambda peer: peer.nodes == 0
    shares_cpus: bool = False

    def cpus(self) -> set[int]:
        """The CPUs of the load."""
        count = os.cpu_count() or 1
        return set(range(count)) if self.shares_cpus or count == 1 else {1}


WORKS = (
    Work("message", "Messages, as many as go", message.measure, why_not_all=message.why_not_all),
    Work("idle", "Idle streams, and messages beside them", idle.measure, why_not_all=idle.why_not_all),
    Work("connect", "Connecting", connect.measure),
    Work("storm", "All streams come back at once", storm.measure, why_not_all=storm.why_not_all),
    Work("receipt", "Receipts", receipt.measure, receipt.why_not),
    Work("catch_up", "Catching up", catch_up.measure, catch_up.why_not),
    Work("nodes", "Nodes on PostgreSQL", nodes.measure, is_for=nodes.is_for, shares_cpus=True),
    Work("fan_out", "Micro-benchmark: one event to 1,000 streams of one user", fan_out.measure),
)
