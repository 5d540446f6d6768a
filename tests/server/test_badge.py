"""The badge of unread messages in templates of Jinja, as the document has it; Django's is in test_django.py."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from lab import postgres
from lab.process import PATIENCE_S
from lab.proxy import Proxy
from tidings import Config, Tidings

DOCUMENT = Path(__file__).parents[2] / "docs" / "embed" / "application.md"
SECTION = DOCUMENT.read_text(encoding="utf-8").split("\n## A badge in your templates\n", 1)[1]
PYTHON, JINJA = (
    SECTION.split(f"```{language}\n", 1)[1].split("\n```\n", 1)[0] for language in ("python", "html jinja")
)
SETTING = re.findall(r"`({% set .*? %})`", SECTION)[0]
AWAY = "postgresql://127.0.0.1:1/tidings"


def badge(text: str) -> str:
    return f'<span class="badge">{text}</span>' if text else ""


def test_a_jinja_page_shows_the_badge_of_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing for nobody and where all is read; the number, and 99+ where it has more digits."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "home.html").write_text(JINJA, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    host: dict[str, Any] = {}
    exec(compile(PYTHON, str(DOCUMENT), "exec", dont_inherit=True), host)
    with TestClient(host["app"]) as client:

        def shown() -> str:
            answer = client.get("/")
            assert 200 == answer.status_code
            return answer.text

        assert badge("") == shown()
        client.cookies.set("user", "ben")
        assert badge("") == shown()
        host["tidings"].send_now("ada", "ben", "<b>one</b>")
        assert badge("1") == shown()
        for number in range(2, 100):
            host["tidings"].send_now("ada", "ben", str(number))
        assert badge("99") == shown()
        host["tidings"].send_now("ada", "ben", "one more")
        assert badge("99+") == shown()


def test_an_async_environment_of_jinja_asks_by_itself(tmp_path: Path) -> None:
    """As the document says: once for a page that shows it twice."""
    environment = Environment(enable_async=True, autoescape=True)

    async def page() -> str:
        tidings = Tidings(Config(db=f"sqlite:///{tmp_path}/messages.db"), user=lambda request: None)
        async with tidings.lifespan():
            environment.globals["badge"] = tidings.badge
            environment.globals["send"] = tidings.send
            await tidings.send("ada", "ben", "one")
            template = environment.from_string(SETTING + JINJA + "{% set _ = send('ada', 'ben', 'two') %}" + JINJA)
            return await template.render_async(user="ben")

    assert badge("1") + badge("1") == asyncio.run(page())


def test_a_page_is_shown_without_a_badge_while_the_database_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """From async and from ``def`` endpoints, for an id that is none too; each reason is a line in the log, once."""
    tidings = Tidings(Config(db=AWAY), user=lambda request: None)

    async def awaits(request: Request) -> Response:
        return Response(f"[{await tidings.badge(request.query_params.get('user'))}]")

    def waits(request: Request) -> Response:
        return Response(f"[{tidings.badge_now(request.query_params.get('user'))}]")

    app = Starlette(routes=[Route("/awaits", awaits), Route("/waits", waits)], lifespan=tidings.lifespan)
    with TestClient(app) as client, caplog.at_level(logging.WARNING, "tidings.host"):
        for path in ("/awaits", "/waits", "/awaits?user=ben", "/waits?user=ben", "/waits?user=ada"):
            answer = client.get(path)
            assert (200, "[]") == (answer.status_code, answer.text)
        away = "badges are empty: unavailable: The server cannot start; its log says why."
        assert [away] == [record.message for record in caplog.records if record.name == "tidings.host"]
        assert "[]" == client.get("/waits", params={"user": "a/b"}).text
        assert "bad_user_id" in caplog.records[-1].message


def test_a_page_waits_no_longer_than_the_document_says(caplog: pytest.LogCaptureFixture) -> None:
    """A database that is there and does not answer: the badge is empty, and is back with the answers."""
    server = postgres.shared()

    async def badges() -> list[str]:
        with Proxy(("127.0.0.1", server.port)) as way:
            db = server.url(schema="badge").replace(str(server.port), str(way.address[1]))
            tidings = Tidings(Config(db=db), user=lambda request: None)
            async with tidings.lifespan():
                await tidings.send("ada", "ben", "one")
                way.stall()
                found = [await tidings.badge("ben")]
                way.restore()
                async with asyncio.timeout(PATIENCE_S):
                    while not found[-1]:
                        found.append(await tidings.badge("ben"))
                return found

    found = asyncio.run(badges())
    assert ("", "1") == (found[0], found[-1])
    said = [record.message for record in caplog.records if record.name == "tidings.host"]
    assert "badges are empty: no answer within 2 s" == said[0]
