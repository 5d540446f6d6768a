"""The targets of the fuzzers: each target takes any bytes, and raises when something is wrong.

A target says more than "it does not crash": what the bytes are read as is compared with a second reading. The same
targets are replayed over lab/fuzz/corpus by `make test`, and driven by a coverage-guided fuzzer in `make fuzz`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt

from tidings import Config
from tidings.client.core import Follower
from tidings.errors import BadRequest, Unauthorized
from tidings.protocol.cursor import parse_cursor
from tidings.protocol.retry import Outcome
from tidings.protocol.sse import RECONNECTION_TIME_MAX_MS, EventStreamDecoder
from tidings.server.api.request import read_cursor, read_query
from tidings.server.app import create_app
from tidings.server.identity.address import Addresses
from tidings.server.identity.auth import choose_identity
from tidings.server.metrics import Metrics

SECRET = "the secret of the fuzzer, which no input of 32 bytes is likely to be"
WAIT_MAX_S = 86_400
POSTS = ("/send", "/receipts", "/typing", "/presence", "/block", "/unblock", "/report")


def sse(data: bytes) -> None:
    """The event stream decoder against the words of WHATWG HTML 9.2.5 and 9.2.6, in two chunkings."""
    expected, last_id, retry_ms = read_plainly(data)
    whole, pieces = EventStreamDecoder(), EventStreamDecoder()
    step = 1 + len(data) % 7
    seen = whole.feed(data)
    in_pieces = [event for start in range(0, len(data), step) for event in pieces.feed(data[start : start + step])]
    assert expected == [(event.event, event.data, event.id) for event in seen], (expected, seen)
    assert seen == in_pieces
    assert (last_id, retry_ms) == (whole.last_event_id, whole.retry_ms) == (pieces.last_event_id, pieces.retry_ms)


def read_plainly(data: bytes) -> tuple[list[tuple[str, str, str]], str, int | None]:
    """A stream as the standard says it, line by line over the whole text: slow, and unlike the decoder."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _incomplete = re.split("\r\n|\n|\r", text)
    events: list[tuple[str, str, str]] = []
    gathered: list[str] = []
    kind, id, last_id, retry_ms = "", "", "", None
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            last_id = id
            if gathered:
                events.append((kind or "message", "\n".join(gathered), id))
            gathered, kind = [], ""
        elif name == "data":
            gathered.append(value)
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            id = value
        elif name == "retry" and re.fullmatch("[0-9]{1,4000}", value) and int(value) <= RECONNECTION_TIME_MAX_MS:
            retry_ms = int(value)
    return events, last_id, retry_ms


def cursor(data: bytes) -> None:
    """A cursor in a header or a query: read back as it was written, or none; longer than any is refused."""
    header, _, query = data.partition(b"\n")
    scope: Any = {"query_string": query, "headers": [(b"last-event-id", header)]}
    try:
        parameters = read_query(scope)
        found, is_readable = read_cursor(scope, parameters)
    except BadRequest as refusal:
        _is_one_of(refusal.code, "bad_parameter", "bad_cursor")
        return
    text = header.decode("latin-1") or parameters.get("cursor", "")
    assert is_readable == (not text or found is not None)
    if found is not None:
        assert parse_cursor(str(found)) == found
        assert re.fullmatch(r"[a-z0-9]+-[0-9]+-[0-9a-f]+", text)
        assert (found.epoch, found.position) == (text.split("-")[0], int(text.split("-")[1]))
        assert 0 <= found.position < 10**18


def follower(data: bytes) -> None:
    """The Python client's state machine on a stream of anything: it goes on or ends, and no event comes twice."""
    following = Follower(lambda: 0.5, cursor="epoch-3-a")
    following.connect(0.0)
    [opened] = following.effects
    assert opened.generation is not None
    following.stream_requested(opened.generation, 0.0)
    following.stream_answered(opened.generation, 200, "text/event-stream", None, 0.0)
    step, applied = 1 + len(data) % 11, parse_cursor("epoch-3-a")
    for start in range(0, len(data), step):
        for event in following.stream_received(opened.generation, data[start : start + step], start / 1e6):
            found = parse_cursor(event.cursor or "")
            if event.type != "reset" and found is not None and applied is not None and found.epoch == applied.epoch:
                assert found.position > applied.position, f"{found} after {applied}"
            applied = found if event.cursor is not None else applied
        assert following.deadline_s is not None
    following.stream_ended(opened.generation, Outcome("end"), "end", 100.0)
    waits_s = [effect.delay_ms / 1000 for effect in following.effects if effect.delay_ms is not None]
    assert len(waits_s) == 1, following.effects
    assert 0 <= waits_s[0] <= WAIT_MAX_S


def token(data: bytes) -> None:
    """A text in a token's place lets nobody in, and is a refusal, whatever it is."""
    identity = _identity()
    for headers in (
        [(b"authorization", b"Bearer " + data)],
        [(b"authorization", data)],
        [(b"cookie", b"session=" + data)],
    ):
        scope: Any = {"type": "http", "headers": headers, "query_string": b"token=" + data, "client": None}
        try:
            caller = _loop().run_until_complete(identity.identify(scope))
        except Unauthorized:
            continue
        raise AssertionError(f"let in as {caller}")


def forwarded(data: bytes) -> None:
    """The address of whoever asks: a name or none, and never one that only the client wrote."""
    addresses = Addresses(["127.0.0.1", "10.0.0.0/8"])
    scope: Any = {"client": ("127.0.0.1", 1), "headers": [(b"x-forwarded-for", data + b", 203.0.113.7, 10.1.1.1")]}
    assert addresses.of(scope) == "203.0.113.7"
    scope = {"client": ("127.0.0.1", 1), "headers": [(b"x-forwarded-for", data)]}
    assert not re.fullmatch(r"127\.0\.0\.1|10\..*", addresses.of(scope))
    scope = {"client": ("203.0.113.9", 1), "headers": [(b"x-forwarded-for", data)]}
    assert addresses.of(scope) == "203.0.113.9"


def body(data: bytes) -> None:
    """A body to each route that takes one: a documented answer, and what is stored is what JSON says it is."""
    route, content = POSTS[data[0] % len(POSTS)] if data else "/send", data[1:]
    status, answer = _application().asks("POST", route.encode(), b"", content)
    if route == "/send" and status == 201:
        sent, stored = json.loads(content), json.loads(answer)["message"]
        assert (sent["recipientId"], sent["text"]) == (stored["recipient_id"], stored["text"])
        stored["text"].encode()


def address(data: bytes) -> None:
    """A path and a query, as they may stand in a request line, to each route that is read."""
    path, _, query = data.partition(b"?")
    path = b"/" + bytes(each for each in path if 0x20 < each < 0x7F and each != 0x23)
    _application().asks("GET", path, bytes(each for each in query if 0x20 < each < 0x7F), b"")


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (sse, cursor, follower, token, forwarded, body, address)
}


class Application:
    """The whole API in this process, on a database of its own, as one user."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tidings-fuzz-")
        config = Config(
            db=f"sqlite:///{self._folder.name}/fuzz.db",
            secret=SECRET,
            sends_per_s=1e9,
            sends_burst=10**9,
            signals_per_s=1e9,
            new_conversations_per_h=10**9,
            poll_wait_max_s=0.001,
        )
        self._app = create_app(config, prefix="")
        claims = {"sub": "ada", "exp": int(time.time()) + 10**6}
        self._token = jwt.encode(claims, SECRET, "HS256").encode()
        self._lifespan = self._app.router.lifespan_context(self._app)
        _loop().run_until_complete(self._lifespan.__aenter__())

    def asks(self, method: str, path: bytes, query: bytes, content: bytes) -> tuple[int, bytes]:
        """The status and the body of one request; anything but a documented answer is an error."""
        return _loop().run_until_complete(self._ask(method, path, query, content))

    async def _ask(self, method: str, path: bytes, query: bytes, content: bytes) -> tuple[int, bytes]:
        heard: list[dict[str, Any]] = [{"type": "http.request", "body": content}]
        said: list[Any] = []
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path.decode("latin-1"), "raw_path": path, "query_string": query, "root_path": "",
            "headers": [(b"authorization", b"Bearer " + self._token), (b"content-type", b"application/json")],
            "client": ("203.0.113.1", 1), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return heard.pop() if heard else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            said.append(message)

        await asyncio.wait_for(self._app(scope, receive, send), 20)
        status: int = said[0]["status"]
        headers, answer = dict(said[0]["headers"]), b"".join(message.get("body", b"") for message in said[1:])
        if status >= 400:
            problem = json.loads(answer)
            assert headers[b"content-type"] == b"application/problem+json"
            assert status < 500, problem
            assert status == problem["status"], problem
            assert problem["code"] != "internal"
        elif not headers[b"content-type"].startswith(b"text/event-stream"):
            assert json.loads(answer)["success"] is True
        return status, answer

    def stop(self) -> None:
        """Close the database and take it away."""
        _loop().run_until_complete(self._lifespan.__aexit__(None, None, None))
        self._folder.cleanup()


_made: dict[str, Any] = {}


def stop() -> None:
    """End what the targets have started."""
    if "application" in _made:
        _made["application"].stop()
    if "loop" in _made:
        _made["loop"].close()


def _once(name: str, make: Callable[[], Any]) -> Any:
    if name not in _made:
        _made[name] = make()
    return _made[name]


def _loop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = _once("loop", asyncio.new_event_loop)
    return loop


def _application() -> Application:
    logging.disable(logging.ERROR)
    application: Application = _once("application", Application)
    return application


def _identity() -> Any:
    config = Config(secret=SECRET, query_token=True, session_cookie="session")
    return _once("identity", lambda: choose_identity(config, None, Metrics()))


def _is_one_of(code: str, *codes: str) -> None:
    assert code in codes, code


def corpus(target: str) -> list[Path]:
    """The fixed inputs of a target: what each line of its code needs, and what once failed."""
    return sorted((Path(__file__).parent / "corpus" / target).iterdir())
