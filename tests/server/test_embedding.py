"""Tidings as a part of somebody's Starlette or FastAPI application, under somebody's uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Message

from lab import postgres
from lab.host import HOSTS, Host
from lab.node import Person, refused
from lab.process import PATIENCE_S, START_DEADLINE_S, wait_for
from tidings import Config, Tidings, create_app
from tidings.client import AsyncClient, Client, FoundPerson
from tidings.errors import BadRequest, ConfigurationError, Problem, ServerProblem


@pytest.mark.parametrize("app", ["mounted", "with_lifespan", "fast", "fast_mounted", "behind_middleware"])
def test_messages_arrive_in_a_host_application(start_host: Callable[..., Host], app: str) -> None:
    """Live and caught up, with the heartbeat, under any way to mount it and behind middleware that makes us wait."""
    host = start_host(app)
    ada, ben = host.person("ada"), host.person("ben")
    with ben.opens_stream().live() as stream:
        assert "gzip" not in stream.headers.get("content-encoding", "")
        for number in range(5):
            ada.sends(ben, f"message {number}")
            assert f"message {number}" == stream.until("new_message").data["text"]
        cursor = stream.frames[-1].id
        assert cursor == stream.until("heartbeat").data["cursor"]
    for number in range(50):
        ada.sends(ben, f"later {number}")
    with ben.opens_stream(last_event_id=cursor) as stream:
        assert [f"later {number}" for number in range(50)] == [
            stream.until("new_message").data["text"] for _ in range(50)
        ]


def test_the_hosts_functions_decide(start_host: Callable[..., Host]) -> None:
    """They say the caller, the permission to write, the names of people, and who is found by a part of a name."""
    host = start_host("mounted")
    ada, nobody = host.person("ada"), Person(host, "nobody", None)

    refused(nobody.gets("/inbox/me"), 401, "unauthorized")
    refused(ada.posts("/send", {"recipientId": "hermit", "text": "hello?"}), 403, "not_allowed")
    ada.sends("ben", "hi")
    ben = {"id": "ben", "name": "Ben Example", "avatar_url": "https://example.org/ben.png", "online": None}
    assert ben == ada.history("ben")["user"]
    assert {"id": "zoe", "name": "zoe", "avatar_url": None, "online": None} == ada.history("zoe")["user"]
    assert ["ben"] == [each["user"]["id"] for each in ada.inbox()["conversations"]]

    found = [FoundPerson("ben", "Ben Example")]
    with Client(f"{host.url}/api/message", "ada") as client:
        assert found == client.people(" exaMPLE")
        assert [] == client.people("Zoe\u0308")
        with pytest.raises(ServerProblem, match="422 bad_query"):
            client.people("")

    async def finds() -> list[FoundPerson]:
        async with AsyncClient(f"{host.url}/api/message", "ada") as client:
            return await client.people("example")

    assert found == asyncio.run(finds())


def test_the_hosts_own_code_sends(start_host: Callable[..., Host]) -> None:
    """``await tidings.send(...)`` starts the node if need be, may use type system, and reaches open streams."""
    host = start_host("fast")
    buyer = host.person("buyer")
    first = host.http.get(f"{host.url}/order/buyer").json()["_id"]
    with buyer.opens_stream().live() as stream:
        host.http.get(f"{host.url}/order/buyer")
        assert "system" == stream.until("new_message").data["message_type"]
    assert first == buyer.history("shop")["messages"][0]["_id"]
    refused(buyer.posts("/send", {"recipientId": "shop", "text": "x", "message_type": "system"}), 422, "reserved_type")


def test_a_new_name_is_told_to_those_who_write_with_its_user(start_host: Callable[..., Host]) -> None:
    """At once, by a frame that is in no log; nobody else hears of it. PROTOCOL 7.10.1, 7.10.2, 7.2.9"""
    host = start_host("mounted")
    ada, ben, zoe = (host.person(name) for name in ("ada", "ben", "zoe"))
    ada.sends(ben, "hi")
    with ada.opens_stream().live() as hers, zoe.opens_stream().live() as of_nobody:
        assert 200 == host.http.get(f"{host.url}/rename/ben/Benjamin").status_code
        frame = hers.until("profile")
        told = {"chat_user_id": "ben", "name": "Benjamin", "avatar_url": "https://example.org/ben.png"}
        assert (told, None) == (frame.data, frame.id)
        of_nobody.until("heartbeat")
        assert "profile" not in [each.type for each in of_nobody.frames]
    assert "Benjamin" == ada.history(ben)["user"]["name"]
    assert "Benjamin" == ada.inbox()["conversations"][0]["user"]["name"]


class OnPostgres(Host):
    """On a database that another process has, too."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"HOST_DB": postgres.shared().url(schema=f"embedded_{os.getpid()}")}


def test_a_new_name_and_an_import_reach_the_streams_of_another_process(tmp_path: Path) -> None:
    """The one by the bus between them, the other by the database, within seconds. PROTOCOL 7.10.2"""
    here, there = (OnPostgres(tmp_path / name, "hosts:mounted") for name in ("here", "there"))
    with here, there:
        here.person("ada").sends("ben", "hi")
        before = there.person("ada").head()
        with there.person("ada").opens_stream().live() as stream:

            def is_told() -> bool:
                here.http.get(f"{here.url}/rename/ben/Benjamin")
                with contextlib.suppress(TimeoutError):
                    return bool("Benjamin" == stream.until("profile", 1).data["name"])
                return False

            wait_for(is_told, what="the name is told, once the two have met")
            older = {"sender_id": "ada", "recipient_id": "zoe", "text": "old", "createdAt": "2020-05-01T08:00:00Z"}
            (tmp_path / "older.jsonl").write_text(json.dumps(older))
            url = here.environment()["HOST_DB"]
            command = [sys.executable, "-m", "tidings", "import", str(tmp_path / "older.jsonl"), "--db", url]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            stream.until("goodbye")
        with there.person("ada").opens_stream(last_event_id=before) as again:
            assert "expired" == again.until("reset").data["reason"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"text": "\udcff"}, "not_utf8"),
        ({"text": b"x"}, "wrong_type"),
        ({"text": None}, "missing_fields"),
        ({"recipient": 5}, "wrong_type"),
        ({"recipient": None}, "wrong_type"),
        ({"recipient": "a\udcff"}, "bad_user_id"),
        ({"sender": b"shop"}, "wrong_type"),
        ({"type": 7}, "wrong_type"),
        ({"client_id": 7}, "wrong_type"),
        ({"client_id": "\udcff"}, "bad_client_id"),
    ],
)
def test_the_hosts_own_code_is_refused_like_a_client(tmp_path: Path, given: dict[str, Any], code: str) -> None:
    """By our own errors, with the codes of the routes, and nothing is stored."""

    async def send() -> None:
        tidings = Tidings(Config(db=f"sqlite:///{tmp_path}/x.db"), user=lambda _request: "shop")
        async with tidings.lifespan():
            with pytest.raises(Problem) as refusal:
                await tidings.send(**{"sender": "shop", "recipient": "a", "text": "x", **given})
            assert code == refusal.value.code
            assert 1 == (await tidings.send("shop", "a", "the first")).seq

    asyncio.run(send())


def test_the_hosts_own_code_blocks_and_revokes_only_texts(tmp_path: Path) -> None:
    """A text that is no user id is refused as in a request."""

    async def ask() -> None:
        tidings = Tidings(Config(db=f"sqlite:///{tmp_path}/x.db"), user=lambda _request: "shop")
        wrong: Any = 5
        async with tidings.lifespan():
            for call in (
                tidings.block("a", wrong), tidings.block(wrong, "a"), tidings.unblock(wrong, "a"), tidings.revoke(wrong)
            ):  # fmt: skip
                with pytest.raises(BadRequest, match="A user id is a string"):
                    await call

    asyncio.run(ask())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_host_told_to_stop_does_not_wait_for_streams(start_host: Callable[..., Host], number: int) -> None:
    """uvicorn waits for open connections for ever; we hear the signal too and end them with a goodbye.
    PROTOCOL 15.0.10
    """
    host = start_host("mounted")
    streams = [host.person("ben").opens_stream().live() for _ in range(10)]
    assert host.process is not None
    host.process.send_signal(number)
    for stream in streams:
        assert "draining" == stream.until("goodbye").data["reason"]
        stream.to_end()
        assert "clean" == stream.ended
    host.wait_exit(5)


def test_a_host_that_stops_without_a_signal_does_not_wait_for_streams(start_host: Callable[..., Host]) -> None:
    """It has served as many requests as it may: uvicorn stops listening, and says nothing. PROTOCOL 15.0.10"""
    host = start_host("mounted", "--limit-max-requests", "4")
    stream = host.person("ben").opens_stream().live()
    for number in range(4):
        host.person("ada").sends("ben", f"{number}")
    assert "draining" == stream.until("goodbye").data["reason"]
    stream.to_end()
    assert "clean" == stream.ended
    host.wait_exit(5)


def test_a_socket_that_the_server_has_inherited_does_not_hide_that_it_stops(tmp_path: Path) -> None:
    """As a service's socket is that systemd opens: the server closes its copy. PROTOCOL 15.0.10"""
    database, listener = tmp_path / "x.db", socket.create_server(("127.0.0.1", 0))
    port, number = listener.getsockname()[1], listener.fileno()
    command = ["uvicorn", "hosts:mounted", "--app-dir", str(HOSTS), "--fd", str(number), "--limit-max-requests", "4"]
    with listener, (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=log, stderr=log, pass_fds=[number], env={**os.environ, "HOST_DB": f"sqlite:///{database}"},
        )  # fmt: skip
    try:
        wait_for(lambda: b"Uvicorn running" in (tmp_path / "log").read_bytes(), START_DEADLINE_S, "uvicorn listens")
        node = Host(tmp_path, "hosts:mounted")
        node.port = port
        stream = node.person("ben").opens_stream().live()
        for text in "1234":
            node.person("ada").sends("ben", text)
        assert "draining" == stream.until("goodbye").data["reason"]
        process.wait(PATIENCE_S)
        stream.close()
        node.http.close()
    finally:
        process.kill()
        process.wait()


def test_the_end_of_the_lifespan_ends_streams_with_goodbye(tmp_path: Path) -> None:
    """Under a server of which nothing else can be seen: no signal, no socket. PROTOCOL 15.0.10"""

    async def scene() -> list[bytes]:
        tidings = Tidings(Config(db=f"sqlite:///{tmp_path}/x.db"), user=lambda _request: "ada")
        app = Starlette(routes=tidings.routes("/dm"))
        said: list[bytes] = []
        caught_up, never = asyncio.Event(), asyncio.Event()

        async def receive() -> Message:
            await never.wait()
            raise AssertionError

        async def send(message: Message) -> None:
            said.append(message.get("body", b""))
            if b"caught_up" in said[-1]:
                caught_up.set()

        scope = {"type": "http", "method": "GET", "path": "/dm/sse/me", "query_string": b"", "headers": []}
        async with asyncio.timeout(10):
            async with tidings.lifespan():
                stream = asyncio.create_task(app({**scope, "http_version": "1.1"}, receive, send))
                await caught_up.wait()
            stream.cancel()
        return said

    assert b'"draining"' in asyncio.run(scene())[-1]


def test_reload_comes_back_with_streams_open(start_host: Callable[..., Host], tmp_path: Path) -> None:
    """``uvicorn --reload``: the successor serves the same database a moment later."""
    watched = tmp_path / "watched" / "module.py"
    watched.parent.mkdir()
    watched.write_text("")
    host = start_host("mounted", "--reload", "--reload-dir", str(watched.parent))
    ada, ben = host.person("ada"), host.person("ben")
    ada.sends(ben, "before")
    stream = ben.opens_stream().live()

    def said_goodbye() -> bool:
        watched.touch()  # again and again: uvicorn compares with what it saw last
        try:
            return bool(stream.until("goodbye", 0.5).data["reason"] == "draining")
        except TimeoutError:
            return False

    wait_for(said_goodbye, START_DEADLINE_S, "the goodbye")

    def sent() -> bool:
        try:
            return ada.posts("/send", {"recipientId": "ben", "text": "after", "client_id": "k1"}).status_code == 201
        except httpx2.TransportError:
            return False

    wait_for(sent, START_DEADLINE_S, "the successor takes a message")
    assert ["before", "after"] == [message["text"] for message in ben.history("ada")["messages"]]
    host.stop()


def test_with_two_workers_the_second_refuses_with_the_sentence(start_host: Callable[..., Host]) -> None:
    """One process serves a database: the other says so in its log, and answers 503."""
    host = start_host("mounted", "--workers", "2")
    sentence = "PostgreSQL several: set db (TIDINGS_DB) to postgresql://user@host/database"

    def said() -> bool:
        host.http.get(f"{host.url}/api/message/inbox/me", headers={**host.person("ada").headers, "Connection": "close"})
        return sentence in host.output

    host.http.timeout = 30
    wait_for(said, 30, "the sentence")
    assert "database is served by process " in host.output


def test_the_hosts_tests_need_no_running_server(tmp_path: Path) -> None:
    """Starlette's TestClient runs requests in event loops of their own; the node follows it from one to the next."""
    tidings = Tidings(Config(db=f"sqlite:///{tmp_path}/x.db"), user=lambda request: request.headers.get("x-user"))
    app = Starlette(routes=[Mount("/dm", routes=tidings.routes())])
    for number in range(3):
        with TestClient(app) as client:
            body = {"recipientId": "ben", "text": f"{number}"}
            assert 201 == client.post("/dm/send", json=body, headers={"x-user": "ada"}).status_code
    history = TestClient(app).get("/dm/ada", headers={"x-user": "ben"}).json()["messages"]
    assert ["0", "1", "2"] == [message["text"] for message in history]


def test_nothing_configured_is_a_refusal_to_start(tmp_path: Path) -> None:
    """Deny unless configured, in a sentence that says what to set."""
    with pytest.raises(ConfigurationError, match="TIDINGS_SECRET"):
        create_app(Config(db=f"sqlite:///{tmp_path}/x.db"))
    with pytest.raises(ConfigurationError, match="openssl rand"):
        Tidings(Config(db=f"sqlite:///{tmp_path}/x.db"))


def test_an_unknown_path_of_our_own_application_is_a_problem(tmp_path: Path) -> None:
    """Not a bare 404 page."""
    app = create_app(Config(db=f"sqlite:///{tmp_path}/x.db"), user=lambda _request: "ada")
    with TestClient(app) as client:
        answer = client.get("/elsewhere")
    assert (404, "not_found") == (answer.status_code, answer.json()["code"])


class Name(str):
    """A user id of a class of the host's own."""

    __slots__ = ()


def app_of(path: Path, answer: object) -> TestClient:
    """An application whose ``user`` answers this."""
    tidings = Tidings(Config(db=f"sqlite:///{path}/t.db"), user=lambda _request: answer)  # type: ignore[arg-type, return-value]
    return TestClient(Starlette(routes=[Mount("/dm", routes=tidings.routes())], lifespan=tidings.lifespan))


@pytest.mark.parametrize(
    "answer", [False, True, 0, 1, 7.0, b"ada", ["ada"], ("ada",), {"id": "ada"}, "", "a\\b", "me", "a\0"], ids=repr
)
def test_an_answer_that_is_no_user_id_lets_nobody_in(
    answer: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A yes or a number would be one user for everybody; a line tells the host what is wrong, and not what it was."""
    with app_of(tmp_path, answer) as client:
        refused(client.get("/dm/inbox/me"), 401, "unauthorized")
        refused(client.get(f"/dm/inbox/{quote(str(answer), safe='')}"), 401, "unauthorized")
    assert "user() of the host application answered" in caplog.text
    assert "ada" not in caplog.text


def test_a_user_id_may_be_a_kind_of_text(tmp_path: Path) -> None:
    """It is that text."""
    with app_of(tmp_path, Name("ada")) as client:
        answer = client.post("/dm/send", json={"recipientId": "ben", "text": "hi"})
        assert (201, "ada") == (answer.status_code, answer.json()["message"]["sender_id"])
