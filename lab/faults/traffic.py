"""People on several nodes while something breaks: each follows their log, and all write to each other at a steady rate.

They come through a balancer that leaves out for a while a node which did not answer. They keep the promises that
PROTOCOL.md asks of a client: a send is repeated with its `client_id`, on whichever node, until it is acknowledged; a
reader goes on, on whichever node, from the cursor of the last event that it applied, and leaves a stream that has been
silent for two heartbeats and five seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab.crowd import LOG_TYPES, Letter
from lab.faults.rounds import Found, Outcome, judge
from lab.node import API, Frame, Node, Person
from lab.process import wait_for

HEARTBEAT_S = 1.0
SILENT_MAX_S = 2 * HEARTBEAT_S + 5
ANSWER_WAIT_S = 12.0  # of a send: longer than a node takes to say that it does not know
CONNECT_WAIT_S = 5.0
PAUSE_S = (0.05, 0.3)  # before somebody tries again, unless told otherwise
LEFT_OUT_S = 5.0  # a node that did not answer, by the balancer that everybody comes through
REST_WAIT_S = 60.0


_rounds = itertools.count(1)  # each has people of its own


class Reader:
    """A person's log, followed on one node after the other: `events` are the frames applied."""

    def __init__(self, person: Person, cursor: str) -> None:
        self.person = person
        self.cursor = self.began_at = cursor
        self.resets = 0  # after one, all is read anew: what came before it is forgotten
        self.events: list[Frame] = []
        self.other: list[Frame] = []
        self.arrived: dict[str, float] = {}  # by message, on the monotonic clock
        self.streams = 0
        self.is_live = False


class Traffic:
    """Streams and sends over several nodes, in a thread of its own while the block of `runs` lasts."""

    def __init__(self, nodes: Sequence[Node], people: int, rate_per_s: float, seed: int = 5) -> None:
        self.nodes = nodes
        self.rng = random.Random(seed)
        self.rate_per_s = rate_per_s
        self.writes_to = nodes  # those that the balancer sends writes to
        self._round = next(_rounds)
        self.people = [nodes[0].person(f"user-{self._round}-{number}") for number in range(people)]
        for person in self.people:
            person.token = nodes[0].token(person.id, ttl_s=6 * 3600)  # also by a clock that is ahead
        self.starts = {person.id: person.head() for person in self.people}
        self.readers = {person.id: Reader(person, self.starts[person.id]) for person in self.people}
        self.letters: list[Letter] = []
        self.told: Counter[str] = Counter()  # what was answered in place of 201
        self._begun: dict[str, float] = {}  # when a letter was first written, by client_id
        self._acknowledged_at: dict[str, float] = {}
        self._left_out_until: dict[Node, float] = {}
        self._begins, self._stops_sending, self._stops = (threading.Event() for _ in range(3))

    @contextlib.contextmanager
    def runs(self) -> Iterator[None]:
        """Everybody reads and writes; afterwards, all is acknowledged and has come, or REST_WAIT_S are over."""
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(lambda: asyncio.run(self._run()))
            try:
                wait_for(lambda: running.done() or self._all_live(), REST_WAIT_S, "a stream for each")
                self._begins.set()
                yield
                self._stops_sending.set()
                with contextlib.suppress(AssertionError):  # the judge counts what is missing
                    wait_for(lambda: running.done() or self._is_at_rest(), REST_WAIT_S)
            finally:
                for each in (self._begins, self._stops_sending, self._stops):
                    each.set()
                running.result(REST_WAIT_S)

    def note(self, outcome: Outcome, ended_at: float) -> None:
        """Note the answers and the waits of everybody; `ended_at` is the end of the fault."""
        outcome.errors.update(self.told)
        late = [at for letter, at in self._arrivals() if self._begun[letter.client_id] <= ended_at]
        outcome.recovery_s.append(max(0.0, max(late, default=ended_at) - ended_at))
        waits = [at - self._begun[letter.client_id] for letter, at in self._arrivals()]
        answers = [at - self._begun[client_id] for client_id, at in self._acknowledged_at.items()]
        sent_again = sum(letter.tries > 1 for letter in self.letters)
        outcome.figures |= {
            "longest_gap_s": round(max(waits, default=0.0), 2),
            "longest_send_s": round(max(answers, default=0.0), 2),
            "sends_sent_again": sent_again,
            "streams": sum(reader.streams for reader in self.readers.values()),
            "resets": sum(reader.resets for reader in self.readers.values()),
        }
        outcome.in_flight += self.told["no answer"]
        unacknowledged = sum(letter.message is None for letter in self.letters)
        outcome.expects(unacknowledged == 0, f"{unacknowledged} sends were never acknowledged")

    def judge(self) -> Found:
        """Compare what was acknowledged with what is there, and with what came on the streams."""
        return judge(self.letters, self.starts, self.readers.values())

    def acknowledged(self) -> int:
        """How many sends were."""
        return len(self._acknowledged_at)

    def _arrivals(self) -> Iterator[tuple[Letter, float]]:
        for letter in self.letters:
            if letter.message is not None:
                at = self.readers[letter.recipient.id].arrived.get(letter.message["_id"])
                if at is not None:
                    yield letter, at

    def _all_live(self) -> bool:
        return all(reader.is_live for reader in self.readers.values())

    def _is_at_rest(self) -> bool:
        return all(letter.message is not None for letter in self.letters) and all(
            reader.cursor == reader.person.head() for reader in self.readers.values()
        )

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            reading = [tasks.create_task(self._read(reader)) for reader in self.readers.values()]
            await asyncio.to_thread(self._begins.wait)
            begun = time.monotonic()
            sending: list[asyncio.Task[None]] = []
            while not self._stops_sending.is_set():
                sending.append(tasks.create_task(self._send(self._writes())))
                await asyncio.sleep(max(0.0, begun + len(sending) / self.rate_per_s - time.monotonic()))
            await asyncio.to_thread(self._stops.wait)
            for task in (*reading, *sending):
                task.cancel()

    def _choose(self, nodes: Sequence[Node]) -> Node:
        """As a balancer does that notices who does not answer: by chance, of those that do if there is one."""
        now = time.monotonic()
        answering = [node for node in nodes if self._left_out_until.get(node, 0.0) < now]
        return self.rng.choice(answering or nodes)

    @contextlib.contextmanager
    def _leaves_out(self, node: Node) -> Iterator[None]:
        """Leave the node out for a while if it does not answer here."""
        try:
            yield
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self._left_out_until[node] = time.monotonic() + LEFT_OUT_S
            raise

    def _writes(self) -> Letter:
        sender, recipient = self.rng.sample(self.people, 2)
        number = len(self.letters)
        letter = Letter(sender, recipient, f"{number} {'x' * 80}", f"c-{self._round}-{number}")
        self.letters.append(letter)
        return letter

    async def _send(self, letter: Letter) -> None:
        body = json.dumps(
            {"recipientId": letter.recipient.id, "text": letter.text, "client_id": letter.client_id}
        ).encode()
        request = (
            f"POST {API}/send HTTP/1.1\r\nHost: tests\r\nAuthorization: Bearer {letter.sender.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        ).encode() + body
        self._begun[letter.client_id] = time.monotonic()
        while True:
            letter.tries += 1
            pause_s = self.rng.uniform(*PAUSE_S)
            try:
                with self._leaves_out(node := self._choose(self.writes_to)):
                    async with asyncio.timeout(ANSWER_WAIT_S):
                        status, head, answer = await self._asks(node, request)
            except ConnectionRefusedError:
                self.told["refused"] += 1
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                self.told["no answer"] += 1
            else:
                if status == 201:
                    letter.message = answer["message"]
                    self._acknowledged_at[letter.client_id] = time.monotonic()
                    return
                self.told[f"{status} {answer.get('code')}"] += 1
                # A client spreads itself over the time that it is told; see `sender.py` of the scoreboard.
                pause_s += self.rng.uniform(0.0, float(head.get("retry-after", "0")))
            await asyncio.sleep(pause_s)

    async def _asks(self, node: Node, request: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
        reader, writer = await asyncio.open_connection(*node.address)
        try:
            writer.write(request)
            status, head = _head(await reader.readuntil(b"\r\n\r\n"))
            return status, head, json.loads(await reader.readexactly(int(head["content-length"])))
        finally:
            writer.close()

    async def _read(self, reader: Reader) -> None:
        while True:
            node = self._choose(self.nodes)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError), self._leaves_out(node):
                await self._follow(reader, node)
            reader.is_live = False
            await asyncio.sleep(self.rng.uniform(*PAUSE_S))

    async def _follow(self, reader: Reader, node: Node) -> None:
        """A stream, until it ends or falls silent."""
        async with asyncio.timeout(CONNECT_WAIT_S):
            source, sink = await asyncio.open_connection(*node.address)
        try:
            sink.write(
                f"GET {API}/sse/me HTTP/1.1\r\nHost: tests\r\nAuthorization: Bearer {reader.person.token}\r\n"
                f"Last-Event-ID: {reader.cursor}\r\n\r\n".encode()
            )
            async with asyncio.timeout(CONNECT_WAIT_S):
                status, _ = _head(await source.readuntil(b"\r\n\r\n"))
            if status != 200:
                self.told[f"stream {status}"] += 1
                return
            reader.streams += 1
            left = b""
            while True:
                async with asyncio.timeout(SILENT_MAX_S):
                    size = int((await source.readuntil(b"\r\n"))[:-2], 16)
                    left += (await source.readexactly(size + 2))[:-2]
                if size == 0:
                    return
                *blocks, left = left.split(b"\n\n")
                for block in blocks:
                    self._take(reader, _frame(block))
        finally:
            sink.close()

    def _take(self, reader: Reader, frame: Frame) -> None:
        if frame.type in LOG_TYPES:
            assert frame.id is not None
            reader.events.append(frame)
            reader.cursor = frame.id
            if frame.type == "new_message":
                reader.arrived.setdefault(frame.data["_id"], time.monotonic())
            return
        reader.other.append(frame)
        if frame.type == "reset":
            reader.cursor = reader.began_at = frame.data["cursor"]
            reader.resets += 1
            reader.events.clear()
        reader.is_live = reader.is_live or frame.type == "caught_up"


def _head(received: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = received.decode("latin-1").split("\r\n")
    return int(first.split(" ")[1]), {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }


def _frame(block: bytes) -> Frame:
    lines = (line.partition(":") for line in block.decode().split("\n"))
    return Frame(block + b"\n\n", tuple((name, value.removeprefix(" ")) for name, _, value in lines))
