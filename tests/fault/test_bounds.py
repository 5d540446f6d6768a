"""Limits are exact also when everybody asks at once."""

from __future__ import annotations

from pathlib import Path

from lab.faults.bounds import LIMITS, limits_hold
from lab.node import Node


# shows: reliability/limits, faults/limits
def test_limits_let_exactly_as_many_pass_when_all_ask_at_once(tmp_path: Path) -> None:
    """Sends and new conversations of a user, streams of a user and of a node, and sizes to the byte.
    PROTOCOL 14.0.1, 14.0.2, 14.0.6, 14.0.8, 14.0.9, 14.0.10
    """
    with Node(tmp_path, **LIMITS) as node:
        outcome = limits_hold(node)
        assert outcome.holds, outcome
