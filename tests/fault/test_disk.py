"""A disk that fails: sends are refused, not lost; what was acknowledged is there when the disk is well again (I1)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.crowd import UNLIMITED, log_after
from lab.faults.baddisk import BadDisk
from lab.faults.disks import damaged_file, failing_disk, full_disk
from lab.node import Node, refused
from lab.process import wait_for


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


# shows: reliability/disk-full, faults/disk-full
def test_a_full_disk_refuses_and_loses_nothing(node: Node) -> None:
    """There is no room any more, in the middle of sends. They are answered 503 `unavailable` and not left waiting,
    `/readyz` is red and `/healthz` green, everything can be read still and streams live on. With room again the same
    sends are taken, without a restart. PROTOCOL 5.0.4, 9.0.1, 9.0.13
    """
    disk = BadDisk(node)
    try:
        outcome = full_disk(node, lambda: disk.told("write 28"), disk.is_well, sends=800)
        assert outcome.holds, outcome
        node.stop()
    finally:
        node.kill()


# shows: reliability/disk-fails, faults/disk-fails
def test_a_disk_that_fails_ends_the_node_and_its_successor_has_everything(node: Node) -> None:
    """fsync fails in the middle of sends. They are 503, also those that wait; the node drains and exits with 1, so that
    its supervisor starts another, which has every acknowledged message once and takes the rest. PROTOCOL 9.0.1, 9.0.13
    """
    try:
        outcome = failing_disk(node, "fsync 5", "fsync fails")
        assert outcome.holds, outcome
        assert outcome.errors["503 unavailable"] >= 1
    finally:
        node.kill()


# shows: reliability/damaged, faults/damaged
def test_a_damaged_file_shows_nothing_that_nobody_wrote_and_a_backup_brings_it_back(node: Node) -> None:
    """A row that cannot be read is 503 `unavailable`; damaged all over, the file is refused at the start with a
    sentence that names the remedy; `tidings restore` is one, and clients are told to reload by another epoch.
    """
    try:
        outcome = damaged_file(node, sends=300)
        assert outcome.holds, outcome
    finally:
        node.kill()


# shows: reliability/locked
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


# shows: reliability/cannot-open
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


# shows: reliability/second-server
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


# shows: reliability/second-server
def test_a_second_node_on_the_same_database_refuses_with_the_sentence(
    refused_node: tuple[Node, Node, Future[None]],
) -> None:
    """After its wait of 10 s, on one line, with exit code 1; the first one does not notice."""
    first, second, starting = refused_node
    with pytest.raises(AssertionError, match="ended with 1 at start"):
        starting.result(20)
    assert first.process is not None
    sentence = f"database is served by process {first.process.pid}; an SQLite file takes one process"
    (line,) = second.stderr.splitlines()
    assert line.startswith(f"tidings: {sentence}")
    assert "hi" == first.person("ada").sends("ben", "hi")["text"]
