"""The log and its cursor: PROTOCOL.md 6, 7.4.

A client never looks into a cursor. These tests do, by the form that section 6.1 gives, to make the ones that cannot be
served.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.node import Node, Person, Stream, refused


def parts(cursor: str) -> tuple[str, int, str]:
    epoch, position, tag = cursor.rsplit("-", 2)
    return epoch, int(position), tag


def first_cursor(person: Person) -> str:
    return f"{parts(person.head())[0]}-0-0"


def test_the_log_of_a_new_user_is_empty_at_position_0(alice: Person) -> None:
    """Position 0 has tag 0. PROTOCOL 6.1.6"""
    _, position, tag = parts(alice.head())
    assert (0, "0") == (position, tag)
    assert [] == alice.events(alice.head())["events"]


# shows: reliability/in-order
def test_positions_are_dense_from_one(alice: Person, bob: Person) -> None:
    """Messages and receipts, sent and received. PROTOCOL 6.0.1, 6.1.6"""
    start = first_cursor(alice)
    for text in "abc":
        alice.sends(bob, text)
        bob.sends(alice, text)
    bob.receipts(alice, delivered_upto=3)
    bob.receipts(alice, read_upto=6)
    alice.receipts(bob, read_upto=6)
    positions = [parts(event["id"])[1] for event in alice.events(start)["events"]]
    assert list(range(1, len(positions) + 1)) == positions
    assert 9 == len(positions)
    assert positions[-1] == parts(alice.head())[1]


def test_one_cursor_on_all_ways(alice: Person, bob: Person) -> None:
    """Stream, events, history and inbox speak of the same position in the same words. PROTOCOL 6.1.1"""
    with bob.opens_stream() as stream:
        start = stream.live().frames[0].id
        alice.sends(bob, "hi")
        by_stream = stream.until("new_message").id
    page = bob.events(start)
    assert [by_stream] == [event["id"] for event in page["events"]]
    assert by_stream == page["cursor"] == bob.head() == bob.history(alice)["cursor"] == bob.inbox()["cursor"]


def test_a_cursor_is_followed_by_exactly_what_comes_after_it(alice: Person, bob: Person) -> None:
    """From every position of a log, on both readings. PROTOCOL 6.1.5, 6.0.2, 6.0.4, 7.3.4"""
    start = first_cursor(bob)
    for number in range(8):
        alice.sends(bob, str(number))
    ids = [event["id"] for event in bob.events(start)["events"]]
    assert 8 == len(ids)
    for index, cursor in enumerate([start, *ids]):
        assert ids[index:] == [event["id"] for event in bob.events(cursor)["events"]]
        with bob.opens_stream(last_event_id=cursor) as stream:
            connected = stream.live().frames[0]
            assert (True, cursor, cursor) == (connected.data["resumed"], connected.data["cursor"], connected.id)
            assert ids[index:] == [frame.id for frame in stream.frames[1:-1]]


def test_a_log_has_only_its_owners_events(alice: Person, bob: Person, carol: Person) -> None:
    """Also to a reader with another user's cursor: own events or a reset, never theirs. PROTOCOL 6.0.4"""
    start = first_cursor(bob)
    alice.sends(bob, "for bob")
    alice.sends(carol, "for carol")
    alice.sends(carol, "for carol too")
    for foreign in [event["id"] for event in alice.events(first_cursor(alice))["events"]]:
        page = bob.events(foreign)
        assert all(bob.id in (event["data"]["sender_id"], event["data"]["recipient_id"]) for event in page["events"])
    assert ["for bob"] == [event["data"]["text"] for event in bob.events(start)["events"]]


def test_a_cursor_survives_a_restart(tmp_path: Path) -> None:
    """With nothing sent in between: a log that lost its head would show nothing. PROTOCOL 6.1.2, 6.1.5"""
    with Node(tmp_path) as node:
        ada, ben = node.person("ada"), node.person("ben")
        start = first_cursor(ben)
        ada.sends(ben, "1")
        seen = ben.head()
        ada.sends(ben, "2")
        for end in (node.stop, node.kill):
            end()
            node.restart()
            assert ["1", "2"] == [event["data"]["text"] for event in ben.events(start)["events"]]
            with ben.opens_stream(cursor=seen) as stream:
                assert ["2"] == [frame.data["text"] for frame in stream.live().frames[1:-1]]


def bad_cursors(person: Person) -> dict[str, tuple[str, str]]:
    """Cursors that cannot be served, for a log that has events: name → (cursor, reason)."""
    head = person.head()
    epoch, position, tag = parts(head)
    other_tag = "1" if tag != "1" else "2"
    return {
        "garbage": ("garbage", "unknown"),
        "a number": ("17", "unknown"),
        "dashes": ("--", "unknown"),
        "a negative position": (f"{epoch}--1-{tag}", "unknown"),
        "a position that is no number": (f"{epoch}-x-{tag}", "unknown"),
        "a leading zero": (f"{epoch}-0{position}-{tag}", "unknown"),
        "Arabic digits": (f"{epoch}-\u0661-{tag}", "unknown"),
        "another tag": (f"{epoch}-{position}-{other_tag}", "unknown"),
        "no tag": (f"{epoch}-{position}", "unknown"),
        "more at the end": (f"{head}-1", "unknown"),
        "a space": (f" {head}", "unknown"),
        "128 bytes": ("x" * 128, "unknown"),
        "SQL": ("' OR 1=1 --", "unknown"),
        "the future": (f"{epoch}-{position + 1}-{tag}", "future"),
        "the far future": (f"{epoch}-{10**15}-0", "future"),
        "another epoch": (f"{epoch[::-1]}x-{position}-{tag}", "other_epoch"),
        "position 0 of another epoch": ("aaaaaaaa-0-0", "other_epoch"),
    }


def test_events_answers_a_cursor_that_cannot_be_served_with_a_reset(alice: Person, bob: Person) -> None:
    """Never an error, never "caught up", never a wait. PROTOCOL 6.2.1, 6.2.2, 6.2.3, 6.2.4, 6.2.6, 8.0.10"""
    alice.sends(bob, "hi")
    head = bob.head()
    for name, (cursor, reason) in bad_cursors(bob).items():
        page = bob.events(cursor, wait=20)
        assert {"reason": reason, "cursor": head} == page["reset"], name
        assert ([], head, False) == (page["events"], page["cursor"], page["has_more"]), name


def assert_reset(stream: Stream, reason: str, head: str, name: str) -> None:
    connected, reset = stream.next(), stream.next()
    assert (None, False, head) == (connected.id, connected.data["resumed"], connected.data["cursor"]), name
    assert ("reset", head) == (reset.type, reset.id), name
    assert {"reason": reason, "cursor": head} == reset.data, name
    assert connected.raw + reset.raw in stream.chunks[0], f"{name}: not in one write"


def test_a_stream_answers_a_cursor_that_cannot_be_served_with_a_reset(alice: Person, bob: Person) -> None:
    """In band, where an EventSource sees it. PROTOCOL 6.2.1, 6.2.2, 6.2.3, 6.2.4, 6.2.6, 7.4.1, 7.4.2"""
    alice.sends(bob, "hi")
    head = bob.head()
    for name, (cursor, reason) in bad_cursors(bob).items():
        with bob.opens_stream(cursor=cursor) as stream:
            assert_reset(stream, reason, head, name)
        if cursor.isascii() and cursor == cursor.strip():
            with bob.opens_stream(last_event_id=cursor) as stream:
                assert_reset(stream, reason, head, name)


def test_after_a_reset_the_stream_goes_on_from_the_head(alice: Person, bob: Person) -> None:
    """One reset, then life. PROTOCOL 7.4.3, 7.6.1"""
    alice.sends(bob, "before")
    with bob.opens_stream(cursor="garbage") as stream:
        stream.live()
        alice.sends(bob, "after")
        assert "after" == stream.until("new_message").data["text"]
        assert ["connected", "reset", "caught_up", "new_message"] == [frame.type for frame in stream.frames]


def test_the_future_of_an_empty_log_is_a_reset(alice: Person) -> None:
    """A user without a row is no special case. PROTOCOL 6.2.4"""
    epoch, _, _ = parts(alice.head())
    assert "future" == alice.events(f"{epoch}-1-0")["reset"]["reason"]


def test_a_tag_at_position_0_is_looked_at(alice: Person) -> None:
    """Position 0 has tag 0 and no other, or it is the floor and any will do; never an error. PROTOCOL 6.1.6"""
    epoch, _, _ = parts(alice.head())
    assert [] == alice.events(f"{epoch}-0-0")["events"]
    assert 200 == alice.gets("/events/me", cursor=f"{epoch}-0-1").status_code


@pytest.mark.parametrize("cursor", ["x" * 129, "x" * 5_000, "é" * 65], ids=["129 bytes", "5000 bytes", "65 x e acute"])
def test_a_cursor_over_128_bytes_is_refused(alice: Person, cursor: str) -> None:
    """It is none of ours, and is not looked up. PROTOCOL 6.1.3"""
    refused(alice.gets("/events/me", cursor=cursor), 400, "bad_cursor")
    refused(alice.gets("/sse/me", cursor=cursor), 400, "bad_cursor")
    if cursor.isascii():
        refused(alice.gets("/sse/me", {"Last-Event-ID": cursor}), 400, "bad_cursor")


def test_an_empty_cursor_is_none(alice: Person, bob: Person) -> None:
    """A stream or page from now on, without a reset. PROTOCOL 6.1.4"""
    alice.sends(bob, "hi")
    page = bob.events("")
    assert ([], bob.head(), None) == (page["events"], page["cursor"], page.get("reset"))
    for stream in (bob.opens_stream(cursor=""), bob.opens_stream(last_event_id="")):
        with stream:
            assert ["connected", "caught_up"] == [frame.type for frame in stream.live().frames]
            assert bob.head() == stream.frames[0].id


@pytest.fixture
def trimmed(tmp_path: Path) -> Any:
    """A node whose user `ben` has 6 events, the first 3 of which are no longer kept: (node, cursors of 0..6)."""
    with Node(tmp_path) as node:
        ada, ben = node.person("ada"), node.person("ben")
        start = first_cursor(ben)
        for number in range(1, 7):
            ada.sends(ben, str(number))
        cursors = [start, *(event["id"] for event in ben.events(start)["events"])]
        node.stop()
        assert "removed 6 events from 2 logs" in node.operates("retention", "--events-max", "3")
        node.restart()
        yield node, cursors


# shows: reliability/retention
def test_a_position_below_the_floor_is_expired(trimmed: tuple[Node, list[str]]) -> None:
    """A reader is told of events that are no longer kept. PROTOCOL 6.2.5, 6.2.6"""
    node, cursors = trimmed
    ben = node.person("ben")
    for cursor in cursors[:3]:
        assert {"reason": "expired", "cursor": cursors[6]} == ben.events(cursor)["reset"]
        with ben.opens_stream(cursor=cursor) as stream:
            assert_reset(stream, "expired", cursors[6], cursor)


def test_a_position_at_the_floor_is_served(trimmed: tuple[Node, list[str]]) -> None:
    """By epoch and position alone: the row that has its tag is gone. PROTOCOL 6.1.7, 6.1.5"""
    node, cursors = trimmed
    ben = node.person("ben")
    epoch, position, _ = parts(cursors[3])
    for cursor in (cursors[3], f"{epoch}-{position}-1"):
        assert cursors[4:] == [event["id"] for event in ben.events(cursor)["events"]]
        with ben.opens_stream(cursor=cursor) as stream:
            assert cursors[4:] == [frame.id for frame in stream.live().frames[1:-1]]


def test_another_database_is_another_epoch(tmp_path: Path, start_node: Callable[..., Node]) -> None:
    """A cursor of an earlier database, or of another server, is noticed. PROTOCOL 6.2.3"""
    with Node(tmp_path) as node:
        node.person("ada").sends("ben", "hi")
        old = node.person("ben").head()
    ben = start_node().person("ben")
    start_node_head = ben.head()
    assert {"reason": "other_epoch", "cursor": start_node_head} == ben.events(old)["reset"]
