"""The network between devices and the server: late, lossy, slow, cut, stalled. Bytes of one connection stay in order.

A device's HTTP library (httpx2) is the real one; below it is ``Transport`` instead of sockets. The server's side of
a connection is an ASGI scope with ``receive`` and ``send`` that behave as uvicorn's: writes wait when the buffer is
full, writes to a reader that has gone vanish, and ``receive`` tells of a disconnect once that is known.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import httpx2
import msgspec

from lab.simulation.wire import Asked, StreamCheck, check_answer
from tidings.server.live.frame import Frame
from tidings.server.own_connection import CONNECTION_EXTENSION, Reader

if TYPE_CHECKING:
    from lab.simulation.world import World

API = "http://tidings.test/api/message"
FOREVER = float("inf")
LATE_DONE_S = 5.0  # for what a late request does to be done


class Link:
    """One device's way to the server, and what is wrong with it."""

    def __init__(self, world: World, name: str, rng: random.Random) -> None:
        self.world = world
        self.name = name
        self.rng = rng
        self.latency_s = rng.choice([0.001, 0.02, 0.2])
        self.is_down = False
        self.stalled_until = 0.0
        self.bytes_per_s = FOREVER
        self.loses = 0.0  # the share of requests, and of answers, that are lost or come far too late
        self.buffer_bytes = rng.choice([600, 4_000, 64_000])
        self.yields_in_send = rng.random() < 0.2  # a middleware that makes every write wait
        self.owns_socket = rng.random() < 0.7  # tidings serve's, which can abort a connection
        self.detaches = rng.random() < 0.7  # ... and give it to an object of a few words (server/http/detach.py)
        self.connections: dict[Connection, None] = {}
        self.disturbed_at = world.clock.now_s

    @property
    def is_fine(self) -> bool:
        """Nothing stands in the way now."""
        return not self.is_down and self.stalled_until <= self.world.clock.now_s and self.bytes_per_s == FOREVER

    @property
    def fine_since(self) -> float:
        """When something stood in the way last."""
        return max(self.disturbed_at, self.stalled_until)

    def delay_s(self) -> float:
        """One way."""
        return self.rng.uniform(0.1, 1.0) * self.latency_s

    def cut(self, *, is_noticed: bool) -> None:
        """Break what is open; the server notices, or does not."""
        self.disturbed_at = self.world.clock.now_s
        for connection in list(self.connections):
            connection.break_(is_noticed=is_noticed)

    def stall(self, seconds: float) -> None:
        """Let nothing through for so long, and break nothing. One stall does not end another: readers wait for that."""
        self.disturbed_at = self.world.clock.now_s
        self.stalled_until = max(self.stalled_until, self.world.clock.now_s + seconds)

    def heal(self) -> None:
        """Be a good network from now on."""
        now = self.world.clock.now_s
        if not self.is_fine:
            self.disturbed_at = now
        self.is_down, self.bytes_per_s, self.loses = False, FOREVER, 0.0
        self.stalled_until = min(self.stalled_until, now)  # an end in the past stays the end
        for connection in self.connections:
            connection.look_again()


class Connection:
    """One request and its answer, on both sides."""

    def __init__(self, world: World, link: Link, user: str, request: httpx2.Request, body: bytes) -> None:
        self.world = world
        self.link = link
        self.user = user
        self.who = f"{link.name}#{world.next_number()}"
        self.head: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = world.loop.create_future()
        self.scope = _scope(request, self if link.owns_socket else None)
        self._body = body
        self._leaving: Reader | None = None
        self.is_detached = False
        self.node: object = None  # that serves it
        self._told: dict[str, Any] = {}
        self._stream: StreamCheck | None = None
        self._answer = b""
        self._is_sending = self._is_gone = self._is_asked = self._is_left = self._is_broken = self._is_dead = False
        self._pipe: deque[tuple[float, bytes]] = deque()
        self._piped_bytes = 0
        self._piped_until = 0.0
        self._end: str | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._listener: asyncio.Future[None] | None = None
        link.connections[self] = None

    # The server's side.

    def arrived(self) -> None:
        """The server begins with it: note where things stand."""
        query = dict(parse_qsl(self.scope["query_string"].decode()))
        headers = dict(self.scope["headers"])
        path = self.scope["path"].removeprefix("/api/message")
        cursor = headers[b"last-event-id"].decode() if b"last-event-id" in headers else query.get("cursor")
        self._told = {"path": path, "query": query, "body": None, "asked": Asked(self.world, self.user, cursor)}
        if path.startswith("/sse/"):
            age_s = self.world.config.stream_age_max_s
            self._stream = StreamCheck(self.world, self.who, self.user, cursor, age_s)
        elif self._body:
            self._told["body"] = msgspec.json.decode(self._body)

    async def receive(self) -> dict[str, Any]:
        """As ASGI says: the body, then, when it is known, that the other side has gone."""
        if not self._is_asked:
            self._is_asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        while not self._is_gone and self._end is None:
            self._listener = self.world.loop.create_future()
            await self._listener
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """As ASGI says; waits while the buffer is full."""
        if self._is_sending:
            self.world.wrong(f"{self.who}: two writers met on one stream")
        if self._is_dead:
            return
        self._is_sending = True
        try:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                self._headers = list(message["headers"])
                return
            if self.is_detached:  # as Detached: first wait, then write
                await self._room()
            self._write(message)
            if not self.is_detached and not self._is_dead:
                if self.link.yields_in_send:
                    await asyncio.sleep(0)
                await self._room()
        finally:
            self._is_sending = False

    @property
    def stream_epoch(self) -> str:
        """The epoch of which it tells as an event stream that both sides take for open; empty where it is none."""
        is_over = self._end is not None or self._is_gone or self._is_broken or self._is_left or self._is_dead
        return "" if self._stream is None or is_over else self._stream.epoch

    async def put(self, frame: Frame) -> None:
        """As ``Detached``: waits for room first."""
        await self.send(frame.message())

    @property
    def _has_room(self) -> bool:
        """Or nobody will read what it gets."""
        return self._piped_bytes <= self.link.buffer_bytes or self._is_gone or self._end is not None

    def write(self, frame: Frame) -> bool:
        """As ``Detached``: at once, or not at all."""
        if self._is_sending:
            self.world.wrong(f"{self.who}: two writers met on one stream")
        if not self._has_room:
            return False
        self._write(frame.message())
        return True

    def _write(self, message: MutableMapping[str, Any]) -> None:
        if self._is_dead:
            return
        body, is_last = message.get("body", b""), not message.get("more_body", False)
        self._check(body, is_last)
        if not self._is_gone and self._end is None:
            self._put(body, is_last)

    async def _room(self) -> None:
        while not self._has_room:
            self._writer = self.world.loop.create_future()
            await self._writer

    @property
    def transport(self) -> Connection:
        """Return the transport that can be aborted."""
        return self

    def sends(self, _send: object) -> bool:
        """As ``server/http/connection.py``: whether nothing stands between, that would make every write wait."""
        return not self.link.yields_in_send

    async def writable(self) -> None:
        """As ``Detached``: waits for room."""
        await self._room()

    def has_arrived(self, _scope: dict[str, Any]) -> bool:
        """As ``server/http/connection.py``: bodies come in one piece."""
        return True

    def answer(self, *_answer: object) -> bool:
        """As ``server/http/connection.py``: all goes through ``send``."""
        return False

    def detach(self, reader: Reader) -> Connection | None:
        """As ``server/http/connection.py``: the request may end; ``reader`` leaves when the connection is lost."""
        if not self.link.detaches or self._is_gone or self._end is not None:
            return None
        self.is_detached, self._leaving = True, reader
        return self

    def _lost(self) -> None:
        reader, self._leaving = self._leaving, None
        if reader is not None:
            reader.leave()

    def _check(self, body: bytes, is_last: bool) -> None:
        with self.world.lenient(self.node):
            self._judge(body, is_last)

    def _judge(self, body: bytes, is_last: bool) -> None:
        if self._stream is not None and self._status == 200:
            self._stream.wrote(body)
            if is_last and not self._stream.is_over:
                self.world.wrong(f"{self.who}: a stream ended without goodbye")
        else:
            self._answer += body
            if is_last:
                self.world.trace("answer", self.who, self._told["path"].split("/")[1], self._status)
                check_answer(self.world, self.who, self.user, self._told, self._status, self._answer)

    def _put(self, body: bytes, is_last: bool) -> None:
        now = self.world.clock.now_s
        if not self.head.done():
            self.world.loop.call_later(self.link.delay_s(), self._show_head)
        self._piped_until = max(self._piped_until, now) + len(body) / self.link.bytes_per_s
        self._pipe.append((self._piped_until + self.link.delay_s(), body))
        self._piped_bytes += len(body)
        if is_last:
            self._end = "end"
            self._wake_server()
        self._wake("_reader")

    def _show_head(self) -> None:
        if not self.head.done() and not self._is_left:
            self.head.set_result((self._status, self._headers))

    def abort(self) -> None:
        """The server cuts the connection; also what ``transport.abort`` is."""
        if self._end is None:
            self._end = "cut"
        self._is_gone = True
        self._wake_server()
        self._wake("_reader")
        if not self.head.done():
            self.world.loop.call_later(self.link.delay_s(), self._lose_head)

    def crash(self) -> None:
        """The server's process is gone; nothing of it hears of anything any more."""
        self._leaving = None
        self._is_dead = True
        self.abort()

    def finished(self) -> None:
        """The application returned: what is incomplete is cut."""
        if self._end is None:
            self.abort()

    # The device's side.

    def _lose_head(self) -> None:
        if not self.head.done():
            self.head.set_exception(httpx2.ReadError("connection reset"))

    def break_(self, *, is_noticed: bool) -> None:
        """The network breaks it: the device sees a reset; the server only if ``is_noticed``."""
        if not self._is_left:
            self._pipe.clear()
            self._piped_bytes = 0
            self._end_for_device()
        if is_noticed:
            self._is_gone = True
            self._wake_server()

    def _end_for_device(self) -> None:
        self._is_broken = True
        self._lose_head()
        self._wake("_reader")

    def leave(self) -> None:
        """The device closes it; the server hears of it a little later, if the network is there."""
        if self._is_left:
            return
        self._is_left = True
        self.link.connections.pop(self, None)
        if not self.head.done():
            self.head.cancel()
        if not self.link.is_down:
            self.world.loop.call_later(self.link.delay_s(), self._hear_leaving)

    async def aclose(self) -> None:
        """As the HTTP library's own connections have it."""
        self.leave()

    def _hear_leaving(self) -> None:
        self._is_gone = True
        self._wake_server()

    def look_again(self) -> None:
        """The network got better: what crept comes now."""
        now = self.world.clock.now_s
        self._pipe = deque((min(ready_at, now + self.link.delay_s()), data) for ready_at, data in self._pipe)
        self._piped_until = now
        self._wake("_reader")

    async def read(self) -> bytes | None:
        """The next bytes, in pieces of any size; None at the end.

        Raises:
            httpx2.ReadError: The connection was cut.
        """
        while True:
            now = self.world.clock.now_s
            if self._is_broken:
                raise httpx2.ReadError("connection reset")
            if self.link.stalled_until > now:
                await self._wait(self.link.stalled_until)
            elif self._pipe and self._pipe[0][0] <= now:
                return self._take()
            elif self._pipe:
                await self._wait(self._pipe[0][0])
            elif self._end == "end":
                return None
            elif self._end == "cut":
                raise httpx2.ReadError("connection reset")
            else:
                await self._wait(None)

    def _take(self) -> bytes:
        ready_at, data = self._pipe.popleft()
        if len(data) > 1 and self.link.rng.random() < 0.1:
            size = self.link.rng.randrange(1, len(data))
            self._pipe.appendleft((ready_at, data[size:]))
            data = data[:size]
        self._piped_bytes -= len(data)
        if self._piped_bytes <= self.link.buffer_bytes:
            self._wake("_writer")
        return data

    async def _wait(self, until: float | None) -> None:
        self._reader = waiter = self.world.loop.create_future()
        timer = None if until in (None, FOREVER) else self.world.loop.call_at(until, self._wake, "_reader")
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()

    def _wake_server(self) -> None:
        if self._leaving is not None:
            self.world.loop.call_soon(self._lost)
        self._wake("_listener")
        self._wake("_writer")

    def _wake(self, name: str) -> None:
        waiter = getattr(self, name)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, connection: Connection, wait_s: float) -> None:
        self._connection = connection
        self._wait_s = wait_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._wait_s):
                    data = await self._connection.read()
            except TimeoutError:
                raise httpx2.ReadTimeout("no byte came") from None
            if data is None:
                return
            yield data

    async def aclose(self) -> None:
        self._connection.leave()


class Transport(httpx2.AsyncBaseTransport):
    """The layer below a device's HTTP library."""

    def __init__(self, world: World, link: Link, user: str) -> None:
        self._world = world
        self._link = link
        self._user = user

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Carry a request there and the head of its answer back."""
        world, link, rng = self._world, self._link, self._link.rng
        wait_s = request.extensions["timeout"]
        body = await request.aread()
        await asyncio.sleep(link.delay_s())
        if link.is_down or link.stalled_until > world.clock.now_s or not world.host.is_listening:
            if world.host.is_listening and rng.random() < 0.5:
                await asyncio.sleep(wait_s["connect"])
                raise httpx2.ConnectTimeout("no answer")
            raise httpx2.ConnectError("refused")
        connection = Connection(world, link, self._user, request, body)
        try:
            fate = rng.random() if link.loses else 1.0
            if fate < link.loses:  # lost on its way there, or so late that nobody waits any more
                link.disturbed_at = world.clock.now_s
                if rng.random() < 0.5 and not request.url.path.startswith("/api/message/sse"):
                    late_s = rng.uniform(1.0, 30.0)
                    world.late_until = max(world.late_until, world.clock.now_s + late_s + LATE_DONE_S)
                    world.loop.call_later(late_s, world.host.accept, connection)
            else:
                world.host.accept(connection)
            async with asyncio.timeout(wait_s["read"]):
                status, headers = await connection.head
                if link.loses <= fate < 2 * link.loses:  # done, and the answer is lost
                    link.disturbed_at = world.clock.now_s
                    await asyncio.sleep(rng.choice([0.01, 1.0, FOREVER]))
                    raise httpx2.ReadError("connection reset")
        except TimeoutError:
            connection.leave()
            raise httpx2.ReadTimeout("no answer") from None
        except BaseException:
            connection.leave()
            raise
        extensions = {"network_stream": connection}
        return httpx2.Response(status, headers=headers, stream=_Body(connection, wait_s["read"]), extensions=extensions)


def _scope(request: httpx2.Request, connection: Connection | None) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("203.0.113.1", 1),
        "server": ("tidings.test", 80),
        "extensions": {} if connection is None else {CONNECTION_EXTENSION: connection},
    }
