"""Nodes and people for every test.

`node` is one `tidings serve` with its default limits for the whole run; `alice`, `bob` and `carol` are users of it whom
no other test has met. A module that needs other limits starts a node of its own with `start_node`.

The option `--deployment` says what these nodes stand on: any test of the wire can be asked on another one. Where it
cannot hold, its mark `not_on` says why, and pytest leaves it out.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest

from lab.deployment import DEPLOYMENTS, SQLITE
from lab.node import Node, Person
from tests.groups import group_of, place_of

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--deployment", choices=DEPLOYMENTS, default=SQLITE.name, help="what the nodes of the tests stand on"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let nodes that are started for a test be as its parameters say.

    A fixture of the session would leave the last test's for the tests of the next file.
    """
    Node.deployment = DEPLOYMENTS[deployment_of(item)]
    Node.default_limits["detached_streams"] = _parameter(item, "stream_path", True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that cannot hold on their deployment, and begin with those that take longest."""
    items.sort(key=lambda item: place_of(item.nodeid))
    out = [item for item in items if any(deployment_of(item) in mark.args for mark in item.iter_markers("not_on"))]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Give each worker one group after the other."""
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    assert callable(scheduler._split_scope), "pytest-xdist asks for the group of a test by another name"
    scheduler._split_scope = group_of
    return scheduler


def deployment_of(item: pytest.Item) -> str:
    """The name of what the nodes of a test stand on."""
    return str(_parameter(item, "deployment", item.config.getoption("--deployment")))


def _parameter(item: pytest.Item, name: str, default: object) -> object:
    if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        return item.callspec.params.get(name, default)
    return default


@pytest.fixture(scope="session", autouse=True)
def deployment() -> None:
    """Stand for the parameter of this name; nodes that outlive a test begin anew where it changes."""


@pytest.fixture(scope="session")
def stream_path() -> None:
    """Likewise: whether the server detaches streams."""


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory, stream_path: None, deployment: None) -> Iterator[Node]:
    """The node with default limits."""
    with Node(tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture(scope="module")
def start_node(
    tmp_path_factory: pytest.TempPathFactory, stream_path: None, deployment: None
) -> Iterator[Callable[..., Node]]:
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
