"""A flame graph, the roots above: the width of a box is its share of all samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from lab.benchmarks.charts import FAINT, GROUND, LIBRARY, LINE, LOOK, OURS_PALE, THREAD

WIDTH = 1160
SHARE_MIN = 0.004  # narrower boxes are left out
OURS = ("server/", "protocol/")  # folders of src/tidings
LEGEND = "ours blue, libraries yellow, the line that ran red, with native code and the kernel"
LABEL = "6 * length(datum.name) < datum.room ? datum.name : replace(datum.name, regexp(' [(][^ ]*[.]py[)]$'), '')"


def flame(title: str, samples: Mapping[tuple[str, ...], int]) -> dict[str, Any]:
    """The specification for Vega-Lite, of samples by stack."""
    total = sum(samples.values())
    rows = [
        {"name": path[-1], "colour": _colour(path), "depth": len(path), "start": start / total, "end": end / total}
        for path, start, end in _boxes(samples, (), 0)
        if end - start >= SHARE_MIN * total
    ]
    return {
        **LOOK,
        "title": {"text": title, "subtitle": f"{total:,} samples · {LEGEND}", "subtitleColor": FAINT},
        "width": WIDTH,
        "height": {"step": 19},
        "data": {"values": rows},
        "encoding": {
            "x": {"field": "start", "type": "quantitative", "scale": {"domain": [0, 1]}, "axis": None},
            "y": {"field": "depth", "type": "ordinal", "scale": {"padding": 0}, "axis": None},
        },
        "layer": [
            {
                "mark": {"type": "rect", "stroke": GROUND},
                "encoding": {"x2": {"field": "end"}, "color": {"field": "colour", "scale": None}},
            },
            {
                "transform": [
                    {"calculate": f"{0.85 * WIDTH} * (datum.end - datum.start) - 6", "as": "room"},
                    {"filter": "datum.room > 22"},
                    {"calculate": LABEL, "as": "label"},
                ],
                "mark": {"type": "text", "dx": 3, "limit": {"expr": "datum.room"}},
                "encoding": {"text": {"field": "label"}},
            },
        ],
    }


def _boxes(
    samples: Mapping[tuple[str, ...], int], path: tuple[str, ...], start: int
) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """The boxes below a path from ``start`` on: each one's path, where it begins and ends."""
    below: Counter[str] = Counter()
    for stack, count in samples.items():
        if stack[: len(path)] == path and len(stack) > len(path):
            below[stack[len(path)]] += count
    for name, count in below.most_common():
        yield (*path, name), start, start + count
        yield from _boxes(samples, (*path, name), start)
        start += count


def _colour(path: tuple[str, ...]) -> str:
    name = path[-1]
    if len(path) == 1:
        return THREAD
    if not name.endswith(".py)"):
        return LINE
    return OURS_PALE if name.partition(" (")[2].startswith(OURS) else LIBRARY
