"""A process that stands still, and one that may open no more files: people wait, nothing is lost (I1, I2)."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

from lab.crowd import UNLIMITED
from lab.faults.stops import no_descriptors, stands_still
from lab.node import Node

STILL_S = 2.0
WAIT_S = 4.0


# shows: reliability/stopped, faults/stopped
def test_a_node_that_stands_still_loses_nothing(tmp_path: Path) -> None:
    """Stopped with sends in flight and streams open, it goes on where it was. PROTOCOL 9.0.1, 6.0.1"""
    with Node(tmp_path, **UNLIMITED) as node:
        outcome = stands_still(node, STILL_S)
        assert outcome.holds, outcome


def test_requests_that_came_while_a_node_stood_still_are_read_before_they_are_late(tmp_path: Path) -> None:
    """A request that was sent whole in its time is answered, though the node looks at it after that time. Thousands
    that come back after a stall would else all be cut, and come again.
    """
    with (
        Node(tmp_path, request_wait_max_s=WAIT_S, **UNLIMITED) as node,
        socket.create_connection(node.address, 20) as client,
    ):
        node.http.get(f"{node.url}/healthz")  # whoever connected before it is accepted by now
        assert node.process is not None
        node.process.send_signal(signal.SIGSTOP)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(WAIT_S + 1.5)  # the fault itself: longer than the node waits for a request
        node.process.send_signal(signal.SIGCONT)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


# shows: reliability/descriptors
def test_a_node_without_descriptors_serves_those_who_are_there(tmp_path: Path) -> None:
    """New connections are closed without an answer; open ones and streams go on; afterwards everybody comes in."""
    with Node(tmp_path, **UNLIMITED) as node:
        outcome = no_descriptors(node)
        assert outcome.holds, outcome
