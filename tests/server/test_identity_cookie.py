"""A session cookie instead of a header, and pages of other origins: PROTOCOL.md 2.4, 2.5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import pytest

from lab.node import API, Node, Person, refused
from lab.process import wait_for

APP, OTHER = "https://app.example.org", "https://evil.example"


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    """A node that takes a cookie, and lists one origin beside its own."""
    return start_node(
        drain_window_s=0.05,
        session_cookie="__session",
        cors_origins=f"{APP},http://localhost:5173",
        sends_burst=1,
        sends_per_s=0.01,
    )


@pytest.fixture(scope="module")
def plain(start_node: Callable[..., Node]) -> Node:
    """A node that lists no origin and takes no cookie."""
    return start_node(drain_window_s=0.05)


def by_cookie(node: Node, name: str, **headers: str) -> Browser:
    """Somebody whose browser sends the cookie, and these headers with every request."""
    person = Browser(node, name, None)
    person.sent = {"Cookie": f"theme=dark; __session={node.token(name)}; lang=en"} | {
        key.replace("_", "-"): value for key, value in headers.items()
    }
    return person


class Browser(Person):
    """A person whose headers are those of a browser."""

    sent: dict[str, str]

    @property
    def headers(self) -> dict[str, str]:
        return self.sent


def test_the_cookie_names_the_caller(node: Node) -> None:
    """On a stream, a poll, a history and a post. PROTOCOL 2.4.1"""
    ada = by_cookie(node, "ada", Sec_Fetch_Site="same-origin")
    with ada.opens_stream() as stream:
        assert "ada" == stream.next().data["user_id"]
        ada.sends("ben", "by cookie")
        assert "by cookie" == stream.until("new_message").data["text"]
    assert 1 == len(ada.history("ben")["messages"])
    ada.events()


def test_a_header_wins_over_the_cookie(node: Node) -> None:
    """Also a bad one, and then it does not matter where the request comes from. PROTOCOL 2.4.1"""
    ben = by_cookie(node, "ben", Sec_Fetch_Site="cross-site")
    assert 200 == ben.gets("/inbox/ada", {"Authorization": f"Bearer {node.token('ada')}"}).status_code
    refused(ben.gets("/inbox/me", {"Authorization": "Bearer x"}), 401, "unauthorized")


def test_a_cookie_is_no_token_where_none_is_configured(plain: Node) -> None:
    """PROTOCOL 2.4.1"""
    refused(by_cookie(plain, "ada").gets("/inbox/me"), 401, "unauthorized")


@pytest.mark.parametrize(
    "cookie",
    ["", "__session=", "session=x", "__session", "x__session=abc", "__session=abc", ";;=", "__session=" + "a" * 9000],
)
def test_a_cookie_that_is_no_token_is_refused(node: Node, cookie: str) -> None:
    """PROTOCOL 2.4.1, 2.1.1"""
    refused(Person(node, "ada", None).gets("/inbox/me", {"Cookie": cookie}), 401, "unauthorized")


def test_an_expired_cookie_ends_the_stream(node: Node) -> None:
    """PROTOCOL 2.4.1, 7.9.5"""
    ada = Browser(node, "ada", None)
    ada.sent = {"Cookie": f'__session="{node.token("ada", ttl_s=-26)}"'}
    with ada.opens_stream() as stream:
        assert "token_expired" == stream.until("goodbye").data["reason"]
    wait_for(lambda: ada.gets("/inbox/me").status_code == 401)


OURS: dict[str, dict[str, str]] = {
    "a page of our own": {"Sec-Fetch-Site": "same-origin"},
    "the address bar": {"Sec-Fetch-Site": "none"},
    "no browser": {},
    "our own origin, an old browser": {"Origin": "http://{host}"},
    "a listed origin of the same site": {"Sec-Fetch-Site": "same-site", "Origin": APP},
    "a listed origin of another site": {"Sec-Fetch-Site": "cross-site", "Origin": APP},
    "a listed origin, an old browser": {"Origin": "http://localhost:5173"},
}
FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": OTHER},
    "another site, a plain reading": {"Sec-Fetch-Site": "cross-site"},
    "a neighbour of this site": {"Sec-Fetch-Site": "same-site", "Origin": "https://blog.example.org"},
    "an old browser": {"Origin": OTHER},
    "a sandboxed frame": {"Origin": "null"},
    "a sandboxed frame that says where it is": {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    "our name on another port": {"Origin": "http://127.0.0.1:1"},
    "a name that begins like a listed one": {"Origin": APP + ".evil.example"},
    "what no browser says": {"Sec-Fetch-Site": "whatever"},
}


def filled(node: Node, headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value.format(host=f"127.0.0.1:{node.port}") for name, value in headers.items()}


@pytest.mark.parametrize("headers", OURS.values(), ids=OURS.keys())
def test_a_page_that_may_uses_the_cookie(node: Node, headers: dict[str, str]) -> None:
    """PROTOCOL 2.4.2, 2.4.3"""
    ada = by_cookie(node, "ada")
    ada.sent |= filled(node, headers)
    assert 200 == ada.gets("/events/me").status_code
    assert 202 == ada.posts("/typing", {"chatUserId": "ben"}).status_code
    with ada.opens_stream() as stream:
        assert "connected" == stream.next().type


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_page_of_another_site_may_not_use_the_cookie(node: Node, headers: dict[str, str]) -> None:
    """Neither to post, nor to open streams or polls in the user's name; whether the cookie is good is not told.
    PROTOCOL 2.4.2, 2.4.3, 2.4.4"""
    carl = by_cookie(node, "carl")
    carl.sent |= filled(node, headers)
    for answer in (
        carl.posts("/send", {"recipientId": "ben", "text": "forged"}),
        carl.posts("/receipts", {"chatUserId": "ben", "read_upto": 1}),
        carl.posts("/typing", {"chatUserId": "ben"}),
        carl.gets("/sse/me"),
        carl.gets("/events/me"),
        carl.gets("/inbox/me"),
        carl.gets("/ben", {"Cookie": "__session=not-a-token"}),
    ):
        refused(answer, 403, "cross_site")
    carl.sent = {"Authorization": f"Bearer {node.token('carl')}", **filled(node, headers)}
    assert 200 == carl.gets("/inbox/me").status_code, "with a header there is nothing to forge"
    assert [] == carl.history("ben")["messages"]


def allowed(answer: httpx2.Response) -> tuple[str | None, str | None, str | None]:
    return (
        answer.headers.get("access-control-allow-origin"),
        answer.headers.get("access-control-expose-headers"),
        answer.headers.get("access-control-allow-credentials"),
    )


def answers(person: Person, **headers: str) -> list[httpx2.Response]:
    """One of each kind: a poll, a post, and refusals of every layer."""
    return [
        person.gets("/events/me", headers),
        person.posts("/typing", {"chatUserId": "ben"}, headers),
        person.posts("/send", b"{", headers),
        person.gets("/inbox/somebody", headers),
        person.gets("/sse/somebody", headers),
        person.gets("/inbox/me", {**headers, "Authorization": "Bearer x"}),
        person.requests("DELETE", "/send", headers),
        person.requests("DELETE", "/sse/me", headers),
    ]


def test_a_listed_origin_may_read_every_answer(node: Node) -> None:
    """Streams and problems included, with `Retry-After`. PROTOCOL 2.5.1, 2.5.5"""
    eve = node.person("eve")
    eve.sends("ben", "the burst is one")
    limited = eve.posts("/send", {"recipientId": "ben", "text": "more"}, {"Origin": APP})
    refused(limited, 429, "rate_limited")
    for answer in [*answers(eve, Origin=APP), limited]:
        assert (APP, "Retry-After", "true") == allowed(answer), answer.request.url
        assert "Origin" == answer.headers["vary"]
    with eve.opens_stream(headers={"Origin": APP}) as stream:
        assert APP == stream.headers["access-control-allow-origin"]
        assert "Origin" == stream.headers["vary"]
        assert "text/event-stream; charset=utf-8" == stream.headers["content-type"]


def test_no_other_origin_may_read(node: Node, plain: Node) -> None:
    """They are told nothing, and neither is anybody where no origin is listed. PROTOCOL 2.5.2, 2.5.5"""
    for answer in answers(node.person("eve"), Origin=OTHER):
        assert (None, None, None) == allowed(answer)
        assert "Origin" == answer.headers["vary"]
    for answer in answers(plain.person("eve"), Origin=APP):
        assert (None, None, None) == allowed(answer)
        assert "vary" not in answer.headers


def preflight(node: Node, path: str, origin: str, **headers: Any) -> httpx2.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", **headers}
    return node.http.request("OPTIONS", node.url + API + path, headers=asked)


@pytest.mark.parametrize("path", ["/send", "/sse/me", "/events/me", "/inbox/me", "/ben", "/receipts", "/typing"])
def test_a_listed_origin_is_told_what_it_may_send(node: Node, path: str) -> None:
    """Without a token, and for two hours. PROTOCOL 2.5.3"""
    answer = preflight(
        node, path, APP, **{"Access-Control-Request-Headers": "authorization,content-type,last-event-id"}
    )

    assert 204 == answer.status_code
    assert APP == answer.headers["access-control-allow-origin"]
    assert "GET, POST" == answer.headers["access-control-allow-methods"]
    assert "Authorization, Content-Type, Last-Event-ID" == answer.headers["access-control-allow-headers"]
    assert "7200" == answer.headers["access-control-max-age"]
    assert "Origin" == answer.headers["vary"]
    assert b"" == answer.content


def test_pages_within_applications_may_be_listed(start_node: Callable[..., Node]) -> None:
    """Their origins have schemes that no list has whole: a telephone's, a desktop's, an extension's. PROTOCOL 2.5.1"""
    origins = [
        *("capacitor://localhost", "ionic://localhost", "tauri://localhost", "http://tauri.localhost", "app://chat"),
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "safari-web-extension://5E2B0C41-9A57-4C4F-8D0C-0F6E1B1E6A11",
        *("https://localhost", "http://[::1]:5173"),
    ]
    node = start_node(drain_window_s=0.05, cors_origins=",".join(origins))
    ada = node.person("ada")
    for origin in origins:
        assert (origin, "Retry-After", None) == allowed(ada.gets("/inbox/me", {"Origin": origin}))
        assert 204 == preflight(node, "/send", origin).status_code


def test_another_origin_is_told_that_it_may_not(node: Node, plain: Node) -> None:
    """In a sentence that the developer finds in the browser's tools. PROTOCOL 2.5.4"""
    answer = preflight(node, "/send", OTHER)
    refused(answer, 403, "cross_site")
    assert (None, None, None) == allowed(answer)
    refused(preflight(plain, "/send", APP), 405, "method_not_allowed")
    refused(node.http.request("OPTIONS", f"{node.url}{API}/send"), 405, "method_not_allowed")


def test_without_cookies_credentials_are_not_asked_for(start_node: Callable[..., Node]) -> None:
    """A page that sends its token in a header needs none. PROTOCOL 2.5.1"""
    node = start_node(drain_window_s=0.05, cors_origins=APP)
    assert (APP, "Retry-After", None) == allowed(node.person("ada").gets("/inbox/me", {"Origin": APP}))


def test_no_cookie_is_in_the_log(node: Node) -> None:
    """PROTOCOL 2.1.5"""
    ada = by_cookie(node, "ada", Sec_Fetch_Site="cross-site")
    refused(ada.gets("/sse/me"), 403, "cross_site")
    assert ada.headers["Cookie"].split(".")[2].split(";")[0] not in node.output
