"""The tests of the wire run on more than one system.

Those of streams run where the server detaches them, and where uvicorn holds them to their end. A part of all runs on
PostgreSQL as well, and on two nodes, where each request goes to the other one than the request before. All of them run
on what `--deployment` names: `make contract DEPLOYMENT=two-nodes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.deployment import SQLITE
from tests.contract.mounted import Host

ASKED_TWICE = {"drain", "limits", "presence", "receipts", "stream"}

# What a second engine or a second process could do wrong, and little time: what waits for timers is not here.
ALSO_ON = {"postgres": {"history", "receipts", "send"}, "two-nodes": {"block", "events", "key_revocation", "presence"}}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Say over which paths and on which deployments the tests of a module run."""
    module = metafunc.module.__name__.rpartition(".")[2]
    if not module.startswith("test_protocol_"):
        return
    name = module.removeprefix("test_protocol_")
    asked = metafunc.config.getoption("--deployment")
    ways = {"detached": (True, asked), "attached": (False, asked)} if name in ASKED_TWICE else {asked: (True, asked)}
    if asked == SQLITE.name:
        ways |= {other: (True, other) for other, modules in ALSO_ON.items() if name in modules}
    if len(ways) > 1:
        metafunc.fixturenames.append("stream_path")
        metafunc.parametrize(("stream_path", "deployment"), ways.values(), ids=ways, indirect=True, scope="session")


@pytest.fixture
def start_host(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Start an application with these settings, and functions of the host in place of its own."""
    started: list[Host] = []

    def start(functions: dict[str, Any] | None = None, **settings: Any) -> Host:
        host = Host(tmp_path / f"{len(started)}.db", settings, functions or {})
        host.client.__enter__()
        started.append(host)
        return host

    yield start
    for host in started:
        host.client.__exit__(None, None, None)
