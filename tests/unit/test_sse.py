"""The event stream codec: WHATWG HTML 9.2.5 and 9.2.6, in any chunking."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import ProtocolViolation
from tidings.protocol.sse import RECONNECTION_TIME_MAX_MS, Event, EventStreamDecoder, encode_event

VECTORS = Path(__file__).parents[2] / "vectors" / "sse.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]

one_line = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))
one_id = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))
reconnection_time = st.integers(0, RECONNECTION_TIME_MAX_MS)
# Bytes that decide something for the decoder, so that random input meets its corners often.
stream_bytes = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b":", b" ", b"data", b"id", b"event", b"retry", b"\0", b"1", b"x"])
    | st.sampled_from([b"\xef\xbb\xbf", b"\xef", b"\xff", "é".encode(), "\u2028".encode()])
).map(b"".join)


def bytes_of(chunk: str | dict[str, str]) -> bytes:
    return chunk.encode() if isinstance(chunk, str) else bytes.fromhex(chunk["hex"])


def cut(body: bytes, data: st.DataObject) -> list[bytes]:
    """The body in chunks, cut at places that hypothesis chooses."""
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12), label="cuts"))
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


def read(decoder: EventStreamDecoder, chunks: list[bytes]) -> list[Event]:
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def expected_events(case: dict[str, Any]) -> list[Event]:
    return [Event(**event) for event in case["events"]]


def decoder_for(case: dict[str, Any]) -> EventStreamDecoder:
    limit = case.get("size_max_bytes")
    return EventStreamDecoder() if limit is None else EventStreamDecoder(size_max_bytes=limit)


READABLE = [case for case in CASES if "error" not in case]
TOO_LARGE = [case for case in CASES if "error" in case]


def test_the_vectors_are_many_and_named_once() -> None:
    """At least 45 cases, each with its own name."""
    names = [case["name"] for case in CASES]
    assert len(names) >= 45
    assert len(names) == len(set(names))


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case["name"])
def test_a_stream_is_read_as_the_vector_says(case: dict[str, Any]) -> None:
    """Events, last event id and reconnection time; WHATWG HTML 9.2.5 and 9.2.6."""
    decoder = decoder_for(case)
    assert expected_events(case) == read(decoder, [bytes_of(chunk) for chunk in case["chunks"]])
    assert case.get("retry_ms") == decoder.retry_ms
    if "last_event_id" in case:
        assert case["last_event_id"] == decoder.last_event_id


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case["name"])
def test_a_vector_reads_the_same_in_one_piece_and_byte_by_byte(case: dict[str, Any]) -> None:
    """Chunks are an accident of the network."""
    body = b"".join(bytes_of(chunk) for chunk in case["chunks"])
    assert expected_events(case) == read(decoder_for(case), [body])
    assert expected_events(case) == read(decoder_for(case), [body[i : i + 1] for i in range(len(body))])


@pytest.mark.parametrize("case", TOO_LARGE, ids=lambda case: case["name"])
def test_a_stream_over_the_bound_is_refused(case: dict[str, Any]) -> None:
    """Events that came whole before are delivered, then the stream is an error."""
    assert case["error"] == "too_large"
    decoder = decoder_for(case)
    seen: list[Event] = []
    with pytest.raises(ProtocolViolation):
        seen.extend(event for chunk in case["chunks"] for event in decoder.feed(bytes_of(chunk)))
    assert expected_events(case) == seen


def test_the_bound_is_exact() -> None:
    """A line together with the data before it may fill the bound and not pass it."""
    assert [Event("message", "0123456789", "")] == EventStreamDecoder(size_max_bytes=16).feed(b"data: 0123456789\n\n")
    with pytest.raises(ProtocolViolation):
        EventStreamDecoder(size_max_bytes=16).feed(b"data: 0123456789a")
    with pytest.raises(ProtocolViolation):
        EventStreamDecoder(size_max_bytes=16).feed(b"data: 01234\ndata: 56789\n")


@given(
    events=st.lists(st.tuples(one_line, st.none() | one_id, st.none() | reconnection_time)),
    data=st.data(),
)
def test_encoded_events_are_decoded_in_any_chunking(
    events: list[tuple[str, str | None, int | None]], data: st.DataObject
) -> None:
    """Any list of events survives any cuts; an event without an id carries the last one."""
    body = b"".join(
        encode_event(text.encode(), id=None if id is None else id.encode(), retry_ms=retry_ms)
        for text, id, retry_ms in events
    )
    expected: list[Event] = []
    last_id, last_retry = "", None
    for text, id, retry_ms in events:
        last_id = last_id if id is None else id
        last_retry = last_retry if retry_ms is None else retry_ms
        expected.append(Event("message", text, last_id))

    decoder = EventStreamDecoder()

    assert expected == read(decoder, cut(body, data))
    assert last_id == decoder.last_event_id
    assert last_retry == decoder.retry_ms


@given(body=stream_bytes | st.binary(), data=st.data())
def test_chunking_never_changes_what_is_read(body: bytes, data: st.DataObject) -> None:
    """Cuts change neither events nor state, for any bytes."""
    whole, pieces = EventStreamDecoder(), EventStreamDecoder()
    assert whole.feed(body) == read(pieces, cut(body, data))
    assert (whole.last_event_id, whole.retry_ms) == (pieces.last_event_id, pieces.retry_ms)


@given(body=stream_bytes | st.binary())
def test_a_stream_is_decoded_as_its_text_would_be(body: bytes) -> None:
    """Decoding field by field equals decoding the whole stream first, as 9.2.6 words it."""
    text = body.decode("utf-8", "replace")
    assert EventStreamDecoder().feed(body) == EventStreamDecoder().feed(text.encode())


def test_a_decoder_starts_from_the_id_it_is_given() -> None:
    """Events without an id carry the one that the stream was resumed from; WHATWG HTML 9.2.2."""
    decoder = EventStreamDecoder(last_event_id="k-4-a")
    assert [Event("message", "x", "k-4-a")] == decoder.feed(b"data: x\n\n")


def test_a_reconnection_time_that_no_client_can_hold_is_ignored() -> None:
    """Digits beyond 2^53 - 1 do not set the time, however many there are; leading zeros do not count."""
    decoder = EventStreamDecoder()
    decoder.feed(b"retry: 9007199254740991\n")
    assert decoder.retry_ms == 9007199254740991
    decoder.feed(b"retry: 9007199254740992\nretry: 99999999999999999\nretry: " + b"9" * 10_000 + b"\nretry:\n")
    assert decoder.retry_ms == 9007199254740991
    decoder.feed(b"retry: " + b"0" * 10_000 + b"12\n")
    assert decoder.retry_ms == 12


def test_a_frame_is_written_in_the_form_that_every_client_reads() -> None:
    """LF, retry and id before one line of data, one blank line."""
    assert encode_event(b'{"a":1}', id=b"k-1-a", retry_ms=700) == b'retry: 700\nid: k-1-a\ndata: {"a":1}\n\n'
    assert encode_event(b"x") == b"data: x\n\n"


@pytest.mark.parametrize("data", [b"a\nb", b"a\rb", b"\r\n"])
def test_data_of_more_than_one_line_is_a_defect_of_the_caller(data: bytes) -> None:
    """Text that could forge a frame never reaches the wire."""
    with pytest.raises(AssertionError):
        encode_event(data)


@pytest.mark.parametrize("id", [b"a\nb", b"a\rb", b"a\0b"])
def test_an_id_that_readers_would_ignore_is_a_defect_of_the_caller(id: bytes) -> None:
    """An id is one line without NUL."""
    with pytest.raises(AssertionError):
        encode_event(b"x", id=id)


def test_a_reconnection_time_below_zero_is_a_defect_of_the_caller() -> None:
    """Readers would ignore it."""
    with pytest.raises(AssertionError):
        encode_event(b"x", retry_ms=-1)
