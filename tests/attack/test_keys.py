"""Every route, with a service key that is none, is another's, or is in a page: PROTOCOL.md 2.7."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.node import Keyed, Node, Person, refused
from lab.process import wait_for
from tests.attack.routes import Call, every_call
from tidings.protocol.service_key import format_service_key

BURST = 5


@pytest.fixture(scope="module")
def guarded(start_node: Callable[..., Node]) -> Node:
    """A node that is reached without a proxy, and refuses few keys."""
    return start_node(trusted_proxies="192.0.2.1", refused_tokens_burst=BURST, refused_tokens_per_s=0.01)


@pytest.fixture(scope="module")
def calls(guarded: Node) -> list[Call]:
    return list(every_call(guarded))


# shows: security/key-reach
def test_a_key_reaches_on_no_route_further_than_its_user(guarded: Node, calls: list[Call]) -> None:
    """Neither in the name of another, nor to what is another's, nor from a page. PROTOCOL 2.7.4, 2.7.7, 2.3.4"""
    ada, ben = guarded.person("ada"), guarded.person("ben")
    ada.sends(ben, "a secret")
    before = (ada.inbox(), ada.head(), ben.head())
    key = guarded.makes_key("eve")
    for call in calls:
        refused(call.made_by(Keyed(guarded, key, "ada"), "me", "ben"), 403, "not_yours")
        refused(call.made_by(Keyed(guarded, key), "me", "ben", Origin=guarded.url), 403, "cross_site")
        refused(call.made_by(Keyed(guarded, key), "me", "ben", **{"Tidings-User": "%ff"}), 422, "bad_user_id")
        if call.is_own:
            refused(call.made_by(Keyed(guarded, key), "ada", "ben"), 403, "not_yours")
    assert before == (ada.inbox(), ada.head(), ben.head())


# shows: security/guessing-keys
def test_a_guesser_of_keys_is_told_to_wait(guarded: Node, calls: list[Call]) -> None:
    """By address, on every route; a program with a good key passes from there, and so does a user.
    PROTOCOL 14.0.35, 2.7.5"""
    good, ada = Keyed(guarded, guarded.makes_key("jobs", "--as", "ada")), guarded.person("ada")
    assert 200 == good.gets("/inbox/me").status_code
    guesses = [Keyed(guarded, format_service_key(number.to_bytes(32)), "ada") for number in range(60)]
    for guess in guesses[:BURST]:
        refused(guess.gets("/inbox/me"), 401, "unauthorized")
    for call, guess in zip(calls, guesses[BURST:], strict=False):
        refused(call.made_by(guess, "me", "ben"), 429, "rate_limited")
        assert 200 == good.gets("/inbox/me").status_code
        assert 200 == ada.gets("/inbox/me").status_code


def test_a_revoked_key_opens_no_route(node: Node, calls: list[Call]) -> None:
    """Nor does it under a new key of its name. PROTOCOL 2.7.5"""
    revoked = Keyed(node, node.makes_key("jobs", "--as", "any", "--system"), "ada")
    assert 200 == revoked.gets("/inbox/me").status_code
    node.operates("key", "revoke", "jobs")
    node.makes_key("jobs", "--as", "any", "--system")
    wait_for(lambda: revoked.gets("/inbox/me").status_code == 401)
    nobody = Person(node, "nobody", None)
    for call in calls:
        expected = refused(call.made_by(nobody, "me", "ben"), 401, "unauthorized")
        assert expected["code"] == refused(call.made_by(revoked, "me", "ben"), 401, "unauthorized")["code"]
