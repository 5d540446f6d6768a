"""Service keys: programs of the host's that come in the name of its users. PROTOCOL.md 2.7.

The keys are made and revoked by the command, beside a node that runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime

import httpx2
import pytest

from lab.node import API, Keyed, Node, Person, refused
from lab.process import wait_for
from tidings.protocol.service_key import SERVICE_KEY_SIZE_BYTES, format_service_key, is_service_key

NOBODYS = format_service_key(bytes(range(SERVICE_KEY_SIZE_BYTES)))

_number = itertools.count(1)


@pytest.fixture
def name() -> str:
    """Of a key, and of a user, whom no other test has."""
    return f"shop-{next(_number)}"


@pytest.fixture(scope="module")
def of_anybody(node: Node) -> str:
    """A key for anybody, which several tests share."""
    return node.makes_key("of-anybody", "--as", "any")


def asks(node: Node, *fields: tuple[str, str | bytes], path: str = "/inbox/me") -> httpx2.Response:
    """The answer to a request with these header fields, as they are."""
    return node.http.get(f"{node.url}{API}{path}", headers=[(key.encode(), value) for key, value in fields])  # type: ignore[arg-type]


def test_a_program_is_the_user_for_whom_its_key_stands(node: Node, alice: Person, name: str) -> None:
    """It sends, reads and follows as that user, who is named or not; the other side sees the user.
    PROTOCOL 2.7.1, 2.7.2"""
    key = node.makes_key(name)
    shop, named = Keyed(node, key), Keyed(node, key, name)
    with shop.opens_stream().live() as stream:
        assert name == shop.sends(alice, "Your parcel is on its way.")["sender_id"]
        assert "Your parcel is on its way." == stream.until("new_message").data["text"]
        alice.sends(name, "Thank you!")
        assert "Thank you!" == stream.until("new_message").data["text"]
    assert ["Your parcel is on its way.", "Thank you!"] == [each["text"] for each in named.history(alice)["messages"]]
    assert 1 == named.receipts(alice, read_upto=2)["peer_read_upto"] + 1
    assert [name] == [each["user"]["id"] for each in alice.inbox()["conversations"]]
    refused(named.gets(f"/inbox/{alice.id}"), 403, "not_yours")


@pytest.mark.parametrize("user", ["ada", "50% & m\u00eb|x, y", "\N{GRINNING FACE}", "me2", "a" * 128])
def test_a_key_for_anybody_is_whom_it_says(node: Node, alice: Person, of_anybody: str, user: str) -> None:
    """Percent-encoded as in a path. PROTOCOL 2.7.2"""
    program = Keyed(node, of_anybody, user)
    assert user == program.sends(alice, "hi")["sender_id"]
    assert user == program.inbox()["user_id"]


def test_a_program_says_in_whose_name_once_and_rightly(node: Node, of_anybody: str) -> None:
    """Else it is nobody, and nothing is guessed. PROTOCOL 2.7.3"""
    key = ("Authorization", f"Bearer {of_anybody}")
    assert 200 == asks(node, key, ("Tidings-User", "ada")).status_code
    refused(asks(node, key), 422, "bad_user_id")
    refused(asks(node, key, ("Tidings-User", "ada"), ("Tidings-User", "ben")), 422, "bad_user_id")
    refused(asks(node, key, ("Tidings-User", "ada"), ("tidings-user", "ada")), 422, "bad_user_id")
    odd: list[str | bytes] = [
        "", "me", ".", "a/b", "a%2Fb", "a%5Cb", "a%00b", "%0a", "a%", "a%2", "a%zz", "%ff", "%ed%a0%80", "a b",
        "ada,ben", "e%CC%88", "x" * 129, "ada\u00e9".encode(), b"ada\xff",
    ]  # fmt: skip
    for user in odd:
        refused(asks(node, key, ("Tidings-User", user)), 422, "bad_user_id")


def test_a_key_for_one_user_is_nobody_else(node: Node, alice: Person, name: str) -> None:
    """Whether that one exists or not. PROTOCOL 2.7.4"""
    key = node.makes_key(name, "--as", "shop")
    assert 200 == Keyed(node, key).gets("/inbox/me").status_code
    for user in (alice.id, "nobody-at-all", name):
        program = Keyed(node, key, user)
        refused(program.gets("/inbox/me"), 403, "not_yours")
        refused(program.posts("/send", {"recipientId": alice.id, "text": "x"}), 403, "not_yours")
    assert [] == alice.inbox()["conversations"]


def test_a_key_that_there_is_not_lets_nobody_in(node: Node, name: str) -> None:
    """Nor one in another place, and a text that only looks like one is a bad token. PROTOCOL 2.7.5, 2.7.1, 2.1.2"""
    key = node.makes_key(name)
    assert 200 == Keyed(node, key).gets("/inbox/me").status_code
    slipped = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert is_service_key(key)
    assert not is_service_key(slipped)
    for wrong in (NOBODYS, slipped, key.upper(), f"{key} x", "tsk_", name):
        answer = asks(node, ("Authorization", f"Bearer {wrong}"), ("Tidings-User", name))
        refused(answer, 401, "unauthorized")
        assert "Bearer" == answer.headers["www-authenticate"]
    for field in (("Cookie", f"token={key}"), ("X-Api-Key", key), ("Authorization", f"Basic {key}")):
        refused(asks(node, field, ("Tidings-User", name)), 401, "unauthorized")
    refused(asks(node, path=f"/inbox/me?token={key}"), 401, "unauthorized")
    assert 200 == asks(node, ("authorization", f"bearer   {key}")).status_code


def test_only_a_key_that_may_sends_as_the_application_itself(node: Node, alice: Person, name: str) -> None:
    """Then no block keeps it out, which keeps the user's own words out. PROTOCOL 9.0.24, 9.0.9, 19.0.1"""
    plain, system = (
        Keyed(node, node.makes_key(name)),
        Keyed(node, node.makes_key(f"{name}-s", "--as", name, "--system")),
    )
    body = {"recipientId": alice.id, "text": "Your parcel has left.", "message_type": "system", "client_id": "k1"}
    refused(plain.posts("/send", body), 422, "reserved_type")
    alice.posts("/block", {"chatUserId": name})
    refused(system.posts("/send", {**body, "message_type": "text"}), 403, "not_allowed")
    assert (
        "system" == system.sends(alice, "Your parcel has left.", message_type="system", client_id="k1")["message_type"]
    )
    assert 201 == system.posts("/send", body).status_code
    assert ["Your parcel has left."] == [each["text"] for each in alice.history(name)["messages"]]


# shows: security/key-in-a-page
def test_a_page_has_no_key(node: Node, name: str) -> None:
    """A browser says that it asks for one; whether the key is good or not, even for a page of ours. PROTOCOL 2.7.7"""
    for key in (node.makes_key(name), NOBODYS):
        for mark in (("Origin", node.url), ("Origin", "null"), ("Sec-Fetch-Site", "same-origin")):
            refused(asks(node, ("Authorization", f"Bearer {key}"), mark), 403, "cross_site")


def test_a_user_s_token_is_that_user_whomever_a_field_names(alice: Person, bob: Person) -> None:
    """The field is for keys. PROTOCOL 2.7.9"""
    assert alice.id == alice.gets("/inbox/me", {"Tidings-User": bob.id}).json()["user_id"]
    sent = alice.posts("/send", {"recipientId": bob.id, "text": "x"}, {"Tidings-User": "carol"}).json()
    assert alice.id == sent["message"]["sender_id"]


# shows: security/key-kept
def test_a_key_is_kept_as_a_hash_and_its_use_is_counted(node: Node, alice: Person, name: str) -> None:
    """Neither the log nor the list of keys shows it; the list says on which day it was used, and a metric how often.
    PROTOCOL 2.7.8"""
    key = node.makes_key(name, "--as", "any")
    assert "never" == node.operates("key", "list").split(name)[1].split("\n")[0].split()[-1]
    program = Keyed(node, key, alice.id)
    refused(program.gets("/inbox/somebody"), 403, "not_yours")
    refused(asks(node, ("Authorization", f"Bearer {NOBODYS}")), 401, "unauthorized")

    def line() -> list[str]:
        return node.operates("key", "list").split(name)[1].split("\n")[0].split()

    today = datetime.now(UTC).date().isoformat()
    wait_for(lambda: ["(any)", "no", today, today] == line())
    metrics = node.http.get(f"{node.url}/metrics").text + node.http.get(f"{node.url}/metrics").text
    assert f'tidings_service_key_requests_total{{key="{name}"}}' in metrics
    rows = repr(node.rows("SELECT * FROM service_keys"))
    assert name in rows
    for each in (key, NOBODYS):
        assert each not in rows
        assert each not in node.stderr
        assert each not in node.operates("key", "list")


def test_a_key_has_a_rate_of_its_own_and_none_of_its_user_s(start_node: Callable[..., Node]) -> None:
    """It begins as many conversations as it likes, and leaves its user's rates alone; the line of a refusal names it.
    PROTOCOL 14.0.33, 14.0.34"""
    node = start_node(
        sends_per_s=0.001, sends_burst=1, signals_per_s=0.001, new_conversations_per_h=1, service_key_requests_per_s=10
    )
    program, person = Keyed(node, node.makes_key("jobs", "--as", "any"), "ada"), node.person("ada")
    other = Keyed(node, node.makes_key("others", "--as", "ada"))
    for number in range(5):
        program.sends(f"customer-{number}", "hi")
        program.types_to("customer-0")
        program.receipts("customer-0", read_upto=1)
    answers = [program.gets("/inbox/me")]
    while answers[-1].status_code != 429 and len(answers) < 1000:
        answers.append(program.gets("/inbox/me"))
    refused(answers[-1], 429, "rate_limited")
    wait_for(lambda: "code=rate_limited user='ada' address=127.0.0.1 key=jobs" in node.stderr)
    assert 200 == other.gets("/inbox/me").status_code
    person.types_to("customer-0")
    person.sends("customer-0", "my own")
    refused(person.posts("/send", {"recipientId": "customer-0", "text": "one more"}), 429, "rate_limited")
