"""Power cuts while people write: what was not fsynced is thrown away."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

from lab.crowd import Crowd, metric, until_acknowledged
from lab.faults.baddisk import BadDisk
from lab.faults.rounds import CLIENTS, Outcome, Town, judge
from lab.node import Node
from lab.process import wait_for


def power_cuts(node: Node, rounds: int, *, sends: int, people: int = 8, seed: int = 11, lying: bool = False) -> Outcome:
    """So many power cuts with sends in flight. With `lying`, a disk that says it has fsynced the log and has not.

    The node must not have been started yet. A lying disk must lose acknowledged messages: it shows that the harness
    can tell.
    """
    name = "power cut, disk that lies about fsync" if lying else "power cut"
    outcome = Outcome(name, is_control=lying)
    rng = random.Random(seed)
    disk = BadDisk(node)
    node.start()
    town = Town(node, people, rng)
    blocks = 0
    while outcome.rounds < rounds:
        if lying:
            disk.told("lie")
        else:
            town.opens_streams()
        letters = town.writes(sends)
        crowd = Crowd(CLIENTS)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(crowd.sends, letters)
            crowd.wait_acknowledged(rng.randrange(sends // 4, sends * 3 // 4))
            blocks += disk.loses_power(rng if outcome.rounds % 2 else None)
            sending.result(30)
        since = time.monotonic()
        outcome.errors["connection broken"] += 1
        outcome.rounds += crowd.broken_in_flight > 0
        outcome.in_flight += crowd.broken_in_flight
        disk.is_well()
        if lying:
            node.restart()
            outcome.adds(judge(town.letters, town.starts))
            continue
        town.streams_end()
        node.restart()
        town.comes_back(outcome, since)
        node.kill()
        town.streams_end()
        node.restart()
    assert disk.kept_count > 0, "the node does not fsync through the C library: power cuts cannot be simulated"
    if not lying:
        outcome.adds(town.judge())
    outcome.figures = {"blocks_thrown_away": blocks}
    return outcome


def kill_within_fsync(node: Node) -> Outcome:
    """A kill while the log is written and not yet fsynced; after the restart the send is repeated and acknowledged as
    the message that the killed process stored; then the power goes. It was acknowledged, so it is there.

    The node must not have been started yet.
    """
    outcome = Outcome("SIGKILL within fsync, restart, power cut", rounds=1)
    disk = BadDisk(node)
    node.start()
    town = Town(node, 2, random.Random(1))
    town.writes(20)
    until_acknowledged(town.letters)
    disk.told("hang")
    (letter,) = town.writes(1, "written and not fsynced")
    crowd = Crowd(1)
    log = node.database.with_name(node.database.name + "-wal")
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(crowd.sends, [letter])
        wait_for(lambda: letter.text.encode() in log.read_bytes(), what="the write that waits for its fsync")
        node.kill()
        sending.result(30)
    outcome.in_flight = crowd.broken_in_flight
    outcome.errors["connection broken"] += 1
    since = time.monotonic()
    disk.is_well()
    node.restart()
    until_acknowledged([letter])
    outcome.recovery_s.append(time.monotonic() - since)
    stored = metric(node.url, "tidings_messages_deduplicated_total")
    outcome.expects(stored == 1, "the killed process had not stored it: nothing was shown")
    disk.loses_power()
    node.restart()
    outcome.adds(judge(town.letters, town.starts))
    return outcome
