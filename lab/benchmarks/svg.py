"""Charts as SVG: a few shapes, text in the reader's own font, colours for a light and a dark page.

A chart brings its own ground, so that it can be read on whatever page it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH = 820
LEFT = 190  # where bars begin; names stand before
RIGHT = 110  # room for figures behind the longest bar
TOP = 62
ROW = 30
STYLE = """
  .ground{fill:#ffffff;stroke:#d0d7de} text{fill:#24292f;font:13px system-ui,sans-serif}
  .title{font-size:15px;font-weight:600} .small{font-size:12px;fill:#57606a} .grid{stroke:#e4e8ec}
  .ours{fill:#0969da} .other{fill:#8c959f} .range{stroke:#24292f}
  .p1{fill:#0969da} .p2{fill:#bf8700} .p3{fill:#cf222e} .span{stroke:#afb8c1;stroke-width:3}
  @media(prefers-color-scheme:dark){.ground{fill:#0d1117;stroke:#30363d} text{fill:#e6edf3} .small{fill:#9198a1}
  .grid{stroke:#262c36} .ours{fill:#4493f8} .other{fill:#6e7681} .range{stroke:#e6edf3}
  .p1{fill:#4493f8} .p2{fill:#d29922} .p3{fill:#f85149} .span{stroke:#484f58}}
"""


class Bar(NamedTuple):
    """A bar: its name, its value, and the lowest and highest of the rounds."""

    name: str
    value: float
    low: float
    high: float
    is_ours: bool


class Dots(NamedTuple):
    """A line of some points, the least first."""

    name: str
    values: Sequence[float]


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Horizontal bars from 0, with the spread of the rounds as a thin line."""
    step, end = ticks(max(row.high for row in rows))
    scale = (WIDTH - LEFT - RIGHT) / end
    bottom = TOP + ROW * len(rows)
    parts = []
    for nth in range(round(end / step) + 1):
        at = LEFT + nth * step * scale
        parts.append(_line("grid", at, TOP - 6, at, bottom))
        parts.append(_text(at, bottom + 18, number(nth * step), "small", "middle"))
    for nth, row in enumerate(rows):
        y = TOP + nth * ROW
        parts.append(_text(LEFT - 8, y + 17, row.name, "", "end"))
        width = row.value * scale
        kind = "ours" if row.is_ours else "other"
        parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y + 4}" width="{width:.1f}" height="{ROW - 10}" rx="2"/>')
        if row.high > row.low:
            parts.append(_line("range", LEFT + row.low * scale, y + 14, LEFT + row.high * scale, y + 14))
        parts.append(_text(LEFT + max(width, row.high * scale) + 7, y + 18, number(row.value), "", "start"))
    parts.append(_text(LEFT, TOP - 14, unit, "small", "start"))
    return _chart(title, bottom + 32, parts)


def dots(title: str, unit: str, names: Sequence[str], rows: Sequence[Dots]) -> str:
    """Points on a logarithmic axis, joined for each row; ``names`` of the points, at most three."""
    least = math.floor(math.log10(min(min(row.values) for row in rows)))
    most = math.ceil(math.log10(max(max(row.values) for row in rows)))
    scale = (WIDTH - LEFT - 50) / max(1, most - least)
    bottom = TOP + ROW * len(rows)

    def x(value: float) -> float:
        return LEFT + (math.log10(value) - least) * scale

    parts = []
    for power in range(least, most + 1):
        parts.append(_line("grid", x(10.0**power), TOP - 6, x(10.0**power), bottom))
        parts.append(_text(x(10.0**power), bottom + 18, number(10.0**power), "small", "middle"))
    for nth, row in enumerate(rows):
        y = TOP + nth * ROW + 13
        parts.append(_text(LEFT - 8, y + 4, row.name, "", "end"))
        parts.append(_line("span", x(row.values[0]), y, x(row.values[-1]), y))
        parts += [
            f'<circle class="p{place}" cx="{x(value):.1f}" cy="{y}" r="5.5"><title>{number(value)}</title></circle>'
            for place, value in enumerate(row.values, start=1)
        ]
    parts.append(_text(LEFT, TOP - 14, unit, "small", "start"))
    for place, name in enumerate(names, start=1):
        at = WIDTH - 260 + 80 * place - 60
        parts.append(f'<circle class="p{place}" cx="{at}" cy="{TOP - 18}" r="5.5"/>')
        parts.append(_text(at + 10, TOP - 14, name, "small", "start"))
    return _chart(title, bottom + 32, parts)


def ticks(highest: float) -> tuple[float, float]:
    """Distance of round numbers, four to eight of them up to the highest, and the last one that is needed."""
    step = 10 ** math.floor(math.log10(highest))
    for part in (5.0, 2.0, 1.0):
        if highest / step < 4:
            step = 10 ** math.floor(math.log10(highest)) / 10 * part
    return step, step * math.ceil(highest / step - 1e-9)


def number(value: float) -> str:
    """As in the tables, without noughts at the end."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _chart(title: str, height: float, parts: Sequence[str]) -> str:
    return page(title, WIDTH, height, [_text(16, 26, title, "title", "start"), *parts], STYLE)


def page(title: str, width: float, height: float, parts: Sequence[str], style: str) -> str:
    """The whole file."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" width="{width}" height="{height:g}"'
        f' role="img">\n<title>{escape(title)}</title>\n<style>{style}</style>\n'
        f'<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1:g}" rx="6"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
