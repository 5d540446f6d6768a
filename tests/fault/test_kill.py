"""A node that is killed while people write: what was acknowledged is there, once, for everybody (I1, I2)."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from crowd import UNLIMITED, Crowd, Follower, Letter, log_after, metric, position, until_acknowledged, whole_history
from node import Node, wait_for
from proxy import Proxy

CLIENTS = 20
SENDS = 2000


def test_what_was_acknowledged_survives_kills_in_the_middle_of_sends(tmp_path: Path) -> None:
    """Three rounds, each killed with sends in flight. Afterwards every message is in both logs once, also those that
    were sent again; no log has a hole; streams that were open get what they missed before anything new is sent.
    PROTOCOL 9.0.1, 9.0.13, 9.0.16, 6.0.1, 6.0.2, 6.1.2, 15.0.8
    """
    rng = random.Random(7)
    with Node(tmp_path, **UNLIMITED) as node:
        people = [node.person(f"user-{number}") for number in range(CLIENTS)]
        followers = {person.id: Follower(person, person.head()) for person in people}
        starts = {person.id: person.head() for person in people}
        all_letters: list[Letter] = []
        deduplicated = 0.0
        for round_number in range(3):
            for follower in followers.values():
                follower.open()
            letters = [
                Letter(*rng.sample(people, 2), f"{round_number}/{number}", f"{round_number}-{number}")
                for number in range(SENDS)
            ]
            all_letters += letters
            crowd = Crowd(CLIENTS)
            with ThreadPoolExecutor(1) as pool:
                sending = pool.submit(crowd.sends, letters)
                crowd.wait_acknowledged(rng.randrange(SENDS // 4, SENDS * 3 // 4))
                assert node.process is not None
                node.process.kill()
                unacknowledged = sending.result(20)
            assert crowd.broken_in_flight > 0, "no send was in flight at the kill"
            assert len(unacknowledged) > crowd.broken_in_flight, "it was not in the middle"
            assert [] == crowd.refused
            for follower in followers.values():
                follower.join()
                assert "cut" == follower.ended
            node.kill()

            node.restart()
            for follower in followers.values():
                follower.open()
                assert follower.is_caught_up.wait(10)
            seen = {person.id: message_ids(followers[person.id]) for person in people}
            for letter in letters:
                if letter.message is not None:
                    assert letter.message["_id"] in seen[letter.sender.id] & seen[letter.recipient.id]

            until_acknowledged(letters, CLIENTS)
            deduplicated += metric(node.url, "tidings_messages_deduplicated_total")
            for follower in followers.values():
                follower.wait_at_head()
            node.stop()
            for follower in followers.values():
                follower.join()
                assert "clean" == follower.ended
            node.restart()

        for follower in followers.values():
            assert "reset" not in [frame.type for frame in follower.other]
        assert_everything_is_there_once(all_letters, starts)
        for person in people:
            log = log_after(person, starts[person.id])
            assert [event["id"] for event in log] == [frame.id for frame in followers[person.id].events]
        assert sum(letter.tries > 1 for letter in all_letters) >= 3
        assert deduplicated <= sum(letter.tries - 1 for letter in all_letters)


def message_ids(follower: Follower) -> set[str]:
    """The ids of the messages in the events that a follower applied."""
    return {frame.data["_id"] for frame in follower.events if frame.type == "new_message"}


def assert_everything_is_there_once(letters: list[Letter], starts: dict[str, str]) -> None:
    """Each letter is in both logs and in the history exactly once, and nothing else is; no log has a hole."""
    people = {letter.sender.id: letter.sender for letter in letters}
    people |= {letter.recipient.id: letter.recipient for letter in letters}
    expected = {letter.message["_id"]: letter for letter in letters if letter.message is not None}
    assert len(letters) == len(expected), "two letters were acknowledged with one message"
    in_logs: Counter[tuple[str, str]] = Counter()
    for person in people.values():
        start = starts[person.id]
        log = log_after(person, start)
        first = position(start) + 1
        assert list(range(first, first + len(log))) == [position(event["id"]) for event in log]
        last_seq: dict[str, int] = {}
        for event in log:
            message = event["data"]
            in_logs[person.id, message["_id"]] += 1
            letter = expected[message["_id"]]
            assert letter.text == message["text"]
            peer = message["recipient_id"] if message["sender_id"] == person.id else message["sender_id"]
            assert message["seq"] == last_seq.get(peer, 0) + 1
            last_seq[peer] = message["seq"]
    for id_, letter in expected.items():
        assert (1, 1) == (in_logs[letter.sender.id, id_], in_logs[letter.recipient.id, id_]), letter
    assert 2 * len(letters) == sum(in_logs.values())
    for one, other in itertools.combinations(people.values(), 2):
        messages = whole_history(one, other)
        assert list(range(1, len(messages) + 1)) == [message["seq"] for message in messages]
        assert {
            id_ for id_, letter in expected.items() if {letter.sender.id, letter.recipient.id} == {one.id, other.id}
        } == {message["_id"] for message in messages}


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
