"""Finding people to write to, by the host's own search. PROTOCOL.md 21."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lab.node import refused
from tests.contract.mounted import Host
from tidings.server.host import functions

MARY: dict[str, str | None] = {
    "id": "mary",
    "name": "Mary Moe",
    "avatar_url": "https://example.org/mary.png",
    "about": "Books, Bergen",
}
MAX: dict[str, str | None] = {"id": "max", "name": "Max", "avatar_url": "/pictures/max.png", "about": None}


def finding(*people: Any) -> dict[str, Any]:
    return {"search_people": lambda _user, _text: list(people)}


def test_a_search_finds_whom_the_host_tells_of_and_nobody_else(start_host: Callable[..., Host]) -> None:
    """The host gets the caller and the trimmed text in NFC; its answer is told in its order. PROTOCOL 21.0.2"""
    asked = []

    async def search_people(user: str, text: str) -> list[dict[str, str | None]]:
        asked.append((user, text))
        return [MARY, MAX] if text == "ma" else []

    host = start_host({"search_people": search_people})
    assert {"success": True, "q": "ma", "people": [MARY, MAX]} == host.gets("ada", "/people", q=" ma ")
    assert [] == host.gets("ada", "/people", q="Zoe\u0308 % _")["people"]
    assert [("ada", "ma"), ("ada", "Zo\u00eb % _")] == asked
    assert [] == host.asked, "people() is for conversations"
    answer = host.client.get("/dm/people", params={"q": "ma"})
    refused(answer, 401, "unauthorized")


# shows: security/listing-people
def test_a_search_tells_of_twenty_people_at_most_and_not_of_the_caller(start_host: Callable[..., Host]) -> None:
    """Each once, however many the host tells of. PROTOCOL 21.0.2, 21.0.3"""
    everybody = [{"id": f"u{number}"} for number in range(40)]
    host = start_host(finding({"id": "ada", "name": "Ada"}, MARY, MARY, *everybody))
    found = host.gets("ada", "/people", q="u")["people"]
    assert ["mary", *(f"u{number}" for number in range(19))] == [person["id"] for person in found]
    assert {"id": "u0", "name": "u0", "avatar_url": None, "about": None} == found[1]


def test_without_a_search_there_is_none(start_host: Callable[..., Host]) -> None:
    """A client that is told so need not ask again. PROTOCOL 21.0.1"""
    host = start_host()
    for text in ("ma", "", "x" * 65):
        answer = host.client.get("/dm/people", params={"q": text}, headers={"x-user": "ada"})
        refused(answer, 404, "no_people_search")


@pytest.mark.parametrize("functions_of_host", [{}, finding(MARY)], ids=["without a search", "with one"])
def test_a_user_called_people_has_a_history(start_host: Callable[..., Host], functions_of_host: dict[str, Any]) -> None:
    """The path is theirs where no ``q`` is in the query. PROTOCOL 21.0.9, 2.2.5"""
    host = start_host({"people": None, **functions_of_host})
    assert 201 == host.writes("ada", "people").status_code
    assert 201 == host.writes("people", "ada", text="hello").status_code
    assert ["hi", "hello"] == [message["text"] for message in host.gets("ada", "/people")["messages"]]
    assert ["hello"] == [message["text"] for message in host.gets("ada", "/people", limit=1)["messages"]]


def test_a_text_has_1_to_64_characters_and_no_control_characters(start_host: Callable[..., Host]) -> None:
    """Counted without the space around them; the host is not asked for others. PROTOCOL 21.0.4"""
    asked: list[str] = []
    host = start_host({"search_people": lambda _user, text: asked.append(text)})
    for text in ("", "  \u00a0", "x" * 65, "a\0b", "a\nb", "a\u0085b"):
        refused(host.client.get("/dm/people", params={"q": text}, headers={"x-user": "ada"}), 422, "bad_query")
    refused(host.client.get("/dm/people?q=%ff", headers={"x-user": "ada"}), 400, "bad_parameter")
    assert [] == asked
    texts = ["x", "\N{GRINNING FACE}" * 64, "' OR 1=1 --"]
    for text in texts:
        assert [] == host.gets("ada", "/people", q=f" {text} ")["people"]
    assert texts == asked


ODD_PEOPLE: list[Any] = [
    {"id": 7, "name": "Mallory"}, {"id": "", "name": "x"}, {"id": "a/b", "name": "x"}, {"id": "me", "name": "x"},
    {"id": "x" * 129}, {"name": "nobody"}, {"id": "x", "name": 7}, {"id": "x", "name": " "},
    {"id": "x", "name": "y" * 201}, {"id": "x", "name": "two\nlines"}, ("x", "X"), "x", None,
]  # fmt: skip
ODD_FIELDS: dict[str, list[Any]] = {
    "avatar_url": [
        "http://example.org/x.png", "javascript:alert(1)", "data:image/png;base64,AAAA", "//evil.example/x.png",
        "/\\evil.example/x.png", "x.png", "", "https://example.org/a b", "https://example.org/" + "x" * 2048, 7,
    ],
    "about": ["", "x" * 201, "two\nlines", 7],
}  # fmt: skip


def test_a_person_that_a_screen_cannot_show_is_left_out(
    start_host: Callable[..., Host], caplog: pytest.LogCaptureFixture
) -> None:
    """With one line in the log, which repeats nothing of it. PROTOCOL 21.0.5"""
    told: list[Any] = []
    host = start_host({"search_people": lambda _user, _text: told})
    for odd in ODD_PEOPLE:
        told[:] = odd, odd, MARY
        caplog.clear()
        assert [MARY] == host.gets("ada", "/people", q="x")["people"], odd
        (line,) = [record.message for record in caplog.records if record.name == "tidings.host"]
        assert "search_people() of the host application: left out 2 times: " in line
        assert "Mallory" not in line


def test_what_else_a_screen_cannot_take_is_null(
    start_host: Callable[..., Host], caplog: pytest.LogCaptureFixture
) -> None:
    """The person is found all the same. PROTOCOL 21.0.6"""
    told: list[Any] = []
    host = start_host({"search_people": lambda _user, _text: told})
    for field, values in ODD_FIELDS.items():
        for value in values:
            told[:] = [{**MARY, field: value}]
            caplog.clear()
            assert [{**MARY, field: None}] == host.gets("ada", "/people", q="x")["people"], value
            assert any("left out 1 times" in record.message for record in caplog.records)


async def never(_user: str, _text: str) -> list[dict[str, str | None]]:
    await asyncio.Event().wait()
    return []


def fails(_user: str, _text: str) -> list[dict[str, str | None]]:
    raise LookupError("members")


@pytest.mark.parametrize(
    "search_people", [never, fails, lambda *_: "mary", lambda *_: 7, lambda *_: {"mary": MARY}, lambda *_: {"mary"}]
)
def test_a_search_that_does_not_answer_is_not_an_empty_list(
    start_host: Callable[..., Host], search_people: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that fails, nor one that is too slow, nor one that answers something else. PROTOCOL 21.0.7, 5.0.6"""
    monkeypatch.setattr(functions, "HOST_CALL_MAX_S", 0.05)
    host = start_host({"search_people": search_people})
    refused(host.client.get("/dm/people", params={"q": "m"}, headers={"x-user": "ada"}), 503, "unavailable")


def test_a_block_changes_nothing_in_what_is_found(start_host: Callable[..., Host]) -> None:
    """In neither direction: it would tell the blocked one. PROTOCOL 21.0.8"""
    host = start_host(finding({"id": "ada"}, {"id": "ben"}, {"id": "eve"}))
    before = [host.gets(user, "/people", q="x") for user in ("ada", "ben", "eve")]
    assert 200 == host.posts("ben", "/block", chatUserId="ada").status_code
    assert before == [host.gets(user, "/people", q="x") for user in ("ada", "ben", "eve")]


# shows: security/listing-people
def test_searches_have_a_rate_of_their_own(start_host: Callable[..., Host]) -> None:
    """For each user, and whatever the host answers; the host is not asked beyond it. PROTOCOL 14.0.32, 14.0.5"""
    asked: list[str] = []

    def search_people(user: str, _text: str) -> list[dict[str, str | None]]:
        asked.append(user)
        raise LookupError

    host = start_host({"search_people": search_people}, people_searches_per_min=3)
    statuses = [
        host.client.get("/dm/people", params={"q": "m"}, headers={"x-user": "eve"}).status_code for _ in range(5)
    ]
    assert [503, 503, 503, 429, 429] == statuses
    assert ["eve"] * 3 == asked
    refused(host.client.get("/dm/people", params={"q": "m"}, headers={"x-user": "eve"}), 429, "rate_limited")
    assert 503 == host.client.get("/dm/people", params={"q": "m"}, headers={"x-user": "ada"}).status_code
    assert 201 == host.writes("eve", "ben").status_code
