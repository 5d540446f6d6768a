"""Nodes behind PgBouncer, which gives each transaction whichever connection is free: `bouncer=1`."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab import nats, postgres
from lab.node import Node, Person, refused
from lab.pgbouncer import PgBouncer
from lab.postgres import Postgres
from lab.process import PATIENCE_S, wait_for

CONNECTIONS = 2  # of the pooler to the database, for all nodes
UNLIMITED: dict[str, Any] = {"sends_per_s": 10_000, "sends_burst": 10_000}

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Postgres:
    return postgres.shared()


@pytest.fixture(scope="module")
def pooler(server: Postgres) -> Iterator[PgBouncer]:
    made = PgBouncer(server, default_pool_size=str(CONNECTIONS), server_login_retry="1")
    made.start()
    yield made
    made.remove()


def url(pooler: PgBouncer, schema: str) -> str:
    return pooler.url(schema=schema, bouncer="1")


def sends_on(sender: Person, recipient: Person, is_over: threading.Event) -> int:
    """Send and repeat what is refused; how many messages until some after it is over."""
    for number in itertools.count(1):
        was_over = is_over.is_set()
        body = {"recipientId": recipient.id, "text": "hi", "client_id": f"{number}"}
        while (answer := sender.posts("/send", body)).status_code != 201:
            refused(answer, 503, "unavailable")
        if was_over:
            return number
    raise AssertionError


@pytest.mark.parametrize("bus", ["", "nats"], ids=["no-bus", "nats"])
def test_two_nodes_behind_a_pooler_deliver_to_each_other(
    server: Postgres, pooler: PgBouncer, tmp_path: Path, bus: str
) -> None:
    """Where no notification passes each node looks once a second; with NATS it is told, and nothing waits for that.

    Blocks, receipts, presence and pages work through transactions that keep nothing on their connection."""
    limits = UNLIMITED | ({"bus": nats.shared().url()} if bus else {})
    db = url(pooler, f"pooled_{bus or 'no'}")
    with Node(tmp_path / "1", db=db, **limits) as first, Node(tmp_path / "2", db=db, **limits) as second:
        ada, ben = first.person("ada"), second.person("ben")
        with ben.opens_stream().live() as his, ada.opens_stream().live() as hers:
            for number in range(20):
                ada.sends(ben, f"{number}")
            assert [f"{number}" for number in range(20)] == [his.until("new_message").data["text"] for _ in range(20)]
            ben.sends(ada, "back")
            ben.receipts(ada, read_upto=20)
            assert 20 == hers.until("message_read").data["upto"]
            assert "back" in [frame.data.get("text") for frame in hers.frames]
        assert 200 == ben.posts("/block", {"chatUserId": "ada"}).status_code
        refused(ada.posts("/send", {"recipientId": "ben", "text": "x"}), 403, "not_allowed")
        assert [1] == [each["unread"] for each in ada.inbox()["conversations"]]
        kept = server.run(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        assert int(kept) <= CONNECTIONS


def test_more_nodes_than_the_pooler_has_connections_serve(pooler: PgBouncer, tmp_path: Path) -> None:
    """Each has two readers and a writer of its own: they take turns on two connections."""
    db = url(pooler, "pooled_many")
    nodes = [Node(tmp_path / f"{number}", db=db, **UNLIMITED) for number in range(3)]
    try:
        for node in nodes:
            node.start()
        ben = nodes[0].person("ben")
        with ThreadPoolExecutor(len(nodes)) as pool:
            people = [node.person(f"ada-{number}") for number, node in enumerate(nodes)]
            list(pool.map(lambda person: [person.sends(ben, f"{number}") for number in range(30)], people))
        events = ben.events(f"{ben.head().partition('-')[0]}-0-0", limit=500)["events"]
        for person in people:
            told = [each["data"]["text"] for each in events if each["data"]["sender_id"] == person.id]
            assert [f"{number}" for number in range(30)] == told
    finally:
        for node in nodes:
            node.stop()


@pytest.mark.parametrize("end", ["asked", "killed"])
def test_a_pooler_that_is_started_again_loses_and_doubles_nothing(pooler: PgBouncer, tmp_path: Path, end: str) -> None:
    """A send is repeated by its client_id; the stream stays open and has each message once, in order."""
    with Node(tmp_path, db=url(pooler, f"pooled_{end}"), **UNLIMITED) as node:
        ada, ben = node.person("ada"), node.person("ben")
        is_over = threading.Event()
        with ben.opens_stream().live() as stream, ThreadPoolExecutor(1) as pool:
            sending = pool.submit(sends_on, ada, ben, is_over)
            stream.until("new_message")
            for _ in range(3):
                pooler.end() if end == "asked" else pooler.kill()
                pooler.start()
            is_over.set()
            sent = sending.result(PATIENCE_S)
            assert list(range(2, sent + 1)) == [stream.until("new_message").data["seq"] for _ in range(sent - 1)]
        wait_for(lambda: node.http.get(f"{node.url}/readyz").status_code == 200, what="ready again")
        assert "Traceback" not in node.output
