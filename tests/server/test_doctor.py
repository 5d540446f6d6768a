"""`tidings doctor URL` names the fault, whatever stands between it and the server (docs/run/cli.md)."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import io
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.certificate import make_certificate
from lab.host import HOSTS, Host
from lab.key_server import KeyServer
from lab.node import Node, Person
from lab.proxy import Proxy
from tidings.cli import main
from tidings.client.doctor import limits

PROGRAM = str(Path(sys.executable).with_name("tidings"))
HEARTBEAT_S = 0.5


def doctor(url: str, token: str | None = None, *options: str, **variables: str) -> tuple[int, str]:
    """The exit code and what was printed."""
    given = dict(os.environ)
    printed, complained = io.StringIO(), io.StringIO()
    try:
        os.environ.update(variables | ({} if token is None else {"TIDINGS_TOKEN": token}))
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
            code = main(["doctor", url, *options])
    finally:
        os.environ.clear()
        os.environ.update(given)
    assert "" == complained.getvalue()
    return code, printed.getvalue()


def assert_fault(result: tuple[int, str], name: str, *said: str, code: int = 1) -> None:
    """One line of this name, with these words and with what to do; every other line is no fault."""
    assert code == result[0], result[1]
    faults = [line for line in result[1].splitlines() if line.startswith("FAULT")]
    assert 1 == len(faults), result[1]
    assert faults[0].startswith(f"FAULT {name}: "), result[1]
    assert ". Do: " in faults[0]
    assert ".. Do: " not in faults[0]
    for words in said:
        assert words in faults[0]


@pytest.fixture(scope="module")
def beating(start_node: Callable[..., Node]) -> Node:
    return start_node(heartbeat_interval_s=HEARTBEAT_S)


@pytest.fixture(scope="module")
def ada(beating: Node) -> Person:
    return beating.person("ada")


class Meddler:
    """An HTTP proxy in front of a node that does to streams what ill-configured ones do."""

    def __init__(
        self,
        node: Node,
        *,
        compresses: bool = False,
        late_s: float = 0,
        headers: dict[str, str] | None = None,
        cuts_after_s: float | None = None,
        clock_ahead_s: float = 0,
        status: int | None = None,
        drops_token: bool = False,
        other_stream: str | None = None,
    ) -> None:
        meddler = self
        self.node, self.compresses, self.late_s, self.headers = node, compresses, late_s, headers or {}
        self.cuts_after_s, self.clock_ahead_s, self.status = cuts_after_s, clock_ahead_s, status
        self.drops_token, self.other_stream = drops_token, other_stream

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                meddler._serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=lambda: self.server.serve_forever(poll_interval=0.02), daemon=True)

    def __enter__(self) -> Meddler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        if self.status is not None:
            request.send_error(self.status)
            return
        is_stream = "/sse/" in request.path
        upstream = http.client.HTTPConnection(*self.node.address, timeout=20)
        sent = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        if self.drops_token:
            sent.pop("Authorization", None)
        if is_stream and self.other_stream is not None:
            sent["Authorization"] = f"Bearer {self.other_stream}"
            sent.pop("Last-Event-ID", None)
        upstream.request("GET", request.path, headers=sent)
        answer = upstream.getresponse()
        if is_stream and self.late_s:
            time.sleep(self.late_s)
        request.send_response_only(answer.status)
        request.send_header("Date", self._date())
        passed = {name.lower(): value for name, value in answer.getheaders() if name.lower() != "date"}
        passed.pop("transfer-encoding", None)
        if is_stream:
            passed |= {name.lower(): value for name, value in self.headers.items()}
        compressing = is_stream and self.compresses and "gzip" in request.headers.get("Accept-Encoding", "")
        if compressing:
            passed["content-encoding"] = "gzip"
        passed["connection"] = "close"
        for name, value in passed.items():
            request.send_header(name, value)
        request.end_headers()
        packer = zlib.compressobj(wbits=31)
        begun = time.monotonic()
        with contextlib.suppress(OSError, http.client.HTTPException):
            while part := answer.read1(65536):
                if is_stream and self.cuts_after_s is not None and time.monotonic() - begun > self.cuts_after_s:
                    break
                request.wfile.write(packer.compress(part) if compressing else part)
        upstream.close()
        request.close_connection = True

    def _date(self) -> str:
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.clock_ahead_s)
        return now.strftime("%a, %d %b %Y %H:%M:%S GMT")


def test_a_healthy_server_has_no_fault(beating: Node, ada: Person) -> None:
    """Exit 0; what was found is said, and plain HTTP is worth a note."""
    code, told = doctor(beating.url, ada.token, "--idle", "2")
    assert 0 == code, told
    assert ["note", "ok", "ok", "ok", "ok", "ok"] == [line.split()[0] for line in told.splitlines()]
    assert "six connections" in told
    assert "stayed open for 2 s, with" in told
    assert ada.token is not None
    assert ada.token not in told


def test_without_a_token_it_says_what_can_be_seen(beating: Node) -> None:
    """No fault, and a note that no stream was opened."""
    code, told = doctor(beating.url)
    assert 0 == code, told
    assert "set TIDINGS_TOKEN" in told
    assert "ok    api: " in told


def test_the_address_of_the_api_does_as_well(beating: Node, ada: Person) -> None:
    """As with the other commands: an origin, or the API itself."""
    assert 0 == doctor(f"{beating.url}/api/message/", ada.token)[0]


def test_a_wrong_prefix_is_named(beating: Node, ada: Person) -> None:
    """Something answers there, but no Tidings."""
    assert_fault(doctor(f"{beating.url}/chat", ada.token), "prefix", "no Tidings API at /chat (404)")


def test_a_refused_token_is_named_with_the_servers_reason(beating: Node) -> None:
    """401, and why."""
    expired = beating.token("ada", ttl_s=-3600)
    assert_fault(doctor(beating.url, expired), "token", "401: The token has expired")
    with Meddler(beating, drops_token=True) as between:
        assert_fault(doctor(between.url, beating.token("ada")), "token", "No token came with the request")


def test_nothing_to_reach_is_exit_3() -> None:
    """Refused, unknown name, no TLS: each by its name."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert_fault(doctor(f"http://127.0.0.1:{port}"), "reach", f"nothing listens on 127.0.0.1 port {port}", code=3)
    assert_fault(doctor("http://nowhere.invalid"), "reach", "the name nowhere.invalid is not known", code=3)


def test_https_where_there_is_none_is_named(beating: Node) -> None:
    """A handshake with a server that speaks plain HTTP."""
    assert_fault(doctor(beating.url.replace("http:", "https:")), "reach", "no TLS", code=3)


def test_an_argument_that_is_no_url_is_misuse() -> None:
    """Exit 2, one line on stderr."""
    for wrong in ("example.org", "ftp://example.org", "http://", "http://x/?a=b"):
        result = subprocess.run([PROGRAM, "doctor", wrong], capture_output=True, text=True, timeout=30, check=False)
        assert (2, "", 1) == (result.returncode, result.stdout, len(result.stderr.splitlines()))


def test_a_buffering_proxy_is_named(beating: Node, ada: Person) -> None:
    """The stream is mute though a poll answers at once."""
    with Proxy(beating.address) as between:
        between.hold_streams()
        assert_fault(doctor(between.url, ada.token), "buffering", "came within 5 s, though a poll takes")


def test_a_late_first_frame_is_buffering_too(beating: Node, ada: Person) -> None:
    """It comes, but seconds after it was sent."""
    begun = time.monotonic()
    with Meddler(beating, late_s=2.5) as between:
        result = doctor(between.url, ada.token)
    assert_fault(result, "buffering", "the first frame came after")
    told_s = re.findall(r"the first frame came after ([\d.]+) s", result[1])
    assert [True] == [2.4 <= float(each) <= time.monotonic() - begun for each in told_s]


def test_compression_is_named(beating: Node, ada: Person) -> None:
    """Found though the compressor holds the first frame back; the rest is examined without."""
    with Meddler(beating, compresses=True) as between:
        result = doctor(between.url, ada.token)
    assert_fault(result, "compression", "gzip", "text/event-stream")
    assert "ok    stream: the first frame came after" in result[1]


def test_wrong_headers_are_named(beating: Node, ada: Person) -> None:
    """A type that browsers refuse; a permission to transform."""
    with Meddler(beating, headers={"Content-Type": "text/plain"}) as between:
        assert_fault(doctor(between.url, ada.token), "headers", "text/plain")
    with Meddler(beating, headers={"Cache-Control": "max-age=60"}) as between:
        assert_fault(doctor(between.url, ada.token), "headers", "no-transform did not arrive")


def test_an_idle_cut_is_named_with_its_seconds(start_node: Callable[..., Node]) -> None:
    """The heartbeat is 15 s; something ends the stream before."""
    node = start_node()
    with Proxy(node.address) as between:
        cut = threading.Timer(1.5, lambda: between.end_open("close"))
        began = threading.Event()

        def cut_when_open() -> None:
            while between.open_count == 0 or "stream opened" not in node.stderr:
                if began.wait(0.02):
                    return
            cut.start()

        watcher = threading.Thread(target=cut_when_open)
        watcher.start()
        try:
            result = doctor(between.url, node.token("ada"), "--idle", "12")
        finally:
            began.set()
            watcher.join()
            cut.cancel()
    assert_fault(result, "idle", "the stream was cut after 1.", "TIDINGS_HEARTBEAT_INTERVAL_S")


def test_held_heartbeats_are_named(beating: Node, ada: Person) -> None:
    """The first frame passes, later ones wait in a buffer."""
    with Proxy(beating.address) as between:
        holder = threading.Timer(0, lambda: None)

        def hold_when_open() -> None:
            while beating.stderr.count("stream opened") == before:
                if over.wait(0.02):
                    return
            over.wait(0.7)
            between.stall(up=False)

        over = threading.Event()
        before = beating.stderr.count("stream opened")
        holder = threading.Thread(target=hold_when_open)  # type: ignore[assignment]
        holder.start()
        try:
            result = doctor(between.url, ada.token, "--idle", "20")
        finally:
            over.set()
            holder.join()
    assert_fault(result, "heartbeat", "though they are 0.5 s apart", "buffering off")


def test_clocks_that_differ_are_named(beating: Node) -> None:
    """More than the 30 s of leeway that tokens have."""
    with Meddler(beating, clock_ahead_s=120) as between:
        assert_fault(doctor(between.url), "clock", "s ahead of this machine's")
    with Meddler(beating, clock_ahead_s=-300) as between:
        assert_fault(doctor(between.url), "clock", "s behind this machine's")


def test_a_proxy_without_its_server_is_named(beating: Node) -> None:
    """502, 503 and 504 of a proxy are not those of the server."""
    for status in (502, 503, 504):
        with Meddler(beating, status=status) as between:
            assert_fault(doctor(between.url), "proxy", str(status))


REFUSALS = ["303", "401", "403", "404"]


@pytest.mark.parametrize("status", REFUSALS)
def test_an_application_with_a_sign_in_of_its_own_is_healthy(
    start_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """Strangers are refused by the application: no fault, and no advice to let them in. With its cookie all is seen."""
    monkeypatch.setenv("HOST_REFUSES", status)
    host = start_host("guarded")
    for options in (["--cookie", "session=good"], ["--header", "Cookie: session=good", "--header", "X-Other: 1"]):
        code, told = doctor(f"{host.url}/dm", None, *options, "--idle", "1")
        assert 0 == code, told
        assert f"note  api: strangers get {status}" in told
        assert "ok    stream: " in told
        assert "stayed open for 1 s" in told
        assert "session=good" not in told
    code, told = doctor(f"{host.url}/dm", None)
    if status == "404":  # nothing says that there is anything
        assert 1 == code, told
    else:
        assert 0 == code, told
        assert "--cookie" in told
    assert_fault(doctor(f"{host.url}/dm", None, "--cookie", "session=old"), "prefix" if status == "404" else "token")
    for advice in ("let requests to it pass", "use the address that it redirects to"):
        assert advice not in told


def test_an_application_that_lets_strangers_in_is_named(start_host: Callable[..., Host]) -> None:
    """Somebody's events are answered to nobody."""
    host = start_host("unguarded")
    assert_fault(doctor(f"{host.url}/dm", None), "api", "strangers are let in")


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_a_django_project_is_healthy_by_its_session(tmp_path: Path, interface: str) -> None:
    """Under WSGI there are no streams, which is worth a note."""
    host = Host(tmp_path, "django_host:application")
    if interface == "wsgi":
        host.command = lambda: [sys.executable, str(HOSTS / "django_host.py"), str(host.port)]  # type: ignore[method-assign]
    host.start()
    try:
        session = host.http.get(f"{host.url}/sign-in/ada").cookies["sessionid"]
        code, told = doctor(f"{host.url}/api/message", None, "--cookie", f"sessionid={session}")
    finally:
        host.kill()
    assert 0 == code, told
    assert ("note  stream: there are no streams here" if interface == "wsgi" else "ok    stream: ") in told


def test_a_stream_of_somebody_else_is_named(beating: Node, ada: Person) -> None:
    """A cache in between answers every stream with the first: it does not begin where the poll ended."""
    with Meddler(beating, other_stream=beating.token("eve")) as between:
        beating.person("ben").sends("ada", "hi")
        assert_fault(doctor(between.url, ada.token), "stream", "another's stream")


class Dripping(BaseHTTPRequestHandler):
    """Answers as Tidings does, but where ``dripping`` is asked: there it sends one byte after another for ever."""

    dripping = ""
    part = "head"

    def do_GET(self) -> None:
        if self.path.startswith(self.dripping):
            self.drip()
        elif "Authorization" not in self.headers:
            problem: dict[str, object] = {
                "type": "urn:tidings:problem:unauthorized",
                "code": "unauthorized",
                "detail": "No.",
            }
            self.answer(401, "application/problem+json", problem)
        else:
            self.answer(200, "application/json", {"success": True, "events": [], "cursor": "k-1-a", "has_more": False})

    def answer(self, status: int, content_type: str, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def drip(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        if self.part != "head":
            self.wfile.write(
                b"y\r\nContent-Type: text/event-stream\r\nCache-Control: no-transform\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
        if self.part == "body":
            self.wfile.write(b"fffffff\r\n:")
        with contextlib.suppress(OSError):
            for _ in range(1000):
                self.wfile.write(b"0")
                time.sleep(0.02)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("part", ["head", "length of a chunk", "body"])
@pytest.mark.parametrize(
    ("dripping", "name", "code"), [("/api/message/events", "reach", 3), ("/api/message/sse", "buffering", 1)]
)
def test_it_ends_though_an_answer_never_does(
    monkeypatch: pytest.MonkeyPatch, part: str, dripping: str, name: str, code: int
) -> None:
    """Each answer has a time to its last byte; these would take 20 s."""
    monkeypatch.setattr(limits, "ANSWER_WITHIN_S", 0.5)
    monkeypatch.setattr(limits, "FIRST_FRAME_WITHIN_S", 0.5)
    handler = type("Handler", (Dripping,), {"dripping": dripping, "part": part})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
        thread.start()
        try:
            began = time.monotonic()
            assert_fault(doctor(f"http://127.0.0.1:{server.server_port}/api/message", "x"), name, code=code)
            assert time.monotonic() - began < 8
        finally:
            server.shutdown()
            thread.join()


def test_a_page_that_answers_everything_is_no_tidings(ada: Person) -> None:
    """A single-page application answers 200 to all addresses."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<!doctype html>")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
        thread.start()
        try:
            assert_fault(doctor(f"http://127.0.0.1:{server.server_port}", ada.token), "prefix", "no Tidings API")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("options", [["--header", "no colon"], ["--header", "a b: c"], ["--cookie", "a\r\nX: y"]])
def test_an_argument_that_is_no_field_is_misuse(options: list[str]) -> None:
    """Exit 2, one line."""
    result = subprocess.run([PROGRAM, "doctor", "http://x", *options], capture_output=True, text=True, timeout=30)
    assert (2, "", 1) == (result.returncode, result.stdout, len(result.stderr.splitlines()))


def test_a_server_that_is_not_ready_says_why(tmp_path: Path) -> None:
    """Draining: refused with its own words."""
    with Node(tmp_path, drain_window_s=3, drain_streams_per_s=0.1) as node:
        with node.person("ada").opens_stream() as stream:
            stream.live()
            node.signal_stop()
            stream.until("goodbye")
            result = doctor(node.url, node.token("ada"))
        node.wait_exit()
    assert 1 == result[0], result[1]
    assert "FAULT ready: draining" in result[1]
    assert "503 draining" in result[1]


def test_unreachable_keys_are_named(start_node: Callable[..., Node]) -> None:
    """The server lives on with the keys that it knows; the doctor says that new ones do not come."""
    with KeyServer() as provider:
        provider.add("k1")
        node = start_node(jwks_url=provider.url, issuer=provider.issuer, audience="chat")
        token = provider.token("k1", sub="ada", aud="chat")
        assert 0 == doctor(node.url, token)[0]
        provider.stop()
        assert 503 == Person(node, "ben", provider.token("k2", sub="ben", aud="chat")).gets("/inbox/me").status_code
        result = doctor(node.url, token)
    assert_fault(result, "keys", f"no keys from {provider.url}")
    assert "ok    stream: " in result[1]


def test_https_without_http_2_is_named_and_so_is_a_bad_certificate(beating: Node, ada: Person, tmp_path: Path) -> None:
    """Six connections for all tabs; and a certificate that this machine does not trust."""
    certificate = make_certificate(tmp_path)
    with tls_in_front(beating.address, certificate, ["http/1.1"]) as url:
        trusted = {"SSL_CERT_FILE": str(certificate)}
        code, told = doctor(url, ada.token, **trusted)
        assert 0 == code, told  # tabs of our own client share a stream
        assert "note  http: only HTTP/1.1 is offered; a browser opens six connections" in told
        assert_fault(doctor(url, ada.token), "certificate", "self-signed", code=3)


@contextlib.contextmanager
def tls_in_front(target: tuple[str, int], certificate: Path, protocols: list[str]) -> Iterator[str]:
    """A port that speaks TLS and passes what is in it; its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(protocols)
    listener = socket.create_server(("127.0.0.1", 0))

    opened: list[socket.socket] = [listener]
    threads: list[threading.Thread] = []

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def run(function: Callable[..., None], *arguments: object) -> None:
        threads.append(threading.Thread(target=function, args=arguments))
        threads[-1].start()

    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            try:
                client = context.wrap_socket(accepted, server_side=True)
            except OSError:  # it did not like the certificate
                accepted.close()
                continue
            server = socket.create_connection(target)
            opened.extend((client, server))
            run(pass_on, client, server)
            run(pass_on, server, client)

    run(serve)
    try:
        yield f"https://localhost:{listener.getsockname()[1]}"
    finally:
        for each in opened:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for each in opened:
            each.close()
