"""A refusal leaves a line for the operator of the server: who, from where, what and why; and no more lines than a disk
can take."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lab.node import Node, Person, refused
from lab.process import wait_for
from tidings.server.identity.refusals import REFUSAL_LINES_BURST, REFUSAL_LINES_OF_ALL_BURST


def refusals(node: Node) -> list[dict[str, Any]]:
    """The lines of refusals so far."""
    lines = [json.loads(line) for line in node.stderr.splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if line["event"] == "refused"]


def seen(node: Node, user: str, count: int = 1) -> list[dict[str, Any]]:
    """The lines of this user, once there are so many."""

    def enough() -> list[dict[str, Any]] | None:
        found = [line for line in refusals(node) if line["user"] == user]
        return found if len(found) >= count else None

    return wait_for(enough)


@pytest.fixture(scope="module")
def logging_node(start_node: Callable[..., Node]) -> Node:
    """A node behind a proxy on this machine, that writes JSON."""
    return start_node(log_format="json", sends_per_s=0.01, sends_burst=3)


FROM = {"X-Forwarded-For": "203.0.113.7"}


def test_a_token_that_is_refused_leaves_a_line(logging_node: Node) -> None:
    """With the address and no word of the token; of one that was good the user is known. PROTOCOL 2.1.5"""
    forged = logging_node.token("mallory", secret="another secret, and long enough for HS256")
    refused(Person(logging_node, "mallory", forged).gets("/sse/me", FROM), 401, "unauthorized")
    (line,) = seen(logging_node, "")
    assert ("info", 401, "unauthorized", "/sse/{me}", "203.0.113.7") == tuple(
        line[name] for name in ("level", "status", "code", "route", "address")
    )
    expired = logging_node.token("late", ttl_s=-60)
    refused(Person(logging_node, "late", expired).posts("/send", b"{}", FROM), 401, "unauthorized")
    assert [("/send", 401)] == [(line["route"], line["status"]) for line in seen(logging_node, "late")]
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}):  # on the machine itself, past its proxy and through it
        refused(
            Person(logging_node, "near", logging_node.token("near", ttl_s=-60)).posts("/typing", b"{}", headers),
            401,
            "unauthorized",
        )
    assert ["127.0.0.1"] * 2 == [line["address"] for line in seen(logging_node, "near", 2)]
    for token in (forged, expired):
        assert not [part for part in token.split(".") if part in logging_node.output]


# shows: security/refusals
def test_a_refusal_of_a_user_leaves_a_line(logging_node: Node) -> None:
    """Another's log, a block, a client_id that was used, too many sends; never the text, or a path as it was sent."""
    eve, ben = logging_node.person("eve"), logging_node.person("ben")
    private = {"recipientId": "ben", "text": "a private text", "client_id": "k1"}
    assert 201 == eve.posts("/send", private, FROM).status_code
    refused(eve.gets("/events/somebody-else", FROM), 403, "not_yours")
    refused(eve.posts("/send", {**private, "text": "another private text"}, FROM), 409, "client_id_reused")
    ben.posts("/block", {"chatUserId": "eve"})
    refused(eve.posts("/send", {**private, "client_id": "k2"}, FROM), 403, "not_allowed")
    refused(eve.posts("/send", {**private, "client_id": "k3"}, FROM), 429, "rate_limited")
    refused(eve.posts("/send", b"not json", FROM), 400, "not_json")
    assert [
        (403, "not_yours", "/events/{me}", "203.0.113.7"),
        (409, "client_id_reused", "/send", "203.0.113.7"),
        (403, "not_allowed", "/send", "203.0.113.7"),
        (429, "rate_limited", "/send", "203.0.113.7"),
    ] == [tuple(line[n] for n in ("status", "code", "route", "address")) for line in seen(logging_node, "eve", 4)]
    assert not [word for word in ("private", "somebody-else") if word in logging_node.output]


# shows: security/refusals
def test_a_flood_of_refusals_is_no_flood_of_lines(start_node: Callable[..., Node]) -> None:
    """A few of one user or address, a hundred of all; a line says how many were left out, the metric counts all."""
    node = start_node(log_format="json")
    eve = node.person("eve")
    for _ in range(3 * REFUSAL_LINES_BURST):
        refused(eve.gets("/events/ben"), 403, "not_yours")
    refused(node.person("zoe").gets("/events/ben"), 403, "not_yours")
    lines = seen(node, "zoe")
    assert 2 * REFUSAL_LINES_BURST - 1 <= lines[-1]["left_out"] <= 2 * REFUSAL_LINES_BURST
    assert REFUSAL_LINES_BURST <= len(seen(node, "eve")) <= REFUSAL_LINES_BURST + 1
    for number in range(2 * REFUSAL_LINES_OF_ALL_BURST):
        Person(node, "x", "not a token").gets(
            "/inbox/me", {"X-Forwarded-For": f"198.51.{number % 250}.{number // 250}"}
        )
    total = f'tidings_refused_total{{code="unauthorized"}} {2 * REFUSAL_LINES_OF_ALL_BURST}.0\n'
    assert total in node.http.get(f"{node.url}/metrics").text
    assert len(refusals(node)) < 2 * REFUSAL_LINES_OF_ALL_BURST


def test_at_the_most_talkative_level_the_request_s_own_line_says_it(start_node: Callable[..., Node]) -> None:
    """One line a request, whatever the level."""
    node = start_node(log_format="json", log_level="debug")
    refused(node.person("eve").gets("/events/ben", FROM), 403, "not_yours")

    def about() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in node.stderr.splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if line.get("route") == "/events/{me}"]

    wait_for(about)
    assert [("request", 403, "not_yours", "eve", "203.0.113.7")] == [
        tuple(line[name] for name in ("event", "status", "code", "user", "address")) for line in about()
    ]
