"""Rates, caps and slow readers: PROTOCOL.md 14."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.deployment import OF_SEVERAL_NODES
from lab.node import API, Node, Person, Stream, refused
from lab.process import wait_for


@pytest.fixture(scope="module")
def strict(start_node: Callable[..., Node]) -> Node:
    """A node with low limits of everything that a user does."""
    return start_node(sends_per_s=0.25, sends_burst=3, signals_per_s=2)


def test_sixty_sends_pass_however_fast(alice: Person, bob: Person) -> None:
    """The burst of an outbox that empties after a tunnel. PROTOCOL 14.0.2"""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: alice.sends(bob, str(number)), range(60)))
    assert 60 == alice.history(bob, limit=100)["messages"][-1]["seq"]


# shows: security/faster-than-typing
@pytest.mark.not_on(*OF_SEVERAL_NODES, why="each node has rates of its own")
def test_sends_over_the_rate_are_told_when_to_come_again(strict: Node) -> None:
    """And pass then; another user never noticed. PROTOCOL 14.0.1, 14.0.2, 14.0.3, 14.0.5, 5.0.4, 5.0.5"""
    ada, ben = strict.person("rate-ada"), strict.person("rate-ben")
    for number in range(3):
        ada.sends(ben, str(number))
    body = {"recipientId": ben.id, "text": "too fast", "client_id": "again"}
    answer = ada.posts("/send", body)
    refused(answer, 429, "rate_limited")
    assert 3 == len(ada.history(ben)["messages"])
    assert 4 == ben.sends(ada, "not my rate")["seq"]
    time.sleep(int(answer.headers["retry-after"]))
    assert 5 == ada.posts("/send", body).json()["message"]["seq"]


@pytest.mark.parametrize("kind", ["receipts", "typing"])
def test_signals_have_a_rate(strict: Node, kind: str) -> None:
    """Receipts and typing; other users and sends are not affected. PROTOCOL 14.0.4, 14.0.5, 14.0.3, 5.0.4"""
    ada, ben = strict.person(f"{kind}-ada"), strict.person(f"{kind}-ben")
    ben.sends(ada, "hi")
    body = {"chatUserId": ben.id} | ({"delivered_upto": 1} if kind == "receipts" else {})
    answers = [ada.posts(f"/{kind}", body) for _ in range(20)]
    assert answers[0].is_success
    over = [answer for answer in answers if not answer.is_success]
    assert over
    for answer in over:
        refused(answer, 429, "rate_limited")
    assert 2 == ada.sends(ben, "sends have their own")["seq"]
    assert ben.posts("/typing", {"chatUserId": ada.id}).is_success
    time.sleep(int(over[-1].headers["retry-after"]))
    assert ada.posts(f"/{kind}", body).is_success


# shows: security/faster-than-typing
def test_new_conversations_are_limited(start_node: Callable[..., Node]) -> None:
    """A user that writes to everybody is slowed; a user that talks is not. PROTOCOL 14.0.6, 14.0.7, 14.0.5, 5.0.4,
    5.0.5"""
    node = start_node(new_conversations_per_h=2)
    dan, eve = node.person("dan"), node.person("eve")
    eve.sends(dan, "eve began this one")
    dan.sends("first", "1")
    dan.sends("second", "1")
    refused(dan.posts("/send", {"recipientId": "third", "text": "hi"}), 429, "new_conversations_limited")
    assert [] == dan.history("third")["messages"]
    assert 2 == dan.sends("first", "2")["seq"]
    assert 2 == dan.sends(eve, "an answer")["seq"]
    assert 1 == eve.sends("third", "eve has a limit of her own")["seq"]


# shows: security/blocking-strangers
def test_blocks_of_strangers_are_limited(start_node: Callable[..., Node]) -> None:
    """Each makes rows that stay: nobody fills the database with names. A person who wrote is blocked at any time, and a
    block that is there may be repeated. PROTOCOL 14.0.21, 14.0.22, 14.0.5"""
    node = start_node(new_conversations_per_h=2)
    ada, ben, eve = (node.person(f"blocking-{name}") for name in ("ada", "ben", "eve"))
    ben.sends(ada, "hello")
    for stranger in ("one", "two"):
        assert ada.posts("/block", {"chatUserId": stranger}).is_success
    refused(ada.posts("/block", {"chatUserId": "three"}), 429, "rate_limited")
    assert ["two", "one"] == [each["user"]["id"] for each in ada.gets("/blocked/me").json()["blocked"]]
    for known in ("two", ben.id):
        assert ada.posts("/block", {"chatUserId": known}).is_success
    assert eve.posts("/block", {"chatUserId": "three"}).is_success


# shows: security/lines, security/unread-streams
@pytest.mark.not_on(*OF_SEVERAL_NODES, why="each node has rates of its own")
def test_stream_openings_have_a_rate(start_node: Callable[..., Node]) -> None:
    """Each is two lines of the log, and a place for a moment; the burst passes, and so does another user.
    PROTOCOL 14.0.24, 14.0.5, 5.0.4"""
    node = start_node(stream_openings_per_s=0.01, streams_per_user_max=2)
    ada, ben = node.person("ada"), node.person("ben")
    for _ in range(6):
        ada.opens_stream().live()
    refused(ada.gets("/sse/me"), 429, "rate_limited")
    ben.opens_stream().live()
    wait_for(lambda: 7 == node.output.count("stream opened"), what="a line for each")


@pytest.mark.not_on(*OF_SEVERAL_NODES, why="each node counts its own streams")
def test_the_oldest_stream_ends_at_the_cap_of_its_user(start_node: Callable[..., Node]) -> None:
    """With a wait long enough that two windows do not chase each other. PROTOCOL 14.0.8, 14.0.5, 7.9.1, 7.9.2, 7.9.3"""
    node = start_node(streams_per_user_max=3)
    ada, ben = node.person("ada"), node.person("ben")
    with ben.opens_stream() as untouched:
        untouched.live()
        streams = [ada.opens_stream(tab=f"tab-{number}").live() for number in range(3)]
        for number in range(3):
            newest = ada.opens_stream().live()
            oldest = streams.pop(0)
            goodbye = oldest.until("goodbye")
            assert "replaced" == goodbye.data["reason"]
            assert goodbye.data["retry_ms"] >= 30_000
            assert goodbye.retry_ms == goodbye.data["retry_ms"]
            assert ([], "clean") == (oldest.to_end(), oldest.ended)
            streams.append(newest)
            ben.sends(ada, str(number))
            for stream in [*streams, untouched]:
                assert str(number) == stream.until("new_message").data["text"]
        assert "goodbye" not in [frame.type for frame in untouched.frames]


@pytest.mark.not_on(*OF_SEVERAL_NODES, why="each node counts its own streams")
def test_twenty_streams_of_a_user_live_together(alice: Person, bob: Person) -> None:
    """The default cap. PROTOCOL 7.1.9, 14.0.8"""
    streams = [alice.opens_stream().live() for _ in range(20)]
    bob.sends(alice, "to all")
    for stream in streams:
        assert "to all" == stream.until("new_message").data["text"]
    with alice.opens_stream() as one_more:
        one_more.live()
        assert "replaced" == streams[0].until("goodbye").data["reason"]
        bob.sends(alice, "to the rest")
        for stream in [*streams[1:], one_more]:
            assert "to the rest" == stream.until("new_message").data["text"]
    for stream in streams:
        stream.close()


def opened(person: Person) -> Stream | None:
    """A stream, or None when the node has no place for it (503)."""
    head = f"GET {API}/sse/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {person.token}\r\n\r\n"
    stream = person.node.exchange(head.encode())
    if stream.status == 200:
        return stream
    assert 503 == stream.status
    stream.close()
    return None


@pytest.mark.not_on(*OF_SEVERAL_NODES, why="each node counts its own streams")
def test_a_node_has_a_cap_of_streams(start_node: Callable[..., Node]) -> None:
    """Over it nobody is thrown out, and everything else works. PROTOCOL 14.0.9, 5.0.4"""
    node = start_node(streams_max=2)
    ada, ben, eve = node.person("ada"), node.person("ben"), node.person("eve")
    with ada.opens_stream() as hers, ben.opens_stream() as his:
        hers.live()
        his.live()
        refused(eve.gets("/sse/me"), 503, "too_many_streams")
        eve.sends(ben, "hi")
        assert "hi" == his.until("new_message").data["text"]
        assert [] == eve.events(eve.head())["events"]
        assert ["connected", "caught_up"] == [frame.type for frame in hers.frames]


def test_a_stream_that_ended_frees_its_place(start_node: Callable[..., Node]) -> None:
    """By FIN, by RST, by a new one of the same tab, before and after its first frame. PROTOCOL 14.0.10"""
    node = start_node(streams_max=1)
    ada, ben = node.person("ada"), node.person("ben")
    for number in range(12):
        stream = wait_for(lambda: opened(ben), 5, "a free place")
        if number % 2:
            stream.live()
            ada.sends(ben, "hi")
        if number % 3:
            stream.reset()
        else:
            stream.close()
    wait_for(lambda: opened(ben), 5, "a free place").close()
    assert "Traceback" not in node.output


# shows: security/unread-streams
def test_a_reader_that_takes_nothing_is_aborted_and_delays_nobody(start_node: Callable[..., Node]) -> None:
    """Its other stream gets everything meanwhile; its place comes free. PROTOCOL 14.0.11, 14.0.12, 14.0.10"""
    node = start_node(write_blocked_max_s=1, streams_max=2, sends_per_s=10_000, sends_burst=10_000)
    ada, ben, eve = node.person("ada"), node.person("ben"), node.person("eve")
    # More than the socket buffers of both sides hold (4 and 6 MiB at most by default): 16 MiB of frames.
    text, count = "\u0085" * 8190 + "long", 340
    with ben.opens_stream() as stalled, ben.opens_stream() as reader, ThreadPoolExecutor(1) as pool:
        stalled.live()
        reader.live()
        reading = pool.submit(lambda: [reader.until("new_message").data["seq"] for _ in range(count)])
        for _ in range(count):
            ada.sends(ben, text)
        assert list(range(1, count + 1)) == reading.result()
        wait_for(lambda: opened(eve), 10, "the place of the stalled stream")
        stalled.to_end(timeout=20)
        assert "cut" == stalled.ended
        assert "goodbye" not in [frame.type for frame in stalled.frames]
