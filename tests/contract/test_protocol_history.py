"""Histories and the inbox: PROTOCOL.md 4.3, 10, 11."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lab.node import Node, Person


@pytest.fixture(scope="module")
def roomy(start_node: Callable[..., Node]) -> Node:
    """A node that lets a test write much."""
    return start_node(sends_per_s=10_000, sends_burst=10_000, new_conversations_per_h=1000)


@pytest.fixture(scope="module")
def long_talk(roomy: Node) -> tuple[Person, Person]:
    """Two users with 210 messages, by turns."""
    ada, ben = roomy.person("ada"), roomy.person("ben")
    for number in range(1, 211):
        (ada if number % 2 else ben).sends(ben if number % 2 else ada, str(number))
    return ada, ben


def seqs(page: dict[str, Any]) -> list[int]:
    return [message["seq"] for message in page["messages"]]


def to(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


@pytest.mark.parametrize(
    ("query", "expected", "has_more"),
    [
        ({}, to(161, 210), True),
        ({"limit": 3}, to(208, 210), True),
        ({"limit": 200}, to(11, 210), True),
        ({"limit": 201}, to(11, 210), True),
        ({"limit": 0}, [210], True),
        ({"limit": -7}, [210], True),
        ({"before": 161}, to(111, 160), True),
        ({"before": 11, "limit": 10}, to(1, 10), False),
        ({"before": 12, "limit": 10}, to(2, 11), True),
        ({"before": 1}, [], False),
        ({"before": 0}, [], False),
        ({"before": 999, "limit": 2}, to(209, 210), True),
        ({"after": 0, "limit": 4}, to(1, 4), True),
        ({"after": 100}, to(101, 150), True),
        ({"after": 205, "limit": 5}, to(206, 210), False),
        ({"after": 204, "limit": 5}, to(205, 209), True),
        ({"after": 210}, [], False),
        ({"after": 999}, [], False),
        ({"after": 100, "before": 104}, to(101, 103), False),
        ({"after": 100, "before": 151}, to(101, 150), False),
        ({"after": 100, "before": 152}, to(101, 150), True),
        ({"after": 100, "before": 110, "limit": 4}, to(101, 104), True),
        ({"after": 100, "before": 101}, [], False),
        ({"after": 104, "before": 100}, [], False),
    ],
    ids=str,
)
def test_history_pages(
    long_talk: tuple[Person, Person], query: dict[str, int], expected: list[int], has_more: bool
) -> None:
    """Oldest first; both bounds are exclusive.

    PROTOCOL 10.0.1, 10.0.2, 10.0.3, 10.0.4, 10.0.5, 10.0.6, 10.0.7, 1.1.6
    """
    for one, other in (long_talk, long_talk[::-1]):
        page = one.history(other, **query)
        assert (True, expected, has_more) == (page["success"], seqs(page), page["has_more"])


def test_paging_down_and_up_give_the_same(long_talk: tuple[Person, Person]) -> None:
    """No message at a page's edge is missed or doubled. PROTOCOL 10.0.3, 10.0.4, 10.0.7"""
    ada, ben = long_talk
    down: list[int] = []
    before = None
    while True:
        page = ada.history(ben, before=before, limit=37)
        down = seqs(page) + down
        before = down[0]
        if not page["has_more"]:
            break
    up: list[int] = []
    while True:
        page = ada.history(ben, after=up[-1] if up else 0, limit=37)
        up += seqs(page)
        if not page["has_more"]:
            break
    assert to(1, 210) == down == up


def test_the_history_with_a_stranger_is_empty(alice: Person, bob: Person) -> None:
    """Nothing tells whether the user exists. PROTOCOL 10.0.8, 4.3.1"""
    bob.sends(bob.node.person("someone-else-of-" + bob.id), "so bob exists")
    nobody = f"nobody-of-{alice.id}"
    pages = [alice.history(bob), alice.history(nobody)]
    for page, name in zip(pages, (bob.id, nobody), strict=True):
        assert ([], False, alice.head()) == (page["messages"], page["has_more"], page["cursor"])
        assert (
            dict.fromkeys(("read_upto", "delivered_upto", "peer_read_upto", "peer_delivered_upto"), 0)
            == (page["watermarks"])
        )
        assert {"id": name, "name": name, "avatar_url": None, "online": None} == page["user"]


def test_a_history_is_between_two_people(alice: Person, bob: Person, carol: Person) -> None:
    """A third one's messages are in neither. PROTOCOL 10.0.1"""
    alice.sends(bob, "to bob")
    carol.sends(alice, "from carol")
    assert ["to bob"] == [message["text"] for message in alice.history(bob)["messages"]]
    assert ["from carol"] == [message["text"] for message in alice.history(carol)["messages"]]
    assert [] == carol.history(bob)["messages"]


POWERS = (1, 8, 16, 24, 25, 31, 32, 48)
BOUNDS = [sign * (2**power + step) for power in POWERS for step in (-1, 0, 1) for sign in (1, -1)]


def test_no_bound_leads_into_another_conversation(roomy: Node) -> None:
    """However far outside of this one it lies: what others wrote stays theirs.

    PROTOCOL 10.0.1, 10.0.3, 10.0.4, 10.0.5
    """
    people = [roomy.person(f"bound-{number}") for number in range(4)]
    for one in people:
        for other in people:
            if one is not other:
                one.sends(other, f"{one} to {other}")
    one, other = people[1], people[2]
    expected = [f"{one} to {other}", f"{other} to {one}"]
    for bound in BOUNDS:
        for query in ({"before": bound}, {"after": bound}, {"before": bound, "after": -bound}):
            texts = [message["text"] for message in one.history(other, limit=200, **query)["messages"]]
            within = [
                text
                for seq, text in enumerate(expected, 1)
                if query.get("after", -(10**15)) < seq < query.get("before", 10**15)
            ]
            assert within == texts, query


def test_snapshots_and_log_meet_at_the_cursor(roomy: Node) -> None:
    """Read while others write: page plus events after its cursor is the whole, once. PROTOCOL 10.0.9, 11.0.8"""
    ada, ben = roomy.person("race-ada"), roomy.person("race-ben")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [ada.sends(ben, str(number))["seq"] for number in range(150)])
        histories: list[dict[str, Any]] = []
        inboxes: list[dict[str, Any]] = []
        while not writing.done() and len(inboxes) < 40:
            histories.append(ben.history(ada, limit=200))
            inboxes.append(ben.inbox())
        sent = writing.result()
    for history in histories:
        events = ben.events(history["cursor"], limit=500)["events"]
        assert sent == seqs(history) + [event["data"]["seq"] for event in events]
    for inbox in inboxes:
        events = ben.events(inbox["cursor"], limit=500)["events"]
        last = inbox["conversations"][0]["last_message"]["seq"] if inbox["conversations"] else 0
        assert sent[last:] == [event["data"]["seq"] for event in events]


def test_an_inbox_item_says_all_that_a_list_shows(alice: Person, bob: Person) -> None:
    """Its shape. PROTOCOL 11.0.1, 11.0.2, 11.0.3, 11.0.4, 4.3.1"""
    alice.sends(bob, "1")
    alice.sends(bob, "2")
    last = alice.sends(bob, "3")
    bob.receipts(alice, read_upto=1)
    page = bob.inbox()
    assert (True, False, bob.head()) == (page["success"], page["has_more"], page["cursor"])
    (item,) = page["conversations"]
    assert {"user", "last_message", "unread", "watermarks", "updatedAt", "position", "blocked"} == item.keys()
    assert {"id": alice.id, "name": alice.id, "avatar_url": None, "online": None} == item["user"]
    assert last | {"client_id": None} == item["last_message"]
    assert last["createdAt"] == item["updatedAt"]
    assert 2 == item["unread"]
    assert {"read_upto": 1, "delivered_upto": 1, "peer_read_upto": 0, "peer_delivered_upto": 0} == item["watermarks"]
    assert 3 == item["position"]


def test_unread_counts_the_others_messages_only(alice: Person, bob: Person) -> None:
    """One's own never count, wherever the watermark stands. PROTOCOL 11.0.3, 4.2.3"""

    def unread(person: Person) -> int:
        count: int = person.inbox()["conversations"][0]["unread"]
        return count

    for sender, text in ((alice, "1"), (bob, "2"), (alice, "3"), (alice, "4"), (bob, "5")):
        sender.sends(bob if sender is alice else alice, text)
    assert (3, 2) == (unread(bob), unread(alice))
    bob.receipts(alice, read_upto=2)
    assert (2, 2) == (unread(bob), unread(alice))
    bob.receipts(alice, delivered_upto=5)
    assert 2 == unread(bob)
    bob.receipts(alice, read_upto=3)
    assert 1 == unread(bob)
    bob.receipts(alice, read_upto=5)
    assert (0, 2) == (unread(bob), unread(alice))
    bob.sends(alice, "6")
    assert (0, 3) == (unread(bob), unread(alice))


def test_the_inbox_counts_what_its_page_does_not_show(alice: Person, bob: Person, carol: Person) -> None:
    """Over all pages, as the items count; nothing of somebody blocked. PROTOCOL 11.0.9, 11.0.3"""
    assert 0 == alice.inbox()["unread_total"]
    for sender, count in ((bob, 3), (carol, 2)):
        for number in range(count):
            sender.sends(alice, str(number))
    alice.sends(bob, "one's own never count")
    first, second = (
        alice.inbox(limit=1),
        alice.inbox(limit=1, before=alice.inbox(limit=1)["conversations"][0]["position"]),
    )
    assert (5, 5) == (first["unread_total"], second["unread_total"])
    assert 5 == sum(page["conversations"][0]["unread"] for page in (first, second))
    alice.receipts(bob, read_upto=2)
    assert 3 == alice.inbox(limit=1)["unread_total"]
    alice.posts("/block", {"chatUserId": carol.id})
    assert 1 == alice.inbox(limit=1)["unread_total"]


def test_an_answer_names_whose_it_is(alice: Person, bob: Person) -> None:
    """So that a client whose sign-in changed on the way can tell. PROTOCOL 2.3.5"""
    assert alice.id == alice.history(bob)["user_id"] == alice.inbox()["user_id"] == alice.events()["user_id"]
    assert alice.id == alice.events(alice.head())["user_id"] == alice.events("no-cursor")["user_id"]


def test_the_newest_conversation_comes_first(alice: Person, bob: Person, carol: Person) -> None:
    """Sent or received; a receipt does not move it. PROTOCOL 11.0.1"""

    def order() -> list[str]:
        return [item["user"]["id"] for item in alice.inbox()["conversations"]]

    alice.sends(bob, "1")
    carol.sends(alice, "2")
    assert [carol.id, bob.id] == order()
    bob.sends(alice, "3")
    assert [bob.id, carol.id] == order()
    alice.receipts(carol, read_upto=1)
    assert [bob.id, carol.id] == order()


@pytest.fixture(scope="module")
def popular(roomy: Node) -> tuple[Person, list[str]]:
    """A user with 105 conversations, and their other sides, newest first."""
    zoe = roomy.person("zoe")
    names = [f"fan-{number:03}" for number in range(105)]
    for name in names:
        roomy.person(name).sends(zoe, "hi")
    return zoe, names[::-1]


@pytest.mark.parametrize(("limit", "expected"), [(None, 30), (1, 1), (100, 100), (101, 100), (0, 1), (-1, 1)], ids=str)
def test_limit_bounds_the_inbox(popular: tuple[Person, list[str]], limit: int | None, expected: int) -> None:
    """Default 30, clamped to 1..100. PROTOCOL 11.0.6, 11.0.7, 1.1.6"""
    zoe, names = popular
    page = zoe.inbox(limit=limit)
    assert names[:expected] == [item["user"]["id"] for item in page["conversations"]]
    assert page["has_more"] is True


def test_the_inbox_pages_by_position(popular: tuple[Person, list[str]]) -> None:
    """`before` is exclusive. PROTOCOL 11.0.5, 11.0.7, 11.0.4"""
    zoe, names = popular
    got, before, pages = [], None, 0
    while True:
        page = zoe.inbox(before=before, limit=35)
        got += [item["user"]["id"] for item in page["conversations"]]
        before = page["conversations"][-1]["position"]
        pages += 1
        if not page["has_more"]:
            break
    assert (names, 3) == (got, 3)
    end = zoe.inbox(before=before)
    assert ([], False) == (end["conversations"], end["has_more"])
