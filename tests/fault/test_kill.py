"""A node that is killed while people write: what was acknowledged is there, once, for everybody (I1, I2)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.crowd import UNLIMITED, Crowd, Letter, log_after, metric, until_acknowledged
from lab.faults.killing import kill_rounds
from lab.node import Node
from lab.process import wait_for
from lab.proxy import Proxy

SENDS = 1000


# shows: reliability/kill, faults/kill
def test_acknowledged_messages_survive_kills_in_the_middle_of_sends(tmp_path: Path) -> None:
    """Three rounds, each killed with sends in flight. Afterwards every message is in both logs once, also those that
    were sent again; no log has a hole; streams that were open get what they missed before anything new is sent.
    PROTOCOL 9.0.1, 9.0.13, 9.0.16, 6.0.1, 6.0.2, 6.1.2, 15.0.8
    """
    with Node(tmp_path, **UNLIMITED) as node:
        outcome = kill_rounds(node, 3, sends=SENDS)
        assert outcome.holds, outcome
        assert (3, 3 * SENDS) == (outcome.rounds, outcome.acknowledged)
        assert outcome.in_flight >= 3
        assert outcome.figures["sends_sent_again"] >= outcome.in_flight


# shows: reliability/not-answered
def test_a_kill_between_commit_and_answer_doubles_nothing(tmp_path: Path) -> None:
    """The answers are lost although the messages are stored; sent again after a restart, they are the same ones, and
    the readers have got them once. PROTOCOL 9.0.13, 9.0.16
    """
    with Node(tmp_path, **UNLIMITED) as node, Proxy(node.address) as proxy:
        ada, ben = node.person("ada", via=proxy.address), node.person("ben")
        start = ben.head()
        letters = [Letter(ada, ben, str(number), str(number)) for number in range(50)]
        proxy.lose_post_replies()
        lost = Crowd(len(letters))
        assert letters == lost.sends(letters)
        assert len(letters) == lost.broken_in_flight == proxy.lost_replies
        stored = [event["data"]["_id"] for event in log_after(ben, start)]
        assert len(letters) == len(stored)
        node.kill()
        node.restart()
        proxy.restore()
        until_acknowledged(letters)
        assert len(letters) == metric(node.url, "tidings_messages_deduplicated_total")
        assert stored == [event["data"]["_id"] for event in log_after(ben, start)]
        assert set(stored) == {letter.message["_id"] for letter in letters if letter.message}


@pytest.mark.parametrize("delay_s", [0.0, 0.003, 0.01, 0.03])
def test_a_kill_while_the_database_is_made_leaves_one_that_opens(tmp_path: Path, delay_s: float) -> None:
    """From the moment on at which its file is there."""
    node = Node(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(node.start)
        wait_for(node.database.exists, what="the database's file")
        time.sleep(delay_s)  # not for luck: these are the moments at which it is killed
        assert node.process is not None
        node.process.kill()
        starting.exception(10)  # it may have been ready before
    node.kill()
    try:
        node.restart()
        assert 1 == node.person("ada").sends("ben", "hi")["seq"]
    finally:
        node.kill()
