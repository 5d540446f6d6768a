"""A real `tidings serve` under test, and the people who use it over HTTP.

A `Node` is the command that a user starts, in a process of its own, with a database of its own and a free port. Where
the deployment has two nodes it is two such processes on one database: each request goes to the other one than the
request before, so that nothing may be known to one process alone.
A `Person` is one user of it, with a token that this file mints. A `Stream` is one event stream read from a plain
socket, so that a test sees the very bytes. Nothing here imports the product: it is an independent reading of
PROTOCOL.md. Nothing sleeps for luck: everything waits for a condition, with a deadline.

    with Node(tmp_path, heartbeat_interval_s=0.5) as node:
        alice, bob = node.person("alice"), node.person("bob")
        with bob.opens_stream() as stream:
            alice.sends(bob, "hi")
            assert "hi" == stream.until("new_message").data["text"]
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlencode

import httpx2
import jwt

from lab import plain_http
from lab.deployment import SQLITE, Deployment, rows
from lab.process import PATIENCE_S, Program, wait_for

API = "/api/message"
SECRET = "a secret of the tests, long enough for every algorithm that a forger may try: 64 bytes"
READY_LINE = "Tidings serves "


def refused(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Assert that the answer is this problem, in the whole shape of PROTOCOL.md 5: its body."""
    assert (status, code) == (answer.status_code, answer.json().get("code")), f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"].split(";")[0] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (f"urn:tidings:problem:{code}", status, False) == (body["type"], body["status"], body["success"])
    assert body["title"]
    assert body["detail"]
    assert body["detail"] == body["message"]
    if status in (429, 503):
        assert re.fullmatch("[1-9][0-9]*", answer.headers["retry-after"]), answer.headers
    for leak in ("Traceback", ".py", "sqlite", "SELECT ", "INSERT ", "/home", "/tmp", sys.prefix):
        assert leak not in answer.text
    return body


class Node(Program):
    """One `tidings serve` process; limits are fields of its configuration, e.g. `heartbeat_interval_s=0.5`.

    `restart()` starts it again on the same database and, unless it was told another, the same port. `variables` are
    added to its environment.
    """

    stdout_name = "stdout.txt"
    stderr_name = "stderr.txt"
    # A drain keeps the listener for its whole window; tests that do not look at it should not wait for it.
    default_limits: ClassVar[dict[str, object]] = {"drain_window_s": 0.3}
    _program: ClassVar[str] = str(Path(sys.executable).with_name("tidings"))
    deployment: ClassVar[Deployment] = SQLITE  # of nodes of which a test names no database

    def __init__(
        self, directory: Path, *, port: int = 0, database: Path | None = None, db: str | None = None, **limits: Any
    ) -> None:
        super().__init__(directory)
        self.database = database or directory / "tidings.db"
        self._db = db
        self._on = on = self.deployment if database is None and db is None else SQLITE
        self.port = port
        self.limits: dict[str, object] = {**self.default_limits, **limits}
        if bus := on.bus():
            self.limits.setdefault("bus", bus)
        self.beside = [Node(directory / f"{number}", db=self.db) for number in range(2, on.nodes + 1)]
        self._turns = itertools.cycle([*self.beside, self])
        self.host = "127.0.0.1"
        self.variables: dict[str, str] = {}
        self._written_before = 0  # bytes on stdout, by its predecessors
        self.streams: list[Stream] = []
        self.http = plain_http.client(timeout=PATIENCE_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    @property
    def db(self) -> str:
        """The URL of its database; that of a file follows ``database``, which a test may put elsewhere."""
        return self._db or self._on.db(self.database)

    @db.setter
    def db(self, url: str) -> None:
        self._db = url

    @property
    def address(self) -> tuple[str, int]:
        """Of the node whose turn it is."""
        turn = next(self._turns)
        return (turn.host, turn.port)

    @property
    def url(self) -> str:
        """Likewise."""
        host, port = self.address
        return f"http://{host}:{port}"

    @property
    def output(self) -> str:
        """All that it wrote, and the nodes beside it."""
        return super().output + "".join(each.output for each in self.beside)

    @property
    def stderr(self) -> str:
        """Likewise, where the log goes."""
        nodes = (self, *self.beside)
        return "".join((each.directory / each.stderr_name).read_text(errors="replace") for each in nodes)

    def operates(self, command: str, *options: str) -> str:
        """The output of an operator's command on the database."""
        done = subprocess.run(
            [self._program, command, *options, "--db", self.db], capture_output=True, text=True, env=self.environment()
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query that an operator asks the database."""
        return rows(self.db, query)

    def soon(self, expected: object, ask: Callable[[], object]) -> None:
        """Assert that this is the answer: at once, or where nodes tell each other, in a moment on each."""
        if self.beside:
            wait_for(lambda: all(expected == ask() for _ in (self, *self.beside)), what=f"{expected} on each node")
        assert expected == ask()

    def cpu_s(self) -> float:
        """The CPU time that the process has taken, in seconds; the kernel counts in hundredths."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def environment(self) -> dict[str, str]:
        ours = {f"TIDINGS_{name.upper()}": str(value) for name, value in self.limits.items()}
        return super().environment() | {"TIDINGS_SECRET": SECRET} | ours | self.variables

    def command(self) -> list[str]:
        where = [
            "--host",
            self.host,
            "--port",
            str(self.port),
            "--db",
            self.db,
        ]
        return [self._program, "serve", *where]

    def start(self) -> None:
        """Start the process and wait until it says that it serves."""
        stdout = self.directory / self.stdout_name
        self._written_before = stdout.stat().st_size if stdout.exists() else 0
        super().start()
        for each in self.beside:
            each.limits, each.variables = self.limits, self.variables
            each.start()

    def serves(self) -> object:
        written = (self.directory / self.stdout_name).read_bytes()[self._written_before :].decode()
        if not written.startswith(READY_LINE) or not written.endswith("\n"):
            return False
        self.port = int(written.splitlines()[0].rsplit(":", 1)[1])
        return True

    def signal_stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and return at once: the drain goes on."""
        for each in (self, *self.beside):
            assert each.process is not None
            each.process.send_signal(by)

    def stop(self) -> None:
        """Stop by SIGTERM; the node must exit 0 without a traceback in what it wrote."""
        if self.process is None:
            return
        self.signal_stop()
        self.wait_exit()

    def wait_exit(self, deadline_s: float | None = None) -> None:
        """Wait until the node has exited by itself: 0, and no traceback."""
        assert self.process is not None
        window_s = float(str(self.limits["drain_window_s"]))
        try:
            code = self.process.wait(deadline_s or window_s + PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the node did not exit:\n{self.output}") from None
        self.process = None
        for each in self.beside:
            each.wait_exit(deadline_s)
        self._close()
        assert code == 0, f"the node exited with {code}:\n{self.output}"
        assert "Traceback" not in self.output, self.output

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        super().kill()
        for each in self.beside:
            each.kill()
        self._close()

    def restart(self) -> None:
        """Start again (after `stop` or `kill`) on the same database and port."""
        self.http = plain_http.client(timeout=PATIENCE_S)
        self.start()

    def _close(self) -> None:
        for stream in self.streams:
            stream.close()
        self.streams.clear()
        self.http.close()

    def person(self, user_id: str, via: tuple[str, int] | None = None) -> Person:
        """A user of this node; with `via`, the address of a proxy, one who reaches the node through it."""
        return Person(self, user_id, self.token(user_id), via)

    def token(self, user_id: str, *, ttl_s: float = 3600, secret: str = SECRET, **claims: object) -> str:
        """A token as the host application would mint it: HS256, `sub` and `exp`; a claim given as None is left out."""
        whole: dict[str, Any] = {"sub": user_id, "exp": int(time.time() + ttl_s), **claims}
        return jwt.encode({name: value for name, value in whole.items() if value is not None}, secret, "HS256")

    def exchange(self, request: bytes, timeout_s: float = PATIENCE_S, address: tuple[str, int] | None = None) -> Stream:
        """Send these very bytes and return the answer once its header section is here."""
        stream = Stream(address or self.address, request, timeout_s)
        self.streams.append(stream)
        return stream

    def makes_key(self, name: str, *options: str) -> str:
        """The secret of a new service key."""
        return self.operates("key", "create", name, *options).strip()


class Person:
    """One user of a node. Methods named in the third person assert success; `gets` and `posts` return any answer."""

    def __init__(self, node: Node, user_id: str, token: str | None, via: tuple[str, int] | None = None) -> None:
        self.node = node
        self.id = user_id
        self.token = token
        self.via = via

    def __str__(self) -> str:
        return self.id

    @property
    def address(self) -> tuple[str, int]:
        return self.via or self.node.address

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def gets(self, path: str, headers: Mapping[str, str] | None = None, **query: Any) -> httpx2.Response:
        """GET below the API prefix; queries that are None are left out."""
        return self.requests("GET", path, headers=headers, **query)

    def requests(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        **query: Any,
    ) -> httpx2.Response:
        given = {name: str(value) for name, value in query.items() if value is not None}
        host, port = self.address
        url = f"http://{host}:{port}" + API + path + (f"?{urlencode(given)}" if given else "")
        return self.node.http.request(method, url, headers={**self.headers, **(headers or {})}, content=content)

    def posts(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """POST below the API prefix; `body` is sent as it is when it is bytes, else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        return self.requests("POST", path, {"Content-Type": "application/json", **(headers or {})}, content)

    def sends(self, to: Person | str, text: str, **fields: object) -> dict[str, Any]:
        """Send a message, acknowledged: the Message."""
        answer = self.posts("/send", {"recipientId": str(to), "text": text, **fields})
        assert answer.status_code == 201, answer.text
        message: dict[str, Any] = answer.json()["message"]
        return message

    def history(self, peer: Person | str, **query: Any) -> dict[str, Any]:
        return self._reads(f"/{quote(str(peer), safe='')}", **query)

    def inbox(self, **query: Any) -> dict[str, Any]:
        return self._reads("/inbox/me", **query)

    def events(self, cursor: str | None = None, **query: Any) -> dict[str, Any]:
        """One page of the log; `wait` and `limit` as in the query."""
        return self._reads("/events/me", cursor=cursor, **query)

    def head(self) -> str:
        """The cursor at the head of this person's log."""
        cursor: str = self.events()["cursor"]
        return cursor

    def receipts(self, peer: Person | str, **upto: int) -> dict[str, Any]:
        """Post `delivered_upto` and/or `read_upto`: the watermarks."""
        answer = self.posts("/receipts", {"chatUserId": str(peer), **upto})
        assert answer.status_code == 200, answer.text
        watermarks: dict[str, Any] = answer.json()["watermarks"]
        return watermarks

    def types_to(self, peer: Person | str) -> None:
        answer = self.posts("/typing", {"chatUserId": str(peer)})
        assert answer.status_code == 202, answer.text

    def opens_stream(
        self,
        cursor: str | None = None,
        *,
        last_event_id: str | None = None,
        tab: str | None = None,
        headers: Mapping[str, str] | None = None,
        path: str = "/sse/me",
        **query: Any,
    ) -> Stream:
        """Open the event stream: 200 and its header section are here, frames are yet to be read."""
        given = {"cursor": cursor, "tab": tab, **query}
        target = API + path + "?" + urlencode({name: str(value) for name, value in given.items() if value is not None})
        sent = {"Host": f"127.0.0.1:{self.address[1]}", "Accept": "text/event-stream", **self.headers}
        if last_event_id is not None:
            sent["Last-Event-ID"] = last_event_id
        sent |= headers or {}
        lines = [f"GET {target.rstrip('?')} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        stream = self.node.exchange("\r\n".join([*lines, "", ""]).encode(), address=self.address)
        assert stream.status == 200, f"{stream.status} {stream.body()!r}"
        return stream

    def _reads(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self.gets(path, **query)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


class Keyed(Person):
    """A program of the host's that has a service key, in the name of this user, or of whom the key stands for."""

    def __init__(self, node: Node, key: str, user_id: str = "") -> None:
        super().__init__(node, user_id, key)

    @property
    def headers(self) -> dict[str, str]:
        return super().headers | ({"Tidings-User": quote(self.id, safe="")} if self.id else {})


@dataclass(frozen=True)
class Frame:
    """One frame. `raw` are its bytes with the closing blank line; `fields` its (name, value) lines in order."""

    raw: bytes
    fields: tuple[tuple[str, str], ...]

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self._field("data") or "null")
        return body

    @property
    def type(self) -> str:
        return str(self.body["type"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.body["data"]
        return data

    @property
    def id(self) -> str | None:
        return self._field("id")

    @property
    def retry_ms(self) -> int | None:
        value = self._field("retry")
        return None if value is None else int(value)

    def _field(self, name: str) -> str | None:
        return next((value for field, value in self.fields if field == name), None)


class StreamEnded(AssertionError):
    """The stream ended while a test waited for a frame of it."""


class Stream:
    """An HTTP/1.1 response on a socket of its own, read by blocking calls with deadlines.

    Attributes:
        status, headers: Of the response; header names in lower case.
        head_size_bytes: Of the status line and the header section.
        raw_bytes: The body so far, without its chunk framing.
        chunks: The body so far, as the server cut it into chunks.
        frames: All frames read so far.
        ended: "clean" (the last chunk came), "cut" (the connection ended before), or None while it is open.
    """

    def __init__(self, address: tuple[str, int], request: bytes, timeout_s: float = PATIENCE_S) -> None:
        self.raw_bytes = b""
        self.chunks: list[bytes] = []
        self.frames: list[Frame] = []
        self.ended: str | None = None
        self._buffer = b""
        self._unparsed = b""
        self._unread: list[Frame] = []
        self._socket = socket.create_connection(address, timeout_s)
        self._socket.sendall(request)
        end = time.monotonic() + timeout_s
        while b"\r\n\r\n" not in self._buffer:
            assert self._receive(end - time.monotonic()), f"no complete header section: {self._buffer!r}"
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        self.head_size_bytes = len(head) + 4
        status_line, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status_line.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = self.headers.get("content-length")
        self._left = None if length is None else int(length)
        self._chunked = self.headers.get("transfer-encoding", "") == "chunked"
        self._decode()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Go away, as a client does that was closed (FIN)."""
        self._socket.close()

    @property
    def port(self) -> int:
        """Our end's, which the kernel tells of the process at the other end."""
        port: int = self._socket.getsockname()[1]
        return port

    def reset(self) -> None:
        """Go away without a word (RST), as a client does whose process was killed."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def next(self, timeout: float = PATIENCE_S) -> Frame:
        """The next frame; StreamEnded when the stream ended, TimeoutError when none came."""
        end = time.monotonic() + timeout
        while not self._unread:
            if self.ended:
                raise StreamEnded(f"{self.ended} end after {self.raw_bytes[-300:]!r}")
            self._advance(end)
        return self._unread.pop(0)

    def until(self, type: str, timeout: float = PATIENCE_S) -> Frame:
        """The next frame of this type; those before it are passed over (they stay in `frames`)."""
        end = time.monotonic() + timeout
        while (frame := self.next(end - time.monotonic())).type != type:
            pass
        return frame

    def live(self, timeout: float = PATIENCE_S) -> Stream:
        """Read up to `caught_up`: from here on everything is live."""
        self.until("caught_up", timeout)
        return self

    def to_end(self, timeout: float = PATIENCE_S) -> list[Frame]:
        """Read until the stream has ended: the frames that were left."""
        end = time.monotonic() + timeout
        while not self.ended:
            self._advance(end)
        left, self._unread = self._unread, []
        return left

    def body(self, timeout: float = PATIENCE_S) -> bytes:
        """The whole body of an answer that ends by itself."""
        end = time.monotonic() + timeout
        while not self.ended:
            self._advance(end)
        return self.raw_bytes

    def _advance(self, end: float) -> None:
        if not self._receive(end - time.monotonic()):
            if not self.ended:
                self._take_rest()
                self.ended = "clean" if not self._chunked and self._left is None else "cut"
            return
        self._decode()

    def _receive(self, timeout_s: float) -> bool:
        """Read what is there; False at the end of the connection; TimeoutError when nothing came."""
        if timeout_s <= 0:
            raise TimeoutError(f"nothing came in time; the body so far ends with {self.raw_bytes[-300:]!r}")
        self._socket.settimeout(timeout_s)
        try:
            received = self._socket.recv(65536)
        except ConnectionResetError:
            received = b""
        self._buffer += received
        return bool(received)

    def _decode(self) -> None:
        while self._chunked and b"\r\n" in self._buffer:
            size_line, rest = self._buffer.split(b"\r\n", 1)
            size = int(size_line, 16)
            if len(rest) < size + 2:
                return
            self._buffer = rest[size + 2 :]
            if size == 0:
                self.ended = "clean"
                return
            self._take(rest[:size])
        if not self._chunked:
            self._take(self._buffer)
            if self._left is not None:
                self._left -= len(self._buffer)
                if self._left <= 0:
                    self.ended = "clean"
            self._buffer = b""

    def _take_rest(self) -> None:
        """The rest of a chunk that came before the connection was cut: readers get that too."""
        if self._chunked and b"\r\n" in self._buffer:
            size_line, rest = self._buffer.split(b"\r\n", 1)
            self._take(rest[: int(size_line, 16)])

    def _take(self, body: bytes) -> None:
        self.chunks.append(body)
        self.raw_bytes += body
        self._unparsed += body
        if not self.headers.get("content-type", "").startswith("text/event-stream"):
            return
        while b"\n\n" in self._unparsed:
            block, self._unparsed = self._unparsed.split(b"\n\n", 1)
            lines = (line.partition(":") for line in block.decode().split("\n"))
            fields = tuple((name, value.removeprefix(" ")) for name, _, value in lines)
            frame = Frame(block + b"\n\n", fields)
            self.frames.append(frame)
            self._unread.append(frame)
