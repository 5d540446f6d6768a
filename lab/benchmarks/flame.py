"""A flame graph, the roots above: the width of a box is its share of all samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape

from lab.benchmarks.svg import page

WIDTH = 1200
ROW = 19
TOP = 44
SHARE_MIN = 0.004  # narrower boxes are left out
CHARACTER = 6.3  # pixels of one, about
STYLE = """
  .ground{fill:#ffffff;stroke:#d0d7de} text{fill:#24292f;font:11px system-ui,sans-serif}
  .title{font-size:15px;font-weight:600} g rect{stroke:#ffffff}
  .t{fill:#c8ccd1} .s{fill:#a5d0ff} .l{fill:#ffd28a} .n{fill:#ffb3a7}
  @media(prefers-color-scheme:dark){.ground{fill:#0d1117;stroke:#30363d} text{fill:#e6edf3} g rect{stroke:#0d1117}
  .t{fill:#30363d} .s{fill:#1f4b7d} .l{fill:#6b4a12} .n{fill:#71281f}}
"""


def flame(title: str, samples: Mapping[tuple[str, ...], int]) -> str:
    """SVG: grey threads, blue functions of ours, yellow those of libraries, red the line that was running."""
    total = sum(samples.values())
    below: dict[tuple[str, ...], Counter[str]] = {}
    for stack, count in samples.items():
        for depth in range(len(stack)):
            below.setdefault(stack[:depth], Counter())[stack[depth]] += count
    parts: list[str] = []
    deepest = _draw((), 8.0, (WIDTH - 16) / total, total, below, parts)
    legend = f"{total:,} samples · ours blue, libraries yellow, the line that ran red, with native code and the kernel"
    head = [
        f'<text class="title" x="12" y="20">{escape(title)}</text>',
        f'<text x="12" y="36">{escape(legend)}</text>',
    ]
    return page(title, WIDTH, TOP + ROW * deepest + 10, [*head, *parts], STYLE)


def _draw(
    path: tuple[str, ...],
    x: float,
    scale: float,
    total: int,
    below: Mapping[tuple[str, ...], Counter[str]],
    parts: list[str],
) -> int:
    """Draw what is below a path from ``x`` on; how deep it goes."""
    deepest = len(path)
    for name, count in below.get(path, Counter()).most_common():
        width = count * scale
        if count >= SHARE_MIN * total:
            y = TOP + ROW * len(path)
            text = f"{name}: {100 * count / total:.1f} %"
            room = int(width / CHARACTER)
            short = name if len(name) <= room else name.partition(" (")[0]
            label = short if len(short) <= room else short[: room - 1] + "…" if room > 3 else ""
            box = f'class="{_kind(name, path)}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW}"'
            parts.append(
                f"<g><title>{escape(text)}</title><rect {box}/>"
                f'<text x="{x + 3:.1f}" y="{y + 13}">{escape(label)}</text></g>'
            )
            deepest = max(deepest, len(path) + 1, _draw((*path, name), x, scale, total, below, parts))
        x += width
    return deepest


def _kind(name: str, path: tuple[str, ...]) -> str:
    if not path:
        return "t"
    if not name.endswith(".py)"):
        return "n"
    return "s" if any(each in name for each in ("(server/", "(store/", "(protocol/")) else "l"
