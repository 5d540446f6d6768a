"""Applications of other people for the tests of embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.host import Host


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
