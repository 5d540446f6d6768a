"""Two hundred of our own clients, as published, when their node is restarted or killed under them."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.client_build import build_client
from lab.crowd import UNLIMITED
from lab.javascript import JavaScript
from lab.node import Node
from lab.process import wait_for

CLIENTS = 200
WINDOW_S = 4.0
SPREAD_S = 2.5
"""Between the 10th and the 90th percentile of those who come back after a drain."""
RETURN_DEADLINE_S = 45.0

PROGRAM = """
    import { RealtimeService } from "./index.js";
    const tell = (said) => process.stdout.write(JSON.stringify(said) + "\\n");
    for (const [user, token] of Object.entries(JSON.parse(process.env.TOKENS))) {
      const service = new RealtimeService({
        url: process.env.API_URL, getToken: () => token, storage: "memory", shareStream: false,
      });
      service.on("connected", () => tell({ user, connected: true }));
      service.on("message", ({ text }) => tell({ user, text }));
      service.connect(user);
    }
"""


class Crowd:
    """The clients, in one Node process; what they tell is kept with the time at which it came."""

    def __init__(self, build: Path, node: Node) -> None:
        self.people = [node.person(f"user-{number}") for number in range(CLIENTS)]
        tokens = {person.id: person.token for person in self.people}
        self._told: list[tuple[float, dict[str, Any]]] = []
        variables = {"API_URL": f"{node.url}/api/message", "TOKENS": json.dumps(tokens)}
        self._program = JavaScript(build, PROGRAM, variables, lambda told: self._told.append((time.monotonic(), told)))

    def close(self) -> None:
        self._program.close()

    def connected_since(self, since: float) -> dict[str, float]:
        """When each client that connected after `since` first did, in seconds after it."""
        first: dict[str, float] = {}
        for at, told in list(self._told):
            if "connected" in told and at > since:
                first.setdefault(told["user"], at - since)
        return first

    def all_come_back(self, since: float) -> list[float]:
        wait_for(lambda: len(self.connected_since(since)) == CLIENTS, RETURN_DEADLINE_S, "all clients connected")
        return sorted(self.connected_since(since).values())

    def texts(self) -> Counter[tuple[str, str]]:
        return Counter((told["user"], told["text"]) for _at, told in list(self._told) if "text" in told)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_client(tmp_path_factory.mktemp("client"))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    window = {"drain_window_s": WINDOW_S, "drain_streams_per_s": CLIENTS / WINDOW_S}
    with Node(tmp_path, **{**UNLIMITED, **window}) as node:
        yield node


@pytest.fixture
def crowd(build: Path, node: Node) -> Iterator[Crowd]:
    crowd = Crowd(build, node)
    crowd.all_come_back(0.0)
    yield crowd
    crowd.close()


def everybody_hears(crowd: Crowd, node: Node, *texts: str) -> None:
    """Each of these messages, sent to each of them, arrives once: lost 0, doubled 0."""
    expected = Counter({(person.id, text): 1 for person in crowd.people for text in texts})
    wait_for(lambda: not expected - crowd.texts(), RETURN_DEADLINE_S, "every message at every client")
    assert expected == crowd.texts()


# shows: reliability/restart
def test_after_a_drain_they_come_back_spread_and_have_missed_nothing(node: Node, crowd: Crowd) -> None:
    """Each was called back at a time of its own; no heap before the new process, none after it. PROTOCOL 15.0.2"""
    herald = node.person("herald")
    for person in crowd.people:
        herald.sends(person, "before")
    began = time.monotonic()
    node.stop()
    node.restart()
    for person in crowd.people:
        herald.sends(person, "meanwhile")
    returned = crowd.all_come_back(began)

    tenths = statistics.quantiles(returned, n=10)
    assert tenths[8] - tenths[0] >= SPREAD_S, f"they came back in a heap: {tenths}"
    everybody_hears(crowd, node, "before", "meanwhile")


# shows: reliability/kill
def test_after_a_kill_all_come_back_and_have_missed_nothing(node: Node, crowd: Crowd) -> None:
    """Nobody was told anything: the backoff's randomness keeps them apart, and the log has what they missed."""
    herald = node.person("herald")
    for person in crowd.people:
        herald.sends(person, "before")
    began = time.monotonic()
    node.kill()
    node.restart()
    for person in crowd.people:
        herald.sends(person, "meanwhile")
    crowd.all_come_back(began)
    everybody_hears(crowd, node, "before", "meanwhile")
