"""Each operation of the store by itself, beside so many messages: one process, no HTTP."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lab.benchmarks.grown.fill import PEER, READER, fill
from tidings.server.store.sqlite.store import SqliteStore
from tidings.server.store.sqlite.threads import Written

MEASURED_APPENDS = 20_000
SAMPLES = 200
EVENTS = 500


async def grow(path: Path, begin: int, end: int) -> None:
    """Fill it up to ``end`` messages."""
    store = SqliteStore(str(path), on_commit=lambda events: None)
    await store.start()
    await fill(store, begin, end)
    await store.close()


async def measure(path: Path, count: int) -> dict[str, float]:
    """Appends, which stay, and reads."""
    store = SqliteStore(str(path), on_commit=lambda events: None)
    await store.start()
    try:
        # Nothing is taken back from the write-ahead log meanwhile: it grows by what is written to it.
        await _set_checkpoints(store, 0)
        wal = path.with_name(path.name + "-wal")
        size = wal.stat().st_size if wal.exists() else 0
        before, began = _own_cpu_s(), time.perf_counter()
        await fill(store, count, count + MEASURED_APPENDS)
        took_s = time.perf_counter() - began
        figures = {
            "store: CPU of an append (us)": (_own_cpu_s() - before) / MEASURED_APPENDS * 1e6,
            "store: appends a second": MEASURED_APPENDS / took_s,
            "store: written to the write-ahead log for each (bytes)": (wal.stat().st_size - size) / MEASURED_APPENDS,
        }
        await _set_checkpoints(store, 1000)
        behind = max(0, (await store.heads([READER]))[READER] - EVENTS)
        for name, read in (
            ("a page of history", lambda: store.history(READER, PEER, before=None, after=None, limit=50)),
            ("the inbox", lambda: store.inbox(READER, before=None, limit=30)),
            (f"{EVENTS} events of the log", lambda: store.read_after(READER, behind, EVENTS)),
        ):
            figures[f"store: {name} (ms)"] = await _median_ms(read)
    finally:
        await store.close()
    return figures


async def _set_checkpoints(store: SqliteStore, pages: int) -> None:
    await store._write(lambda connection: Written(connection.execute(f"PRAGMA wal_autocheckpoint = {pages}"), []))


async def _median_ms(read: Callable[[], Awaitable[Any]]) -> float:
    taken = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        await read()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def _own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
