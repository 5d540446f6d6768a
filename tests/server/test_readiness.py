"""Readiness of several nodes; their lines and metrics while the database or the bus is away (docs/run/operate.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lab import plain_http
from lab.nats import Nats
from lab.node import Node
from lab.postgres import Postgres
from lab.process import PATIENCE_S, wait_for
from lab.proxy import Proxy


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """One that the tests stop."""
    made = Postgres()
    made.start()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def nats() -> Iterator[Nats]:
    made = Nats()
    made.start()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def pair(
    database: Postgres, nats: Nats, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Node, Node, Proxy]]:
    """Two nodes; the second one reaches the database through a network that breaks."""
    folder = tmp_path_factory.mktemp("pair")
    with Proxy(("127.0.0.1", database.port)) as way:
        url = database.url()
        there = url.replace(str(database.port), str(way.port))
        with (
            Node(folder / "1", db=url, bus=nats.url()) as first,
            Node(folder / "2", db=there, bus=nats.url()) as second,
        ):
            wait_for(lambda: metric(second, "tidings_bus_neighbours") == 1)
            yield first, second, way


def ready(node: Node) -> tuple[int, dict[str, Any]]:
    answer = plain_http.get(f"{node.url}/readyz", timeout=PATIENCE_S)
    return answer.status_code, answer.json()


def is_well(node: Node) -> bool:
    return ready(node) == (200, {"status": "ok"})


def metric(node: Node, name: str) -> float:
    page = plain_http.get(f"{node.url}/metrics", timeout=PATIENCE_S).text
    found = re.search(rf"^{re.escape(name)} (.*)$", page, re.MULTILINE)
    return 0.0 if found is None else float(found[1])


def said_since(node: Node, size: int) -> str:
    said = node.stderr[size:]
    assert "Traceback" not in said, said
    return said


def test_a_node_that_alone_has_no_database_is_not_ready_and_keeps_its_streams(pair: tuple[Node, Node, Proxy]) -> None:
    """A balancer takes it out. Its streams stay open and have what the other commits; one line tells of it."""
    first, second, way = pair
    cy, di = first.person("cy"), second.person("di")
    size = len(second.stderr)
    with di.opens_stream() as stream:
        stream.live()
        way.refuse()
        try:
            answer = di.posts("/send", {"recipientId": "cy", "text": "not now", "client_id": "k1"})
            assert (503, True) == (answer.status_code, answer.headers["retry-after"].isdigit())
            wait_for(lambda: ready(second)[0] == 503, what="the second is not ready")
            wait_for(lambda: ready(second)[1]["detail"].startswith("The database cannot be reached: "), what="why")
            assert (200, {"status": "ok"}) == ready(first)
            cy.sends(di, "over the bus")
            assert "over the bus" == stream.until("new_message").data["text"]
        finally:
            way.restore()
        wait_for(lambda: is_well(second), what="the second is ready again")
        assert 201 == di.posts("/send", {"recipientId": "cy", "text": "now", "client_id": "k1"}).status_code
        assert "now" == stream.until("new_message").data["text"], "the same stream"
    said = said_since(second, size)
    assert (1, 1) == (said.count("the database cannot be used"), said.count("the database is back")), said


def test_where_no_node_has_the_database_each_stays_in_and_says_so(
    pair: tuple[Node, Node, Proxy], database: Postgres
) -> None:
    """A client needs the 503 with Retry-After of a node, and not a balancer's. They hear it in each other's beats."""
    first, second, _ = pair
    sizes = len(first.stderr), len(second.stderr)
    with first.person("eli").opens_stream() as stream:
        stream.live()
        database.end()
        try:
            wait_for(lambda: all("database" in ready(node)[1].get("trouble", {}) for node in (first, second)))
            for node in (first, second):
                status, told = ready(node)
                assert 200 == status
                assert told["trouble"]["database"].startswith("it is away for every node: ")
        finally:
            database.start()
        wait_for(lambda: is_well(first) and is_well(second), what="both are ready again")
        second.person("fay").sends("eli", "back")
        assert "back" == stream.until("new_message").data["text"], "the same stream"
    for node, size in zip((first, second), sizes, strict=True):
        assert 1 == said_since(node, size).count("the database cannot be used")


def test_a_node_without_its_bus_is_ready_and_says_so(pair: tuple[Node, Node, Proxy], nats: Nats) -> None:
    """Messages to readers on other nodes are later, and nothing is lost."""
    first, second, _ = pair
    size = len(first.stderr)
    with second.person("gus").opens_stream() as stream:
        stream.live()
        nats.end()
        try:
            wait_for(lambda: "bus" in ready(first)[1].get("trouble", {}), what="it says so")
            assert 200 == ready(first)[0]
            first.person("hal").sends("gus", "without a bus")
            assert "without a bus" == stream.until("new_message").data["text"]
        finally:
            nats.start()
        wait_for(lambda: is_well(first) and is_well(second), what="the bus is back")
    assert 1 == said_since(first, size).count("the bus is down")


def test_the_metrics_tell_of_the_database(pair: tuple[Node, Node, Proxy], database: Postgres) -> None:
    """Round trips, the size of batches, retries and their reason, and writes that waited for somebody else's lock."""
    first, _, _ = pair
    ivy = first.person("ivy")
    ivy.sends("jo", "before")
    trips = metric(first, "tidings_database_round_trip_seconds_count")
    with ThreadPoolExecutor(1) as pool:
        with database.holding("SELECT 1 FROM tidings.users WHERE name = 'jo' FOR UPDATE"):
            sending = pool.submit(ivy.sends, "jo", "waits")
            wait_for(lambda: metric(first, "tidings_database_slow_writes_total") >= 1)
        assert "waits" == sending.result(PATIENCE_S)["text"]
    assert trips < metric(first, "tidings_database_round_trip_seconds_count")
    batches = metric(first, "tidings_database_batch_writes_count")  # before the sum: a look at the store comes between
    assert 0 < batches <= metric(first, "tidings_database_batch_writes_sum")
    assert 1 <= metric(first, 'tidings_database_retries_total{reason="lock"}')


def test_a_node_has_seven_connections_at_most(pair: tuple[Node, Node, Proxy], database: Postgres) -> None:
    """One to write, one for the slow lane, two to read, one for the outbox; two for hints, but not with NATS."""
    first, second, _ = pair
    for node in (first, second):
        for person in "ab":
            node.person(person).inbox()
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidings' AND pid <> pg_backend_pid()"
    assert 2 * 3 <= int(database.run(count)) <= 2 * 5
