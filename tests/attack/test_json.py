"""Bodies that hurt parsers, to every route that takes one: PROTOCOL.md 3.1."""

from __future__ import annotations

import gzip
import json
import time

import pytest

from lab.node import Node, Person, refused
from tests.attack.routes import BODIES

DEEP = 30_000

HOSTILE: dict[str, bytes] = {
    "arrays in arrays": b'{"chatUserId": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "objects in objects, never closed": b'{"x":' * 12_000,
    "nesting in a field that nobody reads": b'{"chatUserId": "PEER", "x": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a number of 60,000 digits": b'{"chatUserId": "PEER", "read_upto": ' + b"9" * 60_000 + b"}",
    "a number beyond every float": b'{"chatUserId": "PEER", "read_upto": 1e999999999}',
    "a number that is nearly nothing": b'{"chatUserId": "PEER", "read_upto": 1e-999999999}',
    "a whole number written as a float": b'{"chatUserId": "PEER", "read_upto": 1.0}',
    "2^63": b'{"chatUserId": "PEER", "read_upto": 9223372036854775808, "seq": 9223372036854775808, "reason": "x"}',
    "-2^63 - 1": b'{"chatUserId": "PEER", "read_upto": -9223372036854775809, "seq": -1, "reason": "x"}',
    "infinity": b'{"chatUserId": "PEER", "read_upto": Infinity}',
    "not a number": b'{"chatUserId": "PEER", "seq": NaN, "reason": "x"}',
    "a number in hex": b'{"chatUserId": "PEER", "read_upto": 0x1}',
    "a number with a leading zero": b'{"chatUserId": "PEER", "read_upto": 01}',
    "a byte order mark": b'\xef\xbb\xbf{"chatUserId": "PEER"}',
    "UTF-16": '{"chatUserId": "PEER"}'.encode("utf-16"),
    "overlong UTF-8": b'{"chatUserId": "\xc0\xaf\xc0\xae"}',
    "a comment": b'{"chatUserId": "PEER" /* x */}',
    "a comma too many": b'{"chatUserId": "PEER",}',
    "NUL after it": b'{"chatUserId": "PEER"}\x00',
    "names that are none": b'{"__proto__": {"chatUserId": "PEER"}, "constructor": {"prototype": 1}}',
    "20,000 fields": b"{" + b",".join(b'"%x":1' % number for number in range(7000)) + b"}",
    "the same field 5,000 times": b"{" + b",".join([b'"a":{}'] * 5000) + b"}",
    "a body in gzip": gzip.compress(b'{"chatUserId": "PEER"}' + b" " * 40_000_000),
    "nothing but white space": b" \n\t" * 20_000,
    "nothing but quotes": b'"' * 60_000,
    "backslashes": b'{"chatUserId": "' + b"\\" * 60_000,
    "a list of operators": b'{"chatUserId": {"$gt": ""}, "recipientId": {"$ne": null}, "text": ["x"]}',
}


# shows: security/hostile-body
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_body_is_one_cheap_refusal(alice: Person, bob: Person, body: bytes) -> None:
    """By a problem of 400, 413 or 422, on every route; no failure of the server, and nobody else waits.
    PROTOCOL 3.1.2, 3.1.4, 3.1.5, 3.1.7, 5.0.5, 5.0.6"""
    fitted = body.replace(b"PEER", bob.id.encode())
    before = (alice.head(), bob.head())
    for path in BODIES:
        answer = alice.posts(path, fitted)
        if answer.is_success:  # what is wrong is in a field that this route does not read
            assert path not in ("/send", "/report")
        else:
            assert answer.status_code in (400, 404, 413, 422), answer.text
            refused(answer, answer.status_code, answer.json()["code"])
    assert before == (alice.head(), bob.head())


def test_of_a_field_that_comes_twice_the_last_counts_for_everybody(alice: Person, bob: Person, carol: Person) -> None:
    """The value that is checked is the value that is stored: no first one is checked and a second one used. PROTOCOL
    4.1.8"""
    body = f'{{"recipientId": "{bob.id}", "text": "first", "text": "second", "recipientId": "{carol.id}"}}'
    message = alice.posts("/send", body.encode()).json()["message"]
    assert (carol.id, "second") == (message["recipient_id"], message["text"])
    assert [] == bob.events(f"{bob.head().split('-')[0]}-0-0")["events"]
    oneself = f'{{"recipientId": "{bob.id}", "text": "x", "recipientId": "{alice.id}"}}'
    refused(alice.posts("/send", oneself.encode()), 422, "to_oneself")


def test_a_body_says_once_how_it_is_coded(alice: Person, bob: Person) -> None:
    """Nothing is unpacked, whatever the field says, so a small body stays small. PROTOCOL 3.1.4, 3.1.5"""
    body = json.dumps({"recipientId": bob.id, "text": "packed"}).encode()
    for coding in ("gzip", "deflate", "br", "zstd"):
        answer = alice.posts("/send", gzip.compress(body), {"Content-Encoding": coding})
        assert refused(answer, 400, answer.json()["code"])["code"] in ("not_utf8", "not_json")
    assert [] == alice.history(bob)["messages"]


def test_keys_that_fall_together_cost_no_more(node: Node, alice: Person) -> None:
    """Strings are hashed with a seed of this process; numbers are never keys. A bound so loose that only a quadratic
    cost breaks it. PROTOCOL 3.1.5"""
    body = b"{" + b",".join(b'"%d":0' % (number * (2**61 - 1)) for number in range(2200)) + b"}"
    begun = time.monotonic()
    for _ in range(5):
        refused(alice.posts("/send", body[:65_000].rpartition(b",")[0] + b"}"), 400, "missing_fields")
    assert time.monotonic() - begun < 10
