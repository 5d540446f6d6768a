"""The `EventSource` of a browser, as a reader: WHATWG HTML 9.2, with Chromium's first reconnection time.

It is what most documentation gives as the client. It goes on with `Last-Event-ID` when the server gave ids; it has no
watchdog; an answer that is no event stream ends it for good. `ReconnectingEventSource` is the wrapper that some
packages ship, which begins anew where `EventSource` gives up.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

import httpx2

from lab.systems.reader import TaskReader

FIRST_RECONNECTION_TIME_S = 3.0
"""Chromium's; a `retry:` field changes it."""

RECEIVE_BUFFER_BYTES = 65_536
"""Of each reader's socket, so that a reader that pauses is felt by the server after megabytes and not after tens."""

MAX_RETRY_TIME_S = 3.0
"""`ReconnectingEventSource`: begins anew after a random part of it."""


@dataclass(frozen=True)
class Event:
    """One dispatched event."""

    type: str
    data: str
    id: str


@dataclass(frozen=True)
class StreamRequest:
    """The request that opens the stream of one user."""

    path: str
    headers: dict[str, str]


ReadText = Callable[[Event], str | None]
"""The text of the message that an event carries, or None when it carries none."""


class Parser:
    """Turns the bytes of a stream into events (WHATWG HTML 9.2.5, 9.2.6)."""

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_s: float | None = None
        self._id = last_event_id
        self._type = ""
        self._data: list[str] = []
        self._buffer = b""
        self._is_first = True

    def feed(self, chunk: bytes) -> Iterator[Event]:
        self._buffer += chunk
        while (line := self._next_line()) is not None:
            text = line.decode("utf-8", "replace")
            if self._is_first:
                text, self._is_first = text.removeprefix("\ufeff"), False
            if event := self._take(text):
                yield event

    def _next_line(self) -> bytes | None:
        ends = [at for end in (b"\r", b"\n") if (at := self._buffer.find(end)) >= 0]
        if not ends:
            return None
        at = min(ends)
        if self._buffer[at : at + 1] == b"\r" and at + 1 == len(self._buffer):
            return None  # its LF may be on the way
        size = 2 if self._buffer[at : at + 2] == b"\r\n" else 1
        line, self._buffer = self._buffer[:at], self._buffer[at + size :]
        return line

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_s = int(value) / 1000
        return None

    def _dispatch(self) -> Event | None:
        self.last_event_id = self._id
        event = (
            Event(self._type or "message", "\n".join(self._data), self._id) if self._data not in ([], [""]) else None
        )
        self._type, self._data = "", []
        return event


class EventSource(TaskReader):
    """A page with `new EventSource(url)` that shows every message of every event."""

    def __init__(self, base_url: str, request: StreamRequest, read_text: ReadText) -> None:
        super().__init__()
        self._base_url = base_url
        self._request = request
        self._read_text = read_text
        self._last_event_id = ""
        self._reconnection_time_s = FIRST_RECONNECTION_TIME_S

    async def _follow(self) -> None:
        limit = [(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)]
        transport = httpx2.AsyncHTTPTransport(socket_options=limit)
        async with httpx2.AsyncClient(transport=transport, trust_env=False, timeout=None) as http:
            while True:
                if not await self._attempt(http):
                    return
                await asyncio.sleep(self._wait_s())

    async def _attempt(self, http: httpx2.AsyncClient) -> bool:
        """One connection, to its end; whether the client tries again."""
        try:
            async with http.stream("GET", self._url(), headers=self._headers()) as answer:
                kind = answer.headers.get("content-type", "").split(";")[0]
                if answer.status_code != 200 or kind != "text/event-stream":
                    self.notice()
                    return self._refused(f"{answer.status_code} {kind}")
                await self._read(answer.aiter_bytes())
        except httpx2.TransportError:
            pass
        self.notice()
        return True

    async def _read(self, chunks: AsyncIterator[bytes]) -> None:
        parser = Parser(self._last_event_id)
        async for chunk in chunks:
            await self._reads.wait()
            for event in parser.feed(chunk):
                await self._receive(event)
            self._last_event_id = parser.last_event_id
            self._reconnection_time_s = parser.retry_s if parser.retry_s is not None else self._reconnection_time_s

    async def _receive(self, event: Event) -> None:
        text = self._read_text(event)
        if text is not None:
            self.show(text)

    def _url(self) -> str:
        return self._base_url + self._request.path

    def _headers(self) -> dict[str, str]:
        position = {"Last-Event-ID": self._last_event_id} if self._last_event_id else {}
        return {"Accept": "text/event-stream", "Cache-Control": "no-store", **self._request.headers, **position}

    def _wait_s(self) -> float:
        return self._reconnection_time_s

    def _refused(self, answer: str) -> bool:
        """The server gave this answer in place of a stream; whether the client tries again."""
        self.gave_up = f"EventSource stops for good on {answer}"
        return False


class ReconnectingEventSource(EventSource):
    """An `EventSource`, and a new one where that one has given up; the position goes into its address."""

    def __init__(self, base_url: str, request: StreamRequest, read_text: ReadText, first_position: str = "") -> None:
        super().__init__(base_url, request, read_text)
        self._position = first_position
        self._is_new = False

    def _url(self) -> str:
        mark = "&" if "?" in self._request.path else "?"
        return super()._url() + (f"{mark}lastEventId={quote(self._position, safe='')}" if self._position else "")

    def _wait_s(self) -> float:
        return random.uniform(0, MAX_RETRY_TIME_S) if self._is_new else super()._wait_s()

    async def _attempt(self, http: httpx2.AsyncClient) -> bool:
        self._is_new = False
        return await super()._attempt(http)

    def _refused(self, answer: str) -> bool:
        self._position = self._last_event_id or self._position
        self._last_event_id = ""
        self._is_new = True
        return True
