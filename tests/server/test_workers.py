"""`tidings serve --workers N`: several processes on one port, and the one that keeps them (docs/run/cli.md)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lab import plain_http, postgres
from lab.node import SECRET, Node, Person, StreamEnded
from lab.process import PATIENCE_S, START_DEADLINE_S, free_port, wait_for

PROGRAM = str(Path(sys.executable).with_name("tidings"))
WORKERS = 3


class Workers(Node):
    """A service of several workers."""

    def __init__(self, directory: Path, schema: str, **limits: Any) -> None:
        super().__init__(directory, db=postgres.shared().url(schema=f"{schema}_{os.getpid()}"), **limits)

    def workers(self) -> dict[int, int]:
        """The process of each worker that serves, by its number: the last one that was told."""
        told = re.findall(r"worker serves worker=(\d+) process=(\d+)", self.stderr)
        return {int(number): int(process) for number, process in told}

    def metrics(self, name: str) -> dict[str, float]:
        """The values of a metric, by worker."""
        port = self.limits.get("metrics_port", self.port)
        page = plain_http.get(f"http://{self.host}:{port}/metrics", timeout=PATIENCE_S).text
        return {
            labels.split('worker="')[1].split('"')[0]: float(value)
            for labels, value in re.findall(rf"^{name}{{(.*)}} (.*)$", page, re.MULTILINE)
        }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """One service for the tests that leave it as it is; it exits 0 at SIGTERM."""
    with Workers(tmp_path_factory.mktemp("workers"), "workers", workers=WORKERS, metrics_port=free_port()) as started:
        yield started


def surely_sends(sender: Person, recipient: str, key: str) -> str:
    """Send as a client does: over a new connection each time, and again until it is acknowledged. The message's id."""
    body = {"recipientId": recipient, "text": key, "client_id": key}

    def tried() -> str | None:
        try:
            answer = httpx2.post(
                f"{sender.node.url}/api/message/send",
                json=body,
                headers=sender.headers,
                trust_env=False,
                timeout=PATIENCE_S,
            )
        except httpx2.TransportError:  # its worker was killed
            return None
        assert answer.status_code in (201, 503), answer.text
        return str(answer.json()["message"]["_id"]) if answer.status_code == 201 else None

    return wait_for(tried, what=f"{key} is acknowledged")


def read_on(reader: Person, cursor: str, count: int) -> list[str]:
    """The ids of the next messages after the cursor, from as many streams as it takes."""
    ids: list[str] = []
    end = time.monotonic() + PATIENCE_S
    while len(ids) < count:
        assert time.monotonic() < end, f"{len(ids)} of {count} messages"
        try:
            with reader.opens_stream(cursor) as stream:
                while len(ids) < count:
                    frame = stream.next()
                    if frame.type == "new_message":
                        assert frame.id is not None
                        ids.append(frame.data["_id"])
                        cursor = frame.id
        except (StreamEnded, OSError):  # its worker was killed, or drains
            continue
    return ids


def is_there(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# shows: nodes/serve-workers
def test_all_workers_take_streams_and_one_page_of_metrics_tells_of_each(service: Workers) -> None:
    """Each has a socket of its own on the port: of one that all share, an idle worker takes nearly all streams."""
    streams = [service.person(f"u{number}").opens_stream() for number in range(40)]
    try:
        by_worker = service.metrics("tidings_streams_open")
        assert {"0", "1", "2"} == set(by_worker)
        assert 40 == sum(by_worker.values())
        assert min(by_worker.values()) > 0, by_worker
        assert {"0": 1, "1": 1, "2": 1} == service.metrics("tidings_worker_up")
        assert 404 == plain_http.get(f"{service.url}/metrics").status_code, "they have a port of their own"
    finally:
        for stream in streams:
            stream.close()


# shows: nodes/serve-workers
def test_a_worker_that_is_killed_is_started_again_and_nothing_is_lost(service: Workers) -> None:
    """Clients of it come to the others; its number serves again, and the metrics have it."""
    ada, ben = service.person("ada"), service.person("ben")
    cursor, before = ben.head(), service.workers()
    sent: list[str] = []
    for number in range(30):
        if number == 10:
            os.kill(before[1], signal.SIGKILL)
        sent.append(surely_sends(ada, "ben", f"kill-{number}"))
    assert sent == read_on(ben, cursor, len(sent))
    wait_for(lambda: service.workers()[1] != before[1], START_DEADLINE_S, "another worker serves")
    assert {0: before[0], 2: before[2]} == {n: p for n, p in service.workers().items() if n != 1}
    wait_for(lambda: {"0": 1, "1": 1, "2": 1} == service.metrics("tidings_worker_up"))
    assert "worker ended; starting another worker=1 code=-9" in service.stderr


def test_sighup_replaces_the_workers_one_after_the_other_and_nothing_is_lost(service: Workers) -> None:
    """A new process serves before the former drains; its streams get their goodbye and go on with the others."""
    eve, flo = service.person("eve"), service.person("flo")
    cursor, before = flo.head(), service.workers()
    with flo.opens_stream() as one:
        os.kill(service.pid, signal.SIGHUP)
        sent: list[str] = []
        while not all(process != before[number] for number, process in service.workers().items()):
            sent.append(surely_sends(eve, "flo", f"hup-{len(sent)}"))
        wait_for(lambda: not any(map(is_there, before.values())), what="the former workers have ended")
        assert "goodbye" == one.until("goodbye").type
    sent.append(surely_sends(eve, "flo", "hup-last"))
    assert sent == read_on(flo, cursor, len(sent))


def test_no_worker_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """Each notices that it is gone, says goodbye to its streams and ends; the folder of their sockets goes, too."""
    service = Workers(tmp_path / "service", "orphans", workers=2)
    service.variables["TMPDIR"] = str(tmp_path)
    service.start()
    workers = service.workers()
    assert {"0": 1, "1": 1} == service.metrics("tidings_worker_up")
    with service.person("ada").opens_stream() as stream:
        os.kill(service.pid, signal.SIGKILL)
        assert "goodbye" == stream.until("goodbye").type
    wait_for(lambda: not any(map(is_there, workers.values())), what="the workers have ended")
    assert 2 == service.stderr.count("the process that started this one has gone: draining")
    assert "SIGTERM" not in service.stderr, "nobody sent one"
    assert [] == list(tmp_path.glob("tidings-*"))
    service.kill()


def test_a_signal_to_every_process_of_the_service_drains_as_one_to_the_supervisor(tmp_path: Path) -> None:
    """As systemd sends it: each worker hears it twice, and says goodbye to its streams all the same."""
    with Workers(tmp_path, "all", workers=2, drain_streams_per_s=0.1, drain_window_s=2) as service:
        with service.person("ada").opens_stream() as stream:
            stream.live()
            for process in (*service.workers().values(), service.pid):
                os.kill(process, signal.SIGTERM)
            assert "goodbye" == stream.until("goodbye").type
            stream.to_end()
            assert "clean" == stream.ended
        service.wait_exit()
        assert "at once" not in service.stderr
        assert 3 == service.stderr.count("SIGTERM: draining")


def test_timeout_which_signals_its_child_and_then_the_group_lets_both_kinds_of_server_drain(tmp_path: Path) -> None:
    """It is the program of that name, of every system: one SIGTERM to it is two to us. PROTOCOL 15.0.1, 15.0.7"""
    slow: dict[str, Any] = {"drain_streams_per_s": 0.1, "drain_window_s": 1}
    for service in (Workers(tmp_path / "two", "timeout", workers=2, **slow), Node(tmp_path / "one", **slow)):
        service.under = ["timeout", "1000"]
        with service:
            with service.person("ada").opens_stream() as stream:
                stream.live()
                service.signal_stop()
                assert "goodbye" == stream.until("goodbye").type
                stream.to_end()
                assert "clean" == stream.ended
            service.wait_exit()
        assert "at once" not in service.stderr


def refused(tmp_path: Path, *options: str, **variables: str) -> tuple[int, str]:
    """The exit code of a start that must end by itself, and what it wrote."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
    done = subprocess.run(
        [PROGRAM, "serve", "--port", "0", *options],
        env=environment | {"TIDINGS_SECRET": SECRET, **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=START_DEADLINE_S,
        check=False,
    )
    assert "" == done.stdout
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_several_workers_on_sqlite_are_told_of_postgresql(tmp_path: Path) -> None:
    """A file belongs to one process: a setting is wrong (exit code 2), and nothing was made."""
    for code, said in (refused(tmp_path, "--workers", "2"), refused(tmp_path, TIDINGS_WORKERS="2")):
        assert 2 == code
        assert "set db (TIDINGS_DB) to postgresql://user@host/database" in said
        assert 1 == said.count("\n")
    assert [] == list(tmp_path.iterdir())


def test_a_setting_that_no_worker_can_serve_with_is_said_once(tmp_path: Path) -> None:
    """The first one starts alone. Exit code 2: starting it again would not help."""
    url = f"postgresql://postgres:not-for-any-log@127.0.0.1:{postgres.shared().port}/nowhere"
    code, said = refused(tmp_path, "--workers", "3", "--db", url)
    assert (2, 1) == (code, said.count("createdb")), said
    assert "not-for-any-log" not in said


def test_more_workers_than_a_machine_bears_are_a_sentence(tmp_path: Path) -> None:
    """A digit too many would start a thousand processes. Exit code 2, and none was started."""
    code, said = refused(tmp_path, "--workers", "1000", "--db", "postgresql://postgres@127.0.0.1:9/chat")
    assert (2, 1) == (code, said.count("at most 64, not 1000")), said
    assert 1 == said.count("\n")


def test_a_port_that_others_share_is_taken(tmp_path: Path, service: Workers) -> None:
    """Another service of the same user could share it, and each would get a part of the other's clients."""
    code, said = refused(tmp_path, "--workers", "2", "--port", str(service.port), "--db", str(service.db))
    assert 1 == code
    assert f"cannot listen on 127.0.0.1 port {service.port}" in said
