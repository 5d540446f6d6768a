"""How a server stops: PROTOCOL.md 15."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.deployment import OF_SEVERAL_NODES
from lab.node import Node, Person, refused
from lab.process import wait_for

WINDOW_S = 2.0
SAME_SIGNAL_S = 0.6  # PROTOCOL 15.0.7 says 0.5
WHOLE_WINDOW: dict[str, Any] = {"drain_window_s": WINDOW_S, "drain_streams_per_s": 0.1}  # one stream fills it


def draining(person: Person) -> bool:
    """True once the node refuses a send because it drains."""
    answer = person.posts("/send", {"recipientId": "ben", "text": "late"})
    assert answer.status_code in (201, 503), answer.text
    return answer.status_code == 503


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_every_stream_is_told_and_ends_cleanly(tmp_path: Path, stop: signal.Signals) -> None:
    """With a way back of its own; then the server exits 0. PROTOCOL 15.0.1, 15.0.2, 15.0.6, 15.0.9, 7.9.1, 7.9.2,
    7.9.3
    """
    with Node(tmp_path, **WHOLE_WINDOW) as node:
        streams = [node.person(f"user-{number}").opens_stream().live() for number in range(12)]
        start = time.monotonic()
        node.signal_stop(stop)
        retries = []
        for stream in streams:
            goodbye = stream.until("goodbye", WINDOW_S + 1)
            assert "draining" == goodbye.data["reason"]
            assert goodbye.retry_ms == goodbye.data["retry_ms"] >= WINDOW_S * 1000
            assert ([], "clean") == (stream.to_end(), stream.ended)
            retries.append(goodbye.retry_ms)
        assert time.monotonic() - start <= WINDOW_S + 2
        assert len(set(retries)) >= 6
        node.wait_exit()
        assert time.monotonic() - start <= WINDOW_S + 4


def test_the_window_is_as_long_as_the_streams_need(tmp_path: Path) -> None:
    """One stream's is over at once, though a minute is allowed; where one in two seconds may come back, it takes two.
    PROTOCOL 15.0.2, 15.0.6
    """
    for streams_per_s, window_s in ((400.0, 0.0), (0.5, 2.0)):
        with Node(tmp_path, drain_window_s=60, drain_streams_per_s=streams_per_s) as node:
            stream = node.person("ada").opens_stream().live()
            began = time.monotonic()
            node.signal_stop()
            goodbye = stream.until("goodbye")
            assert window_s * 1000 <= goodbye.data["retry_ms"] <= 2 * window_s * 1000 + 2000
            node.wait_exit()
            assert window_s <= time.monotonic() - began < 30  # a busy machine takes some seconds, and no minute


@pytest.mark.not_on(*OF_SEVERAL_NODES, why="a node's window is as long as its own streams need")
def test_a_refusal_while_draining_is_an_answer(tmp_path: Path) -> None:
    """The listener stays until the window ends. PROTOCOL 15.0.3, 15.0.6, 5.0.4"""
    with Node(tmp_path, **WHOLE_WINDOW) as node:
        ada = node.person("ada")
        ada.opens_stream().live()
        start = time.monotonic()
        node.signal_stop()
        wait_for(lambda: draining(ada), WINDOW_S)
        while time.monotonic() - start < WINDOW_S - 0.5:
            refused(ada.posts("/send", {"recipientId": "ben", "text": "late"}), 503, "draining")
            refused(ada.gets("/sse/me"), 503, "draining")
            refused(ada.posts("/receipts", {"chatUserId": "ben", "read_upto": 1}), 503, "draining")
            refused(ada.posts("/typing", {"chatUserId": "ben"}), 503, "draining")
            refused(ada.posts("/presence", {"chatUserId": "ben"}), 503, "draining")
            refused(ada.posts("/block", {"chatUserId": "ben"}), 503, "draining")
            refused(ada.posts("/unblock", {"chatUserId": "ben"}), 503, "draining")
            refused(ada.posts("/report", {"chatUserId": "ben", "reason": "x"}), 503, "draining")
            time.sleep(0.1)
        node.wait_exit()
        assert time.monotonic() - start >= WINDOW_S - 0.3


# shows: reliability/restart
@pytest.mark.not_on(*OF_SEVERAL_NODES, why="a node's window is as long as its own streams need")
def test_no_send_is_cut_by_a_drain(tmp_path: Path) -> None:
    """Each is acknowledged or refused; what was acknowledged is there. PROTOCOL 15.0.4, 15.0.3, 15.0.8, 9.0.1"""
    with Node(tmp_path, sends_per_s=10_000, sends_burst=10_000, **WHOLE_WINDOW) as node:
        ben = node.person("ben")
        ben.opens_stream().live()
        start = ben.head()

        def until_refused(number: int) -> list[str]:
            ada = node.person(f"ada-{number}")
            acknowledged: list[str] = []
            while True:
                answer = ada.posts("/send", {"recipientId": "ben", "text": "hi"})
                if answer.status_code != 201:
                    refused(answer, 503, "draining")
                    return acknowledged
                acknowledged.append(answer.json()["message"]["_id"])

        with ThreadPoolExecutor(6) as pool:
            sending = [pool.submit(until_refused, number) for number in range(6)]
            wait_for(lambda: len(ben.events(start, limit=500)["events"]) >= 50)
            node.signal_stop()
            acknowledged = {one for each in sending for one in each.result()}
        node.wait_exit()
        node.restart()
        stored, cursor, more = set(), start, True
        while more:
            page = ben.events(cursor, limit=500)
            stored |= {event["data"]["_id"] for event in page["events"]}
            cursor, more = page["cursor"], page["has_more"]
        assert acknowledged == stored


def test_a_long_poll_is_answered_by_the_drain(tmp_path: Path) -> None:
    """It does not hold the server up, nor is it cut. PROTOCOL 15.0.5, 15.0.6"""
    with Node(tmp_path, **WHOLE_WINDOW) as node, ThreadPoolExecutor(1) as pool:
        ada = node.person("ada")
        head = ada.head()
        poll = pool.submit(ada.gets, "/events/me", cursor=head, wait=9)
        with pytest.raises(TimeoutError):
            poll.result(0.3)
        node.signal_stop()
        answer = poll.result(WINDOW_S + 1)
        assert answer.status_code in (200, 503)
        if answer.status_code == 200:
            assert ([], head) == (answer.json()["events"], answer.json()["cursor"])
        node.wait_exit()


@pytest.mark.not_on(*OF_SEVERAL_NODES, why="a node's window is as long as its own streams need")
def test_a_second_signal_ends_the_window(tmp_path: Path) -> None:
    """For the one who waits at the terminal. PROTOCOL 15.0.7"""
    node = Node(tmp_path, drain_window_s=30, drain_streams_per_s=0.01)
    node.start()
    try:
        ada = node.person("ada")
        ada.opens_stream().live()
        node.signal_stop()
        wait_for(lambda: draining(ada))
        assert node.process is not None
        time.sleep(SAME_SIGNAL_S)  # one that comes sooner is the same one
        start = time.monotonic()
        node.signal_stop()
        node.process.wait(5)
        assert time.monotonic() - start < 5
    finally:
        node.kill()


def test_cursors_go_on_after_a_restart(tmp_path: Path) -> None:
    """The reader that was told goodbye misses nothing. PROTOCOL 15.0.8, 7.9.6, 6.1.2"""
    with Node(tmp_path) as node:
        ada, ben = node.person("ada"), node.person("ben")
        with ben.opens_stream() as stream:
            stream.live()
            ada.sends(ben, "1")
            cursor = stream.until("new_message").id
            ada.sends(ben, "2")
            node.signal_stop()
            stream.to_end()
            seen = [frame.data["text"] for frame in stream.frames if frame.type == "new_message"]
            cursor = next((frame.id for frame in reversed(stream.frames) if frame.id), cursor)
        node.wait_exit()
        node.restart()
        ada.sends(ben, "3")
        with ben.opens_stream(last_event_id=cursor) as stream:
            seen += [frame.data["text"] for frame in stream.live().frames if frame.type == "new_message"]
        assert ["1", "2", "3"] == seen
