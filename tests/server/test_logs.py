"""The server's words about itself: its log in text and JSON, and its metrics (docs/run/operate.md)."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as of_openmetrics
from prometheus_client.parser import text_string_to_metric_families as of_text

from lab import plain_http
from lab.host import Host
from lab.node import SECRET, Node, Person, refused
from lab.process import PATIENCE_S, START_DEADLINE_S, wait_for
from tidings.server.metrics import Metrics


def lines(node: Node) -> list[dict[str, Any]]:
    """The log of a node that writes JSON; every line must be one object."""
    return [json.loads(line) for line in node.stderr.splitlines()]


def metrics(url: str) -> dict[str, float]:
    """Every sample by its name and labels."""
    answer = plain_http.get(f"{url}/metrics")
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


# shows: security/logs
def test_neither_texts_nor_tokens_are_in_any_log(start_node: Callable[..., Node]) -> None:
    """Busy, at the most talkative level, in both formats, tokens in addresses allowed (PROTOCOL 2.1.5)."""
    for log_format in ("text", "json"):
        node = start_node(log_format=log_format, log_level="debug", query_token=1)
        alice, bob = node.person("alice"), node.person("bob")
        use_everything(alice, bob, "a private text")
        plain_http.get(f"{node.url}/api/message/events/me?token={alice.token}").raise_for_status()
        plain_http.get(f"{node.url}/api/message/nothing/here?token={alice.token}")
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
    wait_for(lambda: "stream ended" in node.stderr and node.stderr.endswith("\n"))
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


# shows: security/metrics-users
def test_requests_commits_and_resumes_are_measured(start_node: Callable[..., Node]) -> None:
    """By route and code; never by address or user."""
    node = start_node()
    alice, bob = node.person("alice"), node.person("bob")
    use_everything(alice, bob, "x y")
    wait_for(lambda: metrics(node.url)["tidings_streams_open"] == 0)
    with bob.opens_stream(bob.head()) as stream:
        stream.live()
        found = metrics(node.url)

    assert 3 == found['tidings_http_requests_total{code="201",route="/send"}']
    assert 1 == found['tidings_http_requests_total{code="409",route="/send"}']
    assert 1 == found['tidings_http_requests_total{code="403",route="/events/{me}"}']
    assert 3 == found['tidings_http_requests_total{code="200",route="/sse/{me}"}']
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
    text = plain_http.get(f"{node.url}/metrics").text
    described = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", text, re.MULTILINE))
    assert described == set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE))
    named = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"^(\w+)[ {]", text, re.MULTILINE)}
    assert set() == named - described
    assert {"tidings_messages_accepted_total", "tidings_write_queue", "tidings_send_commit_seconds"} <= named
    buckets = [float(n) for n in re.findall(r"^tidings_send_commit_seconds_bucket\S+ (\S+)$", text, re.MULTILINE)]
    assert sorted(buckets) == buckets


@pytest.mark.parametrize(
    ("accept", "is_openmetrics"),
    [
        ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", True),
        ("application/openmetrics-text;version=new", True),
        ("text/plain;version=1.é", False),
        ("text/html,*/*", False),
    ],
)
def test_a_reader_gets_openmetrics_if_it_takes_it(node: Node, accept: str, is_openmetrics: bool) -> None:
    """Else Prometheus' text format 0.0.4; the same samples in both, and no header is an error."""
    node.person("ada").inbox()
    answer = plain_http.get(f"{node.url}/metrics", headers={b"Accept": accept.encode()})
    wanted = "application/openmetrics-text; version=1.0.0" if is_openmetrics else "text/plain; version=0.0.4"
    assert (200, f"{wanted}; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    families = list((of_openmetrics if is_openmetrics else of_text)(answer.text))
    values = {sample.name: sample.value for family in families for sample in family.samples}
    assert values["tidings_http_requests_total"] >= 1
    assert 1 == values["tidings_build_info"]


def test_metrics_tell_of_the_process(node: Node) -> None:
    """Memory, open files, CPU and the start, by the names that dashboards for every program know."""
    found = metrics(node.url)
    assert 1e7 < found["process_resident_memory_bytes"] < 1e9
    assert 5 < found["process_open_fds"] < found["process_max_fds"]
    assert 0 < found["process_cpu_seconds_total"] < 60
    assert abs(time.time() - found["process_start_time_seconds"]) < 3600


def test_a_misspelt_metric_or_label_is_an_error() -> None:
    """It would be counted where nobody sees it."""
    counted = Metrics()
    with pytest.raises(AttributeError):
        counted.stream_opened  # type: ignore[attr-defined]  # noqa: B018
    for wrong in ({"who": "new"}, {}, {"how": "new", "user": "ada"}):
        with pytest.raises(ValueError, match="label"):
            counted.streams_opened.labels(**wrong)


def test_nodes_of_one_process_count_apart() -> None:
    """And not among the metrics of the application that has them."""
    staff, guests = Metrics(), Metrics()
    staff.messages_accepted.inc()
    staff.http_requests("/send", 201).inc(2)
    for counted, messages in ((staff, 1), (guests, 0)):
        text = counted.render("")[0].decode()
        assert f"\ntidings_messages_accepted_total {messages}.0\n" in text
    assert 'tidings_http_requests_total{code="201",route="/send"} 2.0' in staff.render("")[0].decode()
    assert b"tidings_" not in generate_latest()


def test_metrics_can_have_a_port_of_their_own(start_node: Callable[..., Node]) -> None:
    """Then they are not on the public one, and nothing else is on theirs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    node = start_node(metrics_port=port)

    assert "tidings_streams_open" in metrics(f"http://127.0.0.1:{port}")
    assert 404 == plain_http.get(f"{node.url}/metrics").status_code
    for path in ("/", "/healthz", "/api/message/events/me"):
        assert 404 == plain_http.get(f"http://127.0.0.1:{port}{path}").status_code
    assert [] == node.person("ada").inbox()["conversations"]


@contextmanager
def full_pipe(path: Path) -> Iterator[int]:
    """A pipe that takes nothing, since nobody reads it: its end for a child to write to."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    filler = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    try:
        while select.select([], [filler], [], 0)[1]:
            os.write(filler, b"x" * 4096)
        yield writer
    finally:
        for each in (reader, filler, writer):
            os.close(each)


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path, command: str) -> None:
    """Standard output and error are a pipe that is full from the beginning: the server starts, serves four hundred
    streams, and ends when it is told to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    node = Node(tmp_path, port=port, stream_openings_per_s=1e6)
    options = [command, "--port", str(port), "--db", f"sqlite:///{tmp_path / 'x.db'}"]
    environment = node.environment() if command == "serve" else None
    with full_pipe(tmp_path / "pipe") as pipe:
        node.process = subprocess.Popen(
            [Path(sys.executable).with_name("tidings"), *options],
            stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment,
        )  # fmt: skip
        try:
            wait_for(lambda: is_up(f"{node.url}/healthz"), START_DEADLINE_S, "the server")
            if command == "serve":
                ada, ben = node.person("ada"), node.person("ben")
                for _ in range(200):
                    with ada.opens_stream() as stream, ben.opens_stream():
                        stream.live()
                assert "still here" == ada.sends(ben, "still here")["text"]
            node.signal_stop()
            assert 0 == node.process.wait(PATIENCE_S + 5)
        finally:
            node.kill()


def is_up(url: str) -> bool:
    try:
        return plain_http.get(url).status_code == 200
    except httpx2.TransportError:
        return False


LOSES = """
import logging, sys, time
from tidings.server.logs import configure, lost_lines

configure("text", "info")
for number in range(int(sys.argv[1])):
    logging.getLogger("tidings.test").info("line %d of many that nobody reads", number)
lost = lost_lines()
print(lost, flush=True)
sys.stdin.readline()
tries = 0
while tries == lost_lines() - lost:  # until there is room again
    logging.getLogger("tidings.test").warning("after all")
    tries += 1
    time.sleep(0.05)
print(lost_lines())
"""


# shows: security/lines
def test_lines_are_lost_rather_than_time_and_counted() -> None:
    """The lines that wait for their reader are bounded, and so are those that may be written; a reader that comes back
    is told how much is missing. A process that is not read ends all the same."""
    with subprocess.Popen(
        [sys.executable, "-c", LOSES, "53000"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        lost_before = int(process.stdout.readline())
        printed, logged = process.communicate("go on\n", START_DEADLINE_S)
        lost, written = int(printed), logged.splitlines()
        assert 0 == process.returncode
    told = [int(line.rpartition("=")[2]) for line in written if "log lines lost" in line]
    assert written[-1].endswith("WARNING tidings.test after all")
    assert 1 <= lost_before <= lost < 10_000
    assert 1 <= sum(told) <= lost
    tried = 53_000 + 1 + lost - lost_before
    assert tried == len(written) - len(told) + lost
    unread = subprocess.Popen(
        [sys.executable, "-c", LOSES, "2000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert 0 == unread.wait(START_DEADLINE_S)
    finally:
        unread.kill()
        assert unread.stderr
        unread.stderr.close()


def test_the_lost_lines_are_a_metric(node: Node) -> None:
    """None, where somebody reads."""
    assert 0 == metrics(node.url)["tidings_log_lines_lost_total"]


def test_embedded_what_is_wrong_is_seen_and_more_where_the_host_asks_for_it(start_host: Callable[..., Host]) -> None:
    """As with every library: warnings and errors by themselves, the lines of level info where logging is configured as
    docs/embed/application.md says."""
    for app, is_talkative in (("log_host:quiet", False), ("log_host_info:talkative", True)):
        host = start_host(app)
        ada = host.person("ada")
        with ada.opens_stream() as stream:
            stream.live()
        refused(ada.posts("/send", {"recipientId": "ben", "text": "x"}), 503, "unavailable")
        wait_for(lambda host=host: "may_send() of the host application failed" in host.output)  # type: ignore[misc]
        assert "the host's own trouble" in host.output
        assert is_talkative == ("INFO tidings.stream stream opened user='ada'" in host.output)
