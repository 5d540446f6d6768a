"""The caller of a request: PROTOCOL.md 2."""

from __future__ import annotations

import base64
import json
import time
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import jwt
import pytest

from lab.node import API, SECRET, Node, Person, refused


def stranger_with(node: Node, token: str | None) -> Person:
    return Person(node, "mallory", token)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def in_an_hour() -> int:
    return int(time.time()) + 3600


BAD_TOKENS: dict[str, Callable[[], str | None]] = {
    "no token": lambda: None,
    "an empty token": lambda: "",
    "not a token": lambda: "abc",
    "three dots": lambda: "...",
    "over 8 KiB": lambda: "a" * 9000,
    "no signature": lambda: f"{part({'alg': 'HS256'})}.{part({'sub': 'ada', 'exp': in_an_hour()})}.",
    "alg none": lambda: jwt.encode({"sub": "ada", "exp": in_an_hour()}, "", "none"),
    "alg None, odd case": lambda: f"{part({'alg': 'nOnE'})}.{part({'sub': 'ada', 'exp': in_an_hour()})}.",
    "another key": lambda: jwt.encode({"sub": "ada", "exp": in_an_hour()}, SECRET + "!", "HS256"),
    "another algorithm with our key": lambda: jwt.encode({"sub": "ada", "exp": in_an_hour()}, SECRET * 2, "HS512"),
    "HS384 with our key": lambda: jwt.encode({"sub": "ada", "exp": in_an_hour()}, SECRET, "HS384"),
    "expired": lambda: jwt.encode({"sub": "ada", "exp": int(time.time()) - 31}, SECRET, "HS256"),
    "without exp": lambda: jwt.encode({"sub": "ada"}, SECRET, "HS256"),
    "exp as text": lambda: f"{part({'alg': 'HS256'})}.{part({'sub': 'ada', 'exp': 'tomorrow'})}.AAAA",
    "without sub": lambda: jwt.encode({"exp": in_an_hour()}, SECRET, "HS256"),
    "an empty sub": lambda: jwt.encode({"sub": "", "exp": in_an_hour()}, SECRET, "HS256"),
    "sub is me": lambda: jwt.encode({"sub": "me", "exp": in_an_hour()}, SECRET, "HS256"),
    "sub with a slash": lambda: jwt.encode({"sub": "a/b", "exp": in_an_hour()}, SECRET, "HS256"),
    "sub over 128 characters": lambda: jwt.encode({"sub": "a" * 129, "exp": in_an_hour()}, SECRET, "HS256"),
}


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_without_a_valid_token_nobody_comes_in(node: Node, token: Callable[[], str | None]) -> None:
    """Header, signature, algorithm, expiry and subject are all looked at. PROTOCOL 2.1.1, 2.1.2, 2.1.6, 2.1.7, 2.1.9"""
    mallory = stranger_with(node, token())
    for answer in (
        mallory.gets("/inbox/me"),
        mallory.gets("/events/me"),
        mallory.gets("/sse/me"),
        mallory.gets("/ada"),
        mallory.posts("/send", {"recipientId": "ada", "text": "hi"}),
        mallory.posts("/receipts", {"chatUserId": "ada", "read_upto": 1}),
        mallory.posts("/typing", {"chatUserId": "ada"}),
        mallory.posts("/presence", {"chatUserId": "ada"}),
        mallory.posts("/block", {"chatUserId": "ada"}),
        mallory.posts("/unblock", {"chatUserId": "ada"}),
        mallory.posts("/report", {"chatUserId": "ada", "reason": "x"}),
        mallory.gets("/blocked/me"),
    ):
        refused(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def typed(claims: dict[str, object] | None = None, **header: object) -> str:
    return jwt.encode({"sub": "ada", "exp": in_an_hour(), **(claims or {})}, SECRET, "HS256", headers=header)


FOR_OTHER_ENDS = {
    "a sign-out": lambda: typed(typ="logout+jwt"),
    "a sign-out, in full": lambda: typed(typ="application/Logout+JWT"),
    "a security event": lambda: typed(typ="secevent+jwt"),
    "a proof of possession": lambda: typed(typ="dpop+jwt"),
    "an authorization request": lambda: typed(typ="oauth-authz-req+jwt"),
    "an introspection": lambda: typed(typ="token-introspection+jwt"),
    "of a type that is none": lambda: typed(typ="at+jwt; x=1"),
    "a sign-out that says JWT": lambda: typed({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
    "bound to a key": lambda: typed({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
    "bound to a certificate": lambda: typed({"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}),
}


# shows: security/token-purpose
@pytest.mark.parametrize("token", FOR_OTHER_ENDS.values(), ids=FOR_OTHER_ENDS.keys())
def test_a_token_that_is_signed_for_another_end_signs_nobody_in(node: Node, token: Callable[[], str]) -> None:
    """A person that gets hold of it, at a sign-out for instance, is not its user. PROTOCOL 2.1.19, 2.1.20"""
    for answer in (stranger_with(node, token()).gets("/inbox/me"), stranger_with(node, token()).gets("/sse/me")):
        refused(answer, 401, "unauthorized")


@pytest.mark.parametrize("type", ["JWT", "jwt", "at+jwt", "application/at+jwt", "application/JWT"])
def test_a_token_that_signs_somebody_in_may_say_so(node: Node, type: str) -> None:
    """In any case of letters, as access tokens do. PROTOCOL 2.1.19"""
    assert 200 == stranger_with(node, typed(typ=type)).gets("/inbox/ada").status_code


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
def test_only_the_bearer_scheme_is_read(node: Node, alice: Person, scheme: str) -> None:
    """A good token under another scheme is no token. PROTOCOL 2.1.3"""
    answer = stranger_with(node, None).gets("/inbox/me", {"Authorization": f"{scheme} {alice.token}".strip()})
    refused(answer, 401, "unauthorized")


def test_the_bearer_token_names_the_caller(alice: Person) -> None:
    """The scheme is compared without case (RFC 9110 11.1). PROTOCOL 2.1.3"""
    for scheme in ("Bearer", "bearer"):
        assert alice.gets("/inbox/me", {"Authorization": f"{scheme} {alice.token}"}).status_code == 200


def test_a_token_is_accepted_for_thirty_seconds_after_its_expiry(node: Node, alice: Person) -> None:
    """Clocks differ: 30 s of leeway, not more. PROTOCOL 2.1.8"""
    just_expired = Person(node, alice.id, node.token(alice.id, ttl_s=-20))
    assert just_expired.gets("/inbox/me").status_code == 200
    long_expired = Person(node, alice.id, node.token(alice.id, ttl_s=-32))
    refused(long_expired.gets("/inbox/me"), 401, "unauthorized")


def test_identity_comes_before_the_body_and_the_path(node: Node) -> None:
    """A caller that is not known learns nothing. PROTOCOL 2.1.10"""
    mallory = stranger_with(node, None)
    refused(mallory.posts("/send", b"{not json"), 401, "unauthorized")
    refused(mallory.posts("/send", {"recipientId": "", "text": ""}), 401, "unauthorized")
    refused(mallory.gets("/inbox/ada"), 401, "unauthorized")
    refused(mallory.gets("/events/me", cursor="x" * 200), 401, "unauthorized")


def test_a_token_in_the_query_is_no_token_where_it_is_not_configured(node: Node, alice: Person) -> None:
    """A token in an address ends in logs; it must be wanted. PROTOCOL 2.1.4"""
    refused(stranger_with(node, None).gets("/inbox/me", token=alice.token), 401, "unauthorized")


def test_a_token_in_the_query_is_taken_where_it_is_configured_and_never_logged(
    start_node: Callable[..., Node],
) -> None:
    """The field wins where both are there. PROTOCOL 2.1.4, 2.1.5"""
    node = start_node(query_token=1)
    ada, ben = node.person("ada"), node.person("ben")
    anonymous = stranger_with(node, None)
    with anonymous.opens_stream(token=ada.token) as stream:
        assert stream.next().data["user_id"] == "ada"
    assert anonymous.gets("/inbox/ada", token=ada.token).status_code == 200
    refused(anonymous.gets("/inbox/ada", token="not a token"), 401, "unauthorized")
    refused(ben.gets("/inbox/ada", token=ada.token), 403, "not_yours")
    assert ben.gets("/inbox/ben", token="not a token").status_code == 200
    assert ada.token is not None
    assert ben.token is not None
    for secret in (ada.token, ada.token.split(".")[2], ben.token.split(".")[2]):
        assert secret not in node.output


ODD_BUT_GOOD_IDS = [
    "100%",
    "%41da",
    "a b",
    "auth0|5f3",
    "ada@example.org",
    "urn:user:7",
    "ben+tag",
    "a?b&c=d",
    "a#b",
    "..x",
    "...",
    "-",
    "_",
    "ME",
    "Zoë",
    "李四",
    "👩🏽‍🚀",
    "send",
    "sse",
    "inbox",
    "events",
    "receipts",
    "typing",
    "presence",
    "block",
    "unblock",
    "blocked",
    "report",
    "a" * 128,
    "👋" * 128,
]


@pytest.mark.parametrize("user_id", ODD_BUT_GOOD_IDS, ids=[ascii(name)[:20] for name in ODD_BUT_GOOD_IDS])
def test_odd_user_ids_work_everywhere(node: Node, alice: Person, user_id: str) -> None:
    """As recipient, in a path, as `{me}` and in a token. PROTOCOL 2.2.1, 2.2.5, 2.3.1, 2.3.3"""
    odd = node.person(user_id)
    message = alice.sends(odd, "hello")
    assert user_id == message["recipient_id"]
    assert message["_id"] == alice.history(odd)["messages"][-1]["_id"]
    assert {"id": user_id, "name": user_id, "avatar_url": None, "online": None} == alice.history(odd)["user"]
    assert message["_id"] == odd.history(alice)["messages"][-1]["_id"]
    mine = quote(user_id, safe="")
    assert odd.gets(f"/inbox/{mine}").status_code == 200
    assert odd.gets(f"/events/{mine}").status_code == 200
    with odd.opens_stream(path=f"/sse/{mine}") as stream:
        assert user_id == stream.next().data["user_id"]
    assert alice.receipts(odd, read_upto=1)["read_upto"] == 1
    alice.types_to(odd)


BAD_IDS = {
    "empty": "",
    "129 characters": "a" * 129,
    "me": "me",
    "dot": ".",
    "two dots": "..",
    "slash": "a/b",
    "backslash": "a\\b",
    "NUL": "a\x00b",
    "TAB": "a\tb",
    "LF": "a\nb",
    "DEL": "a\x7fb",
    "C1": "a\x85b",
    "not NFC": unicodedata.normalize("NFD", "Zoë"),
}


@pytest.mark.parametrize("user_id", BAD_IDS.values(), ids=BAD_IDS.keys())
def test_a_text_that_is_no_user_id_is_refused_in_a_body(alice: Person, user_id: str) -> None:
    """One code for all. PROTOCOL 2.2.1, 2.2.2, 2.2.3, 2.2.4, 2.2.6"""
    refused(alice.posts("/send", {"recipientId": user_id, "text": "hi"}), 422, "bad_user_id")
    refused(alice.posts("/receipts", {"chatUserId": user_id, "read_upto": 1}), 422, "bad_user_id")
    refused(alice.posts("/typing", {"chatUserId": user_id}), 422, "bad_user_id")


@pytest.mark.parametrize(
    "segment", ["a" * 129, "me", "a%5Cb", "a%00b", "a%0Ab", "a%7Fb", "a%C2%85b", quote(BAD_IDS["not NFC"])]
)
def test_a_text_that_is_no_user_id_is_refused_in_the_path_of_a_history(alice: Person, segment: str) -> None:
    """A history of nobody is a mistake, not an empty page. PROTOCOL 2.2.6"""
    refused(alice.gets(f"/{segment}"), 422, "bad_user_id")


def test_nobody_chats_with_oneself(alice: Person) -> None:
    """This holds for every route that tells something; the history with oneself is as empty as that with a stranger.
    PROTOCOL 2.2.7, 10.0.8"""
    refused(alice.posts("/send", {"recipientId": alice.id, "text": "hi"}), 422, "to_oneself")
    refused(alice.posts("/receipts", {"chatUserId": alice.id, "read_upto": 1}), 422, "to_oneself")
    refused(alice.posts("/typing", {"chatUserId": alice.id}), 422, "to_oneself")
    assert ([], 0) == (alice.history(alice)["messages"], alice.history(alice)["watermarks"]["read_upto"])


def test_the_log_and_the_inbox_of_another_user_are_closed(alice: Person, bob: Person) -> None:
    """Also for one who writes to them. PROTOCOL 2.3.4, 2.2.6"""
    bob.sends(alice, "for alice only")
    for route in ("sse", "events", "inbox"):
        answer = bob.gets(f"/{route}/{alice.id}")
        refused(answer, 403, "not_yours")
        assert "for alice only" not in answer.text
        refused(bob.gets(f"/{route}/a%00b"), 422, "bad_user_id")


@pytest.mark.parametrize("segment", ["%FF", "ab%C3", "%ED%A0%80"])
@pytest.mark.parametrize("route", ["", "/inbox", "/events", "/sse"])
def test_a_path_that_is_not_utf8_is_refused(node: Node, alice: Person, route: str, segment: str) -> None:
    """It must not be read as replacement characters: two such users would be one. PROTOCOL 2.3.2"""
    head = f"GET {API}{route}/{segment} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {alice.token}\r\n\r\n"
    with node.exchange(head.encode()) as answer:
        body = json.loads(answer.body())
        assert (answer.status, body["code"]) == (400, "bad_path")
        assert answer.headers["content-type"].split(";")[0] == "application/problem+json"
