"""Every route, by whoever should not get in: PROTOCOL.md 2. The routes are those of the running server's own table."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from starlette.routing import Route

from lab.key_server import public_jwk, public_pem, signed
from lab.node import API, SECRET, Node, Person, refused
from tests.attack.routes import BODIES, Call, every_call
from tidings import Config
from tidings.protocol.service_key import format_service_key
from tidings.server.app import routes
from tidings.server.http.serve import served
from tidings.server.node import Node as ServerNode

OTHER_SECRET = "a secret of somebody else, long enough for every algorithm that one may try with it: 99"


def claims(**more: object) -> dict[str, object]:
    return {"sub": "ada", "exp": int(time.time()) + 3600, **more}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def mac_by(key: bytes, header: dict[str, object]) -> str:
    content = f"{part(header)}.{part(claims())}"
    return f"{content}.{base64.urlsafe_b64encode(hmac.new(key, content.encode(), hashlib.sha256).digest()).decode()}"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def good() -> str:
    return jwt.encode(claims(), SECRET, "HS256")


def cut(token: str) -> str:
    return token[:-6] + ("AAAAAA" if not token.endswith("AAAAAA") else "BBBBBB")


INTRUDERS: dict[str, Callable[[], dict[str, str]]] = {
    "no token": dict,
    "an expired token": lambda: bearer(jwt.encode(claims(exp=int(time.time()) - 60), SECRET, "HS256")),
    "a token of tomorrow": lambda: bearer(jwt.encode(claims(nbf=int(time.time()) + 86400), SECRET, "HS256")),
    "a token that never expires": lambda: bearer(jwt.encode({"sub": "ada"}, SECRET, "HS256")),
    "a token that expires in the year 10^300": lambda: bearer(jwt.encode(claims(exp=1e300), OTHER_SECRET, "HS256")),
    "a token by another secret": lambda: bearer(jwt.encode(claims(), OTHER_SECRET, "HS256")),
    "a token with another signature": lambda: bearer(cut(good())),
    "a token with another user": lambda: bearer(
        ".".join([good().split(".")[0], part(claims(sub="ben")), good().split(".")[2]])
    ),
    "no algorithm": lambda: bearer(jwt.encode(claims(), "", "none")),
    "HS384": lambda: bearer(jwt.encode(claims(), SECRET, "HS384")),
    "HS512": lambda: bearer(jwt.encode(claims(), SECRET, "HS512")),
    "RS256 by a key of one's own": lambda: bearer(signed("mallory", claims())),
    "RS256 with the key in the token": lambda: bearer(signed("mallory", claims(), jwk=public_jwk("mallory"))),
    "RS256 with the address of a key": lambda: bearer(signed("m", claims(), jku="http://127.0.0.1:9/jwks.json")),
    "ES256 by a key of one's own": lambda: bearer(signed("mallory", claims(), "ES256")),
    "HS256 by a public key": lambda: bearer(mac_by(public_pem("mallory"), {"alg": "HS256", "typ": "JWT"})),
    "HS256 by an empty key": lambda: bearer(mac_by(b"", {"alg": "HS256", "typ": "JWT", "kid": "/dev/null"})),
    "HS256 by what a key id names": lambda: bearer(mac_by(b"\0", {"alg": "HS256", "kid": "' UNION SELECT char(0)--"})),
    "two tokens in one field": lambda: bearer(f"{cut(good())}, Bearer {good()}"),
    "a service key that nobody made": lambda: bearer(format_service_key(b"x" * 32)) | {"Tidings-User": "ada"},
    "a name without a service key": lambda: {"Tidings-User": "ada"},
    "another scheme": lambda: {"Authorization": f"Basic {base64.b64encode(f'ada:{good()}'.encode()).decode()}"},
    "a cookie where none is configured": lambda: {"Cookie": f"__session={good()}; token={good()}"},
    "fields that proxies set": lambda: {
        "X-User": "ada", "X-Forwarded-User": "ada", "Remote-User": "ada", "X-Original-URL": "/healthz",
        "X-Auth-Token": good(), "X-Access-Token": good(), "X-HTTP-Method-Override": "GET",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def calls(node: Node) -> list[Call]:
    return list(every_call(node))


def test_the_routes_are_all_of_them(calls: list[Call]) -> None:
    """These tests go by this table: each POST has a body here, and the table has not shrunk unseen."""
    assert {call.path for call in calls if call.method == "POST"} == set(BODIES)
    assert len(calls) >= 19
    assert {"/sse/{me}", "/events/{me}", "/inbox/{me}", "/blocked/{me}"} == {call.path for call in calls if call.is_own}


# shows: security/open-path
def test_beside_the_routes_of_the_api_nothing_is_served_but_the_page(tmp_path: Path) -> None:
    """Anybody may read these, by name: a route that is added here asks who may. SECURITY.md"""
    node = ServerNode(Config(db=f"sqlite:///{tmp_path}/never-opened.db", secret=SECRET))
    served_paths = {getattr(route, "path", None) for route in served(node, {"sign_in": "token"}).routes}  # type: ignore[attr-defined]
    of_api = {API + route.path for route in routes(node) if isinstance(route, Route)}

    assert {"/", "/page.json", "/embed.js", "/healthz", "/readyz", "/metrics", "/assets"} == served_paths - of_api
    assert of_api <= served_paths


# shows: security/no-token
@pytest.mark.parametrize("headers", INTRUDERS.values(), ids=INTRUDERS.keys())
def test_no_route_lets_an_intruder_in(
    node: Node, calls: list[Call], alice: Person, bob: Person, headers: Callable[[], dict[str, str]]
) -> None:
    """401 on every route, whether or not whom it names exists. PROTOCOL 2.1.1, 2.1.2, 2.1.4, 2.1.6, 2.4.1"""
    bob.sends(alice, "a secret")
    intruder = Person(node, "mallory", None)
    for call in calls:
        answer = call.made_by(intruder, "ada", bob.id, **headers())
        refused(answer, 401, "unauthorized")
        assert "Bearer" == answer.headers["www-authenticate"]
    assert 1 == len(alice.history(bob)["messages"])


# shows: security/token-elsewhere
def test_a_token_elsewhere_is_none(node: Node, alice: Person, bob: Person, calls: list[Call]) -> None:
    """Neither in the address nor in the body, under any name. PROTOCOL 2.1.3, 2.1.4"""
    nobody = Person(node, "mallory", None)
    for name in ("token", "access_token", "jwt", "auth", "Authorization"):
        for call in calls:
            path = call.path.replace("{me}", "me").replace("{chat_user_id}", bob.id)
            if call.method == "POST":
                answer = nobody.posts(f"{path}?{name}={alice.token}", {**BODIES[call.path], name: alice.token})
            else:
                query: dict[str, Any] = {name: alice.token}
                answer = nobody.gets(path, **query)
            refused(answer, 401, "unauthorized")


# shows: security/others-log
def test_data_of_somebody_else_is_closed_on_every_route(
    calls: list[Call], alice: Person, bob: Person, carol: Person
) -> None:
    """The log, the inbox and the blocks of another; the answer for who exists is that for who does not.
    PROTOCOL 2.3.4, 6.0.4"""
    bob.sends(alice, "for alice only")
    for call in calls:
        if call.is_own:
            of_alice, of_nobody = (call.made_by(carol, quote(name), bob.id) for name in (alice.id, "nobody-at-all"))
            assert refused(of_alice, 403, "not_yours") == refused(of_nobody, 403, "not_yours")


# shows: security/others-names-in-body
def test_nobody_acts_for_another_by_what_a_body_says(
    calls: list[Call], alice: Person, bob: Person, carol: Person
) -> None:
    """The token's user acts, whomever the fields name. PROTOCOL 2.1.9, 1.1.3"""
    bob.sends(alice, "before")
    before = (alice.head(), alice.inbox(), alice.history(bob), alice.gets("/blocked/me").json())
    for call in calls:
        if call.method == "POST":
            body = {name: bob.id if value == "{peer}" else value for name, value in BODIES[call.path].items()}
            for field in ("me", "userId", "user_id", "senderId", "sender_id", "sub", "by", "from", "as"):
                body[field] = alice.id
            answer = carol.posts(call.path, body)
            assert answer.status_code < 300 or answer.json()["code"] in ("unknown_message", "blocked_by_you")
    assert before == (alice.head(), alice.inbox(), alice.history(bob), alice.gets("/blocked/me").json())
    assert [] == [message for message in bob.history(alice)["messages"] if message["text"] == "hi"]


def test_a_text_written_as_somebody_else_is_refused(calls: list[Call], alice: Person, bob: Person) -> None:
    """A client whose sign-in became another one on the way acts for nobody. PROTOCOL 2.3.7, 5.0.5, 1.1.7"""
    bob.sends(alice, "before")
    before = (alice.head(), bob.head(), bob.inbox(), bob.gets("/blocked/me").json())
    posts = [call for call in calls if call.method == "POST"]
    for call in posts:
        body = {name: alice.id if value == "{peer}" else value for name, value in BODIES[call.path].items()}
        for caller in ("carol", "me", "", 7):
            refused(bob.posts(call.path, body | {"caller": caller}), 403, "not_yours")
    assert before == (alice.head(), bob.head(), bob.inbox(), bob.gets("/blocked/me").json())
    body = {"recipientId": alice.id, "text": "hi"}
    assert [201, 201] == [bob.posts("/send", body | {"caller": caller}).status_code for caller in (bob.id, None)]


def test_no_other_method_does_anything(node: Node, calls: list[Call], alice: Person, bob: Person) -> None:
    """405 with what the path takes, on every route and on the page's. PROTOCOL 3.0.2, 7.1.6"""
    for path in {call.path for call in calls}:
        for method in ("HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "MKCOL", "UNLOCK"):
            target = path.replace("{me}", "me").replace("{chat_user_id}", bob.id)
            answer = alice.requests(method, target, {"Content-Type": "application/json"}, b"{}")
            assert 405 == answer.status_code, (method, path)
            assert answer.headers["allow"]
    for path in ("/", "/page.json", "/healthz", "/readyz", "/metrics"):
        for method in ("POST", "PUT", "DELETE", "TRACE", "PROPFIND"):
            assert 405 == node.http.request(method, node.url + path).status_code, (method, path)


# shows: security/answers
def test_nothing_of_the_server_is_told_to_anybody(node: Node, calls: list[Call], alice: Person) -> None:
    """No name or version of a program, and no answer that a cache would keep. PROTOCOL 5.0.6"""
    for call in calls:
        for caller in (alice, Person(node, "mallory", None)):
            answer = call.made_by(caller, "me", "somebody")
            assert {"server", "x-powered-by", "via"}.isdisjoint(answer.headers)
            assert "no-store" in answer.headers["cache-control"] or "no-cache" in answer.headers["cache-control"]
