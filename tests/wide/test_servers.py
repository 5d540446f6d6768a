"""Tidings in an application under servers that nobody here wrote: it works, and whatever ends them ends its streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import SERVERS, Served


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    served: list[Served] = []

    def start(server: str, app: str, *options: str) -> Served:
        host = Served(server, tmp_path, f"hosts:{app}", *options)
        host.start()
        served.append(host)
        return host

    yield start
    for host in served:
        host.kill()


@pytest.mark.parametrize("server", SERVERS)
def test_messages_arrive_live_and_caught_up(serve: Callable[..., Served], server: str) -> None:
    """With the heartbeat, under each server."""
    host = serve(server, "with_lifespan")
    ada, ben = host.person("ada"), host.person("ben")
    with ben.opens_stream().live() as stream:
        ada.sends(ben, "live")
        assert "live" == stream.until("new_message").data["text"]
        cursor = stream.frames[-1].id
        assert cursor == stream.until("heartbeat").data["cursor"]
    ada.sends(ben, "later")
    with ben.opens_stream(last_event_id=cursor) as stream:
        assert "later" == stream.until("new_message").data["text"]
