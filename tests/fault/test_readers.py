"""Readers that vanish, stand still or do not read: nobody else notices, and nothing of them is left."""

from __future__ import annotations

import contextlib
import re
import resource
from collections import Counter
from pathlib import Path

import pytest

from lab.crowd import UNLIMITED, Follower, Letter, metric, until_acknowledged
from lab.faults.unread import queued_kib, resident_kib, unread
from lab.node import Node
from lab.process import wait_for
from lab.proxy import Proxy

GONE = 1_000
FLOOD = 5_000
FLOOD_TEXT = "x" * 4_096
SLOWLY = 2_000
STUCK = 5
WRITE_BLOCKED_MAX_S = 6.0


def test_a_thousand_readers_reset_at_once_leave_nothing_behind(tmp_path: Path) -> None:
    """No entry in the registry, no traceback, one INFO line each. The node has raised its limit of open files, which
    was too low for them, by itself. PROTOCOL 14.0.10
    """
    usual, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    node = Node(tmp_path)
    resource.setrlimit(resource.RLIMIT_NOFILE, (GONE // 2, allowed))
    try:
        node.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(usual, min(allowed, 4 * GONE)), allowed))
    with contextlib.ExitStack() as ending:
        ending.callback(node.kill)
        people = [node.person(f"user-{number}") for number in range(GONE // 2)]
        streams = [person.opens_stream().live() for person in people for _ in range(2)]
        assert (GONE, GONE // 2) == (open_now(node), connected_now(node))
        # A thread writes them, when it comes to it: those of the openings are not to be counted among the ends.
        wait_for(lambda: GONE == node.stderr.count(" stream opened "), what="a line for each that was opened")
        lines_before = len(node.stderr.splitlines())
        for stream in streams:
            stream.reset()
        wait_for(lambda: open_now(node) == 0, 10, "the streams' end")
        assert 0 == connected_now(node)
        assert GONE == metric(node.url, 'tidings_streams_closed_total{reason="client"}')
        wait_for(lambda: node.stderr.count("reason=client\n") >= GONE, 10, "a line for each")
        lines = node.stderr.splitlines()[lines_before:]
        assert GONE == len(lines)
        for line in lines:
            assert re.search(r" INFO tidings\.stream stream ended user='user-\d+' .* reason=client$", line), line
        assert {2} == set(Counter(re.findall(r"user='(user-\d+)'", "\n".join(lines))).values())
        ada, ben = people[:2]
        with ben.opens_stream() as stream:
            ada.sends(ben, "still here")
            assert "still here" == stream.until("new_message").data["text"]
        node.stop()


def test_readers_reset_while_they_are_written_to_leave_nothing_behind(tmp_path: Path) -> None:
    """Also in the middle of a catch-up, and with a write on the way. PROTOCOL 14.0.10"""
    with Node(tmp_path, **UNLIMITED) as node:
        ada, ben = node.person("ada"), node.person("ben")
        start = ben.head()
        until_acknowledged([Letter(ada, ben, FLOOD_TEXT, f"{number}") for number in range(500)])
        for opening in range(60):
            stream = ben.opens_stream(last_event_id=start)
            for _ in range(opening % 4):
                stream.next()
            stream.reset()
        wait_for(lambda: open_now(node) == 0, 10, "the streams' end")
        assert 0 == connected_now(node)
        with ben.opens_stream(last_event_id=start) as stream:
            stream.live()
            assert 500 == sum(frame.type == "new_message" for frame in stream.frames)


# shows: reliability/slow-reader
def test_a_reader_that_does_not_read_costs_nothing_and_is_let_go(tmp_path: Path) -> None:
    """5,000 messages of 4 KB go to a user of whom five streams do not read. They cost the server under 10 MB, a sixth
    stream gets everything meanwhile, and they are aborted. PROTOCOL 14.0.11, 14.0.12
    """
    # The database's page cache grows with what is written, whoever reads it: hence the run without them.
    without = flooded(tmp_path / "without", stuck_count=0)
    with_stuck = flooded(tmp_path / "with", stuck_count=STUCK)
    assert with_stuck - without < 10e6, f"{with_stuck / 1e6:.1f} MB, and {without / 1e6:.1f} MB without them"


def flooded(directory: Path, *, stuck_count: int) -> float:
    """By how many bytes the node grew while the flood went to a quick reader and so many that do not read."""
    with Node(directory, write_blocked_max_s=WRITE_BLOCKED_MAX_S, **UNLIMITED) as node:
        ada, ben = node.person("ada"), node.person("ben")
        reader = Follower(ben, ben.head()).open()
        assert reader.is_caught_up.wait(10)
        stuck = [unread(ben) for _ in range(stuck_count)]
        wait_for(lambda: open_now(node) == stuck_count + 1)
        before = resident_kib(node) * 1024
        most = before
        letters = [Letter(ada, ben, f"{number} {FLOOD_TEXT}", f"{number}") for number in range(FLOOD)]
        for start in range(0, FLOOD, 1_000):
            until_acknowledged(letters[start : start + 1_000])
            most = max(most, resident_kib(node) * 1024)
        reader.wait_at_head()
        assert sorted(letter.text for letter in letters) == sorted(reader.texts)
        wait_for(lambda: open_now(node) == 1, WRITE_BLOCKED_MAX_S + 10, "the end of those that do not read")
        assert stuck_count == metric(node.url, 'tidings_streams_closed_total{reason="slow_consumer"}')
        wait_for(lambda: stuck_count == node.stderr.count("reason=slow_consumer"), 10, "a line for each")
        ada.sends(ben, "after all")
        reader.wait_at_head()
        assert "after all" == reader.events[-1].data["text"]
        for each in stuck:
            each.close()
        return most - before


# shows: faults/unread
def test_readers_that_never_read_cost_the_kernel_little(tmp_path: Path) -> None:
    """A kernel would take 4 MB for each of them; it holds less than 128 KiB. PROTOCOL 14.0.12"""
    with Node(tmp_path, write_blocked_max_s=300, **UNLIMITED) as node:
        ada, ben = node.person("ada"), node.person("ben")
        stuck = [unread(ben) for _ in range(STUCK)]
        wait_for(lambda: open_now(node) == STUCK)
        until_acknowledged([Letter(ada, ben, FLOOD_TEXT, f"{number}") for number in range(1_000)])
        wait_for(lambda: queued_kib(node) > STUCK, what="a kernel that holds something")
        assert queued_kib(node) / STUCK < 128
        for each in stuck:
            each.close()


# shows: reliability/network-cut
def test_a_reader_that_reads_slowly_gets_everything(tmp_path: Path) -> None:
    """It stands still until its socket is full, and goes on, twice: it falls out of the fast path and pulls from the
    store at its own pace. Slow is not stuck. PROTOCOL 6.1.5, 14.0.12
    """
    with Node(tmp_path, **UNLIMITED) as node, Proxy(node.address, receive_buffer_bytes=4_096) as proxy:
        ada, ben = node.person("ada"), node.person("ben")
        slow = Follower(node.person("ben", via=proxy.address), ben.head()).open()
        letters = [Letter(ada, ben, f"{number} {FLOOD_TEXT}", f"{number}") for number in range(2 * SLOWLY)]
        for part in (letters[:SLOWLY], letters[SLOWLY:]):
            proxy.stall(up=False)
            reads = metric(node.url, "tidings_catch_up_reads_total")
            until_acknowledged(part, clients=1)
            proxy.restore()
            slow.wait_at_head(50)  # through a window of 4 KB
            assert metric(node.url, "tidings_catch_up_reads_total") > reads, "its socket was never full"
        assert [letter.text for letter in letters] == slow.texts
        assert 0 == metric(node.url, 'tidings_streams_closed_total{reason="slow_consumer"}')


# shows: reliability/slow-reader
@pytest.mark.parametrize("gone", ["both ways", "down only"])
def test_a_half_open_reader_harms_nobody(tmp_path: Path, gone: str) -> None:
    """Its network is gone without a word. Others of the same user go on; when it comes back in time, so does it, with
    everything it missed; when it does not, it is let go. PROTOCOL 14.0.11, 14.0.12
    """
    with (
        Node(tmp_path, heartbeat_interval_s=0.5, write_blocked_max_s=2, **UNLIMITED) as node,
        Proxy(node.address, receive_buffer_bytes=4_096) as proxy,
    ):
        ada, ben = node.person("ada"), node.person("ben")
        far = Follower(node.person("ben", via=proxy.address), ben.head()).open()
        near = Follower(ben, ben.head()).open()
        assert far.is_caught_up.wait(10)
        assert near.is_caught_up.wait(10)
        proxy.stall(up=gone == "both ways")
        sent = [str(number) for number in range(20)]
        for text in sent:
            ada.sends(ben, text)
        near.wait_at_head()
        assert (sent, []) == (near.texts, far.texts)
        proxy.restore()
        far.wait_at_head()
        assert sent == far.texts

        proxy.stall(up=gone == "both ways")
        letters = [Letter(ada, ben, f"{number} {FLOOD_TEXT}", f"{number}") for number in range(3_000)]
        until_acknowledged(letters)
        near.wait_at_head()
        wait_for(lambda: open_now(node) == 1, 10, "the end of the reader that did not come back")
        assert 1 == metric(node.url, 'tidings_streams_closed_total{reason="slow_consumer"}')
        proxy.restore()
        far.join()
        assert "cut" == far.ended
        far.open().wait_at_head()
        assert [frame.id for frame in near.events] == [frame.id for frame in far.events]


def open_now(node: Node) -> float:
    return metric(node.url, "tidings_streams_open")


def connected_now(node: Node) -> float:
    return metric(node.url, "tidings_users_connected")
