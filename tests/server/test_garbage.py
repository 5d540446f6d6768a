"""An object that has ended is gone at once: full collections are made too rarely to be waited for (GC_THRESHOLDS)."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import uvicorn
import uvloop

from tidings.server.config import Config
from tidings.server.http.connection import Connections
from tidings.server.http.serve import served
from tidings.server.node import Node

SECRET = "a secret that only this test knows, in full"
DEADLINE_S = 20.0
EACH = 5


@pytest.fixture
def uncollected() -> Iterator[list[object]]:
    """Objects that a collection finds and counting references did not; filled by ``gc.collect``."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def request(method: str, path: str, user: str, body: bytes = b"") -> bytes:
    token = jwt.encode({"sub": user, "exp": int(time.time()) + 600}, SECRET, "HS256")
    head = f"{method} /api/message{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def converse(port: int, number: int) -> None:
    """A stream that gets a message, and is left; and the kept connection that sent it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("GET", "/sse/me", f"reader-{number}").replace(b"Content-Length: 0\r\n", b""))
    await reader.readuntil(b"caught_up")
    answers, sends = await asyncio.open_connection("127.0.0.1", port)
    sends.write(request("POST", "/send", f"writer-{number}", b'{"recipientId":"reader-%d","text":"hello"}' % number))
    await answers.readuntil(b"HTTP/1.1 201")
    await reader.readuntil(b"new_message")
    sends.transport.abort()
    writer.transport.abort()


@pytest.mark.parametrize("detached", [True, False], ids=["detached", "attached"])
def test_an_object_that_has_ended_waits_for_no_collection(
    uncollected: list[object], tmp_path: Path, detached: bool
) -> None:
    """Streams, logs and connections are freed when they end: what lived long would be collected never."""

    async def work() -> None:
        node = Node(Config(secret=SECRET, db=f"sqlite:///{tmp_path}/tidings.db", detached_streams=detached))
        await node.start()
        connections = Connections(node.config, node.metrics)
        settings = uvicorn.Config(served(node, {}), ws="none", lifespan="off", log_config=None)
        state = uvicorn.Server(settings).server_state
        listener = await asyncio.get_running_loop().create_server(
            lambda: connections(config=settings, server_state=state, app_state={}), "127.0.0.1", 0
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                for number in range(EACH):
                    await converse(listener.sockets[0].getsockname()[1], number)
                while state.connections or state.tasks or node.hub.stream_count:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0.01)
            gc.collect()
            ours = {type(each).__qualname__ for each in uncollected}
            assert set() == ours & {"Stream", "UserLog", "Rendered", "Detached", "Connection", "TCPTransport"}
        finally:
            listener.close()
            await node.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
