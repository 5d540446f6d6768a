"""The power goes while people write: what was acknowledged is there (I1). The disk keeps only what was fsynced."""

from __future__ import annotations

from pathlib import Path

from lab.crowd import UNLIMITED
from lab.faults.powercut import kill_within_fsync, power_cuts
from lab.node import Node


# shows: reliability/acknowledged, reliability/power-cut, faults/power-cut
def test_acknowledged_messages_survive_power_cuts(tmp_path: Path) -> None:
    """Two cuts with sends in flight: one loses all that was not fsynced, one a part of it by chance. Nothing
    acknowledged is lost, doubled or out of order. PROTOCOL 9.0.1, 9.0.13, 6.0.1
    """
    node = Node(tmp_path, **UNLIMITED)
    try:
        outcome = power_cuts(node, 2, sends=400)
        assert outcome.holds, outcome
        assert outcome.in_flight > 0
    finally:
        node.kill()


# shows: reliability/power-cut, faults/lying-disk
def test_a_disk_that_lies_about_fsync_is_found_out(tmp_path: Path) -> None:
    """The same cut on a disk that says it has kept the log, and has not: acknowledged messages are gone. So the test
    above could fail.
    """
    node = Node(tmp_path, **UNLIMITED)
    try:
        assert power_cuts(node, 1, sends=200, lying=True).lost > 0
    finally:
        node.kill()


# shows: faults/kill-in-fsync
def test_a_write_of_a_killed_process_is_durable_before_it_is_acknowledged(tmp_path: Path) -> None:
    """Killed between write and fsync, the message is in the log that the next process reads. That one acknowledges
    the retry only because it has brought the log to the disk first. PROTOCOL 9.0.1, 9.0.13
    """
    node = Node(tmp_path, **UNLIMITED)
    try:
        outcome = kill_within_fsync(node)
        assert outcome.holds, outcome
        assert 1 == outcome.in_flight
    finally:
        node.kill()
