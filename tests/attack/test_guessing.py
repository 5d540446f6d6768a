"""Guessing ids: what the caller has no part in is answered as what does not exist (PROTOCOL.md)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from lab.node import Node, Person


@pytest.fixture
def talk(alice: Person, bob: Person) -> tuple[Person, Person]:
    """Two who have written to each other, read it and are here."""
    for number in range(3):
        alice.sends(bob, f"private {number}", client_id=f"key-{number}")
        bob.sends(alice, f"answer {number}")
    bob.receipts(alice, read_upto=6)
    alice.receipts(bob, read_upto=6)
    return alice, bob


def told(answer: httpx2.Response, name: str) -> tuple[int, Any]:
    """Return the part of an answer that tells something, without the fields that every answer has."""
    text = answer.text.replace(json.dumps(name)[1:-1], "NAME")
    body = json.loads(text)
    body.pop("cursor", None)
    if isinstance(body.get("user"), dict):
        body["user"].pop("online")  # of those who have both written; a block takes it away (PROTOCOL 18.0.4)
    return answer.status_code, body


STRANGER = "nobody-at-all"


# shows: security/others-ids
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/receipts", {"read_upto": 1}),
        ("/receipts", {"delivered_upto": 6}),
        ("/receipts", {"read_upto": 0}),
        ("/typing", {}),
        ("/presence", {}),
        ("/report", {"reason": "x", "seq": 1}),
        ("/report", {"reason": "x"}),
        ("/block", {}),
        ("/unblock", {}),
    ],
)
def test_a_post_about_a_stranger_tells_nothing(
    talk: tuple[Person, Person], carol: Person, path: str, body: dict[str, object]
) -> None:
    """The same answer for one who talks, is online and has messages as for one who never was. PROTOCOL 12.0.4, 13.0.3,
    18.0.4, 19.0.13, 20.0.4"""
    alice, _ = talk
    with alice.opens_stream() as stream:
        stream.live()
        head = alice.head()
        seen = {name: told(carol.posts(path, {"chatUserId": name, **body}), name) for name in (alice.id, STRANGER)}
        assert seen[alice.id] == seen[STRANGER]
        assert head == alice.head()
        assert {"connected", "caught_up"} == {frame.type for frame in stream.frames}


# shows: security/others-ids
@pytest.mark.parametrize("query", ["", "?before=99&limit=200", "?after=0", "?after=-1&before=999999999999999"])
def test_a_history_of_others_is_as_empty_as_that_of_nobody(
    talk: tuple[Person, Person], carol: Person, query: str
) -> None:
    """The answer is the same for each of these: there is no id of a conversation that could be guessed. PROTOCOL
    10.0.1, 10.0.8"""
    alice, _ = talk
    seen = {name: told(carol.gets(f"/{quote(name)}{query}"), name) for name in (alice.id, STRANGER)}
    assert seen[alice.id] == seen[STRANGER]
    assert [] == seen[alice.id][1]["messages"]


def test_a_name_that_looks_like_an_id_of_a_message_or_a_row_is_only_a_name(
    talk: tuple[Person, Person], carol: Person
) -> None:
    """Ids of messages, conversations and rows open nothing. PROTOCOL 10.0.8"""
    alice, bob = talk
    message = alice.history(bob)["messages"][0]
    for name in (
        message["_id"],
        "1",
        "0",
        "-1",
        f"{alice.id}:{bob.id}",
        f"{alice.id}|{bob.id}",
        "*",
        "%",
        "' OR 1=1--",
    ):
        assert [] == carol.history(name)["messages"], name


# shows: security/others-cursors
def test_a_cursor_of_another_user_opens_only_one_s_own_log(
    talk: tuple[Person, Person], node: Node, carol: Person
) -> None:
    """A cursor is a place and no key: with any of alice's, carol reads carol's log or is told to reset.
    PROTOCOL 6.0.4, 6.2.2, 6.2.4"""
    alice, _ = talk
    epoch = alice.head().split("-")[0]
    cursors = [event["id"] for event in alice.events(f"{epoch}-0-0")["events"]]
    carol.sends(f"friend-of-{carol.id}", "hers")
    for cursor in [*cursors, f"{epoch}-1-0", f"{epoch}-1-fffff"]:
        page = carol.events(cursor)
        assert ([], True) == (page["events"], page["reset"]["reason"] in ("unknown", "future")), cursor
    with carol.opens_stream(cursors[0]) as stream:
        assert "reset" == stream.until("reset").type
        assert "private" not in stream.raw_bytes.decode()
    assert ["hers"] == [event["data"]["text"] for event in carol.events(f"{epoch}-0-0")["events"]]


def test_a_made_up_tag_opens_nothing_that_the_right_one_would_not(alice: Person, bob: Person) -> None:
    """The tag is no signature and guards nothing: whoever may read the log may read all of it. PROTOCOL 6.2.2"""
    alice.sends(bob, "one")
    epoch, position, tag = alice.head().split("-")
    wrong = f"{int(tag, 16) ^ 1:x}"
    assert "unknown" == alice.events(f"{epoch}-{position}-{wrong}")["reset"]["reason"]
    assert ["one"] == [event["data"]["text"] for event in alice.events(f"{epoch}-0-0")["events"]]


def test_another_s_key_of_a_send_is_no_way_to_the_message(talk: tuple[Person, Person], carol: Person) -> None:
    """A `client_id` that is taken elsewhere is free here, and names one's own message. PROTOCOL 9.0.15, 4.1.7"""
    alice, bob = talk
    mine = carol.sends(bob, "private 0", client_id="key-0")
    assert (carol.id, 1) == (mine["sender_id"], mine["seq"])
    assert {None} == {
        message["client_id"] for message in bob.history(alice)["messages"] if message["sender_id"] == alice.id
    }


# shows: security/told-of-block
def test_whom_a_block_keeps_out_cannot_tell_it_from_a_refusal_by_the_host(
    alice: Person, bob: Person, carol: Person
) -> None:
    """Nothing but a send is refused, and no answer names the block; only presence is unknown from then on.
    PROTOCOL 19.0.1, 19.0.5, 19.0.9, 19.0.10"""
    alice.sends(bob, "hello")
    bob.sends(alice, "hello")

    def asks(who: Person, about: Person) -> list[tuple[int, Any]]:
        return [
            told(who.posts("/typing", {"chatUserId": about.id}), about.id),
            told(who.posts("/receipts", {"chatUserId": about.id, "read_upto": 1}), about.id),
            told(who.posts("/unblock", {"chatUserId": about.id}), about.id),
            told(who.gets(f"/{about.id}"), about.id),
            told(who.gets("/blocked/me"), about.id),
        ]

    before = asks(alice, bob)
    assert 200 == bob.posts("/block", {"chatUserId": alice.id}).status_code
    assert before == asks(alice, bob)
    refusal = alice.posts("/send", {"recipientId": bob.id, "text": "again"})
    assert (403, "not_allowed") == (refusal.status_code, refusal.json()["code"])
    assert "block" not in refusal.text.lower()
