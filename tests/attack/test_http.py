"""Bytes that are not valid HTTP, or HTTP of ambiguous length: PROTOCOL.md 14.

A proxy and a server that disagree on where a request ends hand one user's request to another ("request smuggling").
Each case here carries a second request: it must never be answered as one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from lab.node import API, Node, Person, refused
from lab.process import wait_for
from lab.wire import Wire

BODY = b'{"recipientId": "smuggled", "text": "hi"}'
SECOND = b"GET /page.json HTTP/1.1\r\nHost: x\r\n\r\n"

AMBIGUOUS: dict[str, tuple[bytes, bytes]] = {
    "length and chunks": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
    "two lengths": (b"Content-Length: 41\r\nContent-Length: 5\r\n", BODY),
    "two lengths in one field": (b"Content-Length: 41, 41\r\n", BODY),
    "a length with a sign": (b"Content-Length: +41\r\n", BODY),
    "a negative length": (b"Content-Length: -41\r\n", BODY),
    "a length beyond 64 bits": (b"Content-Length: 18446744073709551657\r\n", BODY),
    "a length in hex": (b"Content-Length: 0x29\r\n", BODY),
    "an unknown coding": (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "chunked is not the last coding": (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "two codings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "a space before the colon": (b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "a vertical tab before the value": (b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n"),
    "a folded field": (b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "a chunk size in C notation": (b"Transfer-Encoding: chunked\r\n", b"0x29\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": (
        b"Transfer-Encoding: chunked\r\n",
        b"10000000000000029\r\n" + BODY + b"\r\n0\r\n\r\n",
    ),
    "a chunk that ends in LF": (b"Transfer-Encoding: chunked\r\n", b"29\n" + BODY + b"\n0\n\n"),
    "a chunk longer than it says": (b"Transfer-Encoding: chunked\r\n", b"5\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a bare CR in a field": (b"X: a\rTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "a bare LF after a field": (b"X: a\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "a NUL in a field": (b"X: a\x00b\r\nContent-Length: 41\r\n", BODY),
}


# shows: security/smuggling
@pytest.mark.parametrize(("fields", "body"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_a_request_that_can_be_read_in_two_ways_is_refused(
    node: Node, alice: Person, fields: bytes, body: bytes
) -> None:
    """One refusal, the end of the connection, and what follows is no request. PROTOCOL 14.0.13, 5.0.1"""
    head = f"POST {API}/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\n".encode()
    with Wire(node.address) as wire:
        wire.writes(head + b"Content-Type: application/json\r\n" + fields + b"\r\n" + body + SECOND).ends()
    assert [400] == wire.statuses
    assert b"bad_http" in wire.received
    assert b'"api"' not in wire.received
    assert [] == alice.history("smuggled")["messages"]


BAD_CHUNKS = {name: body for name, (_fields, body) in AMBIGUOUS.items() if "chunk" in name and body[:1] != b"0"}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_a_body_that_turns_out_to_be_none_is_refused_like_a_head(start_node: Callable[..., Node], body: bytes) -> None:
    """Also where its request is being answered already, as long as nothing was said; the log says what the peer was
    told. PROTOCOL 14.0.13, 5.0.1"""
    node = start_node(log_format="json", log_level="debug")
    head = (
        f"POST {API}/send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
    ).encode()
    token = f"Authorization: Bearer {node.person('ada').token}\r\n".encode()
    with Wire(node.address) as wire:
        wire.writes(head + token + b"\r\n").hears(b"100 Continue").writes(body + SECOND).ends()
    assert [100, 400] == wire.statuses
    assert b"bad_http" in wire.received
    with Wire(node.address) as wire:
        wire.writes(head + token + b"\r\n" + body + SECOND).ends()
    assert [400] == wire.statuses
    with Wire(node.address) as wire:
        wire.writes(head + b"\r\n" + body + SECOND).ends()
    assert [400] == wire.statuses, "who asks was not looked at"
    with Wire(node.address) as wire:
        wire.writes(head + b"\r\n").hears(b"unauthorized").writes(body + SECOND).ends()
    assert [401] == wire.statuses, "no request has two answers"

    def told() -> list[tuple[int, str]]:
        lines = [json.loads(line) for line in node.stderr.splitlines(keepends=True) if line.endswith("\n")]
        return [(line["status"], line["code"]) for line in lines if line["event"] == "request"]

    wait_for(lambda: (401, "unauthorized") in told())
    assert [(400, "bad_http"), (401, "unauthorized")] == told()


NO_HTTP: dict[str, bytes] = {
    "nothing but noise": bytes(range(256)),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /page.json\r\n\r\n",
    "HTTP/2 as text": b"GET /page.json HTTP/2.0\r\n\r\n",
    "HTTP/9.9": b"GET /page.json HTTP/9.9\r\n\r\n",
    "another method's tunnel": b"CONNECT internal:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an address without a path": b"GET http://internal HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path in raw UTF-8": b"GET /api/message/\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a field without a name": b"GET /page.json HTTP/1.1\r\n: x\r\n\r\n",
    "LF for CRLF": b"GET /page.json HTTP/1.1\nHost: x\n\n",
    "an address of 1 MB": b"GET /page.json?" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", NO_HTTP.values(), ids=NO_HTTP.keys())
def test_bytes_that_are_no_http_are_refused_and_logged_by_nobody(node: Node, request_bytes: bytes) -> None:
    """As a problem; a line of the log for each would let anybody fill the disk. PROTOCOL 14.0.13, 14.0.14, 5.0.1"""
    before = len(node.output)
    with Wire(node.address) as wire:
        wire.writes(request_bytes).ends()
    if wire.received:  # what was sent after the refusal may have reset the connection before it was read
        head, _, body = wire.received.partition(b"\r\n\r\n")
        assert json.loads(body)["code"] in ("bad_http", "head_too_large")
        assert b"application/problem+json" in head
    assert b'"api"' not in wire.received
    assert len(node.output) == before


# shows: security/large-heads
def test_a_head_over_64_kib_is_refused(node: Node) -> None:
    """Many fields, one long field, one that never ends, an address. PROTOCOL 14.0.14"""
    begin = b"GET /page.json HTTP/1.1\r\nHost: x\r\n"
    many = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 90) for number in range(1000))
    for head in (
        begin + many + b"\r\n",
        begin + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /page.json?" + b"a" * 65_500 + b" HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n",
    ):
        with Wire(node.address) as wire:
            assert [431] == wire.writes(head).ends().statuses
            assert b"head_too_large" in wire.received
    with Wire(node.address) as wire:
        wire.writes(begin + b"X: ", *[b"a" * 8192] * 200).ends()
        assert wire.statuses in ([431], [])  # it may have gone on writing when the answer came
    with Wire(node.address) as wire:
        long = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 600) for number in range(98))
        wire.writes(begin + long + b"\r\n").hears(b'"api"')


# shows: security/large-heads
def test_a_head_of_more_than_a_hundred_fields_is_refused(node: Node, alice: Person) -> None:
    """Before anybody is known each of them costs some calls; what follows a chunked body counts too.
    PROTOCOL 14.0.31"""
    with Wire(node.address) as wire:
        wire.writes(b"GET /page.json HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * 99 + b"\r\n").hears(b'"api"')
        wire.writes(b"GET /page.json HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * 100 + b"\r\n").ends()
        assert [200, 431] == wire.statuses
    head = (
        f"POST {API}/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    with Wire(node.address) as wire:
        wire.writes(head + b"2\r\n{}\r\n0\r\n" + b"a:\r\n" * 100 + b"\r\n").ends()
        assert 201 not in wire.statuses


def test_a_path_and_a_query_are_no_longer_than_any_that_we_know(node: Node, alice: Person) -> None:
    """The longest user id, percent-encoded, and a token in the query pass. PROTOCOL 14.0.31, 2.2.1"""
    assert 200 == alice.gets("/" + quote("\N{GRINNING FACE}" * 128)).status_code
    for target in (b"/" + b"%41" * 1366, b"/page.json?a=" + b"a" * 12_300, b"/page.json?" + b"a" * 20_000):
        with Wire(node.address) as wire:
            wire.writes(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n").ends()
            assert [431] == wire.statuses
            assert b"head_too_large" in wire.received
    refused(alice.gets("/inbox/me?" + "&".join(["a=1"] * 21)), 400, "bad_parameter")


# shows: security/dear-requests
def test_no_request_costs_much_more_than_others(start_node: Callable[..., Node]) -> None:
    """The cost is bounded for each of these, and whether somebody is known or not: CPU of the server, each under five
    milliseconds, where the worst took 180."""
    node = start_node(session_cookie="s", query_token=1, refused_tokens_per_s=1e6, refused_tokens_burst=1_000_000)
    ada = node.person("ada")
    known = f"Authorization: Bearer {ada.token}\r\n".encode()

    def get(target: bytes, fields: bytes = b"") -> bytes:
        return b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n" + fields + b"Connection: close\r\n\r\n"

    def post(body: bytes) -> bytes:
        fields = known + b"Content-Type: application/json\r\nConnection: close\r\n"
        head = b"POST " + API.encode() + b"/receipts HTTP/1.1\r\nHost: x\r\n" + fields
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    inbox = API.encode() + b"/inbox/me"
    shapes = {
        "fields": get(inbox, b"a:\r\n" * 12_800),
        "parameters": get(inbox + b"?" + b"a=&" * 20_000, known),
        "tokens in a query": get(inbox + b"?" + b"token=&" * 8_000),
        "escapes in a query": get(inbox + b"?limit=" + b"%41" * 20_000, known),
        "escapes in a path": get(API.encode() + b"/" + b"%41" * 20_000),
        "folders": get(b"/assets/" + b"a/" * 30_000),
        "folders above": get(b"/assets/" + b"../" * 20_000),
        "folders that pass": get(b"/assets/" + b"a/" * 2_000),
        "cookies": get(inbox, b"Cookie: " + b"a;" * 30_000 + b"\r\n"),
        "addresses": get(inbox, b"X-Forwarded-For: " + b"127.0.0.1," * 6_000 + b"\r\n"),
        "commas for addresses": get(inbox, b"X-Forwarded-For: " + b"," * 60_000 + b"\r\n"),
        "words of a connection": get(inbox, b"Upgrade: x\r\nConnection: upgrade," + b"a," * 30_000 + b"\r\n"),
        "wishes for a type": get(b"/", b"Accept: " + b"text/a;q=0.1," * 4_000 + b"\r\n"),
        "wishes for a coding": get(b"/", b"Accept-Encoding: " + b"gzip;q=0.1," * 5_000 + b"\r\n"),
        "fractions that are hard to round": post(b'{"a":[' + b"5e-324," * 8_000 + b"0]}"),
        "a long number": post(b'{"a":' + b"1" * 60_000 + b"}"),
        "a deep body": post(b'{"a":' + b"[" * 60_000),
        "many lists": post(b'{"a":[' + b"[]," * 20_000 + b"0]}"),
        "marks on one letter": post(('{"chatUserId":"' + "\u0301\u0316" * 10_000 + '"}').encode()),
        "small chunks": post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        + b"1\r\n \r\n" * 40_000
        + b"0\r\n\r\n",
    }
    each = 20
    costs_ms: dict[str, float] = {}
    for name, request in shapes.items():
        before_s = node.cpu_s()
        for _ in range(each):
            with Wire(node.address) as wire:
                wire.writes(request).ends()
        costs_ms[name] = (node.cpu_s() - before_s) / each * 1000
    assert {} == {name: cost for name, cost in costs_ms.items() if cost >= 5}


# shows: security/host
def test_a_request_names_one_host(node: Node) -> None:
    """Two servers in a row could take two for different ones (RFC 9112 3.2). PROTOCOL 14.0.30"""
    for fields in (
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a\r\nX: y\r\nhOST: b\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
    ):
        with Wire(node.address) as wire:
            assert [400] == wire.writes(b"GET /page.json HTTP/1.1\r\n" + fields + b"\r\n").ends().statuses
            assert b"bad_http" in wire.received
    for version, fields in ((b"1.0", b""), (b"1.1", b"Host:\r\n"), (b"1.1", b"Host: [::1]:8787\r\n")):
        with Wire(node.address) as wire:
            wire.writes(b"GET /page.json HTTP/" + version + b"\r\n" + fields + b"\r\n").hears(b'"api"')
    with Wire(node.address) as wire:
        assert [400] == wire.writes(b"GET /page.json HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n").ends().statuses


# shows: security/wrong-type
def test_every_answer_forbids_to_guess_what_it_is(node: Node, alice: Person) -> None:
    """The page, its files, what is for operators, the API, a stream, and refusals of all kinds. PROTOCOL 5.0.8"""
    for path in (
        "/",
        "/page.json",
        "/healthz",
        "/readyz",
        "/metrics",
        "/assets/nothing",
        "/nothing",
        f"{API}/inbox/me",
    ):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            answer = node.http.request(method, node.url + path)
            assert ["nosniff"] == answer.headers.get_list("x-content-type-options"), (method, path)
    script = re.search(r'src="\.(/assets/[^"]+)"', node.http.get(f"{node.url}/").text)
    assert script
    assert ["nosniff"] == node.http.get(node.url + script[1]).headers.get_list("x-content-type-options")
    assert ["nosniff"] == alice.gets("/inbox/me").headers.get_list("x-content-type-options")
    with alice.opens_stream() as stream:
        assert "nosniff" == stream.headers["x-content-type-options"]
    with Wire(node.address) as wire:
        assert b"x-content-type-options: nosniff" in wire.writes(b"no http\r\n\r\n").ends().received


def test_fields_after_a_chunked_body_are_bounded_and_read_by_nobody(node: Node, alice: Person, bob: Person) -> None:
    """A trailer cannot bring another token, and cannot grow without end. PROTOCOL 14.0.14, 2.1.3"""
    head = (
        f"POST {API}/send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    ).encode()
    body = json.dumps({"recipientId": bob.id, "text": "by trailer"}).encode()
    chunks = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    token = f"Authorization: Bearer {alice.token}\r\n".encode()
    with Wire(node.address) as wire:
        assert [401] == wire.writes(head + b"\r\n" + chunks + token + b"\r\n").hears(b"unauthorized").statuses
    with Wire(node.address) as wire:
        many = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 90) for number in range(1000))
        assert 201 not in wire.writes(head + token + b"\r\n" + chunks, many + b"\r\n").ends().statuses


def test_requests_that_follow_without_waiting_are_answered_in_order(node: Node, alice: Person, bob: Person) -> None:
    """Each by its own token, and never beyond one that said it was the last. PROTOCOL 2.1.1, 14.0.13"""

    def request(who: Person, more: str = "") -> bytes:
        return (
            f"GET {API}/inbox/{who.id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {who.token}\r\n{more}\r\n"
        ).encode()

    alice.sends(bob, "between the two")
    with Wire(node.address) as wire:
        nobody = f"GET {API}/inbox/{alice.id} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        wire.writes(request(alice) + nobody + request(bob) + request(bob, "Connection: close\r\n") + request(alice))
        assert [200, 401, 200, 200] == wire.ends().statuses


# shows: security/large-heads
def test_more_requests_than_a_few_at_once_end_the_connection(node: Node, alice: Person) -> None:
    """Waiting requests cost memory, and behind a stream they would wait for minutes. PROTOCOL 14.0.13"""
    stream = f"GET {API}/sse/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\n\r\n".encode()
    with Wire(node.address) as wire:
        wire.writes(stream).hears(b"caught_up").writes(SECOND * 200).ends()
    assert [200] == wire.statuses, "nothing is written into the middle of an answer"


def test_a_stream_with_a_request_behind_it_ends_with_its_connection(start_node: Callable[..., Node]) -> None:
    """Its place comes free, and nothing is written to what is gone. PROTOCOL 14.0.10"""
    node = start_node(heartbeat_interval_s=0.2, streams_max=1)
    ada = node.person("ada")
    stream = f"GET {API}/sse/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.token}\r\n\r\n".encode()

    def is_served() -> bool:
        with Wire(node.address) as wire:
            wire.writes(stream, SECOND).hears(b"\r\n\r\n")
            return [200] == wire.statuses and b"caught_up" in wire.hears(b"caught_up").received

    for _ in range(3):
        wait_for(is_served, what="the place of the stream")
    wait_for(lambda: node.output.count("stream ended") == 3, what="the end of each stream")
    assert "Traceback" not in node.output


def test_a_request_for_another_protocol_stays_one_of_http(node: Node) -> None:
    """Neither WebSocket nor HTTP/2 in plain text is offered (RFC 9110 7.8); what follows is the next request.
    PROTOCOL 14.0.29"""
    for upgrade in ("websocket", "h2c", "TLS/1.2", "x"):
        with Wire(node.address) as wire:
            asked = f"GET /page.json HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n".encode()
            wire.writes(asked + asked + SECOND.replace(b"page.json", b"healthz")).hears(b'"ok"')
            assert [200, 200, 200] == wire.statuses


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
@pytest.mark.parametrize("framing", ["a length", "chunks"])
@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_a_body_that_comes_with_a_request_for_another_protocol_is_read(
    node: Node, alice: Person, bob: Person, upgrade: str, framing: str, pieces: int
) -> None:
    """As Java's HttpClient and `curl --http2` send it, however it is cut into pieces, and the next one on the same
    connection. PROTOCOL 14.0.29, 9.0.1"""
    body = json.dumps({"recipientId": bob.id, "text": f"{upgrade} {framing} {pieces}"}).encode()
    if framing == "chunks":
        length, body = b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        length = b"Content-Length: %d" % len(body)
    head = (
        f"POST {API}/send HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: x\r\n"
        f"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: {upgrade}\r\n"
        f"Authorization: Bearer {alice.token}\r\nContent-Type: application/json\r\n"
    ).encode()
    request = head + length + b"\r\n\r\n" + body
    size = -(-len(request) // pieces)
    with Wire(node.address) as wire:
        wire.writes(*(request[start : start + size] for start in range(0, len(request), size)))
        wire.hears(b"}}").writes(request.replace(b"Connection: ", b"Connection: close, ")).ends()
        assert [201, 201] == wire.statuses


def test_a_stream_that_asks_for_another_protocol_is_one(node: Node, alice: Person, bob: Person) -> None:
    """Java's HttpClient asks with its first request, whatever that is. PROTOCOL 14.0.29"""
    fields = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAA"}
    with alice.opens_stream(headers=fields) as stream:
        stream.live()
        bob.sends(alice, "over HTTP/1.1")
        assert "over HTTP/1.1" == stream.until("new_message").data["text"]


def test_refused_connections_are_counted(node: Node) -> None:
    """By reason, for the operator who asks what hits the server."""
    with Wire(node.address) as wire:
        wire.writes(b"not http\r\n\r\n").ends()

    def counted() -> bool:
        return 'tidings_connections_refused_total{reason="bad_http"}' in node.http.get(f"{node.url}/metrics").text

    wait_for(counted)
