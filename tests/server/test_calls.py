"""The calls of the host's own code: what they answer is what the API answers, from async code and from threads."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from lab import postgres
from lab.process import PATIENCE_S
from tidings import Config
from tidings.errors import Problem
from tidings.fastapi import DirectMessages

DEFAULTS = {"sender": "ada", "recipient": "ben"}


def current_user(request: Request) -> str | None:
    """The name itself stands where a session would."""
    return request.headers.get("x-user")


def people(ids: list[str]) -> dict[str, dict[str, str | None]]:
    return {each: {"name": each.title()} for each in ids}


def application(db: str, *, has_lifespan: bool = True) -> tuple[FastAPI, DirectMessages]:
    """A host whose endpoints make any call by its name: ``async def`` ones, and ``def`` ones that have no loop."""
    messages = DirectMessages(Config(db=db), user=current_user, people=people)
    app = FastAPI(lifespan=messages.lifespan if has_lifespan else None)

    @app.post("/awaits/{name}")
    async def awaits(name: str, arguments: dict[str, Any]) -> Response:
        try:
            called = getattr(messages, name)(**arguments)
            return answer([line async for line in called] if isinstance(called, AsyncIterator) else await called)
        except Problem as problem:
            return Response(problem.code, problem.status)

    @app.post("/waits/{name}")
    def waits(name: str, arguments: dict[str, Any]) -> Response:
        try:
            called = getattr(messages, f"{name}_now")(**arguments)
            return answer(list(called) if isinstance(called, Iterator) else called)
        except Problem as problem:
            return Response(problem.code, problem.status)

    @app.post("/waits-in-the-loop/{name}")
    async def waits_in_the_loop(name: str, arguments: dict[str, Any]) -> Response:
        try:
            return answer(getattr(messages, f"{name}_now")(**arguments))
        except TypeError as mistake:
            return Response(str(mistake), 500)

    app.include_router(messages.router, prefix="/dm")
    return app, messages


def answer(result: object) -> Response:
    return Response(msgspec.json.encode(result), media_type="application/json")


class Caller:
    """A host's code, which makes its calls in one of the ways."""

    def __init__(self, client: TestClient, way: str) -> None:
        self.client = client
        self.way = way

    def asks(self, name: str, **arguments: object) -> Any:
        answered = self.refused(name, **arguments)
        assert answered.status_code == 200, answered.text
        return answered.json()

    def refused(self, name: str, **arguments: object) -> httpx2.Response:
        return self.client.post(f"/{self.way}/{name}", json=arguments)

    def gets(self, user: str, path: str) -> Any:
        return self.client.get(f"/dm{path}", headers={"x-user": user}).json()


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/tidings.db"


def postgres_url(folder: Path) -> str:
    return postgres.shared().url(schema="t_" + hashlib.sha256(str(folder).encode()).hexdigest()[:16])


@pytest.mark.parametrize("way", ["awaits", "waits"])
@pytest.mark.parametrize("url", [sqlite_url, postgres_url])
def test_the_calls_of_the_host_answer_as_the_api_does(url: Any, way: str, tmp_path: Path) -> None:
    """Each call, on each database, from ``async def`` and from ``def`` endpoints of one application."""
    app, _ = application(url(tmp_path))
    with TestClient(app) as client:
        host = Caller(client, way)
        assert 0 == host.asks("unread", user="ben")
        for number in range(1, 4):
            assert number == host.asks("send", sender="ada", recipient="ben", text=f"{number}")["seq"]
        assert "system" == host.asks("send", sender="shop", recipient="ben", text="x", type="system")["message_type"]

        assert (4, 0, 0) == tuple(host.asks("unread", user=each) for each in ("ben", "ada", "zoe"))
        assert host.gets("ben", "/inbox/me") == host.asks("inbox", user="ben")
        first = host.asks("inbox", user="ben", limit=1)
        assert host.gets("ben", "/inbox/me?limit=1") == first
        before = first["conversations"][0]["position"]
        assert ["Ada"] == [
            each["user"]["name"] for each in host.asks("inbox", user="ben", before=before)["conversations"]
        ]
        assert host.gets("ben", "/ada") == host.asks("history", user="ben", peer="ada")
        assert host.gets("ben", "/ada?after=1&limit=1") == host.asks(
            "history", user="ben", peer="ada", after=1, limit=1
        )
        assert host.gets("ada", "/ben?before=3") == host.asks("history", user="ada", peer="ben", before=3)

        client.post("/dm/receipts", json={"chatUserId": "ada", "read_upto": 2}, headers={"x-user": "ben"})
        assert 2 == host.asks("unread", user="ben")
        assert None is host.asks("block", user="ben", peer="ada")
        assert (1, True) == (host.asks("unread", user="ben"), host.gets("ben", "/ada")["blocked"])
        assert "not_allowed" == host.refused("send", **DEFAULTS, text="hello?").text
        assert None is host.asks("unblock", user="ben", peer="ada")

        exported = host.asks("export", user="ben")
        assert ("user", "ben") == (exported[0]["type"], exported[0]["data"]["id"])
        assert ["x", "1", "2", "3"] == [each["data"]["text"] for each in exported if each["type"] == "message"]
        assert {"status": "ok", "detail": "", "trouble": {}} == host.asks("health")
        assert 0 == host.asks("revoke", user="ben")

        was_known, emptied, _events, left = host.asks("erase", user="ada")
        assert (True, 3, None) == (was_known, emptied, left)
        assert [] == host.asks("export", user="ada")
        assert ["", "", ""] == [
            each["text"] for each in host.asks("history", user="ben", peer=erased(host))["messages"]
        ]


def erased(host: Caller) -> str:
    """The name that the eraser made up."""
    return next(
        str(each["user"]["id"])
        for each in host.asks("inbox", user="ben")["conversations"]
        if each["user"]["id"] != "shop"
    )


@pytest.mark.parametrize("way", ["awaits", "waits"])
def test_the_calls_of_the_host_are_refused_like_a_request(way: str, tmp_path: Path) -> None:
    """By our errors, with the codes of the routes; limits beyond the bounds are taken as these."""
    app, _ = application(sqlite_url(tmp_path))
    with TestClient(app) as client:
        host = Caller(client, way)
        for name in ("unread", "inbox", "export", "erase", "revoke"):
            assert (422, "bad_user_id") == (lambda told: (told.status_code, told.text))(host.refused(name, user="a/b"))
        for wrong in (
            {"peer": 7},
            {"peer": "ada", "before": "2"},
            {"peer": "ada", "after": True},
            {"peer": "a", "limit": ""},
        ):
            assert "wrong_type" == host.refused("history", user="ben", **wrong).text
        assert [] == host.asks("inbox", user="ben", limit=0, before=-1)["conversations"]
        assert [] == host.asks("history", user="ben", peer="ada", limit=10**6)["messages"]


def test_a_call_that_waits_is_refused_in_the_event_loop(tmp_path: Path) -> None:
    """It would wait for itself: the sentence says what to write instead."""
    app, _ = application(sqlite_url(tmp_path))
    with TestClient(app) as client:
        told = Caller(client, "waits-in-the-loop").refused("unread", user="ben")
    assert (500, "in async code: await messages.unread(...)") == (told.status_code, told.text)


def test_a_call_that_waits_may_be_the_first_of_a_host_without_a_lifespan(tmp_path: Path) -> None:
    """It finds the loop that its thread is waited for in, and requests are served in the same one afterwards."""
    app, _ = application(sqlite_url(tmp_path), has_lifespan=False)
    with TestClient(app) as client:
        host = Caller(client, "waits")
        assert 1 == host.asks("send", **DEFAULTS, text="hi")["seq"]
        assert 1 == host.gets("ben", "/inbox/me")["unread_total"] == host.asks("unread", user="ben")


def test_a_program_without_a_server_makes_calls(tmp_path: Path) -> None:
    """A job that has the database to itself: a loop runs beside it, and ends with the process."""
    program = (
        "from tidings import Config, Tidings\n"
        f"messages = Tidings(Config(db='{sqlite_url(tmp_path)}'), user=lambda request: None)\n"
        "messages.send_now('ada', 'ben', 'hi')\n"
        "print(messages.unread_now('ben'), [line['type'] for line in messages.export_now('ben')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S)
    assert ("1 ['user', 'conversation', 'message']\n", "", 0) == (done.stdout, done.stderr, done.returncode)


def test_a_host_s_own_registry_has_the_metrics_of_the_messages(tmp_path: Path) -> None:
    """Beside those of its process, which it has already; the page of ours has both."""
    app, messages = application(sqlite_url(tmp_path))
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    registry.register(messages.collector)
    with TestClient(app) as client:
        Caller(client, "awaits").asks("send", **DEFAULTS, text="hi")
        page, content_type = messages.metrics()
        for text in (generate_latest(registry).decode(), page.decode()):
            assert "\ntidings_messages_accepted_total 1.0\n" in text
            assert 1 == text.count("\nprocess_open_fds ")
        assert content_type.startswith("text/plain")


def test_a_host_s_health_route_says_why_the_messages_cannot_start(tmp_path: Path) -> None:
    """An operator reads a sentence and the log; a load balancer gets its 503."""
    app, _ = application(f"sqlite:///{tmp_path}/missing/x.db", has_lifespan=False)
    with TestClient(app) as client:
        told = Caller(client, "awaits").asks("health")
    assert ("unavailable", "The server cannot start; its log says why.") == (told["status"], told["detail"])
