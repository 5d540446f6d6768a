"""Many clients at once: senders that do not give up what they hold, and readers that follow without losing their place.

They stand on plain sockets and know nothing of the product, as `node` does. They keep the promises that PROTOCOL.md
asks of a client: a send is repeated with its `client_id` until it is acknowledged; a reader goes on from the cursor of
the last event that it applied.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lab import plain_http
from lab.node import API, Frame, Person, Stream, StreamEnded
from lab.process import wait_for

LOG_TYPES = ("new_message", "message_delivered", "message_read")
UNLIMITED: dict[str, Any] = {
    "sends_per_s": 1_000_000,
    "sends_burst": 1_000_000,
    "new_conversations_per_h": 1_000_000,
    "stream_openings_per_s": 1_000_000,
}
"""Limits of a node whose refusals should not come into it."""


@dataclass
class Letter:
    """A message on its way: `message` is what the node acknowledged, `tries` how often it was written to a socket."""

    sender: Person
    recipient: Person
    text: str
    client_id: str
    message: dict[str, Any] | None = None
    tries: int = 0


@dataclass
class Crowd:
    """Sends letters over `clients` connections at once; each connection sends the next letter after an answer."""

    clients: int = 20
    acknowledged: int = 0
    broken_in_flight: int = 0  # written, and the connection ended before the answer
    refused: list[tuple[int, str]] = field(default_factory=list)  # status and code of what was not 201

    def sends(self, letters: Iterable[Letter]) -> list[Letter]:
        """Send them until the connections break; the letters that are not acknowledged, in order."""
        letters = list(letters)
        asyncio.run(self._send_all(letters))
        return [letter for letter in letters if letter.message is None]

    @contextlib.contextmanager
    def in_the_midst_of(self, letters: Iterable[Letter], *, acknowledged: int) -> Iterator[None]:
        """Send them in another thread; the block begins when so many are acknowledged, and ends when all are answered
        or their connections are broken.
        """
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(self.sends, letters)
            self.wait_acknowledged(acknowledged)
            yield
            sending.result(60)

    def wait_acknowledged(self, count: int, deadline_s: float = 20) -> None:
        """Wait, in another thread than that of `sends`, until so many were acknowledged."""
        wait_for(lambda: self.acknowledged >= count, deadline_s, f"{count} acknowledged sends")

    async def _send_all(self, letters: list[Letter]) -> None:
        waiting = deque(letters)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.clients):
                tasks.create_task(self._send_some(waiting))

    async def _send_some(self, waiting: deque[Letter]) -> None:
        if not waiting:
            return
        try:
            reader, writer = await asyncio.open_connection(*waiting[0].sender.address)
        except OSError:
            return
        try:
            while waiting:
                letter = waiting.popleft()
                if not await self._send_one(letter, reader, writer):
                    return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _send_one(self, letter: Letter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """True when the connection can be used on; the letter has its message when it was acknowledged."""
        body = {"recipientId": letter.recipient.id, "text": letter.text, "client_id": letter.client_id}
        content = json.dumps(body, ensure_ascii=False).encode()
        head = (
            f"POST {API}/send HTTP/1.1\r\nHost: tests\r\nAuthorization: Bearer {letter.sender.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        letter.tries += 1
        try:
            writer.write(head.encode() + content)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in answer.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            )
            answered = json.loads(await reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError):
            self.broken_in_flight += 1
            return False
        status = int(answer.split(b" ", 2)[1])
        if status == 201:
            letter.message = answered["message"]
            self.acknowledged += 1
        else:
            self.refused.append((status, answered["code"]))
        return True


class Follower:
    """A person's log, followed by a thread: `events` are the frames applied, `cursor` is that of the last one."""

    def __init__(self, person: Person, cursor: str) -> None:
        self.person = person
        self.cursor = cursor
        self.events: list[Frame] = []
        self.other: list[Frame] = []
        self.is_caught_up = threading.Event()
        self.ended: str | None = None
        self._stream: Stream | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> Follower:
        """Open the stream after the last event applied."""
        assert self._thread is None
        self.is_caught_up.clear()
        self.ended = None
        self._stream = self.person.opens_stream(last_event_id=self.cursor)
        self._thread = threading.Thread(target=self._follow, args=(self._stream,), daemon=True)
        self._thread.start()
        return self

    def join(self, deadline_s: float = 20) -> None:
        """Wait until the stream has ended."""
        assert self._thread is not None
        self._thread.join(deadline_s)
        assert not self._thread.is_alive(), f"the stream of {self.person.id} did not end within {deadline_s} s"
        self._thread = None

    def wait_at_head(self, stuck_s: float = 20) -> None:
        """Wait until everything was applied that the log has; at most for so long without any progress."""
        head = self.person.head()
        while (cursor := self.cursor) != head:
            wait_for(partial(self._has_moved_from, cursor), stuck_s, f"more of the log of {self.person} on its stream")

    def _has_moved_from(self, cursor: str) -> bool:
        return self.cursor != cursor

    @property
    def texts(self) -> list[str]:
        """Of the messages that others sent, in the order in which they came."""
        return [
            frame.data["text"]
            for frame in self.events
            if frame.type == "new_message" and frame.data["sender_id"] != self.person.id
        ]

    def _follow(self, stream: Stream) -> None:
        try:
            while True:
                frame = stream.next(60)
                stream.raw_bytes = b""  # it grows by copying: what was applied is not kept twice
                stream.chunks.clear()
                stream.frames.clear()
                if frame.type in LOG_TYPES:
                    assert frame.id is not None
                    self.events.append(frame)
                    self.cursor = frame.id
                else:
                    self.other.append(frame)
                    if frame.type == "caught_up":
                        self.is_caught_up.set()
        except StreamEnded:
            self.ended = stream.ended
        except TimeoutError:
            raise
        except OSError:  # the node was stopped by the test, which closes its streams under the thread that reads
            self.ended = "closed"
        finally:
            stream.close()


def log_after(person: Person, cursor: str, limit: int = 500) -> list[dict[str, Any]]:
    """All events of the log after the cursor, read through `/events`."""
    return [event for page in log_pages(person, cursor, limit) for event in page]


def log_pages(person: Person, cursor: str, limit: int = 500) -> Iterator[list[dict[str, Any]]]:
    more = True
    while more:
        page = person.events(cursor, limit=limit)
        assert page.get("reset") is None, page["reset"]
        yield page["events"]
        cursor, more = page["cursor"], page["has_more"]


def whole_history(person: Person, peer: Person) -> list[dict[str, Any]]:
    """All messages of a conversation, oldest first."""
    messages: list[dict[str, Any]] = []
    more = True
    while more:
        page = person.history(peer, after=messages[-1]["seq"] if messages else 0, limit=200)
        messages += page["messages"]
        more = page["has_more"]
    return messages


def position(cursor: str) -> int:
    """The position in a cursor of the form that PROTOCOL.md 6.1 describes."""
    return int(cursor.split("-")[1])


def metric(node_url: str, name: str) -> float:
    """A value of `/metrics`, by its name with its labels; 0 when it was never counted."""
    lines = plain_http.get(f"{node_url}/metrics").text.splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + " ")), 0.0)


def until_acknowledged(letters: list[Letter], clients: int = 20, deadline_s: float = 30) -> Crowd:
    """Send and send again until every letter is acknowledged; the last crowd's counts."""
    end = time.monotonic() + deadline_s
    crowd = Crowd(clients)
    while left := crowd.sends(letter for letter in letters if letter.message is None):
        assert time.monotonic() < end, f"{len(left)} letters are not acknowledged: {crowd.refused[-3:]}"
    return crowd
