"""Open event streams by the thousand, and check what each of them receives.

A message carries who sent it, the how-maniest of that sender it is, and when it was due: so every stream knows by
itself what is missing, double or out of order, and how late it is. An idle stream is an object of a few words.
"""

from __future__ import annotations

import asyncio
import re
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from tidings.bench.dialect import Dialect
from tidings.errors import ServerProblem, StreamLost

OPENING_AT_ONCE = 200  # below every usual backlog; a storm asks for more
OPENING_MAX_S = 120.0
SILENT_OPENING_S = 0.5  # that streams take to stand which do not say so
ARRIVAL_MAX_S = 10.0  # after the last answer, for what is still on its way
HEAD_END = b"\r\n\r\n"
FRAME_ENDS = (b"\n\n", b"\n\r\n")  # a line ends with LF or CRLF (WHATWG HTML 9.2.5)

P = TypeVar("P", bound=asyncio.BaseProtocol)

clock = time.perf_counter  # an event loop's own clock may stand still for a turn of it

MARK = re.compile(rb"\[([^ \]]+) (\d+) (\d+)\]")  # of a message: its sender, its number, when it was due
READ_MARK = re.compile(rb'"type":"message_read".*?"by":"([^"]+)","upto":(\d+)()')  # of a receipt that came


def marked(sender: str, number: int, due_us: int, size: int) -> str:
    """A text of ``size`` characters or a little more that ``Audience`` can check."""
    return f"[{sender} {number} {due_us}] ".ljust(size, "x")


class Server(NamedTuple):
    """Where to connect."""

    host: str
    port: int
    has_tls: bool

    @classmethod
    def at(cls, url: str) -> Server:
        """That of an address."""
        parts = urlsplit(url)
        has_tls = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if has_tls else 80), has_tls)

    async def connect(self, protocol: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """A connection.

        Raises:
            OSError: There is nobody.
        """
        loop = asyncio.get_running_loop()
        return await loop.create_connection(protocol, self.host, self.port, ssl=self.has_tls or None)


class Audience:
    """Streams of one server, and what they have received."""

    def __init__(self, dialect: Dialect, server: Server, mark: re.Pattern[bytes] = MARK) -> None:
        self.mark = mark
        self.frames = 0
        self.lost = 0
        self.doubled = 0
        self.disordered = 0
        self.ended = 0
        self.late_us = array("L")
        self.loop = asyncio.get_running_loop()
        self.streams: list[OpenStream] = []
        self._dialect = dialect
        self._server = server
        self._awaited = 0
        self._waiting: asyncio.Future[None] | None = None

    async def open(self, users: Sequence[str], at_once: int = OPENING_AT_ONCE) -> None:
        """Open a stream for each of these users, so many of them at once.

        Raises:
            ServerProblem: One of them was refused.
            StreamLost: One of them did not answer.
            OSError: The server cannot be reached.
        """
        slots = asyncio.Semaphore(at_once)

        async def one(user: str) -> None:
            async with slots:
                _, stream = await self._server.connect(lambda: OpenStream(self, user))
                await stream.opened()
                self.streams.append(stream)

        try:
            async with asyncio.timeout(OPENING_MAX_S), asyncio.TaskGroup() as tasks:
                for user in users:
                    tasks.create_task(one(user))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # they fail alike
        if not self.greets:
            await asyncio.sleep(SILENT_OPENING_S)

    @property
    def greets(self) -> bool:
        return self._dialect.greets

    def request(self, user: str) -> bytes:
        """The request that opens a stream of this user."""
        return self._dialect.stream(user)

    async def arrived(self, frames: int) -> None:
        """Return when so many frames have come, or ARRIVAL_MAX_S have passed."""
        self._awaited, self._waiting = frames, self.loop.create_future()
        if self.frames < frames:
            with suppress(TimeoutError):
                async with asyncio.timeout(ARRIVAL_MAX_S):
                    await self._waiting

    def count(self) -> None:
        """Another frame."""
        self.frames += 1
        if self._waiting is not None and self.frames == self._awaited and not self._waiting.done():
            self._waiting.set_result(None)

    async def close(self, keep: int = 0) -> None:
        """Cut all streams but the first ``keep``."""
        for stream in self.streams[keep:]:
            stream.abort()
        del self.streams[keep:]
        await asyncio.sleep(0)


class OpenStream(asyncio.Protocol):
    """One stream."""

    __slots__ = ("_audience", "_numbers", "_opening", "_rest", "_transport", "user")

    def __init__(self, audience: Audience, user: str) -> None:
        self.user = user
        self._audience = audience
        self._opening: asyncio.Future[None] | None = audience.loop.create_future()
        self._rest = b""
        self._numbers: dict[bytes, int] | None = None  # of each sender, the last that came
        self._transport: asyncio.Transport | None = None

    async def opened(self) -> None:
        """Return when the first frame has come.

        Raises:
            ServerProblem: The answer was not 200.
            StreamLost: It ended, or was none.
        """
        if self._opening is not None:
            await self._opening

    def abort(self) -> None:
        """Cut the connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        """Ask for the stream."""
        self._transport = transport
        transport.write(self._audience.request(self.user))

    def data_received(self, data: bytes) -> None:
        """Whole frames are read; the beginning of the next one is kept."""
        if self._rest:
            data = self._rest + data
        if self._opening is not None and not self._begin(data):
            self._rest = data
            return
        end = max(data.rfind(end) + len(end) if end in data else 0 for end in FRAME_ENDS)
        if end == 0:
            self._rest = data
            return
        self._rest = data[end:].strip(b"\r\n")  # what ends a chunk is of no frame
        for match in self._audience.mark.finditer(data, 0, end):
            self._take(match[1], int(match[2]), int(match[3] or 0))

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it, unless it was cut here."""
        if self._opening is not None and not self._opening.done():
            self._opening.set_exception(StreamLost("a stream was closed before it began"))
        elif self._transport is not None:
            self._audience.ended += 1
        self._transport = None

    def _begin(self, data: bytes) -> bool:
        assert self._opening is not None
        head, _, body = data.partition(HEAD_END)
        if HEAD_END not in data:
            return False
        if b" 200 " not in head[:16]:
            if not self._opening.done():
                line = head.partition(b"\r\n")[0].decode("latin-1")
                self._opening.set_exception(_refusal(line))
            return False
        if self._audience.greets and not any(end in body for end in FRAME_ENDS):
            return False
        self._opening.set_result(None)
        self._opening = None
        return True

    def _take(self, sender: bytes, number: int, due_us: int) -> None:
        audience = self._audience
        audience.count()
        if due_us:
            audience.late_us.append(max(0, round(clock() * 1e6) - due_us))
        if self._numbers is None:
            self._numbers = {}
        before = self._numbers.get(sender)
        self._numbers[sender] = number if before is None else max(before, number)
        if before is not None and number != before + 1:
            if number == before:
                audience.doubled += 1
            elif number < before:
                audience.disordered += 1  # late, or again
            else:
                audience.lost += number - before - 1  # or late: then it is counted again when it comes


def _refusal(line: str) -> ServerProblem | StreamLost:
    """The words of a first line that begins no stream."""
    status = re.match(r"HTTP/1\.\d (\d{3})\b", line)
    if status is None:
        return StreamLost("what answers does not speak HTTP/1.1")
    return ServerProblem(int(status[1]), f"status_{status[1]}", "A stream was refused")
