"""The report of `make bench` about its figures: tables, goals and charts."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from lab.benchmarks.charts import charts
from lab.benchmarks.goals import GOALS, goals_table
from lab.benchmarks.report import Findings, ratios, table
from lab.benchmarks.svg import ticks

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


def test_findings_that_are_kept_say_the_same_again() -> None:
    """Through JSON."""
    found = findings(100)
    again = Findings.from_json(found.as_json())
    assert {"CPU of a message, 1 + 1 streams (us), to guide's Express": 0.25} == ratios(
        again, ["CPU of a message"], ["guide's Express", "C & co"]
    )


def test_a_chart_has_a_bar_for_each_server_as_long_as_its_figure() -> None:
    """In proportion, from one origin, with the names beside them."""
    title, drawing = charts(findings(100))["bench-message.svg"]
    root = ElementTree.fromstring(drawing)
    widths = [float(each.get("width", 0)) for each in root.iter(f"{SVG}rect") if each.get("class") != "ground"]
    assert title == root.findtext(f"{SVG}title")
    assert pytest.approx(4, rel=0.01) == widths[1] / widths[0]
    assert {"Tidings", "guide's Express"} <= {each.text for each in root.iter(f"{SVG}text")}


@pytest.mark.parametrize(("highest", "step", "end"), [(7, 1, 7), (100, 20, 100), (0.32, 0.05, 0.35), (1240, 200, 1400)])
def test_an_axis_has_round_numbers(highest: float, step: float, end: float) -> None:
    """Four to eight of them, the last not below what is shown."""
    assert pytest.approx((step, end)) == ticks(highest)
