"""Limits under concurrency: exactly as many pass as may, also when all ask at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab.crowd import UNLIMITED, Crowd, Letter, metric
from lab.faults.rounds import Outcome
from lab.node import API, Node, Person, Stream
from lab.process import wait_for

SLOWLY = 0.0001  # a second: nothing refills while a slow machine runs this
SENDS, CONVERSATIONS, STREAMS_OF_A_USER, STREAMS = 60, 20, 20, 60


LIMITS: dict[str, Any] = {
    **UNLIMITED,
    "sends_per_s": SLOWLY,
    "sends_burst": SENDS,
    "new_conversations_per_h": CONVERSATIONS,
    "streams_per_user_max": STREAMS_OF_A_USER,
    "streams_max": STREAMS,
}
"""Of the node that `limits_hold` is given."""


def limits_hold(node: Node) -> Outcome:
    """Rates, streams of a user, streams of a node, and sizes."""
    outcome = Outcome("limits, asked for all at once", rounds=1)

    def passed(what: str, expected: int, seen: int) -> None:
        outcome.figures[what] = f"{seen} of {expected}"
        outcome.expects(expected == seen, f"{what}: {seen} instead of {expected}")

    people = [node.person(f"user-{number}") for number in range(80)]
    crowd = Crowd(50)
    crowd.sends([Letter(people[0], people[1], f"{number}", f"a{number}") for number in range(200)])
    passed("sends_of_a_user", SENDS, crowd.acknowledged)
    outcome.errors["429 rate_limited"] += crowd.refused.count((429, "rate_limited"))

    crowd = Crowd(40)
    crowd.sends([Letter(people[2], person, "hello", f"b{person}") for person in people[10:50]])
    passed("new_conversations_of_a_user", CONVERSATIONS, crowd.acknowledged)
    outcome.errors["429 new_conversations_limited"] += crowd.refused.count((429, "new_conversations_limited"))

    with ThreadPoolExecutor(16) as pool:
        streams = list(pool.map(lambda _: asks_for_stream(people[3]), range(STREAMS_OF_A_USER + 10)))
        passed("answered_streams_of_a_user", STREAMS_OF_A_USER + 10, [each.status for each in streams].count(200))
        wait_for(lambda: open_now(node) <= STREAMS_OF_A_USER, what="the end of the oldest ones")
        passed("streams_of_a_user", STREAMS_OF_A_USER, open_now(node))
        passed("streams_told_that_they_are_replaced", 10, sum(was_replaced(each) for each in streams))
        others = [each.status for each in pool.map(asks_for_stream, people[10:60])]
        passed("streams_of_the_node", STREAMS, others.count(200) + STREAMS_OF_A_USER)
        outcome.errors["503 too_many_streams"] += others.count(503)
        for each in streams:
            each.close()
        wait_for(lambda: open_now(node) == STREAMS - STREAMS_OF_A_USER, what="room again")
        again = [each.status for each in pool.map(asks_for_stream, people[10:60])]
        passed("streams_when_there_is_room_again", STREAMS_OF_A_USER, again.count(200))

    for size, status in ((16_384, 201), (16_385, 422)):
        answer = people[4].posts("/send", {"recipientId": people[5].id, "text": "x" * size})
        passed(f"status_for_a_text_of_{size}_bytes", status, answer.status_code)
    for size, status in ((65_536, 201), (65_537, 413)):
        body = json.dumps({"recipientId": people[5].id, "text": "x", "pad": ""}).encode()
        padded = body.replace(b'"pad": ""', b'"pad": "' + b"y" * (size - len(body)) + b'"')
        assert size == len(padded)
        passed(f"status_for_a_body_of_{size}_bytes", status, people[4].posts("/send", padded).status_code)
    return outcome


def asks_for_stream(person: Person) -> Stream:
    """A stream, or the refusal of one; it stays open until the node is stopped."""
    head = f"GET {API}/sse/me HTTP/1.1\r\nHost: tests\r\nAuthorization: Bearer {person.token}\r\n\r\n"
    return person.node.exchange(head.encode())


def was_replaced(stream: Stream) -> bool:
    """Whether it has ended with that word. The bytes that were written before its end are here by now."""
    try:
        frames = stream.to_end(0.1)
    except TimeoutError:
        return False
    return bool(frames) and frames[-1].type == "goodbye" and frames[-1].data["reason"] == "replaced"


def open_now(node: Node) -> int:
    return int(metric(node.url, "tidings_streams_open"))
