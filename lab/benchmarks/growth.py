"""``make bench-growth``: what the same work costs beside ten thousand, a million and ten million stored messages.

The store is filled through its own interface, then measured by itself (one process, no HTTP), behind ``tidings serve``,
and while backups are made and retention runs. CPU is by the operating system's accounting.

Ten million take a quarter of an hour to fill. ARGUMENTS="--counts 10000 1000000 --folder DIR" measures these; with a
folder the database is kept, and another run grows it further and adds its columns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from lab.benchmarks.grown import at_store, behind_http, upkeep
from lab.benchmarks.report import machine, shown

NOT_RATIOS = ("HTTP: start", "events that", "a backup")  # grow as the file does, or are what was done meanwhile


def measure(path: Path, folder: Path, already: int, count: int) -> dict[str, float]:
    """Grow the database to ``count`` messages, then all figures."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(at_store.grow(path, already, count))
    place = folder / f"at-{count}"
    place.mkdir()
    figures = {"file (bytes of a message)": path.stat().st_size / count}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures |= runner.run(at_store.measure(path, count))
    figures |= behind_http.measure(path, place)
    return figures | upkeep.measure(path, place, count)


def table(columns: dict[int, dict[str, float]]) -> str:
    """Markdown: a line for each figure, a column for each size, and the last to the first."""
    sizes = sorted(columns)
    lines = [
        "| | " + " | ".join(f"{count:,}" for count in sizes) + " | last to first |",
        "|---|" + "---|" * (len(sizes) + 1),
    ]
    for figure, first in columns[sizes[0]].items():
        last = columns[sizes[-1]].get(figure)
        ratio = "" if figure.startswith(NOT_RATIOS) or not first or last is None else f"{last / first:.2f}"
        cells = [shown(columns[count][figure]) if figure in columns[count] else "" for count in sizes]
        lines.append(f"| {figure} | " + " | ".join(cells) + f" | {ratio} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--folder", type=Path, help="keeps the database, and goes on with the one that is there")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "grown.json" if options.folder else None
    state: dict[str, Any] = {"messages": 0, "columns": {}}
    if kept and kept.exists():
        state = json.loads(kept.read_text())
    load = os.getloadavg()[0]
    columns: dict[int, dict[str, float]] = {int(count): each for count, each in state["columns"].items()}
    with tempfile.TemporaryDirectory() as name:
        home = options.folder.resolve() if options.folder else Path(name)
        home.mkdir(parents=True, exist_ok=True)
        already = state["messages"]
        for count in sorted(options.counts):
            if count <= already:
                raise SystemExit(f"{home} has {already:,} messages already: {count:,} cannot be measured there")
            columns[count] = measure(home / "grown.db", Path(name), already, count)
            already = count + at_store.MEASURED_APPENDS
            if kept:
                kept.write_text(json.dumps({"messages": already, "columns": columns}, indent=1))
            print(f"{count:,} messages: measured", file=sys.stderr)
    text = f"{machine()}; load of the machine before it: {load:.1f}\n\n{table(columns)}\n"
    (options.out / "growth.json").write_text(json.dumps({"machine": machine(), "messages": columns}, indent=1) + "\n")
    (options.out / "growth.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TMPDIR", "/var/tmp")  # a real disk, where /tmp is memory
    sys.exit(main())
