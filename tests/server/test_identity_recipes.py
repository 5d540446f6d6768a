"""The recipes of docs/embed/access.md, identity.md and people.md do what they say, as they stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lab import postgres
from lab.node import Node, Person, refused
from tidings.server.identity import jwks, tokens

DOCS = Path(__file__).parents[2] / "docs" / "embed"
SECRET = "at-least-32-bytes-from-your-configuration"


def recipe(document: str, heading: str, places: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the names that the first Python snippet below this heading defines, with these texts in place of those."""
    text = (DOCS / document).read_text(encoding="utf-8").split(f"# {heading}\n", 1)[1]
    found = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    code = found[1]
    for name, place in (places or {}).items():
        assert name in code
        code = code.replace(name, place)
    defined: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(code, document, "exec", dont_inherit=True), defined)
    return defined


class Application:
    """An application that has a recipe in it; its people write with tokens of its secret."""

    def __init__(self, tidings: Any) -> None:
        self.client = TestClient(Starlette(routes=tidings.routes("/chat"), lifespan=tidings.lifespan))

    def __enter__(self) -> Application:
        self.client.__enter__()
        return self

    def __exit__(self, *problem: Any) -> None:
        self.client.__exit__(*problem)

    def headers(self, user: str) -> dict[str, str]:
        token = jwt.encode({"sub": user, "exp": 9_999_999_999, "iat": 1_700_000_000}, SECRET, "HS256")
        return {"Authorization": f"Bearer {token}"}

    def send(self, sender: str, recipient: str, **fields: str) -> httpx2.Response:
        body = {"recipientId": recipient, "text": "hello", **fields}
        answer: httpx2.Response = self.client.post("/chat/send", json=body, headers=self.headers(sender))
        return answer

    def outcome(self, sender: str, recipient: str, **fields: str) -> int:
        answer = self.send(sender, recipient, **fields)
        if answer.status_code == 403:
            refused(answer, 403, "not_allowed")
        return answer.status_code


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the recipes' databases are where they are run


def test_may_send_decides_about_writing() -> None:
    """One direction is refused, and what the host's code sends is not asked."""
    tidings = recipe("access.md", "may_send")["tidings"]
    with Application(tidings) as application:
        assert [403, 201, 201] == [
            application.outcome(*pair) for pair in (("eve", "ada"), ("ada", "eve"), ("eve", "ben"))
        ]


def test_only_matched_users_write_to_each_other() -> None:
    """Both ways while the match lasts; what was written stays readable."""
    defined = recipe("access.md", "Matched users only")
    with Application(defined["tidings"]) as application:
        assert 403 == application.outcome("ada", "ben")
        defined["MATCHES"].add(frozenset({"ada", "ben"}))
        assert [201, 201] == [application.outcome("ada", "ben"), application.outcome("ben", "ada")]
        assert 403 == application.outcome("ada", "carl")
        defined["MATCHES"].clear()
        assert [403, 403] == [application.outcome("ada", "ben"), application.outcome("ben", "ada")]
        assert 2 == len(application.client.get("/chat/ben", headers=application.headers("ada")).json()["messages"])


def test_a_message_request_opens_when_it_is_answered() -> None:
    """Three messages, also if they are repeats of one, then none before the other side has written."""
    defined = recipe("access.md", "Message requests")
    with Application(defined["tidings"]) as application:
        repeats = [application.outcome("ada", "ben", client_id="1") for _ in range(3)]
        assert [201, 201, 201, 403] == [*repeats, application.outcome("ada", "ben")]
        assert 1 == len(application.client.get("/chat/ada", headers=application.headers("ben")).json()["messages"])
        assert 201 == application.outcome("carl", "ben")
        assert 201 == application.outcome("ben", "ada")
        assert [201] * 5 == [application.outcome("ada", "ben") for _ in range(5)]


def test_members_are_found_by_a_query_of_sqlalchemy() -> None:
    """A part of a name in any case, of those who want to be found; ``%`` is a letter; the caller is not found."""
    database = postgres.shared().url().replace("postgresql:", "postgresql+asyncpg:")
    defined = recipe("people.md", "SQLAlchemy", {"postgresql+asyncpg://app@localhost/app": database})
    people = [("Ada", None, True), ("Mary Moe", "Bergen", True), ("Max 100%", None, True), ("Mallory", None, False)]

    async def begin() -> None:
        async with defined["engine"].begin() as connection:
            await connection.run_sync(defined["Base"].metadata.drop_all)
            await connection.run_sync(defined["Base"].metadata.create_all)
        async with defined["new_session"].begin() as session:
            for name, town, is_listed in people:
                session.add(defined["Member"](name=name, town=town, picture=None, is_listed=is_listed))

    with Application(defined["tidings"]) as application:
        portal = application.client.portal
        assert portal is not None
        portal.call(begin)

        def found(text: str) -> list[tuple[str, str | None]]:
            answer = application.client.get("/chat/people", params={"q": text}, headers=application.headers("1"))
            return [(person["name"], person["about"]) for person in answer.json()["people"]]

        assert [("Mary Moe", "Bergen")] == found("mary")
        assert [("Mary Moe", "Bergen"), ("Max 100%", None)] == found("m")
        assert [("Max 100%", None)] == found("%")
        assert [("Mary Moe", "Bergen"), ("Max 100%", None)] == found("a")
        portal.call(defined["engine"].dispose)


def test_a_token_of_ones_own_is_taken(start_node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the identity page signs it; the name is shown."""
    node = start_node()
    monkeypatch.setenv("TIDINGS_SECRET", node.environment()["TIDINGS_SECRET"])
    token = recipe("identity.md", "Tokens of your own")["chat_token"]("ada", "Ada Lovelace")

    Person(node, "ada", token).sends("ben", "hi")
    assert ["Ada Lovelace"] == [each["user"]["name"] for each in node.person("ben").inbox()["conversations"]]


def test_the_hosts_own_code_signs_somebody_out() -> None:
    """In the event loop that serves the requests."""
    defined = recipe("identity.md", "Sign somebody out")
    with Application(defined["tidings"]) as application:
        assert 201 == application.outcome("ada", "ben")
        assert application.client.portal is not None
        application.client.portal.call(defined["shut_out"], "ada")
        refused(application.send("ada", "ben"), 401, "unauthorized")
        assert 201 == application.outcome("ben", "ada")


def test_the_sentences_of_refusals_are_those_of_the_server() -> None:
    """The identity page explains each by the words that a developer sees."""
    source = Path(tokens.__file__).read_text() + Path(jwks.__file__).read_text()
    said = source.replace("{self.user_claim}", "sub")
    explained = re.findall(r"^\| `(The token.*?)` \|", (DOCS / "identity.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert 10 == len(explained)
    assert [] == [sentence for sentence in explained if sentence not in said]
