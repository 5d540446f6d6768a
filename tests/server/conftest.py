"""Applications of other people for the tests of embedding, and commands that run for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.host import Host
from tests.server.shell import Tail


@pytest.fixture
def start_host(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    hosts: list[Host] = []

    def start(app: str, *options: str) -> Host:
        """One of ``hosts.py``, or ``module:name`` of another file beside it."""
        host = Host(tmp_path / app, app if ":" in app else f"hosts:{app}", *options)
        host.start()
        hosts.append(host)
        return host

    yield start
    for host in hosts:
        host.kill()


@pytest.fixture
def tails(tmp_path: Path) -> Iterator[Callable[..., Tail]]:
    """Start `tidings tail` with an environment and options; it ends with the test."""
    started: list[Tail] = []

    def start(env: dict[str, str], *options: str) -> Tail:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        started.append(Tail(directory, env, *options))
        return started[-1]

    yield start
    for tail in started:
        tail.process.kill()
        tail.process.wait()
