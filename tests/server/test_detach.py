"""Which responses are detached from uvicorn, and what is left of them; over real sockets, in this process."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidings.server.config import Config
from tidings.server.http.connection import Connection, Connections
from tidings.server.http.detach import Detached, detaching_works
from tidings.server.live.frame import Frame
from tidings.server.metrics import Metrics
from tidings.server.own_connection import CONNECTION_EXTENSION

DEADLINE_S = 30.0
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
FIRST = {"type": "http.response.body", "body": b"first", "more_body": True}
LAST = {"type": "http.response.body", "body": b"last", "more_body": False}


class Served:
    """An application that tries to detach each of its responses, on a port of its own."""

    def __init__(self, start_first: bool) -> None:
        self.start_first = start_first
        self.tries: asyncio.Queue[Detached | None] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.connections: list[weakref.ref[Connection]] = []
        self.state = uvicorn.Server(uvicorn.Config(self, lifespan="off")).server_state
        self.port = 0

    def leave(self) -> None:
        """The reader of each detached response has gone."""
        self.lost.set()

    def abort(self, reason: str) -> None:
        """The reader of one takes too little."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Detach after the first bytes, or before them."""
        connection = scope["extensions"][CONNECTION_EXTENSION]
        self.connections.append(weakref.ref(connection))
        if self.start_first:
            await send(START)
            await send(FIRST)
        detached = connection.detach(self)
        self.tries.put_nowait(detached)
        if detached is None:
            if not self.start_first:
                await send(START)
            await send(LAST)


@asynccontextmanager
async def served(*, start_first: bool = True, detached_streams: bool = True) -> AsyncIterator[Served]:
    application = Served(start_first)
    connections = Connections(Config(detached_streams=detached_streams), Metrics())
    config = uvicorn.Config(application, ws="none", lifespan="off", log_config=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: connections(config=config, server_state=application.state, app_state={}), "127.0.0.1", 0
    )
    application.port = listener.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield application
    finally:
        listener.close()


@asynccontextmanager
async def asked(
    application: Served, request: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", application.port)
    try:
        writer.write(request)
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


def test_a_detached_response_goes_on_and_nothing_of_the_request_stays() -> None:
    """Without a collection: what held each other has let go. The client reads one whole response."""

    async def work() -> None:
        async with served() as application, asked(application, GET) as (reader, _):
            detached = await application.tries.get()
            assert detached is not None
            await detached.put(Frame(b"second"))
            assert (await reader.readuntil(b"second\r\n")).endswith(b"5\r\nfirst\r\n6\r\nsecond\r\n")
            assert application.connections[0]() is None
            assert not application.state.connections
            assert not application.state.tasks
            await detached.put(Frame(b"last", is_last=True))
            assert b"4\r\nlast\r\n0\r\n\r\n" == await reader.read()
            await application.lost.wait()

    gc.disable()
    try:
        run(work)
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n",
        GET + GET,
        GET + b"G",
    ],
    ids=["HTTP/1.0", "HEAD", "POST", "a body", "a body to come", "pipelined", "pipelined in part"],
)
def test_a_response_that_could_be_mistaken_stays_with_uvicorn(request_bytes: bytes) -> None:
    """And is answered in full."""

    async def work() -> None:
        async with served() as application, asked(application, request_bytes) as (reader, _):
            assert await application.tries.get() is None
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            if not request_bytes.startswith(b"HEAD"):
                await reader.readuntil(b"last")

    run(work)


def test_a_response_not_yet_begun_is_not_detached() -> None:
    """Its head would never be written."""

    async def work() -> None:
        async with served(start_first=False) as application, asked(application, GET) as (reader, _):
            assert await application.tries.get() is None
            await reader.readuntil(b"4\r\nlast\r\n0\r\n\r\n")

    run(work)


def test_a_client_that_talks_on_a_detached_connection_is_cut() -> None:
    """Another request would wait for ever behind a stream."""

    async def work() -> None:
        async with served() as application, asked(application, GET) as (reader, writer):
            assert await application.tries.get() is not None
            await reader.readuntil(b"first\r\n")
            writer.write(GET)
            await application.lost.wait()

    run(work)


def test_a_full_socket_makes_a_detached_send_wait() -> None:
    """And what waited arrives whole once the reader reads; a lost connection lets it go."""

    async def work() -> None:
        async with served() as application, asked(application, GET) as (reader, writer):
            detached = await application.tries.get()
            assert detached is not None
            block = b"x" * 1_000_000

            async def fill() -> None:
                for _ in range(40):
                    await detached.put(Frame(block))

            filling = asyncio.create_task(fill())
            assert (set(), {filling}) == await asyncio.wait({filling}, timeout=0.2)
            total = 0
            while total < 40 * len(block):
                total += (await reader.read(1_000_000)).count(b"x")
            await filling
            filling = asyncio.create_task(fill())
            assert (set(), {filling}) == await asyncio.wait({filling}, timeout=0.2)
            writer.transport.abort()
            await filling
            assert application.lost.is_set()

    run(work)


def test_a_server_that_detaches_nothing_serves_the_same() -> None:
    """The setting `detached_streams` switches this off."""

    async def work() -> None:
        async with served(detached_streams=False) as application, asked(application, GET) as (reader, _):
            assert await application.tries.get() is None
            await reader.readuntil(b"5\r\nfirst\r\n4\r\nlast\r\n0\r\n\r\n")

    run(work)


def test_the_start_tries_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It works here; with a uvicorn that lacks what is used, the log says so and nothing is detached."""
    results: list[bool] = []

    async def work() -> None:
        results.append(await detaching_works(Connections(Config(), Metrics())))

    run(work)
    monkeypatch.delattr(HttpToolsProtocol, "_unset_keepalive_if_required")
    with caplog.at_level(logging.WARNING):
        run(work)
    assert [True, False] == results
    assert "streams are not detached" in caplog.text
