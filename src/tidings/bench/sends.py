"""Send messages over a few kept connections: as many as go, so many a second, or so many of each pair.

At a rate the connections take turns, so that no pair is over its own limit while others have nothing to send; a message
is late from the moment when it was due, not from when a connection was free for it: a server that
stalls is seen to stall (coordinated omission). A sender belongs to one connection: its messages have an order.
"""

from __future__ import annotations

import asyncio
import re
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from secrets import token_hex

from tidings.bench.dialect import Dialect
from tidings.bench.streams import HEAD_END, Server, clock, marked
from tidings.errors import StreamLost

ANSWERS_MAX_S = 30.0  # after the last send
EACH_MAX_S = 300.0  # until so many of each pair are sent

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"

Pair = tuple[str, str]  # sender and recipient


class Senders:
    """Connections that take turns, and what was answered."""

    def __init__(self, dialect: Dialect, server: Server, pairs: Sequence[Pair], text_size: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.answered_us = array("L")
        self.accepted = 0
        self.run = token_hex(4)  # a second run sends other messages, not the same ones again
        self._dialect = dialect
        self._server = server
        self._pairs = pairs
        self._text_size = text_size
        self._due: deque[float] = deque()  # sends that wait for a connection
        self._idle: deque[SendConnection] = deque()  # the one that has rested longest first: each pair gets its share
        self._all: list[SendConnection] = []
        self._ends_at: float | None = None
        self._done = asyncio.Event()
        self._closed = 0

    async def connect(self, count: int) -> None:
        """Open the connections; there are at least as many pairs."""
        for nth in range(count):
            pairs = self._pairs[nth::count]
            _, connection = await self._server.connect(partial(SendConnection, self, pairs))
            self._all.append(connection)
            self._idle.append(connection)

    async def as_many_as_go(self, seconds: float) -> float:
        """Every connection sends again as soon as it is answered; how many seconds it took."""
        began = clock()
        self._ends_at = began + seconds
        self._done.clear()
        while self._idle:
            self._begin(self._idle.popleft(), clock())
        await self._settled(seconds)
        return clock() - began

    async def each(self, count: int) -> float:
        """``count`` messages of each pair, as fast as they are answered; how many seconds it took."""
        began = clock()
        self._ends_at = None
        self._done.clear()
        for connection in self._all:
            connection.left = count * connection.pair_count
        while self._idle:
            self._begin(self._idle.popleft(), clock())
        await self._settled(EACH_MAX_S)
        return clock() - began

    async def at_rate(self, per_s: float, seconds: float) -> float:
        """Messages fall due evenly; how many seconds it took until the last was answered."""
        began = clock()
        self._ends_at = None
        for nth in range(round(per_s * seconds)):
            due = began + nth / per_s
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            if self._idle:
                self._begin(self._idle.popleft(), due)
            else:
                self._due.append(due)
        if len(self._idle) < len(self._all):
            if not self._closed:
                self._done.clear()
            await self._settled(0.0)
        return clock() - began

    def closed(self) -> None:
        """A connection was closed by the other side before its answer came: nothing that follows would be whole."""
        self._closed += 1
        self._done.set()

    def close(self) -> None:
        """Cut the connections."""
        for connection in self._all:
            connection.abort()

    def finished(self, connection: SendConnection, status: int, due: float) -> None:
        """A connection was answered: give it what is due next."""
        now = clock()
        self.statuses[status] += 1
        self.accepted += 200 <= status < 300
        self.answered_us.append(max(0, round((now - due) * 1e6)))
        if self._due:
            self._begin(connection, self._due.popleft())
        elif connection.left > 0 or (self._ends_at is not None and now < self._ends_at):
            self._begin(connection, now)
        else:
            self._idle.append(connection)
            if len(self._idle) == len(self._all):
                self._done.set()

    async def _settled(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds + ANSWERS_MAX_S):
                await self._done.wait()
        except TimeoutError:
            raise StreamLost(f"{len(self._all) - len(self._idle)} sends were never answered") from None
        if self._closed:
            raise StreamLost("a connection was closed before its send was answered")

    def _begin(self, connection: SendConnection, due: float) -> None:
        connection.send(self._dialect, due, self._text_size)


class SendConnection(asyncio.Protocol):
    """One kept connection, with one request at a time on it."""

    def __init__(self, senders: Senders, pairs: Sequence[Pair]) -> None:
        self.left = 0  # messages that are to be sent whatever the time is
        self.pair_count = len(pairs)
        self._senders = senders
        self._pairs = pairs
        self._turn = 0
        self._numbers: Counter[str] = Counter()  # of each sender, the last that was accepted or is on its way
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._due = 0.0
        self._is_waiting = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        """Ready."""
        self._transport = transport

    def send(self, dialect: Dialect, due: float, text_size: int) -> None:
        """Send a message of the next pair; ``Senders.finished`` is told of the answer."""
        assert self._transport is not None
        self.left -= self.left > 0
        self._turn = (self._turn + 1) % len(self._pairs)
        sender, recipient = self._pairs[self._turn]
        self._numbers[sender] += 1
        self._due = due
        self._is_waiting = True
        text = marked(sender, self._numbers[sender], round(due * 1e6), text_size)
        key = f"{self._senders.run}-{self._numbers[sender]}"
        self._transport.write(dialect.send(sender, recipient, text, key))

    def abort(self) -> None:
        """Cut it."""
        self._is_waiting = False
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell, where an answer is still due."""
        if self._is_waiting:
            self._senders.closed()

    def data_received(self, data: bytes) -> None:
        """Read until the answer is whole."""
        self._received += data
        head, end, body = self._received.partition(HEAD_END)
        if not end:
            return
        length = _LENGTH.search(head)
        if length is not None:
            if len(body) < int(length[1]):
                return
        elif _CHUNKED.search(head) and not body.endswith(_LAST_CHUNK):
            return
        self._received = b""
        self._is_waiting = False
        status = int(head[9:12])
        if not 200 <= status < 300:
            self._numbers[self._pairs[self._turn][0]] -= 1
        self._senders.finished(self, status, self._due)
