"""The findings of a run: figures by work, figure and server, one of each round; as a table, as ratios, as JSON."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Findings:
    """All figures of a run, in the order in which they came."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, dict[str, list[float]]]] = {}  # work → figure → server → one each round
        self.notes: dict[str, dict[str, str]] = {}  # work → server → why it has no part

    def take(self, work: str, server: str, figure: str, value: float) -> None:
        """A figure of one round."""
        self.figures.setdefault(work, {}).setdefault(figure, {}).setdefault(server, []).append(value)

    def note(self, work: str, server: str, why: str) -> None:
        """A server has no part in a work."""
        self.notes.setdefault(work, {})[server] = why

    def median(self, work: str, figure: str, server: str) -> float | None:
        """The median of its rounds, if there were any."""
        values = self.figures.get(work, {}).get(figure, {}).get(server)
        return statistics.median(values) if values else None

    def as_json(self) -> dict[str, Any]:
        """To be kept."""
        return {"machine": machine(), "works": self.figures, "notes": self.notes}


def table(findings: Findings, work: str, names: Sequence[str]) -> str:
    """Markdown: a line for each figure of a work, a column for each server; or why it has none."""
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for figure, by_server in findings.figures.get(work, {}).items():
        cells = []
        for name in names:
            values = by_server.get(name)
            spread = f" ({shown(min(values))}-{shown(max(values))})" if values and len(values) > 1 else ""
            cells.append(
                f"{shown(statistics.median(values))}{spread}" if values else findings.notes.get(work, {}).get(name, "")
            )
        lines.append(f"| {figure} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(value: float) -> str:
    """Three digits are all that such figures have."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratios(findings: Findings, figures_of: Sequence[str], others: Sequence[str]) -> dict[str, float]:
    """Tidings to each other server, by the medians, of the figures whose names begin so."""
    found = {}
    for work, figures in findings.figures.items():
        for figure in figures:
            ours = findings.median(work, figure, "Tidings")
            if ours is None or not figure.startswith(tuple(figures_of)):
                continue
            for other in others:
                theirs = findings.median(work, figure, other)
                if theirs:
                    found[f"{figure}, to {other}"] = round(ours / theirs, 3)
    return found


def machine() -> str:
    """Return the machine that measured it."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"
