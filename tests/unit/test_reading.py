"""The server reads from strangers: what is written as the rules say is read as it was meant, all else is refused."""

from __future__ import annotations

import asyncio
import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings import Config
from tidings.errors import BadRequest, Problem
from tidings.protocol.cursor import CURSOR_SIZE_MAX_BYTES, Cursor, parse_cursor
from tidings.protocol.user_id import check_user_id
from tidings.server.api.request import read_json, read_number
from tidings.server.identity.address import Addresses

any_text = st.text(st.characters(exclude_categories=[]))  # lone surrogates among it
epochs = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=32)
cursors = st.builds(Cursor, epochs, st.integers(0, 10**18 - 1), st.integers(0, 2**32 - 1))
texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**63), 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=6,
)


@given(cursors)
def test_a_cursor_is_read_as_it_was_written(cursor: Cursor) -> None:
    """And is never longer than what is looked at."""
    assert cursor == parse_cursor(str(cursor))
    assert len(str(cursor)) <= CURSOR_SIZE_MAX_BYTES


@given(any_text | st.from_regex(r"\A[a-zA-Z0-9\-]*-[0-9\-+ ]*-[0-9a-gA-F]*\Z"))
def test_a_text_that_is_read_as_a_cursor_is_one(text: str) -> None:
    """One position has one form, but for zeros before the tag: no two cursors of a client's compare differently."""
    cursor = parse_cursor(text)
    if cursor is not None:
        epoch, position, tag = text.split("-")
        assert (epoch, position) == (cursor.epoch, str(cursor.position))
        assert int(tag, 16) == cursor.tag


@given(any_text | st.text("ab/\\.\0\x7f\x85e\u0301é", max_size=4))
def test_a_user_id_is_what_the_rules_say_and_nothing_else(text: str) -> None:
    """PROTOCOL.md 2.2, written down a second time."""
    is_one = (
        1 <= len(text) <= 128
        and text not in (".", "..", "me")
        and not any(each in "/\\" or unicodedata.category(each) in ("Cc", "Cs") for each in text)
        and unicodedata.normalize("NFC", text) == text
    )
    if is_one:
        assert text == check_user_id(text)
    else:
        with pytest.raises(ValueError, match=r"\.$"):
            check_user_id(text)


@given(any_text | st.from_regex(r"\A[-+ 0-9_\u0660-\u0669]{0,17}\Z"))
def test_a_number_of_the_query_is_digits(text: str) -> None:
    """PROTOCOL.md 1.1.5: what Python takes for a number besides is none."""
    if text == "":
        assert read_number({"limit": text}, "limit") is None
    elif re.fullmatch("-?[0-9]{1,15}", text):
        assert read_number({"limit": text}, "limit") == int(text)
    else:
        with pytest.raises(BadRequest):
            read_number({"limit": text}, "limit")


def read(body: bytes, pieces: int) -> dict[str, Any]:
    """The body as the server reads it, in so many pieces."""
    size = len(body) // pieces + 1
    parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}
    return asyncio.run(read_json(scope, receive, Config(), None))


@settings(max_examples=40)
@given(st.dictionaries(texts, json_values, max_size=4), st.integers(1, 5), st.booleans())
def test_a_json_object_is_read_as_it_was_meant(value: dict[str, Any], pieces: int, is_ascii: bool) -> None:
    """In any pieces, escaped or not; but for fractions, since no field is one: they are of the wrong type."""
    assert value == read(json.dumps(value, ensure_ascii=is_ascii).encode(), pieces)


@given(st.binary() | any_text.map(lambda text: text.encode("utf-8", "surrogatepass")), st.integers(1, 5))
def test_other_bytes_are_refused_as_a_problem(body: bytes, pieces: int) -> None:
    """Never by another error, and what is read can be written again."""
    try:
        found = read(body, pieces)
    except Problem as problem:
        assert problem.status in (400, 413)  # noqa: PT017  # either is right
    else:
        assert found == json.loads(body)
        json.dumps(found, ensure_ascii=False).encode()


addresses = st.ip_addresses(v=4).filter(lambda each: not each.is_loopback and str(each).split(".")[0] != "10")


@given(addresses, st.lists(st.sampled_from(["10.0.0.1", "10.9.9.9:80", " 127.0.0.1 "]), max_size=3), any_text)
def test_the_address_of_a_client_is_the_one_that_the_proxies_saw(
    client: object, proxies: list[str], written: str
) -> None:
    """The chain of trusted proxies is read from its end; what stands before it does not count."""
    told = ",".join([written, str(client), *proxies]).encode("latin-1", "replace")
    scope = {"client": ("10.0.0.2", 1), "headers": [(b"x-forwarded-for", told)]}
    assert str(client) == Addresses(["127.0.0.1", "10.0.0.0/8"]).of(scope)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", b"127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", b"unknown", "127.0.0.1"),
        ("127.0.0.1", b"10.0.0.7", "10.0.0.7"),
        ("127.0.0.1", b"203.0.113.7, 10.0.0.7", "203.0.113.7"),
        ("198.51.100.1", b"203.0.113.7", "198.51.100.1"),
        (None, b"203.0.113.7", ""),
    ],
)
def test_a_log_names_a_proxy_where_it_knows_nobody_behind_it(
    peer: str | None, forwarded: bytes | None, address: str
) -> None:
    """Those who ask on the machine of the proxy have its address; a socket file has none."""
    scope = {
        "client": None if peer is None else (peer, 1),
        "headers": [] if forwarded is None else [(b"x-forwarded-for", forwarded)],
    }
    assert address == Addresses(["127.0.0.1", "10.0.0.0/8"]).told(scope)
