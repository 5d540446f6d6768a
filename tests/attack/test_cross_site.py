"""Pages of other sites that make a user's browser send requests: PROTOCOL.md 2.4, 2.5, 3.1.

A page can send a POST without asking only as a form or as plain text; with a cookie it would be the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.demo import Demo
from lab.node import API, Node, Person, refused
from tests.attack.routes import BODIES, Call, every_call

EVIL = "https://evil.example"
FROM_ELSEWHERE: dict[str, dict[str, str]] = {
    "a page of another site": {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
    "a neighbour": {"Sec-Fetch-Site": "same-site", "Origin": "http://other.localhost"},
    "a sandbox": {"Origin": "null"},
    "an old browser": {"Origin": EVIL},
    "a link that was followed": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    "two origins": {"Origin": f"{EVIL} http://127.0.0.1"},
    "our name as a user of theirs": {"Origin": "http://127.0.0.1:8000@evil.example"},
}


@pytest.fixture(scope="module")
def with_cookie(start_node: Callable[..., Node]) -> Node:
    return start_node(session_cookie="session", drain_window_s=0.05)


@pytest.fixture(scope="module")
def calls(with_cookie: Node) -> list[Call]:
    return list(every_call(with_cookie))


# shows: security/csrf
@pytest.mark.parametrize("headers", FROM_ELSEWHERE.values(), ids=FROM_ELSEWHERE.keys())
def test_no_route_takes_a_cookie_that_another_site_s_page_brought(
    with_cookie: Node, calls: list[Call], headers: dict[str, str]
) -> None:
    """403 on every route; with a bad cookie the same. PROTOCOL 2.4.2, 2.4.3, 2.4.4"""
    nobody = Person(with_cookie, "ada", None)
    for call in calls:
        for cookie in (with_cookie.token("ada"), "expired"):
            answer = call.made_by(nobody, "ada", "ben", Cookie=f"session={cookie}", **headers)
            refused(answer, 403, "cross_site")
            assert "access-control-allow-origin" not in answer.headers
    assert [] == with_cookie.person("ada").history("ben")["messages"]


# shows: security/forms
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_no_post_takes_what_a_page_may_send_without_asking(
    with_cookie: Node, calls: list[Call], media_type: str
) -> None:
    """Even where everything else is right. PROTOCOL 3.1.1"""
    ada = with_cookie.person("ada")
    for call in calls:
        if call.method == "POST":
            body = {name: "ben" if value == "{peer}" else value for name, value in BODIES[call.path].items()}
            refused(ada.posts(call.path, body, {"Content-Type": media_type}), 415, "unsupported_media_type")


# shows: security/read-answers
def test_no_route_may_be_read_by_another_origin(with_cookie: Node, calls: list[Call]) -> None:
    """With a good token in its hands: its browser keeps the answer from it. PROTOCOL 2.5.2, 2.5.4"""
    for call in calls:
        answer = call.made_by(with_cookie.person("eve"), "me", "ben", Origin=EVIL)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        path = call.path.replace("{me}", "me").replace("{chat_user_id}", "ben")
        asked = {"Origin": EVIL, "Access-Control-Request-Method": call.method}
        preflight = with_cookie.http.request("OPTIONS", with_cookie.url + API + path, headers=asked)
        assert preflight.status_code in (403, 405)
        assert not [name for name in preflight.headers if name.startswith("access-control")]


# shows: security/frames
def test_the_page_is_framed_by_nobody_and_opens_to_nobody(with_cookie: Node) -> None:
    """Neither as a frame of another site, nor as a window that another site holds."""
    headers = with_cookie.http.get(with_cookie.url).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "same-origin" == headers["cross-origin-opener-policy"]
    assert "no-referrer" == headers["referrer-policy"]
    assert "nosniff" == headers["x-content-type-options"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


REBOUND = [
    *("evil.example", "evil.example:{port}", "localhost.evil.example:{port}", "127.0.0.1.evil.example", ""),
    *("[::1]:{port}", "0.0.0.0:{port}", "127.0.0.1@evil.example", "2130706433", "evil.example#127.0.0.1", "127.1"),
    "localhost.",
]


# shows: security/rebinding
@pytest.mark.parametrize("host", REBOUND)
def test_a_name_that_points_at_this_machine_does_not_reach_the_demo(demo: Demo, host: str) -> None:
    """DNS rebinding: a page of evil.example, whose name is 127.0.0.1 by now, asks for a token of its own origin."""
    named = {"Host": host.format(port=demo.port)}
    for answer in (
        demo.http.post("/demo/token", json={"as": "ada"}, headers=named),
        demo.http.get("/", headers=named),
        demo.http.get("/page.json", headers=named),
        demo.http.get("/metrics", headers=named),
        demo.http.get(f"{API}/inbox/me", headers=named),
    ):
        assert 400 == answer.status_code, (host, answer.text)
        assert "token" not in answer.text


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_the_demo_answers_to_its_own_names(demo: Demo, name: str) -> None:
    """With and without its port."""
    for host in (name, f"{name}:{demo.port}"):
        assert 200 == demo.http.post("/demo/token", json={"as": "ada"}, headers={"Host": host}).status_code


# shows: security/rebinding
@pytest.mark.parametrize("headers", FROM_ELSEWHERE.values(), ids=FROM_ELSEWHERE.keys())
def test_a_page_of_another_site_gets_no_token_of_the_demo(demo: Demo, headers: dict[str, Any]) -> None:
    """The demo believes whoever says who they are, so it must be its own page that says it."""
    answer = demo.http.post("/demo/token", json={"as": "ada"}, headers=headers)
    refused(answer, 403, "cross_site")
    asked = {**headers, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert demo.http.request("OPTIONS", "/demo/token", headers=asked).status_code in (403, 405)


# shows: security/drawer
@pytest.mark.parametrize("headers", FROM_ELSEWHERE.values(), ids=FROM_ELSEWHERE.keys())
def test_a_page_of_another_site_does_not_break_the_demo(demo: Demo, headers: dict[str, Any]) -> None:
    """The drawer's port wants the key of this start, which only the demo's own page can read, and its own name."""
    own, key = demo.control["url"], {"Tidings-Demo-Key": demo.control["key"]}
    kill = {"number": 1, "do": "kill"}
    process_id = demo.outside.post(f"{own}/count", json={}, headers=key).json()["nodes"][0]["process_id"]
    assert 403 == demo.outside.post(f"{own}/node", json=kill, headers=headers).status_code
    assert 403 == demo.outside.post(f"{own}/node", json=kill, headers={**key, "Host": "evil.example"}).status_code
    assert 403 == demo.outside.post(f"{own}/node", json=kill, headers={**key, "Origin": EVIL}).status_code
    assert process_id == demo.outside.post(f"{own}/count", json={}, headers=key).json()["nodes"][0]["process_id"]
