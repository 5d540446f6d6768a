"""A node that is told to stop while everybody is there: each is told, nothing begun is cut (PROTOCOL.md 15)."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.crowd import UNLIMITED
from lab.node import API, Node, refused
from lab.openings import openings
from lab.process import wait_for
from tidings.server.http.stopping import SAME_WITHIN_S

STREAMS = 200
WINDOW_S = 3.0


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path, drain_window_s=WINDOW_S, drain_streams_per_s=1)  # a few streams fill it


# shows: behaviour/deploy
def test_two_hundred_streams_are_told_and_spread(node: Node) -> None:
    """Each gets `goodbye` with a wait of its own, spread over a window that begins when this one ends, and a clean
    end; then the process exits with 0. Requests that come meanwhile are refused with an answer. PROTOCOL 15.0.1,
    15.0.2, 15.0.3, 15.0.6, 15.0.9, 7.9.1, 7.9.2, 7.9.3
    """
    with node:
        people = [node.person(f"user-{number}") for number in range(STREAMS // 2)]
        streams = [person.opens_stream().live() for person in people for _ in range(2)]
        began = time.monotonic()
        node.signal_stop()
        retries = []
        for stream in streams:
            goodbye = stream.next(WINDOW_S)
            assert ("goodbye", "draining") == (goodbye.type, goodbye.data["reason"])
            assert goodbye.retry_ms == goodbye.data["retry_ms"]
            assert ([], "clean") == (stream.to_end(), stream.ended)
            retries.append(goodbye.data["retry_ms"])
        assert time.monotonic() - began < WINDOW_S, "the streams ended after the window"
        first, last = min(retries), max(retries)
        assert WINDOW_S * 1000 <= first
        assert last - first <= WINDOW_S * 1000
        tenth_ms = WINDOW_S * 100
        assert 10 <= len({int(retry // tenth_ms) for retry in retries}), "they come back in a heap"
        refused(people[0].gets("/sse/me"), 503, "draining")
        refused(people[0].posts("/send", {"recipientId": people[1].id, "text": "late"}), 503, "draining")
        assert 503 == node.http.get(f"{node.url}/readyz").status_code
        node.wait_exit(WINDOW_S + 2 - (time.monotonic() - began))
        assert STREAMS == node.output.count("reason=draining")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_send_that_was_begun_is_finished(node: Node, stop: signal.Signals) -> None:
    """Its body comes when the node drains already: it is acknowledged, and there after a
    restart. PROTOCOL 15.0.4, 15.0.8
    """
    node.limits["drain_window_s"] = 1
    with node:
        ada, ben = node.person("ada"), node.person("ben")
        start = ben.head()
        ben.opens_stream().live()
        with socket.create_connection(node.address, timeout=10) as client:
            body = json.dumps({"recipientId": "ben", "text": "begun before"}).encode()
            client.sendall(
                f"POST {API}/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.token}\r\nExpect: 100-continue\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            assert client.recv(65536).startswith(b"HTTP/1.1 100")  # from here on the node waits for the body
            assert node.process is not None
            node.process.send_signal(stop)
            wait_for(lambda: node.http.get(f"{node.url}/readyz").status_code == 503)
            client.sendall(body)
            assert client.recv(65536).startswith(b"HTTP/1.1 201")
        node.wait_exit(1 + 2)
        node.restart()
        assert ["begun before"] == [event["data"]["text"] for event in ben.events(start)["events"]]


def test_a_reader_that_does_not_take_its_goodbye_does_not_hold_the_node_up(node: Node) -> None:
    """Its socket is full: at the end of the window it is cut, and the node exits with 0. PROTOCOL 15.0.6"""
    node.limits |= {"drain_window_s": 1, **UNLIMITED}
    with node:
        ada, ben = node.person("ada"), node.person("ben")
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.connect(node.address)
            stuck.sendall(f"GET {API}/sse/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ben.token}\r\n\r\n".encode())
            wait_for(lambda: "stream opened" in node.stderr)
            for _ in range(600):
                ada.sends(ben, "x" * 16_000)
            node.signal_stop()
            node.wait_exit(1 + 2)


def test_a_second_signal_exits_at_once(node: Node) -> None:
    """With streams open and a request half sent. PROTOCOL 15.0.7"""
    node.limits |= {"drain_window_s": 60, "drain_streams_per_s": 0.01}
    node.start()
    try:
        ada = node.person("ada")
        ada.opens_stream().live()
        with socket.create_connection(node.address) as half:
            half.sendall(f"POST {API}/send HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n".encode())
            node.signal_stop()
            wait_for(lambda: "draining" in node.stderr)
            time.sleep(SAME_WITHIN_S)  # one that comes sooner is the same
            began = time.monotonic()
            node.signal_stop()
            assert node.process is not None
            assert 128 + signal.SIGTERM == node.process.wait(5)
            assert time.monotonic() - began < 1
    finally:
        node.kill()


def test_a_node_that_waits_for_its_database_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """With 0, at once: it serves nobody. A container's first process does not even hear a signal without a handler."""
    with Node(tmp_path / "first") as first:
        program = Path(sys.executable).with_name("tidings")
        database = first.database.absolute()
        with openings(database) as is_opened:
            waiting = subprocess.Popen(
                [program, "serve", "--port", "0", "--db", f"sqlite:///{database}"], env=first.environment()
            )
            try:
                wait_for(is_opened, 60, "it waits")
                waiting.send_signal(signal.SIGTERM)
                assert 0 == waiting.wait(5)
            finally:
                waiting.kill()
