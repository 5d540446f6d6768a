"""``make bench-growth``: what the same work costs beside ten thousand, a million and ten million stored messages.

The store is filled through its own interface, then measured by itself (one process, no HTTP) and behind
``tidings serve``: sends at saturation, a page of history, the inbox, catching up with 500 events, the start, and the
size of the files. Medians; CPU by the operating system's accounting.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import uvloop
from meter import cpu_s
from peers import Running, all_peers
from peers.dialects import token
from report import machine, shown
from works.size import whole

from tidings.bench.run import Plan, run
from tidings.protocol.events import UserId
from tidings.server.store import NewMessage
from tidings.server.store.sqlite import SqliteStore

PAIRS = 2500
AT_ONCE = 2000  # appends under way while the store is filled
SAMPLES = 200
MEASURED_APPENDS = 20_000
READER, PEER = UserId("grown-0"), UserId("grown-1")
TEXT = "a message of some length, as people write them, with a few words more than one would need " + "x" * 20


def new(nth: int) -> NewMessage:
    """The nth message: pairs take turns, and both sides of a pair."""
    pair, turn = nth % PAIRS, nth // PAIRS
    people = UserId(f"grown-{2 * pair}"), UserId(f"grown-{2 * pair + 1}")
    return NewMessage(people[turn % 2], people[1 - turn % 2], TEXT, "text", f"grown-{nth}", opening_limit_per_h=None)


async def fill(store: SqliteStore, begin: int, end: int) -> None:
    """Append the messages from ``begin`` on."""
    numbers = iter(range(begin, end))

    async def some() -> None:
        for nth in numbers:
            await store.append(new(nth))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(some())


async def at_the_store(path: Path, count: int, already: int) -> dict[str, float]:
    """Fill it up to ``count`` messages; then each operation by itself."""
    store = SqliteStore(str(path), on_commit=lambda events: None)
    await store.start()
    try:
        await fill(store, already, count)
        before, began = _own_cpu_s(), time.perf_counter()
        await fill(store, count, count + MEASURED_APPENDS)
        took_s = time.perf_counter() - began
        figures = {
            "store: CPU of an append (us)": (_own_cpu_s() - before) / MEASURED_APPENDS * 1e6,
            "store: appends a second": MEASURED_APPENDS / took_s,
        }
        heads = await store.heads([READER])
        behind = max(0, heads[READER] - 500)
        for name, read in (
            ("a page of history", lambda: store.history(READER, PEER, before=None, after=None, limit=50)),
            ("the inbox", lambda: store.inbox(READER, before=None, limit=30)),
            ("500 events of the log", lambda: store.read_after(READER, behind, 500)),
        ):
            figures[f"store: {name} (ms)"] = await _median_ms(read)
    finally:
        await store.close()
    return figures


def behind_http(path: Path, folder: Path) -> dict[str, float]:
    """The same behind ``tidings serve``."""
    began = time.perf_counter()
    peer = all_peers(folder / "unused")[0]._replace(
        command=lambda port, _: [
            str(Path(sys.executable).with_name("tidings")), "serve", "--port", str(port), "--db", f"sqlite:///{path}",
        ]
    )  # fmt: skip
    running = Running(peer, folder)
    figures = {"HTTP: start until it accepts (s)": time.perf_counter() - began}
    try:
        run(running.dialect, running.url, Plan(0, 64, 1, 64, 0, 1), name="grown")
        wal = path.with_name(path.name + "-wal")
        used, size = cpu_s(running.pid), wal.stat().st_size
        outcome = run(running.dialect, running.url, Plan(0, 500, 1, 64, 0, 3), name="grown")
        whole(outcome)
        figures["HTTP: CPU of a message and its streams (us)"] = (cpu_s(running.pid) - used) / outcome.accepted * 1e6
        figures["HTTP: WAL file afterwards (MiB)"] = max(size, wal.stat().st_size) / 2**20
        headers = {"Authorization": f"Bearer {token('grown-0')}"}
        with httpx2.Client(base_url=running.url, headers=headers, trust_env=False) as http:
            for name, address in (("a page of history", "/grown-1?limit=50"), ("the inbox", "/inbox/me?limit=30")):
                taken = []
                for _ in range(SAMPLES):
                    at = time.perf_counter()
                    http.get(address).raise_for_status()
                    taken.append((time.perf_counter() - at) * 1000)
                figures[f"HTTP: {name} (ms)"] = statistics.median(taken)
    finally:
        running.stop()
    return figures


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


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    columns: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, already = Path(name), 0
        path = folder / "grown.db"
        for count in options.counts:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                columns[count] = runner.run(at_the_store(path, count, already))
            already = count + MEASURED_APPENDS
            place = folder / str(count)
            place.mkdir()
            columns[count] |= behind_http(path, place)
            columns[count]["file (bytes of a message)"] = path.stat().st_size / already
            print(f"{count:,} messages: done", file=sys.stderr)
    lines = ["| | " + " | ".join(f"{count:,}" for count in columns) + " |", "|---|" + "---|" * len(columns)]
    lines += [
        f"| {figure} | " + " | ".join(shown(column[figure]) for column in columns.values()) + " |"
        for figure in next(iter(columns.values()))
    ]
    text = f"{machine()}\n\n" + "\n".join(lines)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "growth.json").write_text(json.dumps({"machine": machine(), "messages": columns}, indent=1))
    (options.out / "growth.md").write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TMPDIR", "/var/tmp")  # a real disk, where /tmp is memory
    sys.exit(main())
