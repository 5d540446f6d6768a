"""How often and how much one user may ask for, on every route of the table that writes: PROTOCOL.md 14, 3.1."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest

from lab.node import API, Node, refused
from tests.attack.routes import Call, every_call

TRIES = 30  # more than any burst of this node


@pytest.fixture(scope="module")
def strict(start_node: Callable[..., Node]) -> Node:
    """A node where nothing refills while a slow machine runs this."""
    return start_node(sends_per_s=0.001, sends_burst=5, signals_per_s=0.001)


@pytest.fixture(scope="module")
def posts(strict: Node) -> list[Call]:
    return [call for call in every_call(strict) if call.method == "POST"]


# shows: security/rates
def test_every_post_has_a_rate_of_its_user(strict: Node, posts: list[Call]) -> None:
    """However many addresses a proxy names for them; others who come from the same ones do not notice.
    PROTOCOL 14.0.3, 14.0.4, 5.0.4"""
    for number, call in enumerate(posts):
        ada, eve, ben = (strict.person(f"{name}-{number}") for name in ("ada", "eve", "ben"))
        for each in (ada, eve):
            each.sends(ben, "hello")
            ben.sends(each, "hello")
        answers: list[httpx2.Response] = []
        while len(answers) < TRIES and (not answers or answers[-1].status_code != 429):
            through = {"X-Forwarded-For": f"198.51.100.{len(answers)}"}
            answers.append(call.made_by(ada, "me", ben.id, **through))
        assert answers[0].is_success, (call, answers[0].text)
        refused(answers[-1], 429, "rate_limited")
        assert call.made_by(eve, "me", ben.id, **{"X-Forwarded-For": "198.51.100.0"}).is_success, call


# shows: security/large-body
def test_no_post_reads_more_than_its_bound(strict: Node, posts: list[Call]) -> None:
    """64 KiB, whether the length is told or not, and before the rate counts it. PROTOCOL 3.1.5"""
    flo = strict.person("flo")

    def in_pieces() -> Iterator[bytes]:
        for _ in range(9):
            yield b" " * 8_192

    for call in posts:
        for _ in range(TRIES):
            refused(flo.posts(call.path, b" " * 65_537), 413, "too_large")
        headers = {**flo.headers, "Content-Type": "application/json"}
        refused(
            strict.http.post(f"{strict.url}{API}{call.path}", content=in_pieces(), headers=headers), 413, "too_large"
        )
