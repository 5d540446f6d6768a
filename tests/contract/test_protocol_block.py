"""Blocks and reports: PROTOCOL.md 19, 20. The meaning of a block for people is in docs/embed/safety.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from lab.node import Node, Person, refused
from tidings import Config, Report, Tidings
from tidings.errors import Forbidden

DOCUMENT = Path(__file__).parents[2] / "docs" / "embed" / "safety.md"


def blocks(person: Person, peer: Person | str, action: str = "block") -> None:
    answer = person.posts(f"/{action}", {"chatUserId": str(peer)})
    assert (200, {"success": True}) == (answer.status_code, answer.json())


def writes(person: Person, peer: Person, text: str = "x", **fields: object) -> Any:
    return person.posts("/send", {"recipientId": peer.id, "text": text, **fields})


def blocked(person: Person, **query: Any) -> dict[str, Any]:
    answer = person.gets("/blocked/me", **query)
    assert answer.status_code == 200, answer.text
    listed: dict[str, Any] = answer.json()
    return listed


@pytest.fixture
def talk(alice: Person, bob: Person) -> tuple[Person, Person]:
    """Both have written: 1 by alice, 2 by bob."""
    alice.sends(bob, "one")
    bob.sends(alice, "two")
    return alice, bob


def test_a_blocked_user_cannot_write_and_does_not_learn_why(talk: tuple[Person, Person]) -> None:
    """The answer is that of any refusal, to the letter; nothing is stored. PROTOCOL 19.0.1, 19.0.10, 5.0.5"""
    alice, bob = talk
    heads = alice.head(), bob.head()
    blocks(alice, bob)
    body = refused(writes(bob, alice), 403, "not_allowed")
    assert "You may not write to this person." == body["detail"]
    assert heads == (alice.head(), bob.head())
    assert ["one", "two"] == [message["text"] for message in alice.history(bob)["messages"]]


def test_a_refusal_by_the_host_says_the_same_as_a_block(tmp_path: Path) -> None:
    """Field by field. PROTOCOL 19.0.1, 9.0.18"""
    with host(tmp_path, may_send=lambda _sender, recipient: recipient != "hermit") as client:
        client.post("/dm/block", json={"chatUserId": "ben"}, headers={"x-user": "ada"})
        answers = [
            client.post("/dm/send", json={"recipientId": recipient, "text": "x"}, headers={"x-user": "ben"})
            for recipient in ("ada", "hermit")
        ]
        assert answers[0].status_code == answers[1].status_code == 403
        assert answers[0].json() == answers[1].json()


def test_a_user_that_blocks_cannot_write_either(talk: tuple[Person, Person]) -> None:
    """Until they take it back; they may know why. PROTOCOL 19.0.2, 19.0.12"""
    alice, bob = talk
    blocks(alice, bob)
    refused(writes(alice, bob), 403, "blocked_by_you")
    blocks(alice, bob, "unblock")
    assert [3, 4] == [alice.sends(bob, "three")["seq"], bob.sends(alice, "four")["seq"]]


def test_both_may_block_each_other(talk: tuple[Person, Person]) -> None:
    """Each ends only the own block. PROTOCOL 19.0.1, 19.0.2"""
    alice, bob = talk
    blocks(alice, bob)
    blocks(bob, alice)
    refused(writes(bob, alice), 403, "blocked_by_you")
    blocks(bob, alice, "unblock")
    refused(writes(bob, alice), 403, "not_allowed")


# shows: security/unwanted
def test_nothing_that_was_sent_at_the_same_time_comes_after_the_block(node: Node) -> None:
    """Each send is acknowledged and in both logs, or refused and in none. PROTOCOL 19.0.3"""
    for number in range(5):
        ada, ben = node.person(f"race-ada-{number}"), node.person(f"race-ben-{number}")
        ben.sends(ada, "first")
        with ThreadPoolExecutor(6) as pool:
            sends = [pool.submit(writes, ben, ada, f"{nth}") for nth in range(12)]
            pool.submit(blocks, ada, ben).result()
            at_the_block = [message["text"] for message in ada.history(ben)["messages"]]
            late = [pool.submit(writes, ben, ada, f"late {nth}") for nth in range(3)]
            acknowledged = [str(nth) for nth, send in enumerate(sends) if send.result().status_code == 201]
            for send in late:
                refused(send.result(), 403, "not_allowed")
        after = [message["text"] for message in ada.history(ben)["messages"]]
        assert at_the_block == after
        assert sorted(["first", *acknowledged]) == sorted(after)
        assert after == [message["text"] for message in ben.history(ada)["messages"]]


def test_an_acknowledged_message_is_answered_again(talk: tuple[Person, Person]) -> None:
    """A retry of a lost answer learns what is true: the message is there. PROTOCOL 19.0.4"""
    alice, bob = talk
    message = bob.sends(alice, "three", client_id="k1")
    blocks(alice, bob)
    assert message == bob.sends(alice, "three", client_id="k1")
    refused(writes(bob, alice, "four", client_id="k2"), 403, "not_allowed")


def test_no_typing_and_no_presence_between_them(talk: tuple[Person, Person]) -> None:
    """In both directions, and answered as if nothing were. PROTOCOL 19.0.5, 18.0.4"""
    alice, bob = talk
    with alice.opens_stream().live() as hers, bob.opens_stream().live() as his:
        for one, other in ((alice, bob), (bob, alice)):
            one.node.soon(True, lambda one=one, other=other: one.history(other)["user"]["online"])  # type: ignore[misc]
            assert one.posts("/presence", {"chatUserId": other.id}).json()["online"] is True
        blocks(alice, bob)
        for one, other in ((alice, bob), (bob, alice)):
            one.types_to(other)
            assert one.posts("/presence", {"chatUserId": other.id}).json()["online"] is None
            assert one.history(other)["user"]["online"] is None
            assert one.inbox()["conversations"][0]["user"]["online"] is None
        blocks(alice, bob, "unblock")
        alice.sends(bob, "the frame after it would have been")
        for stream in (hers, his):
            stream.until("new_message")
            assert not {"typing", "presence"} & {frame.type for frame in stream.frames}
        for one, other in ((alice, bob), (bob, alice)):
            assert one.posts("/presence", {"chatUserId": other.id}).json()["online"] is True


def test_the_one_who_blocks_tells_nothing_by_reading(talk: tuple[Person, Person]) -> None:
    """Its receipts change nothing until the block ends; the other's do. PROTOCOL 19.0.6, 19.0.7, 11.0.3"""
    alice, bob = talk
    before = alice.history(bob)["watermarks"]
    assert 1 == alice.inbox()["conversations"][0]["unread"]
    blocks(alice, bob)
    heads = alice.head(), bob.head()
    assert before == alice.receipts(bob, read_upto=2)
    assert heads == (alice.head(), bob.head())
    assert 0 == alice.inbox()["conversations"][0]["unread"]
    assert 0 == bob.history(alice)["watermarks"]["peer_read_upto"]

    assert 1 == bob.receipts(alice, read_upto=1)["read_upto"]
    assert 1 == alice.history(bob)["watermarks"]["peer_read_upto"]
    blocks(alice, bob, "unblock")
    assert 1 == alice.inbox()["conversations"][0]["unread"]
    assert 2 == alice.receipts(bob, read_upto=2)["read_upto"]


def test_the_history_stays_for_both_and_only_one_sees_the_block(talk: tuple[Person, Person]) -> None:
    """Evidence is kept; the other side is told nothing. PROTOCOL 19.0.8, 19.0.9, 19.0.10"""
    alice, bob = talk
    start = alice.head(), bob.head()
    for state in (False, True, False):
        for person, peer, expected in ((alice, bob, state), (bob, alice, False)):
            page = person.history(peer)
            assert (["one", "two"], expected) == ([each["text"] for each in page["messages"]], page["blocked"])
            assert [expected] == [each["blocked"] for each in person.inbox()["conversations"]]
        blocks(alice, bob, "unblock" if state else "block")
    assert start == (alice.head(), bob.head())


def test_a_block_may_be_repeated_and_a_stranger_blocked(alice: Person, bob: Person, carol: Person) -> None:
    """Also before anybody wrote. PROTOCOL 19.0.11, 19.0.13"""
    for person in (bob, bob, carol):
        blocks(alice, person, "unblock")
        blocks(alice, person)
        blocks(alice, person)
    blocks(alice, "never seen")
    refused(writes(bob, alice), 403, "not_allowed")
    assert [] == bob.inbox()["conversations"] == alice.inbox()["conversations"]
    assert alice.history("never seen")["blocked"]
    refused(alice.posts("/block", {"chatUserId": alice.id}), 422, "to_oneself")
    refused(alice.posts("/block", {"chatUserId": "a/b"}), 422, "bad_user_id")
    refused(alice.posts("/unblock", {}), 400, "missing_fields")


def test_the_list_of_blocked_users(alice: Person, bob: Person, carol: Person) -> None:
    """Only the own, the latest first, in pages. PROTOCOL 19.0.14, 19.0.15"""
    for person in (bob, carol, "dora"):
        blocks(alice, person)
    page = blocked(alice)
    assert (True, False, ["dora", carol.id, bob.id]) == (
        page["success"],
        page["has_more"],
        [each["user"]["id"] for each in page["blocked"]],
    )
    assert {"id": "dora", "name": "dora", "avatar_url": None, "online": None} == page["blocked"][0]["user"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", page["blocked"][0]["since"])
    first = blocked(alice, limit=2)
    assert (["dora", carol.id], True) == ([each["user"]["id"] for each in first["blocked"]], first["has_more"])
    rest = blocked(alice, limit=2, before=first["blocked"][-1]["position"])
    assert ([bob.id], False) == ([each["user"]["id"] for each in rest["blocked"]], rest["has_more"])
    assert [] == blocked(bob)["blocked"]
    refused(bob.gets(f"/blocked/{alice.id}"), 403, "not_yours")
    blocks(alice, "dora", "unblock")
    assert [carol.id, bob.id] == [each["user"]["id"] for each in blocked(alice)["blocked"]]


def test_a_block_outlives_the_server(tmp_path: Path) -> None:
    """It is in the database, like the messages. PROTOCOL 19.0.1"""
    with Node(tmp_path) as node:
        blocks(node.person("ada"), "ben")
        node.kill()
        node.restart()
        refused(writes(node.person("ben"), node.person("ada")), 403, "not_allowed")


def stored_reports(node: Node) -> list[dict[str, Any]]:
    """The reports, read as docs/embed/safety.md says: in SQLite's words, or in PostgreSQL's."""
    of_sqlite, of_postgres = re.findall(r"^```sql\n(SELECT .+;)\n```$", DOCUMENT.read_text(), re.MULTILINE)
    return node.rows(of_sqlite if node.db.startswith("sqlite") else of_postgres.replace("tidings.", ""))


def test_a_report_is_stored_with_its_evidence(start_node: Callable[..., Node]) -> None:
    """Where the host gave no function, and before the 202. PROTOCOL 20.0.1, 20.0.7"""
    node = start_node()
    ada, ben = node.person("ada"), node.person("ben")
    for number in range(1, 31):
        ben.sends(ada, f"insult {number}")
    heads = ada.head(), ben.head()
    answer = ada.posts("/report", {"chatUserId": "ben", "reason": "He insults me.", "seq": 25})
    assert (202, {"success": True}) == (answer.status_code, answer.json())
    assert 202 == ada.posts("/report", {"chatUserId": "ben", "reason": "And goes on."}).status_code
    assert 202 == ada.posts("/report", {"chatUserId": "zoe", "reason": "Her name is an insult."}).status_code

    by_reason = {row["reason"]: row for row in stored_reports(node)}
    row = by_reason["He insults me."]
    assert ("ada", "ben", 25) == (row["reporter"], row["reported"], row["seq"])
    messages = json.loads(row["messages"])
    assert ([*range(6, 26)], "insult 25") == ([each["seq"] for each in messages], messages[-1]["text"])
    assert 30 == json.loads(by_reason["And goes on."]["messages"])[-1]["seq"]
    assert [] == json.loads(by_reason["Her name is an insult."]["messages"])
    assert heads == (ada.head(), ben.head())


def test_a_block_hinders_no_report(talk: tuple[Person, Person]) -> None:
    """Neither the own nor the other's. PROTOCOL 20.0.6"""
    alice, bob = talk
    blocks(alice, bob)
    for person, peer in ((alice, bob), (bob, alice)):
        assert 202 == person.posts("/report", {"chatUserId": peer.id, "reason": "x", "seq": 1}).status_code


def test_a_report_that_says_nothing_is_refused(talk: tuple[Person, Person], carol: Person) -> None:
    """It names somebody else and gives a reason; a message that it names is there. PROTOCOL 20.0.3, 20.0.4"""
    alice, bob = talk
    report = {"chatUserId": bob.id, "reason": "x"}
    for reason in ("", " \n", "x" * 1001):
        refused(alice.posts("/report", {**report, "reason": reason}), 422, "bad_reason")
    refused(alice.posts("/report", {**report, "reason": "a\0b"}), 422, "control_characters")
    refused(alice.posts("/report", {"chatUserId": bob.id}), 400, "missing_fields")
    refused(alice.posts("/report", {**report, "chatUserId": alice.id}), 422, "to_oneself")
    for seq in (0, -1, 2**53, True, "1"):
        refused(alice.posts("/report", {**report, "seq": seq}), 400, "wrong_type")
    refused(alice.posts("/report", {**report, "seq": 3}), 404, "unknown_message")
    refused(carol.posts("/report", {**report, "seq": 1}), 404, "unknown_message")
    assert 202 == alice.posts("/report", {**report, "reason": "é" * 1000}).status_code


def test_reports_are_limited(alice: Person, bob: Person) -> None:
    """A person reads each of them. PROTOCOL 20.0.5"""
    for _ in range(10):
        assert 202 == alice.posts("/report", {"chatUserId": bob.id, "reason": "x"}).status_code
    refused(alice.posts("/report", {"chatUserId": bob.id, "reason": "x"}), 429, "rate_limited")
    assert 202 == bob.posts("/report", {"chatUserId": alice.id, "reason": "x"}).status_code


def host(tmp_path: Path, **functions: Any) -> TestClient:
    """An application with functions of its own; its users are known by a header."""
    tidings = Tidings(
        Config(db=Node.deployment.db(tmp_path / "host.db")),
        user=lambda request: request.headers.get("x-user"),
        **functions,
    )
    app = Starlette(routes=[Mount("/dm", routes=tidings.routes())], lifespan=tidings.lifespan)
    app.state.tidings = tidings
    return TestClient(app)


def test_the_host_takes_reports(tmp_path: Path) -> None:
    """With names, reason and the texts; what it cannot take is answered 503 and comes again. PROTOCOL 20.0.1, 20.0.2"""
    taken: list[Report] = []
    is_broken = True

    async def take(report: Report) -> None:
        if is_broken:
            raise OSError("the ticket system does not answer")
        taken.append(report)

    with host(tmp_path, report=take) as client:
        client.post("/dm/send", json={"recipientId": "ada", "text": "an insult"}, headers={"x-user": "ben"})
        report = {"chatUserId": "ben", "reason": "He insults me.", "seq": 1}
        answer = client.post("/dm/report", json=report, headers={"x-user": "ada"})
        assert (503, "unavailable") == (answer.status_code, answer.json()["code"])
        assert "ticket" not in answer.text
        is_broken = False
        assert 202 == client.post("/dm/report", json=report, headers={"x-user": "ada"}).status_code
    (only,) = taken
    assert ("ada", "ben", "He insults me.", 1) == (only.reporter, only.reported, only.reason, only.seq)
    assert [("ben", "an insult")] == [(message.sender_id, message.text) for message in only.messages]


def test_the_hosts_own_code_blocks(tmp_path: Path) -> None:
    """As its users do; its system messages pass. PROTOCOL 19.0.1, 19.0.12"""
    with host(tmp_path) as client:
        tidings: Tidings = client.app.state.tidings  # type: ignore[attr-defined]
        assert client.portal is not None
        client.portal.call(tidings.block, "ada", "ben")
        body = {"recipientId": "ada", "text": "x"}
        assert 403 == client.post("/dm/send", json=body, headers={"x-user": "ben"}).status_code
        assert client.get("/dm/ben", headers={"x-user": "ada"}).json()["blocked"]

        async def announce() -> int:
            return (await tidings.send("ben", "ada", "Your match has ended.", type="system")).seq

        assert 1 == client.portal.call(announce)
        with pytest.raises(Forbidden, match="not_allowed"):
            client.portal.call(tidings.send, "ben", "ada", "x")
        client.portal.call(tidings.unblock, "ada", "ben")
        assert 201 == client.post("/dm/send", json=body, headers={"x-user": "ben"}).status_code
