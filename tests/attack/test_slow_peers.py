"""Peers that say little, slowly or nothing, to hold places: PROTOCOL.md 14. Each case has a connection of its own."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.node import API, Node, Person
from lab.process import PATIENCE_S, wait_for
from lab.wire import Wire

WAIT_S = 2.0


@pytest.fixture(scope="module")
def slow_node(start_node: Callable[..., Node]) -> Node:
    """A node that waits two seconds, where it would wait ten."""
    return start_node(request_wait_max_s=WAIT_S, trusted_proxies="10.0.0.1", connections_per_address_max=40)


def drip(piece: bytes) -> Iterator[bytes]:
    """A piece every 50 ms, for as long as somebody takes it."""
    for _ in range(int(20 / 0.05)):
        yield piece
        time.sleep(0.05)


def token_head(person: Person) -> bytes:
    return (
        f"POST {API}/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n"
        "Content-Type: application/json\r\n"
    ).encode()


CASES: dict[str, tuple[Callable[[Person], bytes], bytes, list[int]]] = {
    "nothing at all": (lambda _: b"", b"", []),
    "half a request line": (lambda _: b"GET /page.js", b"", []),
    "a request line, letter by letter": (lambda _: b"GET /", b"a", []),
    "fields without end": (lambda _: b"GET /page.json HTTP/1.1\r\n", b"X: y\r\n", []),
    "line ends before a request": (lambda _: b"\r\n", b"\r\n", []),
    "line ends after a request": (lambda _: b"GET /page.json HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n", [200]),
    "a second request that does not end": (lambda _: b"GET /page.json HTTP/1.1\r\nHost: x\r\n\r\nGET /", b"x", [200]),
    "no body": (lambda who: token_head(who) + b"Content-Length: 60000\r\n\r\n", b"", [408]),
    "a body, letter by letter": (lambda who: token_head(who) + b"Content-Length: 60000\r\n\r\n", b" ", [408]),
    "a body in chunks without end": (
        lambda who: token_head(who) + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
        [408],
    ),
    "a body after a refusal": (
        lambda _: f"POST {API}/send HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n".encode(),
        b" ",
        [401],
    ),
    "a body of a page": (lambda _: b"GET /page.json HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", b" ", [200]),
    "a body of a stream": (
        lambda who: (
            f"GET {API}/sse/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {who.token}\r\nContent-Length: 99\r\n\r\n"
        ).encode(),
        b"",
        [200],
    ),
    "an upgrade, and then anything": (
        lambda _: b"GET /page.json HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"\r\n",
        [200],
    ),
    "fields after a body": (
        lambda who: token_head(who) + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        b"X: y\r\n",
        [408],
    ),
}


def hold_a_place(node: Node, person: Person, begin: bytes, piece: bytes) -> list[int]:
    """Begin so and go on with the piece until the server has had enough; what it answered until then."""
    with Wire(node.address) as wire:
        wire.writes(begin)
        is_over = threading.Event()

        def go_on() -> None:
            for each in drip(piece):
                if is_over.is_set():
                    return
                wire.writes(each)

        dripping = threading.Thread(target=go_on)
        if piece:
            dripping.start()
        try:
            wire.ends(deadline_s=15)
        finally:
            is_over.set()
            if piece:
                dripping.join()
        return wire.statuses


# shows: security/silent-connections
def test_a_place_cannot_be_held_by_saying_little(slow_node: Node) -> None:
    """However it is begun, the connection ends; all at the same time, while others are served.
    PROTOCOL 14.0.15, 14.0.16, 3.1.12"""
    with ThreadPoolExecutor(len(CASES)) as pool:
        held = {
            name: pool.submit(hold_a_place, slow_node, person, begin(person), piece)
            for number, (name, (begin, piece, _)) in enumerate(CASES.items())
            for person in [slow_node.person(f"slow-{number}")]
        }
        ada = slow_node.person("ada")
        assert "quick" == ada.sends("ben", "quick")["text"]
        assert {name: statuses for name, (_, _, statuses) in CASES.items()} == {
            name: each.result() for name, each in held.items()
        }
    assert "Traceback" not in slow_node.output


def test_a_peer_that_says_enough_is_not_hurried(slow_node: Node) -> None:
    """A stream, a poll that waits and a connection between two requests outlive that wait by far. PROTOCOL 14.0.15"""
    ada, ben = slow_node.person("patient-ada"), slow_node.person("patient-ben")
    with Wire(slow_node.address) as idle, ada.opens_stream() as stream:
        idle.writes(b"GET /page.json HTTP/1.1\r\nHost: x\r\n\r\n").hears(b'"api"')
        stream.live()
        assert [] == ada.events(ada.head(), wait=3)["events"]
        ben.sends(ada, "hello")
        assert "hello" == stream.until("new_message").data["text"]
        idle.writes(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").hears(b'"ok"')


# shows: security/drop-by-drop
def test_an_answer_that_is_taken_drop_by_drop_is_cut(start_node: Callable[..., Node]) -> None:
    """Until it is taken it is in the server's memory; who reads gets all of it. PROTOCOL 14.0.20"""
    node = start_node(write_blocked_max_s=1.5, sends_per_s=1e6, sends_burst=1000)
    ada = node.person("ada")
    for _ in range(60):
        ada.sends("ben", "x" * 16_000)
    request = f"GET {API}/ben?limit=200 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.token}\r\n\r\n".encode()

    with Wire(node.address) as eager:
        assert [200] == eager.writes(request).hears(b'"blocked":').statuses
        assert len(eager.received) > 960_000

    def is_cut(wire: socket.socket) -> bool:
        wire.recv(100)
        return (
            'tidings_connections_refused_total{reason="slow_reader"} 1.0' in node.http.get(f"{node.url}/metrics").text
        )

    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(PATIENCE_S)
        slow.connect(node.address)
        slow.sendall(request)
        wait_for(lambda: is_cut(slow), what="the end of a reader that takes little")


PAGE_TEXTS = 70  # of 16,000 characters: a page of a megabyte


def full_page(node: Node, person: Person) -> None:
    """Let a conversation of this person with `writer` have a megabyte."""
    writer = node.person("writer")
    for _ in range(PAGE_TEXTS):
        writer.sends(person, "x" * 16_000)


def page_request(person: Person) -> bytes:
    return (f"GET {API}/writer?limit=200 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n\r\n").encode()


def metric(node: Node, name: str) -> int:
    """One sample of the node's metrics; 0 if there is none."""
    text = node.http.get(f"{node.url}/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return int(float(found[1])) if found else 0


def cut(node: Node) -> int:
    """How many connections were ended because their reader takes too little."""
    return metric(node, 'tidings_connections_refused_total{reason="slow_reader"}')


# shows: security/large-answers
def test_answers_that_are_not_taken_have_a_share_of_the_memory_and_no_more(start_node: Callable[..., Node]) -> None:
    """A page has a megabyte: beyond 32 of them of one address who has waited longest is cut, long before its time is
    over; who reads is not. PROTOCOL 14.0.23"""
    node = start_node(trusted_proxies="192.0.2.1", write_blocked_max_s=1000, sends_per_s=1e6, sends_burst=1000)
    people = [node.person(f"reader-{number}") for number in range(5)]
    for person in people:
        full_page(node, person)
    unread: list[socket.socket] = []

    def asks() -> int:
        client = socket.create_connection(node.address, PATIENCE_S)
        client.sendall(page_request(people[len(unread) % len(people)]))
        unread.append(client)
        return cut(node)

    wait_for(asks, 60, "the first that is cut")
    assert 30 <= len(unread) <= 200, "the kernel holds some of each"
    with Wire(node.address) as eager:
        assert [200] == eager.writes(page_request(people[0])).hears(b'"blocked":').statuses
    wait_for(lambda: is_ended(unread[0]), what="the end of the one that waited longest")
    for client in unread:
        client.close()
    assert "Traceback" not in node.output


# shows: security/large-answers
def test_bytes_that_a_user_s_readers_do_not_take_have_a_share_of_their_own_also_behind_a_proxy(
    start_node: Callable[..., Node],
) -> None:
    """A proxy is nobody's address: beyond eight pages of one user who has waited longest is cut, and nobody else.
    PROTOCOL 14.0.25"""
    node = start_node(write_blocked_max_s=1000, sends_per_s=1e6, sends_burst=1000)
    ada, ben = node.person("ada"), node.person("ben")
    for person in (ada, ben):
        full_page(node, person)
    unread: list[socket.socket] = []

    def asks(person: Person) -> int:
        client = socket.create_connection(node.address, PATIENCE_S)
        client.sendall(page_request(person))
        unread.append(client)
        return cut(node)

    asks(ben)
    wait_for(lambda: asks(ada), 30, "the first that is cut")
    assert 8 <= len(unread) <= 40, "the kernel holds some of each"
    whole = b""
    while b'"blocked":' not in whole:
        piece = unread[0].recv(1 << 20)
        assert piece, "another user's answer was cut"
        whole += piece
    wait_for(lambda: is_ended(unread[1]), what="the end of the one that waited longest")
    for client in unread:
        client.close()


def test_a_request_behind_an_answer_that_is_not_taken_is_not_begun(start_node: Callable[..., Node]) -> None:
    """Else a connection would hold two answers: the second is made when the first is taken. PROTOCOL 14.0.25"""
    node = start_node(write_blocked_max_s=1000, sends_per_s=1e6, sends_burst=1000)
    ada = node.person("ada")
    full_page(node, ada)

    def answered() -> int:
        return metric(node, 'tidings_http_requests_total{code="200",route="/{chat_user_id}"}')

    with socket.create_connection(node.address, PATIENCE_S) as client:
        client.sendall(page_request(ada) * 5)
        wait_for(lambda: answered() == 1, what="the first answer")
        with ada.opens_stream() as stream:  # the loop has turned since
            stream.live()
        assert 1 == answered()
        received = b""
        while received.count(b'"blocked":') < 5:
            received += client.recv(1 << 20)
        assert 5 == answered()


# shows: security/unread-streams
def test_streams_that_nobody_reads_hold_neither_the_memory_nor_the_places_of_others(
    start_node: Callable[..., Node],
) -> None:
    """Two hundred of one user, from the beginning of a log of long texts: twenty are open at any time, what they do
    not take is in the store, and others open theirs. PROTOCOL 14.0.8, 14.0.10, 14.0.25, 14.0.26, 14.0.27"""
    node = start_node(streams_max=30, stream_openings_per_s=1e6, sends_per_s=1e6, sends_burst=1000)
    mallory, ada = node.person("mallory"), node.person("ada")
    begin = mallory.head()
    full_page(node, mallory)
    before_kib = resident_kib(node)
    unread: list[socket.socket] = []
    most_open = 0
    head = f"GET {API}/sse/me?cursor={begin} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {mallory.token}\r\n\r\n"
    for number in range(200):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(node.address)
        client.sendall(head.encode())
        unread.append(client)
        if number % 10 == 9:
            with ada.opens_stream() as stream:
                stream.live()
                most_open = max(most_open, metric(node, "tidings_streams_open"))
    assert 20 <= most_open <= 21, "twenty of hers, and one of the other"
    assert resident_kib(node) - before_kib < 24 * 1024
    for client in unread:
        client.close()
    wait_for(lambda: metric(node, "tidings_streams_open") == 0, what="the end of all of them")
    assert "Traceback" not in node.output


def resident_kib(node: Node) -> int:
    """Return the memory of the node's process."""
    assert node.process is not None
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{node.process.pid}/status").read_text())
    assert found
    return int(found[1])


def is_ended(client: socket.socket) -> bool:
    """Whether the other side has reset it, however much of an answer lies before that."""
    try:
        return client.recv(1 << 20) == b""
    except ConnectionError:
        return True


# shows: security/many-connections
def test_an_address_has_so_many_connections_and_not_one_more(start_node: Callable[..., Node]) -> None:
    """A connection over the limit ends without an answer; when one goes, another may come. PROTOCOL 14.0.17"""
    node = start_node(trusted_proxies="10.0.0.1", connections_per_address_max=5)
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    wires = [Wire(node.address).writes(request).hears(b'"ok"') for _ in range(5)]
    for _ in range(3):
        with Wire(node.address) as refused:
            assert [] == refused.writes(request).ends().statuses
    wait_for(lambda: "127.0.0.1 has 5 connections" in node.output, what="a word to the operator")
    for wire in wires[1:]:
        wire.writes(request).hears(b'"ok"}HTTP')  # those that are there stay
    assert 1 == node.output.count("127.0.0.1 has 5 connections"), "once a minute"
    with wires[0]:
        pass

    def is_served() -> bool:
        with Wire(node.address) as another:
            return b'"ok"' in another.writes(request).ends_or_hears(b'"ok"').received

    wait_for(is_served, what="the place that came free")
    for wire in wires[1:]:
        with wire:
            pass


def test_a_trusted_proxy_has_no_such_limit(start_node: Callable[..., Node]) -> None:
    """All the world comes through it; loopback is one unless it is said otherwise. PROTOCOL 14.0.17"""
    node = start_node(connections_per_address_max=1)
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    wires = [Wire(node.address).writes(request).hears(b'"ok"') for _ in range(8)]
    for wire in wires:
        with wire:
            assert [200] == wire.statuses
