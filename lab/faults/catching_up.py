"""A long catch-up while others write: the reader gets all of it, and those who are live do not wait for it."""

from __future__ import annotations

import statistics
import time

from lab.crowd import Follower, Letter, log_pages, until_acknowledged
from lab.faults.rounds import Outcome, judge
from lab.node import Node

WRITERS = 20
READERS = 3  # devices of the one who was away


def catch_up_under_traffic(node: Node, missed: int) -> Outcome:
    """Three devices come back after so many messages; meanwhile somebody writes to their user and to another one."""
    outcome = Outcome(f"{missed} missed messages, caught up under live traffic", rounds=1)
    ben, cid = node.person("ben"), node.person("cid")
    writers = [node.person(f"writer-{number}") for number in range(WRITERS)]
    starts = {person.id: person.head() for person in [ben, cid, *writers]}
    letters = [Letter(writers[number % WRITERS], ben, f"{number}", f"{number}") for number in range(missed)]
    until_acknowledged(letters, deadline_s=120)
    devices = [Follower(ben, starts["ben"]) for _ in range(READERS)]
    waits_ms: list[float] = []
    with cid.opens_stream() as live:
        live.live()
        begun = time.monotonic()
        for device in devices:
            device.open()
        while not all(device.is_caught_up.is_set() for device in devices):
            number = len(letters)
            pair = [
                Letter(writers[0], ben, f"{number}", f"{number}"),
                Letter(writers[0], cid, f"c{number}", f"c{number}"),
            ]
            letters += pair
            sent_at = time.monotonic()
            until_acknowledged(pair, clients=1)
            live.until("new_message", 30)
            waits_ms.append((time.monotonic() - sent_at) * 1000)
            assert time.monotonic() - begun < 120, "not caught up within two minutes"
        outcome.recovery_s.append(time.monotonic() - begun)
    for device in devices:
        device.wait_at_head(60)
    outcome.adds(judge(letters, starts, devices))
    pages = list(log_pages(ben, starts["ben"], 500))
    told = [event["id"] for page in pages for event in page]
    outcome.expects(told == [frame.id for frame in devices[0].events], "pages and stream differ")
    outcome.figures = {
        "devices": READERS,
        "pages_of_500": len(pages),
        "live_messages_meanwhile": len(waits_ms),
        "two_sends_and_their_frame_ms_median": round(statistics.median(waits_ms), 1),
        "two_sends_and_their_frame_ms_most": round(max(waits_ms), 1),
    }
    return outcome
