"""The scoreboard counts right, shown by servers that are bad on purpose; and Tidings in the same harness."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lab.client_build import ROOT
from lab.scoreboard.faults import FAULTS, Fault, Lengths
from lab.scoreboard.scene import Measure, Outcome, Scene, play
from lab.scoreboard.table import tables
from lab.scoreboard.tally import Tally, count, longest_silence_s
from lab.systems import ROWS
from lab.systems.event_source import Event, EventSource, Parser, ReconnectingEventSource, StreamRequest
from lab.systems.reader import Reader, until
from lab.systems.system import Publication, Row, System
from lab.systems.tidings_readers import built_client

SHORT = Measure(readers=2, rate_per_s=50, before_s=0.2, after_s=0.2, settle_s=1)
DEADLINE_S = 30.0


class BadServer(System):
    name = "bad on purpose"
    setup = "loses the 3rd, doubles the 5th, delays the 8th of ten"
    lacks = "Everything."

    @classmethod
    def version(cls) -> str:
        return "1"

    @classmethod
    def missing(cls) -> str:
        return ""

    habits: tuple[str, ...] = ("lose", "double", "delay")

    def command(self) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("bad_server.py")), str(self.port), *self.habits]

    def publish(self, reader: str, text: str, key: str) -> Publication:
        return Publication(f"/send/{reader}", {}, text.encode(), positive=(200,))

    def stream(self, reader: str) -> StreamRequest:
        return StreamRequest(f"/events/{reader}", {})


class ForgetfulServer(BadServer):
    """Keeps nothing, and knows no keys; what it streams it streams once, in order."""

    habits = ()


async def quick_event_source(system: System, url: str, name: str) -> Reader:
    """An EventSource that the server told to come back after 50 ms."""
    reader = EventSource(url, system.stream(name), lambda event: event.data)
    reader._reconnection_time_s = 0.05
    return reader


BAD, FORGETFUL = (Row(system, "EventSource", quick_event_source) for system in (BadServer, ForgetfulServer))


def played(row: Row, fault: Fault, measure: Measure = SHORT) -> Outcome:
    return asyncio.run(play(row, fault, measure))


async def acknowledged(scene: Scene, count: int) -> None:
    """Wait until every sender has so many more letters acknowledged."""
    wanted = {sender: len(sender.acknowledged_at) + count for sender in scene.senders}
    enough = await until(lambda: all(len(each.acknowledged_at) >= wanted[each] for each in scene.senders), DEADLINE_S)
    assert enough, "the letters were not acknowledged in time"


async def nothing(scene: Scene, lengths: Lengths) -> None:
    await acknowledged(scene, 30)


async def away(scene: Scene, lengths: Lengths) -> None:
    scene.proxy.refuse()
    await acknowledged(scene, 20)
    scene.proxy.restore()
    shown = {reader: len(reader.numbers) for reader in scene.readers}
    assert await until(lambda: all(len(each.numbers) > shown[each] for each in scene.readers), DEADLINE_S)


async def replies_lost(scene: Scene, lengths: Lengths) -> None:
    scene.senders_proxy.lose_post_replies()
    assert await until(lambda: all(sender.repeated >= 2 for sender in scene.senders), DEADLINE_S)
    scene.senders_proxy.restore()
    await acknowledged(scene, 5)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ([1, 2, 3, 4], Tally(4, 0, 0, 0)),
        ([1, 2, 4], Tally(4, 1, 0, 0)),
        ([1, 2, 2, 3, 4, 2], Tally(4, 0, 2, 0)),
        ([1, 3, 2, 4], Tally(4, 0, 0, 1)),
        ([4, 1, 2, 3, 9], Tally(4, 0, 0, 3)),
        ([], Tally(4, 4, 0, 0)),
    ],
)
def test_shown_messages_are_counted_against_acknowledged_ones(shown: list[int], expected: Tally) -> None:
    """Lost: acknowledged, never shown. Doubled: shown again. Reordered: first shown after a higher one. 9 was never
    acknowledged, and may be shown."""
    assert expected == count([1, 2, 3, 4], shown)


def test_the_longest_silence_is_looked_for_after_the_blow() -> None:
    """Gaps before it do not count; the first one runs from the blow."""
    assert 3.0 == longest_silence_s(10.0, [1.0, 9.0, 12.0, 15.0, 15.5])
    assert 5.0 == longest_silence_s(10.0, [9.9, 15.0, 15.5])


def test_the_scoreboards_own_parser_reads_streams_as_browsers_do() -> None:
    """All line ends, comments, ids that stay, reconnection times, several data lines, a frame in two pieces."""
    parser = Parser()
    chunks = [
        b"\xef\xbb\xbf: hello\r\nid: 7\ndata: a\rdata:b\r",
        b"\n\r\nretry: 120\nid\nevent: x\ndata\ndata\n\n",
        b"id: 9\n\n",
    ]

    events = [event for chunk in chunks for event in parser.feed(chunk)]

    assert [Event("message", "a\nb", "7"), Event("x", "\n", "")] == events
    assert ("9", 0.12) == (parser.last_event_id, parser.retry_s)


def done_to(letters: int) -> tuple[int, int, int]:
    """How many of so many letters ``bad_server.py`` loses, doubles and reorders; a last one that is held is lost."""
    lost, doubled, delayed = ((letters + 10 - digit) // 10 for digit in (3, 5, 8))
    is_held = letters % 10 == 8
    return lost + is_held, doubled, delayed - is_held


def test_a_server_that_loses_doubles_and_reorders_is_seen_through() -> None:
    """Of every ten acknowledged letters one of each, for every reader, and nothing else."""
    outcome = played(BAD, Fault("none", "", "latency", nothing))

    acknowledged = outcome.tally.acknowledged
    assert acknowledged >= 30 * SHORT.readers
    assert SHORT.readers == 2
    possible = [zip(done_to(one), done_to(acknowledged - one), strict=True) for one in range(acknowledged + 1)]
    assert outcome.tally.faults in [tuple(map(sum, both)) for both in possible]
    assert all(latency > 0 for latency in outcome.latency_ms + outcome.publish_ms)


def test_a_server_that_keeps_nothing_is_seen_to_lose_what_came_while_its_readers_were_away() -> None:
    """That the readers' clients noticed, and how long nothing came, is seen too."""
    outcome = played(FORGETFUL, Fault("away", "", "break", away))

    assert outcome.tally.lost >= 19 * SHORT.readers
    assert (0, 0) == (outcome.tally.doubled, outcome.tally.reordered)
    assert all(noticed is not None and noticed >= 0 for noticed in outcome.noticed_s)
    assert all(silent is not None and silent > 0 for silent in outcome.silent_s)


def test_a_loss_that_can_be_known_is_not_waited_for() -> None:
    """In a short round: whoever has shown the last letter for a while shows no earlier one; the counts are the same."""
    begun = time.monotonic()
    outcome = played(FORGETFUL, Fault("away", "", "break", away), replace(SHORT, settle_s=90, settled_s=0.5))

    assert outcome.tally.lost >= 19 * SHORT.readers
    assert time.monotonic() - begun < 90


def test_a_server_without_keys_is_seen_to_double_what_was_sent_again() -> None:
    """A reply was lost, the sender repeated: both are shown."""
    outcome = played(FORGETFUL, Fault("lost replies", "", "counts", replies_lost))

    assert 0 < outcome.tally.doubled <= outcome.repeated
    assert (0, 0) == (outcome.tally.lost, outcome.tally.reordered)


def test_a_reader_that_gives_up_is_told_of() -> None:
    """A server that answers a reconnection with something that is no stream loses its EventSource for good."""
    reader = EventSource("http://x", StreamRequest("/events", {}), lambda event: event.data)

    assert not reader._refused("503 text/plain")
    assert "EventSource stops for good on 503 text/plain" == reader.gave_up


def test_the_processes_that_play_the_scenes_have_the_browser_s_client() -> None:
    """It is built once for a run: a process that is started then finds the module."""
    built = built_client()
    asks = "from lab.systems.tidings_readers import built_client; print(built_client())"

    told = subprocess.run([sys.executable, "-c", asks], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert f"{built}\n" == told
    assert (built / "index.js").is_file()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Tidings, Python client", "cut"),
        ("Tidings, Python client", "lost replies"),
        ("Tidings, Python client", "kill"),
        ("Tidings, three nodes, browser client", "kill"),
    ],
)
def test_tidings_loses_doubles_and_reorders_nothing_on_the_scoreboard(name: str, fault: str) -> None:
    """In a short round: the connection is cut, replies are lost, the server is killed, or all nodes of one database."""
    (row,) = [row for row in ROWS if row.name == name]
    (found,) = [each for each in FAULTS if each.name == fault]
    lengths = Lengths(lost_replies_s=0.5, down_s=0)
    outcome = played(row, found, replace(SHORT, rate_per_s=10, settle_s=30, lengths=lengths))

    assert outcome.tally.acknowledged > 0
    assert (0, 0, 0) == outcome.tally.faults
    assert [] == outcome.gave_up


def test_the_tables_show_what_was_lost() -> None:
    """From a document as a run writes it: medians of the rounds, ranges, and what never happened."""
    outcomes = [
        {
            "row": "S, c", "fault": "cut", "tally": {"acknowledged": 100, "lost": lost, "doubled": 0, "reordered": 0},
            "noticed_s": [0.04, None], "silent_s": [None], "gave_up": [], "latency_ms": [], "publish_ms": [],
            "memory_growth_mib": None, "error": "",
        }
        for lost in (3, 5, 8)
    ]  # fmt: skip
    document = {
        "faults": [{"name": "cut", "asks": "break", "says": "it is cut"}],
        "rows": [{"system": "S", "client": "c", "name": "S, c"}],
        "systems": [{"name": "S", "version": "1", "setup": "as it is", "lacks": "Ids.", "stream_memory_kib": 2.04}],
        "outcomes": outcomes,
    }

    text = re.sub(" +", " ", tables(document))

    assert "| cut | 5 (3 to 8) lost of 100 |" in text
    assert "| cut | 0.0, 3 of 6 never · until the end |" in text
    assert "- **S** (1). As it is. Ids." in text


def test_a_reconnecting_event_source_takes_its_position_along() -> None:
    """Where EventSource stops for good, it begins anew with the position in the address."""
    reader = ReconnectingEventSource("http://x", StreamRequest("/events", {}), lambda event: event.data, "a:1")
    assert "http://x/events?lastEventId=a%3A1" == reader._url()
    reader._last_event_id = "a:2"

    assert reader._refused("500 text/html")
    assert "http://x/events?lastEventId=a%3A2" == reader._url()
    assert "Last-Event-ID" not in reader._headers()
