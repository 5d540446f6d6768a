"""Text of others does not write the log: docs/run/operate.md, Logs; PROTOCOL.md 2.1.5.

A line end in a name would forge a line, an escape sequence would steer the terminal of whoever looks, a bidi override
would turn a line around. And whatever fails, neither texts nor tokens are in it.
"""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from lab.node import API, Node, Person
from lab.process import wait_for
from lab.wire import Wire

FORGED = "2031-01-01 00:00:00,000 INFO tidings.run forged"
HOSTILE = [
    f"a\r\n{FORGED}",
    f"a\n{FORGED}",
    "\x1b[2J\x1b[31mred",
    "\u202eenil eht snrut",
    "\u2066never closed",
    "\u2028next",
    "\x00",
    "\x9b31m",
    "%(secret)s %s {0} ${jndi:ldap://x}",
    "\ufeff\u200b",
]
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?:DEBUG|INFO|WARNING|ERROR) tidings\.[a-z.]+ ")


def hidden(text: str) -> list[str]:
    """Characters that do something instead of being seen."""
    return [hex(ord(each)) for each in text if each != "\n" and unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp")]


def say_everything_everywhere(node: Node, text: str) -> None:
    """In each place of a request that anybody fills, known and unknown."""
    ada = node.person("ada")
    encoded = quote(text, safe="")
    for path in (f"/{encoded}", f"/inbox/{encoded}", f"/{encoded}/{encoded}", f"/nothing/{encoded}"):
        ada.gets(path)
    for query in ("cursor", "tab", "before", "wait", "limit", "token", encoded):
        ada.gets(f"/events/me?{query}={encoded}")
    for field in ("text", "recipientId", "message_type", "client_id", "chatUserId", "reason"):
        body = {"recipientId": "ben", "text": "x", "chatUserId": "ben", "reason": "x", field: text}
        for route in ("/send", "/report"):
            ada.posts(route, body)
    raw = text.encode()
    names = (
        b"X-Request-Id",
        b"User-Agent",
        b"Referer",
        b"X-Forwarded-For",
        b"Last-Event-ID",
        b"Authorization",
        b"Host",
    )
    for name in (*names, raw):
        with Wire(node.address) as wire:
            wire.writes(
                b"GET /api/message/events/me HTTP/1.1\r\nConnection: close\r\n" + name + b": " + raw + b"\r\n\r\n"
            ).ends()
            assert b"\r\n2031" not in wire.received
            assert b"\r\nx-forged" not in wire.received.lower()
    with Wire(node.address) as wire:
        wire.writes(b"GET /" + raw + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ends()
    odd = node.person(f"odd {text}")
    assert odd.gets("/inbox/me").status_code in (200, 401)  # some of them can be a user id
    with Wire(node.address) as wire:
        head = f"GET {API}/sse/me?tab={encoded}&cursor={encoded} HTTP/1.1\r\nHost: x\r\n"
        head += f"Authorization: Bearer {odd.token}\r\n\r\n"
        wire.writes(head.encode()).hears(b"\r\n\r\n")


# shows: security/forged-lines
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_text_of_others_forges_no_line_and_hides_nothing(start_node: Callable[..., Node], log_format: str) -> None:
    """At the most talkative level, in both formats: each line is one of ours, of characters that can be seen."""
    node = start_node(log_format=log_format, log_level="debug", query_token=1, drain_window_s=0.05, sends_burst=1000)
    for text in HOSTILE:
        say_everything_everywhere(node, text)
    wait_for(lambda: node.stderr.count("stream opened") == node.stderr.count("stream ended"))
    written = node.stderr
    assert "stream opened" in written
    assert [] == hidden(written)
    for line in written.splitlines():
        if log_format == "json":
            assert {"time", "level", "logger", "event"} <= set(json.loads(line))
        else:
            assert LINE.match(line), line
    assert "Traceback" not in written


# shows: security/forged-lines
def test_text_of_others_adds_no_field_to_an_answer(alice: Person) -> None:
    """Of all that a client sends only a sane request id comes back in a field, and nothing in a sentence."""
    for bad in ("a\tb", "a;b", "a" * 65, "<script>", "a,b", "%0d%0a"):
        answer = alice.gets("/inbox/me", {"X-Request-Id": bad})
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    for path in ("/%0d%0aSet-Cookie:%20a=b", "/inbox/%0d%0aX-Forged:%201", "/x/%0d%0a%0d%0a<script>"):
        answer = alice.gets(path)
        assert {"set-cookie", "x-forged"}.isdisjoint(answer.headers)
        assert "<script>" not in answer.text
        assert "text/html" not in answer.headers["content-type"]


# shows: security/failure
def test_a_failure_of_the_server_tells_neither_text_nor_token(tmp_path: Path) -> None:
    """The database breaks under it: an answer without details, a traceback for us, and nothing private in it.
    PROTOCOL 2.1.5, 5.0.6"""
    node = Node(tmp_path, log_level="debug")
    node.start()
    try:
        fail_with_private_texts(node)
    finally:
        node.kill()


def fail_with_private_texts(node: Node) -> None:
    """Everything that needs the database, after its tables have gone."""
    ada, ben = node.person("ada"), node.person("ben")
    ada.sends(ben, "a private text")
    with sqlite3.connect(node.database) as database:
        for (table,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'm%'"
        ).fetchall():
            database.execute(f"ALTER TABLE {table} RENAME TO broken_{table}")
    database.close()
    answers = [
        ada.posts("/send", {"recipientId": "ben", "text": "another private text", "client_id": "private-key"}),
        ada.gets("/ben"),
        ada.gets("/inbox/me"),
        ada.posts("/report", {"chatUserId": "ben", "reason": "a private reason"}),
        ada.gets("/blocked/me"),
    ]
    assert [answer for answer in answers if answer.status_code >= 500]
    for answer in answers:
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        for leak in ("broken_", "no such table", "Traceback", "sqlite", ".py", str(node.directory)):
            assert leak not in answer.text
    written = node.output
    assert "private" not in written
    assert ada.token is not None
    for part in ada.token.split("."):
        assert part not in written


def test_only_the_parameter_that_logs_hide_is_a_token(start_node: Callable[..., Node]) -> None:
    """Under another spelling of its name it would be in the logs of proxies. PROTOCOL 2.1.4, 2.1.5"""
    node = start_node(query_token=1, drain_window_s=0.05)
    nobody, token = Person(node, "mallory", None), node.token("ada")
    assert 200 == nobody.gets(f"/inbox/ada?token={token}").status_code
    assert 200 == nobody.gets(f"/inbox/ada?a=b&token={token.replace('.', '%2E')}&c").status_code
    for query in (
        f"%74oken={token}",
        f"Token={token}",
        f"xtoken={token}",
        f"x=token={token}",
        f"a;token={token}",
        "token",
    ):
        assert 401 == nobody.gets(f"/inbox/ada?{query}").status_code, query
