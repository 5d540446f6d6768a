"""The waits of others while a database is looked after: messages at a steady rate, alone, beside backups and retention.

Retention is measured on a backup, because it takes away what the next step wants to read.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lab.benchmarks.grown.fill import events_each
from lab.benchmarks.peers import Running, served_by_us
from lab.benchmarks.works.size import CONNECTIONS, whole
from tidings.bench.run import Plan, run

RATE = 500  # messages a second
SECONDS = 6.0
SHARES = ("p50", "p99")


def measure(path: Path, folder: Path, count: int) -> dict[str, float]:
    """Delays of all three; how long a backup takes; how much retention takes away meanwhile."""
    figures: dict[str, float] = {}
    copies = _Backups(path, folder)
    with _serving(path, folder / "backup") as running:
        figures |= _delays(running, "alone", lambda: None)
        figures |= _delays(running, "beside backups", copies.start)
        copies.stop()
    figures["a backup meanwhile (s)"] = copies.longest_s

    copy = copies.last
    half = max(1, events_each(count) // 2)
    # It begins two seconds after the start: the load is under way by then.
    with _serving(copy, folder / "retention", TIDINGS_LOG_EVENTS_MAX=str(half)) as running:
        before, began = _floors(copy), time.perf_counter()
        figures |= _delays(running, "beside retention", lambda: None)
        took_s = time.perf_counter() - began
        figures["events that retention removed a second"] = (_floors(copy) - before) / took_s
    return figures


@contextlib.contextmanager
def _serving(path: Path, folder: Path, **settings: str) -> Iterator[Running]:
    folder.mkdir()
    running = Running(served_by_us(path, **settings), folder)
    try:
        yield running
    finally:
        running.stop()


def _delays(running: Running, beside: str, begin: Callable[[], None]) -> dict[str, float]:
    name = beside.replace(" ", "-")
    run(running.dialect, running.url, Plan(0, CONNECTIONS, 1, CONNECTIONS, RATE, 0.5), name=f"warm-{name}")
    plan = Plan(0, 250, 1, CONNECTIONS, RATE, SECONDS)
    outcome = run(running.dialect, running.url, plan, name=name, on_ready=begin)
    whole(outcome)
    return {f"{share} at {RATE} a second, {beside} (ms)": outcome.arrived_ms[share] for share in SHARES}


class _Backups:
    """``tidings backup``, one after another."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.longest_s = 0.0
        self.last = folder / "copy.db"
        self._path = path
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Return when the one under way is done."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        program = str(Path(sys.executable).with_name("tidings"))
        while not self._is_over.is_set():
            self.last.unlink(missing_ok=True)
            began = time.perf_counter()
            command = [program, "backup", "--db", f"sqlite:///{self._path}", str(self.last)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            self.longest_s = max(self.longest_s, time.perf_counter() - began)


def _floors(path: Path) -> int:
    """Events removed from all logs so far."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT sum(floor) FROM users").fetchone()[0])
