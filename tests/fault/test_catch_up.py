"""Readers that were away: whatever they missed, wherever their stream is cut, they get it once and in order (I2)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import pytest

from lab.crowd import UNLIMITED, Letter, log_after, log_pages, position, until_acknowledged
from lab.node import Node, Person, Stream, StreamEnded
from lab.proxy import Proxy

MISSED = 100
LOG_SIZE = 12_000
LONG_MISSED = 2_500
FRAMING_BYTES = 30  # of two chunks, and what the first frame may be longer than the first one was


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("node"), **UNLIMITED) as node:
        yield node


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize(
    "cuts",  # where, in events after the first frame; at one cut of each stream
    [(0.0,), (1.0,), (0.5,), (99.5,), (0.0, 0.0, 1.7, 30.2, 0.3, 0.0, 12.0, 0.9)],
    ids=["after the first frame", "after an event", "within an event", "within the last event", "again and again"],
)
def test_a_catch_up_that_is_cut_goes_on_where_it_was(
    node: Node, cuts: tuple[float, ...], how: Literal["reset", "close"], request: pytest.FixtureRequest
) -> None:
    """100 events are missed, and the stream breaks while they come: all 100 arrive once, in order. PROTOCOL 6.1.5"""
    ada, ben = node.person(f"ada {request.node.name}"), node.person(f"ben {request.node.name}")
    cursor = ben.head()
    texts = [f"{number:03} {'x' * 2000}" for number in range(MISSED)]  # more than the node writes at once
    for text in texts:
        ada.sends(ben, text)
    with ben.opens_stream(last_event_id=cursor) as whole:
        first_frame, first_event = whole.next(), whole.next()
    to_first_event = whole.head_size_bytes + len(first_frame.raw) + FRAMING_BYTES
    got: list[str] = []
    with Proxy(node.address) as proxy:
        ben.via = proxy.address
        for cut in (*cuts, None):
            proxy.cut_after(None if cut is None else to_first_event + int(cut * len(first_event.raw)), how)
            with ben.opens_stream(last_event_id=cursor) as stream:
                assert cursor == stream.next().id
                if cut is None:
                    stream.live()
                else:
                    with pytest.raises(StreamEnded, match="cut"):
                        stream.until("caught_up")
            for frame in stream.frames:
                if frame.type == "new_message":
                    got.append(frame.data["text"])
                    assert frame.id is not None
                    cursor = frame.id
    assert texts == got


class Archive:
    """A log of 12,000 events: its owner, and the cursors and texts of what is in it."""

    def __init__(self, node: Node) -> None:
        self.owner = node.person("owner")
        self.start = self.owner.head()
        writers = [node.person(f"writer-{number}") for number in range(24)]
        letters = [Letter(writers[number % 24], self.owner, f"{number}", f"{number}") for number in range(LOG_SIZE)]
        until_acknowledged(letters, clients=24)
        self.events = [event for page in log_pages(self.owner, self.start) for event in page]

    def expected(self, missed: int) -> tuple[str, list[tuple[str, str]]]:
        """The cursor of a reader who missed so many, and what it has to get: cursors and texts."""
        cursor = self.start if missed == len(self.events) else self.events[-missed - 1]["id"]
        return cursor, [(event["id"], event["data"]["text"]) for event in self.events[-missed:]]


@pytest.fixture(scope="module")
def archive(node: Node) -> Archive:
    return Archive(node)


def caught_up(owner: Person, cursor: str) -> list[tuple[str, str]]:
    """Cursors and texts that one stream brings from the cursor up to `caught_up`."""
    with owner.opens_stream(last_event_id=cursor) as stream:
        connected = stream.next()
        assert (cursor, True) == (connected.id, connected.data["resumed"])
        stream.live(20)
        assert stream.ended is None
    return [(frame.id or "", frame.data["text"]) for frame in stream.frames if frame.type == "new_message"]


def test_the_long_log_is_dense_and_holds_every_message_once(archive: Archive) -> None:
    """The log that the tests below compare with is itself right. PROTOCOL 6.0.1"""
    assert LOG_SIZE == len(archive.events)
    assert {str(number) for number in range(LOG_SIZE)} == {event["data"]["text"] for event in archive.events}
    first = position(archive.start) + 1
    assert list(range(first, first + LOG_SIZE)) == [position(event["id"]) for event in archive.events]


# shows: reliability/catch-up
@pytest.mark.parametrize("missed", [1, LONG_MISSED, LOG_SIZE])
def test_a_reader_of_a_long_log_is_caught_up_on_one_stream(archive: Archive, missed: int) -> None:
    """In order and with nothing else between, however much it is. PROTOCOL 6.1.5, 7.6.1"""
    cursor, expected = archive.expected(missed)
    assert expected == caught_up(archive.owner, cursor)


@pytest.mark.parametrize("limit", [7, 200, 500])
def test_a_reader_of_a_long_log_is_caught_up_by_pages(archive: Archive, limit: int) -> None:
    """The other reading of the same log has the same events. PROTOCOL 8.0.1, 8.0.4, 8.0.6"""
    cursor, expected = archive.expected(LONG_MISSED)
    pages = list(log_pages(archive.owner, cursor, limit))
    assert expected == [(event["id"], event["data"]["text"]) for page in pages for event in page]
    assert {limit} == {len(page) for page in pages[:-1]}


# shows: reliability/catch-up
def test_events_that_come_during_a_long_catch_up_follow_it(node: Node) -> None:
    """They are neither lost nor early: the stream is caught up, with them in their place. PROTOCOL 6.0.2"""
    reader, writer = node.person("late reader"), node.person("late writer")
    start = reader.head()
    until_acknowledged([Letter(writer, reader, f"{number}", f"{number}") for number in range(1_000)], clients=24)
    before = [event["data"]["text"] for event in log_after(reader, start)]
    assert [*range(1_000)] == sorted(map(int, before))
    streams: list[Stream] = [reader.opens_stream(last_event_id=start) for _ in range(5)]
    until_acknowledged([Letter(writer, reader, f"{number}", f"{number}") for number in range(1_000, 1_200)], clients=1)
    for stream in streams:
        texts: list[str] = []
        deadline = time.monotonic() + 20
        while len(texts) < 1_200 and time.monotonic() < deadline:
            frame = stream.next()
            if frame.type == "new_message":
                texts.append(frame.data["text"])
        assert before + [str(number) for number in range(1_000, 1_200)] == texts
        stream.close()


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_a_reader_is_caught_up_right_after_a_restart(node: Node, archive: Archive, killed: bool) -> None:
    """Nobody has to write anything for it: the first request to the new process is the reader's. PROTOCOL 6.1.2"""
    cursor, expected = archive.expected(LONG_MISSED)
    if killed:
        node.kill()
    else:
        node.stop()
    node.restart()
    assert expected == caught_up(archive.owner, cursor)
