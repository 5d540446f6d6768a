"""The client holds under any environment, address and server: a sentence or another try, never an exception of the
library."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from lab.node import Person
from lab.process import PATIENCE_S
from tidings.client import AsyncClient, Client, async_feed, call, feed, machine
from tidings.client.call import api_url
from tidings.errors import ConfigurationError, ProtocolViolation, ServerProblem, StreamLost

Drip = Callable[[socket.socket, bytes], None]

PROGRAM = str(Path(sys.executable).with_name("tidings"))
SECRET = "pass-word"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One without proxies, to put some in."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", f"socks5://user:{SECRET}@127.0.0.1:1080"),
        ("ALL_PROXY", f"socks4://user:{SECRET}@127.0.0.1:1080"),
        ("HTTP_PROXY", f"carrier-pigeon://user:{SECRET}@127.0.0.1"),
        ("HTTP_PROXY", f"http://user:{SECRET}/@proxy.example.org:x"),
        ("HTTP_PROXY", f"http://user:{SECRET}@proxy.example.org:99999999"),
        ("HTTP_PROXY", f"http://user:{SECRET}@[::1"),
        ("http_proxy", "http://"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_a_sentence_without_its_password(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Before anything is sent; it names the proxy and how to go without."""
    environment.setenv(name, value)
    with pytest.raises(ConfigurationError, match=r"NO_PROXY=chat\.example\.org") as raised:
        Client("http://chat.example.org", "x")
    assert SECRET not in str(raised.value)
    assert "user" not in str(raised.value)


def test_a_socks_proxy_without_its_package_says_how_to_install_it(environment: pytest.MonkeyPatch) -> None:
    """The library's own words name another library."""
    environment.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigurationError, match=r"pip install 'httpx2\[socks\]'\. To go without"):
        Client("http://chat.example.org", "x")


def test_a_proxy_for_other_addresses_is_not_in_the_way(environment: pytest.MonkeyPatch, alice: Person) -> None:
    """Only the one that this server needs is set up."""
    assert alice.token is not None
    environment.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    environment.setenv("NO_PROXY", "127.0.0.1")
    with Client(alice.node.url, alice.token) as client:
        assert 1 == client.send("bob", "hi").seq


def test_a_proxy_is_used_with_its_name_and_password(environment: pytest.MonkeyPatch) -> None:
    """As the variables say; what it refuses is told without them."""
    asked: list[bytes] = []

    def refuse(connection: socket.socket, head: bytes) -> None:
        asked.append(head)
        connection.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with server_of(refuse) as url:
        environment.setenv("HTTP_PROXY", url.replace("//", f"//user:{SECRET}@"))
        with Client("http://chat.example.org", "x") as client, pytest.raises(ServerProblem, match="407") as raised:
            client.inbox()
    assert b"GET http://chat.example.org/api/message/inbox/me HTTP/1.1" in asked[0]
    assert b"proxy-authorization: basic" in asked[0].lower()
    assert SECRET not in str(raised.value)


def test_certificates_that_cannot_be_read_are_a_sentence(environment: pytest.MonkeyPatch) -> None:
    """It names the variable."""
    environment.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        Client("https://chat.example.org", "x")


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@host:port",
        f"http://user:{SECRET}@host",
        f"http://user:{SECRET}@@[::1",
        f"user:{SECRET}@host",
        f"http://host/?token={SECRET}",
        f"http://host:x/?token={SECRET}",
        "http://a..b",
        "http://" + "x" * 64 + ".example.org",
        "http://bücher..example",
        "http://\u2024.example",
        "http://host:99999",
        "http://host:0",
        "http://host:-1",
        "http://[::1",
        "http://ho st",
        "http://host\n",
        "http://\ud800",
        "http://" + "x" * 70_000,
        "gopher://host",
        "//host",
        "",
    ],
)
def test_a_text_that_is_no_address_is_a_sentence_without_its_secrets(url: str) -> None:
    """A ValueError of ours: the library's own would repeat a part of the password, or come only when it connects."""
    with pytest.raises(ValueError, match="address") as raised:
        api_url(url)
    assert ValueError is type(raised.value)
    assert SECRET not in str(raised.value)


def test_an_address_of_any_language_and_form_is_one() -> None:
    """Names beyond ASCII, addresses in brackets, a dot at the end."""
    for url in ("http://bücher.example", "http://[::1]:8000", "http://example.org.", "http://пример.испытание:65535/x"):
        assert api_url(url).startswith("http://")


WRONG_URL = f"http://user:{SECRET}@a..b:port"
WRONG_PROXY = {"ALL_PROXY": f"socks5://user:{SECRET}@127.0.0.1:1080"}


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        (["send", "ben", "hi"], {"TIDINGS_URL": WRONG_URL}),
        (["tail"], {"TIDINGS_URL": f"http://user:{SECRET}@host"}),
        (["doctor", WRONG_URL], {}),
        (["doctor", f"http://user:{SECRET}@host"], {}),
        (["bench", WRONG_URL], {}),
        (["send", "ben", "hi"], WRONG_PROXY),
        (["tail"], WRONG_PROXY),
    ],
    ids=["send", "tail", "doctor", "doctor's user", "bench", "send by a proxy", "tail by a proxy"],
)
def test_the_command_line_says_it_in_one_line(
    command: list[str], variables: dict[str, str], environment: pytest.MonkeyPatch
) -> None:
    """Exit 2 for what is wrong before anything is done."""
    given = {"TIDINGS_URL": "http://chat.example.org", "TIDINGS_TOKEN": "x", "TIDINGS_SECRET": "s" * 32, **variables}
    for name, value in given.items():
        environment.setenv(name, value)
    done = subprocess.run([PROGRAM, *command], capture_output=True, text=True, timeout=30, check=False)
    assert (2, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines())), done.stderr
    assert SECRET not in done.stderr


@contextmanager
def server_of(answer: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """A server that reads each request's head and answers as told; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(PATIENCE_S)
                    head = b""
                    while b"\r\n\r\n" not in head and (received := connection.recv(65536)):
                        head += received
                    try:
                        answer(connection, head)
                    except OSError:
                        continue  # the client has had enough

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_S)


def head(*fields: str, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", "Connection: close", *fields, "", "")).encode()


def deep(brackets: int = 100_000) -> bytes:
    return b"[" * brackets


BODIES = {
    "nested too deep": (deep(), ()),
    "nested too deep in a field": (b'{"conversations": ' + deep(), ()),
    "not UTF-8": (b'{"cursor": "\xff"}', ()),
    "a number that no number is": (b'{"conversations": [], "has_more": false, "cursor": ' + b"9" * 5000 + b"}", ()),
    "not what the header says": (b"no gzip", ("Content-Encoding: gzip",)),
    "64 MiB in 64 KiB": (gzip.compress(b" " * 67_108_864), ("Content-Encoding: gzip",)),
    "an unknown coding": (b"{}", ("Content-Encoding: carrier-pigeon",)),
    "an impossible length": (b"{}", ("Content-Length: -5",)),
    "two lengths": (b"{}", ("Content-Length: 2", "Content-Length: 3")),
}


@pytest.mark.parametrize(("body", "fields"), BODIES.values(), ids=BODIES)
def test_an_answer_that_cannot_be_read_is_one_of_no_tidings_server(body: bytes, fields: tuple[str, ...]) -> None:
    """The answer may be wrong in any way, and of any size."""
    answers = server_of(lambda connection, _: connection.sendall(head(*fields) + body))
    with answers as url, Client(url, "x", deadline_s=0.2) as client, pytest.raises((ProtocolViolation, StreamLost)):
        client.inbox()


@pytest.mark.parametrize(
    "fields",
    [
        ("Retry-After: Mon, 01 Jan 99999999999999 00:00:00 GMT",),
        ("Retry-After: Mon, 01 Jan 2026 00:00:00 +99999999999",),
        ("Retry-After: " + "9" * 5000,),
        ("Retry-After: \xff",),
        ("Location: http://[::1", "Content-Length: 0"),
        ("Location: \xff://", "Content-Length: 0"),
        ("Location: http://host:99999999/", "Content-Length: 0"),
    ],
)
@pytest.mark.parametrize("status", ["307 T", "503 U"])
def test_a_refusal_with_odd_fields_is_a_refusal(fields: tuple[str, ...], status: str) -> None:
    """The odd fields are left out; a redirect is followed nowhere."""
    answers = server_of(lambda connection, _: connection.sendall(head(*fields, status=status) + deep()))
    with answers as url, Client(url, "x", deadline_s=0.2) as client, pytest.raises((ServerProblem, StreamLost)):
        client.inbox()


def test_an_answer_that_trickles_in_for_ever_ends_with_the_deadline() -> None:
    """Every byte comes in time, and the answer never."""

    def trickle(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(head("Content-Length: 1000000"))
        for _ in range(200):
            connection.sendall(b" ")
            time.sleep(0.05)

    began = time.monotonic()
    with server_of(trickle) as url, Client(url, "x", deadline_s=0.5) as client, pytest.raises(StreamLost):
        client.inbox()
    assert time.monotonic() - began < 5


def trickle_head(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(200):
        connection.sendall(b"a")
        time.sleep(0.05)


def hint_for_ever(connection: socket.socket, _request: bytes) -> None:
    for _ in range(200):
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
        time.sleep(0.05)


def trickle_body(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(head("Content-Type: application/json", "Content-Length: 1000000"))
    for _ in range(200):
        connection.sendall(b" ")
        time.sleep(0.05)


DRIPS = [trickle_head, hint_for_ever, trickle_body]


def send(url: str, *, is_async: bool, deadline_s: float) -> None:
    async def send_async() -> None:
        async with AsyncClient(url, "x", deadline_s=deadline_s) as client:
            await client.send("ben", "hi")

    if is_async:
        asyncio.run(send_async())
    else:
        with Client(url, "x", deadline_s=deadline_s) as client:
            client.send("ben", "hi")


@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_send_ends_with_its_deadline_however_its_answer_trickles(drip: Drip, is_async: bool) -> None:
    """From the first byte of the head on; the server would go on for 10 s."""
    began = time.monotonic()
    with server_of(drip) as url, pytest.raises(StreamLost, match="in time"):
        send(url, is_async=is_async, deadline_s=0.5)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_one_attempt_does_not_take_the_whole_deadline(
    monkeypatch: pytest.MonkeyPatch, drip: Drip, is_async: bool
) -> None:
    """Its answer has a time of its own, to the last byte; the next attempt is answered."""
    monkeypatch.setattr(call, "READ_TIMEOUT_S", 0.3)
    asked: list[bytes] = []

    def drip_first(connection: socket.socket, request: bytes) -> None:
        asked.append(request)
        if len(asked) == 1:
            drip(connection, request)
        else:
            connection.sendall(head("Content-Length: 0", status="403 Forbidden"))

    began = time.monotonic()
    with server_of(drip_first) as url, pytest.raises(ServerProblem, match="403"):
        send(url, is_async=is_async, deadline_s=PATIENCE_S)
    assert 2 == len(asked)
    assert time.monotonic() - began < 8


@contextmanager
def unreachable(first_answers: int = 0) -> Iterator[str]:
    """The address of a listener that takes no connection any more after some answers of 503: its queue is full."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)

        def fill_the_queue() -> None:
            for _ in range(4):
                client = waiting.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(listener.getsockname())

        def answer() -> None:
            for _ in range(first_answers):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    fill_the_queue()
                    connection.sendall(head("Retry-After: 0", "Content-Length: 0", status="503 Unavailable"))

        if not first_answers:
            fill_the_queue()
        answering = threading.Thread(target=answer)
        answering.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        answering.join()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_server_to_which_no_connection_comes_cannot_be_reached(is_async: bool) -> None:
    """It did not leave a request unanswered: it got none."""
    with unreachable() as url, pytest.raises(StreamLost, match="cannot be reached: there was no connection in time"):
        send(url, is_async=is_async, deadline_s=0.5)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_an_attempt_cut_by_the_deadline_does_not_hide_what_the_server_said(is_async: bool) -> None:
    """The last answer is told where the last attempt had no time for one."""
    with unreachable(first_answers=1) as url, pytest.raises(ServerProblem, match="503"):
        send(url, is_async=is_async, deadline_s=3)


def test_the_command_line_ends_with_its_deadline_too() -> None:
    """`tidings send --deadline 1`: exit 3, and how to repeat."""
    began = time.monotonic()
    with server_of(trickle_head) as url:
        done = subprocess.run(
            [PROGRAM, "send", "ben", "hi", "--deadline", "1"],
            env={**os.environ, "TIDINGS_URL": url, "TIDINGS_TOKEN": "x"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert (3, True) == (done.returncode, "--id" in done.stderr), done.stderr
    assert time.monotonic() - began < 8


def test_a_token_that_does_not_come_ends_with_the_deadline_too() -> None:
    """An async function is cancelled then."""

    async def fetch() -> str:
        await asyncio.sleep(PATIENCE_S)
        return "x"

    async def ask() -> None:
        async with AsyncClient("http://127.0.0.1:9", fetch, deadline_s=0.2) as client:
            with pytest.raises(StreamLost, match="token"):
                await client.inbox()

    asyncio.run(ask())


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_poll_whose_head_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch, is_async: bool) -> None:
    """The next one is read."""
    for name, faster in {"POLL_AFTER_MS": 200, "POLL_INTERVAL_MS": 100, "MUTE_AFTER_MS": 200}.items():
        monkeypatch.setattr(machine, name, faster)
    for module in (feed, async_feed):
        monkeypatch.setattr(module, "POLL_TIMEOUT_S", 0.3)
    polls = itertools.count()
    page = {
        "success": True, "user_id": "ada", "cursor": "k-2-a", "has_more": False,
        "events": [{"id": "k-2-a", "type": "message_read", "data": {"by": "ben", "upto": 1}}],
    }  # fmt: skip
    body = json.dumps(page).encode()

    def answer(connection: socket.socket, request: bytes) -> None:
        if b"/events/me" not in request:
            connection.sendall(head(status="503 Unavailable"))
        elif next(polls) == 0:
            trickle_head(connection, request)
        else:
            connection.sendall(head("Content-Type: application/json", f"Content-Length: {len(body)}") + body)

    async def follow(url: str) -> str:
        async with AsyncClient(url, "x") as client, client.events("k-1-a") as events:
            return (await anext(events)).type

    began = time.monotonic()
    with server_of(answer) as url:
        if is_async:
            assert "message_read" == asyncio.run(follow(url))
        else:
            with Client(url, "x") as client, client.events("k-1-a") as events:
                assert "message_read" == next(events).type
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("kind", ["200 OK", "201 Created", "202 Accepted"])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"<html>please sign in to the wifi</html>"),
        ("text/html", b'{"success": true}'),
        ("application/json", b'{"success": false}'),
        ("application/json", b"{}"),
        ("application/json", b"[]"),
    ],
)
def test_an_answer_of_no_tidings_server_does_nothing(kind: str, content_type: str, body: bytes) -> None:
    """The sign-in page of a network, say, in the place of a block. PROTOCOL 19 and 20"""
    answer = head(f"Content-Type: {content_type}", f"Content-Length: {len(body)}", status=kind) + body
    answers = server_of(lambda connection, _: connection.sendall(answer))
    with answers as url, Client(url, "x", deadline_s=0.1) as client:
        for ask in (client.block, client.unblock, lambda peer: client.report(peer, "spam"), client.history):
            with pytest.raises((ProtocolViolation, StreamLost)):
                ask("eve")
        client.typing("eve")  # it may get lost


def answers_with(answer: bytes, connection: socket.socket, _request: bytes) -> None:
    connection.sendall(answer)


def test_a_status_of_another_answer_is_none_either() -> None:
    """A block is 200, a report 202."""
    body = b'{"success": true}'
    for status, right, wrong in (("200 OK", block, report), ("202 Accepted", report, block)):
        answer = head("Content-Type: application/json", f"Content-Length: {len(body)}", status=status) + body
        with server_of(partial(answers_with, answer)) as url:
            with Client(url, "x") as client:
                right(client)
            with Client(url, "x", deadline_s=0.1) as client, pytest.raises((ProtocolViolation, StreamLost)):
                wrong(client)


def block(client: Client) -> None:
    client.block("eve")


def report(client: Client) -> None:
    client.report("eve", "spam")


FRAMES = {
    "nested too deep": b"data: " + deep() + b"\n\n",
    "nested too deep in the data": b'data: {"type": "x", "data": {"a": ' + deep() + b"\n\n",
    "a line without an end": b"data: " + b"x" * 1_500_000,
    "an event without an end": b"data: x\n" * 200_000,
    "blank lines": b"\n" * 200_000,
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_stream_that_cannot_be_read_is_left_and_opened_again(frame: bytes) -> None:
    """Iteration does not end with what decoding raises, and the second stream is read from where the first stood."""
    answers = itertools.count()
    asked: list[bytes] = []

    def data(type: str, **fields: object) -> bytes:
        return b"data: " + json.dumps({"type": type, "data": fields}).encode() + b"\n\n"

    def stream(connection: socket.socket, request: bytes) -> None:
        asked.append(request)
        hello = data("connected", user_id="ada", cursor="k-3-a", resumed=bool(next(answers)), heartbeat_ms=15_000)
        connection.sendall(head("Content-Type: text/event-stream") + hello)
        if len(asked) == 1:
            connection.sendall(frame)
        connection.sendall(data("typing", chat_user_id="ben"))

    with server_of(stream) as url, Client(url, "x") as client, client.events("k-3-a") as feed:
        assert "typing" == next(feed).type
    assert all(re.search(rb"(?i)last-event-id: k-3-a", request) for request in asked)
