"""The files of deploy/: nginx and Caddy run as shipped but for names and ports, the others as far as they can be tried.

The rules for a proxy are in docs/run/deploy.md; `tidings doctor` judges it as it would for an operator.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from lab.faults.fronts import http2_stream
from lab.front import DEPLOY, Front
from lab.node import API, Node
from lab.process import free_port, wait_for

PROGRAM = str(Path(sys.executable).with_name("tidings"))
HEARTBEAT_S = 0.5
LIMITS: dict[str, Any] = {"heartbeat_interval_s": HEARTBEAT_S, "query_token": 1, "session_cookie": "session"}


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with (
        Node(tmp_path_factory.mktemp("node"), **LIMITS) as node,
        Front(request.param, node, tmp_path_factory.mktemp("front")) as front,
    ):
        yield front


@contextlib.contextmanager
def stream_of(front: Front, user: str, cursor: str | None = None) -> Iterator[Iterator[dict[str, Any]]]:
    """An event stream through the proxy, read frame by frame."""
    headers = {"Authorization": f"Bearer {front.node.token(user)}", "Accept-Encoding": "gzip, br"}
    given = {} if cursor is None else {"cursor": cursor}
    with front.http.stream("GET", f"{front.url}{API}/sse/me", params=given, headers=headers) as answer:
        assert 200 == answer.status_code
        assert "content-encoding" not in answer.headers
        assert "no-transform" in answer.headers["cache-control"]
        yield (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))


def test_the_doctor_finds_no_fault_behind_the_shipped_proxy(front: Front) -> None:
    """First frame at once, heartbeats pass, nothing is compressed, headers arrive, HTTP/2 is offered."""
    environment = {
        **os.environ,
        "TIDINGS_TOKEN": front.node.token("ada"),
        "SSL_CERT_FILE": str(front.certificate),
    }
    result = subprocess.run(
        [PROGRAM, "doctor", front.url, "--idle", "2"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert 0 == result.returncode, result.stdout + result.stderr
    assert "HTTP/2 is offered" in result.stdout
    assert re.search(r"stayed open for 2 s, with [2-5] heartbeats", result.stdout), result.stdout


def test_a_message_passes_to_an_open_stream_at_once(front: Front) -> None:
    """POST through the proxy, frame through the proxy, well before a heartbeat could push it; odd ids pass."""
    odd = "a%2Fb c|é@x"
    with stream_of(front, odd) as frames:
        assert "connected" == next(frames)["type"]
        assert "caught_up" == next(frames)["type"]
        sent = front.http.post(
            f"{front.url}{API}/send",
            json={"recipientId": odd, "text": "through the proxy"},
            headers={"Authorization": f"Bearer {front.node.token('ada')}"},
        )
        assert 201 == sent.status_code
        begun = time.monotonic()
        frame = next(frame for frame in frames if frame["type"] == "new_message")
        assert time.monotonic() - begun < HEARTBEAT_S * 0.9
        assert sent.json()["message"]["_id"] == frame["data"]["_id"]
    headers = {"Authorization": f"Bearer {front.node.token('ada')}"}
    page = front.http.get(f"{front.url}{API}/{quote(odd, safe='')}", headers=headers).json()
    assert odd == page["user"]["id"]


# shows: faults/proxies
def test_a_stream_over_http2_is_passed_on_frame_by_frame(front: Front) -> None:
    """Messages at once, heartbeats in silence, then goodbye and a whole body when the node drains."""
    outcome = http2_stream(front)
    front.restarts_its_node()
    assert outcome.holds, outcome


def test_a_page_of_ours_writes_with_its_cookie(front: Front) -> None:
    """On a port that is not the usual one the page's Origin has the port, and so must what the server is told of it. A
    browser on plain HTTP, or an old one, says nothing more. PROTOCOL 2.4.3
    """
    sent = front.http.post(
        f"{front.url}{API}/send",
        json={"recipientId": "ben", "text": "by cookie"},
        headers={"Cookie": f"session={front.node.token('ada')}", "Origin": front.url},
    )
    assert 201 == sent.status_code, sent.text


# shows: security/sniffing
def test_browsers_are_told_to_guess_nothing_and_to_stay_with_tls(front: Front) -> None:
    """On whatever the proxy passes on, and once."""
    headers = {"Authorization": f"Bearer {front.node.token('ada')}"}
    for path in ("/", "/page.json", "/healthz", f"{API}/inbox/me", f"{API}/no/such", "/assets/none", "/none"):
        answer = front.http.get(front.url + path, headers=headers)
        assert ["nosniff"] == answer.headers.get_list("x-content-type-options"), path
        assert ["max-age=31536000"] == answer.headers.get_list("strict-transport-security"), path


# shows: security/breach
def test_an_answer_that_holds_a_stranger_s_text_is_not_compressed(front: Front) -> None:
    """Its length would tell of the private ones beside it."""
    front.node.person("eve").sends("ada", "x" * 8000)
    headers = {"Authorization": f"Bearer {front.node.token('ada')}", "Accept-Encoding": "gzip, br, zstd, deflate"}
    for path in ("/inbox/me", "/eve", "/events/me?cursor=1-0-0"):
        assert "content-encoding" not in front.http.get(f"{front.url}{API}{path}", headers=headers).headers


def test_the_files_of_the_page_are_compressed(front: Front) -> None:
    """They are the same for everybody. Caddy leaves what is shorter than 512 bytes as it is."""
    page = front.http.get(front.url).text
    assets = re.findall(r'(?:src|href)="\./(assets/[^"]+\.(?:js|css))"', page)
    assert 2 <= len(assets)
    for asset in (*assets, "embed.js"):
        answer = front.http.get(f"{front.url}/{asset}", headers={"Accept-Encoding": "gzip"})
        assert "gzip" == answer.headers.get("content-encoding") or len(answer.content) < 512, asset
        again = {"Accept-Encoding": "gzip", "If-None-Match": answer.headers["etag"]}
        assert 304 == front.http.get(f"{front.url}/{asset}", headers=again).status_code, asset


def test_a_request_has_one_id_in_both_logs(front: Front) -> None:
    """The proxy makes it, the server uses it and names it to the client."""
    answer = front.http.get(f"{front.url}{API}/inbox/me", headers={"Authorization": f"Bearer {front.node.token('x')}"})
    id = answer.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f-]{32,36}", id)
    if front.kind == "nginx":
        wait_for(lambda: id in front.logs)


def test_pages_for_operators_are_not_public(front: Front) -> None:
    """Metrics are not; the page and the liveness are."""
    assert 404 == front.http.get(f"{front.url}/metrics").status_code
    assert 200 == front.http.get(f"{front.url}/healthz").status_code
    assert "Tidings" in front.http.get(front.url).text


# shows: security/proxy-log
def test_a_drain_passes_and_no_token_is_in_the_proxys_logs(front: Front) -> None:
    """Goodbye and a clean end; then 502 or 503. Tokens in addresses and headers stay unwritten."""
    node, token = front.node, front.node.token("query-user")
    front.http.get(f"{front.url}{API}/events/me?token={token}").raise_for_status()
    front.http.get(f"{front.url}{API}/no/such/route?a=b&token={token}&x=1")
    with stream_of(front, "ada") as frames:
        assert "connected" == next(frames)["type"]
        node.signal_stop()
        kinds = [frame["type"] for frame in frames]  # to the end, which raises unless it is clean
        assert "goodbye" == kinds[-1]
    node.wait_exit()
    refused = front.http.get(f"{front.url}{API}/sse/me?token={token}")
    assert refused.status_code in (502, 503)
    with contextlib.suppress(httpx2.HTTPError):
        front.http.post(f"{front.url}{API}/send?token={token}", json={})
    front.restarts_its_node()
    wait_for(lambda: "/events/me" in front.logs and "/sse/me" in front.logs, what="an access log")
    for part in token.split(".")[1:]:
        assert part not in front.logs


def test_the_service_file_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """No unknown setting, no wrong value; only the program is not where it will be."""
    program = shutil.which("systemd-analyze")
    unit = (DEPLOY / "tidings.service").read_text()
    if program is not None:
        path = tmp_path / "tidings.service"
        path.write_text(unit.replace("/opt/tidings/bin/tidings", PROGRAM))
        result = subprocess.run([program, "verify", str(path)], capture_output=True, text=True, timeout=60, check=False)
        ours = [line for line in result.stderr.splitlines() if "tidings.service" in line]
        assert [] == ours, result.stderr
    settings = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    assert ("always", "2") == (settings["Restart"], settings["RestartPreventExitStatus"])
    assert "0" == settings["StartLimitIntervalSec"], "systemd would give up what is not there yet at boot"
    assert int(settings["TimeoutStopSec"]) > 5 + 11  # the window, and what a send may take
    assert int(settings["LimitNOFILE"]) >= 18_000 + 500
    assert "TIDINGS_SECRET" not in settings["Environment"]
    assert_is_accepted(settings["ExecStart"].split()[1:])


def test_the_container_file_runs_without_privileges_and_has_no_secret() -> None:
    """Read instruction by instruction; there is no engine to build it with here."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text())
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    steps = [(name, what) for name, what in lines]
    known = {"FROM", "RUN", "COPY", "WORKDIR", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
    assert set() == {name for name, _ in steps} - known - {"ENTRYPOINT", "CMD"}
    last_stage = steps[max(index for index, (name, _) in enumerate(steps) if name == "FROM") :]
    final = dict(last_stage)
    assert final["USER"] not in ("root", "0")
    assert "SIGTERM" == final["STOPSIGNAL"]
    assert not re.search(r"^(?:ENV|ARG).*SECRET", text, re.MULTILINE)
    assert_is_accepted(json.loads(final["CMD"]))
    assert ["tidings"] == json.loads(final["ENTRYPOINT"])
    check = json.loads(final["HEALTHCHECK"].partition("CMD ")[2])
    assert ["tidings", "doctor"] == check[:2]
    assert final["EXPOSE"] in check[2]
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", text, re.MULTILINE))
    assert stages >= set(re.findall(r"--from=(\w+)", text))


def assert_is_accepted(command: list[str]) -> None:
    """The arguments are such as `tidings` takes: it gets as far as missing its secret."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
    result = subprocess.run(
        [PROGRAM, *command], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert 2 == result.returncode
    assert "TIDINGS_SECRET" in result.stderr


def test_a_rolling_restart_stops_at_a_node_that_is_not_ready(tmp_path: Path) -> None:
    """It restarts none while another is not ready, and no other when one does not come back; it says which."""
    done, restart = tmp_path / "done", tmp_path / "restart"
    restart.write_text(f'#!/bin/sh\necho "$1" >> {done}\n')
    restart.chmod(0o755)
    with Node(tmp_path / "node") as node:
        ready, away = str(node.port), str(free_port())
        environment = {**os.environ, "WAIT_S": "0", "RESTART": f"{restart} "}

        def restarted(*names: str) -> tuple[int, str, str]:
            ended = subprocess.run(
                [str(DEPLOY / "rolling-restart.sh"), *names], env=environment, capture_output=True, text=True
            )
            return ended.returncode, ended.stdout, ended.stderr

        assert (1, "", f"{away} is not ready, so {ready} is left as it is\n") == restarted(ready, away)
        assert not done.exists()
        assert (0, f"{ready} is ready\n", "") == restarted(ready)
        assert (1, "", f"{away} is not ready after 0 s\n") == restarted(away)
        assert [ready, away] == done.read_text().split()
        assert 2 == restarted()[0]
