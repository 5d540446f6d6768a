"""The tests' own TCP proxy: a network between a client and a node that breaks when it is told to.

A browser's offline emulation leaves open streams alone and proves nothing; this proxy cuts them as networks do. It is
told how to behave while it runs; what it is told holds for open connections and for new ones alike.

    with Proxy(node.address) as proxy:
        client_of(proxy.url)
        proxy.stall()         # nothing moves and nobody is told: a half-open connection
        proxy.refuse()        # open connections are reset, new ones refused: the server's process is gone
        proxy.restore()       # everything passes; stalled connections go on where they were

It runs in a thread with an event loop of its own. It reads only what it can pass on, so a stall fills the kernel's
buffers and reaches the sender, as a real one does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar

READ_SIZE_BYTES = 65536
CALL_DEADLINE_S = 30.0
END_OF_CHUNKS = b"\r\n0\r\n\r\n"

Mode = Literal["pass", "refuse", "reset", "stall", "hold_streams", "lose_post_replies"]
End = Literal["reset", "close"]
T = TypeVar("T")


class Proxy:
    """Passes TCP connections to `target` until told otherwise. All methods may be called from any thread.

    With `receive_buffer_bytes` little of what the target writes fits between it and a client that does not read.
    """

    def __init__(self, target: tuple[str, int], receive_buffer_bytes: int | None = None) -> None:
        self.target = target
        self.receive_buffer_bytes = receive_buffer_bytes
        self.port = 0
        self.accepted = 0  # connections since the start
        self.lost_replies = 0
        self._mode: Mode = "pass"
        self._is_stalled = {"up": False, "down": False}
        self._cut_after_bytes: int | None = None
        self._cut_how: End = "reset"
        self._piece_bytes: int | None = None
        self._piece_pause_s = 0.0
        self._lag_s = 0.0
        self._connections: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tests-proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._call(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_count(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    def restore(self) -> None:
        """Pass everything, held and stalled bytes included."""
        self._call(lambda: self._set("pass"))

    def refuse(self) -> None:
        """Refuse new connections (ECONNREFUSED) and reset open ones, as when the server's process was killed."""
        self._call(lambda: self._set("refuse"))

    def reset(self) -> None:
        """Reset open connections, and accept new ones only to reset them."""
        self._call(lambda: self._set("reset"))

    def stall(self, *, up: bool = True, down: bool = True) -> None:
        """Hold the bytes to the server (`up`), to the client (`down`); an end of a connection is not passed either."""
        self._call(lambda: self._set("stall", up=up, down=down))

    def trickle(self, size_bytes: int, pause_s: float = 0.0) -> None:
        """Pass pieces of at most so many bytes, each as a segment of its own, with a pause after it, until restored."""

        async def trickle() -> None:
            self._piece_bytes, self._piece_pause_s = size_bytes, pause_s

        self._call(trickle)

    def lags(self, seconds: float) -> None:
        """Pass everything so much later, each way, until told 0."""
        self._lag_s = seconds

    def strand_open(self) -> None:
        """The connections open now fall silent for good, as after a lost NAT entry: no byte, no end. New ones pass."""

        async def strand() -> None:
            for connection in self._connections:
                connection.is_stranded = True
            self._changed.set()
            self._changed = asyncio.Event()

        self._call(strand)

    def hold_streams(self) -> None:
        """Hold every event stream until the server ends it, as a buffering proxy does; other answers pass."""
        self._call(lambda: self._set("hold_streams"))

    def lose_post_replies(self) -> None:
        """Pass POSTs, but reset the connection in place of their answers; other requests pass."""
        self._call(lambda: self._set("lose_post_replies"))

    def cut_after(self, size_bytes: int | None, how: End = "reset") -> None:
        """End each connection accepted from now on once `size_bytes` have gone to its client; None: no more cuts."""
        self._cut_after_bytes, self._cut_how = size_bytes, how

    def end_open(self, how: End = "reset") -> None:
        """End the connections that are open now; new ones pass. `close` is FIN, in the middle of whatever it is."""

        async def end() -> None:
            await self._end_open(how)

        self._call(end)

    def _call(self, action: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(action(), self._loop).result(CALL_DEADLINE_S)

    async def _set(self, mode: Mode, *, up: bool = False, down: bool = False) -> None:
        self._mode = mode
        self._piece_bytes = None
        if mode == "refuse":
            self._close_listener()
        if mode in ("refuse", "reset"):
            await self._end_open("reset")  # with what is held: nothing of it may slip through now
        self._is_stalled = {"up": up, "down": down}
        self._changed.set()
        self._changed = asyncio.Event()
        if mode != "refuse" and self._listener is None:
            await self._listen()

    async def _listen(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(self.address)
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        # Not a task that waits for the next one: cancelled at the wrong moment, it would drop what it has accepted.
        self._loop.add_reader(self._listener, self._accept, self._listener)

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # it went away before
            return
        self.accepted += 1
        connection = _Connection(self, client, self._cut_after_bytes)
        self._connections.add(connection)
        connection.task = self._loop.create_task(connection.run())
        connection.task.add_done_callback(connection.close)

    async def _end_open(self, how: End) -> None:
        for connection in list(self._connections):
            connection.ends_by = how
            await _cancelled(connection.task)

    async def _stop(self) -> None:
        self._close_listener()
        await self._end_open("close")


class _Connection:
    """One client's connection and its other half, to the target."""

    task: asyncio.Task[None]

    def __init__(self, proxy: Proxy, client: socket.socket, cut_after_bytes: int | None) -> None:
        self._proxy = proxy
        self._client = client
        self._server = socket.socket()
        if proxy.receive_buffer_bytes is not None:
            self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, proxy.receive_buffer_bytes)
        self._bytes_left = cut_after_bytes
        self._is_post = False
        self._held = b""
        self._is_held_stream = False
        self.is_stranded = False
        self.ends_by: End = "close"

    async def run(self) -> None:
        """Pass bytes both ways until one side ends both, or the proxy is told to."""
        proxy = self._proxy
        for each in (self._client, self._server):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proxy._mode == "reset":
            self.ends_by = "reset"
            return
        try:
            await proxy._loop.sock_connect(self._server, proxy.target)
            await self._pass_both_ways()
        except OSError:  # either side was reset, or the target refuses: the other one is reset
            self.ends_by = "reset"

    def close(self, _: object) -> None:
        """Let go of both sockets; called when `run` has ended, or was cancelled before it began."""
        for each in (self._client, self._server):
            if self.ends_by == "reset":
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()
        self._proxy._connections.discard(self)

    async def _pass_both_ways(self) -> None:
        ways = [
            asyncio.ensure_future(self._pump("up", self._client, self._server)),
            asyncio.ensure_future(self._pump("down", self._server, self._client)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if ways[1] not in done and ways[0].exception() is None and self.ends_by == "close":
                with contextlib.suppress(OSError):
                    self._server.shutdown(socket.SHUT_WR)  # the client said all: what the server still says passes
                await asyncio.wait([ways[1]])
        finally:
            for way in ways:
                await _cancelled(way)
        for way in ways:
            if not way.cancelled() and (failure := way.exception()):
                raise failure

    async def _pump(self, way: Literal["up", "down"], source: socket.socket, sink: socket.socket) -> None:
        proxy = self._proxy
        reading: asyncio.Future[bytes] | None = None
        try:
            while True:
                await self._while_stalled(way)
                reading = reading or asyncio.ensure_future(proxy._loop.sock_recv(source, READ_SIZE_BYTES))
                await self._done_or_changed(reading)
                if self._is_held(way):
                    continue
                if not reading.done():  # told otherwise: what was held may go
                    passed, is_over = (self._release() if way == "down" else b""), False
                else:
                    received, reading = reading.result(), None
                    passed, is_over = (self._rise(received) if way == "up" else self._fall(received)), not received
                await self._write(sink, passed)
                if is_over or self.ends_by == "reset" or self._bytes_left == 0:
                    return
        finally:
            if reading is not None:
                await _cancelled(reading)

    async def _write(self, sink: socket.socket, passed: bytes) -> None:
        proxy = self._proxy
        if passed and proxy._lag_s:
            await asyncio.sleep(proxy._lag_s)
        while passed:
            size = proxy._piece_bytes or len(passed)
            await proxy._loop.sock_sendall(sink, passed[:size])
            passed = passed[size:]
            if proxy._piece_bytes is not None:
                await asyncio.sleep(proxy._piece_pause_s)

    async def _while_stalled(self, way: Literal["up", "down"]) -> None:
        while self._is_held(way):
            await self._proxy._changed.wait()

    def _is_held(self, way: Literal["up", "down"]) -> bool:
        return self.is_stranded or self._proxy._is_stalled[way]

    async def _done_or_changed(self, reading: asyncio.Future[Any]) -> None:
        changing: asyncio.Future[Any] = asyncio.ensure_future(self._proxy._changed.wait())
        try:
            await asyncio.wait([reading, changing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancelled(changing)

    def _rise(self, received: bytes) -> bytes:
        if received[:5] in (b"POST ", b"GET /", b"HEAD ", b"DELET", b"OPTIO"):
            self._is_post = received.startswith(b"POST ")
        return received

    def _fall(self, received: bytes) -> bytes:
        """Return the bytes for the client, of those that came from the server."""
        if self._proxy._mode == "lose_post_replies" and self._is_post and received:
            self._proxy.lost_replies += 1
            self.ends_by = "reset"
            return b""
        if received.startswith(b"HTTP/1.1 200") and b"text/event-stream" in received:
            self._is_held_stream = self._proxy._mode == "hold_streams"
        if self._is_held_stream:
            self._held += received
            # What arrives in the moment of `restore` finds the mode changed, and takes along what was held before it.
            is_over = not received or self._held.endswith(END_OF_CHUNKS)
            return self._release() if is_over or self._proxy._mode != "hold_streams" else b""
        return self._count(received)

    def _release(self) -> bytes:
        """Release the held bytes of an event stream, once it has ended or nobody wants it held any more."""
        if self._proxy._mode == "hold_streams" and not self._held.endswith(END_OF_CHUNKS):
            return b""
        held, self._held, self._is_held_stream = self._held, b"", False
        return self._count(held)

    def _count(self, passed: bytes) -> bytes:
        """Shorten what passes to what may pass before the cut."""
        if self._bytes_left is None:
            return passed
        if len(passed) >= self._bytes_left:
            passed = passed[: self._bytes_left]
            self.ends_by = self._proxy._cut_how
        self._bytes_left -= len(passed)
        return passed


async def _cancelled(task: asyncio.Future[T]) -> None:
    task.cancel()
    await asyncio.wait({task})
