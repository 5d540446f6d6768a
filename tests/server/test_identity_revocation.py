"""Secrets that change, and users who are told to go: PROTOCOL.md 2.1, 2.6."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jwt
import pytest

from lab.node import API, SECRET, Node, Person, refused
from lab.process import START_DEADLINE_S, wait_for
from tidings.errors import Unauthorized
from tidings.protocol.user_id import UserId
from tidings.server.config import Config
from tidings.server.identity.caller import Caller
from tidings.server.identity.revocation import Revocations
from tidings.server.live.ending import end_streams
from tidings.server.live.hub import Hub
from tidings.server.live.stream import ENDED, Stream
from tidings.server.metrics import Metrics
from tidings.server.store.sqlite.store import SqliteStore

FORMER, OLDEST = "the secret of last year: 32 bytes or more", "the secret of the year before: 32 bytes too"

HOST = """
import asyncio, logging, os
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from tidings import Config, Tidings

logging.basicConfig(level=logging.INFO)

def signed_in(request):
    return request.headers.get("x-user") if request.app.state.is_open else None

tidings = Tidings(Config.from_environment(os.environ), user=signed_in if os.environ.get("BY_FUNCTION") else None)

async def revoke(request: Request) -> JSONResponse:
    request.app.state.is_open = False
    return JSONResponse({"streams": await tidings.revoke(request.path_params["user"])})

async def waiting(request: Request) -> JSONResponse:
    return JSONResponse(len(tidings._node.hub.find(request.path_params["user"]).waiters))

table = [Route("/revoke/{user}", revoke), Route("/waiting/{user}", waiting)]
app = Starlette(routes=[*table, *tidings.routes("/api/message")], lifespan=tidings.lifespan)
app.state.is_open = True
"""


class Host(Node):
    """An application that revokes at `/revoke/{user}`, under uvicorn."""

    extra: Mapping[str, str] = MappingProxyType({})

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "revoking.py").write_text(HOST)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = self.environment() | {"TIDINGS_DB": f"sqlite:///{self.database.absolute()}", **self.extra}
        with (self.directory / "stderr.txt").open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "revoking:app", "--port", str(self.port)],
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=environment, cwd=self.directory,
            )  # fmt: skip
        wait_for(self.accepts, START_DEADLINE_S, "uvicorn listens")

    def accepts(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0

    def revokes(self, user: Person) -> int:
        """Revoke, within a second; how many streams that ended."""
        begun = time.monotonic()
        answer = self.http.get(f"{self.url}/revoke/{user.id}")
        assert answer.status_code == 200, answer.text
        assert time.monotonic() - begun < 1.0
        streams: int = answer.json()["streams"]
        return streams


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("host"))
    host.start()
    yield host
    host.kill()


def issued(node: Node, user: str, at: float | None, **claims: Any) -> Person:
    """A person whose token was issued at this time."""
    return Person(node, user, node.token(user, iat=None if at is None else int(at), **claims))


# shows: security/shut-out
def test_revoking_ends_streams_and_polls_within_a_second(host: Host) -> None:
    """Streams with a goodbye and a clean end, polls with 401; another user does not notice. PROTOCOL 2.6.1, 2.6.2"""
    ada, ben = issued(host, "ada", time.time()), issued(host, "ben", time.time())
    streams = [ada.opens_stream().live(), ada.opens_stream(tab="b").live()]
    answers: list[Any] = []
    cursor = ada.head()
    poll = threading.Thread(target=lambda: answers.append(ada.gets("/events/me", cursor=cursor, wait=20)))
    with ben.opens_stream().live() as bystander:
        poll.start()
        wait_for(lambda: host.http.get(f"{host.url}/waiting/ada").json() == 1)
        assert 2 == host.revokes(ada)
        for stream in streams:
            assert "token_expired" == stream.until("goodbye", 1.0).data["reason"]
            stream.to_end(1.0)
            assert "clean" == stream.ended
        poll.join(1.0)
        refused(answers[0], 401, "unauthorized")
        ben.sends("carl", "still here")
        bystander.until("new_message")


def test_no_stream_slips_through_while_its_user_is_revoked(host: Host) -> None:
    """Whether it was being opened then or was open: it ends, or is refused. PROTOCOL 2.6.1, 2.6.3"""
    with ThreadPoolExecutor(8) as threads:
        for number in range(12):
            user = issued(host, f"slippery-{number}", time.time() - 10)
            request = f"GET {API}/sse/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user.token}\r\n\r\n"
            opening = [threads.submit(host.exchange, request.encode()) for _ in range(7)]
            threads.submit(host.revokes, user).result()
            for each in opening:
                stream = each.result()
                if stream.status == 200:
                    assert "token_expired" == stream.until("goodbye", 2.0).data["reason"]
                else:
                    assert 401 == stream.status


def test_a_revoked_token_opens_nothing_and_a_new_one_does(host: Host) -> None:
    """A token that was issued until then is refused, by `iat`; without `iat` nobody can tell. PROTOCOL 2.6.3, 2.6.4"""
    now = time.time()
    old, older, unseen = issued(host, "cleo", now), issued(host, "cleo", now - 60), issued(host, "cleo", now - 5)
    undated, other = issued(host, "cleo", None), issued(host, "dora", now - 60)
    # A token of an issuer whose clock is ahead was seen here before, so it was issued before.
    ahead = issued(host, "cleo", now + 20)
    for each in (old, older, undated, ahead, other):
        assert 200 == each.gets("/inbox/me").status_code

    assert 0 == host.revokes(old)

    for each in (old, older, unseen, undated, ahead, issued(host, "cleo", now + 18)):
        refused(each.gets("/inbox/me"), 401, "unauthorized")
        refused(each.gets("/sse/me"), 401, "unauthorized")
        refused(each.posts("/send", {"recipientId": "dora", "text": "hi"}), 401, "unauthorized")
    assert 200 == other.gets("/inbox/me").status_code
    later = issued(host, "cleo", now + 25)
    with later.opens_stream() as stream:
        assert "connected" == stream.next().type


# shows: security/shut-out
def test_a_revocation_holds_after_a_kill(tmp_path: Path) -> None:
    """It is committed when `revoke` returns. PROTOCOL 2.6.3, 2.6.4"""
    with Host(tmp_path) as host:
        ada, ben = issued(host, "ada", time.time()), issued(host, "ben", time.time() - 60)
        host.revokes(ada)
        host.kill()
        host.restart()
        refused(ada.gets("/inbox/me"), 401, "unauthorized")
        assert 200 == ben.gets("/inbox/me").status_code
        assert 200 == issued(host, "ada", time.time() + 2).gets("/inbox/me").status_code
        host.kill()


def test_of_too_many_revocations_the_latest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is lowered to two, in memory and on the disk."""
    monkeypatch.setattr("tidings.server.store.sqlite.revoke.REVOKED_USERS_MAX", 2)
    monkeypatch.setattr("tidings.server.identity.revocation.REVOKED_USERS_MAX", 2)
    people = [UserId(name) for name in ("ada", "ben", "carl", "ada")]
    revocations = Revocations()

    async def play() -> dict[UserId, float]:
        store = SqliteStore(str(tmp_path / "t.db"), lambda _: None)
        await store.start()
        for until, user in enumerate(people):
            await store.revoke(user, float(until))
            revocations.add(user, float(until))
        kept = await store.revocations()
        await store.close()
        return kept

    assert {"carl": 2.0, "ada": 3.0} == asyncio.run(play())
    revocations.check(Caller(UserId("ben"), None, 0.5))
    for user, known_at in (("carl", 2.0), ("ada", 3.0)):
        with pytest.raises(Unauthorized):
            revocations.check(Caller(UserId(user), None, known_at))


def test_whom_the_hosts_function_knows_is_asked_for_again(tmp_path: Path) -> None:
    """Its streams end, and from then on it decides as ever. PROTOCOL 2.6.1"""
    host = Host(tmp_path)
    host.extra = {"BY_FUNCTION": "1"}
    with host:
        ada = Person(host, "ada", None)
        headers = {"X-User": "ada"}
        with ada.opens_stream(headers=headers).live() as stream:
            assert 1 == host.revokes(ada)
            assert "token_expired" == stream.until("goodbye", 1.0).data["reason"]
            refused(ada.gets("/inbox/me", headers), 401, "unauthorized")
        host.kill()


def test_a_reader_that_takes_nothing_is_cut(tmp_path: Path) -> None:
    """It would go on reading what was written before. PROTOCOL 2.6.1"""

    async def play() -> None:
        store = SqliteStore(str(tmp_path / "t.db"), lambda _: None)
        await store.start()
        hub = Hub(Config(), store, Metrics(), random.Random(1))
        running = asyncio.create_task(hub.run(lambda: None))
        await asyncio.sleep(0)
        ada, full = UserId("ada"), asyncio.Event()
        cut: list[str] = []

        async def send(message: Any) -> None:
            if b"connected" not in message["body"]:
                await full.wait()

        async def serve() -> Stream:
            log = hub.hold(ada)
            place = await store.start_position(ada, None)
            log.join_at(place.head)
            stream = Stream(hub, log, place, send, tab=None, expires_in_s=None, transport=None)
            log.enter(stream)
            await stream.open(b"connected")
            opened.set_result(stream)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cut.append(stream.reason)
            return stream

        opened: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve())
        stream = await opened
        begun = time.monotonic()
        assert 1 == await end_streams(hub, ada)
        await serving
        assert time.monotonic() - begun < 1.0
        assert (["slow_consumer"], ENDED) == (cut, stream.state)
        assert 0 == await end_streams(hub, ada)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await store.close()

    asyncio.run(play())


def test_a_former_secret_counts_until_it_is_taken_away(start_node: Callable[..., Node]) -> None:
    """A secret changes without a sign-out: new tokens are signed with the new one, old ones live on. PROTOCOL 2.1.17"""
    node = start_node(former_secrets=f"{FORMER},{OLDEST}")
    for secret in (SECRET, FORMER, OLDEST):
        person = Person(node, "ada", node.token("ada", secret=secret))
        assert 200 == person.gets("/inbox/me").status_code
    stranger = jwt.encode({"sub": "ada", "exp": int(time.time()) + 60}, FORMER + "!", "HS256")
    refused(Person(node, "ada", stranger).gets("/inbox/me"), 401, "unauthorized")
    hs512 = jwt.encode({"sub": "ada", "exp": int(time.time()) + 60}, FORMER * 2, "HS512")
    refused(Person(node, "ada", hs512).gets("/inbox/me"), 401, "unauthorized")


def test_secrets_are_not_shown_with_the_settings() -> None:
    """A configuration that is printed or logged gives nothing away."""
    shown = repr(Config(secret=SECRET, former_secrets=(FORMER,)))

    assert SECRET not in shown
    assert FORMER not in shown
