"""Limits by address and by time behind nginx and Caddy, as deploy/ ships them; clients come from several addresses.

Every address of 127.0.0.0/8 is this machine; only 127.0.0.1, from which the proxy comes, is trusted.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx2
import pytest

from lab.front import Front
from lab.node import API, Node
from lab.process import PATIENCE_S

BURST = 5


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A proxy whose waits are a second where they are ten."""
    shortened = (
        {"client_header_timeout 10s": "client_header_timeout 1s"}
        if request.param == "nginx"
        else {"read_header 10s": "read_header 1s"}
    )
    with (
        Node(tmp_path_factory.mktemp("node"), refused_tokens_burst=BURST, refused_tokens_per_s=0.01) as node,
        Front(request.param, node, tmp_path_factory.mktemp("front"), shortened) as front,
    ):
        yield front


def client_at(front: Front, address: str) -> httpx2.Client:
    """Somebody who comes from this address."""
    verify = ssl.create_default_context(cafile=str(front.certificate))
    transport = httpx2.HTTPTransport(local_address=address, verify=verify)
    return httpx2.Client(transport=transport, base_url=front.url.replace("localhost", "127.0.0.1"), timeout=PATIENCE_S)


def asks(http: httpx2.Client, token: str, **headers: str) -> int:
    sent = {"Host": "localhost", "Authorization": f"Bearer {token}"} | headers
    return http.get(f"{API}/inbox/me", headers=sent, extensions={"sni_hostname": "localhost"}).status_code


# shows: security/guessing
def test_a_guesser_of_tokens_behind_a_proxy_is_known_by_address(front: Front) -> None:
    """However they call themselves; and whoever comes from elsewhere through the same proxy is let in.
    PROTOCOL 14.0.18, 14.0.19"""
    with client_at(front, "127.0.0.2") as thief, client_at(front, "127.0.0.3") as user:
        seen = [
            asks(thief, "not a token", **{"X-Forwarded-For": f"198.51.100.{number}"}) for number in range(BURST + 3)
        ]
        assert [401] * BURST + [429] * 3 == seen
        assert 429 == asks(thief, "no token either", **{"X-Forwarded-For": "127.0.0.1"})
        assert 200 == asks(user, front.node.token("ada"))
        assert 200 == asks(thief, front.node.token("eve")), "a good token passes from there, too"


def test_a_head_that_trickles_ends_at_the_proxy(front: Front) -> None:
    """It never reaches the server, and does not stay."""
    context = ssl.create_default_context(cafile=str(front.certificate))
    with (
        socket.create_connection(("127.0.0.1", front.port), PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        wire.settimeout(PATIENCE_S)
        try:
            received = wire.recv(4096)
        except (ConnectionError, ssl.SSLError):
            received = b""
    assert received == b"" or b" 408 " in received


SPELLINGS = [
    *("/metrics", "/%6detrics", "/%6D%65trics", "//metrics", "/./metrics", "/%2e/metrics", "/x/../metrics"),
    *("/x/%2e%2e/metrics", "/.%2fmetrics", "/metrics/", "/metrics?x", "/metrics%3f", "/metrics;x", "/metrics#x"),
    *("/%2fmetrics", "/METRICS", "/metrics%20", "/metrics%00", "/assets/..%2fmetrics", "/assets/../metrics"),
    *(f"{API}/sse/../../../metrics", f"{API}/sse/%2e%2e/%2e%2e/%2e%2e/metrics", f"{API}/sse/..%2f..%2f..%2fmetrics"),
    *("https://localhost/metrics", "http://localhost/metrics", "https://localhost/%6detrics", "//localhost/metrics"),
]


# shows: security/metrics
def test_no_spelling_of_its_path_reaches_what_is_for_operators(front: Front) -> None:
    """The proxy closes `/metrics`, and the server reads no path otherwise than the proxy does: docs/run/deploy.md."""
    context = ssl.create_default_context(cafile=str(front.certificate))
    assert "tidings_streams_open" in front.node.http.get(f"{front.node.url}/metrics").text
    for path in SPELLINGS:
        with (
            socket.create_connection(("127.0.0.1", front.port), PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wire,
        ):
            wire.settimeout(PATIENCE_S)
            wire.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            received = b""
            while more := wire.recv(65_536):
                received += more
        assert received.split(b" ")[1] in (b"400", b"404"), (path, received[:200])
        assert b"tidings_" not in received, path
