"""As ``test_cross_site.py``, where a function of the host's application knows the user: PROTOCOL.md 2.4.5, 2.4.4."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from lab.node import refused
from tests.attack.routes import BODIES
from tests.attack.test_cross_site import EVIL, FROM_ELSEWHERE
from tidings import Config, Tidings
from tidings.fastapi import DirectMessages

APP = "https://app.example.org"
READS = ("/events/me", "/inbox/me", "/blocked/me", "/people", "/people?q=a", "/ben", "/sse/me")
MAY: dict[str, dict[str, str]] = {
    "no browser": {},
    "a page of its own": {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"},
    "the address bar": {"Sec-Fetch-Site": "none"},
    "its own page, an old browser": {"Origin": "http://testserver"},
    "a listed origin": {"Sec-Fetch-Site": "cross-site", "Origin": APP},
    "a page that has put a token there": {"Sec-Fetch-Site": "cross-site", "Origin": EVIL, "Authorization": "Bearer k"},
}


class Embedding:
    """An application that knows its users by a cookie; ``asked`` are the users that its function told."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.asked: list[str | None] = []
        config = Config(db=f"sqlite:///{directory / kind}.db", cors_origins=(APP,))
        if kind == "fastapi":
            messages = DirectMessages(config, user=self.signed_in)
            app: Starlette = FastAPI(lifespan=messages.lifespan)
            assert isinstance(app, FastAPI)
            app.include_router(messages.router, prefix="/dm")
        else:
            tidings = Tidings(config, user=self.signed_in)
            cors = Middleware(CORSMiddleware, allow_origins=[APP], allow_credentials=True)
            app = Starlette(routes=tidings.routes("/dm"), lifespan=tidings.lifespan, middleware=[cors])
        self.client = TestClient(app, cookies={"session": "of-ada"})

    def signed_in(self, request: HTTPConnection) -> str | None:
        self.asked.append({"of-ada": "ada"}.get(request.cookies.get("session", "")))
        return self.asked[-1]


@pytest.fixture(scope="module", params=["starlette", "fastapi"])
def embedding(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedding]:
    embedding = Embedding(request.param, tmp_path_factory.mktemp("embedding"))
    with embedding.client:
        yield embedding


# shows: security/csrf
def test_no_route_takes_the_host_s_sign_in_from_another_site_s_page(embedding: Embedding) -> None:
    """403 on every route; the host's function is not even asked, so that nobody learns whether the session is good.
    PROTOCOL 2.4.5, 2.4.4"""
    client = embedding.client
    embedding.asked.clear()
    remembered = {"Sec-Fetch-Site": "cross-site", "Origin": EVIL, "Authorization": "Basic YWRhOms="}
    for headers in (*FROM_ELSEWHERE.values(), remembered):
        for path in READS:
            refused(client.get(f"/dm{path}", headers=headers), 403, "cross_site")
        for path, body in BODIES.items():
            told = {name: "ben" if value == "{peer}" else value for name, value in body.items()}
            refused(client.post(f"/dm{path}", json=told, headers=headers), 403, "cross_site")
    assert [] == embedding.asked
    assert [] == client.get("/dm/ben").json()["messages"]


@pytest.mark.parametrize("headers", MAY.values(), ids=MAY.keys())
def test_the_host_s_own_page_a_listed_one_and_programs_go_on(embedding: Embedding, headers: dict[str, str]) -> None:
    """A page cannot put a token there unless it has one, and a program says neither origin nor site. A header that a
    CORS middleware of the host's sets too is there once. PROTOCOL 2.4.5"""
    body = {"recipientId": "ben", "text": "hello"}
    assert 201 == embedding.client.post("/dm/send", json=body, headers=headers).status_code
    answer = embedding.client.get("/dm/events/me", headers=headers)
    assert 200 == answer.status_code
    allowed = [APP] if headers.get("Origin") == APP else []
    assert allowed == answer.headers.get_list("access-control-allow-origin")
