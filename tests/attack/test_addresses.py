"""A guesser of tokens is slowed by address, whichever proxies stand in between: PROTOCOL.md 14."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.key_server import KeyServer
from lab.node import Node, Person, refused
from lab.process import wait_for
from tidings.errors import ConfigurationError
from tidings.server.identity.address import Addresses

BURST = 5


@pytest.fixture(scope="module")
def direct(start_node: Callable[..., Node]) -> Node:
    """A node that is reached without a proxy."""
    return start_node(trusted_proxies="192.0.2.1", refused_tokens_burst=BURST, refused_tokens_per_s=0.01)


@pytest.fixture(scope="module")
def behind(start_node: Callable[..., Node]) -> Node:
    """A node behind a proxy on the same machine, and one in front of that."""
    return start_node(trusted_proxies="127.0.0.1, 10.0.0.0/8", refused_tokens_burst=BURST, refused_tokens_per_s=0.01)


def tries(node: Node, forwarded: str | None = None, token: str = "not a token") -> int:
    """The status that somebody with this token gets."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return Person(node, "somebody", token).gets("/inbox/me", headers).status_code


# shows: security/guessing
def test_a_guesser_of_tokens_is_told_to_wait(direct: Node) -> None:
    """On every route, with `Retry-After`; what such a header says about a proxy that is none does not help.
    PROTOCOL 14.0.18, 14.0.19, 5.0.4"""
    ada = direct.person("ada")
    ada.inbox()
    for _ in range(BURST):
        assert 401 == tries(direct)
    for number in range(BURST):
        assert 429 == tries(direct, f"198.51.100.{number}")
    forged = Person(direct, "ada", direct.token("ada", secret="another secret, and long enough for HS256"))
    refused(forged.posts("/send", {"recipientId": "ben", "text": "x"}), 429, "rate_limited")
    refused(forged.gets("/sse/me"), 429, "rate_limited")
    assert 200 == ada.gets("/inbox/me").status_code
    assert "x" == ada.sends("ben", "x")["text"]


# shows: security/guessing
def test_a_user_with_a_good_token_passes_beside_a_guesser_of_tokens(direct: Node) -> None:
    """They share the address and not the limit, known before or not; one whose token has expired is told so, and gets
    another. PROTOCOL 14.0.18, 2.1.1"""
    while tries(direct) != 429:
        pass
    for number in range(2 * BURST):
        assert 200 == direct.person(f"colleague-{number}").gets("/inbox/me").status_code
    for _ in range(2 * BURST):
        refused(Person(direct, "ada", direct.token("ada", ttl_s=-60)).gets("/inbox/me"), 401, "unauthorized")
    assert 429 == tries(direct)


def test_no_key_server_is_asked_for_one_who_tries_tokens(start_node: Callable[..., Node]) -> None:
    """Tokens of keys that are known pass from there, also then. PROTOCOL 14.0.18"""
    with KeyServer() as provider:
        provider.add("k1")
        node = start_node(
            trusted_proxies="192.0.2.1",
            refused_tokens_burst=BURST,
            refused_tokens_per_s=0.01,
            secret="",
            jwks_url=provider.url,
            issuer=provider.issuer,
            audience="chat",
        )
        while tries(node) != 429:
            pass
        asked = len(provider.asked)
        unknown = Person(node, "ada", provider.token("k2", aud="chat", sub="ada"))
        refused(unknown.gets("/inbox/me"), 429, "rate_limited")
        assert asked == len(provider.asked)
        for number in range(2 * BURST):
            token = provider.token("k1", aud="chat", sub=f"colleague-{number}")
            assert 200 == Person(node, f"colleague-{number}", token).gets("/inbox/me").status_code


def test_the_wait_is_over_when_it_was_said(start_node: Callable[..., Node]) -> None:
    """And a good token passes then. PROTOCOL 14.0.18"""
    node = start_node(trusted_proxies="192.0.2.1", refused_tokens_burst=1, refused_tokens_per_s=0.4)
    wait_for(lambda: 429 == tries(node))
    wait_for(lambda: 200 == node.person("ada").gets("/inbox/me").status_code)


# shows: security/forwarded-for
@pytest.mark.parametrize(
    ("same", "another"),
    [
        (["203.0.113.1"], "203.0.113.2"),
        (["203.0.113.3", "203.0.113.3:4711", "9.9.9.9 , 203.0.113.3", "::ffff:203.0.113.3"], "203.0.113.4"),
        (["2001:db8:0:1::1", "[2001:db8:0:1::2]:443", "2001:db8:0:1:ffff::"], "2001:db8:0:2::1"),
        (["9.9.9.9, 203.0.113.5", "evil, 203.0.113.5", "203.0.113.5, 10.0.0.7"], "203.0.113.5, 203.0.113.6"),
        (["1.1.1.1, 203.0.113.7, 10.1.1.1, 10.2.2.2", "2.2.2.2,203.0.113.7"], "203.0.113.8, 10.1.1.1"),
    ],
    ids=["one address", "written in several ways", "a network of IPv6", "what the client wrote", "two proxies"],
)
def test_behind_proxies_it_is_the_client_s_address(behind: Node, same: list[str], another: str) -> None:
    """Anybody may have written the part of `X-Forwarded-For` before the last address that is no proxy's. PROTOCOL
    14.0.19"""
    seen = [tries(behind, same[number % len(same)]) for number in range(BURST + 3)]
    assert [401] * BURST + [429] * 3 == seen
    assert 401 == tries(behind, another)


@pytest.mark.parametrize("forwarded", [None, "", "unknown", "10.1.2.3", "203.0.113.9, nonsense", "_hidden", "1.2.3"])
def test_a_proxy_that_does_not_say_for_whom_is_not_limited(behind: Node, forwarded: str | None) -> None:
    """It would shut out everybody behind it. PROTOCOL 14.0.19"""
    assert {401} == {tries(behind, forwarded) for _ in range(3 * BURST)}


def test_a_long_list_of_addresses_is_read_from_its_end(behind: Node) -> None:
    """However much a client writes before it. PROTOCOL 14.0.19"""
    seen = [tries(behind, ",".join([f"198.51.100.{number}"] * 2000 + ["203.0.113.77"])) for number in range(BURST + 1)]
    assert [401] * BURST + [429] == seen


def test_a_text_that_is_no_address_is_no_trusted_proxy() -> None:
    """The mistake is told at start."""
    for wrong in ("proxy.example.org", "10.0.0.0/33", "*"):
        with pytest.raises(ConfigurationError, match="TIDINGS_TRUSTED_PROXIES"):
            Addresses([wrong])
