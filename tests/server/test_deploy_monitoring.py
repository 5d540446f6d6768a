"""The alarms and the dashboard of deploy/: each metric, label and value in them is one that a node has.

Names are compared with the page of a node that runs, labels with docs/run/operate.md, whose table is compared with the
code. Where promtool is installed, it reads the rules as well.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from lab import plain_http
from lab.front import DEPLOY
from lab.node import Node
from tidings import Config, Tidings

ROOT = DEPLOY.parent
RULES = DEPLOY / "prometheus.yaml"
ALARMS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
PANELS: list[dict[str, Any]] = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
EXPRESSIONS = [
    *(alarm["expr"] for alarm in ALARMS),
    *(target["expr"] for panel in PANELS for target in panel.get("targets", [])),
]

OF_PROMETHEUS = {"up": set[str](), "tidings_worker_up": {"worker"}}  # the second of several workers alone
OF_THE_JOB = {"job", "instance", "worker"}
NAME = r"\b((?:tidings|process)_[a-z_]+|up)\b"


def documented_labels() -> dict[str, set[str]]:
    """The labels of each metric that has some, by the table."""
    page = (ROOT / "docs" / "run" / "operate.md").read_text()
    return {name: set(labels.split(",")) for name, labels in re.findall(r"`(tidings_\w+)\{([a-z,]+)\}`", page)}


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Each series of a node's page with its labels."""
    with Node(tmp_path_factory.mktemp("node")) as node:
        page = plain_http.get(f"{node.url}/metrics").text
    found = dict(OF_PROMETHEUS)
    labels = documented_labels()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE):
        parts = ["_bucket", "_sum", "_count"] if kind == "histogram" else [""]
        found |= {name + part: labels.get(name, set()) | ({"le"} if part == "_bucket" else set()) for part in parts}
    return found


def selectors(expression: str) -> Iterator[tuple[str, str]]:
    """Each metric of an expression, and what stands in its braces."""
    for match in re.finditer(NAME + r"(?:\{([^}]*)\})?", expression):
        yield match[1], match[2] or ""


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_of_an_expression_is_there(expression: str, series: dict[str, set[str]]) -> None:
    """A misspelt one would be an alarm that never rings, or an empty panel."""
    used: set[str] = set()
    for name, matchers in selectors(expression):
        assert name in series
        used |= series[name]
        labels = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', matchers))
        assert labels <= series[name] | OF_THE_JOB, name
    grouped = re.findall(r"\b(?:by|without|ignoring|on|group_left) \(([^)]*)\)", expression)
    assert {label for each in grouped for label in re.findall(r"\w+", each)} <= used | OF_THE_JOB
    assert not re.search(r"\b(?:by|without|ignoring|on)\(", expression), "a space is before it: this test finds it then"


def test_the_values_of_labels_are_words_of_the_code() -> None:
    """Reasons, codes of problems and routes; patterns apart."""
    source = "\n".join(path.read_text() for path in sorted((ROOT / "src/tidings/server").rglob("*.py")))
    values = {
        value
        for expression in EXPRESSIONS
        for _, matchers in selectors(expression)
        for label, given in re.findall(r'(\w+)\s*=~?\s*"([^"]*)"', matchers)
        for value in given.split("|")
        if label not in OF_THE_JOB and not re.fullmatch(r"[0-9.]+", value)
    }
    assert {"client", "slow_consumer", "too_many_streams", "/send", "failed", "done"} == values
    assert [] == [value for value in values if f'"{value}"' not in source]


def test_every_alarm_says_what_is_the_matter_and_what_to_do(series: dict[str, set[str]]) -> None:
    """With labels that its expression has; each has a name of its own."""
    assert len(ALARMS) == len({alarm["alert"] for alarm in ALARMS}) > 10
    for alarm in ALARMS:
        assert {"summary", "do"} == alarm["annotations"].keys(), alarm["alert"]
        assert alarm["labels"]["severity"] in ("page", "ticket")
        text = " ".join(alarm["annotations"].values())
        known = OF_THE_JOB.union(*(series[name] for name, _ in selectors(alarm["expr"])))
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= known, alarm["alert"]
        named = set(re.findall(r"\btidings_[a-z_]+\b", text))
        assert named <= series.keys()


def test_the_panels_of_the_dashboard_stand_beside_each_other() -> None:
    """None is over another one; each has a query and a number of its own, and data from the chosen source."""
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or all(each["expr"] for each in panel["targets"])
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"
    assert len(PANELS) == len({panel["id"] for panel in PANELS})


def test_the_metrics_of_an_application_are_those_of_the_alarms() -> None:
    """In the registry of the host, which has those of its process itself."""
    registry = CollectorRegistry()
    registry.register(Tidings(Config(secret="s" * 32)).collector)
    page = generate_latest(registry).decode()
    embedded = set(re.findall(r"^# TYPE (tidings_\w+)", page, re.MULTILINE))
    used = {name for expression in EXPRESSIONS for name, _ in selectors(expression)}
    wanted = {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in used if name.startswith("tidings_")}
    assert wanted - {"tidings_worker_up"} <= embedded


def test_the_job_has_the_name_by_which_it_is_asked_for() -> None:
    """The lines of docs/run/deploy.md for Prometheus, and every expression that names a job."""
    [lines] = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs/run/deploy.md").read_text(), re.MULTILINE | re.DOTALL)
    [job] = yaml.safe_load(lines)["scrape_configs"]
    asked = {name for expression in EXPRESSIONS for name in re.findall(r'job="(\w+)"', expression)}
    assert {job["job_name"]} == asked


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    """Where it is installed, which `apt-get install prometheus` does; else the syntax of YAML is what is known here."""
    if (program := shutil.which("promtool")) is not None:
        checked = subprocess.run([program, "check", "rules", str(RULES)], capture_output=True, text=True)
        assert 0 == checked.returncode, checked.stdout + checked.stderr
    assert all({"alert", "expr", "labels", "annotations"} <= alarm.keys() for alarm in ALARMS)
