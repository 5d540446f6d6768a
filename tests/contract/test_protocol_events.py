"""The same log as JSON pages and long poll: PROTOCOL.md 8."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.node import Node, Person


@pytest.fixture(scope="module")
def roomy(start_node: Callable[..., Node]) -> Node:
    """A node that lets a test write much, and waits for 2 s at most."""
    return start_node(sends_per_s=10_000, sends_burst=10_000, poll_wait_max_s=2)


@pytest.fixture(scope="module")
def filled(roomy: Node) -> tuple[Person, str]:
    """`ben` of the roomy node with 520 events, and where his log began."""
    ada, ben = roomy.person("ada"), roomy.person("ben")
    start = ben.head()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ada.sends(ben, str(number)), range(520)))
    return ben, start


def test_a_page_has_what_the_frames_have(alice: Person, bob: Person) -> None:
    """Id, type and data of every event after the cursor. PROTOCOL 8.0.1, 8.0.3, 8.0.6, 8.0.11"""
    with bob.opens_stream() as stream:
        start = stream.live().frames[0].id
        alice.sends(bob, "hi", client_id="c")
        bob.sends(alice, "back", client_id="d")
        bob.receipts(alice, delivered_upto=1)
        alice.receipts(bob, delivered_upto=2)
        alice.receipts(bob, read_upto=2)
        stream.until("message_read")
        frames = [frame for frame in stream.frames if frame.id][1:]
    page = bob.events(start)
    assert page["success"] is True
    assert page.get("reset") is None
    assert [(frame.id, frame.type) for frame in frames] == [(event["id"], event["type"]) for event in page["events"]]
    volatile = {"delivered", "read"}  # PROTOCOL 7.5.5
    assert [{name: value for name, value in frame.data.items() if name not in volatile} for frame in frames] == [
        {name: value for name, value in event["data"].items() if name not in volatile} for event in page["events"]
    ]
    assert (frames[-1].id, False) == (page["cursor"], page["has_more"])


def test_without_a_cursor_the_answer_is_the_head_at_once(alice: Person, bob: Person) -> None:
    """Also with a `wait`: there is nothing to wait from. PROTOCOL 8.0.2"""
    alice.sends(bob, "hi")
    start = time.monotonic()
    page = bob.events(wait=20)
    assert time.monotonic() - start < 5
    assert ([], False) == (page["events"], page["has_more"])
    assert bob.history(alice)["cursor"] == page["cursor"]


def test_without_events_the_cursor_is_the_one_that_was_given(alice: Person, bob: Person) -> None:
    """A reader may go on with whatever the answer says. PROTOCOL 8.0.3, 8.0.6"""
    alice.sends(bob, "hi")
    head = bob.head()
    page = bob.events(head)
    assert ([], head, False) == (page["events"], page["cursor"], page["has_more"])


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, 200), (1, 1), (7, 7), (500, 500), (501, 500), (0, 1), (-3, 1), (10**9, 500)]
)
def test_limit_bounds_a_page(filled: tuple[Person, str], limit: int | None, expected: int) -> None:
    """Default 200, clamped to 1..500. PROTOCOL 8.0.4, 1.1.6, 8.0.6"""
    ben, start = filled
    page = ben.events(start, limit=limit)
    assert expected == len(page["events"])
    assert page["has_more"] is True


def test_pages_join_without_a_hole(filled: tuple[Person, str]) -> None:
    """`has_more` until the last, which is not empty. PROTOCOL 8.0.1, 8.0.3, 8.0.6"""
    ben, cursor = filled
    sizes, seqs = [], []
    while True:
        page = ben.events(cursor, limit=130)
        sizes.append(len(page["events"]))
        seqs += [event["data"]["seq"] for event in page["events"]]
        assert page["cursor"] == page["events"][-1]["id"]
        cursor = page["cursor"]
        if not page["has_more"]:
            break
    assert [130, 130, 130, 130] == sizes
    assert list(range(1, 521)) == seqs


def test_a_page_is_not_longer_than_1_mib(roomy: Node) -> None:
    """However long the messages are; the rest comes with the next pages. PROTOCOL 8.0.5, 8.0.6"""
    ada, ben = roomy.person("long-ada"), roomy.person("long-ben")
    cursor = ben.head()
    for _ in range(40):
        ada.sends(ben, "\u0085" * 8190 + "long")
    count = 0
    while True:
        answer = ben.gets("/events/me", cursor=cursor, limit=500)
        assert len(answer.content) <= 1 << 20
        page = answer.json()
        assert page["events"]
        count += len(page["events"])
        cursor = page["cursor"]
        if not page["has_more"]:
            break
    assert 40 == count


def test_events_that_are_there_end_a_wait_at_once(alice: Person, bob: Person) -> None:
    """Nobody waits for what has come. PROTOCOL 8.0.7"""
    head = bob.head()
    alice.sends(bob, "hi")
    start = time.monotonic()
    assert 1 == len(bob.events(head, wait=20)["events"])
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("wait", [None, 0, -1])
def test_without_a_wait_nothing_waits(alice: Person, wait: int | None) -> None:
    """A short poll. PROTOCOL 8.0.7, 1.1.6"""
    start = time.monotonic()
    assert [] == alice.events(alice.head(), wait=wait)["events"]
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(("wait", "seconds"), [(1, 1), (2, 2), (60, 2)])
def test_a_wait_without_events_ends_when_it_is_over(roomy: Node, wait: int, seconds: int) -> None:
    """Clamped to the most that the server waits. PROTOCOL 8.0.8, 8.0.3, 1.1.6"""
    ben = roomy.person("lonely")
    head = ben.head()
    start = time.monotonic()
    page = ben.events(head, wait=wait)
    assert seconds - 0.2 <= time.monotonic() - start <= seconds + 1.5
    assert ([], head, False) == (page["events"], page["cursor"], page["has_more"])


def test_an_event_ends_the_wait(alice: Person, bob: Person) -> None:
    """Whether it comes before the poll has settled or after. PROTOCOL 8.0.9, 6.0.3"""
    with ThreadPoolExecutor(1) as pool:
        for number in range(10):
            head = bob.head()
            start = time.monotonic()
            poll = pool.submit(bob.events, head, wait=9)
            time.sleep(number * 0.01)  # ever later, so that some sends meet a poll that waits
            message = alice.sends(bob, str(number))
            page = poll.result()
            assert time.monotonic() - start < 5
            assert [message["_id"]] == [event["data"]["_id"] for event in page["events"]]


def test_a_stream_and_polls_read_the_same_log(alice: Person, bob: Person) -> None:
    """A reader may change from one to the other at any event. PROTOCOL 6.1.1, 6.1.5, 8.0.1"""
    cursor = bob.head()
    for number in range(12):
        alice.sends(bob, str(number))
    got: list[str] = []
    while len(got) < 12:
        with bob.opens_stream(last_event_id=cursor) as stream:
            frame = stream.until("new_message")
            got.append(frame.data["text"])
        page = bob.events(frame.id, limit=2)
        got += [event["data"]["text"] for event in page["events"]]
        cursor = page["cursor"]
    assert [str(number) for number in range(12)] == got


def test_a_page_of_what_was_just_sent_is_not_longer_either(roomy: Node) -> None:
    """While a stream of the same user is open, and the newest events are at hand. PROTOCOL 8.0.5, 8.0.6"""
    ada, ben = roomy.person("near-ada"), roomy.person("near-ben")
    with ben.opens_stream() as stream:
        cursor = str(stream.live().frames[0].id)
        for _ in range(40):
            ada.sends(ben, "\u0085" * 8190 + "long")
        got = 0
        while got < 40:
            answer = ben.gets("/events/me", cursor=cursor, limit=500)
            assert len(answer.content) <= 1 << 20
            page = answer.json()
            got += len(page["events"])
            assert page["has_more"] is (got < 40)
            cursor = page["cursor"]
