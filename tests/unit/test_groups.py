"""Tests that share something are played by one worker (tests/groups.py)."""

from __future__ import annotations

from pathlib import Path

from tests.groups import APART, ENGINES, LONGEST, WAITING, group_of, place_of

ROOT = Path(__file__).parents[2]


def test_every_file_that_has_a_place_of_its_own_exists() -> None:
    """A file of another name would go where there is room, and nobody would notice."""
    assert [] == [each for each in (*WAITING, *APART, LONGEST, ENGINES) if not (ROOT / each).is_file()]


def test_the_tests_of_a_file_are_a_group_and_of_some_files_more_or_less() -> None:
    """A parameter may have any name."""
    assert "tests/unit/test_sse.py" == group_of("tests/unit/test_sse.py::test_a_comment[a::b[c]/@x]")
    assert 1 == len({group_of(f"{file}::test_this") for file in WAITING})
    engines = {group_of(f"{ENGINES}::{test}[{engine}]") for test in "ab" for engine in ("firefox", "webkit")}
    assert 2 == len(engines)
    for file in APART:
        assert 2 == len({group_of(f"{file}::{test}") for test in "ab"})
    assert "tests/server/test_workers.py" == group_of("tests/server/test_workers.py::test_that")  # another of this name


def test_what_takes_longest_begins_first() -> None:
    """All others stay in their order."""
    tests = [f"{file}::test_this" for file in ("a.py", LONGEST, *sorted(WAITING), "b.py")]
    assert [*tests[2:-1], tests[1], tests[0], tests[-1]] == sorted(tests, key=place_of)
