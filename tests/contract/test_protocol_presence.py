"""Presence, counted by person and told to whom it concerns: PROTOCOL.md 18."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.node import Node, Person, refused
from lab.process import wait_for

GRACE_S = 1.5  # 30 s by default; long enough here for a reconnection on a busy machine


@pytest.fixture(scope="module")
def quick(start_node: Callable[..., Node]) -> Node:
    """A node whose grace is short, and whose first period is over."""
    node = start_node(presence_grace_s=GRACE_S, signals_per_s=1000)
    one, other = node.person("first"), node.person("second")
    befriend(one, other)
    wait_for(lambda: asks(one, other)["online"] is False, what="the end of the first period")
    node.soon(False, lambda: asks(one, other)["online"])
    return node


def befriend(one: Person, other: Person) -> None:
    """Both have written."""
    one.sends(other, "hi")
    other.sends(one, "hi")


def asks(person: Person, peer: Person) -> dict[str, Any]:
    answer = person.posts("/presence", {"chatUserId": peer.id})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert {"success", "online", "watch_s"} == told.keys()
    return told


def seen(person: Person, peer: Person) -> list[bool | None]:
    """The peer's presence as the caller is told: asked for, in the history, in the inbox."""
    (row,) = [each for each in person.inbox()["conversations"] if each["user"]["id"] == peer.id]
    return [asks(person, peer)["online"], person.history(peer)["user"]["online"], row["user"]["online"]]


def told_of(stream_frames: list[Any]) -> list[tuple[str, bool]]:
    return [(each.data["chat_user_id"], each.data["online"]) for each in stream_frames if each.type == "presence"]


def test_a_person_is_online_while_any_stream_is_open_and_a_while_longer(quick: Node) -> None:
    """Two tabs are one person; the last one counts. PROTOCOL 18.0.1, 18.0.2"""
    ada, ben, zoe = quick.person("ada-1"), quick.person("ben-1"), quick.person("zoe-1")
    befriend(ada, ben)
    befriend(ada, zoe)
    one, other, hers = ben.opens_stream(), ben.opens_stream(), zoe.opens_stream()
    quick.soon([True] * 3, lambda: seen(ada, ben))

    one.close()
    hers.close()
    wait_for(lambda: asks(ada, zoe)["online"] is False, what="zoe has gone")
    assert [True] * 3 == seen(ada, ben)

    closed_at = time.monotonic()
    other.close()
    assert [True] * 3 == seen(ada, ben)
    wait_for(lambda: asks(ada, ben)["online"] is False, what="ben has gone")
    assert time.monotonic() - closed_at >= GRACE_S - 0.1
    quick.soon([False] * 3, lambda: seen(ada, ben))


def test_a_user_that_polls_is_online(quick: Node) -> None:
    """A blocked stream is no absence. PROTOCOL 18.0.1"""
    ada, ben = quick.person("ada-2"), quick.person("ben-2")
    befriend(ada, ben)
    ben.events()
    quick.soon([True] * 3, lambda: seen(ada, ben))


def test_a_change_is_told_to_whoever_asked(quick: Node) -> None:
    """As a frame that is in no log, and to nobody else. PROTOCOL 18.0.6, 18.0.7, 18.0.10, 7.2.9"""
    ada, ben, zoe = quick.person("ada-3"), quick.person("ben-3"), quick.person("zoe-3")
    befriend(ada, ben)
    befriend(zoe, ben)
    wait_for(lambda: asks(ada, ben)["online"] is False, what="ben is away")
    with ada.opens_stream().live() as hers, ada.opens_stream().live() as also_hers, zoe.opens_stream().live() as other:
        quick.soon({"success": True, "online": False, "watch_s": 60}, lambda: asks(ada, ben))
        heads = ada.head(), ben.head()
        with ben.opens_stream().live() as his:
            for stream in (hers, also_hers):
                frame = stream.until("presence")
                assert ({"chat_user_id": ben.id, "online": True}, None) == (frame.data, frame.id)
        frame = hers.until("presence")
        assert ({"chat_user_id": ben.id, "online": False}, None) == (frame.data, frame.id)
        assert heads == (ada.head(), ben.head())
        ben.sends(zoe, "the frame after it would have been")
        other.until("new_message")
        assert [] == told_of(other.frames) == told_of(his.frames)


def test_a_reconnection_is_no_absence(quick: Node) -> None:
    """A user that comes back within the grace causes no frame. PROTOCOL 18.0.8"""
    ada, ben, zoe = quick.person("ada-4"), quick.person("ben-4"), quick.person("zoe-4")
    befriend(ada, ben)
    befriend(ada, zoe)
    with ada.opens_stream().live() as hers:
        first, other = ben.opens_stream().live(), zoe.opens_stream().live()
        for peer in (ben, zoe):
            quick.soon(True, lambda peer=peer: ada.history(peer)["user"]["online"])  # type: ignore[misc]
        assert (True, True) == (asks(ada, ben)["online"], asks(ada, zoe)["online"])
        first.reset()
        with ben.opens_stream().live():
            other.reset()
            assert zoe.id == hers.until("presence").data["chat_user_id"]
            assert [(zoe.id, False)] == told_of(hers.frames)


# shows: security/watching-strangers
def test_a_stranger_is_not_watched(quick: Node) -> None:
    """Nothing is told before both have written, in either direction. PROTOCOL 18.0.4"""
    ada, ben, zoe = quick.person("ada-5"), quick.person("ben-5"), quick.person("zoe-5")
    ada.sends(ben, "hello?")
    with ada.opens_stream().live() as hers, ben.opens_stream().live() as his:
        assert [None] * 3 == seen(ada, ben) == seen(ben, ada)
        assert asks(ada, zoe)["online"] is None
        assert ada.history(zoe)["user"]["online"] is None
        with zoe.opens_stream().live():
            ben.sends(ada, "hello")
            hers.until("new_message")
        his.until("new_message")
        assert [] == told_of(hers.frames)
        quick.soon([[True] * 3] * 2, lambda: [seen(ada, ben), seen(ben, ada)])


def test_after_a_start_who_has_not_come_is_unknown(start_node: Callable[..., Node]) -> None:
    """And nobody is told anything while everybody comes back. PROTOCOL 18.0.3, 18.0.9"""
    node = start_node(presence_grace_s=600)
    ada, ben = node.person("ada"), node.person("ben")
    befriend(ada, ben)
    with ada.opens_stream().live() as hers:
        assert [None] * 3 == seen(ada, ben)
        with ben.opens_stream().live():
            node.soon([True] * 3, lambda: seen(ada, ben))
            ada.events(ada.head(), wait=1)  # some ticks of the server's timer
            ben.sends(ada, "the frame after it would have been")
            hers.until("new_message")
        assert [] == told_of(hers.frames)


def test_presence_can_be_switched_off(start_node: Callable[..., Node]) -> None:
    """Then it is unknown to everybody, and clients need not ask again. PROTOCOL 18.0.5"""
    node = start_node(presence=0, presence_grace_s=0.1)
    ada, ben = node.person("ada"), node.person("ben")
    befriend(ada, ben)
    with ada.opens_stream().live() as hers:
        assert {"success": True, "online": None, "watch_s": 0} == asks(ada, ben)
        with ben.opens_stream().live():
            assert [None] * 3 == seen(ada, ben)
            ben.sends(ada, "hi")
            hers.until("new_message")
        assert [] == told_of(hers.frames)


def test_asking_for_oneself_or_for_nobody_is_refused(alice: Person) -> None:
    """As in every conversation. PROTOCOL 2.2.6, 2.2.7"""
    refused(alice.posts("/presence", {"chatUserId": alice.id}), 422, "to_oneself")
    refused(alice.posts("/presence", {"chatUserId": ".."}), 422, "bad_user_id")
    refused(alice.posts("/presence", {}), 400, "missing_fields")
