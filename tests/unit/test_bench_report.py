"""The report of `make bench` about its figures: tables, goals, charts and flame graphs."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from lab.benchmarks.charts import (
    BARS,
    BENCH,
    DARK,
    LIBRARY,
    LINE,
    OTHERS,
    OURS,
    OURS_PALE,
    PAGE,
    PICTURES,
    THREAD,
    between,
    charts,
    figures,
)
from lab.benchmarks.flame import flame
from lab.benchmarks.goals import GOALS, goals_table
from lab.benchmarks.profile_server import stacks
from lab.benchmarks.report import Findings, ratios, table
from tidings.server.live import stream

SVG = "{http://www.w3.org/2000/svg}"


def findings(ours: float) -> Findings:
    """Three rounds of one work at three servers, of which one has no part in it."""
    found = Findings()
    for value in (ours - 1, ours + 2, ours):
        found.take("message", "Tidings", "CPU of a message, 1 + 1 streams (us)", value)
        found.take("message", "guide's Express", "CPU of a message, 1 + 1 streams (us)", 400.0)
    found.note("message", "C & co", "stores nothing")
    return found


def test_a_table_has_the_median_the_spread_and_why_a_server_has_no_part() -> None:
    """One line a figure, one column a server."""
    shown = table(findings(100), "message", ["Tidings", "guide's Express", "C & co"])
    assert "| CPU of a message, 1 + 1 streams (us) | 100 (99.0-102) | 400 (400-400) | stores nothing |" in shown


@pytest.mark.parametrize(
    ("ours", "cpu", "to_express"), [(100, "reached", "reached"), (150, "reached", "reached"), (201, "missed", "missed")]
)
def test_a_goal_is_reached_missed_or_not_judged(ours: float, cpu: str, to_express: str) -> None:
    """By the medians; what was not measured has no line."""
    lines = goals_table(findings(ours)).splitlines()[2:]
    assert [True, True] == [verdict in line for verdict, line in zip([cpu, to_express], lines, strict=True)]
    assert len(GOALS) > len(lines)


def test_ratios_are_those_of_the_medians() -> None:
    """Of the figures that were asked for, to the servers that have them."""
    assert {"CPU of a message, 1 + 1 streams (us), to guide's Express": 0.25} == ratios(
        findings(100), ["CPU of a message"], ["guide's Express", "C & co"]
    )


def test_a_chart_has_a_bar_for_each_server_with_the_figures_of_the_table() -> None:
    """Median, lowest and highest; ours in our colour, and nobody who has no part in it."""
    shown = table(findings(100), "message", ["Tidings", "guide's Express", "C & co"])
    bars = charts(figures(shown))["bench-message.svg"]["data"]["values"]
    assert [("Tidings", OURS, 100, 99, 102, "100"), ("guide's Express", OTHERS, 400, 400, 400, "400")] == [
        (bar["server"], bar["colour"], bar["value"], bar["low"], bar["high"], bar["shown"]) for bar in bars
    ]


PUBLISHED = charts(figures(between(PAGE.read_text(encoding="utf-8"), BENCH)))


@pytest.mark.parametrize("name", [*(f"bench-{file}.svg" for file, *_ in BARS), "bench-delay.svg"])
def test_a_published_chart_is_the_one_of_the_published_table(name: str) -> None:
    """The page shows it, with every server and figure, on a light and on a dark page, and it needs no other file."""
    chart, svg = PUBLISHED[name], (PICTURES / name).read_text(encoding="utf-8")
    texts = {each.text for each in ElementTree.fromstring(svg).iter(f"{SVG}text")}
    rows = chart["data"]["values"]
    assert f"![{chart['title']}](../pictures/{name})" in PAGE.read_text(encoding="utf-8")
    assert {chart["title"], *(row[key] for row in rows for key in ("server", "shown", "share") if key in row)} <= texts
    assert all(f'[fill="{light}"]{{fill:{dark}}}' in svg for light, dark in DARK.items())
    assert not re.search(r"href|url\((?!#)|@import|<script", svg)


def test_a_flame_graph_has_a_box_for_each_function_as_wide_as_its_samples() -> None:
    """Below the one that called it; threads, functions of ours and of libraries, and lines differ in colour."""
    ours, theirs = "send (server/api/send.py)", "app (starlette/routing.py)"
    boxes = flame("CPU", {("loop", theirs, ours, "x = 1"): 60, ("loop", theirs): 20, ("writer",): 20})["data"]["values"]
    assert [
        ("loop", THREAD, 1, 0, 0.8),
        (theirs, LIBRARY, 2, 0, 0.8),
        (ours, OURS_PALE, 3, 0, 0.6),
        ("x = 1", LINE, 4, 0, 0.6),
        ("writer", THREAD, 1, 0.8, 1),
    ] == [(box["name"], box["colour"], box["depth"], box["start"], box["end"]) for box in boxes]


def test_a_sample_says_of_a_function_in_which_file_of_the_package_it_is() -> None:
    """Below the thread, with the line that was running; a library's file has its folder."""
    frames = [
        (stream.__file__, 1, "offer"),
        ("/lib/starlette/routing.py", 9, "app"),
        ("/lib/asyncio/runners.py", 8, "run"),
    ]
    sample = "\n".join(f'  File "{file}", line {line} in {function}' for file, line, function in frames)
    begins = "Stack (most recent call first):\n"
    line = (stream.__doc__ or "").splitlines()[0]
    assert {("event loop", "app (starlette/routing.py)", "offer (server/live/stream.py)", f'"""{line}'): 1} == stacks(
        f"{begins}{sample}\n\n{begins}"
    )
