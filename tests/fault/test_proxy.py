"""The network of the tests breaks as it is told to: what other tests conclude from it, holds."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx2
import pytest

from lab.node import API, Node, Person, StreamEnded
from lab.process import wait_for
from lab.proxy import Proxy


@pytest.fixture
def proxy(node: Node) -> Iterator[Proxy]:
    with Proxy(node.address) as proxy:
        yield proxy


@pytest.fixture
def far(proxy: Proxy, bob: Person) -> Person:
    """Bob, on the other side of the proxy."""
    return bob.node.person(bob.id, via=proxy.address)


def test_it_passes_both_ways_and_every_end(proxy: Proxy, alice: Person, far: Person) -> None:
    """A stream through it is live, and the node hears when its client goes."""
    with far.opens_stream() as stream:
        alice.sends(far, "hi")
        assert "hi" == stream.until("new_message").data["text"]
        far.sends(alice, "hello")
        assert proxy.open_count >= 1
    with far.opens_stream() as other:
        other.reset()
    wait_for(lambda: f"user={far.id!r}" not in open_streams(far.node))


def open_streams(node: Node) -> set[str]:
    """The users whose streams were opened and have not ended, by the node's log."""
    opened: list[str] = []
    for line in node.stderr.splitlines():
        user = next((word for word in line.split() if word.startswith("user=")), "")
        if "stream opened" in line:
            opened.append(user)
        elif "stream ended" in line:
            opened.remove(user)
    return set(opened)


def test_refused_and_restored(proxy: Proxy, alice: Person, far: Person) -> None:
    """Open connections are reset, new ones refused, until it is restored on the same port."""
    with far.opens_stream() as stream:
        stream.live()
        proxy.refuse()
        with pytest.raises(StreamEnded, match="cut"):
            stream.next()
        with pytest.raises(httpx2.ConnectError):
            far.gets("/inbox/me")
        proxy.restore()
        assert [] == far.inbox()["conversations"]


def test_reset_at_once_and_later(proxy: Proxy, far: Person) -> None:
    """A connection is accepted, and reset before an answer."""
    proxy.reset()
    with pytest.raises(httpx2.TransportError):
        far.gets("/inbox/me")
    proxy.restore()
    with far.opens_stream() as stream:
        stream.live()
        proxy.end_open("close")
        with pytest.raises(StreamEnded, match="cut"):
            stream.next()
    assert [] == far.inbox()["conversations"]


@pytest.mark.parametrize("down_only", [True, False])
def test_a_stall_holds_bytes_and_loses_none(proxy: Proxy, alice: Person, far: Person, down_only: bool) -> None:
    """Nobody is told of anything; afterwards everything goes on where it was."""
    with far.opens_stream() as stream:
        stream.live()
        proxy.stall(up=not down_only)
        alice.sends(far, "hi")
        with pytest.raises(TimeoutError):
            stream.next(0.3)
        proxy.restore()
        assert "hi" == stream.next().data["text"]


def test_stranded_connections_stay_silent_and_new_ones_pass(proxy: Proxy, alice: Person, far: Person) -> None:
    """A half-open connection: neither byte nor end comes, also when everything else passes again."""
    with far.opens_stream() as stranded:
        stranded.live()
        proxy.strand_open()
        proxy.restore()
        with far.opens_stream() as stream:
            stream.live()
            alice.sends(far, "hi")
            assert "hi" == stream.next().data["text"]
        with pytest.raises(TimeoutError):
            stranded.next(0.3)


def test_a_cut_comes_after_that_many_bytes(proxy: Proxy, far: Person) -> None:
    """Of the answer's bytes, header section included; the next connection lives when it is told so."""
    proxy.cut_after(500, "reset")
    with far.opens_stream() as stream, pytest.raises(StreamEnded, match="cut"):
        stream.live()
    assert len(stream.raw_bytes) < 500
    proxy.cut_after(None)
    with far.opens_stream() as stream:
        stream.live()


def test_a_trickle_passes_every_byte_by_itself(proxy: Proxy, alice: Person, far: Person) -> None:
    """Frames come in pieces, and whole."""
    proxy.trickle(1)
    with far.opens_stream() as stream:
        stream.live()
        alice.sends(far, "hi")
        assert "hi" == stream.next().data["text"]
        proxy.restore()
        alice.sends(far, "quick again")
        assert "quick again" == stream.next().data["text"]


def test_held_streams_come_when_they_end_or_are_let_go(proxy: Proxy, alice: Person, far: Person) -> None:
    """As behind a proxy that buffers: other answers pass meanwhile."""
    proxy.hold_streams()
    with socket.create_connection(proxy.address) as client:
        client.settimeout(0.3)
        client.sendall(f"GET {API}/sse/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {far.token}\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            client.recv(65536)
        alice.sends(far, "hi")
        assert 1 == len(far.inbox()["conversations"])
        proxy.restore()
        received = b""
        while b"new_message" not in received and (more := client.recv(65536)):
            received += more
    assert b"new_message" in received


def test_a_post_is_done_though_its_answer_is_lost(proxy: Proxy, alice: Person, far: Person) -> None:
    """The case for which there is a client_id."""
    proxy.lose_post_replies()
    with pytest.raises(httpx2.TransportError):
        far.sends(alice, "hi", client_id="1")
    assert 1 == proxy.lost_replies
    assert "hi" == far.history(alice)["messages"][0]["text"]
    proxy.restore()
    assert 1 == far.sends(alice, "hi", client_id="1")["seq"]
