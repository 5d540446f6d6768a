"""The works that are measured, in the order of the table; each has a server of its own, newly started."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lab.benchmarks.peers import Peer, Running
from lab.benchmarks.works import catch_up, connect, fan_out, idle, message, receipt, storm
from lab.benchmarks.works.size import Size, Take


class Work(NamedTuple):
    """``measure`` takes figures at a running server.

    ``why_not`` says why a server has no part in it, ``why_not_all`` why it lacks some of the figures; or nothing.
    """

    name: str
    title: str
    measure: Callable[[Running, Size, Take], None]
    why_not: Callable[[Peer], str] = lambda peer: ""
    why_not_all: Callable[[Peer], str] = lambda peer: ""


WORKS = (
    Work("message", "Messages, as many as go", message.measure, why_not_all=message.why_not_all),
    Work("idle", "Idle streams, and messages beside them", idle.measure, why_not_all=idle.why_not_all),
    Work("connect", "Connecting", connect.measure),
    Work("storm", "All streams come back at once", storm.measure, why_not_all=storm.why_not_all),
    Work("receipt", "Receipts", receipt.measure, receipt.why_not),
    Work("catch_up", "Catching up", catch_up.measure, catch_up.why_not),
    Work("fan_out", "Micro-benchmark: one event to 1,000 streams of one user", fan_out.measure),
)
