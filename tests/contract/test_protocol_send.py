"""Sending, and what a Message is: PROTOCOL.md 4.1, 9."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.node import Node, Person, refused


def test_a_send_answers_the_message(alice: Person, bob: Person) -> None:
    """All fields, with their types. PROTOCOL 4.1.1, 4.1.5, 4.1.7, 9.0.1, 9.0.8"""
    answer = alice.posts("/send", {"recipientId": bob.id, "text": "hi", "client_id": "one"})
    assert 201 == answer.status_code
    assert answer.json()["success"] is True
    message = answer.json()["message"]
    assert isinstance(message.pop("_id"), str)
    assert isinstance(message.pop("createdAt"), str)
    assert message == {
        "seq": 1,
        "sender_id": alice.id,
        "recipient_id": bob.id,
        "text": "hi",
        "message_type": "text",
        "sent": True,
        "delivered": False,
        "read": False,
        "client_id": "one",
    }


# shows: reliability/acknowledged
def test_an_acknowledged_message_is_in_both_histories(alice: Person, bob: Person) -> None:
    """The same message, but for the `client_id`, which is its sender's alone. PROTOCOL 4.1.7, 6.0.3, 9.0.1"""
    message = alice.sends(bob, "hi", client_id="mine")
    assert [message] == alice.history(bob)["messages"]
    assert [message | {"client_id": None}] == bob.history(alice)["messages"]
    assert [message | {"client_id": None}] == [one["last_message"] for one in bob.inbox()["conversations"]]


def test_the_time_is_the_servers_in_utc_with_milliseconds(alice: Person, bob: Person) -> None:
    """A client's clock has no say. PROTOCOL 1.1.2, 4.1.4"""
    before = time.time()
    text = alice.sends(bob, "hi", createdAt="1999-01-01T00:00:00.000Z")["createdAt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
    assert before - 0.01 <= at <= time.time() + 0.01


# shows: reliability/in-order
def test_seq_counts_a_conversation_from_one_for_both_sides(alice: Person, bob: Person, carol: Person) -> None:
    """Dense, shared by both, and a conversation's own. PROTOCOL 4.1.2, 4.1.3"""
    sent = [alice.sends(bob, "1"), bob.sends(alice, "2"), alice.sends(carol, "other"), alice.sends(bob, "3")]
    assert [1, 2, 1, 3] == [message["seq"] for message in sent]
    assert 4 == len({message["_id"] for message in sent})
    assert [1, 2, 3] == [message["seq"] for message in bob.history(alice)["messages"]]


TEXTS = [
    "a",
    " padded ",
    "\ttab\r\nand lines\n",
    "\u007f\u0085\u0080\u009f",
    "a\u2028\u2029b",
    "\ufeffa",
    "e\u0301 is not composed",
    "\u202eright to left",
    "👩🏽‍🚀 李四",
    "<script>alert(1)</script>",
    "'; DROP TABLE messages; --",
    '{"type": "new_message"}',
    "id: 1\ndata: {}\n\nevent: x",
    "\\u0041 \\n \\\\",
    "\ufdd0\uffff\U0010ffff",
]


@pytest.mark.parametrize("text", TEXTS, ids=[ascii(text)[:25] for text in TEXTS])
def test_a_text_arrives_as_it_was_sent(alice: Person, bob: Person, text: str) -> None:
    """Nothing is trimmed, normalized or escaped twice, on any way. PROTOCOL 4.1.8, 9.0.7"""
    with bob.opens_stream() as stream:
        stream.live()
        head = bob.head()
        assert text == alice.sends(bob, text)["text"]
        assert text == stream.until("new_message").data["text"]
    assert text == bob.history(alice)["messages"][0]["text"]
    assert text == bob.events(head)["events"][0]["data"]["text"]
    assert text == bob.inbox()["conversations"][0]["last_message"]["text"]


@pytest.mark.parametrize("text", ["", " ", "\n\t\r ", "\u00a0\u2003\u3000", "\u0085\u2028\u2029"])
def test_a_blank_text_is_refused(alice: Person, bob: Person, text: str) -> None:
    """Nothing to read is nothing to send. PROTOCOL 9.0.3"""
    refused(alice.posts("/send", {"recipientId": bob.id, "text": text}), 422, "empty_text")
    assert [] == alice.history(bob)["messages"]


@pytest.mark.parametrize("code", [*range(0x00, 0x09), 0x0B, 0x0C, *range(0x0E, 0x20)], ids=lambda code: f"U+{code:04X}")
def test_a_control_character_is_refused(alice: Person, bob: Person, code: int) -> None:
    """C0 except TAB, LF and CR. PROTOCOL 9.0.6"""
    refused(alice.posts("/send", {"recipientId": bob.id, "text": f"a{chr(code)}b"}), 422, "control_characters")
    assert [] == alice.history(bob)["messages"]


LONGEST = {
    "ASCII": "a" * 16_384,
    "two bytes each": "é" * 8_192,
    "three bytes each": "李" * 5_461 + "a",
    "four bytes each": "👋" * 4_096,
    "escaped in JSON": '"' * 16_384,
    "line feeds": "a" + "\n" * 16_383,
    "escaped for line splitters": "\u0085" * 8_191 + "ab",
    "DEL": "\u007f" * 16_384,
}


@pytest.mark.parametrize("text", LONGEST.values(), ids=LONGEST.keys())
def test_a_text_may_have_16_kib_of_any_characters(alice: Person, bob: Person, text: str) -> None:
    """Bytes of UTF-8 are counted, and its frame is never over 64 KiB. PROTOCOL 9.0.4, 9.0.5, 7.2.7"""
    assert 16_384 == len(text.encode())
    with bob.opens_stream() as stream:
        stream.live()
        assert text == alice.sends(bob, text, client_id="\\" * 64)["text"]
        frame = stream.until("new_message")
    assert text == frame.data["text"]
    assert len(frame.raw) <= 65_536
    refused(alice.posts("/send", {"recipientId": bob.id, "text": text + "x"}), 422, "text_too_long")
    assert 1 == len(alice.history(bob)["messages"])


def test_types_that_are_not_configured_are_refused(alice: Person, bob: Person) -> None:
    """`system` is the host's own. PROTOCOL 9.0.9, 9.0.10"""
    send = {"recipientId": bob.id, "text": "hi"}
    refused(alice.posts("/send", send | {"message_type": "system"}), 422, "reserved_type")
    for unknown in ("image", "", "TEXT", "text "):
        refused(alice.posts("/send", send | {"message_type": unknown}), 422, "unknown_type")
    assert [] == alice.history(bob)["messages"]


def test_configured_types_are_accepted_and_shown(start_node: Callable[..., Node]) -> None:
    """The configuration names what clients may send besides text. PROTOCOL 9.0.11, 9.0.10"""
    node = start_node(message_types="image,location")
    ada, ben = node.person("ada"), node.person("ben")
    assert "image" == ada.sends(ben, "https://example.org/a.png", message_type="image")["message_type"]
    assert "location" == ada.sends(ben, "52.5,13.4", message_type="location")["message_type"]
    assert ["image", "location"] == [message["message_type"] for message in ben.history(ada)["messages"]]
    refused(ada.posts("/send", {"recipientId": "ben", "text": "hi", "message_type": "video"}), 422, "unknown_type")
    refused(ada.posts("/send", {"recipientId": "ben", "text": "hi", "message_type": "system"}), 422, "reserved_type")


@pytest.mark.parametrize("client_id", ["", "a" * 65, "a\nb", "a\x00", "\x7f", "é", "👋"], ids=ascii)
def test_a_value_that_is_no_client_id_is_refused(alice: Person, bob: Person, client_id: str) -> None:
    """1..64 printable ASCII characters. PROTOCOL 9.0.12"""
    answer = alice.posts("/send", {"recipientId": bob.id, "text": "hi", "client_id": client_id})
    refused(answer, 422, "bad_client_id")
    assert [] == alice.history(bob)["messages"]


@pytest.mark.parametrize("client_id", ["a", "~" * 64, " ", "0198f0c2-7b1e-7cc0-9f2e-5d2f8a1c9b3e", "'\"<>\\/%"])
def test_a_client_id_is_given_back(alice: Person, bob: Person, client_id: str) -> None:
    """As it came, to its sender. PROTOCOL 9.0.12, 4.1.7"""
    assert client_id == alice.sends(bob, "hi", client_id=client_id)["client_id"]


def test_the_same_client_id_again_is_the_same_message(alice: Person, bob: Person) -> None:
    """A retry is answered as the first was, and writes nothing. PROTOCOL 9.0.13"""
    first = alice.sends(bob, "hi", client_id="once")
    heads = alice.head(), bob.head()
    alice_again = [alice.sends(bob, "hi", client_id="once") for _ in range(3)]
    assert [first] * 3 == alice_again
    assert heads == (alice.head(), bob.head())
    assert [first] == alice.history(bob)["messages"]


def test_a_client_id_with_other_content_is_refused(alice: Person, bob: Person, carol: Person) -> None:
    """Another text or recipient is another message. PROTOCOL 9.0.14"""
    alice.sends(bob, "hi", client_id="once")
    for body in ({"recipientId": bob.id, "text": "hi "}, {"recipientId": carol.id, "text": "hi"}):
        refused(alice.posts("/send", body | {"client_id": "once"}), 409, "client_id_reused")
    assert 1 == len(alice.history(bob)["messages"])
    assert [] == alice.history(carol)["messages"]


def test_a_client_id_with_another_type_is_refused(start_node: Callable[..., Node]) -> None:
    """The type is part of the content. PROTOCOL 9.0.14"""
    ada = start_node(message_types="image").person("ada")
    ada.sends("ben", "hi", client_id="once")
    body = {"recipientId": "ben", "text": "hi", "client_id": "once", "message_type": "image"}
    refused(ada.posts("/send", body), 409, "client_id_reused")


def test_a_client_id_belongs_to_its_sender(alice: Person, bob: Person) -> None:
    """The other side may use the same. PROTOCOL 9.0.15"""
    assert 1 == alice.sends(bob, "hi", client_id="1")["seq"]
    assert 2 == bob.sends(alice, "hi", client_id="1")["seq"]


# shows: reliability/not-answered
def test_without_a_client_id_equal_sends_are_two_messages(alice: Person, bob: Person) -> None:
    """Nobody guesses that one is a retry. PROTOCOL 4.1.3"""
    assert [1, 2] == [alice.sends(bob, "hi")["seq"] for _ in range(2)]


# shows: reliability/not-answered
def test_ten_retries_at_the_same_time_are_one_message(alice: Person, bob: Person) -> None:
    """The rule holds also inside one group commit. PROTOCOL 9.0.16, 9.0.13"""
    with ThreadPoolExecutor(10) as pool:
        messages = list(pool.map(lambda _: alice.sends(bob, "hi", client_id="once"), range(10)))
    assert [messages[0]] * 10 == messages
    assert [messages[0]] == alice.history(bob)["messages"]


def test_other_content_at_the_same_time_is_refused(alice: Person, bob: Person) -> None:
    """One of them wins, the others are told. PROTOCOL 9.0.16, 9.0.14"""

    def send(number: int) -> int:
        body = {"recipientId": bob.id, "text": str(number), "client_id": "once"}
        return alice.posts("/send", body).status_code

    with ThreadPoolExecutor(8) as pool:
        assert [201] + [409] * 7 == sorted(pool.map(send, range(8)))
    assert 1 == len(alice.history(bob)["messages"])


def test_a_retry_after_a_crash_is_the_same_message(tmp_path: Path) -> None:
    """The 201 was lost with the process; the message was not. PROTOCOL 9.0.1, 9.0.16"""
    with Node(tmp_path) as node:
        ada, ben = node.person("ada"), node.person("ben")
        first = ada.sends("ben", "hi", client_id="once")
        node.kill()
        node.restart()
        assert first == ada.sends("ben", "hi", client_id="once")
        assert [first] == ada.history("ben")["messages"]
        assert 1 == len(ben.history("ada")["messages"])
