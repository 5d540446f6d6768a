"""``make bench-docs``: the tables of the last runs, charts of them and profiles, into docs/proof/performance.md.

The charts are drawn of the tables that the page has then, so that both say the same. Only a full run on a quiet machine
belongs there. Look at it before you commit it.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lab.benchmarks.report import shown

# File, how the figure's name begins, title. Of several figures the last: the one with the most streams.
BARS = (
    ("message", "CPU of a message, 1 + 1 streams", "CPU of a message, to one stream each of two people"),
    ("fan-out", "CPU of a frame (", "CPU of a frame, one event to 1,000 streams (micro-benchmark)"),
    ("memory", "memory of an idle stream", "Resident memory of an idle stream"),
    ("connect", "CPU of a stream opened again", "CPU to open a stream again"),
    ("storm", "worst wait for a message", "Longest wait for a message while all streams come back at once"),
)
SHARES = ("p50", "p99", "p99.9")
SHARES_RATE = "500"  # a second
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
PAGE = PICTURES.parent / "proof" / "performance.md"
BENCH, GROWTH, END = "<!-- make bench -->", "<!-- make bench-growth -->", "<!-- end -->"
_CELL = re.compile(r"([\d.,]+)(?: \(([\d.,]+)-([\d.,]+)\))?")

# Colours on a light page and on a dark one. A chart has a ground, so that it can be read wherever it is shown.
GROUND, TEXT, FAINT, GRID, SPAN = "#ffffff", "#24292f", "#57606a", "#e4e8ec", "#afb8c1"
OURS, OTHERS, LATE, LATEST = "#0969da", "#8c959f", "#bf8700", "#cf222e"
THREAD, OURS_PALE, LIBRARY, LINE = "#c8ccd1", "#a5d0ff", "#ffd28a", "#ffb3a7"
DARK = {
    **{GROUND: "#0d1117", TEXT: "#e6edf3", FAINT: "#9198a1", GRID: "#262c36", SPAN: "#484f58"},
    **{OURS: "#4493f8", OTHERS: "#6e7681", LATE: "#d29922", LATEST: "#f85149"},
    **{THREAD: "#30363d", OURS_PALE: "#1f4b7d", LIBRARY: "#6b4a12", LINE: "#71281f"},
}
NAMES_WIDTH = 160  # the same in all, so that charts below each other have one origin
_NAMES = {"labelLimit": NAMES_WIDTH, "minExtent": NAMES_WIDTH, "maxExtent": NAMES_WIDTH}
LOOK = {
    "background": GROUND,
    "padding": {"left": 16, "right": 30, "top": 16, "bottom": 14},
    "width": 600,
    "height": {"step": 30},
    "config": {
        "font": "Liberation Sans",  # the library brings it, and measures with it on every machine
        "view": {"stroke": None},
        "title": {"anchor": "start", "frame": "bounds", "offset": 14, "fontSize": 15, "color": TEXT},
        "axis": {"ticks": False, "domain": False, "gridColor": GRID, "titleColor": FAINT, "titleFontWeight": "normal"},
        "axisX": {"labelColor": FAINT, "labelFontSize": 12, "titleFontSize": 12, "tickCount": 6, "labelFlush": False},
        "axisY": {"labelColor": TEXT, "labelFontSize": 13, "labelPadding": 8, "title": None, **_NAMES},
        "legend": {"orient": "top", "title": None, "labelColor": FAINT, "labelFontSize": 12, "columnPadding": 24},
        "rule": {"color": TEXT},
        "text": {"align": "left", "color": TEXT},
        "line": {"color": SPAN, "strokeWidth": 3},
        "circle": {"size": 95, "opacity": 1},
    },
}


class Figure(NamedTuple):
    """The median of the rounds at one server, the lowest and the highest."""

    value: float
    low: float
    high: float


Figures = Mapping[str, Mapping[str, Figure]]
"""By the figure's name and the server's."""


def figures(page: str) -> Figures:
    """All figures of a page's tables, without the servers that have no part in one."""
    found: dict[str, dict[str, Figure]] = {}
    servers: list[str] = []
    for line in page.splitlines():
        if line.startswith("|"):
            name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            servers = servers if name else cells
            for server, match in zip(servers, map(_CELL.fullmatch, cells), strict=False):
                if match:
                    parts = [float((part or match[1]).replace(",", "")) for part in match.groups()]
                    found.setdefault(name, {})[server] = Figure(*parts)
    return found


def charts(found: Figures) -> dict[str, dict[str, Any]]:
    """Specifications for Vega-Lite by file name, of what was measured."""
    drawn = {}
    for file, begins, title in BARS:
        for name in [each for each in found if each.startswith(begins)][-1:]:
            unit = name.rpartition("(")[2].rstrip(")").replace("us", "µs")
            drawn[f"bench-{file}.svg"] = {"title": title, **LOOK, **_bars(unit, found[name])}
    named = [name for share in SHARES for name in found if name.startswith(f"{share} at {SHARES_RATE} a second")]
    if len(named) == len(SHARES):
        beside = named[0].partition(", ")[2].rpartition(" (")[0]
        title = f"Delay of a message at {SHARES_RATE} a second, beside {beside}"
        by_share = {share: found[name] for share, name in zip(SHARES, named, strict=True)}
        drawn["bench-delay.svg"] = {"title": title, **LOOK, **_dots("ms", by_share)}
    return drawn


def _bars(unit: str, by_server: Mapping[str, Figure]) -> dict[str, Any]:
    """Bars from 0, with the spread of the rounds as a thin line."""
    rows = [
        {
            "server": server,
            "colour": OURS if server.startswith("Tidings") else OTHERS,
            "shown": shown(figure.value),
            **figure._asdict(),
        }
        for server, figure in by_server.items()
    ]
    scale = {"domainMax": 1.12 * max(figure.high for figure in by_server.values()), "nice": False}  # room for figures
    value = {"field": "value", "type": "quantitative", "title": unit, "scale": scale}
    low, high = ({"field": field, "type": "quantitative"} for field in ("low", "high"))
    return {
        "data": {"values": rows},
        "encoding": {"y": {"field": "server", "sort": None}},
        "layer": [
            {
                "mark": {"type": "bar", "height": 20},
                "encoding": {"x": value, "color": {"field": "colour", "scale": None}},
            },
            {"mark": "rule", "encoding": {"x": low, "x2": {"field": "high"}}},
            {"mark": {"type": "text", "dx": 7, "fontSize": 13}, "encoding": {"x": high, "text": {"field": "shown"}}},
        ],
    }


def _dots(unit: str, by_share: Mapping[str, Mapping[str, Figure]]) -> dict[str, Any]:
    """Points on a logarithmic axis, joined for each server."""
    rows = [
        {"share": share, "server": server, "value": figure.value}
        for share, by_server in by_share.items()
        for server, figure in by_server.items()
    ]
    colour = {"field": "share", "sort": None, "scale": {"range": [OURS, LATE, LATEST]}}
    value = {"field": "value", "type": "quantitative", "title": unit, "scale": {"type": "log"}}
    return {
        "data": {"values": rows},
        "encoding": {
            "y": {"field": "server", "sort": None},
            "x": value | {"axis": {"values": [0.1, 1, 10, 100, 1000]}},
        },
        "layer": [
            {"mark": "line", "encoding": {"detail": {"field": "server"}}},
            {"mark": "circle", "encoding": {"color": colour}},
        ],
    }


def drawing(chart: dict[str, Any]) -> str:
    """SVG in the reader's own font, with the colours of a light or a dark page."""
    from vl_convert import vegalite_to_svg  # is installed for charts only (`make .venv/.charts`)

    dark = "".join(f'[fill="{a}"]{{fill:{b}}}[stroke="{a}"]{{stroke:{b}}}' for a, b in DARK.items())
    style = f"text{{font-family:system-ui,sans-serif}}@media(prefers-color-scheme:dark){{{dark}}}"
    return str(vegalite_to_svg(chart)).replace(">", f"><style>{style}</style>", 1) + "\n"


def publish(kept: Path) -> None:
    """Tables between their marks in docs/proof/performance.md; charts of them, and profiles, in docs/pictures."""
    text = PAGE.read_text(encoding="utf-8")
    for file, mark in (("table.md", BENCH), ("growth.md", GROWTH)):
        if (kept / file).exists():
            old, new = between(text, mark), (kept / file).read_text(encoding="utf-8")
            text = text.replace(f"{mark}\n{old}{END}", f"{mark}\n{new}{END}")
    PAGE.write_text(text, encoding="utf-8")
    for name, chart in charts(figures(between(text, BENCH))).items():
        (PICTURES / name).write_text(drawing(chart), encoding="utf-8")
    for profile in kept.glob("profile-*.svg"):
        shutil.copy(profile, PICTURES)


def between(text: str, mark: str) -> str:
    """The part of the page from a mark to the next end."""
    part, end, _ = text.partition(f"{mark}\n")[2].partition(END)
    if not end:
        raise SystemExit(f"{PAGE} has lost its marks {mark} and {END}")
    return part


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
