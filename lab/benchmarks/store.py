"""Micro-benchmark: appends to the store alone, many at once, by group commit and with one transaction for each.

The same writer does both; for the second it may take one write at a time. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import uvloop

import tidings.server.store.sqlite.threads as threads
from tidings.protocol.user_id import UserId
from tidings.server.store import NewMessage
from tidings.server.store.sqlite.store import SqliteStore
from tidings.server.store.sqlite.threads import WRITER_BATCH_MAX

AT_ONCE = 256
USERS = 5000
TEXT = "x" * 100
WARM = 500
WAYS = {"group commit": WRITER_BATCH_MAX, "one transaction for each": 1}


async def append_all(store: SqliteStore, count: int, name: str) -> None:
    """``count`` messages, AT_ONCE of them under way."""
    numbers = iter(range(count))

    async def some() -> None:
        for nth in numbers:
            people = UserId(f"user-{nth * 7 % USERS}"), UserId(f"user-{nth * 13 % USERS + USERS}")
            await store.append(NewMessage(*people, TEXT, "text", f"{name}-{nth}", opening_limit_per_h=None))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(some())


async def measure(path: Path, count: int) -> dict[str, float]:
    """Both ways."""
    figures = {}
    for way, batch_max in WAYS.items():
        threads.WRITER_BATCH_MAX = batch_max
        store = SqliteStore(str(path / f"{batch_max}.db"), on_commit=lambda events: None)
        await store.start()
        await append_all(store, WARM, "warm")
        cpu_s, began = own_cpu_s(), time.perf_counter()
        await append_all(store, count, "measured")
        figures[f"appends a second, {way}"] = count / (time.perf_counter() - began)
        figures[f"CPU of an append, {way} (us)"] = (own_cpu_s() - cpu_s) / count * 1e6
        await store.close()
    return figures


def own_cpu_s() -> float:
    """User and system time of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(Path(name), options.count))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
