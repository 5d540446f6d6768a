"""Answers of the API on a raw connection: written in one piece where that is right, and right where it is not."""

from __future__ import annotations

import pytest

from lab.node import API, Node, Person
from lab.wire import Wire

BODY = b'{"recipientId":"bob","text":"hello"}'


def send(alice: Person, *fields: str, method: str = "POST", version: str = "1.1", body: bytes = BODY) -> bytes:
    head = [f"{method} {API}/send HTTP/{version}", "Host: x", f"Authorization: Bearer {alice.token}"]
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("version", "fields"),
    [("1.1", ["Connection: close"]), ("1.0", []), ("1.1", ["Connection: close", "Expect: 100-continue"])],
    ids=["to be closed", "HTTP/1.0", "expecting 100"],
)
def test_a_connection_that_is_not_kept_is_answered_and_closed(
    node: Node, alice: Person, version: str, fields: list[str]
) -> None:
    """The answer says so (RFC 9112 9.6)."""
    with Wire(node.address) as wire:
        wire.writes(send(alice, *fields, version=version)).ends()
    assert 201 == wire.statuses[-1]
    assert b"connection: close\r\n" in wire.received
    assert wire.received.endswith(b"}}")


def test_a_kept_connection_is_answered_in_order(node: Node, alice: Person) -> None:
    """Requests that follow each other without waiting (RFC 9112 9.3.2); each answer has its length."""
    with Wire(node.address) as wire:
        wire.writes(send(alice) + send(alice, body=b"[]") + send(alice, "Connection: close")).ends()
    assert [201, 400, 201] == wire.statuses


def test_a_head_request_gets_no_body(node: Node, alice: Person) -> None:
    """RFC 9110 9.3.2: the next answer begins where its head ends."""
    with Wire(node.address) as wire:
        wire.writes(send(alice, method="HEAD", body=b"")).hears(b"\r\n\r\n")
        wire.writes(send(alice, "Connection: close")).ends()
    assert [405, 201] == wire.statuses
    assert b"\r\n\r\nHTTP/1.1 201" in wire.received


def test_a_client_that_asks_first_is_told_to_send_the_body(node: Node, alice: Person) -> None:
    """RFC 9110 10.1.1: Expect: 100-continue, and the body after it."""
    request = send(alice, "Expect: 100-continue")
    with Wire(node.address) as wire:
        wire.writes(request.removesuffix(BODY)).hears(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.writes(BODY).hears(b"}}")
    assert [100, 201] == wire.statuses
