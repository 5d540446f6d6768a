"""`tidings demo` as a process: what its control channel breaks is broken for real, heals, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from lab import plain_http
from lab.demo import EXIT_DEADLINE_S, Demo
from lab.node import API, Node
from lab.process import PATIENCE_S, START_DEADLINE_S, is_gone, wait_for

GIVEN_UP_S = 1.0
"""After this a request that is stalled is looked at; it must not have been answered, however long it waits."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture
def broken(demo: Demo) -> Iterator[Demo]:
    """The demo, for a test that breaks it: it is whole again afterwards."""
    yield demo
    demo.restores()


def inbox(demo: Demo, user: str, headers: dict[str, str], timeout_s: float = PATIENCE_S) -> httpx2.Response:
    """A request of this person, on a connection of its own."""
    with plain_http.client(timeout=timeout_s) as http:
        return http.get(f"{demo.url}{API}/inbox/me", headers=headers)


def later(call: Callable[[], httpx2.Response]) -> tuple[threading.Thread, list[httpx2.Response]]:
    answers: list[httpx2.Response] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    return thread, answers


# Processes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_and_its_server_with_exit_0(number: signal.Signals, tmp_path: Path) -> None:
    """Also while everything is broken: the goodbyes pass."""
    with Demo(tmp_path) as demo:
        server = demo.server["process_id"]
        demo.breaks("stall")
        assert demo.process is not None
        demo.process.send_signal(number)

        assert 0 == demo.process.wait(EXIT_DEADLINE_S), demo.output
        assert is_gone(server)
        assert "Traceback" not in demo.output


# shows: demo/no-server-left
def test_no_server_is_left_when_the_demo_is_killed(tmp_path: Path) -> None:
    """The server notices that its parent has gone, drains and ends by itself."""
    with Demo(tmp_path) as demo:
        server = demo.server["process_id"]
        assert demo.process is not None
        demo.process.kill()
        demo.process.wait()

        wait_for(lambda: is_gone(server), EXIT_DEADLINE_S, "the server ends")


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    """Exit 1, for that passes, and no server was started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        program = Path(sys.executable).with_name("tidings")
        database = tmp_path / "x.db"
        ended = subprocess.run(
            [program, "demo", "--port", port, "--db", f"sqlite:///{database}"],
            capture_output=True, text=True, timeout=START_DEADLINE_S, check=False,
        )  # fmt: skip
    assert (1, "") == (ended.returncode, ended.stdout)
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use; choose another with --port" in ended.stderr
    assert not database.exists()


def test_a_server_that_cannot_start_is_a_sentence_of_its_own(tmp_path: Path) -> None:
    """The demo says the sentence of the server's process: exit 2."""
    program = Path(sys.executable).with_name("tidings")
    ended = subprocess.run(
        [program, "demo", "--port", "0", "--db", "sqlite:////nowhere/at/all.db"],
        capture_output=True, text=True, timeout=START_DEADLINE_S, check=False,
    )  # fmt: skip
    assert 2 == ended.returncode
    assert "/nowhere/at/all.db cannot be opened: No such file or directory" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--nodes", "3", "--db", "sqlite:///x.db"], "several nodes share a PostgreSQL database"),
        (["--nodes", "9"], "--nodes: the demo has at most 8"),
    ],
)
def test_nodes_that_the_demo_cannot_have_are_a_sentence(options: list[str], sentence: str, tmp_path: Path) -> None:
    """Exit 2, and nothing was made."""
    program = Path(sys.executable).with_name("tidings")
    ended = subprocess.run(
        [program, "demo", "--port", "0", *options],
        capture_output=True, text=True, timeout=START_DEADLINE_S, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert 2 == ended.returncode
    assert sentence in ended.stderr
    assert [] == list(tmp_path.iterdir())


def test_without_postgresql_the_demo_of_several_nodes_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence with both ways out, exit 2, and no folder is left."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = (
        "import shutil, sys, tidings.server.demo.database as database\n"
        "shutil.which = lambda *_, **__: None\n"
        "sys.exit(database.main())"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        keeper.stdin.write("{}\n")
        keeper.stdin.flush()  # and it stays open, as that of a demo that lives
        said = keeper.stdout.read()
        assert 2 == keeper.wait(START_DEADLINE_S)
    assert said.startswith("failed several nodes share a PostgreSQL database")
    assert "apt-get install postgresql, or name a database with --db postgresql://" in said
    assert [] == list(tmp_path.iterdir())


# shows: demo/kill
def test_a_killed_server_refuses_connections_until_it_is_started_again(broken: Demo) -> None:
    """SIGKILL, and the port is closed as long as nobody listens; what was acknowledged is there afterwards."""
    broken.sends("kate", "karl", "before")
    before = broken.server

    [killed] = broken.orders("node", number=1, do="kill")["nodes"]

    assert "dead" == killed["state"]
    assert killed["starts_in_s"] is None or 0 < killed["starts_in_s"] <= 20
    assert is_gone(before["process_id"])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", broken.port))

    wait_for(lambda: broken.server["starts_in_s"] is not None, PATIENCE_S, "it will be started again")
    broken.restores()

    assert before["process_id"] != broken.server["process_id"]
    assert ["before"] == broken.texts("kate", "karl")


def test_a_server_that_dies_by_itself_is_started_again(broken: Demo) -> None:
    """The demo starts it again, whatever killed it: within a second or so, and it is said in the log."""
    before = broken.server["process_id"]

    os.kill(before, signal.SIGKILL)

    def is_another() -> bool:
        server = broken.server
        return bool(server["state"] == "running" and server["process_id"] != before)

    wait_for(is_another, START_DEADLINE_S, "another server runs")
    assert "the server ended with -9; starting it again" in broken.output


# Faults


# shows: demo/refuse
def test_a_refused_network_refuses_everybody(broken: Demo) -> None:
    """The port is closed: no pretence above TCP."""
    broken.breaks("refuse")
    with socket.socket() as probe:
        wait_for(lambda: probe.connect_ex(("127.0.0.1", broken.port)), PATIENCE_S, "the port is closed")

    broken.restores()

    assert 200 == broken.http.get("/healthz").status_code


# shows: demo/cut
def test_one_persons_connections_are_reset_and_anothers_pass(broken: Demo) -> None:
    """The token of a request tells its person; others on the same port notice nothing."""
    rose, walter = broken.headers("rose"), broken.headers("walter")
    broken.breaks("reset", "rose")

    for _ in range(2):
        with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
            inbox(broken, "rose", rose)
        assert 200 == inbox(broken, "walter", walter).status_code
    broken.restores()
    assert 200 == inbox(broken, "rose", rose).status_code


def test_an_open_stream_is_cut_at_once_for_the_one_and_not_the_other(broken: Demo) -> None:
    """A reset in the middle of the body, as a network's."""
    with plain_http.client(timeout=PATIENCE_S) as http:
        cut, kept = broken.headers("cut"), broken.headers("kept")
        with (
            http.stream("GET", f"{broken.url}{API}/sse/me", headers=cut) as hers,
            http.stream("GET", f"{broken.url}{API}/sse/me", headers=kept) as his,
        ):
            hers_parts, his_parts = hers.iter_raw(), his.iter_raw()
            assert b"connected" in next(hers_parts)
            assert b"connected" in next(his_parts)
            broken.breaks("reset", "cut")
            with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
                for _ in hers_parts:
                    pass
            broken.sends("cut's friend", "kept", "still here")
            assert any(b"still here" in part for part in his_parts)


def test_a_stalled_request_is_answered_when_the_network_moves_again(broken: Demo) -> None:
    """Nothing arrives and nobody is told; then everything does, on the same connection."""
    headers = broken.headers("stan")
    broken.breaks("stall", "stan")
    thread, answers = later(lambda: inbox(broken, "stan", headers, timeout_s=60))
    thread.join(GIVEN_UP_S)
    assert [] == answers

    broken.restores()

    thread.join(PATIENCE_S)
    assert [200] == [answer.status_code for answer in answers]


# shows: demo/drop-replies
def test_a_dropped_reply_belongs_to_a_message_that_is_committed(broken: Demo) -> None:
    """The request reached the server; sent again with the same `client_id` it is the same message."""
    headers = broken.headers("dora")
    body = {"recipientId": "dirk", "text": "once", "client_id": str(uuid.uuid4())}
    broken.breaks("lose_replies", "dora")
    with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
        broken.outside.post(f"{broken.url}{API}/send", json=body, headers=headers)
    assert 200 == inbox(broken, "dora", headers).status_code

    wait_for(lambda: broken.texts("dirk", "dora"), PATIENCE_S, "the message is committed")
    broken.restores()

    assert 201 == broken.outside.post(f"{broken.url}{API}/send", json=body, headers=headers).status_code
    assert ["once"] == broken.texts("dirk", "dora")


# shows: demo/delay
def test_a_delay_is_added_both_ways(broken: Demo) -> None:
    """A request and its answer take at least twice the delay."""
    headers = broken.headers("slow")
    broken.breaks("delay", "slow", delay_ms=200)
    began = time.monotonic()

    assert 200 == inbox(broken, "slow", headers).status_code

    assert time.monotonic() - began >= 0.4


# shows: demo/buffer
def test_a_buffered_stream_shows_nothing_until_it_is_let_go(broken: Demo) -> None:
    """Other requests pass meanwhile; what was held comes whole and in order."""
    headers = broken.headers("bea")
    broken.breaks("buffer", "bea")
    parts: list[bytes] = []

    def read() -> None:
        address = f"{broken.url}{API}/sse/me"
        with plain_http.client(timeout=60) as http, http.stream("GET", address, headers=headers) as stream:
            for part in stream.iter_raw():
                parts.append(part)
                if b"held back" in b"".join(parts):
                    return

    def streams_are(number: int) -> bool:
        return f"tidings_streams_open {number}.0\n" in broken.http.get("/metrics").text

    wait_for(lambda: streams_are(0), PATIENCE_S, "the streams of other tests have ended")
    thread = threading.Thread(target=read)
    thread.start()
    wait_for(lambda: streams_are(1), PATIENCE_S, "the server has begun the stream")
    broken.sends("bob of bea", "bea", "held back")
    assert 200 == inbox(broken, "bea", headers).status_code
    thread.join(GIVEN_UP_S)
    assert [] == parts

    broken.restores()

    thread.join(PATIENCE_S)
    assert b"held back" in b"".join(parts)
    assert b"".join(parts).index(b"connected") < b"".join(parts).index(b"held back")


@pytest.mark.parametrize(
    ("order", "what"),
    [
        ("fault", {"kind": "earthquake", "on": True}),
        ("fault", {"kind": "refuse", "on": True, "user": "ada"}),
        ("fault", {"kind": "delay", "on": True, "delay_ms": 5001}),
        ("node", {"number": 1, "do": "dance"}),
        ("node", {"number": 2, "do": "kill"}),
        ("traffic", {"per_second": 11, "people": ["ada", "ben"]}),
        ("traffic", {"per_second": 1, "people": ["ada", "ada"]}),
    ],
)
def test_an_order_that_cannot_be_done_is_refused(order: str, what: dict[str, object], demo: Demo) -> None:
    """422, and nothing has changed."""
    before = {name: demo.state[name] for name in ("faults", "traffic")}
    assert 422 == demo.asks(order, what).status_code
    assert before == {name: demo.state[name] for name in ("faults", "traffic")}


# Who may


# shows: demo/control
def test_only_the_demos_own_page_may_control_it(demo: Demo) -> None:
    """Another site, a name that was pointed at 127.0.0.1, and whoever lacks the key are refused: 403."""
    order = {"kind": "stall", "on": True}
    own = {"Origin": demo.url}
    assert 200 == demo.asks("report", {"tab": "t", "user": "u"}, **own).status_code
    assert 403 == demo.asks("fault", order, Origin="http://evil.example").status_code
    assert 403 == demo.asks("fault", order, Origin="null").status_code
    assert 403 == demo.asks("fault", order, Host="evil.example").status_code
    assert 403 == demo.asks("fault", order, **own, **{"Tidings-Demo-Key": "guessed"}).status_code
    assert 403 == demo.outside.post(f"{demo.control['url']}/fault", json=order, headers=own).status_code
    assert (
        405
        == demo.outside.get(
            f"{demo.control['url']}/fault", headers={"Tidings-Demo-Key": demo.control["key"]}
        ).status_code
    )
    assert [] == demo.state["faults"]


def test_a_browser_is_told_that_the_demos_page_may_and_others_may_not(demo: Demo) -> None:
    """The answer to a preflight names one origin, never `*`."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "tidings-demo-key"}
    allowed = demo.outside.options(f"{demo.control['url']}/fault", headers={"Origin": demo.url, **asked})
    refused = demo.outside.options(f"{demo.control['url']}/fault", headers={"Origin": "http://evil.example", **asked})

    assert (204, demo.url) == (allowed.status_code, allowed.headers["access-control-allow-origin"])
    assert 403 == refused.status_code
    assert "access-control-allow-origin" not in refused.headers


def test_no_fault_reaches_the_control(broken: Demo) -> None:
    """Every fault can be restored."""
    for kind in ("stall", "buffer", "lose_replies", "refuse"):
        broken.breaks(kind)
    broken.kills()

    broken.restores()

    assert [] == broken.state["faults"]
    assert 200 == broken.http.get("/healthz").status_code


# shows: demo/drawer
def test_the_drawer_is_a_chunk_that_only_the_page_of_a_demo_asks_for(node: Node) -> None:
    """Nothing of it is in the scripts and styles that the document names; they know where it is."""
    document = node.http.get(f"{node.url}/").text
    loaded = re.findall(r'(?:src|href)="\./(assets/[^"]+\.(?:js|css))"', document)
    assert {".js", ".css"} == {Path(path).suffix for path in loaded}
    text = "".join(node.http.get(f"{node.url}/{path}").text for path in loaded)
    assert "Drop replies" not in text
    assert ".demo-panel" not in text
    [chunk] = set(re.findall(r"drawer-[\w-]+\.js", text))
    assert "Drop replies" in node.http.get(f"{node.url}/assets/{chunk}").text


# shows: demo/serve
def test_serve_has_nothing_of_it(node: Node, demo: Demo) -> None:
    """No token for the asking, no control, no origin but its own in the policy of its page."""
    assert 404 == node.http.post(f"{node.url}/demo/token", json={"as": "ada"}).status_code
    assert {"api", "sign_in", "raw_ids", "people_search"} == node.http.get(f"{node.url}/page.json").json().keys()
    policies = [
        get(f"{url}/").headers["content-security-policy"]
        for get, url in ((demo.http.get, demo.url), (node.http.get, node.url))
    ]
    assert f"connect-src 'self' {demo.control['url']};" in policies[0]
    assert "connect-src 'self';" in policies[1]
