"""The event stream, byte by byte: PROTOCOL.md 7."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.node import Node, Person, Stream, StreamEnded, refused

EARLY_S = 0.3
"""A timer of the server may be 0.25 s coarse."""
LATE_S = 2.0
"""A busy machine may be late; no rule can be read off that."""


@pytest.fixture(scope="module")
def quick(start_node: Callable[..., Node]) -> Node:
    """A node with a heartbeat of 1 s."""
    return start_node(heartbeat_interval_s=1)


def test_the_headers_of_a_stream(alice: Person) -> None:
    """These fields keep caches and proxies from holding it back. PROTOCOL 7.1.1, 7.1.2"""
    with alice.opens_stream() as stream:
        assert "text/event-stream; charset=utf-8" == stream.headers["content-type"].lower()
        assert {"no-cache", "no-transform"} == {
            part.strip() for part in stream.headers["cache-control"].lower().split(",")
        }
        assert "no" == stream.headers["x-accel-buffering"].lower()


@pytest.mark.parametrize("encoding", ["gzip", "gzip, deflate, br, zstd", "*"])
def test_a_stream_is_never_compressed(alice: Person, encoding: str) -> None:
    """A compressor would hold frames back. PROTOCOL 7.1.3"""
    with alice.opens_stream(headers={"Accept-Encoding": encoding}) as stream:
        assert "content-encoding" not in stream.headers
        assert "connected" == stream.next().type


def test_connected_says_where_the_stream_stands(alice: Person, node: Node) -> None:
    """The first frame, whole. PROTOCOL 7.3.1, 7.3.2, 7.3.3, 7.3.5, 7.3.6, 7.3.7, 1.1.2"""
    with alice.opens_stream() as stream:
        frame = stream.next()
    head = alice.head()
    assert ("connected", "SSE connected", head) == (frame.type, frame.body["message"], frame.id)
    assert frame.retry_ms is not None
    assert 500 <= frame.retry_ms <= 1500
    data = frame.data
    assert (alice.id, head, head, False, 15_000) == (
        data["user_id"],
        data["cursor"],
        data["head"],
        data["resumed"],
        data["heartbeat_ms"],
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["server_time"])
    assert {"text_bytes": 16_384, "body_bytes": 65_536, "streams_per_user": 20} == data["limits"]


def test_the_reconnection_time_is_random(alice: Person) -> None:
    """Readers of a server that went away do not come back together. PROTOCOL 7.3.2"""
    times = set()
    for _ in range(8):
        with alice.opens_stream() as stream:
            times.add(stream.next().retry_ms)
    assert len(times) >= 4
    assert all(time is not None and 500 <= time <= 1500 for time in times)


def test_the_first_frame_comes_at_once(alice: Person) -> None:
    """Nobody waits for the first event to learn that the stream is open. PROTOCOL 7.1.4"""
    start = time.monotonic()
    with alice.opens_stream() as stream:
        stream.next(timeout=2)
    assert time.monotonic() - start < 2


def test_a_stream_starts_at_the_head_where_no_position_is_given(alice: Person, bob: Person) -> None:
    """Earlier events are history. PROTOCOL 7.3.5, 7.6.1, 7.6.2"""
    alice.sends(bob, "before")
    with bob.opens_stream() as stream:
        connected, caught_up = stream.next(), stream.next()
        assert ("connected", "caught_up") == (connected.type, caught_up.type)
        assert {"cursor": bob.head()} == caught_up.data
        assert bob.head() == connected.id
        alice.sends(bob, "after")
        assert "after" == stream.next().data["text"]


def test_a_stream_resumes_from_the_query(alice: Person, bob: Person) -> None:
    """For a reader that cannot set a field. PROTOCOL 7.3.4, 7.3.6, 7.6.1, 7.6.2"""
    start = bob.head()
    sent = [alice.sends(bob, text) for text in "abc"]
    with bob.opens_stream(cursor=start) as stream:
        frames = stream.live().frames
    assert ["connected", *["new_message"] * 3, "caught_up"] == [frame.type for frame in frames]
    assert (start, start, bob.head(), True) == (
        frames[0].id,
        frames[0].data["cursor"],
        frames[0].data["head"],
        frames[0].data["resumed"],
    )
    assert [one["_id"] for one in sent] == [frame.data["_id"] for frame in frames[1:-1]]
    assert {"cursor": frames[-2].id} == frames[-1].data


def test_the_field_wins_over_the_query(alice: Person, bob: Person) -> None:
    """An EventSource reopens its first address with a newer Last-Event-ID. PROTOCOL 7.1.5"""
    start = bob.head()
    alice.sends(bob, "a")
    newer = bob.head()
    alice.sends(bob, "b")
    with bob.opens_stream(cursor=start, last_event_id=newer) as stream:
        assert ["b"] == [frame.data["text"] for frame in stream.live().frames[1:-1]]
    with bob.opens_stream(cursor="garbage", last_event_id=newer) as stream:
        assert stream.next().data["resumed"] is True


def test_both_participants_get_the_message_each_as_they_see_it(alice: Person, bob: Person) -> None:
    """The sender's other tabs as well; the `client_id` is the sender's. PROTOCOL 7.5.1, 7.1.9, 7.2.8, 4.1.7"""
    with alice.opens_stream() as hers, alice.opens_stream() as her_other, bob.opens_stream() as his:
        for stream in (hers, her_other, his):
            stream.live()
        message = alice.sends(bob, "hi", client_id="c1")
        frames = [stream.until("new_message") for stream in (hers, her_other, his)]
    assert [message, message, message | {"client_id": None}] == [frame.data for frame in frames]
    assert [alice.head(), alice.head(), bob.head()] == [frame.id for frame in frames]


def test_receipts_reach_the_logs_that_they_concern(alice: Person, bob: Person) -> None:
    """Delivered: the sender's. Read: both. PROTOCOL 7.5.2, 7.5.3, 7.5.4"""
    bob.sends(alice, "1")
    alice.sends(bob, "2")
    with alice.opens_stream() as hers, bob.opens_stream() as his:
        hers.live()
        his.live()
        bob.receipts(alice, delivered_upto=1)
        bob.receipts(alice, read_upto=2)
        delivered = hers.until("message_delivered")
        hers_read, his_read = hers.until("message_read"), his.until("message_read")
        assert "message_delivered" not in [frame.type for frame in his.frames]
    assert (bob.id, bob.id, 1) == tuple(delivered.data[name] for name in ("chat_user_id", "by", "upto"))
    assert (bob.id, bob.id, 2) == tuple(hers_read.data[name] for name in ("chat_user_id", "by", "upto"))
    assert (alice.id, bob.id, 2) == tuple(his_read.data[name] for name in ("chat_user_id", "by", "upto"))
    for frame in (delivered, hers_read, his_read):
        assert {"chat_user_id", "by", "upto", "at"} == frame.data.keys()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", frame.data["at"])
        assert frame.id is not None


def every_kind_of_frame(alice: Person, bob: Person) -> list[Stream]:
    """Bob's streams, on which every kind of frame has come."""
    start = bob.head()
    alice.sends(bob, "line\nline\r\nline \u0085\u2028\u2029 é 👋 \x7f")
    bob.sends(alice, "back")
    resumed, reset = bob.opens_stream(cursor=start, tab="t"), bob.opens_stream(cursor="garbage")
    resumed.live()
    reset.live()
    alice.types_to(bob)
    resumed.until("typing")
    alice.receipts(bob, delivered_upto=2)
    alice.receipts(bob, read_upto=2)
    resumed.until("message_delivered")
    resumed.until("message_read")
    resumed.until("heartbeat")
    with bob.opens_stream(tab="t"):
        resumed.until("goodbye")
        resumed.to_end()
    return [resumed, reset]


def test_every_frame_has_the_portable_form(quick: Node) -> None:
    """The part of the format that third-party readers agree on.

    PROTOCOL 7.2.1, 7.2.2, 7.2.3, 7.2.4, 7.2.5, 7.2.6, 7.2.9, 7.2.10, 7.2.11, 7.3.1
    """
    seen = set()
    for stream in every_kind_of_frame(quick.person("form-ada"), quick.person("form-ben")):
        with stream:
            assert b"\r" not in stream.raw_bytes
            assert not stream.raw_bytes.startswith(b"\xef\xbb\xbf")
            assert stream.raw_bytes == b"".join(frame.raw for frame in stream.frames)
            for frame in stream.frames:
                assert re.fullmatch(rb"((id|retry|data): [^\n]+\n)+\n", frame.raw), frame.raw
                names = [name for name, _ in frame.fields]
                assert 1 == names.count("data")
                assert len(names) == len(set(names))
                assert isinstance(frame.body["type"], str)
                assert isinstance(frame.body["data"], dict)
                assert frame.type not in ("message", "reconnecting", "connection_failed")
                assert (frame.id is None) or frame.type not in ("caught_up", "heartbeat", "typing", "goodbye")
                assert ("retry" in names) == (frame.type in ("connected", "goodbye"))
                for escaped in ("\u0085", "\u2028", "\u2029"):
                    assert escaped.encode() not in frame.raw
                seen.add(frame.type)
            assert ["connected"] == [frame.type for frame in stream.frames if frame.type == "connected"]
    assert {"connected", "reset", "caught_up", "new_message", "typing", "heartbeat", "goodbye"} <= seen
    assert {"message_delivered", "message_read"} <= seen


def test_characters_beyond_ascii_are_sent_as_utf8(alice: Person, bob: Person) -> None:
    """Escapes would double the size of most of the world's messages. PROTOCOL 7.2.6, 7.2.5"""
    with bob.opens_stream() as stream:
        stream.live()
        alice.sends(bob, "Zoë 李四 👋 \u0085\u2028\u2029")
        raw = stream.until("new_message").raw
    assert "Zoë 李四 👋 \\u0085\\u2028\\u2029".encode() in raw


def test_a_heartbeat_comes_after_silence(quick: Node) -> None:
    """Every interval ± 10 %; the server's timer may be 0.25 s coarse. PROTOCOL 7.7.1, 7.7.2, 7.3.7"""
    ada, ben = quick.person("beat-ada"), quick.person("beat-ben")
    opened = last = time.monotonic()
    with ben.opens_stream() as stream:
        assert 1000 == stream.live().frames[0].data["heartbeat_ms"]
        for beat in range(1, 4):
            frame = stream.next()
            now = time.monotonic()
            assert ("heartbeat", {"cursor": ben.head()}) == (frame.type, frame.data)
            # One that was read late makes no later one early.
            assert beat * 0.9 - EARLY_S <= now - opened
            assert now - last <= 1.1 + LATE_S
            last = now
        sent = time.monotonic()
        ada.sends(ben, "hi")
        cursor = stream.until("new_message").id
        frame = stream.next()
        assert ("heartbeat", {"cursor": cursor}) == (frame.type, frame.data)
        assert time.monotonic() - sent >= 0.9 - EARLY_S


def test_a_frame_puts_the_heartbeat_off(quick: Node) -> None:
    """A stream that is not silent needs none. PROTOCOL 7.7.1"""
    ada, ben = quick.person("busy-ada"), quick.person("busy-ben")
    with ben.opens_stream() as stream:
        stream.live()
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            ada.sends(ben, "again")
            stream.until("new_message")
            time.sleep(0.1)
        assert "heartbeat" not in [frame.type for frame in stream.frames]


def test_typing_says_who(alice: Person, bob: Person) -> None:
    """Seen from the one who gets it. PROTOCOL 7.8.1, 7.2.9"""
    bob.sends(alice, "hi")
    with bob.opens_stream() as stream:
        stream.live()
        alice.types_to(bob)
        frame = stream.until("typing")
    assert ({"chat_user_id": alice.id}, None) == (frame.data, frame.id)


def assert_goodbye(stream: Stream, reason: str, timeout: float = 10) -> int:
    """The stream ends with this goodbye, and cleanly: its `retry_ms`."""
    goodbye = stream.until("goodbye", timeout)
    assert [] == stream.to_end(timeout)
    assert ("clean", reason) == (stream.ended, goodbye.data["reason"])
    assert {"reason", "retry_ms"} == goodbye.data.keys()
    assert goodbye.retry_ms == goodbye.data["retry_ms"]
    return int(goodbye.data["retry_ms"])


def test_the_same_tab_again_ends_its_predecessor(alice: Person, bob: Person) -> None:
    """A reload leaves no ghost behind; other tabs stay. PROTOCOL 7.1.8, 7.9.1, 7.9.2, 7.9.3"""
    with alice.opens_stream(tab="one") as first, alice.opens_stream(tab="two") as other, bob.opens_stream(tab="one"):
        first.live()
        other.live()
        with alice.opens_stream(tab="one") as second:
            second.live()
            assert_goodbye(first, "replaced")
            bob.sends(alice, "hi")
            assert "hi" == second.until("new_message").data["text"]
            assert "hi" == other.until("new_message").data["text"]


@pytest.mark.parametrize(("tab", "good"), [("", False), ("a" * 65, False), ("👋" * 65, False), ("👋" * 64, True)])
def test_a_tab_has_1_to_64_characters(alice: Person, tab: str, good: bool) -> None:
    """Characters, not bytes. PROTOCOL 7.1.7"""
    if good:
        alice.opens_stream(tab=tab).close()
    else:
        refused(alice.gets("/sse/me", tab=tab), 422, "bad_tab")


def test_head_opens_no_stream(node: Node, alice: Person, bob: Person) -> None:
    """It ends at once and replaces nobody. PROTOCOL 7.1.6"""
    with alice.opens_stream(tab="one") as stream:
        stream.live()
        answer = alice.requests("HEAD", "/sse/me", tab="one")
        assert answer.status_code in (200, 405)
        assert b"" == answer.content
        bob.sends(alice, "hi")
        assert "hi" == stream.until("new_message").data["text"]


def test_a_stream_ends_at_its_greatest_age(start_node: Callable[..., Node]) -> None:
    """Every stream resumes now and then, with nothing lost. PROTOCOL 7.9.1, 7.9.2, 7.9.3, 7.9.4, 7.9.6"""
    node = start_node(stream_age_max_s=2)
    ada, ben = node.person("ada"), node.person("ben")
    start = time.monotonic()
    with ben.opens_stream() as stream:
        stream.live()
        ada.sends(ben, "during")
        cursor = stream.until("new_message").id
        assert_goodbye(stream, "max_age")
        assert 1.6 - EARLY_S <= time.monotonic() - start <= 2.4 + LATE_S
    ada.sends(ben, "between")
    with ben.opens_stream(last_event_id=cursor) as stream:
        assert ["between"] == [frame.data["text"] for frame in stream.live().frames[1:-1]]


def test_ages_differ(start_node: Callable[..., Node]) -> None:
    """Streams that were opened together do not end together. PROTOCOL 7.9.4"""
    node = start_node(stream_age_max_s=3)
    streams = [node.person(f"user-{number}").opens_stream() for number in range(8)]
    start = time.monotonic()

    def age_at_goodbye(stream: Stream) -> float:
        stream.until("goodbye")
        return time.monotonic() - start

    with ThreadPoolExecutor(8) as pool:
        ages = sorted(pool.map(age_at_goodbye, streams))
    assert 3 * 0.8 - EARLY_S <= ages[0]
    assert ages[-1] <= 3 * 1.2 + LATE_S
    assert ages[-1] - ages[0] >= 0.2
    assert len({stream.frames[-1].retry_ms for stream in streams}) >= 3


def test_a_stream_ends_when_its_token_does(node: Node, alice: Person) -> None:
    """With the leeway that let it in, and not before the expiry. PROTOCOL 7.9.5, 7.9.1"""
    alice.token = node.token(alice.id, ttl_s=-27)
    with alice.opens_stream() as stream:
        assert_goodbye(stream, "token_expired", timeout=6)
    alice.token = node.token(alice.id, ttl_s=3)
    with alice.opens_stream() as stream:
        opened = time.time()
        stream.live()
        with pytest.raises(TimeoutError):
            stream.next(timeout=max(0.1, opened + 1.5 - time.time()))


@pytest.fixture
def many(alice: Person, bob: Person) -> tuple[str, list[str]]:
    """Where bob's log stood before 50 events, and their texts."""
    start = bob.head()
    texts = [f"{number:03} " + "x" * 2000 for number in range(50)]
    for text in texts:
        alice.sends(bob, text)
    return start, texts


def test_catch_up_is_whole_and_in_order_while_more_comes(
    alice: Person, bob: Person, many: tuple[str, list[str]]
) -> None:
    """The past, `caught_up`, the present: nothing missed or doubled at the seam. PROTOCOL 6.1.5, 7.6.1, 6.0.2"""
    start, texts = many
    with bob.opens_stream(cursor=start) as stream:
        alice.sends(bob, "live")
        while [frame.data["text"] for frame in stream.frames if frame.type == "new_message"][-1:] != ["live"]:
            stream.next()
        while "caught_up" not in [frame.type for frame in stream.frames]:
            stream.next()
        got = [frame.data["text"] for frame in stream.frames if frame.type == "new_message"]
    assert [*texts, "live"] == got
    assert 1 == [frame.type for frame in stream.frames].count("caught_up")


def test_a_reader_that_left_in_mid_catch_up_gets_the_rest(
    alice: Person, bob: Person, many: tuple[str, list[str]]
) -> None:
    """From the last event that it applied. PROTOCOL 6.1.5"""
    cursor, texts = many
    got: list[str] = []
    while len(got) < len(texts):
        with bob.opens_stream(last_event_id=cursor) as stream:
            for _ in range(7):
                if len(got) < len(texts):
                    frame = stream.until("new_message")
                    got.append(frame.data["text"])
                    cursor = str(frame.id)
    assert texts == got


def test_a_cut_is_told_apart_from_a_clean_end(tmp_path_factory: pytest.TempPathFactory) -> None:
    """These tests would see a stream that is broken off. PROTOCOL 7.9.3"""
    with Node(tmp_path_factory.mktemp("node")) as node:
        stream = node.person("ada").opens_stream().live()
        node.signal_stop(signal.SIGKILL)
        with pytest.raises(StreamEnded):
            stream.until("goodbye")
        assert "cut" == stream.ended
        node.kill()


def test_the_data_is_the_same_json_on_both_readings(alice: Person, bob: Person) -> None:
    """Same encoder. PROTOCOL 8.0.1"""
    with bob.opens_stream() as stream:
        start = stream.live().frames[0].id
        alice.sends(bob, "é\u2028")
        frame = stream.until("new_message")
    text = bob.gets("/events/me", cursor=start).text
    assert json.dumps(frame.data, ensure_ascii=False, separators=(",", ":")).replace("\u2028", "\\u2028") in text
