"""`tidings bench`: what it says of a good server, and that it sees what a bad one does."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from lab.node import SECRET, Node
from tidings.bench.dialect import Dialect, post_body, tidings
from tidings.bench.run import Outcome, Plan, is_whole, measure, shares_ms
from tidings.bench.sends import Senders
from tidings.bench.streams import MARK, READ_MARK, Audience, Server, marked
from tidings.errors import StreamLost
from tidings.protocol.encoding import encode_json

PROGRAM = Path(sys.executable).with_name("tidings")


def bench(*arguments: str, secret: str = SECRET) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "bench", *arguments],
        env={**os.environ, "TIDINGS_SECRET": secret},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("rate", [[], ["--rate", "50"]], ids=["as many as go", "at a rate"])
def test_everything_that_a_server_accepts_is_seen_to_arrive(node: Node, rate: list[str]) -> None:
    """On all devices of both; exit 0."""
    crowd = ["--streams", "20", "--pairs", "60", "--devices", "2", "--connections", "4"]
    ended = bench(node.url, *crowd, "--seconds", "1", "--json", *rate)
    seen = json.loads(ended.stdout)
    assert 20 + 60 * 2 * 2 == seen["streams"]
    assert 0 < seen["accepted"] * 4 == seen["frames"]
    assert ({}, 0, 0, 0, 0) == tuple(
        seen[name] for name in ("refused", "missing", "doubled", "disordered", "streams_lost")
    )
    assert (0, "") == (ended.returncode, ended.stderr)


@pytest.mark.parametrize(
    ("url", "secret", "code", "sentence"),
    [
        ("http://127.0.0.1:9", SECRET, 3, "cannot be reached"),
        ("ftp://x", SECRET, 2, "http://"),
        ("http://127.0.0.1:9", "", 2, "TIDINGS_SECRET is not set"),
    ],
)
def test_a_server_that_cannot_be_loaded_is_a_sentence(url: str, secret: str, code: int, sentence: str) -> None:
    """And the exit code of docs/run/cli.md."""
    ended = bench(url, secret=secret)
    assert code == ended.returncode
    assert ended.stderr.startswith("tidings: ")
    assert 1 == ended.stderr.count("\n")
    assert sentence in ended.stderr


def test_a_secret_of_another_server_is_refused(node: Node) -> None:
    """As the exit codes have it; trying again does not help."""
    ended = bench(node.url, "--streams", "1", secret="x" * 64)
    assert (1, "tidings: A stream was refused (401 status_401)\n") == (ended.returncode, ended.stderr)


def test_more_streams_than_open_files_are_a_sentence_before_anything_is_done() -> None:
    """With the number that this process may have; a hundred million would take all memory first."""
    ended = subprocess.run(
        ["sh", "-c", 'ulimit -n 256; exec "$@"', "-", PROGRAM, "bench", "http://127.0.0.1:9", "--streams", "100000000"],
        env={**os.environ, "TIDINGS_SECRET": SECRET},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (2, 1) == (ended.returncode, ended.stderr.count("\n")), ended.stderr
    assert "256 open files" in ended.stderr


class Bad:
    """A server that accepts every message and does something else to its streams with it."""

    def __init__(self, does: Callable[[int], list[int]]) -> None:
        self._does = does
        self._streams: list[asyncio.StreamWriter] = []
        self._count = 0
        self.left: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self.left.append(task)
        try:
            await self._answer(reader, writer)
        except ConnectionError:
            pass  # the other side is done with it
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            while (line := await reader.readline()) != b"\r\n":
                size = int(line.split()[1]) if line.lower().startswith(b"content-length") else 0
            if head.startswith(b"GET"):
                writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: hello\n\n")
                self._streams.append(writer)
                await reader.read()
                return
            await reader.readexactly(size)
            self._count += 1
            for number in self._does(self._count):
                for stream in self._streams:
                    stream.write(b"data: %b\n\n" % marked("a", number, 0, 0).encode())
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")


DIALECT = Dialect(
    lambda user: b"GET / HTTP/1.1\r\n\r\n",
    lambda sender, recipient, text, key: b"POST / HTTP/1.1\r\n" + post_body(text.encode()),
)


@pytest.mark.parametrize(
    ("does", "missing", "doubled", "disordered"),
    [
        (lambda n: [n], 0, 0, 0),
        (lambda n: [] if n == 5 else [n], 2, 0, 2),
        (lambda n: [n, n] if n == 5 else [n], 0, 2, 0),
        (lambda n: [] if n == 5 else [6, 5] if n == 6 else [n], 0, 0, 4),
    ],
    ids=["nothing", "loses", "doubles", "swaps"],
)
def test_the_faults_of_a_bad_server_are_counted(
    does: Callable[[int], list[int]], missing: int, doubled: int, disordered: int
) -> None:
    """On each of the two streams."""

    async def work() -> Outcome:
        bad = Bad(does)
        server = await asyncio.start_server(bad.serve, "127.0.0.1", 0)
        try:
            port = server.sockets[0].getsockname()[1]
            plan = Plan(idle_streams=0, pairs=1, devices=1, connections=1, rate=100, seconds=0.2)
            return await measure(DIALECT, f"http://127.0.0.1:{port}", plan, name="a")
        finally:
            server.close()
            await asyncio.wait(bad.left)

    outcome = asyncio.run(work())
    assert 20 == outcome.accepted
    assert (missing, doubled) == (outcome.missing, outcome.doubled)
    assert disordered == outcome.disordered
    assert (missing + doubled + disordered == 0) == is_whole(outcome)


def test_at_a_rate_every_pair_writes_its_share(start_node: Callable[..., Node]) -> None:
    """100 a second by 20 pairs are 5 of each: a server that allows 8 refuses none."""
    node = start_node(sends_per_s=8, sends_burst=8)
    ended = bench(node.url, "--streams", "1", "--pairs", "20", "--rate", "100", "--seconds", "3", "--json")
    told = json.loads(ended.stdout)
    assert ({}, 300) == (told["refused"], told["accepted"])
    assert 0 == ended.returncode


@pytest.mark.parametrize("rate", [0, 20], ids=["as many as go", "at a rate"])
def test_a_server_that_dies_under_a_send_ends_the_run(rate: float) -> None:
    """At once and with a sentence, not after the longest wait for an answer."""

    def dies(count: int) -> list[int]:
        raise ConnectionResetError

    async def work() -> None:
        bad = Bad(dies)
        server = await asyncio.start_server(bad.serve, "127.0.0.1", 0)
        try:
            port = server.sockets[0].getsockname()[1]
            plan = Plan(idle_streams=0, pairs=2, devices=1, connections=2, rate=rate, seconds=0.1)
            await measure(DIALECT, f"http://127.0.0.1:{port}", plan, name="a")
        finally:
            server.close()
            await asyncio.wait(bad.left)

    with pytest.raises(StreamLost, match="closed before its send was answered"):
        asyncio.run(work())


def test_shares_are_of_the_sorted_latencies() -> None:
    """In milliseconds."""
    assert {"p50": 0.5, "p99": 0.99, "p99.9": 0.999} == shares_ms(list(range(1000, -1, -1)))
    assert {} == shares_ms([])


def test_so_many_of_each_pair_are_sent_and_their_receipts_are_counted(node: Node) -> None:
    """Neither more nor fewer, whichever connection is the faster one; a receipt comes to both sides' streams."""
    pairs = [(f"writes-{nth}", f"reads-{nth}") for nth in range(5)]
    plain = tidings(
        f"{node.url}/api/message", lambda user: jwt.encode({"sub": user, "exp": int(time.time()) + 60}, SECRET, "HS256")
    )

    def read(sender: str, recipient: str, text: str, key: str) -> bytes:
        head = plain.send(sender, recipient, text, key).partition(b"Content-Type")[0].replace(b"/send", b"/receipts")
        return head + post_body(encode_json({"chatUserId": recipient, "read_upto": int(key.rpartition("-")[2])}))

    async def work() -> list[int]:
        server = Server.at(node.url)
        frames = []
        for mark, dialect, turns in (
            (MARK, plain, pairs),
            (READ_MARK, plain._replace(send=read), [(reads, writes) for writes, reads in pairs]),
        ):
            audience = Audience(dialect, server, mark)
            await audience.open([person for pair in pairs for person in pair])
            senders = Senders(dialect, server, turns, 50)
            await senders.connect(3)
            await senders.each(4)
            await audience.arrived(5 * 4 * 2)
            frames += [senders.accepted, audience.frames, audience.doubled + audience.disordered + audience.lost]
            senders.close()
            await audience.close(keep=3)
            frames.append(len(audience.streams))
            await audience.close()
            for writes, reads in pairs:  # what was read is told to those who were answered
                node.person(reads).sends(node.person(writes), "an answer")
        return frames

    assert [20, 40, 0, 3] * 2 == asyncio.run(work())
