"""Refusals, their form, and that nothing of the request stays: PROTOCOL.md 1.1, 3, 5."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from lab.node import API, Node, Person, refused


@contextmanager
def nothing_changes(*people: Person) -> Iterator[None]:
    """Within, no log grows, no conversation appears and no history changes; afterwards the server still works."""

    def state() -> list[Any]:
        return [
            (one.head(), one.inbox(), [one.history(other) for other in people if other is not one]) for one in people
        ]

    before = state()
    yield
    assert before == state()


BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "no body": (b"", 400, "not_json"),
    "not JSON": (b"recipientId=bob&text=hi", 400, "not_json"),
    "cut off": (b'{"recipientId": "bob", "text": "h', 400, "not_json"),
    "two values": (b'{"recipientId": "bob", "text": "hi"} {}', 400, "not_json"),
    "NaN": (b'{"recipientId": "bob", "text": NaN}', 400, "not_json"),
    "single quotes": (b"{'recipientId': 'bob', 'text': 'hi'}", 400, "not_json"),
    "a raw line feed in a string": (b'{"recipientId": "bob", "text": "a\nb"}', 400, "not_json"),
    "invalid UTF-8": (b'{"recipientId": "bob", "text": "\xff\xfe"}', 400, "not_utf8"),
    "Latin-1": ('{"recipientId": "bob", "text": "Zoë"}'.encode("latin-1"), 400, "not_utf8"),
    "a surrogate in UTF-8": (b'{"recipientId": "bob", "text": "\xed\xa0\x80"}', 400, "not_utf8"),
    "invalid UTF-8 in a field that nobody reads": (
        b'{"recipientId": "bob", "text": "hi", "x": "\xff"}',
        400,
        "not_utf8",
    ),
    "an array": (b'["bob", "hi"]', 400, "wrong_type"),
    "a string": (b'"hi"', 400, "wrong_type"),
    "null": (b"null", 400, "wrong_type"),
    "a number": (b"7", 400, "wrong_type"),
    "an empty object": (b"{}", 400, "missing_fields"),
    "no text": (b'{"recipientId": "bob"}', 400, "missing_fields"),
    "no recipient": (b'{"text": "hi"}', 400, "missing_fields"),
    "text null": (b'{"recipientId": "bob", "text": null}', 400, "missing_fields"),
    "text a number": (b'{"recipientId": "bob", "text": 7}', 400, "wrong_type"),
    "text an array": (b'{"recipientId": "bob", "text": ["hi"]}', 400, "wrong_type"),
    "recipient a number": (b'{"recipientId": 7, "text": "hi"}', 400, "wrong_type"),
    "recipient an object": (b'{"recipientId": {"$ne": 1}, "text": "hi"}', 400, "wrong_type"),
    "type a number": (b'{"recipientId": "bob", "text": "hi", "message_type": 1}', 400, "wrong_type"),
    "client_id a number": (b'{"recipientId": "bob", "text": "hi", "client_id": 5}', 400, "wrong_type"),
}


# shows: security/answers
@pytest.mark.parametrize(("body", "status", "code"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_body_that_cannot_be_read_is_refused(alice: Person, bob: Person, body: bytes, status: int, code: str) -> None:
    """Each with its code, and nothing stored. PROTOCOL 3.1.4, 3.1.5, 3.1.7, 5.0.1, 5.0.2, 5.0.3, 5.0.5, 5.0.6, 9.0.2"""
    bob.sends(alice, "hello")
    with nothing_changes(alice, bob):
        refused(alice.posts("/send", body.replace(b'"bob"', json.dumps(bob.id).encode())), status, code)


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\udfffb"', '"\\ud83d"', '"\\ude00\\ud83d"'])
@pytest.mark.parametrize("field", ["text", "recipientId", "client_id", "message_type"])
def test_a_lone_surrogate_is_refused_in_every_field(alice: Person, bob: Person, field: str, text: str) -> None:
    """A text that UTF-8 cannot carry would break the reader's stream, not the sender's request. PROTOCOL 3.1.6,
    5.0.5"""
    fields = {"recipientId": json.dumps(bob.id), "text": '"hi"', field: text}
    body = "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"
    with nothing_changes(alice, bob):
        answer = alice.posts("/send", body.encode())
        refused(answer, 400, answer.json()["code"])


def test_a_pair_of_surrogates_is_a_character(alice: Person, bob: Person) -> None:
    """JSON may write U+1F600 as two escapes. PROTOCOL 4.1.8"""
    answer = alice.posts("/send", f'{{"recipientId": "{bob.id}", "text": "\\ud83d\\ude00"}}'.encode())
    assert answer.json()["message"]["text"] == "\U0001f600"


def test_the_missing_fields_are_named(alice: Person) -> None:
    """As the guide's server does it. PROTOCOL 3.1.8"""
    both = refused(alice.posts("/send", {}), 400, "missing_fields")
    assert both["message"].startswith("Missing required fields: ")
    assert "recipientId" in both["message"]
    assert "text" in both["message"]
    one = refused(alice.posts("/send", {"recipientId": "bob"}), 400, "missing_fields")
    assert "recipientId" not in one["message"]
    assert "chatUserId" in refused(alice.posts("/receipts", {"read_upto": 1}), 400, "missing_fields")["message"]
    assert "chatUserId" in refused(alice.posts("/typing", {}), 400, "missing_fields")["message"]


def test_deep_nesting_does_not_hurt_the_server(alice: Person, bob: Person) -> None:
    """60 KiB of brackets are one refused request. PROTOCOL 3.1.5, 5.0.6"""
    for body in (b"[" * 60_000, b'{"a":' * 10_000, b'{"recipientId": "bob", "text": "hi", "x": ' + b"[" * 60_000):
        answer = alice.posts("/send", body)
        refused(answer, 400, answer.json()["code"])
    assert alice.sends(bob, "still here")["seq"] == 1


def test_unknown_fields_are_ignored(alice: Person, bob: Person) -> None:
    """An older server takes what a newer client sends. PROTOCOL 1.1.3"""
    message = alice.sends(bob, "hi", sender_id="mallory", seq=99, reply_to={"deep": [1, 2]}, _id="x")
    assert (alice.id, 1) == (message["sender_id"], message["seq"])


def test_an_optional_field_that_is_null_counts_as_absent(alice: Person, bob: Person) -> None:
    """As many clients write it. PROTOCOL 1.1.7"""
    message = alice.sends(bob, "hi", message_type=None, client_id=None)
    assert (message["message_type"], message["client_id"]) == ("text", None)
    assert (
        bob.posts("/receipts", {"chatUserId": alice.id, "read_upto": None, "delivered_upto": 1})
        .json()["watermarks"]
        .get("delivered_upto")
        == 1
    )


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
        "application/json; charset=iso-8859-1",
        "",
    ],
)
def test_a_body_that_is_not_declared_as_json_is_refused(alice: Person, bob: Person, content_type: str) -> None:
    """A page of another site can send none of these without asking. PROTOCOL 3.1.1, 3.1.10"""
    body = {"recipientId": bob.id, "text": "hi"}
    with nothing_changes(alice, bob):
        refused(alice.posts("/send", body, {"Content-Type": content_type}), 415, "unsupported_media_type")


def test_a_body_without_a_content_type_is_refused(node: Node, alice: Person) -> None:
    """Absent is not JSON either. PROTOCOL 3.1.1"""
    body = b'{"recipientId": "bob", "text": "hi"}'
    answer = alice.requests("POST", "/send", content=body)
    assert "content-type" not in answer.request.headers
    refused(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "Application/JSON", "application/json;v=1", "application/vnd.host+json"],
)
def test_parameters_of_the_content_type_do_not_matter(alice: Person, bob: Person, content_type: str) -> None:
    """JSON is JSON. PROTOCOL 3.1.1, 3.1.10, 3.1.11"""
    answer = alice.posts("/send", {"recipientId": bob.id, "text": "hi"}, {"Content-Type": content_type})
    assert answer.status_code == 201


def padded(recipient: str, size: int) -> bytes:
    """A send whose body has exactly this many bytes."""
    body = json.dumps({"recipientId": recipient, "text": "hi", "padding": ""}).encode()
    return body.replace(b'"padding": ""', b'"padding": "' + b"x" * (size - len(body)) + b'"')


def test_a_body_may_have_64_kib_and_not_a_byte_more(alice: Person, bob: Person) -> None:
    """The limit is inclusive. PROTOCOL 3.1.2, 3.1.3"""
    assert alice.posts("/send", padded(bob.id, 65_536)).status_code == 201
    with nothing_changes(alice, bob):
        refused(alice.posts("/send", padded(bob.id, 65_537)), 413, "too_large")
        refused(alice.posts("/send", padded(bob.id, 1_000_000)), 413, "too_large")


def test_a_body_in_chunks_has_the_same_limit(node: Node, alice: Person, bob: Person) -> None:
    """The limit does not rest on Content-Length. PROTOCOL 3.1.2, 3.1.3"""

    def post(body: bytes) -> tuple[int, str | None]:
        head = (
            f"POST {API}/send HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {alice.token}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        ).encode()
        parts = [body[start : start + 8000] for start in range(0, len(body), 8000)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        with node.exchange(head + chunks + b"0\r\n\r\n") as answer:
            return answer.status, json.loads(answer.body()).get("code")

    assert post(padded(bob.id, 65_536)) == (201, None)
    assert post(padded(bob.id, 65_537)) == (413, "too_large")


@pytest.mark.parametrize("path", ["/a/b/c", "/sse/me/more", "/inbox/me/x", "/events/me/x", "/send/now", "/"])
def test_an_unknown_route_is_not_found(alice: Person, path: str) -> None:
    """As a problem body, not as a page. PROTOCOL 3.0.1"""
    refused(alice.gets(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "taken"),
    [
        ("DELETE", "/send", "POST"),
        ("PUT", "/send", "POST"),
        ("PATCH", "/receipts", "POST"),
        ("DELETE", "/typing", "POST"),
        ("POST", "/sse/me", "GET"),
        ("POST", "/events/me", "GET"),
        ("DELETE", "/inbox/me", "GET"),
        ("POST", "/bob", "GET"),
        ("DELETE", "/bob", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(alice: Person, method: str, path: str, taken: str) -> None:
    """`Allow` names what the path takes. PROTOCOL 3.0.2"""
    answer = alice.requests(method, path, {"Content-Type": "application/json"}, b"{}")
    refused(answer, 405, "method_not_allowed")
    assert taken in [name.strip() for name in answer.headers["allow"].split(",")]


@pytest.mark.parametrize(
    "value", ["abc", "1.5", "-", "1" * 16, "1e3", "0x10", "1_0", " 1", "1 ", "+1", "\u0663", "--1", "NaN"]
)
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/bob", "before"),
        ("/bob", "after"),
        ("/bob", "limit"),
        ("/inbox/me", "before"),
        ("/inbox/me", "limit"),
        ("/events/me", "wait"),
        ("/events/me", "limit"),
    ],
)
def test_a_parameter_that_is_no_whole_number_is_refused(alice: Person, path: str, name: str, value: str) -> None:
    """Languages differ in the numbers that they read; digits are digits. PROTOCOL 1.1.5"""
    refused(alice.gets(f"{path}?{urlencode({name: value})}"), 400, "bad_parameter")


@pytest.mark.parametrize("query", ["before=%FF", "limit=1&x=%C3", "%ED%A0%80=1"])
def test_a_query_that_is_not_utf8_is_refused(alice: Person, query: str) -> None:
    """Whichever parameter it is in. PROTOCOL 1.1.9"""
    refused(alice.gets(f"/bob?{query}"), 400, "bad_parameter")
    refused(alice.gets(f"/events/me?{query}&cursor=%FF"), 400, "bad_parameter")


def test_an_empty_number_counts_as_absent(alice: Person, bob: Person) -> None:
    """As a form leaves it. PROTOCOL 1.1.8"""
    alice.sends(bob, "hi")
    assert alice.history(bob) == alice.gets(f"/{bob.id}?before=&after=&limit=").json()
    assert alice.inbox() == alice.gets("/inbox/me?before=&limit=").json()
    assert alice.events() == alice.gets("/events/me?cursor=&wait=&limit=").json()


@pytest.mark.parametrize("value", [-5, 0, 10**15 - 1, -(10**15) + 1])
def test_numbers_out_of_range_do_not_hurt(alice: Person, bob: Person, value: int) -> None:
    """`limit` and `wait` are clamped, and a `before` beyond everything is beyond everything. PROTOCOL 1.1.6"""
    alice.sends(bob, "hi")
    assert len(alice.history(bob, limit=value)["messages"]) == 1
    assert len(alice.inbox(limit=value)["conversations"]) == 1
    assert len(alice.events(first_cursor(alice), limit=value)["events"]) == 1
    for bound in ("before", "after"):
        expected = 1 if (bound == "before") == (value > 0) else 0
        assert expected == len(alice.history(bob, **{bound: value})["messages"])


def first_cursor(person: Person) -> str:
    """The cursor of position 0, which the form of PROTOCOL 6.1 lets us write."""
    epoch = person.head().rsplit("-", 2)[0]
    return f"{epoch}-0-0"


def test_answers_are_utf8_without_a_byte_order_mark(alice: Person, bob: Person) -> None:
    """Bodies of success and refusal alike. PROTOCOL 1.1.1"""
    alice.sends(bob, "Zoë 👋")
    for answer in (alice.gets(f"/{bob.id}"), alice.gets("/events/me"), alice.gets("/nobody/here/at-all")):
        assert answer.content[:1] == b"{"
        json.loads(answer.content.decode("utf-8"))
    assert json.loads(alice.gets(f"/{bob.id}").content.decode())["messages"][0]["text"] == "Zoë 👋"


def test_reading_creates_nothing(tmp_path: Path) -> None:
    """A user who only looks has no row, and neither has who is looked at. PROTOCOL 3.0.3"""
    with Node(tmp_path) as node:
        ghost = node.person("a-ghost")
        assert ghost.inbox()["conversations"] == []
        assert ghost.events()["events"] == []
        assert ghost.history("a-stranger")["messages"] == []
        with ghost.opens_stream() as stream:
            stream.live()
        refused(ghost.posts("/receipts", {"chatUserId": "a-stranger", "read_upto": 1}), 404, "unknown_message")
        ghost.types_to("a-stranger")
        node.person("ada").sends("ben", "so that there are users")
        node.stop()
    assert ["ada", "ben"] == [row["name"] for row in node.rows("SELECT name FROM users ORDER BY name")]


def test_a_hundred_refusals_leave_no_trace_in_the_log_of_the_server(tmp_path: Path) -> None:
    """A refusal is an answer, not an incident: no traceback, and no text of the caller. PROTOCOL 5.0.6"""
    with Node(tmp_path) as node:
        ada = node.person("ada")
        for body, status, code in BAD_BODIES.values():
            refused(ada.posts("/send", body), status, code)
            refused(Person(node, "ada", "dead").posts("/send", body), 401, "unauthorized")
        assert ada.sends("ben", "hi")["seq"] == 1
