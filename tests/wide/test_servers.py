"""Tidings in an application under servers that nobody here wrote: it works, and whatever ends them ends its streams."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from lab.node import Person, Stream
from lab.process import PATIENCE_S, START_DEADLINE_S, wait_for
from tests.wide.servers import SERVERS, Served

REQUESTS_MAX = 20  # of one worker, where a server has such a limit
RECYCLED = {
    "uvicorn": ["--limit-max-requests", f"{REQUESTS_MAX}"],
    "gunicorn": ["--max-requests", f"{REQUESTS_MAX}"],
    "gunicorn-asgi": ["--max-requests", f"{REQUESTS_MAX}"],
    "hypercorn": ["--max-requests", f"{REQUESTS_MAX}"],
}


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


def hears_goodbye(stream: Stream) -> None:
    """It ends as PROTOCOL.md 15 has it."""
    assert "draining" == stream.until("goodbye").data["reason"]
    stream.to_end()
    assert "clean" == stream.ended


def sends_again(sender: Person, deadline_s: float) -> None:
    """Somebody serves: a send is acknowledged."""

    def sent() -> bool:
        try:
            return sender.posts("/send", {"recipientId": "ben", "text": "again"}).status_code == 201
        except httpx2.TransportError:
            return False

    wait_for(sent, deadline_s, "a send that is acknowledged")


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


@pytest.mark.parametrize("app", ["with_lifespan", "mounted"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_signal_to_the_main_process_ends_streams_with_goodbye(
    serve: Callable[..., Served], server: str, app: str
) -> None:
    """Whichever process has the streams, and however it hears of it: lifespan events or none. PROTOCOL 15.0.10"""
    host = serve(server, app)
    streams = [host.person("ben").opens_stream().live() for _ in range(3)]
    assert host.process is not None
    host.process.send_signal(signal.SIGTERM)
    for stream in streams:
        hears_goodbye(stream)
    host.process.wait(PATIENCE_S)


@pytest.mark.parametrize("app", ["with_lifespan", "mounted"])
@pytest.mark.parametrize("server", RECYCLED)
def test_a_worker_that_has_served_enough_ends_its_streams_and_goes(
    serve: Callable[..., Served], server: str, app: str
) -> None:
    """No signal comes. Its streams hear goodbye, and the next worker, where there is one, serves. PROTOCOL 15.0.10"""
    host = serve(server, app, *RECYCLED[server])
    ada, ben = host.person("ada"), host.person("ben")
    streams = [ben.opens_stream().live() for _ in range(3)]
    for number in range(REQUESTS_MAX):
        try:
            answer = ada.posts("/send", {"recipientId": "ben", "text": f"{number}"})
        except httpx2.TransportError:
            break
        if answer.status_code != 201:
            break
    for stream in streams:
        hears_goodbye(stream)
    if server == "uvicorn":
        assert host.process is not None
        host.process.wait(PATIENCE_S)
    else:
        sends_again(ada, START_DEADLINE_S)


@pytest.mark.parametrize("server", ["gunicorn", "gunicorn-asgi", "granian"])
def test_a_reload_of_the_workers_ends_their_streams_with_goodbye(serve: Callable[..., Served], server: str) -> None:
    """SIGHUP to the main process, as for a new configuration: the next worker serves. PROTOCOL 15.0.10"""
    host = serve(server, "mounted")
    ada, ben = host.person("ada"), host.person("ben")
    stream = ben.opens_stream().live()
    assert host.process is not None
    host.process.send_signal(signal.SIGHUP)
    hears_goodbye(stream)
    sends_again(ada, START_DEADLINE_S)
