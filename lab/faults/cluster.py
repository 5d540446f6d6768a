"""Several nodes on one PostgreSQL, each in a process of its own, and the ways to break what is between them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx2

from lab import plain_http
from lab.crowd import UNLIMITED
from lab.faults.results import RUN
from lab.faults.rounds import Outcome
from lab.faults.traffic import HEARTBEAT_S, Traffic
from lab.nats import Nats
from lab.node import Node
from lab.postgres import USER, Postgres
from lab.process import PATIENCE_S, wait_for
from lab.proxy import Proxy

NODES = 3
KEPT_LOGS = RUN.with_name("fault-logs")  # of nodes that wrote what they should not
PEOPLE = 40
SENDS_PER_S = 60.0
BEFORE_S, AFTER_S = 3.0, 4.0  # of undisturbed traffic
DATABASE_URL = f"postgresql://{USER}@127.0.0.1:{{port}}/postgres"


class Cluster:
    """So many nodes on a database that is theirs; each reaches it through a proxy of its own where there are any.

    With a bus beside the database, each reaches that through a proxy of its own.
    """

    def __init__(
        self,
        directory: Path,
        database: Postgres,
        *,
        nodes: int = NODES,
        has_proxies: bool = False,
        bus: Nats | None = None,
        db: str | None = None,
        **limits: Any,
    ) -> None:
        self.directory = directory
        self.database = database
        self.bus = bus
        self._db = db  # a URL in place of that of the database
        self.proxies = [Proxy(("127.0.0.1", database.port)) for _ in range(nodes if has_proxies else 0)]
        self.bus_proxies = [Proxy(("127.0.0.1", bus.port)) for _ in range(nodes)] if bus else []
        limits = {**UNLIMITED, "heartbeat_interval_s": HEARTBEAT_S, "drain_window_s": 1, **limits}
        self.nodes = [Node(directory / f"node-{number}", **limits) for number in range(nodes)]
        self._leaving = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as leaving:
            for proxy in (*self.proxies, *self.bus_proxies):
                leaving.enter_context(proxy)
            if self.bus is not None:
                leaving.callback(self.bus.remove)
                self.bus.start()
            leaving.callback(self.database.remove)
            if self.database.process is None:
                self.database.start()
            ports = [proxy.port for proxy in self.proxies] or [self.database.port] * len(self.nodes)
            for node, port in zip(self.nodes, ports, strict=True):
                node.db = self._db or DATABASE_URL.format(port=port)
                leaving.callback(node.kill)
            for node, proxy in zip(self.nodes, self.bus_proxies, strict=False):
                node.limits["bus"] = f"nats://127.0.0.1:{proxy.port}"
            self.all_at_once(lambda node: node.start())
            self._leaving = leaving.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    def all_at_once(self, does: Callable[[Node], None], nodes: Sequence[Node] | None = None) -> None:
        """The same to each node, in the same moment."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(does, nodes or self.nodes))

    def ends_well(self, outcome: Outcome) -> None:
        """Every node is ready, stops when it is told to, and wrote no traceback; note those of which it is not so."""
        for node in self.nodes:
            wait_for(partial(is_ready, node), PATIENCE_S, f"{node.url} is ready")
            node.signal_stop()
        for number, node in enumerate(self.nodes):
            assert node.process is not None
            code = node.process.wait(PATIENCE_S)
            node.kill()
            outcome.expects(code == 0, f"node {number} ended with {code}")
            first = next((line for line in node.output.splitlines() if "Traceback" in line), None)
            outcome.expects(first is None, f"node {number} wrote a traceback, see {KEPT_LOGS}")
            if code != 0 or first:
                KEPT_LOGS.mkdir(parents=True, exist_ok=True)
                (KEPT_LOGS / f"{outcome.fault} {number}.txt").write_text(node.output)


Breaks = Callable[[Cluster], None]


def played(
    cluster: Cluster,
    name: str,
    breaks: Breaks,
    *,
    people: int = PEOPLE,
    sends_per_s: float = SENDS_PER_S,
    before_s: float = BEFORE_S,
    after_s: float = AFTER_S,
) -> Outcome:
    """Return what became of everything, on a cluster that runs."""
    outcome = Outcome(name, rounds=1)
    traffic = Traffic(cluster.nodes, people, sends_per_s)
    with traffic.runs():
        time.sleep(before_s)  # the load before it
        breaks(cluster)
        ended_at, acknowledged = time.monotonic(), traffic.acknowledged()
        time.sleep(after_s)  # and after it
        wait_for(lambda: traffic.acknowledged() > acknowledged, PATIENCE_S, "an acknowledged send after the end of it")
    traffic.note(outcome, ended_at)
    outcome.adds(traffic.judge())
    return outcome


def is_ready(node: Node) -> bool:
    """Whether a balancer would send anybody to it."""
    with contextlib.suppress(httpx2.TransportError):
        return plain_http.get(f"{node.url}/readyz", timeout=PATIENCE_S).status_code == 200
    return False


def killed(node: Node, away_s: float) -> None:
    """SIGKILL, and another one at its place after so long."""
    node.kill()
    time.sleep(away_s)  # the fault itself
    node.restart()


def stopped_for(node: Node, seconds: float) -> None:
    """SIGSTOP, and SIGCONT after so long."""
    os.kill(node.pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)  # the fault itself
    finally:
        os.kill(node.pid, signal.SIGCONT)
