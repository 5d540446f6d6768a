"""The network between the page and the nodes: a TCP proxy that breaks as it is told, and only then.

It passes bytes and never makes any up. A fault of a person holds for the requests of that person (``exchange``), on
open connections and new ones alike:

- refuse: the listener is closed and open connections are reset, as when the server's machine is gone (everybody only);
- reset: open connections are reset, and new ones as soon as it is known whose request it is;
- stall: nothing moves and nobody is told, not even that a connection has ended;
- lose_replies: a POST reaches the server; in place of its answer the connection is reset;
- delay: each part arrives so much later, both ways;
- buffer: an event stream's bytes are held until it ends or the buffer is full; streams that are open are reset first.

Each connection goes to the next node that listens, whoever's it is. While there is none the listener is closed, too: a
page cannot tell that there is something in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from typing import Literal, NamedTuple

from tidings.errors import ConfigurationError, NotNow
from tidings.server.demo.exchange import Exchange, Requests
from tidings.server.demo.fault import Conditions, Fault, Faults
from tidings.server.demo.limits import PARTS_ON_THE_WAY_MAX, READ_SIZE_BYTES, STREAM_HELD_MAX_BYTES
from tidings.server.demo.supervisor import Address
from tidings.server.http.listen import listen

log = logging.getLogger("tidings.demo")

BACKLOG = 1024
LISTEN_AGAIN_S = 0.2  # somebody else may have the port for a moment
END_OF_CHUNKS = b"0\r\n\r\n"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Direction = Literal["up", "down"]


class Part(NamedTuple):
    """Bytes on their way, and when they arrive by the loop's clock; no bytes are the end of the direction."""

    arrives_at: float
    data: bytes


class Proxy:
    """Passes connections from `listener` to the nodes that listen, in turn."""

    def __init__(self, listener: socket.socket, faults: Faults) -> None:
        self.host, self.port = listener.getsockname()[:2]
        self.faults = faults
        self._targets: dict[int, Address] = {}  # by the number of the node; the next one first
        self.lost_replies = 0
        self._listener: socket.socket | None = listener
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._changed = asyncio.Event()
        self._opening = asyncio.Lock()
        self._turning: set[asyncio.Task[None]] = set()
        faults.changed = self._apply

    async def serve(self, node: int, target: Address | None) -> None:
        """Pass connections to this node from now on; None: it is gone."""
        self._targets.pop(node, None)
        if target is not None:
            self._targets[node] = target
        await self._open_or_close()

    def next_node(self) -> tuple[int, Address]:
        """The node that has waited longest for a connection, and its address.

        Raises:
            ConnectionResetError: There is none.
        """
        if not self._targets:
            raise ConnectionResetError
        node = next(iter(self._targets))
        target = self._targets[node] = self._targets.pop(node)
        return node, target

    def streams(self) -> dict[int, set[str]]:
        """The people whose streams each node has."""
        found: dict[int, set[str]] = {}
        for connection in self._connections:
            if connection.node is not None and (user := connection.stream_of) is not None:
                found.setdefault(connection.node, set()).add(user)
        return found

    async def close(self) -> None:
        """Accept nothing any more and end what is open."""
        self._targets.clear()
        await self._open_or_close()
        for connection in list(self._connections):
            connection.abort()
        if self._listener is not None:
            self._listener.close()

    def _apply(self, begun: Fault | None) -> None:
        for connection in list(self._connections):
            if begun is not None and connection.is_cut_by(begun):
                connection.abort()
        self._changed.set()
        self._changed = asyncio.Event()
        turning = asyncio.get_running_loop().create_task(self._open_or_close())
        self._turning.add(turning)
        turning.add_done_callback(self._turning.discard)

    @property
    def _accepts(self) -> bool:
        return bool(self._targets) and not self.faults.refuses_everybody

    async def _open_or_close(self) -> None:
        async with self._opening:
            while self._accepts and self._server is None:
                try:
                    listener, self._listener = self._listener or listen(self.host, self.port, "--port")[0], None
                    self._server = await asyncio.start_server(self._accepted, sock=listener, backlog=BACKLOG)
                except (OSError, ConfigurationError, NotNow) as failure:
                    log.warning("%s; trying again", failure)
                    await asyncio.sleep(LISTEN_AGAIN_S)
            if not self._accepts and self._server is not None:
                self._server.close()
                self._server = None

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def until_changed(self) -> None:
        """Wait until another fault holds, or one less."""
        await self._changed.wait()


class _Connection:
    """One client's connection, and its other half to the server."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._client = writer
        self._server: asyncio.StreamWriter | None = None
        self.node: int | None = None
        self._requests = Requests()
        self._over: Exchange | None = None  # a stream that has ended, on a connection that has not
        self._held = b""
        self._ends_by_reset = False
        self._passing = asyncio.get_running_loop().create_task(self._pass_both_ways())

    @property
    def stream_of(self) -> str | None:
        """The person whose stream passes here now."""
        now = self._requests.current
        return now.user if now.is_stream and now is not self._over else None

    def is_cut_by(self, fault: Fault) -> bool:
        """Whether this fault, which has just begun, ends this connection."""
        now = self._requests.current
        concerned = fault.user is None or fault.user == now.user
        return concerned and (fault.kind in ("refuse", "reset") or (fault.kind == "buffer" and now.is_stream))

    def abort(self) -> None:
        """End both halves with a reset, whatever is under way."""
        self._ends_by_reset = True
        self._passing.cancel()

    async def run(self) -> None:
        """Pass bytes both ways until one side ends both, or the proxy is told to."""
        try:
            await asyncio.wait({self._passing})
        finally:
            self._passing.cancel()
            # Either side was reset, or the server is gone: the other side is reset.
            if not self._passing.done() or self._passing.cancelled() or self._passing.exception() is not None:
                self._ends_by_reset = True
            self._close()

    def _close(self) -> None:
        for writer in (self._client, self._server):
            if writer is None:
                continue
            if self._ends_by_reset:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                writer.transport.abort()
            writer.close()

    async def _pass_both_ways(self) -> None:
        self.node, target = self._proxy.next_node()
        from_server, self._server = await asyncio.open_connection(*target)
        async with asyncio.TaskGroup() as tasks:
            up = tasks.create_task(self._pass("up", self._reader, self._server))
            await self._pass("down", from_server, self._client)
            up.cancel()

    async def _pass(self, way: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        parts: asyncio.Queue[Part] = asyncio.Queue(PARTS_ON_THE_WAY_MAX)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take(way, source, parts))
            await self._give(way, parts, sink)

    async def _take(self, way: Direction, source: asyncio.StreamReader, parts: asyncio.Queue[Part]) -> None:
        """Put what comes into `parts`."""
        loop = asyncio.get_running_loop()
        while True:
            data = await source.read(READ_SIZE_BYTES)
            passed = self._requests.feed(data) if way == "up" and data else data
            if passed or not data:
                await parts.put(Part(loop.time() + self._conditions.delay_s, passed))
            if not data:
                return

    async def _give(self, way: Direction, parts: asyncio.Queue[Part], sink: asyncio.StreamWriter) -> None:
        """Write what is in `parts` when it is due, as far as the faults allow."""
        loop = asyncio.get_running_loop()
        while True:
            part = await self._next(parts)
            if part is not None:
                await asyncio.sleep(max(0.0, part.arrives_at - loop.time()))
            conditions = await self._unstalled()
            if conditions.cut is not None:
                raise ConnectionResetError
            data = part.data if part is not None else b""
            is_over = part is not None and not data
            passed = data if way == "up" else self._fall(data, is_over, conditions)
            if passed:
                sink.write(passed)
                await sink.drain()
            if is_over:
                sink.write_eof()
                return

    async def _next(self, parts: asyncio.Queue[Part]) -> Part | None:
        """The next part; None when something is held back and another fault holds now, or one less."""
        if not self._held:
            return await parts.get()
        getting = asyncio.ensure_future(parts.get())
        changing = asyncio.ensure_future(self._proxy.until_changed())
        try:
            await asyncio.wait({getting, changing}, return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()
            changing.cancel()

    @property
    def _conditions(self) -> Conditions:
        return self._proxy.faults.conditions(self._requests.current.user)

    async def _unstalled(self) -> Conditions:
        while (conditions := self._conditions).cut == "stall":
            await self._proxy.until_changed()
        return conditions

    def _fall(self, data: bytes, is_over: bool, conditions: Conditions) -> bytes:
        """Return the bytes for the client, of those that came from the server."""
        now = self._requests.current
        if conditions.loses_replies and now.is_post and data:
            self._proxy.lost_replies += 1
            raise ConnectionResetError
        self._held += data
        if now.is_stream and self._held.endswith(END_OF_CHUNKS):
            self._over = now
        is_whole = is_over or now is self._over or len(self._held) >= STREAM_HELD_MAX_BYTES
        if conditions.buffers_streams and now.is_stream and not is_whole:
            return b""
        passed, self._held = self._held, b""
        return passed
