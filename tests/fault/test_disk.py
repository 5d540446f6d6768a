"""A disk that fails: sends are refused, not lost; what was acknowledged is there when the disk is well again (I1)."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from crowd import UNLIMITED, Crowd, Follower, Letter, log_after, until_acknowledged
from node import Node, refused, wait_for

ROOM_BYTES = 300_000


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path, heartbeat_interval_s=0.5, **UNLIMITED)


@pytest.fixture(scope="module", autouse=True)
def refused_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node, Future[None]]]:
    """A node, and a second one on its database that waits to be refused while the other tests of this file run."""
    with Node(tmp_path_factory.mktemp("first")) as first, ThreadPoolExecutor(1) as pool:
        second = Node(tmp_path_factory.mktemp("second"), database=first.database)
        yield first, second, pool.submit(second.start)
        second.kill()


def test_a_full_disk_refuses_and_loses_nothing(node: Node) -> None:
    """No file of the node may grow any more, in the middle of sends. They are answered 503 `unavailable` and not
    left waiting, `/readyz` is red and `/healthz` green, everything can be read still; after a restart with room all
    that was acknowledged is there, and what was not can be sent again. PROTOCOL 5.0.4, 9.0.1, 9.0.13
    """
    node.start()
    try:
        people = [node.person(f"user-{number}") for number in range(8)]
        reader = people[0]
        start = reader.head()
        letters = [
            Letter(people[1 + number % 7], reader, f"{number} {'x' * 1000}", f"{number}") for number in range(2_000)
        ]
        until_acknowledged(letters[:200])
        follower = Follower(reader, start).open()
        follower.wait_at_head()
        assert 200 == node.http.get(f"{node.url}/readyz").status_code

        assert node.process is not None
        size = max(path.stat().st_size for path in node.directory.iterdir()) + ROOM_BYTES
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        crowd = Crowd(8)
        unacknowledged = crowd.sends(letters[200:])
        assert 0 < crowd.acknowledged < len(letters) - 200, "the disk was not full in the middle"
        assert {(503, "unavailable")} == set(crowd.refused)
        assert len(unacknowledged) == len(crowd.refused)
        refused(people[1].posts("/send", {"recipientId": reader.id, "text": "hi"}), 503, "unavailable")
        refused(people[1].posts("/receipts", {"chatUserId": reader.id, "read_upto": 1}), 503, "unavailable")
        assert 503 == node.http.get(f"{node.url}/readyz").status_code
        assert 200 == node.http.get(f"{node.url}/healthz").status_code
        acknowledged = {letter.message["_id"] for letter in letters if letter.message}
        follower.wait_at_head()
        assert acknowledged <= {frame.data["_id"] for frame in follower.events}
        wait_for(lambda: follower.other[-1].type == "heartbeat", what="a stream that lives on")
        assert reader.history(people[1])["messages"]
        node.signal_stop()
        assert node.process.wait(10) == 0
        follower.join()
        assert "clean" == follower.ended

        node.kill()
        node.restart()
        assert acknowledged <= {event["data"]["_id"] for event in log_after(reader, start)}
        assert 200 == node.http.get(f"{node.url}/readyz").status_code
        until_acknowledged(letters)
        log = [event["data"]["_id"] for event in log_after(reader, start)]
        assert len(letters) == len(log) == len(set(log))
        assert set(log) == {letter.message["_id"] for letter in letters if letter.message}
        follower.open().wait_at_head()
        assert log == [frame.data["_id"] for frame in follower.events]
    finally:
        node.kill()


def test_a_database_that_another_program_locks_delays_and_loses_nothing(node: Node) -> None:
    """A tool holds the write lock for longer than the node waits: sends are refused in time, reads go on; afterwards
    the same sends are stored once, without a restart. PROTOCOL 9.0.1, 9.0.13
    """
    with node:
        ada, ben = node.person("ada"), node.person("ben")
        start = ben.head()
        ada.sends(ben, "before")
        tool = sqlite3.connect(node.database, isolation_level=None)
        try:
            tool.execute("BEGIN IMMEDIATE")
            body = {"recipientId": "ben", "text": "meanwhile", "client_id": "1"}
            with ThreadPoolExecutor(1) as pool:
                node.http.timeout = 20
                sending = pool.submit(ada.posts, "/send", body)
                assert ["before"] == [message["text"] for message in ben.history(ada)["messages"]]
                refused(sending.result(), 503, "unavailable")
        finally:
            tool.close()
        message = wait_for(lambda: sent_again(node, body), what="a send after the lock is gone")
        assert "meanwhile" == message["text"]
        assert ["before", "meanwhile"] == [event["data"]["text"] for event in log_after(ben, start)]
        assert 200 == node.http.get(f"{node.url}/readyz").status_code


def sent_again(node: Node, body: dict[str, str]) -> dict[str, str] | None:
    answer = node.person("ada").posts("/send", body)
    message: dict[str, str] | None = answer.json()["message"] if answer.status_code == 201 else None
    return message


@pytest.mark.parametrize("kind", ["garbage", "no folder", "a folder"])
def test_a_database_that_cannot_be_opened_is_a_sentence(node: Node, kind: str) -> None:
    """It names the file and the setting; exit 2."""
    if kind == "garbage":
        node.database.write_bytes(b"no database at all " * 500)
    elif kind == "a folder":
        node.database.mkdir()
    else:
        node.database = node.directory / "nowhere" / "tidings.db"
    with pytest.raises(AssertionError, match="ended with 2 at start"):
        node.start()
    (line,) = node.stderr.splitlines()
    assert line.startswith(f"tidings: db (TIDINGS_DB): {node.database} cannot be opened: "), line


def test_a_second_node_on_the_same_database_waits_and_takes_over(node: Node, tmp_path: Path) -> None:
    """While the first one goes, as at a restart of a service: nothing is lost between them. PROTOCOL 15.0.8"""
    node.start()
    second = Node(tmp_path / "second", database=node.database, **UNLIMITED)
    try:
        ada, ben = node.person("ada"), node.person("ben")
        start = ben.head()
        ada.sends(ben, "to the first")
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(second.start)
            wait_for(lambda: (second.directory / "stdout.txt").exists())
            assert not starting.done()
            node.stop()
            starting.result(20)
        second.person("ada").sends("ben", "to the second")
        log = log_after(second.person("ben"), start)
        assert ["to the first", "to the second"] == [event["data"]["text"] for event in log]
    finally:
        node.kill()
        second.kill()


def test_a_second_node_on_the_same_database_refuses_with_the_sentence(
    refused_node: tuple[Node, Node, Future[None]],
) -> None:
    """After its wait of 10 s, on one line, with exit code 2; the first one does not notice."""
    first, second, starting = refused_node
    with pytest.raises(AssertionError, match="ended with 2 at start"):
        starting.result(20)
    assert first.process is not None
    sentence = f"database is served by process {first.process.pid}; use one worker, or PostgreSQL for several"
    assert [f"tidings: {sentence}"] == second.stderr.splitlines()
    assert "hi" == first.person("ada").sends("ben", "hi")["text"]
