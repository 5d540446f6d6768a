"""The memory of an open stream at the server: many idle streams of distinct users, without a proxy between."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from lab.meter import held_kib
from lab.systems.system import Row, System

WARM_UP_STREAMS = 50
"""Opened before the first measurement, so that what is loaded once is not counted."""
SETTLE_S = 2.0


async def stream_memory_kib(row: Row, streams: int) -> float:
    """KiB of the server's memory for each of so many idle streams."""
    with tempfile.TemporaryDirectory(prefix="scoreboard-") as folder:
        system = row.system(Path(folder))
        writers: list[asyncio.StreamWriter] = []
        try:
            await system.prepare()
            await asyncio.to_thread(system.start)
            for number in range(WARM_UP_STREAMS):
                writers.append(await opened(system, f"early-{number}"))
            await asyncio.sleep(SETTLE_S)
            before_kib = held_kib(system.pid)
            for number in range(streams):
                writers.append(await opened(system, f"idle-{number}"))
            await asyncio.sleep(SETTLE_S)
            return (held_kib(system.pid) - before_kib) / streams
        finally:
            for writer in writers:
                writer.close()
            system.kill()


async def opened(system: System, name: str) -> asyncio.StreamWriter:
    """A stream whose header section has come."""
    request = system.stream(name)
    headers = {"Host": f"127.0.0.1:{system.port}", "Accept": "text/event-stream", **request.headers}
    lines = [f"GET {request.path} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items()), "", ""]
    reader, writer = await asyncio.open_connection(*system.address)
    writer.write("\r\n".join(lines).encode())
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"no stream for {name}: {status!r}")
    return writer
