"""The Python client behind a proxy that holds streams back: it polls, and leaves that again without a gap."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.certificate import make_certificate
from lab.node import Person
from lab.process import PATIENCE_S, wait_for
from lab.proxy import Proxy
from tidings.client import AsyncClient, Client, ConnectionState, machine

RETURN_MAX_S = 20.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that waits a tenth of what it waits otherwise, so that the tests do."""
    for name in ("MUTE_AFTER_MS", "POLL_INTERVAL_MS", "PROBE_INTERVAL_MS"):
        monkeypatch.setattr(machine, name, getattr(machine, name) / 10)


class Reader:
    """A feed that is read in a thread, by the client for threads or by that for tasks."""

    def __init__(self, url: str, token: str, cursor: str, *, is_async: bool) -> None:
        self.states: list[ConnectionState] = []
        self.texts: list[str] = []
        self.close: Callable[[], None] = lambda: None
        self._thread = threading.Thread(
            target=(lambda: asyncio.run(self._read_async(url, token, cursor)))
            if is_async
            else (lambda: self._read(url, token, cursor)),
            daemon=True,
        )
        self._thread.start()

    def _read(self, url: str, token: str, cursor: str) -> None:
        with Client(url, token) as client, client.events(cursor, on_state=self.states.append) as feed:
            self.close = feed.close
            self.texts.extend(event.message.text for event in feed if event.message)

    async def _read_async(self, url: str, token: str, cursor: str) -> None:
        loop = asyncio.get_running_loop()
        async with AsyncClient(url, token) as client, client.events(cursor, on_state=self.states.append) as feed:
            self.close = lambda: (asyncio.run_coroutine_threadsafe(feed.aclose(), loop), None)[1]
            async for event in feed:
                if event.message:
                    self.texts.append(event.message.text)

    @property
    def shows(self) -> str:
        return self.states[-1].status if self.states else ""

    def has(self, *texts: str) -> None:
        wait_for(lambda: self.texts == list(texts), what=f"{texts}: {self.texts} {self.states}")

    def ends(self) -> None:
        self.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def behind(alice: Person, bob: Person) -> Iterator[Proxy]:
    with Proxy(bob.node.address) as proxy:
        yield proxy


# shows: reliability/held-back
def test_where_streams_are_held_back_messages_come_by_polls_until_a_stream_comes_through(
    alice: Person, bob: Person, behind: Proxy, is_async: bool
) -> None:
    """Each once and in order, before, during and after; while polls work, probes of the stream do not show."""
    assert bob.token is not None
    behind.hold_streams()
    reader = Reader(behind.url, bob.token, bob.head(), is_async=is_async)
    wait_for(lambda: reader.shows == "polling", what=f"{reader.states}")
    alice.sends(bob, "1")
    alice.sends(bob, "2")
    reader.has("1", "2")
    told = len(reader.states)
    behind.restore()
    alice.sends(bob, "3")
    wait_for(lambda: reader.shows == "connected", RETURN_MAX_S, f"{reader.states}")
    alice.sends(bob, "4")
    reader.has("1", "2", "3", "4")
    assert ["connected"] == [state.status for state in reader.states[told:]]
    reader.ends()


def test_over_tls_too_what_says_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    """TLS takes the socket over: the connection that is shut down must be the one that is read."""
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    ends: list[bytes] = []

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=hold, args=(accepted,), daemon=True).start()

        def hold(accepted: socket.socket) -> None:
            head = b""
            try:
                with context.wrap_socket(accepted, server_side=True) as secured:
                    secured.settimeout(PATIENCE_S)
                    head = secured.recv(65536)
                    if b"/sse/" in head:
                        secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                    while secured.recv(65536):
                        pass
                    ends.append(head)
            except OSError:
                ends.append(head)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        reader = Reader(f"https://localhost:{listener.getsockname()[1]}", "x", "k-3-a", is_async=is_async)
        wait_for(lambda: any(state.reason == "mute" for state in reader.states), what=f"{reader.states}")
        wait_for(lambda: any(b"/sse/" in head for head in ends), 5, "the mute connection was closed")
        reader.ends()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)
