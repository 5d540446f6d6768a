"""The cost of the main path: CPU of a send with one stream at the recipient, memory of an idle stream.

Run it on a quiet machine:  .venv/bin/python -m lab.benchmarks.main_path

It starts a ``tidings serve`` of its own on a temporary database with everything switched on (tokens, limits, durable
commits), drives it over keep-alive connections from this process, and reads the server's CPU (all threads, user and
system) and resident memory from /proc. Memory is the slope between two counts of streams, each of its own user.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jwt

SECRET = "a secret of the benchmark, thirty-two bytes or more"
API = "/api/message"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CONNECTIONS_AT_ONCE = 64


class Server:
    """A ``tidings serve`` process."""

    def __init__(self, folder: str) -> None:
        unlimited = {"TIDINGS_SENDS_PER_S": "1000000", "TIDINGS_SENDS_BURST": "1000000"}
        self.process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("tidings")),
                "serve",
                "--port",
                "0",
                "--db",
                f"sqlite:///{folder}/b.db",
            ],
            env={**os.environ, "TIDINGS_SECRET": SECRET, **unlimited},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def rss_kib(self) -> int:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


def token(user: str) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 3600}, SECRET, "HS256")


async def open_stream(port: int, user: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An event stream whose first frames have been read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    writer.write(f"GET {API}/sse/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(user)}\r\n\r\n".encode())
    await reader.readuntil(b'"type":"caught_up"')
    return reader, writer


async def count_frames(reader: asyncio.StreamReader, wanted: int) -> None:
    """Read until this many new messages came."""
    seen, tail = 0, b""
    while seen < wanted:
        data = await reader.read(65536)
        assert data, "the stream ended"
        whole = tail + data
        seen += whole.count(b'"type":"new_message"')
        tail = whole[-20:] if not whole.endswith(b"\n\n") else b""


async def post_all(port: int, sender: str, recipient: str, count: int) -> None:
    """Closed loop on one keep-alive connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    bearer = token(sender)
    for number in range(count):
        body = json.dumps({"recipientId": recipient, "text": f"message {number} " + "x" * 90, "client_id": f"{number}"})
        head = f"POST {API}/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 201 " in answer, answer
        found = re.search(rb"content-length: (\d+)", answer)
        assert found is not None
        await reader.readexactly(int(found[1]))
    writer.close()


async def measure_sends(server: Server, connections: int, each: int, round_number: int) -> tuple[float, float]:
    """CPU microseconds per send, and sends per second, with one stream at the recipient and none at the sender."""
    recipient = f"recipient-{round_number}"
    reader, writer = await open_stream(server.port, recipient)
    cpu, begun = server.cpu_s(), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(count_frames(reader, connections * each))
        for number in range(connections):
            tasks.create_task(post_all(server.port, f"sender-{round_number}-{number}", recipient, each))
    used, took = server.cpu_s() - cpu, time.perf_counter() - begun
    writer.close()
    return used / (connections * each) * 1e6, connections * each / took


async def measure_memory(server: Server, low: int, high: int) -> tuple[float, float]:
    """KiB of resident memory per idle stream (slope from ``low`` to ``high``), CPU microseconds per connection."""
    writers: list[asyncio.StreamWriter] = []

    async def open_to(count: int) -> None:
        while len(writers) < count:
            some = range(len(writers), min(count, len(writers) + CONNECTIONS_AT_ONCE))
            opened = await asyncio.gather(*(open_stream(server.port, f"idle-{number}") for number in some))
            writers.extend(writer for _reader, writer in opened)

    await open_to(low)
    before, cpu = server.rss_kib(), server.cpu_s()
    await open_to(high)
    slope = (server.rss_kib() - before) / (high - low)
    connecting = (server.cpu_s() - cpu) / (high - low) * 1e6
    for writer in writers:
        writer.transport.abort()
    return slope, connecting


async def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        try:
            await measure_sends(server, 4, 100, -1)  # warm
            for connections in (8, 64):
                each = options.sends // connections
                rounds = [await measure_sends(server, connections, each, connections * 100 + n) for n in range(5)]
                cpu, rate = ([part[i] for part in rounds] for i in (0, 1))
                print(
                    f"POST /send, 1 recipient stream, {connections} connections: CPU {statistics.median(cpu):.0f} us"
                    f" ({min(cpu):.0f}-{max(cpu):.0f}), {statistics.median(rate):.0f} sends/s"
                )
            slope, connecting = await measure_memory(server, 1000, options.streams)
            print(
                f"idle streams, 1,000 to {options.streams:,}: RSS {slope:.1f} KiB each, {connecting:.0f} us to connect"
            )
        finally:
            server.stop()
    print(f"{os.cpu_count()} CPUs, Python {platform.python_version()}, {platform.system()} {platform.release()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sends", type=int, default=4000)
    parser.add_argument("--streams", type=int, default=5000)
    asyncio.run(run(parser.parse_args()))
