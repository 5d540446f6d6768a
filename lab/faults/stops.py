"""A process that stands still, and one that may open no more files."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import resource
import signal
import socket
import time
from pathlib import Path

from lab.crowd import Crowd, metric
from lab.faults.rounds import CLIENTS, Outcome, Town
from lab.node import API, Node
from lab.process import wait_for

TURNED_AWAY = 20  # guests; then it has been shown
GUESTS_MAX = 400  # more than it may have


def stands_still(node: Node, seconds: float) -> Outcome:
    """SIGSTOP in the middle of sends with streams open, SIGCONT after so long."""
    outcome = Outcome(f"SIGSTOP for {seconds:g} s", rounds=1)
    process = node.process
    assert process is not None
    town = Town(node, 8, random.Random(12))
    town.opens_streams()
    crowd = Crowd(CLIENTS)
    with crowd.in_the_midst_of(town.writes(2_000), acknowledged=300):
        process.send_signal(signal.SIGSTOP)
        outcome.in_flight = CLIENTS
        wait_for(lambda: " T " in Path(f"/proc/{process.pid}/stat").read_text(), what="a process that stands")
        acknowledged = crowd.acknowledged
        time.sleep(seconds)  # the fault itself
        outcome.expects(crowd.acknowledged - acknowledged <= CLIENTS, "it did not stand still")
        since = time.monotonic()
        process.send_signal(signal.SIGCONT)
    for status, code in crowd.refused:
        outcome.errors[f"{status} {code}"] += 1
    outcome.expects(set(crowd.refused) <= {(503, "unavailable")}, f"refusals: {set(crowd.refused)}")
    for follower in town.followers.values():
        if follower.ended is not None:
            follower.join()
            outcome.errors["stream cut"] += 1
            follower.open()
    town.comes_to_rest()
    outcome.recovery_s.append(time.monotonic() - since)
    outcome.adds(town.judge())
    outcome.errors["answers come late"] += 1
    return outcome


def no_descriptors(node: Node) -> Outcome:
    """The node may open a few more files, and guests take them all: whoever is there goes on; when they have gone,
    everybody comes in again.
    """
    outcome = Outcome("descriptors exhausted", rounds=1)
    assert node.process is not None
    pid = node.process.pid
    town = Town(node, 8, random.Random(13))
    town.opens_streams()
    town.writes(200)
    town.comes_to_rest()
    kept = http.client.HTTPConnection(*node.address, timeout=10)
    outcome.expects(post_kept(kept, town, "before") == 201, "a send on a connection that stays")
    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    room = len(os.listdir(f"/proc/{pid}/fd")) + CLIENTS + 8
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (room, hard))
    with contextlib.ExitStack() as going:
        answered = closed = waiting = 0
        while closed + waiting < TURNED_AWAY and answered < GUESTS_MAX:
            guest = going.enter_context(socket.create_connection(node.address, 10))
            guest.settimeout(0.3)
            token = node.token(f"guest-{answered}")  # each another user: of one, older streams would make room
            try:
                guest.sendall(f"GET {API}/sse/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
                first = guest.recv(4096)
            except TimeoutError:
                waiting += 1
            except OSError:
                closed += 1
            else:
                answered += bool(first)
                closed += not first
        outcome.expects(closed + waiting > 0, "there were enough descriptors")
        outcome.errors["connection closed without an answer"] += closed
        outcome.errors["connection not accepted"] += waiting
        outcome.figures = {"guests_with_a_stream": answered}
        outcome.expects(post_kept(kept, town, "meanwhile") == 201, "who was connected is not served")
        for follower in town.followers.values():
            follower.wait_at_head()
        outcome.expects({None} == {each.ended for each in town.followers.values()}, "a stream ended")
    kept.close()
    since = time.monotonic()
    crowd = Crowd(4)
    left = town.writes(100)
    wait_for(lambda: not crowd.sends([each for each in left if each.message is None]), 30, "new connections")
    town.comes_to_rest()
    outcome.recovery_s.append(time.monotonic() - since)
    wait_for(lambda: metric(node.url, "tidings_streams_open") == len(town.people), what="the end of the guests")
    outcome.expects("Traceback" not in node.output, "a traceback in the log")
    outcome.adds(town.judge())
    return outcome


def post_kept(kept: http.client.HTTPConnection, town: Town, text: str) -> int:
    """The status of a send on a connection that is open already, or is opened by the first."""
    sender, recipient = town.people[:2]
    body = json.dumps({"recipientId": recipient.id, "text": text, "client_id": text})
    kept.request("POST", f"{API}/send", body, {**sender.headers, "Content-Type": "application/json"})
    answer = kept.getresponse()
    answer.read()
    return answer.status
