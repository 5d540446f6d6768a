"""Receipts, watermarks and typing: PROTOCOL.md 4.2, 12, 13."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.node import Node, Person, refused


@pytest.fixture
def talk(alice: Person, bob: Person) -> tuple[Person, Person]:
    """Five messages: 1, 2, 3 by alice, 4 by bob, 5 by alice."""
    for sender in (alice, alice, alice, bob, alice):
        sender.sends(bob if sender is alice else alice, "hi")
    return alice, bob


def marks(read: int, delivered: int, peer_read: int, peer_delivered: int) -> dict[str, int]:
    return {
        "read_upto": read,
        "delivered_upto": delivered,
        "peer_read_upto": peer_read,
        "peer_delivered_upto": peer_delivered,
    }


def test_sending_raises_no_watermark(talk: tuple[Person, Person]) -> None:
    """A user that writes has not thereby read. PROTOCOL 4.2.3"""
    alice, bob = talk
    assert marks(0, 0, 0, 0) == alice.history(bob)["watermarks"] == bob.history(alice)["watermarks"]


def test_a_receipt_raises_the_callers_watermark(talk: tuple[Person, Person]) -> None:
    """Seen by both sides, each from its own. PROTOCOL 12.0.1, 12.0.6"""
    alice, bob = talk
    assert marks(0, 2, 0, 0) == bob.receipts(alice, delivered_upto=2)
    assert marks(0, 0, 0, 2) == alice.history(bob)["watermarks"]
    assert marks(1, 2, 0, 0) == bob.receipts(alice, read_upto=1)
    assert marks(4, 4, 1, 2) == alice.receipts(bob, read_upto=4)
    assert marks(1, 2, 4, 4) == bob.history(alice)["watermarks"] == bob.inbox()["conversations"][0]["watermarks"]


# shows: reliability/read
def test_read_is_also_delivered(talk: tuple[Person, Person]) -> None:
    """Nobody reads what has not arrived. PROTOCOL 12.0.3, 4.2.2"""
    alice, bob = talk
    assert marks(3, 3, 0, 0) == bob.receipts(alice, read_upto=3)
    assert marks(4, 5, 0, 0) == bob.receipts(alice, delivered_upto=5, read_upto=4)
    assert marks(5, 5, 0, 0) == bob.receipts(alice, delivered_upto=1, read_upto=5)


def test_the_answer_to_a_receipt(talk: tuple[Person, Person]) -> None:
    """Its shape. PROTOCOL 12.0.6"""
    alice, bob = talk
    answer = bob.posts("/receipts", {"chatUserId": alice.id, "read_upto": 2})
    assert (200, {"success": True, "watermarks": marks(2, 2, 0, 0)}) == (answer.status_code, answer.json())


# shows: reliability/read
def test_a_watermark_never_falls_and_a_repeated_receipt_writes_nothing(talk: tuple[Person, Person]) -> None:
    """Late and doubled receipts are answered like the first. PROTOCOL 4.2.1, 12.0.2"""
    alice, bob = talk
    bob.receipts(alice, read_upto=3, delivered_upto=4)
    heads = alice.head(), bob.head()
    for upto in (4, 3, 1):
        assert marks(3, 4, 0, 0) == bob.receipts(alice, delivered_upto=upto)
    for upto in (3, 2, 1):
        assert marks(3, 4, 0, 0) == bob.receipts(alice, read_upto=upto)
    assert heads == (alice.head(), bob.head())


# shows: reliability/delivered
def test_messages_show_how_far_their_recipient_got(talk: tuple[Person, Person]) -> None:
    """The same on both sides. PROTOCOL 4.1.6"""
    alice, bob = talk
    bob.receipts(alice, delivered_upto=3, read_upto=2)
    alice.receipts(bob, delivered_upto=4)
    expected = [(True, True), (True, True), (True, False), (True, False), (False, False)]
    for one, other in (talk, talk[::-1]):
        page = one.history(other)["messages"]
        assert expected == [(message["delivered"], message["read"]) for message in page]


def test_a_receipt_beyond_the_last_message_is_refused(talk: tuple[Person, Person]) -> None:
    """A message that was not sent was not read. PROTOCOL 12.0.4"""
    alice, bob = talk
    for name in ("read_upto", "delivered_upto"):
        for upto in (6, 2**31, 2**53 - 1):
            refused(bob.posts("/receipts", {"chatUserId": alice.id, name: upto}), 404, "unknown_message")
    refused(
        bob.posts("/receipts", {"chatUserId": alice.id, "read_upto": 9, "delivered_upto": 2}), 404, "unknown_message"
    )
    refused(bob.posts("/receipts", {"chatUserId": "a-stranger", "read_upto": 1}), 404, "unknown_message")
    assert marks(0, 0, 0, 0) == bob.history(alice)["watermarks"]


def test_a_receipt_for_nothing_is_refused(alice: Person) -> None:
    """One of the two watermarks must be there. PROTOCOL 12.0.5"""
    refused(alice.posts("/receipts", {"chatUserId": "bob"}), 400, "missing_fields")
    body = {"chatUserId": "bob", "read_upto": None, "delivered_upto": None}
    refused(alice.posts("/receipts", body), 400, "missing_fields")


@pytest.mark.parametrize("value", ["3", True, False, 1.5, [1], {"seq": 1}], ids=repr)
@pytest.mark.parametrize("name", ["read_upto", "delivered_upto"])
def test_a_watermark_is_a_whole_number(talk: tuple[Person, Person], name: str, value: object) -> None:
    """`true` is not 1. PROTOCOL 3.1.7, 3.1.9"""
    alice, bob = talk
    refused(bob.posts("/receipts", {"chatUserId": alice.id, name: value}), 400, "wrong_type")
    assert marks(0, 0, 0, 0) == bob.history(alice)["watermarks"]


def test_a_receipt_of_0_raises_nothing(talk: tuple[Person, Person]) -> None:
    """It is where everybody begins. PROTOCOL 12.0.2"""
    alice, bob = talk
    assert marks(0, 0, 0, 0) == bob.receipts(alice, read_upto=0, delivered_upto=0)


@pytest.mark.parametrize("upto", [-1, 2**53, 10**30, -(10**30)])
def test_a_value_that_is_no_message_number_is_refused(talk: tuple[Person, Person], upto: int) -> None:
    """Numbers that not every client can hold are none. PROTOCOL 12.0.9, 5.0.5"""
    alice, bob = talk
    refused(bob.posts("/receipts", {"chatUserId": alice.id, "read_upto": upto}), 400, "wrong_type")
    assert marks(0, 0, 0, 0) == bob.history(alice)["watermarks"]
    assert 5 == alice.history(bob)["messages"][-1]["seq"]


def test_several_conversations_are_told_of_at_once(alice: Person, bob: Person, carol: Person) -> None:
    """Each as it would be alone, in the order of the list; one that is refused spoils none. PROTOCOL 12.0.10, 2.3.5"""
    bob.sends(alice, "1")
    carol.sends(alice, "1")
    carol.sends(alice, "2")
    listed = [
        {"chatUserId": carol.id, "read_upto": 1, "delivered_upto": 2},
        {"chatUserId": "a-stranger", "read_upto": 1},
        {"chatUserId": bob.id, "delivered_upto": 1},
    ]
    answer = alice.posts("/receipts", {"receipts": listed})
    told = [
        {"chatUserId": carol.id, "watermarks": marks(1, 2, 0, 0)},
        {"chatUserId": "a-stranger", "code": "unknown_message"},
        {"chatUserId": bob.id, "watermarks": marks(0, 1, 0, 0)},
    ]
    assert (200, {"success": True, "user_id": alice.id, "receipts": told}) == (answer.status_code, answer.json())
    for person in (bob, carol):
        alice.sends(person, "an answer")
    assert marks(0, 0, 1, 2) == carol.history(alice)["watermarks"]
    assert marks(0, 0, 0, 1) == bob.history(alice)["watermarks"]


BAD_LISTS = {
    "empty": ([], "wrong_type"),
    "too many": ([{"chatUserId": "bob", "read_upto": 0}] * 101, "wrong_type"),
    "no list": ({"chatUserId": "bob", "read_upto": 0}, "wrong_type"),
    "a word": (["bob"], "wrong_type"),
    "nobody": ([{"read_upto": 1}], "missing_fields"),
    "nothing": ([{"chatUserId": "bob"}], "missing_fields"),
    "no number": ([{"chatUserId": "bob", "read_upto": "1"}], "wrong_type"),
}


@pytest.mark.parametrize(("listed", "code"), BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_a_list_of_receipts_with_one_that_is_none_is_refused(
    talk: tuple[Person, Person], listed: object, code: str
) -> None:
    """As a whole: the good one before it is not written. PROTOCOL 12.0.12, 5.0.5"""
    alice, bob = talk
    good = [{"chatUserId": alice.id, "read_upto": 1}] if isinstance(listed, list) and len(listed) == 1 else []
    refused(bob.posts("/receipts", {"receipts": good + listed if isinstance(listed, list) else listed}), 400, code)
    assert marks(0, 0, 0, 0) == bob.history(alice)["watermarks"]


def test_a_hundred_receipts_are_one_for_the_rate(alice: Person, bob: Person) -> None:
    """A first visit has hundreds to tell. PROTOCOL 12.0.11, 12.0.10"""
    bob.sends(alice, "1")
    listed = [{"chatUserId": bob.id, "read_upto": 1}] * 100
    answers = [alice.posts("/receipts", {"receipts": listed}) for _ in range(5)]
    assert [200] * 5 == [answer.status_code for answer in answers]
    assert [{"chatUserId": bob.id, "watermarks": marks(1, 1, 0, 0)}] * 100 == answers[-1].json()["receipts"]


def test_receipts_answered_are_in_the_logs(talk: tuple[Person, Person]) -> None:
    """Replaying them onto the older snapshot gives the newer. PROTOCOL 7.5.2, 7.5.3, 7.5.4, 6.0.3, 12.0.1"""
    alice, bob = talk
    hers, his = alice.head(), bob.head()
    bob.receipts(alice, delivered_upto=3)
    bob.receipts(alice, read_upto=2)
    alice.receipts(bob, read_upto=4)
    in_hers = [(one["type"], one["data"]["by"], one["data"]["upto"]) for one in alice.events(hers)["events"]]
    in_his = [(one["type"], one["data"]["by"], one["data"]["upto"]) for one in bob.events(his)["events"]]
    assert [
        ("message_delivered", bob.id, 3),
        ("message_read", bob.id, 2),
        ("message_read", alice.id, 4),
    ] == in_hers
    assert [("message_read", bob.id, 2), ("message_read", alice.id, 4)] == [one for one in in_his if "read" in one[0]]
    assert {bob.id} == {one["data"]["chat_user_id"] for one in alice.events(hers)["events"]}
    assert {alice.id} == {one["data"]["chat_user_id"] for one in bob.events(his)["events"]}


# shows: security/watching-strangers
def test_a_stranger_is_not_told_that_somebody_is_there(alice: Person, bob: Person) -> None:
    """Bob has not answered: no event, watermark or Message tells alice what he received and read, on his own devices it
    counts. PROTOCOL 12.0.14, 7.5.2, 7.5.3"""
    alice.sends(bob, "are you there?")
    sent = alice.sends(bob, "hello?", client_id="k")
    hers, his = alice.head(), bob.head()
    assert marks(1, 2, 0, 0) == bob.receipts(alice, delivered_upto=2, read_upto=1)
    assert [] == alice.events(hers)["events"]
    assert ["message_read"] == [event["type"] for event in bob.events(his)["events"]]
    assert (1, marks(1, 2, 0, 0)) == tuple(bob.inbox()["conversations"][0][name] for name in ("unread", "watermarks"))
    page, line = alice.history(bob), alice.inbox()["conversations"][0]
    assert marks(0, 0, 0, 0) == page["watermarks"] == line["watermarks"]
    replayed = [event["data"] for event in alice.events(f"{hers.split('-')[0]}-0-0")["events"]]
    again = alice.sends(bob, "hello?", client_id="k")
    for message in (*page["messages"], line["last_message"], *replayed, again):
        assert (False, False) == (message["delivered"], message["read"])
    assert sent == again


def test_an_answer_tells_what_was_received_and_read_before_it(alice: Person, bob: Person) -> None:
    """In the same log, right before the message, so that snapshot and log agree. PROTOCOL 12.0.15, 12.0.1"""
    for text in ("one", "two", "three"):
        alice.sends(bob, text)
    bob.receipts(alice, delivered_upto=3, read_upto=2)
    with alice.opens_stream().live() as stream:
        bob.sends(alice, "I am")
        stream.until("new_message")
        told = [(frame.type, frame.data.get("by"), frame.data.get("upto")) for frame in stream.frames if frame.id][1:]
    assert [("message_read", bob.id, 2), ("message_delivered", bob.id, 3), ("new_message", None, None)] == told
    assert marks(0, 0, 2, 3) == alice.history(bob)["watermarks"]
    seen = [(each["delivered"], each["read"]) for each in alice.history(bob)["messages"][:3]]
    assert [(True, True), (True, True), (True, False)] == seen
    start = alice.head()
    bob.receipts(alice, read_upto=3)
    assert [("message_read", 3)] == [(each["type"], each["data"]["upto"]) for each in alice.events(start)["events"]]
    start = alice.head()
    bob.sends(alice, "and on")
    assert ["new_message"] == [each["type"] for each in alice.events(start)["events"]]


def test_where_it_is_configured_strangers_are_told(start_node: Callable[..., Node]) -> None:
    """As anybody is. PROTOCOL 12.0.14"""
    node = start_node(stranger_receipts=1)
    ada, ben = node.person("ada"), node.person("ben")
    ada.sends(ben, "are you there?")
    start = ada.head()
    ben.receipts(ada, read_upto=1)
    assert ["message_read"] == [event["type"] for event in ada.events(start)["events"]]
    assert marks(0, 0, 1, 1) == ada.history(ben)["watermarks"]


def test_typing_reaches_who_has_written_back(alice: Person, bob: Person) -> None:
    """All their streams, and no log. PROTOCOL 13.0.1"""
    bob.sends(alice, "hi")
    with bob.opens_stream() as one, bob.opens_stream() as other, alice.opens_stream() as own:
        for stream in (one, other, own):
            stream.live()
        heads = alice.head(), bob.head()
        answer = alice.posts("/typing", {"chatUserId": bob.id})
        assert (202, {"success": True}) == (answer.status_code, answer.json())
        assert alice.id == one.until("typing").data["chat_user_id"] == other.until("typing").data["chat_user_id"]
        assert heads == (alice.head(), bob.head())
        bob.sends(alice, "and on")
        own.until("new_message")
        assert "typing" not in [frame.type for frame in own.frames]


# shows: security/watching-strangers
def test_typing_does_not_reach_who_has_not_written_back(alice: Person, bob: Person, carol: Person) -> None:
    """And the caller cannot tell: no stranger is to be watched or annoyed. PROTOCOL 13.0.2, 13.0.3"""
    alice.sends(bob, "unasked")
    with bob.opens_stream() as stream:
        stream.live()
        for peer in (bob, carol):
            answer = alice.posts("/typing", {"chatUserId": peer.id})
            assert (202, {"success": True}) == (answer.status_code, answer.json())
        alice.sends(bob, "the frame after it would have been")
        stream.until("new_message")
        assert "typing" not in [frame.type for frame in stream.frames]


# shows: reliability/presence
def test_a_caught_up_reader_sees_no_old_typing(alice: Person, bob: Person) -> None:
    """Ephemeral: it is in no log. PROTOCOL 13.0.1"""
    bob.sends(alice, "hi")
    start = bob.head()
    alice.types_to(bob)
    alice.sends(bob, "done")
    assert ["new_message"] == [event["type"] for event in bob.events(start)["events"]]
    with bob.opens_stream(cursor=start) as stream:
        assert ["connected", "new_message", "caught_up"] == [frame.type for frame in stream.live().frames]
