"""Following a stream without input or output: what a client does with each frame and each way a stream can end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tidings.client.core import Event, Follower
from tidings.errors import ProtocolViolation
from tidings.protocol.retry import Outcome, OutcomeKind
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


@dataclass(frozen=True)
class NextStep:
    """The step after an attempt: ``retry`` after a wait, ``refresh`` the token at once, or ``stop``."""

    action: str
    wait_s: float
    reason: str


class Attempts:
    """A follower, and the time and the chance that its driver would tell."""

    def __init__(self, *, cursor: str | None = None, token_renewable: bool = True) -> None:
        self.follower = Follower(lambda: 0.5, cursor=cursor, token_renewable=token_renewable)
        self.now_s = 100.0
        self.generation = 0
        self.refreshes = False
        self.asked: str | None = None
        self.ended: NextStep | None = None
        self.polls: list[int] = []
        self.follower.connect(self.now_s)

    def acts(self) -> None:
        """Do what the follower wants."""
        effects, self.follower.effects = self.follower.effects, []
        for effect in effects:
            match effect.type:
                case "open_stream":
                    assert effect.generation is not None
                    self.generation, self.refreshes = effect.generation, effect.token != "initial"
                    if self.refreshes and self.ended is None:
                        self.ended = NextStep("refresh", 0, "401")
                    self.asked = self.follower.stream_requested(self.generation, self.now_s)
                case "poll":
                    assert effect.generation is not None
                    self.polls.append(effect.generation)
                case "reconnecting":
                    assert effect.delay_ms is not None
                    self.ended = NextStep("retry", effect.delay_ms / 1000, effect.reason or "")
                case "refused":
                    self.ended = NextStep("stop", 0, effect.reason or "")

    def asks(self) -> Attempts:
        """Wait until the next stream is asked for."""
        before = self.generation
        self.acts()
        while self.generation == before:
            deadline_s = self.follower.deadline_s
            assert deadline_s is not None
            self.now_s = max(self.now_s, deadline_s)
            self.follower.tick(self.now_s)
            self.acts()
        return self

    def opens(self, content_type: str = "text/event-stream; charset=utf-8") -> Attempts:
        self.ended = None
        self.asks()
        self.ended = None
        self.follower.stream_answered(self.generation, 200, content_type, None, self.now_s)
        return self

    def gets(self, *frames: bytes) -> list[Event]:
        return self.follower.stream_received(self.generation, b"".join(frames), self.now_s)

    def texts(self, *frames: bytes) -> list[object]:
        return [event.data["text"] for event in self.gets(*frames)]

    def passes(self, seconds: float) -> None:
        self.now_s += seconds

    def ends(self, kind: OutcomeKind = "network") -> None:
        self.follower.stream_ended(self.generation, Outcome(kind), kind, self.now_s)

    def falls_silent(self) -> None:
        """Nothing comes until the deadline."""
        deadline_s = self.follower.deadline_s
        assert deadline_s is not None
        self.now_s = deadline_s
        self.follower.tick(self.now_s)

    def next_step(self) -> NextStep:
        self.acts()
        assert self.ended is not None, "the attempt is over"
        return self.ended

    def is_answered(self, status: int, retry_after_s: float | None = None) -> NextStep:
        """The request under way is answered so, or the first one."""
        if self.generation == 0:
            self.asks()
        self.ended = None
        self.follower.stream_answered(self.generation, status, "application/problem+json", retry_after_s, self.now_s)
        return self.next_step()

    def polled(self, events: list[tuple[str, str]], cursor: str, **fields: object) -> list[Event]:
        """A poll is due, and is answered with these texts and their cursors."""
        self.acts()
        while not self.polls:
            deadline_s = self.follower.deadline_s
            assert deadline_s is not None
            self.now_s = max(self.now_s, deadline_s)
            self.follower.tick(self.now_s)
            self.acts()
        self.follower.poll_requested(self.polls[-1])
        page = [{"type": "new_message", "data": {"text": text}, "id": at} for text, at in events]
        body = {"success": True, "events": page, "cursor": cursor, "has_more": False, **fields}
        return self.follower.poll_answered(self.polls.pop(), json.dumps(body).encode(), self.now_s)


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
    stream.ends()
    assert "k-3-a" == stream.asks().asked


def test_each_event_moves_the_cursor_and_a_frame_without_id_does_not(stream: Attempts) -> None:
    """Only events of the log have a position."""
    events = stream.gets(message("hi", "k-4-b"), frame("typing", {"chat_user_id": "ben"}), heartbeat("k-4-b"))
    assert [Event("new_message", {"text": "hi"}, "k-4-b"), Event("typing", {"chat_user_id": "ben"}, None)] == events
    assert "k-4-b" == stream.follower.cursor
    assert stream.ended is None


def test_an_event_that_was_applied_is_dropped(stream: Attempts) -> None:
    """After a resume an event may come twice; it is handed out once (I4)."""
    assert ["4", "5"] == stream.texts(message("4", "k-4-b"), message("5", "k-5-c"))
    assert ["6"] == stream.texts(message("4", "k-4-b"), message("5", "k-5-c"), message("6", "k-6-d"))
    stream.ends()
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
    reset: dict[str, object] = {"reason": "expired", "cursor": "m-2-b"}
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
    assert "k-4-b" == stream.asks().asked


def test_the_connected_frame_must_come_within_eight_seconds_whatever_else_comes() -> None:
    """Headers and comments through a buffering proxy are no stream."""
    stream = Attempts().opens()
    assert 108 == stream.follower.deadline_s
    stream.passes(5)
    stream.gets(b": padding\n\n")
    assert 108 == stream.follower.deadline_s
    stream.falls_silent()
    assert "mute" == stream.next_step().reason


def test_every_byte_moves_the_deadline_by_two_heartbeats_and_five_seconds(stream: Attempts) -> None:
    """The interval is the server's, told in its connected frame."""
    assert 135 == stream.follower.deadline_s
    stream.passes(10)
    stream.gets(b": ")
    assert 145 == stream.follower.deadline_s
    stream.falls_silent()
    assert "timeout" == stream.next_step().reason
    stream.opens().gets(connected("k-3-a", resumed=True, heartbeat_ms=500))
    assert stream.now_s + 6 == stream.follower.deadline_s


def test_goodbye_is_obeyed_exactly_and_nothing_after_it_is_taken(stream: Attempts) -> None:
    """The server knows how it spreads its clients."""
    assert ["4"] == stream.texts(message("4", "k-4-b"), goodbye("draining", 3217), message("5", "k-5-c"))
    stream.ends("end")
    assert NextStep("retry", 3.217, "draining") == stream.next_step()


def test_an_expired_token_is_fetched_anew_before_the_next_attempt(stream: Attempts) -> None:
    """The server ends a stream when its token expires; the same token would be refused."""
    stream.gets(goodbye("token_expired", 500))
    assert "retry" == stream.next_step().action
    assert stream.asks().refreshes
    stream.ends()
    assert not stream.asks().refreshes


def test_a_rejected_token_is_fetched_anew_at_once_then_with_backoff() -> None:
    """One 401 may be a clock; a second one with a fresh token lasts, and each attempt asks anew."""
    stream = Attempts()
    assert NextStep("refresh", 0, "401") == stream.is_answered(401)
    assert stream.refreshes
    assert NextStep("retry", 0.5, "401") == stream.is_answered(401)
    assert NextStep("retry", 1, "401") == stream.asks().is_answered(401)
    stream.opens().gets(connected("k-3-a"))
    stream.ends()
    assert "retry" == stream.next_step().action
    assert not stream.asks().refreshes
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
    stream.ends("end")
    assert NextStep("retry", 0.5, "end") == stream.next_step()
    stream.opens().gets(connected("k-3-a"))
    stream.ends("end")
    assert NextStep("retry", 2.5, "end") == stream.next_step()


def test_failures_are_forgotten_only_after_ten_seconds_and_a_heartbeat() -> None:
    """A server that accepts and closes must not be hammered."""
    stream = Attempts()
    for waited in (0.5, 1, 2, 4):
        stream.opens().gets(connected("k-3-a"))
        stream.passes(9)
        stream.gets(heartbeat("k-3-a"))
        stream.ends()
        assert waited == stream.next_step().wait_s
    stream.opens().gets(connected("k-3-a", resumed=True))
    stream.passes(60)
    stream.ends()
    assert 8 == stream.next_step().wait_s
    stream.opens().gets(connected("k-3-a", resumed=True))
    stream.passes(10)
    stream.gets(heartbeat("k-3-a"))
    stream.ends()
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
    assert "k-3-a" == stream.asks().asked


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
def test_events_before_a_broken_frame_are_handed_out(stream: Attempts, broken: bytes) -> None:
    """The cursor stands behind the last good event."""
    assert ["4"] == stream.texts(message("4", "k-4-b"), broken, message("5", "k-5-c"))
    assert "retry" == stream.next_step().action
    assert "k-4-b" == stream.asks().asked


def test_a_stream_resumed_elsewhere_than_asked_is_not_followed() -> None:
    """It would skip events or repeat them."""
    stream = Attempts(cursor="k-3-a").opens()
    stream.gets(connected("k-5-c", resumed=True))
    assert "retry" == stream.next_step().action
    assert "k-3-a" == stream.follower.cursor


def test_the_first_reason_of_an_end_counts(stream: Attempts) -> None:
    """After a goodbye the connection breaks in some way, too."""
    stream.gets(goodbye("draining", 100))
    stream.ends()
    assert "draining" == stream.next_step().reason


def test_a_mute_stream_is_polled_and_the_next_one_takes_over_where_the_polls_have_come_to() -> None:
    """Polls go on while the next stream is tried; what both bring comes once."""
    stream = Attempts(cursor="k-3-a").opens()
    stream.falls_silent()
    assert ("retry", "mute") == (stream.next_step().action, stream.next_step().reason)
    assert ["4"] == [event.data["text"] for event in stream.polled([("4", "k-4-b")], "k-4-b")]
    assert "polling" == stream.follower.status
    stream.opens()
    assert "k-4-b" == stream.asked
    assert [] == stream.polled([], "k-4-b")
    assert ["5"] == [event.data["text"] for event in stream.polled([("5", "k-5-c")], "k-5-c")]
    assert "polling" == stream.follower.status
    again = connected("k-4-b", resumed=True), message("5", "k-5-c"), message("6", "k-6-d"), heartbeat("k-6-d")
    assert ["6"] == stream.texts(*again)
    assert "connected" == str(stream.follower.status)  # mypy takes it to be what it was above


@pytest.mark.parametrize(
    ("events", "cursor", "fields"),
    [
        ([("5", "k-5-c")], "k-5-c", {}),
        ([("4", "k-4-b"), ("6", "k-6-d")], "k-6-d", {}),
        ([], "k-9-e", {}),
        ([("4", "k-4-b")], "k-9-e", {}),
        ([("4", "k-4-b")], "k-4-b", {"user_id": "eve"}),
        ([("4", "x-4-b")], "x-4-b", {}),
    ],
    ids=["a gap before", "a gap within", "another's end", "an end elsewhere", "another user's", "another history's"],
)
def test_a_page_that_answers_another_question_is_none(
    events: list[tuple[str, str]], cursor: str, fields: dict[str, object]
) -> None:
    """It does not begin where it was asked to; the next poll asks from the last event. PROTOCOL 8.0.3"""
    stream = Attempts(cursor="k-3-a").opens()
    stream.falls_silent()
    stream.polled([], "k-3-a", user_id="ada")
    taken = stream.polled(events, cursor, **fields)
    assert "polling" != stream.follower.status
    assert stream.follower.cursor == (taken[-1].cursor if taken else "k-3-a")
    assert ["k-4-b"] == [event.cursor for event in taken + stream.polled([("4", "k-4-b")][len(taken) :], "k-4-b")]


def test_a_reset_comes_by_a_poll_too() -> None:
    """The reader is told of the missing events, and the log goes on after them. PROTOCOL 8.0.10"""
    stream = Attempts(cursor="k-3-a").opens()
    stream.falls_silent()
    reset: dict[str, object] = {"reason": "expired", "cursor": "m-2-b"}
    assert [Event("reset", reset, "m-2-b")] == stream.polled([], "m-2-b", reset=reset)
    assert ["m-3-c"] == [event.cursor for event in stream.polled([("3", "m-3-c")], "m-3-c")]


def test_a_stream_of_another_user_is_not_followed() -> None:
    """A proxy that answers with somebody else's stream does not mix two logs. PROTOCOL 2.3.6"""
    stream = Attempts(cursor="k-3-a").opens()
    stream.falls_silent()
    stream.polled([], "k-3-a", user_id="eve")
    assert [] == stream.opens().texts(connected("k-3-a", resumed=True), message("4", "k-4-b"))
    assert "violation: the events are another user's" == stream.next_step().reason


def test_a_hole_in_a_stream_ends_it(stream: Attempts) -> None:
    """A log is dense: what is missing was lost on the way, and is asked for again."""
    assert ["4"] == stream.texts(message("4", "k-4-b"), message("6", "k-6-d"))
    assert "retry" == stream.next_step().action
    assert "k-4-b" == stream.asks().asked


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
