"""What a server says of itself: its log in text and JSON, and its metrics (docs/operate.md)."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2
from node import SECRET, Node, Person, refused, wait_for


def lines(node: Node) -> list[dict[str, Any]]:
    """The log of a node that writes JSON; every line must be one object."""
    return [json.loads(line) for line in node.stderr.splitlines()]


def metrics(url: str) -> dict[str, float]:
    """Every sample by its name and labels."""
    answer = httpx2.get(f"{url}/metrics", trust_env=False)
    assert 200 == answer.status_code, answer.text
    samples = (line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def use_everything(alice: Person, bob: Person, text: str) -> None:
    """Streams, sends, retries, polls, refusals, a reset."""
    with bob.opens_stream() as stream, bob.opens_stream("no-such-cursor") as other:
        alice.sends(bob, f"{text} 1", client_id="the same")
        for _ in range(2):
            alice.sends(bob, text)
        stream.until("new_message")
        other.until("reset")
        bob.receipts(alice, read_upto=1)
        bob.types_to(alice)
        refused(alice.posts("/send", {"recipientId": bob.id, "text": text + "\0"}), 422, "control_characters")
        refused(
            alice.posts("/send", {"recipientId": bob.id, "text": text, "client_id": "the same"}),
            409,
            "client_id_reused",
        )
        refused(alice.posts("/send", b'{"text": "' + text.encode()), 400, "not_json")
        refused(alice.gets("/events/" + bob.id), 403, "not_yours")
        assert "unknown" == bob.events(f"xx-{text.replace(' ', '-')}")["reset"]["reason"]
        alice.inbox()
        bob.history(alice)
        refused(alice.gets("/events/me", headers={"Authorization": f"Bearer {alice.token}x"}), 401, "unauthorized")


def test_neither_texts_nor_tokens_are_in_any_log(start_node: Callable[..., Node]) -> None:
    """Busy, at the most talkative level, in both formats, tokens in addresses allowed (PROTOCOL 2.1.5)."""
    for log_format in ("text", "json"):
        node = start_node(log_format=log_format, log_level="debug", query_token=1)
        alice, bob = node.person("alice"), node.person("bob")
        use_everything(alice, bob, "a private text")
        httpx2.get(f"{node.url}/api/message/events/me?token={alice.token}", trust_env=False).raise_for_status()
        httpx2.get(f"{node.url}/api/message/nothing/here?token={alice.token}", trust_env=False)
        node.stop()
        written = node.output
        node.restart()

        assert "request" in written
        assert "private" not in written
        assert SECRET not in written
        for person in (alice, bob):
            assert person.token is not None
            for part in person.token.split("."):
                assert part not in written


def test_every_line_of_a_json_log_is_an_object_with_its_fields(start_node: Callable[..., Node]) -> None:
    """Time, level, logger and event in each; what a stream was, in fields; in ASCII."""
    node = start_node(log_format="json")
    zoë = node.person('zoë "of the" quote')
    with zoë.opens_stream() as stream:
        stream.live()
    wait_for(lambda: "stream ended" in node.stderr)

    for line in lines(node):
        assert {"time", "level", "logger", "event"} <= set(line)
        assert datetime.fromisoformat(line["time"]).utcoffset() is not None
    opened, ended = (line for line in lines(node) if line["event"].startswith("stream "))
    assert (zoë.id, "new", "info", "tidings.stream") == tuple(opened[k] for k in ("user", "how", "level", "logger"))
    assert (zoë.id, 0, "client") == tuple(ended[k] for k in ("user", "events", "reason"))
    assert isinstance(ended["seconds"], float)
    assert node.stderr.isascii()


def test_a_request_and_its_stream_can_be_found_by_its_id(start_node: Callable[..., Node]) -> None:
    """X-Request-Id is taken when it is sane, else made; it is in the answer and in every line of that request."""
    node = start_node(log_format="json", log_level="debug")
    ada = node.person("ada")
    assert "proxy-7.1:a" == ada.gets("/inbox/me", headers={"X-Request-Id": "proxy-7.1:a"}).headers["x-request-id"]
    for bad in ("a b", "x" * 65, 'a"b', ""):
        given = ada.gets("/inbox/me", headers={"X-Request-Id": bad}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{16}", given)
    made = {ada.gets("/inbox/me").headers["x-request-id"] for _ in range(50)}
    assert 50 == len(made)
    assert "refusal" == ada.gets("/inbox/ben", headers={"X-Request-Id": "refusal"}).headers["x-request-id"]

    with ada.opens_stream(headers={"X-Request-Id": "the-stream"}) as stream:
        assert "the-stream" == stream.headers["x-request-id"]
        stream.live()
    wait_for(lambda: "stream ended" in node.stderr)
    of_it = [line for line in lines(node) if line.get("request_id") == "the-stream"]
    assert ["stream opened", "stream ended"] == [line["event"] for line in of_it]
    (request,) = [line for line in lines(node) if line.get("request_id") == "refusal"]
    assert ("request", "GET", "/inbox/{me}", 403) == tuple(request[k] for k in ("event", "method", "route", "status"))


def test_a_quiet_log_has_only_what_is_wrong(start_node: Callable[..., Node]) -> None:
    """TIDINGS_LOG_LEVEL=warning: no line per stream."""
    node = start_node(log_level="warning")
    with node.person("ada").opens_stream() as stream:
        stream.live()
    node.person("ada").inbox()
    assert "" == node.stderr


def test_requests_commits_and_resumes_are_measured(start_node: Callable[..., Node]) -> None:
    """By route and code; never by address or user."""
    node = start_node()
    alice, bob = node.person("alice"), node.person("bob")
    use_everything(alice, bob, "x y")
    wait_for(lambda: metrics(node.url)["tidings_streams_open"] == 0)
    with bob.opens_stream(bob.head()) as stream:
        stream.live()
        found = metrics(node.url)

    assert 3 == found['tidings_http_requests_total{route="/send",code="201"}']
    assert 1 == found['tidings_http_requests_total{route="/send",code="409"}']
    assert 1 == found['tidings_http_requests_total{route="/events/{me}",code="403"}']
    assert 3 == found['tidings_http_requests_total{route="/sse/{me}",code="200"}']
    assert 1 == found['tidings_streams_opened_total{how="resumed"}']
    assert 2 == found['tidings_resets_total{reason="unknown"}']
    assert 3 == found["tidings_send_commit_seconds_count"]  # what was refused was not committed
    assert found['tidings_send_commit_seconds_bucket{le="+Inf"}'] == found["tidings_send_commit_seconds_count"]
    assert 0 < found["tidings_send_commit_seconds_sum"] < 40
    assert found["tidings_fanout_seconds_count"] >= 3
    assert found["tidings_database_bytes"] > 4096
    assert 0 == found["tidings_write_queue"]
    assert 1 == len([name for name in found if name.startswith("tidings_build_info{version=")])
    assert not [name for name in found if "alice" in name or "bob" in name]


def test_buckets_are_cumulative_and_every_metric_is_described(node: Node, alice: Person, bob: Person) -> None:
    """As Prometheus' text format 0.0.4 wants it."""
    alice.sends(bob, "x")
    text = httpx2.get(f"{node.url}/metrics", trust_env=False).text
    described = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", text, re.MULTILINE))
    assert described == set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE))
    named = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"^(\w+)[ {]", text, re.MULTILINE)}
    assert described == named
    buckets = [int(count) for count in re.findall(r"^tidings_send_commit_seconds_bucket\S+ (\d+)$", text, re.MULTILINE)]
    assert sorted(buckets) == buckets


def test_metrics_can_have_a_port_of_their_own(start_node: Callable[..., Node]) -> None:
    """Then they are not on the public one, and nothing else is on theirs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    node = start_node(metrics_port=port)

    assert "tidings_streams_open" in metrics(f"http://127.0.0.1:{port}")
    assert 404 == httpx2.get(f"{node.url}/metrics", trust_env=False).status_code
    for path in ("/", "/healthz", "/api/message/events/me"):
        assert 404 == httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code
    assert [] == node.person("ada").inbox()["conversations"]
