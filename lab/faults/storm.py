"""Thousands of streams at once, on plain sockets in one event loop: reconnections, and a drain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field

from lab.crowd import Letter, metric, until_acknowledged
from lab.faults.rounds import Outcome
from lab.node import API, Node, Person

CATCH_UP_MAX_S = 120.0
EVENT = re.compile(rb"id: [0-9a-f]+-(\d+)-[0-9a-f]+\n(?:retry: \d+\n)?data: (\{.*\})\n\n")


@dataclass
class Client:
    """A reader that keeps the position and type of what came."""

    person: Person
    cursor: str
    status: int = 0
    failures: int = 0
    positions: list[int] = field(default_factory=list)
    goodbye_ms: int | None = None
    is_caught_up: bool = False
    is_clean: bool = False
    ready_at: float = 0.0
    received: bytes = b""

    async def reads(self, until: bytes) -> None:
        """Open a stream and read until these bytes, or its end."""
        reader, writer = await asyncio.open_connection(*self.person.address)
        try:
            head = f"GET {API}/sse/me HTTP/1.1\r\nHost: tests\r\nAuthorization: Bearer {self.person.token}\r\n"
            writer.write(f"{head}Last-Event-ID: {self.cursor}\r\n\r\n".encode())
            self.status = int((await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])
            while until not in self.received and (more := await reader.read(65536)):
                self.received += more
            self.ready_at = time.monotonic()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        self._understands()

    async def comes_back(self) -> None:
        """Try until it is caught up, as every client of ours does, with a wait that grows."""
        while not self.is_caught_up:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self.reads(b'"caught_up"')
            if not self.is_caught_up:
                self.received = b""
                self.failures += 1
                await asyncio.sleep(random.uniform(0.25, min(30.0, 2.0**self.failures)))

    def _understands(self) -> None:
        body = re.sub(rb"\r\n[0-9a-f]+\r\n", b"", b"\r\n" + self.received)  # chunks: no JSON of ours has CR LF
        self.positions = [int(at) for at, data in EVENT.findall(body) if b'"new_message"' in data[:40]]
        self.is_caught_up = b'"caught_up"' in body
        self.is_clean = body.endswith(b"\r\n0\r\n\r\n") or self.received.endswith(b"0\r\n\r\n")
        if b'"goodbye"' in body:
            self.goodbye_ms = json.loads(body[body.rindex(b"data: ") + 6 :].split(b"\n", 1)[0])["data"]["retry_ms"]
        self.received = b""


def all_at_once(tasks: Iterable[Awaitable[None]], deadline_s: float) -> None:
    """Run them together."""

    async def run() -> None:
        await asyncio.wait_for(asyncio.gather(*tasks), deadline_s)

    asyncio.run(run())


def reconnection_storm(node: Node, clients: int, *, backlog: int) -> Outcome:
    """The node is killed and started again, and all clients come back at once, each with so many messages missed."""
    outcome = Outcome(f"{clients} clients reconnect at once", rounds=1)
    people = [node.person(f"user-{number}") for number in range(clients)]
    writer = node.person("writer")
    start = people[0].head()  # of an empty log: the same for all
    letters = [
        Letter(writer, person, f"{number}", f"{number}-{person}") for number in range(backlog) for person in people
    ]
    until_acknowledged(letters, deadline_s=300)
    node.kill()
    node.restart()
    returning = [Client(person, start) for person in people]
    begun = time.monotonic()
    all_at_once((client.comes_back() for client in returning), CATCH_UP_MAX_S)
    outcome.recovery_s.append(time.monotonic() - begun)
    outcome.acknowledged = len(letters)
    wanted = list(range(1, backlog + 1))
    for client in returning:
        outcome.lost += len(set(wanted) - set(client.positions))
        outcome.doubled += len(client.positions) - len(set(client.positions))
        outcome.out_of_order += client.positions != sorted(client.positions)
    outcome.errors["attempt failed"] += sum(client.failures for client in returning)
    outcome.expects(all(client.is_caught_up for client in returning), "a client was not caught up")
    waits = sorted(client.ready_at - begun for client in returning)
    outcome.figures = {
        "backlog_each": backlog,
        "median_s": round(waits[len(waits) // 2], 2),
        "last_s": round(waits[-1], 2),
    }
    return outcome


def crowded_drain(node: Node, streams: int, window_s: float) -> Outcome:
    """SIGTERM with so many streams open: each gets its goodbye and a clean end, and they will come back spread."""
    outcome = Outcome(f"drain with {streams} streams", rounds=1)
    people = [node.person(f"user-{number}") for number in range(streams)]
    start = people[0].head()
    clients = [Client(person, start) for person in people]
    took: list[float] = []

    async def drain() -> None:
        reading = [asyncio.create_task(client.reads(b"\n\r\n0\r\n\r\n")) for client in clients]
        while await asyncio.to_thread(metric, node.url, "tidings_streams_open") < streams:
            assert not any(task.done() for task in reading), "a stream ended before"
            await asyncio.sleep(0.05)
        begun = time.monotonic()
        node.signal_stop()
        assert node.process is not None
        code = await asyncio.to_thread(node.process.wait, window_s + 20)
        took.append(time.monotonic() - begun)
        outcome.errors[f"exit {code}"] += 1
        outcome.expects(code == 0, f"exit {code}")
        await asyncio.gather(*reading)

    asyncio.run(drain())
    retries = [client.goodbye_ms for client in clients if client.goodbye_ms is not None]
    outcome.errors["goodbye draining"] += len(retries)
    outcome.expects(len(retries) == streams, f"{streams - len(retries)} streams had no goodbye")
    outcome.expects(all(client.is_clean for client in clients), "a stream was cut")
    window_ms = window_s * 1000
    tenths = [int((retry - min(retries)) // (window_ms / 10)) for retry in retries]
    fullest = max(tenths.count(tenth) for tenth in set(tenths))
    outcome.expects(window_ms <= min(retries), "somebody comes back within the window")
    outcome.expects(max(retries) - min(retries) <= window_ms, "they come back later than in a window after it")
    outcome.expects(fullest < streams / 5, f"{fullest} come back within a tenth of the window")
    outcome.figures = {
        "window_s": window_s,
        "exit_after_s": round(took[0], 2),
        "come_back_after_ms": f"{min(retries)} to {max(retries)}",
        "most_in_a_tenth_of_the_window": fullest,
    }
    node.kill()
    return outcome
