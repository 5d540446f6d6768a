"""An open stream that has left uvicorn: its socket, and nothing else.

An idle stream under ASGI keeps its task, its request and its parser for as long as it is open, some 10 KiB. None of
them is needed once the first bytes are out. So ``Connection.detach`` gives the socket to an object of a few words.

Rules
1. Only what cannot be mistaken is detached: ``GET`` over HTTP/1.1, the response begun and its bytes with the
   transport, no byte of another request seen. All else stays with uvicorn, which serves it as well, at its price.
2. A detached stream has the one way out that every stream has, ``Stream.leave``: called when the connection is lost.
3. The server does not listen to a client on a detached connection: nobody pipelines after an event stream.
4. Detaching reads attributes of uvicorn that are not its interface. ``detaching_works`` tries it at every start; where
   it fails, nothing is detached and the log says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import uvicorn
from starlette.types import Receive, Scope, Send

from tidings.server.http.peers import Peers
from tidings.server.live.frame import Frame
from tidings.server.own_connection import CONNECTION_EXTENSION, Piece, Reader

DETACH_TEST_MAX_S = 2.0  # one request over the loopback at the start takes a millisecond

log = logging.getLogger("tidings.detach")


class Detached(asyncio.Protocol):
    """The connection of one open stream, and nothing else."""

    __slots__ = ("_counted_as", "_peers", "_reader", "_transport", "_user", "_writable")

    def __init__(self, transport: asyncio.Transport, reader: Reader, peers: Peers, counted_as: str, user: str) -> None:
        self._transport: asyncio.Transport | None = transport  # until it is lost
        self._reader: Reader | None = reader  # until then too: they hold each other
        self._peers = peers
        self._counted_as = counted_as
        self._user = user
        self._writable: asyncio.Future[None] | None = None  # while the socket takes nothing

    async def put(self, piece: Piece) -> None:
        """Send it; waits only while the socket takes nothing."""
        while not self.write(piece):
            await self.writable()

    async def writable(self) -> None:
        """Return when the socket takes something, or is lost; at once if it does now."""
        if self._writable is not None:
            await self._writable

    def write(self, piece: Piece) -> bool:
        """Send it at once; False: the socket takes nothing now. True and nothing sent: the connection is lost."""
        if self._writable is not None:
            return False
        if self._transport is not None:
            self._transport.write(piece.chunk)
            if piece.is_last:
                self._transport.close()
        return True

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        """The socket's buffer is full: what is in it counts with all that this user's readers do not take."""
        loop = asyncio.get_running_loop()
        self._writable = loop.create_future()
        if self._transport is not None and self._reader is not None:
            # In the next turn: whoever has to give way may be the one who writes just now.
            give_way = partial(loop.call_soon, self._reader.abort, "slow_consumer")
            unsent_bytes = self._transport.get_write_buffer_size()
            self._peers.untaken.add(self, unsent_bytes, give_way, address=self._counted_as, user=self._user)

    def resume_writing(self) -> None:
        self._peers.untaken.remove(self)
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Nothing is due on this connection: what comes would wait for ever."""
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back, and let the stream leave, whoever ended the connection."""
        reader, self._reader, self._transport = self._reader, None, None
        self._peers.release(self._counted_as)
        if reader is not None:
            reader.leave()
        self.resume_writing()


class _Lost(asyncio.Event):
    def leave(self) -> None:
        self.set()

    def abort(self, _reason: str) -> None:
        """It reads all."""


async def detaching_works(connect: Callable[..., asyncio.Protocol]) -> bool:
    """Detach a response over a real socket, and read what arrives; where it fails the log says so.

    ``connect`` makes a connection, as uvicorn calls it.
    """
    try:
        async with asyncio.timeout(DETACH_TEST_MAX_S):
            arrived = await _detach_one(connect)
    except Exception:
        log.exception("trying to detach a stream failed with uvicorn %s", uvicorn.__version__)
        arrived = b""
    if arrived.partition(b"\r\n\r\n")[2] == b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n":
        return True
    log.warning("streams are not detached: it does not work here; each costs some 10 KiB more")
    return False


async def _detach_one(connect: Callable[..., asyncio.Protocol]) -> bytes:
    """Return the bytes that a client receives of a response that is detached after its first chunk."""
    lost = _Lost()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        detached = scope["extensions"][CONNECTION_EXTENSION].detach(lost)
        await detached.put(Frame(b"b", is_last=True))

    config = uvicorn.Config(application, ws="none", lifespan="off", log_config=None)
    state = uvicorn.Server(config).server_state
    listener = await asyncio.get_running_loop().create_server(
        lambda: connect(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            arrived = await reader.read()
            await lost.wait()
        finally:
            writer.transport.abort()
    finally:
        listener.close()
    return arrived
