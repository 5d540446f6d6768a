"""Readers that nobody here wrote, and the guide's own client: PROTOCOL.md 16."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import httpx_sse
import pytest
import sseclient

from lab.node import API, Node, Person

# What a reader of a library reports: (event type, data, id).
Event = tuple[str, str, str]


def by_httpx_sse(url: str, headers: dict[str, str]) -> Iterator[Event]:
    with (
        httpx.Client(trust_env=False, timeout=10) as client,
        httpx_sse.connect_sse(client, "GET", url, headers=headers) as source,
    ):
        for event in source.iter_sse():
            yield event.event, event.data, event.id or ""


def by_sseclient(url: str, headers: dict[str, str]) -> Iterator[Event]:
    with (
        httpx.Client(trust_env=False, timeout=10) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        for event in sseclient.SSEClient(response.iter_bytes()).events():
            yield event.event, event.data, event.id or ""


def by_lines(url: str, headers: dict[str, str]) -> Iterator[Event]:
    """As a shell script reads it that was written in five minutes: a line of data is an event."""
    event_id = ""
    with (
        httpx.Client(trust_env=False, timeout=10) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        for line in response.iter_lines():
            if line.startswith("id: "):
                event_id = line[4:]
            if line.startswith("data: "):
                yield "message", line[6:], event_id


READERS = {"httpx-sse": by_httpx_sse, "sseclient-py": by_sseclient, "lines": by_lines}


@pytest.fixture(scope="module")
def quick(start_node: Callable[..., Node]) -> Node:
    """A node with a heartbeat of 1 s and tokens in the query."""
    return start_node(heartbeat_interval_s=1, query_token=1)


# shows: compatibility/readers
@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_reader_of_another_library_follows_and_resumes(
    quick: Node, read: Callable[[str, dict[str, str]], Iterator[Event]], request: pytest.FixtureRequest
) -> None:
    """Every message once, by `Last-Event-ID`; no event that is none, at heartbeats neither. PROTOCOL 16.0.1, 7.2.2"""
    name = request.node.callspec.id
    ada, ben = quick.person(f"{name}-ada"), quick.person(f"{name}-ben")
    url = f"{quick.url}{API}/sse/me"
    last_id = ""
    got: list[str] = []
    heartbeats = 0
    for opening in range(4):
        headers = ben.headers | ({"Last-Event-ID": last_id} if last_id else {})
        for text in (f"{opening} between\nlines \u2028\u0085 é 👋",) if opening else ():
            ada.sends(ben, text)
        events = read(url, headers)
        for event_type, data, event_id in events:
            assert "message" == event_type
            frame = json.loads(data)
            if frame["type"] == "connected":
                ada.sends(ben, f"{opening} while connected")
            if event_id and frame["type"] in ("connected", "new_message"):
                last_id = event_id
            if frame["type"] == "new_message":
                got.append(frame["data"]["text"])
            heartbeats += frame["type"] == "heartbeat"
            if got[-1:] == [f"{opening} while connected"] and (opening or frame["type"] == "heartbeat"):
                break
        events.close()  # type: ignore[attr-defined]
    assert heartbeats >= 1
    expected = ["0 while connected"]
    for opening in range(1, 4):
        expected += [f"{opening} between\nlines \u2028\u0085 é 👋", f"{opening} while connected"]
    assert expected == got


def test_the_guides_client_misses_nothing_with_the_history_after_connected(quick: Node) -> None:
    """It reopens without a position: the gap is not on its stream but in the history. PROTOCOL 16.0.4, 2.1.4"""
    ada, ben = quick.person("guide-ada"), quick.person("guide-ben")
    by_query = Person(quick, ben.id, None)
    seen: dict[str, str] = {}
    for opening in range(3):
        ada.sends(ben, f"{opening} while away")
        with by_query.opens_stream(path=f"/sse/{ben.id}", token=ben.token) as stream:
            assert "connected" == stream.next().type
            ada.sends(ben, f"{opening} between connected and history")
            for message in by_query.gets(f"/{ada.id}", token=ben.token).json()["messages"]:
                seen[message["_id"]] = message["text"]
            ada.sends(ben, f"{opening} live")
            while stream.until("new_message").data["text"] != f"{opening} live":
                pass
            for frame in stream.frames:
                if frame.type == "new_message":
                    seen[frame.data["_id"]] = frame.data["text"]
    whens = ("while away", "between connected and history", "live")
    assert {f"{opening} {when}" for opening in range(3) for when in whens} == set(seen.values())
    assert 9 == len(seen)


def test_the_guides_requests_work_as_it_writes_them(quick: Node) -> None:
    """Its three addresses, its fields, its answers. PROTOCOL 9.0.8, 10.0.1, 2.3.3"""
    ada, ben = quick.person("fetch-ada"), quick.person("fetch-ben")
    answer = ada.posts("/send", {"recipientId": ben.id, "text": "hi", "message_type": "text"})
    assert (201, True) == (answer.status_code, answer.json()["success"])
    answer = ben.gets(f"/{ada.id}")
    assert answer.json()["success"] is True
    (message,) = answer.json()["messages"]
    assert (ada.id, ben.id, "hi", True) == tuple(
        message[name] for name in ("sender_id", "recipient_id", "text", "sent")
    )
    assert {"_id", "createdAt", "delivered", "read", "message_type"} <= message.keys()
