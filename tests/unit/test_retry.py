"""The reconnect policy: pure, so that every wait can be told in advance."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.protocol.retry import NextAttempt, Outcome, RetryOptions, is_temporary, next_attempt

VECTORS = Path(__file__).parents[2] / "vectors" / "retry.json"
DOCUMENT: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = DOCUMENT["cases"]

draws = st.floats(0, 1, exclude_max=True)
failure_counts = st.integers(0, 10_000)
outcomes = st.one_of(
    st.builds(Outcome, st.sampled_from(["network", "timeout", "mute", "violation", "end"]), stable=st.booleans()),
    st.builds(
        Outcome,
        st.just("status"),
        status=st.integers(201, 599),
        retry_after_s=st.none() | st.floats(0, 600),
        refreshed=st.booleans(),
    ),
    st.builds(Outcome, st.just("goodbye"), retry_ms=st.floats(0, 60_000), stable=st.booleans()),
)


def test_the_vectors_are_many_and_named_once() -> None:
    """At least 35 cases, each with its own name."""
    names = [case["name"] for case in CASES]
    assert len(names) >= 35
    assert len(names) == len(set(names))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_policy_decides_as_the_vector_says(case: dict[str, Any]) -> None:
    """Action, wait and failures, the same as in the TypeScript client."""
    options = RetryOptions(**DOCUMENT["options"])
    assert NextAttempt(**case["expect"]) == next_attempt(
        case["failures"], Outcome(**case["outcome"]), case["random"], options
    )


def test_the_vectors_are_made_for_the_default_options() -> None:
    """A caller that passes no options gets the documented policy."""
    assert RetryOptions(**DOCUMENT["options"]) == RetryOptions()


@given(failures=failure_counts, outcome=outcomes, random=draws)
def test_a_wait_is_finite_and_failures_never_fall_but_after_a_stable_stream(
    failures: int, outcome: Outcome, random: float
) -> None:
    """No outcome makes a wait negative or endless; only stability forgets failures."""
    attempt = next_attempt(failures, outcome, random)
    assert 0 <= attempt.wait_ms <= 720_000
    assert attempt.failures in ((0, 1) if outcome.stable else (failures, failures + 1))


@given(failures=failure_counts, random=draws)
def test_a_failure_waits_between_the_floor_and_the_cap(failures: int, random: float) -> None:
    """Full jitter within 250 ms and 30 s."""
    assert 250 <= next_attempt(failures, Outcome("network"), random).wait_ms <= 30_000


@given(failures=failure_counts, outcome=outcomes, random=draws)
def test_only_a_refusal_stops(failures: int, outcome: Outcome, random: float) -> None:
    """An attempt that may help is made again for ever; 401 is never the end."""
    attempt = next_attempt(failures, outcome, random)
    refused = outcome.status not in (None, 401) and not is_temporary(outcome.status or 0)
    assert (attempt.action == "stop") == refused


def test_options_bound_the_backoff() -> None:
    """Base, cap and floor are the caller's."""
    options = RetryOptions(base_ms=100, cap_ms=300, floor_ms=20)
    waits = [next_attempt(failures, Outcome("network"), 0.5, options).wait_ms for failures in range(4)]
    assert waits == [50, 100, 150, 150]
    assert next_attempt(0, Outcome("network"), 0, options).wait_ms == 20


@pytest.mark.parametrize(
    ("failures", "outcome", "random"),
    [
        (-1, Outcome("network"), 0.5),
        (0, Outcome("network"), 1.0),
        (0, Outcome("network"), -0.1),
        (0, Outcome("status"), 0.5),
        (0, Outcome("goodbye"), 0.5),
    ],
)
def test_an_impossible_outcome_is_a_defect_of_the_caller(failures: int, outcome: Outcome, random: float) -> None:
    """A status outcome has a status, a goodbye its wait, a draw lies in [0, 1)."""
    with pytest.raises(AssertionError):
        next_attempt(failures, outcome, random)
