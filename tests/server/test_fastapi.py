"""Tidings in FastAPI applications: the host's dependency tells who asks, and is released before an answer begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from lab.host import Host
from lab.node import Person, refused
from lab.process import wait_for
from tests.attack.routes import BODIES
from tidings import Config
from tidings.client import Client
from tidings.errors import ServerProblem
from tidings.fastapi import DirectMessages


@pytest.mark.parametrize("app", ["app", "sync", "mounted", "behind_middleware"])
def test_messages_arrive_in_a_fastapi_application(start_host: Callable[..., Host], app: str) -> None:
    """Live, with the heartbeat, and caught up; under include_router and mount, and behind the host's middleware."""
    host = start_host(f"fastapi_hosts:{app}")
    ada, ben = host.person("ada"), host.person("ben")
    with ben.opens_stream(headers={"Accept-Encoding": "gzip", "Origin": "https://example.org"}).live() as stream:
        assert "content-encoding" not in stream.headers
        for name in ("x-noted", "access-control-allow-origin"):
            assert (app == "behind_middleware") == (name in stream.headers)
        for number in range(3):
            ada.sends(ben, f"message {number}")
            assert f"message {number}" == stream.until("new_message").data["text"]
        cursor = stream.frames[-1].id
        assert cursor == stream.until("heartbeat").data["cursor"]
    ada.sends(ben, "later")
    with ben.opens_stream(last_event_id=cursor) as stream:
        assert "later" == stream.until("new_message").data["text"]
    assert 401 == Person(host, "stranger", "stranger").gets("/inbox/me").status_code


def test_an_open_stream_holds_no_connection_of_the_host_s(start_host: Callable[..., Host]) -> None:
    """The pool has one; five streams and a waiting poll are open, and everybody else still gets it."""
    host = start_host("fastapi_hosts:app")
    ada, ben = host.person("ada"), host.person("ben")
    streams = [ben.opens_stream().live() for _ in range(5)]
    assert {"taken": 6} == host.http.get(f"{host.url}/pool").json()
    for number in range(5):
        ada.sends(ben, f"{number}")
    for stream in streams:
        assert ["0", "1", "2", "3", "4"] == [stream.until("new_message").data["text"] for _ in range(5)]
    assert {"taken": 12} == host.http.get(f"{host.url}/pool").json()


def test_a_refusal_of_the_host_s_dependency_is_answered_as_the_host_answers_it(
    start_host: Callable[..., Host],
) -> None:
    """With its status, its body and its headers, of calls and of streams; our own refusals are ours."""
    host = start_host("fastapi_hosts:app")
    stranger = Person(host, "stranger", "stranger")
    for path in ("/inbox/me", "/sse/me"):
        answer = stranger.gets(path)
        assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])
        assert {"detail": "You are not known here."} == answer.json()
    with Client(host.url, "stranger") as client, pytest.raises(ServerProblem, match="You are not known here"):
        client.send("ada", "x")
    refused(host.person("ada").posts("/send", {"recipientId": "ada", "text": "x"}), 422, "to_oneself")
    refused(host.person("ada").gets("/inbox/ben"), 403, "not_yours")


def test_the_dependencies_of_include_router_count(start_host: Callable[..., Host]) -> None:
    """As they do for the host's own routes."""
    host = start_host("fastapi_hosts:locked")
    ada = host.person("ada")
    assert {"detail": "No key."} == ada.gets("/sse/me").json()
    assert ada.gets("/inbox/me", {"x-key": "open"}).status_code == 200
    ada.opens_stream(headers={"x-key": "open"}).live()


def test_nobody_by_the_host_s_dependency_is_a_401(start_host: Callable[..., Host]) -> None:
    """A dependency may answer None."""
    host = start_host("fastapi_hosts:sync")
    refused(Person(host, "nobody", None).gets("/inbox/me"), 401, "unauthorized")


def test_streams_do_not_keep_a_fastapi_application_from_reloading(
    start_host: Callable[..., Host], tmp_path: Path
) -> None:
    """``uvicorn --reload`` with five streams open: each hears goodbye, and the successor serves."""
    watched = tmp_path / "watched" / "module.py"
    watched.parent.mkdir()
    watched.write_text("")
    host = start_host("fastapi_hosts:app", "--reload", "--reload-dir", str(watched.parent))
    ada, ben = host.person("ada"), host.person("ben")
    streams = [ben.opens_stream().live() for _ in range(5)]

    def said_goodbye() -> bool:
        watched.touch()  # again and again: uvicorn compares with what it saw last
        try:
            return bool(streams[0].until("goodbye", 0.5).data["reason"] == "draining")
        except TimeoutError:
            return False

    wait_for(said_goodbye, 20, "the goodbye")
    for stream in streams[1:]:
        stream.until("goodbye")

    def sent() -> bool:
        try:
            return ada.posts("/send", {"recipientId": "ben", "text": "after", "client_id": "k1"}).status_code == 201
        except httpx2.TransportError:
            return False

    wait_for(sent, 5, "the successor takes a message")
    host.stop()


# what FastAPI knows of the routes


NAMED = {
    *("send_message", "list_messages", "list_conversations", "list_events", "mark_received", "watch", "type"),
    *("block", "list_blocked", "unblock", "report"),
}


def application(tmp_path: Path, user: Callable[..., Any], **options: Any) -> FastAPI:
    messages = DirectMessages(Config(db=f"sqlite:///{tmp_path}/x.db"), user=user, **options)
    app = FastAPI(lifespan=messages.lifespan)
    app.include_router(messages.router, prefix="/dm")
    return app


def test_openapi_has_our_routes_with_their_shapes_and_the_host_s_security(start_host: Callable[..., Host]) -> None:
    """Bodies, answers, parameters and refusals; with the scheme that the dependency asks for."""
    host = start_host("fastapi_hosts:app")
    api = host.http.get(f"{host.url}/openapi.json").json()
    routes = {(method.upper(), path) for path, item in api["paths"].items() for method in item}
    assert {
        ("GET", "/api/message/sse/{me}"),
        ("GET", "/api/message/events/{me}"),
        ("GET", "/api/message/inbox/{me}"),
        ("GET", "/api/message/{chat_user_id}"),
        ("POST", "/api/message/send"),
        ("POST", "/api/message/receipts"),
        ("POST", "/api/message/typing"),
        ("POST", "/api/message/presence"),
        ("POST", "/api/message/block"),
        ("POST", "/api/message/unblock"),
        ("GET", "/api/message/blocked/{me}"),
        ("GET", "/api/message/people"),
        ("POST", "/api/message/report"),
        ("GET", "/pool"),
    } == routes
    send = api["paths"]["/api/message/send"]["post"]
    assert ["recipientId", "text"] == send["requestBody"]["content"]["application/json"]["schema"]["required"]
    assert "#/components/schemas/Sent" == send["responses"]["201"]["content"]["application/json"]["schema"]["$ref"]
    assert {"application/problem+json"} == set(send["responses"]["4XX"]["content"])
    assert [{"HTTPBearer": []}] == send["security"]
    stream = api["paths"]["/api/message/sse/{me}"]["get"]
    assert {"text/event-stream"} == set(stream["responses"]["200"]["content"])
    assert ["me", "cursor", "Last-Event-ID", "tab"] == [each["name"] for each in stream["parameters"]]


# shows: security/no-token
def test_no_operation_of_the_document_lets_in_whom_the_host_does_not_know(start_host: Callable[..., Host]) -> None:
    """Each that openapi.json names: without credentials, as somebody whom the host refuses, and into another's log."""
    host = start_host("fastapi_hosts:app")
    api = host.http.get(f"{host.url}/openapi.json").json()
    ours = [(method, path) for path, item in api["paths"].items() for method in item if path.startswith("/api/")]
    assert len(ours) >= 12
    for method, path in ours:
        address = host.url + path.replace("{me}", "ada").replace("{chat_user_id}", "ada")
        body: dict[str, Any] = {"json": BODIES[path.removeprefix("/api/message")]} if method == "post" else {}
        for headers in ({}, {"Authorization": "Bearer stranger"}, {"Authorization": "Basic YWRhOg=="}):
            answer = host.http.request(method, address, headers=headers, **body)
            assert answer.status_code in (401, 403), (method, path, headers)
            assert "events" not in answer.text
        if "{me}" in path:
            answer = host.http.request(method, address, headers={"Authorization": "Bearer eve"})
            assert (403, "not_yours") == (answer.status_code, answer.json()["code"])


def test_every_route_is_described(tmp_path: Path) -> None:
    """A route of the server's that OpenAPI does not know would be served, and not be found by anybody."""
    messages = DirectMessages(Config(db=f"sqlite:///{tmp_path}/x.db"), user=lambda: "ada")
    routes = [route for route in messages.router.routes if getattr(route, "methods", None) != {"OPTIONS"}]
    assert 11 < len(routes)
    assert [] == [route for route in routes if not getattr(route, "include_in_schema", False)]


def references(part: Any) -> Iterator[str]:
    """Every ``$ref`` in a part of a document."""
    if isinstance(part, dict):
        yield from [part["$ref"]] if "$ref" in part else []
        part = list(part.values())
    for each in part if isinstance(part, list) else []:
        yield from references(each)


def test_everything_that_the_document_refers_to_is_in_it(tmp_path: Path) -> None:
    """A reference into nothing is an error to each program that reads the document."""
    document = application(tmp_path, lambda: "ada").openapi()
    referred = set(references(document))
    assert "#/components/schemas/ChatMessage" in referred
    assert referred <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_the_shapes_in_openapi_are_those_of_the_answers(tmp_path: Path) -> None:
    """Each answer is of its model, and has no field that the model does not name."""
    messages = DirectMessages(Config(db=f"sqlite:///{tmp_path}/x.db"), user=lambda: "ada")
    app = FastAPI(lifespan=messages.lifespan)
    app.include_router(messages.router, prefix="/dm")
    routes = [route for route in messages.router.routes if isinstance(route, APIRoute)]
    models = {route.name: TypeAdapter(route.response_model) for route in routes if route.name in NAMED}
    with TestClient(app) as client:
        body = {"recipientId": "ben", "text": "hi", "client_id": "k1"}
        receipts = [{"chatUserId": "ben", "read_upto": 0}, {"chatUserId": "ben", "read_upto": 9}]
        start = client.get("/dm/events/me").json()["cursor"]
        answers = [
            ("send_message", client.post("/dm/send", json=body)),
            ("list_messages", client.get("/dm/ben")),
            ("list_conversations", client.get("/dm/inbox/me")),
            ("list_events", client.get(f"/dm/events/me?cursor={start}")),
            ("list_events", client.get("/dm/events/me?cursor=unknown")),
            ("mark_received", client.post("/dm/receipts", json=receipts[0])),
            ("mark_received", client.post("/dm/receipts", json={"receipts": receipts})),
            ("watch", client.post("/dm/presence", json={"chatUserId": "ben"})),
            ("type", client.post("/dm/typing", json={"chatUserId": "ben"})),
            ("block", client.post("/dm/block", json={"chatUserId": "ben"})),
            ("list_blocked", client.get("/dm/blocked/me")),
            ("unblock", client.post("/dm/unblock", json={"chatUserId": "ben"})),
            ("report", client.post("/dm/report", json={"chatUserId": "ben", "reason": "spam"})),
        ]
        assert {name for name, _ in answers} == NAMED
        for name, answer in answers:
            read = models[name].validate_python(answer.json(), strict=True)
            assert answer.json() == models[name].dump_python(read, by_alias=True, exclude_unset=True)
        problem = client.post("/dm/send", json={}).json()
        content = app.openapi()["paths"]["/dm/send"]["post"]["responses"]["4XX"]["content"]
        schema = content["application/problem+json"]["schema"]
        assert list(problem) == list(schema["properties"]) == schema["required"]


@pytest.mark.parametrize(
    ("value", "status"),
    [("ada", 200), (7, 200), (None, 401), (type("Row", (), {"id": 7})(), 200), (type("Row", (), {"id": "a/b"})(), 401)],
)
def test_the_user_s_id_is_found_in_what_the_dependency_returns(tmp_path: Path, value: Any, status: int) -> None:
    """Text and numbers are the id, of other things it is their attribute; what cannot be an id is nobody."""
    with TestClient(application(tmp_path, lambda: value)) as client:
        assert status == client.get("/dm/inbox/me").status_code


@pytest.mark.parametrize("value", [False, 0, ""], ids=repr)
def test_a_dependency_that_answers_no_lets_nobody_in(tmp_path: Path, value: Any) -> None:
    """``False`` would be a user of that name, and everybody the same one."""
    with TestClient(application(tmp_path, lambda: value)) as client:
        assert 401 == client.get("/dm/inbox/me").status_code
        assert 401 == client.get("/dm/inbox/False").status_code
        assert 401 == client.post("/dm/send", json={"recipientId": "ben", "text": "hi"}).status_code


@pytest.mark.parametrize(
    "value",
    [True, 7.0, b"ada", ["ada"], type("RowOfNo", (), {"id": False})(), type("RowOfNone", (), {"id": 0})()],
    ids=lambda value: type(value).__name__,
)
def test_a_dependency_that_answers_no_user_is_a_mistake_that_is_told(tmp_path: Path, value: Any) -> None:
    """Nobody is let in, and the sentence says what it answered."""
    with (
        TestClient(application(tmp_path, lambda: value)) as client,
        pytest.raises(TypeError, match=f"a {type(value).__name__} without an id"),
    ):
        client.get("/dm/inbox/me")


@pytest.mark.parametrize("value", [False, True, 0, 7, b"ada", ["ada"], ("ada",), {"ada"}, Ellipsis], ids=repr)
def test_user_id_has_to_be_text(tmp_path: Path, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Any other answer of ``user_id=`` is nobody; the log says what kind of thing it was."""
    with TestClient(application(tmp_path, lambda: "x", user_id=lambda _found: value)) as client:
        assert 401 == client.get("/dm/inbox/me").status_code
    assert f"answered a {type(value).__name__}: nobody but text is a user" in caplog.text


def test_the_host_tells_where_the_id_is(tmp_path: Path) -> None:
    """``user_id=``; without it, an object without an id is a mistake that is told."""
    claims = {"sub": "ada"}
    with TestClient(application(tmp_path, lambda: claims, user_id=lambda found: found["sub"])) as client:
        assert 200 == client.get("/dm/inbox/ada").status_code
    with TestClient(application(tmp_path, lambda: claims)) as client, pytest.raises(TypeError, match="user_id="):
        client.get("/dm/inbox/me")


def test_a_dependency_that_reads_the_body_leaves_it_for_us(tmp_path: Path) -> None:
    """A signature over the body, for instance."""

    async def signed(request: Request) -> str:
        assert b"recipientId" in await request.body()
        return "ada"

    with TestClient(application(tmp_path, signed)) as client:
        assert 201 == client.post("/dm/send", json={"recipientId": "ben", "text": "hi"}).status_code


def test_the_host_s_dependency_overrides_count(tmp_path: Path) -> None:
    """A host's tests sign people in this way."""

    def somebody() -> str:
        raise AssertionError

    app = application(tmp_path, somebody)
    app.dependency_overrides[somebody] = lambda: "ada"
    with TestClient(app) as client:
        assert 200 == client.get("/dm/inbox/ada").status_code


def test_two_of_them_in_one_application_do_not_meet(tmp_path: Path) -> None:
    """Each has its database, its people and its dependency."""
    app = FastAPI()
    for name in ("staff", "guests"):
        messages = DirectMessages(Config(db=f"sqlite:///{tmp_path}/{name}.db"), user=lambda name=name: name)
        app.include_router(messages.router, prefix=f"/{name}", dependencies=[Depends(lambda: None)])
    with TestClient(app) as client:
        assert 200 == client.get("/staff/inbox/staff").status_code
        assert 403 == client.get("/staff/inbox/guests").status_code
        assert 200 == client.get("/guests/inbox/guests").status_code


@pytest.mark.parametrize("is_mounted", [False, True])
def test_a_page_of_a_listed_origin_may_ask_first(tmp_path: Path, is_mounted: bool) -> None:
    """A browser's question before a request has nothing that the dependency could know its user by. PROTOCOL 2.5.3"""
    origin = "https://app.example.org"
    messages = DirectMessages(
        Config(db=f"sqlite:///{tmp_path}/x.db", cors_origins=(origin,)), user=lambda: pytest.fail("nobody to ask for")
    )
    app = FastAPI(lifespan=messages.lifespan)
    if is_mounted:
        app.mount("/dm", messages.router)
    else:
        app.include_router(messages.router, prefix="/dm")
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    with TestClient(app) as client:
        for path in ("/dm/send", "/dm/sse/me", "/dm/inbox/me", "/dm/ben"):
            answer = client.options(path, headers=asked)
            assert (204, origin) == (answer.status_code, answer.headers["access-control-allow-origin"])
        assert 403 == client.options("/dm/send", headers={**asked, "Origin": "https://evil.example"}).status_code
        assert (405, "GET") == ((other := client.put("/dm/inbox/me")).status_code, other.headers["allow"])
