"""Following a stream without input or output: what a client does with each frame and each way a stream can end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tidings.client.core import Event, Follower, NextStep
from tidings.errors import ProtocolViolation
from tidings.protocol.sse import encode_event


def frame(type: str, data: dict[str, Any], cursor: str | None = None) -> bytes:
    return encode_event(json.dumps({"type": type, "data": data}).encode(), id=cursor.encode() if cursor else None)


def connected(cursor: str, *, resumed: bool = False, id: bool = True, heartbeat_ms: int = 15_000) -> bytes:
    data = {"user_id": "ada", "cursor": cursor, "head": cursor, "resumed": resumed, "heartbeat_ms": heartbeat_ms}
    return frame("connected", data, cursor if id else None)


def message(text: str, cursor: str) -> bytes:
    return frame("new_message", {"text": text}, cursor)


def heartbeat(cursor: str) -> bytes:
    return frame("heartbeat", {"cursor": cursor})


def goodbye(reason: str, retry_ms: float) -> bytes:
    return frame("goodbye", {"reason": reason, "retry_ms": retry_ms})


class Attempts:
    """A follower and the time that its driver would tell."""

    def __init__(self, *, cursor: str | None = None, token_renewable: bool = True) -> None:
        self.follower = Follower(cursor=cursor, token_renewable=token_renewable)
        self.now_s = 100.0

    def opens(self, content_type: str = "text/event-stream; charset=utf-8") -> Attempts:
        self.follower.begin(self.now_s)
        self.follower.answered(200, content_type)
        return self

    def gets(self, *frames: bytes) -> list[Event]:
        return self.follower.received(b"".join(frames), self.now_s)

    def texts(self, *frames: bytes) -> list[object]:
        return [event.data["text"] for event in self.gets(*frames)]

    def passes(self, seconds: float) -> None:
        self.now_s += seconds

    def next_step(self, random: float = 0.5) -> NextStep:
        assert self.follower.over
        return self.follower.next_step(self.now_s, random)

    def is_answered(self, status: int, retry_after_s: float | None = None) -> NextStep:
        self.follower.begin(self.now_s)
        self.follower.answered(status, "application/problem+json", retry_after_s)
        return self.next_step()


@pytest.fixture
def stream() -> Attempts:
    """A follower without a cursor whose stream has just started at k-3-a."""
    stream = Attempts().opens()
    assert [] == stream.gets(connected("k-3-a"))
    return stream


def test_without_a_cursor_it_follows_from_where_the_stream_starts(stream: Attempts) -> None:
    """A quiet stream can be resumed, too: the connected frame carries the position."""
    assert "k-3-a" == stream.follower.cursor == stream.follower.started_from
    assert "ada" == stream.follower.user_id
    stream.follower.broke()
    assert "k-3-a" == stream.follower.begin(stream.now_s).last_event_id


def test_each_event_moves_the_cursor_and_a_frame_without_id_does_not(stream: Attempts) -> None:
    """Only events of the log have a position."""
    events = stream.gets(message("hi", "k-4-b"), frame("typing", {"chat_user_id": "ben"}), heartbeat("k-4-b"))
    assert [Event("new_message", {"text": "hi"}, "k-4-b"), Event("typing", {"chat_user_id": "ben"}, None)] == events
    assert "k-4-b" == stream.follower.cursor
    assert not stream.follower.over


def test_an_event_that_was_applied_is_dropped(stream: Attempts) -> None:
    """After a resume an event may come twice; it is handed out once (I4)."""
    assert ["4", "5"] == stream.texts(message("4", "k-4-b"), message("5", "k-5-c"))
    assert ["6"] == stream.texts(message("4", "k-4-b"), message("5", "k-5-c"), message("6", "k-6-d"))
    stream.follower.broke()
    stream.opens()
    assert ["7"] == stream.texts(
        connected("k-6-d", resumed=True), message("6", "k-6-d"), message("6", "k-6-d"), message("7", "k-7-e")
    )


def test_positions_are_compared_as_numbers() -> None:
    """10 comes after 9."""
    stream = Attempts(cursor="k-9-a").opens()
    assert ["10"] == stream.texts(connected("k-9-a", resumed=True), message("10", "k-10-b"), message("9", "k-9-a"))


def test_a_cursor_of_another_form_is_new_when_it_differs() -> None:
    """The form of a cursor is the server's own; a later server may have another."""
    stream = Attempts(cursor="opaque:1").opens()
    frames = connected("opaque:1", resumed=True), message("a", "opaque:1"), message("b", "opaque:2")
    assert ["b"] == stream.texts(*frames)


def test_an_event_type_of_a_newer_server_is_handed_out_with_its_cursor(stream: Attempts) -> None:
    """An unknown type with an id is of the log, one without is not."""
    events = stream.gets(frame("edited", {}, "k-4-b"), frame("waving", {}))
    assert [Event("edited", {}, "k-4-b"), Event("waving", {}, None)] == events


def test_a_reset_moves_the_cursor_and_is_handed_out() -> None:
    """The reader must learn that events are missing; from then on the new cursor counts."""
    stream = Attempts(cursor="k-9-a").opens()
    reset = {"reason": "expired", "cursor": "m-2-b"}
    events = stream.gets(connected("m-2-b", id=False), frame("reset", reset, "m-2-b"), message("3", "m-3-c"))
    assert [Event("reset", reset, "m-2-b"), Event("new_message", {"text": "3"}, "m-3-c")] == events
    assert "m-3-c" == stream.follower.cursor


def test_a_reset_may_move_the_cursor_back() -> None:
    """A restored database has a lower head, in whatever epoch."""
    stream = Attempts(cursor="k-9-a").opens()
    stream.gets(connected("k-2-b", id=False), frame("reset", {"reason": "future", "cursor": "k-2-b"}, "k-2-b"))
    assert ["3"] == stream.texts(message("3", "k-3-c"))


def test_a_heartbeat_from_elsewhere_ends_the_attempt_and_the_next_asks_from_the_cursor(stream: Attempts) -> None:
    """Frames were lost between server and client; nobody but the client can see it."""
    stream.gets(message("4", "k-4-b"))
    stream.gets(heartbeat("k-6-d"))
    assert NextStep("retry", 0.5, "events were missed") == stream.next_step()
    assert "k-4-b" == stream.follower.begin(stream.now_s).last_event_id


def test_the_connected_frame_must_come_within_eight_seconds_whatever_else_comes() -> None:
    """Headers and comments through a buffering proxy are no stream."""
    stream = Attempts().opens()
    assert 108 == stream.follower.deadline_s
    stream.passes(5)
    stream.gets(b": padding\n\n")
    assert 108 == stream.follower.deadline_s
    stream.follower.fell_silent()
    assert "mute" == stream.next_step().reason


def test_every_byte_moves_the_deadline_by_two_heartbeats_and_five_seconds(stream: Attempts) -> None:
    """The interval is the server's, told in its connected frame."""
    assert 135 == stream.follower.deadline_s
    stream.passes(10)
    stream.gets(b": ")
    assert 145 == stream.follower.deadline_s
    stream.follower.fell_silent()
    assert "timeout" == stream.next_step().reason
    stream.opens().gets(connected("k-3-a", resumed=True, heartbeat_ms=500))
    assert 116 == stream.follower.deadline_s


def test_goodbye_is_obeyed_exactly_and_nothing_after_it_is_taken(stream: Attempts) -> None:
    """The server knows how it spreads its clients."""
    assert ["4"] == stream.texts(message("4", "k-4-b"), goodbye("draining", 3217), message("5", "k-5-c"))
    stream.follower.body_ended()
    assert NextStep("retry", 3.217, "draining") == stream.next_step()


def test_an_expired_token_is_fetched_anew_before_the_next_attempt(stream: Attempts) -> None:
    """The server ends a stream when its token expires; the same token would be refused."""
    stream.gets(goodbye("token_expired", 500))
    assert "retry" == stream.next_step().action
    assert stream.follower.begin(stream.now_s).refresh_token
    assert not stream.follower.begin(stream.now_s).refresh_token


def test_a_rejected_token_is_fetched_anew_at_once_then_with_backoff() -> None:
    """One 401 may be a clock; a second one with a fresh token is a state that lasts."""
    stream = Attempts()
    assert NextStep("refresh", 0, "401") == stream.is_answered(401)
    assert stream.follower.begin(stream.now_s).refresh_token
    assert NextStep("retry", 0.5, "401") == stream.is_answered(401)
    assert NextStep("retry", 1, "401") == stream.is_answered(401)
    stream.opens()
    stream.follower.broke()
    assert "retry" == stream.next_step().action
    assert NextStep("refresh", 0, "401") == stream.is_answered(401)


def test_a_rejected_token_that_cannot_be_renewed_is_the_end() -> None:
    """Asking for ever with a dead token helps nobody."""
    assert "stop" == Attempts(token_renewable=False).is_answered(401).action


def test_a_refusal_is_the_end_and_overload_is_not() -> None:
    """403 will not change by itself; 503 says when to return."""
    assert "stop" == Attempts().is_answered(403).action
    assert NextStep("retry", 11, "503") == Attempts().is_answered(503, retry_after_s=10)


def test_another_content_type_is_not_read() -> None:
    """A captive portal answers 200 with its page."""
    assert NextStep("retry", 0.5, "not an event stream") == Attempts().opens("text/html").next_step()


def test_a_clean_end_before_connected_is_a_failure_and_after_it_a_return() -> None:
    """A server that restarts ends cleanly; one that ends at once is broken."""
    stream = Attempts().opens()
    stream.follower.body_ended()
    assert NextStep("retry", 0.5, "end") == stream.next_step()
    stream.opens().gets(connected("k-3-a"))
    stream.follower.body_ended()
    assert NextStep("retry", 2.5, "end") == stream.next_step()


def test_failures_are_forgotten_only_after_ten_seconds_and_a_heartbeat() -> None:
    """A server that accepts and closes must not be hammered."""
    stream = Attempts()
    for waited in (0.5, 1, 2, 4):
        stream.opens().gets(connected("k-3-a"))
        stream.passes(9)
        stream.gets(heartbeat("k-3-a"))
        stream.follower.broke()
        assert waited == stream.next_step().wait_s
    stream.opens().gets(connected("k-3-a", resumed=True))
    stream.passes(60)
    stream.follower.broke()
    assert 8 == stream.next_step().wait_s
    stream.opens().gets(connected("k-3-a", resumed=True))
    stream.passes(10)
    stream.gets(heartbeat("k-3-a"))
    stream.follower.broke()
    assert 0.5 == stream.next_step().wait_s


@pytest.mark.parametrize(
    "broken",
    [
        b"data: not json\n\n",
        b"data: []\n\n",
        b'data: {"type": "new_message"}\n\n',
        b'data: {"type": 1, "data": {}}\n\n',
        message("first", "k-4-b"),
        frame("connected", {"user_id": "ada"}),
        connected("k-3-a", heartbeat_ms=0),
        b"data: " + b"x" * 2_000_000,
    ],
    ids=[
        "no JSON",
        "no object",
        "no data",
        "type no text",
        "first frame another",
        "incomplete",
        "no beat",
        "too large",
    ],
)
def test_a_first_frame_that_breaks_the_protocol_ends_the_attempt(broken: bytes) -> None:
    """Nothing of it is handed out, and the next attempt asks from the same place."""
    stream = Attempts(cursor="k-3-a").opens()
    assert [] == stream.gets(broken)
    assert "retry" == stream.next_step().action
    assert "k-3-a" == stream.follower.begin(stream.now_s).last_event_id


@pytest.mark.parametrize(
    "broken",
    [
        connected("k-4-b"),
        heartbeat("k-4-b").replace(b"cursor", b"cruiser"),
        goodbye("draining", -1),
        b"data: {\n\n",
    ],
    ids=["connected again", "heartbeat without cursor", "goodbye into the past", "half a frame"],
)
def test_what_came_before_a_broken_frame_is_handed_out(stream: Attempts, broken: bytes) -> None:
    """The cursor stands behind the last good event."""
    assert ["4"] == stream.texts(message("4", "k-4-b"), broken, message("5", "k-5-c"))
    assert "retry" == stream.next_step().action
    assert "k-4-b" == stream.follower.begin(stream.now_s).last_event_id


def test_a_stream_resumed_elsewhere_than_asked_is_not_followed() -> None:
    """It would skip events or repeat them."""
    stream = Attempts(cursor="k-3-a").opens()
    stream.gets(connected("k-5-c", resumed=True))
    assert "retry" == stream.next_step().action
    assert "k-3-a" == stream.follower.cursor


def test_the_first_reason_of_an_end_counts(stream: Attempts) -> None:
    """After a goodbye the connection breaks in some way, too."""
    stream.gets(goodbye("draining", 100))
    stream.follower.broke()
    assert "draining" == stream.next_step().reason


def test_a_new_message_is_a_message() -> None:
    """Handed out with its fields; what is none is the peer's fault."""
    whole = {
        "_id": "m1", "seq": 1, "sender_id": "ben", "recipient_id": "ada", "text": "hi", "message_type": "text",
        "sent": True, "delivered": False, "read": False, "createdAt": "2026-11-23T04:00:00.000Z", "client_id": None,
    }  # fmt: skip
    read = Event("new_message", {**whole, "of_tomorrow": 1}, "k-1-a").message
    assert read is not None
    assert ("m1", "hi") == (read.id, read.text)
    assert Event("typing", {}, None).message is None
    with pytest.raises(ProtocolViolation):
        _ = Event("new_message", {"text": "hi"}, "k-1-a").message
