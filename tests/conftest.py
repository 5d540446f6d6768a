"""Nodes and people for every test.

`node` is one `tidings serve` with its default limits for the whole run; `alice`, `bob` and `carol` are users of it whom
no other test has met. A module that needs other limits starts a node of its own with `start_node`.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest

from lab.node import Node, Person

# No time limit for an example, nor for making one: how long that takes is the machine's business, and a busy one is no
# failure.
hypothesis.settings.register_profile("tidings", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tidings")

_number = itertools.count(1)

# A run in the background of a shell ignores SIGINT, one under nohup SIGHUP. Each program that a test starts would, too.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def stream_path(request: pytest.FixtureRequest) -> Iterator[None]:
    """How the nodes of a test hold their streams: detached, or as a test's parameter says."""
    Node.default_limits["detached_streams"] = getattr(request, "param", True)
    yield
    del Node.default_limits["detached_streams"]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory, stream_path: None) -> Iterator[Node]:
    """The node with default limits."""
    with Node(tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture(scope="module")
def start_node(tmp_path_factory: pytest.TempPathFactory, stream_path: None) -> Iterator[Callable[..., Node]]:
    """Start a node with limits of its own, e.g. `start_node(heartbeat_interval_s=0.5)`; it stops with the module."""
    nodes: list[Node] = []

    def start(**limits: Any) -> Node:
        node = Node(tmp_path_factory.mktemp("node"), **limits)
        node.start()
        nodes.append(node)
        return node

    yield start
    for node in nodes:
        node.stop()


@pytest.fixture
def alice(node: Node) -> Person:
    return node.person(f"alice-{next(_number)}")


@pytest.fixture
def bob(node: Node) -> Person:
    return node.person(f"bob-{next(_number)}")


@pytest.fixture
def carol(node: Node) -> Person:
    return node.person(f"carol-{next(_number)}")
