"""``make bench``: what a message and an open stream cost, here and at others, in one interleaved run.

Every figure of a server is the median of its rounds, with the lowest and the highest; rounds of all servers take turns,
so that whatever else the machine does falls on all of them. CPU is the server's, user and system, by the operating
system's accounting. Server and load have a CPU each. The load checks what it receives: a run in which something was
missing, double or out of order is no result.

QUICK=1 takes less than three minutes: fewer rounds and streams, and ratios compared with those kept in ratios.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from meter import cpu_s, kernel_kib, rss_kib
from peers import Peer, Running, all_peers, floor_program

from tidings.bench.run import Plan, is_whole, run
from tidings.bench.streams import Audience, Server

HERE = Path(__file__).parent
RATIOS = HERE / "ratios.json"
RATIO_TOLERANCE = (
    1.5  # a quick run on a busy machine differs by a third from a long one; half as much again is a change
)
RATIOS_OF = ("CPU of a message", "memory of an idle stream")  # the figures that a quick run has with little noise
CONNECTIONS = 64
PAIRS = 500

Figures = dict[str, dict[str, list[float]]]  # work → server → one figure a round


class Size:
    """How much of everything."""

    def __init__(self, *, quick: bool) -> None:
        self.rounds = 1 if quick else 5
        self.seconds = 2 if quick else 4
        self.devices = (1,) if quick else (1, 3)
        self.rates = (500,) if quick else (100, 500, 2000)
        self.idle_streams = 1000 if quick else 10_000
        self.stream_counts = (1000, 3000) if quick else (1000, 10_000, 18_000)


class Begun:
    """What a server had used when the work began."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.cpu_s = 0.0

    def begin(self) -> None:
        """Now."""
        self.cpu_s = cpu_s(self._pid)


def saturation(running: Running, size: Size, take: Callable[[str, float], None]) -> None:
    """As many messages as go: CPU of each, and how many a second."""
    warm = Plan(0, CONNECTIONS, 1, CONNECTIONS, 0, 1)
    whole(run(running.dialect, running.url, warm, name="warm"))
    for devices in size.devices:
        plan = Plan(0, PAIRS, devices, CONNECTIONS, 0, size.seconds)
        # Opening the streams is not of the work: CPU counts from when all are open.
        meter = Begun(running.pid)
        outcome = run(running.dialect, running.url, plan, name=f"full{devices}", on_ready=meter.begin)
        whole(outcome)
        used_us = (cpu_s(running.pid) - meter.cpu_s) / outcome.accepted * 1e6
        take(f"CPU of a message, {devices} + {devices} streams (us)", used_us)
        take(f"CPU of a frame, {devices} + {devices} streams (us)", used_us * outcome.accepted / outcome.frames)
        take(f"messages a second, {devices} + {devices} streams", outcome.accepted / outcome.took_s)


def latency(running: Running, size: Size, take: Callable[[str, float], None]) -> None:
    """At a rate, beside idle streams: how late a message is at its streams."""
    for rate in size.rates:
        plan = Plan(size.idle_streams, PAIRS // 2, 1, CONNECTIONS, rate, size.seconds)
        outcome = run(running.dialect, running.url, plan, name=f"rate{rate}")
        whole(outcome)
        for share, value in outcome.arrived_ms.items():
            take(f"{share} at {rate} a second, {size.idle_streams:,} idle streams (ms)", value)


def memory(running: Running, size: Size, take: Callable[[str, float], None]) -> None:
    """Idle streams of users of their own: resident memory and the kernel's for each, CPU to connect one."""

    async def work() -> None:
        audience = Audience(running.dialect, Server.at(running.url))
        rss, kernel, cpu, before = rss_kib(running.pid), kernel_kib(), cpu_s(running.pid), 0
        for count in size.stream_counts:
            await audience.open([f"idle-{nth}" for nth in range(before, count)])
            if before:
                take(
                    f"memory of an idle stream, {before:,} to {count:,} (KiB)",
                    (rss_kib(running.pid) - rss) / (count - before),
                )
                now = kernel_kib()
                if kernel is not None and now is not None:
                    take(
                        f"kernel memory of it, both ends, {before:,} to {count:,} (KiB)",
                        (now - kernel) / (count - before),
                    )
                take(
                    f"CPU to connect, {before:,} to {count:,} (us)", (cpu_s(running.pid) - cpu) / (count - before) * 1e6
                )
            rss, kernel, cpu, before = rss_kib(running.pid), kernel_kib(), cpu_s(running.pid), count
        await audience.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


WORKS = (saturation, latency, memory)


def whole(outcome: Any) -> None:
    """Stop at a run that shows something else than speed."""
    if not is_whole(outcome) or outcome.refused:
        raise SystemExit(f"not everything arrived once, in order: {outcome}")


def measure(peers: Sequence[Peer], size: Size, folder: Path) -> Figures:
    """All works at all servers, round by round; each work has a server of its own, newly started."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    for round_number in range(size.rounds):
        for work in WORKS:
            for peer in peers:
                place = folder / f"{round_number}-{work.__name__}-{peer.name.replace(' ', '-')}"
                place.mkdir()
                running = Running(peer, place)
                try:
                    work(running, size, lambda name, value, of=peer.name: figures[name][of].append(value))
                finally:
                    running.stop()
                print(f"round {round_number + 1} of {size.rounds}: {work.__name__}, {peer.name}", file=sys.stderr)
    return figures


def table(figures: Figures, names: Sequence[str]) -> str:
    """Markdown: a line for each figure, a column for each server."""
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for work, by_server in figures.items():
        cells = []
        for name in names:
            values = by_server.get(name)
            spread = f" ({shown(min(values))}-{shown(max(values))})" if values and len(values) > 1 else ""
            cells.append(f"{shown(statistics.median(values))}{spread}" if values else "")
        lines.append(f"| {work} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(value: float) -> str:
    """Three digits are all that such figures have."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratios(figures: Figures, others: Sequence[str]) -> dict[str, float]:
    """Tidings to each other server, by the medians."""
    return {
        f"{work}, to {other}": round(statistics.median(by_server["Tidings"]) / statistics.median(by_server[other]), 3)
        for work, by_server in figures.items()
        for other in others
        if work.startswith(RATIOS_OF)
        and by_server.get(other)
        and "Tidings" in by_server
        and statistics.median(by_server[other]) > 0
    }


def machine() -> str:
    """What it was measured on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"


def main() -> int:
    """The comparison; 1 where a quick run is far from the ratios that are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", action="store_true", help="write the ratios of this run to ratios.json")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for table.md and figures.json")
    options = parser.parse_args()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = all_peers(floor_program(folder))
        figures = measure(peers, Size(quick=options.quick), folder)
    names = [peer.name for peer in peers]
    text = f"{datetime.now(UTC):%Y-%m-%d}, {machine()}\n\n{table(figures, names)}\n"
    now = ratios(figures, names[1:])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "table.md").write_text(text)
    (options.out / "figures.json").write_text(
        json.dumps({"machine": machine(), "figures": figures, "ratios": now}, indent=1)
    )
    print(text)
    if options.keep:
        RATIOS.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    kept = json.loads(RATIOS.read_text()) if options.quick and RATIOS.exists() else {}
    changed = {
        name: (kept[name], value) for name, value in now.items() if value > RATIO_TOLERANCE * kept.get(name, value)
    }
    for name, (before, value) in changed.items():
        print(f"CHANGED {name}: {before} before, {value} now")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
