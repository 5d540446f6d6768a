"""The charts of a run, and ``make bench-docs``: its tables and charts into docs/proof/performance.md.

Only a full run on a quiet machine belongs there. Look at it before you commit it.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from pathlib import Path

from lab.benchmarks.report import Findings
from lab.benchmarks.svg import Bar, Dots, bars, dots

# File, work, how the figure's name begins, title. Of several figures the last: the one with the most streams.
BARS = (
    ("message", "message", "CPU of a message, 1 + 1 streams", "CPU of a message, to one stream each of two people"),
    ("fan-out", "fan_out", "CPU of a frame", "CPU of a frame, one event to 1,000 streams (micro-benchmark)"),
    ("memory", "idle", "memory of an idle stream", "Resident memory of an idle stream"),
    ("connect", "connect", "CPU of a stream opened again", "CPU to open a stream again"),
    ("storm", "storm", "worst wait for a message", "Longest wait for a message while all streams come back at once"),
)
DOCS = Path(__file__).parents[2] / "docs"
END = "<!-- end -->"
SHARES = ("p50", "p99", "p99.9")
SHARES_RATE = "500"  # a second


def charts(findings: Findings) -> dict[str, tuple[str, str]]:
    """Title and SVG by file name; of what was measured."""
    drawn = {}
    for name, work, begins, title in BARS:
        figures = findings.figures.get(work, {})
        found = [each for each in figures if each.startswith(begins)]
        if found:
            by_server = figures[found[-1]]
            rows = [
                Bar(server, statistics.median(values), min(values), max(values), server.startswith("Tidings"))
                for server, values in by_server.items()
            ]
            unit = found[-1].rpartition("(")[2].rstrip(")").replace("us", "µs")
            drawn[f"bench-{name}.svg"] = title, bars(title, unit, rows)
    return drawn | _delays(findings)


def _delays(findings: Findings) -> dict[str, tuple[str, str]]:
    figures = findings.figures.get("idle", {})
    named = [name for share in SHARES for name in figures if name.startswith(f"{share} at {SHARES_RATE} a second")]
    if len(named) != len(SHARES):
        return {}
    rows = [Dots(server, [statistics.median(figures[name][server]) for name in named]) for server in figures[named[0]]]
    beside = named[0].partition(", ")[2].rpartition(" (")[0]
    title = f"Delay of a message at {SHARES_RATE} a second, beside {beside}"
    return {"bench-delay.svg": (title, dots(title, "ms", SHARES, rows))}


def write(findings: Findings, folder: Path) -> dict[str, str]:
    """Write all of them; their titles by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = charts(findings)
    for name, (_, drawing) in drawn.items():
        (folder / name).write_text(drawing, encoding="utf-8")
    return {name: title for name, (title, _) in drawn.items()}


def publish(kept: Path) -> None:
    """Charts and flame graphs into docs/pictures, tables between their marks in docs/proof/performance.md."""
    page = DOCS / "proof" / "performance.md"
    text = page.read_text(encoding="utf-8")
    if (kept / "figures.json").exists():
        drawn = write(Findings.from_json(json.loads((kept / "figures.json").read_text())), DOCS / "pictures")
        shown = "\n\n".join(f"![{title}](../pictures/{name})" for name, title in drawn.items())
        text = _between(text, "<!-- make bench -->", f"{shown}\n\n{(kept / 'table.md').read_text(encoding='utf-8')}")
    if (kept / "growth.md").exists():
        text = _between(text, "<!-- make bench-growth -->", (kept / "growth.md").read_text(encoding="utf-8"))
    for profile in kept.glob("profile-*.svg"):
        shutil.copy(profile, DOCS / "pictures")
    page.write_text(text, encoding="utf-8")


def _between(text: str, mark: str, new: str) -> str:
    before, begin, rest = text.partition(mark)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"docs/proof/performance.md has lost its marks {mark} and {END}")
    return f"{before}{begin}\n{new}{end}{after}"


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
