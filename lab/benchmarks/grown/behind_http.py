"""The same behind ``tidings serve``: the start, messages as many as go, and what a client reads."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import httpx2

from lab.benchmarks.grown.fill import PEER, READER
from lab.benchmarks.peers import Running, served_by_us
from lab.benchmarks.works.size import CONNECTIONS, whole
from lab.meter import cpu_s, disk_bytes
from lab.systems.dialects import beginning
from lab.systems.tidings import token
from tidings.bench.run import Plan, run

SAMPLES = 200
EVENTS = 500


def measure(path: Path, folder: Path, **settings: str) -> dict[str, float]:
    """Figures of a server of its own on this database."""
    began = time.perf_counter()
    running = Running(served_by_us(path, **settings), folder)
    figures = {"HTTP: start until it accepts (s)": time.perf_counter() - began}
    try:
        run(running.dialect, running.url, Plan(0, CONNECTIONS, 1, CONNECTIONS, 0, 1), name="warm")
        before: list[Any] = []
        outcome = run(
            running.dialect,
            running.url,
            Plan(0, 500, 1, CONNECTIONS, 0, 3),
            name="grown",
            on_ready=lambda: before.extend((cpu_s(running.pid), disk_bytes(running.pid))),
        )
        whole(outcome)
        used_s, written = cpu_s(running.pid) - before[0], disk_bytes(running.pid) - before[1]
        figures["HTTP: CPU of a message and its streams (us)"] = used_s / outcome.accepted * 1e6
        figures["HTTP: written to the disk for each, checkpoints included (bytes)"] = written / outcome.accepted
        headers = {"Authorization": f"Bearer {token(READER)}"}
        with httpx2.Client(base_url=running.url, headers=headers, trust_env=False) as http:
            for name, address in (
                ("a page of history", f"/{PEER}?limit=50"),
                ("the inbox", "/inbox/me?limit=30"),
                (f"{EVENTS} events of the log", f"/events/me?limit={EVENTS}&cursor={beginning(running.url)}"),
            ):
                taken = []
                for _ in range(SAMPLES):
                    at = time.perf_counter()
                    http.get(address).raise_for_status()
                    taken.append((time.perf_counter() - at) * 1000)
                figures[f"HTTP: {name} (ms)"] = statistics.median(taken)
    finally:
        running.stop()
    return figures
