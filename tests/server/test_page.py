"""The web chat as routes of somebody's application: where it stands, and the addresses that it gives its script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount
from starlette.testclient import TestClient

from lab.node import Node
from tidings import Config, Tidings
from tidings.errors import ConfigurationError
from tidings.fastapi import DirectMessages

Placed = Callable[[Tidings], list[BaseRoute]]


def cookie_user(request: HTTPConnection) -> str | None:
    """The host's own: nobody without its cookie."""
    return request.cookies.get("session")


def an_application(path: Path, placed: Placed, **settings: object) -> TestClient:
    config = Config(db=f"sqlite:///{path}/page.db", **settings)  # type: ignore[arg-type]
    tidings = Tidings(config, user=cookie_user)
    return TestClient(Starlette(routes=placed(tidings), lifespan=tidings.lifespan), base_url="http://host.example")


PLACES: dict[str, tuple[Placed, str]] = {
    "beside": (lambda tidings: [*tidings.routes("/api/message"), *tidings.page()], "/messages/"),
    "deep": (
        lambda tidings: [*tidings.routes("/v1/chat"), *tidings.page("/account/messages/", api="/v1/chat")],
        "/account/messages/",
    ),
    "around the API": (lambda tidings: [*tidings.routes("/m/api"), *tidings.page("/m", api="/m/api")], "/m/"),
    "below one mount": (
        lambda tidings: [Mount("/shop", routes=[*tidings.routes("/api/message"), *tidings.page("/messages")])],
        "/shop/messages/",
    ),
    "the whole of a mount": (
        lambda tidings: [
            Mount("/api/message", routes=tidings.routes()),
            Mount("/chat", routes=tidings.page("/", api="../api/message")),
        ],
        "/chat/",
    ),
    "the whole of an application": (
        lambda tidings: [*tidings.routes("/api/message"), *tidings.page("/")],
        "/",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_page_finds_the_api_wherever_both_stand(tmp_path: Path, place: str) -> None:
    """By addresses that are relative to its own; its files are below it, too, and no path beside them."""
    placed, address = PLACES[place]
    with an_application(tmp_path, placed) as client:
        page = client.get(address)
        told = client.get(f"{address}page.json").json()
        api = urljoin(f"http://host.example{address}", told["api"])
        script = page.text.partition('type="module" ')[2].partition('src="./')[2].partition('"')[0]

        assert (200, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
        assert "session" == told["sign_in"]
        assert 401 == client.get(f"{api}/events/me").status_code
        assert "ada" == client.get(f"{api}/events/me", headers={"Cookie": "session=ada"}).json()["user_id"]
        assert script.startswith("assets/")
        assert 200 == client.get(address + script).status_code
        assert 404 == client.get(f"{address}assets/none.js").status_code


def test_the_way_to_the_page_is_found_behind_a_proxy_that_takes_a_part_of_the_path_away(tmp_path: Path) -> None:
    """Without its slash at the end the page sends on by a relative address; what is asked beside it is kept."""
    with an_application(tmp_path, lambda tidings: tidings.page("/account/messages")) as client:
        answer = client.get("/account/messages?lang=ar", follow_redirects=False)

    assert (307, "./messages/?lang=ar") == (answer.status_code, answer.headers["location"])


def test_a_page_of_another_origin_frames_it_only_where_it_is_named(tmp_path: Path) -> None:
    """Nobody by default; else its own origin, by ``self``, and those of the setting."""

    def policy(**settings: object) -> str:
        with an_application(tmp_path, lambda tidings: tidings.page(), **settings) as client:
            return str(client.get("/messages/").headers["content-security-policy"])

    assert policy().endswith("; frame-ancestors 'none'")
    allowed = policy(frame_ancestors=("self", "https://app.example.org"))
    assert allowed.endswith("; frame-ancestors 'self' https://app.example.org")


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        ({"path": "messages"}, {}, "path='messages' is no path; it is like '/messages'"),
        ({"path": ""}, {}, "path='' is no path"),
        ({"path": "/messages?x"}, {}, "is no path"),
        ({"api": "https://chat.example.org/api"}, {}, "api='https://chat.example.org/api' is no path"),
        ({"sign_in": "javascript:alert(1)"}, {}, "sign_in=: 'javascript:alert(1)' is neither a path, like '/login'"),
        ({"sign_in": "//evil.example/login"}, {}, "is neither a path"),
        ({"sign_out": "logout"}, {}, "sign_out=: 'logout' is neither a path"),
        ({}, {"sign_in_url": "login page"}, "sign_in_url (TIDINGS_SIGN_IN_URL): 'login page' is neither a path"),
        ({}, {"frame_ancestors": ("*",)}, "frame_ancestors (TIDINGS_FRAME_ANCESTORS): '*' is not an origin"),
        ({}, {"frame_ancestors": ("https://a.example; script-src *",)}, "is not an origin as a browser writes it"),
    ],
)
def test_an_address_that_cannot_be_is_told_at_the_start(
    tmp_path: Path, arguments: dict[str, Any], settings: dict[str, object], sentence: str
) -> None:
    """By a sentence that names the argument or the setting."""
    config = Config(db=f"sqlite:///{tmp_path}/page.db", **settings)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError) as refusal:
        Tidings(config, user=cookie_user).page(**arguments)
    assert sentence in str(refusal.value)


def test_the_page_tells_where_one_signs_in(tmp_path: Path) -> None:
    """The argument, else the setting; with tokens alone the page takes those."""
    config = Config(
        db=f"sqlite:///{tmp_path}/page.db", sign_in_url="https://id.example.org/?to={here}", secret="s" * 32
    )

    def told(tidings: Tidings, **arguments: Any) -> dict[str, str]:
        answer: dict[str, str] = (
            TestClient(Starlette(routes=tidings.page(**arguments))).get("/messages/page.json").json()
        )
        return answer

    by_setting = told(Tidings(config))
    found = {"people_search": False, "raw_ids": False}
    assert {"api": "../api/message", "sign_in": "token", "sign_in_url": config.sign_in_url, **found} == by_setting
    by_argument = told(Tidings(config, user=cookie_user), sign_in="/login?next={here}", sign_out="/logout")
    assert ("session", "/login?next={here}", "/logout") == tuple(
        by_argument[name] for name in ("sign_in", "sign_in_url", "sign_out_url")
    )


def test_a_fastapi_application_takes_the_page_beside_its_router(tmp_path: Path) -> None:
    """The routes go into ``routes=``; the page asks the dependency as every client does, and is in no OpenAPI."""
    from fastapi import FastAPI

    messages = DirectMessages(Config(db=f"sqlite:///{tmp_path}/page.db"), user=cookie_user)
    app = FastAPI(lifespan=messages.lifespan, routes=messages.page("/messages"))
    app.include_router(messages.router, prefix="/api/message")
    with TestClient(app) as client:
        assert "../api/message" == client.get("/messages/page.json").json()["api"]
        assert 200 == client.get("/messages/").status_code
        assert "/messages/" not in client.get("/openapi.json").json()["paths"]


def test_a_server_with_a_session_cookie_serves_a_page_that_asks_with_it(start_node: Callable[..., Node]) -> None:
    """``tidings serve``: in the page as in the API, with the addresses of the settings."""
    node = start_node(session_cookie="session", sign_in_url="/login", sign_out_url="/logout", frame_ancestors="self")
    told = node.http.get(f"{node.url}/page.json").json()

    assert ("api/message", "session", "/login", "/logout") == tuple(
        told[name] for name in ("api", "sign_in", "sign_in_url", "sign_out_url")
    )
    assert node.http.get(node.url).headers["content-security-policy"].endswith("frame-ancestors 'self'")
