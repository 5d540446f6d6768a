"""A process that stands still, and one that may open no more files: people wait, nothing is lost (I1, I2)."""

from __future__ import annotations

from pathlib import Path

from crowd import UNLIMITED
from node import Node
from stops import no_descriptors, stands_still

STILL_S = 2.0


def test_a_node_that_stands_still_loses_nothing(tmp_path: Path) -> None:
    """Stopped with sends in flight and streams open, it goes on where it was. PROTOCOL 9.0.1, 6.0.1"""
    with Node(tmp_path, **UNLIMITED) as node:
        outcome = stands_still(node, STILL_S)
        assert outcome.holds, outcome


def test_a_node_without_descriptors_serves_those_who_are_there(tmp_path: Path) -> None:
    """New connections are closed without an answer; open ones and streams go on; afterwards everybody comes in."""
    with Node(tmp_path, **UNLIMITED) as node:
        outcome = no_descriptors(node)
        assert outcome.holds, outcome
