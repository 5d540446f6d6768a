"""SIGKILL at random moments while people write."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

from lab.crowd import Crowd
from lab.faults.rounds import CLIENTS, Outcome, Town
from lab.node import Node


def killed_while_sending(town: Town, sends: int) -> Crowd:
    """Kill the node after a random number of acknowledged sends; what the senders saw."""
    letters = town.writes(sends)
    crowd = Crowd(CLIENTS)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(crowd.sends, letters)
        crowd.wait_acknowledged(town.rng.randrange(sends // 4, sends * 3 // 4))
        assert town.node.process is not None
        town.node.process.kill()
        sending.result(30)
    return crowd


def kill_rounds(node: Node, rounds: int, *, sends: int, people: int = CLIENTS, seed: int = 7) -> Outcome:
    """So many kills with sends in flight; a kill that met none is not counted."""
    outcome = Outcome("SIGKILL at a random moment")
    town = Town(node, people, random.Random(seed))
    not_counted = 0
    while outcome.rounds < rounds:
        town.opens_streams()
        crowd = killed_while_sending(town, sends)
        since = time.monotonic()
        outcome.expects(not crowd.refused, f"refused without being told to: {crowd.refused[:3]}")
        town.streams_end()
        outcome.expects(
            {"cut"} == {each.ended for each in town.followers.values()}, "a stream ended as if it were whole"
        )
        node.kill()
        node.restart()
        # Nothing is sent yet: what was acknowledged comes by itself.
        town.opens_streams()
        for follower in town.followers.values():
            assert follower.is_caught_up.wait(20)
        seen = {frame.data["_id"] for each in town.followers.values() for frame in each.events}
        outcome.lost += sum(each.message is not None and each.message["_id"] not in seen for each in town.letters)
        town.comes_to_rest()
        recovery_s = time.monotonic() - since
        if crowd.broken_in_flight > 0:
            outcome.rounds += 1
            outcome.in_flight += crowd.broken_in_flight
            outcome.recovery_s.append(recovery_s)
            outcome.errors["connection broken, stream cut"] += 1
        else:
            not_counted += 1
        assert not_counted < rounds, "kills do not meet sends in flight"
        node.stop()
        town.streams_end()
        outcome.expects({"clean"} == {each.ended for each in town.followers.values()}, "a drain cut a stream")
        node.restart()
    outcome.adds(town.judge())
    outcome.figures = {"sends_sent_again": sum(letter.tries > 1 for letter in town.letters)}
    return outcome
