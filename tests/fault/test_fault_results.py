"""The notes of `make fault`, and the pages that are made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.faults import results as fault_results
from lab.faults.pages import notes, simulation, simulation_of_nodes, table, verdict
from lab.faults.rounds import Outcome
from lab.faults.scenes import SCENES


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this tree's run nor its documents are touched."""
    monkeypatch.setattr(fault_results, "RUN", tmp_path / "build" / "fault.json")
    monkeypatch.setattr(fault_results, "PUBLISHED", tmp_path / "results.json")


def entry(fault: str, **more: Any) -> dict[str, Any]:
    return {**Outcome(fault, rounds=1, **more).as_json(), **fault_results.circumstances()}


def test_every_scene_has_a_line_in_the_documents() -> None:
    """A scene that is added is played before it is published, and one that is gone is not shown any more."""
    published = fault_results.read(fault_results.HERE / "results.json")["scenes"]

    assert [scene.__name__ for scene in SCENES] == list(published)


def test_a_scene_that_is_played_again_replaces_itself_and_no_other() -> None:
    """So that a part of the run can be repeated; nothing comes into the documents before it is taken."""
    fault_results.record_scene("second", 1, entry("two", acknowledged=2))
    fault_results.record_scene("first", 0, entry("one", acknowledged=1))
    fault_results.take(["first", "second", "not played"])
    fault_results.record_scene("gone", 2, entry("three"))
    fault_results.record_scene("first", 0, entry("one", acknowledged=7))
    before = fault_results.read(fault_results.PUBLISHED)["scenes"]
    fault_results.record("simulation", {"seeds": 2000})

    assert ["first", "second", "simulation"] == fault_results.take(["first", "second", "not played"])

    after = fault_results.read(fault_results.PUBLISHED)
    assert ["first", "second"] == list(after["scenes"])
    assert (1, 7) == (before["first"]["acknowledged"], after["scenes"]["first"]["acknowledged"])
    assert before["second"] == after["scenes"]["second"]
    assert {"seeds": 2000} == after["simulation"]


def test_a_promise_that_does_not_hold_is_said() -> None:
    """A loss and a goal that was missed, in the line and in the paragraph."""
    scenes = {
        "good": entry("a good one", acknowledged=5),
        "lost": entry("a loss", acknowledged=5, lost=2),
        "soak_of_ten_minutes": entry("a goal", failures=["memory grows"], figures={"memory_slope_mib": 2.0}),
    }

    assert "3 lines, of which 1 hold." in verdict(scenes)
    assert "**2 were wrong**" in verdict(scenes)
    assert "**Does not hold**, a loss" in verdict(scenes)
    assert "**Does not hold**, a goal: memory grows" in verdict(scenes)
    assert 2 == table(scenes).count("**does not hold**")
    assert "slope" not in notes(scenes), "a figure that was not come to is not said"


def test_a_planted_defect_that_nobody_found_is_said() -> None:
    """By its name."""
    told = simulation({}, {"found_by_seed": {"a": 0, "b": 17, "c": None}, **fault_results.circumstances()})

    assert "No run of 2,000 seeds" in told
    assert "Of 3 planted defects 2 were found: 1 by the first seed, the last by seed 17. **Not found**: c." in told


def test_the_seeds_of_several_nodes_are_told_with_each_fault_and_each_planted_defect() -> None:
    """The count of each kind of fault, and the seed that found each defect."""
    around = fault_results.circumstances()
    played = {"seeds": 1000, "operations": 85_000, "faults": 3, "faults_by_kind": {"lose_bus": 2, "kill": 1}}
    least = {"operations_least": 70, "faults_least": 3, "commits": 9, "virtual_h": 1.5, "took_s": 2}
    told = simulation_of_nodes(played | least | around, {"found_by_seed": {"a": 0, "b": None}, **around})

    assert "1,000 seeds, all clean" in told
    assert "Faults: lose bus 2, kill 1." in told
    assert "**Not found**: b." in told
    assert "| a | 0 |\n| b | - |\n" in told
    assert "No run of 1,000 seeds" in simulation_of_nodes({}, {})
