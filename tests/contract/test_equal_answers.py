"""A node on PostgreSQL answers what no well-meaning client sends with the bytes with which one on SQLite answers it.

Texts, names, ids and numbers from the edges of what the two engines can hold: NUL, half surrogates, characters of four
bytes, what differs by case or normal form alone, numbers beyond 32 and 64 bits, pages of nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from lab.deployment import DEPLOYMENTS, SQLITE
from lab.node import Node, Person

Pair = tuple[Node, Node]

_DRAWN = re.compile(
    r'"m[0-9a-f]{7,22}"|\d{4}-\d\d-\d\dT[0-9:.]+Z|(?<=")[0-9a-z]{1,32}-(?=\d+-[0-9a-f]+")|-[0-9a-f]+(?=")'
)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One on each engine."""
    folder = tmp_path_factory.mktemp("equal")
    many: dict[str, Any] = dict.fromkeys(
        ("sends_per_s", "sends_burst", "signals_per_s", "new_conversations_per_h", "message_types"), 1_000_000
    )
    many["message_types"] = "image"
    urls = [each.db(folder / "x.db") for each in (SQLITE, DEPLOYMENTS["postgres"])]
    with Node(folder / "1", db=urls[0], **many) as one, Node(folder / "2", db=urls[1], **many) as other:
        yield one, other


def same(nodes: Pair, user: str, method: str, path: str, body: object = None) -> str:
    """Ask both nodes; the answer of both, without what chance and clock give."""
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    answers = []
    for node in nodes:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        answer = Person(node, user, node.token(user)).requests(method, path, headers, content)
        answers.append((answer.status_code, _DRAWN.sub('"_"', answer.text)))
    assert answers[0] == answers[1]
    assert answers[0][0] < 500, answers[0]
    return f"{answers[0][0]} {answers[0][1]}"


TEXTS = {
    "NUL": "a\0b",
    "a word that means NUL": "a\\u0000b",
    "other controls": "a\x01\x1f",
    "allowed controls": "a\t\r\nb\x7f\x80\x85",
    "half a surrogate pair": b'"a\\ud800b"',
    "the halves in the wrong order": b'"\\udc00\\ud800"',
    "four bytes": "😀\U0010ffff\U0001f469\u200d\U0001f467",
    "no character": "\ufffe\uffff\ufdd0",
    "a byte order mark": "\ufeffa\ufeff",
    "directions": "\u202ea\u2066b\u2069",
    "composed": "é",
    "decomposed": "e\u0301",
    "spaces": "  a  ",
    "nothing but spaces": " \u00a0\u2003\u3000\u2028",
    "separators of lines": "\u2028\u2029",
    "words of a database": "'; DROP TABLE users; --$1 %s {} \\x00 \\N NULL",
    "as long as may be": "\U0001f600" * 4096,
    "as long as may be, of one byte": "x" * 16384,
    "a byte longer": "x" * 16385,
    "a number": 7,
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_kept_or_refused_alike(nodes: Pair, name: str) -> None:
    """And what is kept comes back as it came: in the history, the inbox, the log and a report's refusal."""
    text, peer = TEXTS[name], f"peer {name}"
    raw = text if isinstance(text, bytes) else json.dumps(text).encode()
    answer = same(nodes, "ann", "POST", "/send", b'{"recipientId": "%s", "text": %s}' % (peer.encode(), raw))
    history = same(nodes, "ann", "GET", f"/{quote(peer)}")
    assert answer.startswith("201") == ('"seq":1' in history)
    if answer.startswith("201"):
        (message,) = nodes[1].person("ann").history(peer)["messages"]
        assert text == message["text"]
    same(nodes, peer, "GET", "/inbox/me")
    same(nodes, peer, "GET", "/events/me")
    same(nodes, "ann", "POST", "/report", b'{"chatUserId": "x", "reason": %s}' % raw)


NAMES = [
    "Ann", "ANN", "ann ", " ann", "ann\u200b", "\ufeffann", "é", "e\u0301", "ß", "ss", "İ", "i\u0307", "ﬁ", "fi", "가",
    "\u1100\u1161", "😀", "\U0010ffff", "\uffff", "\U0001f600" * 128, "x" * 128, "x" * 129, "a\0b", "a\x7fb", "a\x85b",
    "a%00b", "a'b", 'a"b', "a{b},NULL", "NULL", "\\N", ".", "me", "_", "%", "$1",
]  # fmt: skip


def test_names_that_are_almost_alike_are_other_people_or_refused_alike(nodes: Pair) -> None:
    """No collation, normal form or case makes two names one; pages have them in one order."""
    for name in NAMES:
        same(nodes, "bea", "POST", "/send", {"recipientId": name, "text": "hi", "client_id": f"{NAMES.index(name)}"})
        same(nodes, "bea", "POST", "/receipts", {"chatUserId": name, "read_upto": 1})
        same(nodes, "bea", "POST", "/block", {"chatUserId": name})
        same(nodes, "bea", "GET", f"/{quote(name, safe='')}")
    for path in ("/inbox/me?limit=100", "/blocked/me?limit=100", "/events/me?limit=500"):
        same(nodes, "bea", "GET", path)
    known = [each["user"]["id"] for each in nodes[1].person("bea").inbox(limit=100)["conversations"]]
    assert len(known) == len(set(known)) > 20
    for name in known:
        same(nodes, name, "GET", "/inbox/me")


CLIENT_IDS = [
    "k",
    "K",
    "k ",
    "",
    " ",
    "x" * 128,
    "x" * 129,
    "x" * 64,
    "x" * 65,
    "é",
    "a\0b",
    "a\x7f",
    "'",
    "\\",
    None,
    7,
    "😀",
]


def test_client_ids_are_told_apart_alike(nodes: Pair) -> None:
    """By every byte; the same again gives the same message, of another content a conflict."""
    for text in ("one", "one", "another"):
        for client_id in CLIENT_IDS:
            same(nodes, "cas", "POST", "/send", {"recipientId": "ben", "text": text, "client_id": client_id})
    same(nodes, "cas", "GET", "/ben?limit=100")


NUMBERS = [
    "0", "1", "2", "-1", "2147483647", "2147483648", "4294967296", "9007199254740991", "9007199254740992",
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e3", "1.0", "1.5", "-0", "1e400",
    "1" + "0" * 400, "true", '"1"', "null", "[]",
]  # fmt: skip


def test_numbers_of_any_size_are_answered_alike(nodes: Pair) -> None:
    """In bodies, queries and cursors: no number is beyond what an engine was asked for."""
    for sender, recipient in (("dan", "eve"), ("eve", "dan"), ("dan", "eve")):
        same(nodes, sender, "POST", "/send", {"recipientId": recipient, "text": "hi"})
    for number in NUMBERS:
        for field in ("read_upto", "delivered_upto"):
            same(nodes, "eve", "POST", "/receipts", f'{{"chatUserId": "dan", "{field}": {number}}}'.encode())
        body = f'{{"chatUserId": "dan", "reason": "x", "seq": {number}}}'
        same(nodes, f"of {number[:20]}", "POST", "/report", body.encode())
        for path in (
            "/eve?before=",
            "/eve?after=",
            "/eve?limit=",
            "/inbox/me?before=",
            "/inbox/me?limit=",
            "/blocked/me?before=",
        ):
            same(nodes, "dan", "GET", path + quote(number))
        for node_cursor in ("0-{}-0", "x-{}-1"):
            same(nodes, "dan", "GET", "/events/me?cursor=" + quote(node_cursor.format(number)))
        answers = []
        for node in nodes:
            dan = node.person("dan")
            epoch = dan.head().partition("-")[0]
            answer = dan.gets("/events/me", cursor=f"{epoch}-{number}-0")
            answers.append((answer.status_code, _DRAWN.sub('"_"', answer.text)))
        assert answers[0] == answers[1]


def test_pages_of_nothing_are_alike(nodes: Pair) -> None:
    """Of somebody never seen, about somebody never seen, and beyond the end."""
    for path in (
        "/inbox/me",
        "/events/me",
        "/blocked/me",
        "/nobody",
        "/nobody?before=1",
        "/nobody?after=5",
        "/inbox/me?before=1",
    ):
        same(nodes, "ghost", "GET", path)
    for path, body in {
        "/receipts": {"chatUserId": "nobody", "read_upto": 1},
        "/unblock": {"chatUserId": "nobody"},
        "/typing": {"chatUserId": "nobody"},
        "/presence": {"chatUserId": "nobody"},
        "/report": {"chatUserId": "nobody", "reason": "x", "seq": 1},
    }.items():
        same(nodes, "ghost", "POST", path, body)
