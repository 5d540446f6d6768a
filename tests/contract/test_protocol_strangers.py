"""A user learns these things of people with whom there is no conversation: nothing. PROTOCOL.md 4.1.14, 4.3.2, 9.0.20.

The host's functions are those of an application in this process; its users are known by a header.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lab.deployment import ON_POSTGRES
from lab.node import Node, Person, refused
from tests.contract.mounted import Host
from tidings.server.identity.rates import STRANGER_PROFILES_PER_H
from tidings.server.store.sqlite.file import connect

BEN = ("Ben", "https://example.org/ben.png")


# shows: security/counting-ids
def test_nobody_learns_names_by_counting_ids(start_host: Callable[..., Host]) -> None:
    """The host is not even asked for those whom the caller has no conversation with, blocked or not.
    PROTOCOL 4.3.2"""
    host = start_host()
    for number in range(100):
        assert (f"u{number}", None) == host.named("eve", f"u{number}")
    for number in range(5):
        assert 200 == host.posts("eve", "/block", chatUserId=f"u{number}").status_code
    listed = host.gets("eve", "/blocked/me")["blocked"]
    assert [f"u{number}" for number in (4, 3, 2, 1, 0)] == [each["user"]["name"] for each in listed]
    assert [] == host.asked
    assert "Eve" == host.named("eve", "eve")[0]


def test_a_conversation_shows_both_their_names(start_host: Callable[..., Host]) -> None:
    """In history, inbox and list of blocks, and also when one blocks the other. PROTOCOL 4.3.2"""
    host = start_host()
    assert 201 == host.writes("ada", "ben").status_code
    assert BEN == host.named("ada", "ben")
    assert "Ada" == host.named("ben", "ada")[0] == host.gets("ben", "/inbox/me")["conversations"][0]["user"]["name"]
    host.posts("ada", "/block", chatUserId="ben")
    assert "Ada" == host.named("ben", "ada")[0]
    assert BEN == host.named("ada", "ben")
    assert "Ben" == host.gets("ada", "/blocked/me")["blocked"][0]["user"]["name"]


def test_where_it_is_configured_a_profile_is_told_to_whoever_may_write_and_at_a_rate(
    start_host: Callable[..., Host],
) -> None:
    """Over the rate, and where ``may_send`` says no, the id is the name. PROTOCOL 4.3.2"""
    host = start_host({"may_send": lambda _sender, recipient: recipient != "ada"}, stranger_profiles=True)
    assert BEN == host.named("eve", "ben")
    assert ("ada", None) == host.named("eve", "ada")
    named = [host.named("eve", f"u{number}")[0].startswith("U") for number in range(100)]
    assert [True] * (STRANGER_PROFILES_PER_H - 2) + [False] * (102 - STRANGER_PROFILES_PER_H) == named
    assert BEN == host.named("zoe", "ben")


def test_a_first_message_to_nobody_is_refused(start_host: Callable[..., Host]) -> None:
    """Nothing is stored. The host's own code and conversations that exist are not asked. PROTOCOL 9.0.20, 5.0.5"""
    host = start_host()
    refused(host.writes("ada", "Ben"), 404, "unknown_person")
    assert [] == host.gets("ada", "/inbox/me")["conversations"]
    assert 201 == host.writes("ada", "ben").status_code
    assert ["Ben", "ben"] == host.asked
    assert 201 == host.writes("ben", "ada").status_code
    assert 201 == host.writes("ada", "ben").status_code
    assert ["Ben", "ben"] == host.asked
    assert host.client.portal is not None
    assert 1 == host.client.portal.call(host.tidings.send, "shop", "a-guest", "Welcome").seq
    assert 201 == host.writes("a-guest", "shop").status_code


# shows: security/probing-ids
def test_a_user_that_tries_ids_is_told_to_wait(start_host: Callable[..., Host]) -> None:
    """As many an hour as conversations may begin; those that exist go on. PROTOCOL 14.0.28"""
    host = start_host(new_conversations_per_h=5)
    assert 201 == host.writes("eve", "ben").status_code
    for number in range(5):
        refused(host.writes("eve", f"guess-{number}"), 404, "unknown_person")
    refused(host.writes("eve", "guess-6"), 429, "rate_limited")
    refused(host.writes("eve", "ada"), 429, "rate_limited")
    assert 201 == host.writes("eve", "ben").status_code
    refused(host.writes("ada", "guess-0"), 404, "unknown_person")


def test_any_recipient_is_taken_where_that_is_configured_or_the_host_tells_of_nobody(
    start_host: Callable[..., Host],
) -> None:
    """``people`` may know a part of the users only. PROTOCOL 9.0.20"""
    assert 201 == start_host(stranger_recipients=True).writes("ada", "Ben").status_code
    assert 201 == start_host({"people": None}).writes("ada", "Ben").status_code


@pytest.mark.parametrize("answer", [[("ben", "Ben")], "ben", 7, True])
def test_people_that_cannot_be_read_are_no_answer(start_host: Callable[..., Host], answer: Any) -> None:
    """Neither is everybody unknown then, nor anybody known. PROTOCOL 9.0.20, 5.0.4"""
    host = start_host({"people": lambda _ids: answer})
    refused(host.writes("ada", "ben"), 503, "unavailable")
    assert ("ben", None) == host.named("ada", "ben")


async def waits_for_what_was_cancelled(_sender: str, _recipient: str) -> bool:
    """As a pool of connections does that is being closed."""
    future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    future.cancel()
    return await future


def fails(_sender: str, _recipient: str) -> bool:
    raise LookupError


@pytest.mark.parametrize("may_send", [waits_for_what_was_cancelled, fails])
def test_a_rule_that_fails_is_neither_a_yes_nor_a_no(start_host: Callable[..., Host], may_send: object) -> None:
    """However it fails: 503, and the client tries again. PROTOCOL 9.0.18, 5.0.4"""
    refused(start_host({"may_send": may_send}).writes("ada", "ben"), 503, "unavailable")


@pytest.mark.parametrize("answer", [None, 0, 1, "no", (False, "muted"), ...], ids=repr)
def test_a_rule_that_does_not_say_true_says_no(start_host: Callable[..., Host], answer: object) -> None:
    """A tuple with a reason, an object that was not awaited: they would count as yes. PROTOCOL 9.0.18"""
    host = start_host({"may_send": lambda _sender, _recipient: answer})
    refused(host.writes("ada", "ben"), 403, "not_allowed")


# shows: security/told-of-block
def test_a_block_and_the_hosts_no_answer_alike(start_host: Callable[..., Host]) -> None:
    """New, repeated, reused, too often: the same answer in the same order. PROTOCOL 19.0.1, 19.0.4, 9.0.21, 9.0.22"""

    def sees(is_blocked: bool) -> list[tuple[int, str]]:
        refuses: list[bool] = []
        asked: list[str] = []

        def may_send(sender: str, recipient: str) -> bool:
            asked.append(sender)
            return not (refuses and sender == "eve")

        host = start_host({"may_send": may_send}, sends_per_s=0.0001, sends_burst=6)
        assert 201 == host.writes("eve", "ben", client_id="k1").status_code
        if is_blocked:
            host.posts("ben", "/block", chatUserId="eve")
        else:
            refuses.append(True)
        answers = [
            host.writes("eve", "ben", client_id="k1"),
            host.writes("eve", "ben", client_id="k1", text="another"),
            host.writes("eve", "ben", client_id="k2"),
            host.writes("eve", "ben", client_id="k2"),
            host.writes("eve", "ben"),
            *(host.writes("eve", "ben") for _ in range(3)),
        ]
        assert 6 == len(asked), "beyond the rate the host is not asked"
        return [(answer.status_code, answer.json().get("detail", "")) for answer in answers]

    by_block, by_host = sees(is_blocked=True), sees(is_blocked=False)
    assert by_block == by_host
    assert [201, 409, 403, 403, 403, 429, 429, 429] == [status for status, _detail in by_host]


# shows: security/told-of-block
def test_a_user_that_may_begin_nothing_finds_no_block_out(start_host: Callable[..., Host]) -> None:
    """At the limit of new conversations, and of ids that nobody has, whoever blocks is answered like everybody.
    PROTOCOL 9.0.23, 14.0.6, 14.0.28"""
    host = start_host({"may_send": lambda _sender, recipient: recipient != "u9"}, new_conversations_per_h=3)

    def answers(*recipients: str) -> set[tuple[int, str]]:
        told = (host.writes("eve", recipient).json() for recipient in recipients)
        return {(each["status"], each["code"]) for each in told}

    for blocker in ("ben", "u1", "ghost"):
        host.posts(blocker, "/block", chatUserId="eve")
    assert {(404, "unknown_person")} == answers("ghost", "nobody")
    assert {(403, "not_allowed")} == answers("ben", "u9")
    assert 404 == host.writes("eve", "nobody").status_code
    assert {(429, "rate_limited")} == answers("ben", "ghost", "nobody", "ada", "u9")
    for number in range(2, 5):
        assert 201 == host.writes("zoe", f"u{number}").status_code
    host.posts("ben", "/block", chatUserId="zoe")
    told = [host.writes("zoe", recipient).json() for recipient in ("ben", "ghost", "nobody", "ada", "u9")]
    assert {(429, "new_conversations_limited")} == {(each["status"], each["code"]) for each in told}
    assert 201 == host.writes("zoe", "u2").status_code
    host.posts("u2", "/block", chatUserId="zoe")
    refused(host.writes("zoe", "u2"), 403, "not_allowed")


# shows: security/counting-others
def test_ids_of_messages_count_nothing(alice: Person, bob: Person, carol: Person) -> None:
    """A user that begins conversations now and then does not see how many others began meanwhile. PROTOCOL 4.1.14,
    4.1.2"""
    numbers = [int(alice.sends(f"{alice.id}-{number}", "x")["_id"][1:-6], 16) for number in range(12)]
    assert 12 == len(set(numbers))
    assert sorted(numbers) != numbers != sorted(numbers, reverse=True)
    first, second = bob.sends(carol, "one")["_id"], bob.sends(carol, "two")["_id"]
    assert first != second
    assert [first, second] == [message["_id"] for message in carol.history(bob)["messages"]]


# shows: security/counting-others
def test_positions_of_blocks_count_ones_own(alice: Person, bob: Person, carol: Person) -> None:
    """Blocks of others do not show in them. PROTOCOL 19.0.16, 19.0.15"""
    for blocker, blocked in ((alice, "x"), (bob, "x"), (alice, "y"), (carol, "x"), (carol, "y"), (alice, "z")):
        assert 200 == blocker.posts("/block", {"chatUserId": blocked}).status_code
    for person, expected in ((alice, [3, 2, 1]), (bob, [1]), (carol, [2, 1])):
        assert expected == [each["position"] for each in person.gets("/blocked/me").json()["blocked"]]
    page = alice.gets("/blocked/me", before=3).json()["blocked"]
    assert ["y", "x"] == [each["user"]["id"] for each in page]


@pytest.mark.not_on(*ON_POSTGRES, why="only a file can be of an earlier Tidings than its first on PostgreSQL")
def test_state_that_a_client_holds_of_an_earlier_database_stays_true(tmp_path: Path) -> None:
    """Ids, told watermarks, order of blocks; ids of new conversations are drawn. PROTOCOL 4.1.2, 4.2.1"""
    with Node(tmp_path) as node:
        ada, ben = node.person("ada"), node.person("ben")
        ada.sends(ben, "one")
        ben.receipts(ada, read_upto=1)
        ada.posts("/block", {"chatUserId": "x"})
        ada.posts("/block", {"chatUserId": "y"})
    _as_before(node.database)
    with Node(tmp_path) as node:
        ada, ben = node.person("ada"), node.person("ben")
        assert [("m1000001", True, True)] == [
            (message["_id"], message["delivered"], message["read"]) for message in ada.history(ben)["messages"]
        ]
        assert "m1000002" == ada.sends(ben, "two")["_id"]
        assert 1 == ada.history(ben)["watermarks"]["peer_read_upto"]
        assert len("m1000001") < len(ada.sends("zoe", "new")["_id"])
        assert [("y", 2), ("x", 1)] == [
            (each["user"]["id"], each["position"]) for each in ada.gets("/blocked/me").json()["blocked"]
        ]


def _as_before(path: Path) -> None:
    """Take a database back to the schema of version 4."""
    with closing(connect(str(path))) as connection:
        connection.execute("DROP VIEW sides")
        for table in ("service_keys", "profiles"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP INDEX members_audience")
        for table in ("members", "feed"):
            connection.execute(f"ALTER TABLE {table} RENAME COLUMN chat TO peer")
        for column in ("tag", "told_dlv", "told_read"):
            connection.execute(f"ALTER TABLE members DROP COLUMN {column}")
        connection.execute("DROP INDEX blocks_recent")
        connection.execute("ALTER TABLE blocks DROP COLUMN nth")
        connection.execute("CREATE INDEX blocks_recent ON blocks(uid, id)")
        connection.execute("PRAGMA user_version = 4")
