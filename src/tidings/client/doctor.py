"""``tidings doctor``: looks at a server from outside, as a browser would, and names what is in the way.

It opens plain HTTP/1.1 connections of its own and looks at what arrives and when: proxies break event streams in a
few ways that each have their own signature. Findings come one by one; the first that makes the next questions pointless
ends it.

An application that embeds Tidings may refuse strangers in its own way, before Tidings is asked: by a page, a redirect
to its sign-in, a 403. That is no fault. With what a signed-in user sends (a token, a cookie, header fields) the answer
to *that* is what counts.

Source: PROTOCOL.md 5, 7 and 8; docs/run/troubleshooting.md has the same faults by their symptoms.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx2

from tidings.client.call import api_url
from tidings.client.core import CONTENT_TYPE
from tidings.client.interrupt import Line
from tidings.client.transport import ANSWER_SIZE_MAX_BYTES
from tidings.protocol.events import CONNECTED, GOODBYE, HEARTBEAT
from tidings.protocol.sse import Event, EventStreamDecoder

ANSWER_WITHIN_S: Final = 10.0
FIRST_FRAME_WITHIN_S: Final = 5.0
FIRST_FRAME_LATE_S: Final = 2.0
"""The first frame goes out with the headers: what takes so much longer than a poll was held on the way."""

SKEW_MAX_S: Final = 30.0
"""The leeway that servers give to tokens."""

HEARTBEAT_GRACE_S: Final = 2.0
READ_SIZE_BYTES: Final = 65536

Kind = Literal["ok", "note", "fault", "unreachable"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, and for all but ``ok`` what to do about it."""

    kind: Kind
    name: str
    text: str
    do: str = ""


class _Ended(Exception):
    """There is no point in asking further."""


class _Cut(Exception):
    """The connection ended before it should."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    took_s: float

    @property
    def problem(self) -> dict[str, Any]:
        """The problem body (RFC 9457) of a Tidings server, else nothing."""
        try:
            body = json.loads(self.body)
        except ValueError:
            return {}
        is_ours = isinstance(body, dict) and str(body.get("type", "")).startswith("urn:tidings:problem:")
        return body if is_ours else {}


def examine(
    url: str, token: str | None, *, headers: Sequence[tuple[str, str]] = (), idle_s: float = 0
) -> Iterator[Finding]:
    """Yield the findings at a server, in the order of asking.

    Args:
        url: Its origin (``https://example.org``) or the address of its API (``https://example.org/chat/message``).
        token: Of any user; without it or ``headers`` only what strangers see is looked at.
        headers: Fields that show who asks, such as a cookie; sent wherever the token is.
        idle_s: For how many seconds to hold a silent stream, to see whether something cuts it.

    Raises:
        ValueError: The URL is none.
    """
    with contextlib.suppress(_Ended):
        yield from _Examination(url, token, headers, idle_s).run()


class _Examination:
    def __init__(self, url: str, token: str | None, headers: Sequence[tuple[str, str]], idle_s: float) -> None:
        api = httpx2.URL(api_url(url))
        self._is_tls = api.scheme == "https"
        self._host, self._port = api.raw_host.decode("ascii"), api.port or (443 if self._is_tls else 80)
        self._is_origin = httpx2.URL(url).path in ("", "/")
        self._api = api.raw_path.decode("ascii")
        self._credentials = list(headers) + ([] if token is None else [("Authorization", f"Bearer {token}")])
        self._idle_s = idle_s

    def run(self) -> Iterator[Finding]:
        """Everything."""
        yield from self._transport()
        yield from self._as_stranger()
        if self._is_origin:
            yield from self._readiness()
        if not self._credentials:
            do = "set TIDINGS_TOKEN, or give what else a signed-in user sends: --cookie, --header"
            yield Finding("note", "token", "nothing showed who asks, so no stream was opened", do)
            return
        poll, cursor = yield from self._poll()
        heartbeat_s, stream = yield from self._open_stream(poll, cursor)
        with contextlib.closing(stream):
            if self._idle_s > 0:
                yield from self._hold(stream, heartbeat_s)

    def _transport(self) -> Iterator[Finding]:
        try:
            with contextlib.closing(self._connect(["h2", "http/1.1"])) as connected:
                protocol = connected.selected_alpn_protocol() if isinstance(connected, ssl.SSLSocket) else None
        except (OSError, http.client.HTTPException) as failure:
            yield self._unreachable(failure)
            raise _Ended from None
        limit = "a browser opens six connections to it, for all tabs together: the seventh stream waits"
        if protocol == "h2":
            yield Finding("ok", "http", "HTTP/2 is offered: tabs share one connection")
        elif self._is_tls:
            text = f"only HTTP/1.1 is offered; {limit}, where tabs do not share one, as those of Tidings' own client do"
            yield Finding("note", "http", text, "switch HTTP/2 on in the proxy")
        else:
            yield Finding("note", "http", f"without TLS it is HTTP/1.1; {limit}", "serve it by HTTPS with HTTP/2")

    def _as_stranger(self) -> Iterator[Finding]:
        """Without a token: is it a Tidings server at all, and what time is it there?"""
        try:
            answer = self._get(f"{self._api}/events/me", with_token=False)
        except (OSError, http.client.HTTPException) as failure:
            yield self._unreachable(failure)
            raise _Ended from None
        code = answer.problem.get("code")
        if answer.status == 401 and code == "unauthorized":
            yield Finding("ok", "api", f"{self._api} answers in {_ms(answer.took_s)}")
        elif _page_cursor(answer) is not None:
            text = "strangers are let in: without token or cookie somebody's events are answered"
            yield Finding(
                "fault", "api", text, "check the function that says who asks: it must return None for strangers"
            )
            raise _Ended
        elif not self._is_refusal_of_strangers(answer):
            yield self._no_api(answer, code)
            raise _Ended
        else:
            where = f", to {answer.headers['Location']}" if answer.headers.get("Location") else ""
            text = f"strangers get {answer.status}{where}, from the application or a proxy; not from Tidings"
            do = "nothing, if that is the application's own sign-in; else see what stands in between"
            yield Finding("note", "api", text, do)
        date = answer.headers.get("Date")
        if date is not None:
            with contextlib.suppress(ValueError, TypeError):
                yield from _skew(parsedate_to_datetime(date).timestamp(), time.time(), coarse_s=1.0)

    def _is_refusal_of_strangers(self, answer: _Answer) -> bool:
        """Whether those who sign in may be answered otherwise: only asking as one of them can tell."""
        if 300 <= answer.status < 400:
            # The same path at another place (of HTTPS, say) is no sign-in but a wrong address.
            return urlsplit(answer.headers.get("Location", "")).path.rstrip("/") != f"{self._api}/events/me"
        return answer.status in (401, 403) or (answer.status == 404 and bool(self._credentials))

    def _no_api(self, answer: _Answer, code: object) -> Finding:
        status, where = answer.status, self._api
        if 300 <= status < 400:
            to = answer.headers.get("Location", "somewhere")
            return Finding("fault", "redirect", f"{where} redirects to {to}", "use the address that it redirects to")
        if status in (502, 504) or (status == 503 and code is None):
            text = f"something answers {status} in the server's place"
            return Finding("fault", "proxy", text, "start the server, and check the address that the proxy passes to")
        if status == 503:
            detail = answer.problem.get("detail", "")
            return Finding("fault", "server", f"503 {code}: {detail}", "see its log; if it is restarting, try again")
        text = f"there is no Tidings API at {where} ({status})"
        return Finding("fault", "prefix", text, "name the address of the API, such as https://example.org/api/message")

    def _readiness(self) -> Iterator[Finding]:
        try:
            answer = self._get("/readyz", with_token=False)
        except (OSError, http.client.HTTPException):
            return
        try:
            readiness = dict(json.loads(answer.body))
        except (ValueError, TypeError):  # not the server's answer: it is not passed to the public
            return
        if answer.status == 503:
            text = str(readiness.get("detail") or readiness.get("status"))
            yield Finding("fault", "ready", text, "see the server's log")
        elif readiness.get("trouble"):
            do = "check that the server reaches that address: new keys of the provider are not known"
            yield Finding("fault", "keys", str(readiness["trouble"]), do)

    def _poll(self) -> Generator[Finding, None, tuple[_Answer, str]]:
        """As somebody who is signed in: the short way. Returns the answer and its cursor."""
        try:
            answer = self._get(f"{self._api}/events/me")
        except (OSError, http.client.HTTPException) as failure:
            yield self._unreachable(failure)
            raise _Ended from None
        cursor = _page_cursor(answer)
        if cursor is not None:
            yield Finding("ok", "token", f"accepted; a poll takes {_ms(answer.took_s)}")
            return answer, cursor
        detail = answer.problem.get("detail", "")
        code = answer.problem.get("code")
        if answer.status == 401 and answer.problem:
            do = "get a new token; with a right one: the secret or issuer of the server is another, or a clock is wrong"
            yield Finding("fault", "token", f"401: {detail}", do)
        elif answer.status in (401, 403) and not answer.problem:
            text = f"{answer.status}, and not from Tidings: what was given is not taken"
            do = "give what a signed-in user of the application sends; a proxy passes Authorization and Cookie on"
            yield Finding("fault", "token", text, do)
        elif 300 <= answer.status < 400 and self._is_refusal_of_strangers(answer):
            text = f"what was given is not taken: {answer.status} to {answer.headers.get('Location', 'somewhere')}"
            yield Finding("fault", "token", text, "give the cookie or token of somebody who is signed in now")
        elif answer.problem and answer.status not in (404, 503):
            yield Finding("fault", "poll", f"{answer.status} {detail}".strip(), "see docs/run/problems.md for its code")
        else:
            yield self._no_api(answer, code)
        raise _Ended

    def _open_stream(self, poll: _Answer, cursor: str) -> Generator[Finding, None, tuple[float, _Stream]]:
        """Open a stream, twice if the first is compressed. Returns the heartbeat interval and the stream."""
        stream = self._stream("gzip, deflate, br", cursor)
        begun = time.monotonic()
        try:
            yield from self._check_head(stream, poll, begun)
            encoding = stream.headers.get("Content-Encoding", "identity")
            if encoding != "identity":
                yield Finding(
                    "fault",
                    "compression",
                    f"the stream is compressed ({encoding}): frames wait in the compressor",
                    "except text/event-stream from compression in the proxy",
                )
                stream.close()
                stream = self._stream("identity", cursor)
                begun = time.monotonic()
                yield from self._check_head(stream, poll, begun, is_told=True)
            first = self._first_frame(stream, begun)
        except _Cut as cut:
            yield Finding("fault", "cut", f"the stream broke before its first frame: {cut}", "see the proxy's log")
            stream.close()
            raise _Ended from None
        except BaseException:
            stream.close()
            raise
        took_s = time.monotonic() - begun
        if first is None:
            stream.close()
            yield self._buffered(f"no frame came within {FIRST_FRAME_WITHIN_S:.0f} s", poll)
            raise _Ended
        data = _connected(first)
        if data is None:
            stream.close()
            yield Finding("fault", "stream", "the first frame is not that of Tidings", "check what the proxy passes to")
            raise _Ended
        if data.get("cursor") != cursor:
            stream.close()
            text = (
                "the stream does not begin where the poll ended: something answers with another's stream, or an old one"
            )
            yield Finding("fault", "stream", text, "switch caching of the API off in the proxy")
            raise _Ended
        if took_s > poll.took_s + FIRST_FRAME_LATE_S:
            yield self._buffered(f"the first frame came after {took_s:.1f} s", poll)
        else:
            yield Finding("ok", "stream", f"the first frame came after {_ms(took_s)}")
        with contextlib.suppress(ValueError, TypeError):
            server_time = datetime.fromisoformat(str(data.get("server_time"))).timestamp()
            yield from (
                each for each in _skew(server_time, time.time() - poll.took_s / 2, coarse_s=took_s) if each.kind != "ok"
            )
        heartbeat_ms = data.get("heartbeat_ms")
        return (heartbeat_ms / 1000 if isinstance(heartbeat_ms, int) else 15.0), stream

    def _check_head(self, stream: _Stream, poll: _Answer, begun: float, *, is_told: bool = False) -> Iterator[Finding]:
        try:
            stream.begin(FIRST_FRAME_WITHIN_S)
        except TimeoutError:
            yield self._buffered(f"not even headers came within {FIRST_FRAME_WITHIN_S:.0f} s", poll)
            raise _Ended from None
        if stream.status != 200:
            problem = stream.problem()
            if "WSGI" in str(problem.get("detail")):
                text = "there are no streams here, since the application runs under WSGI: clients poll"
                yield Finding("note", "stream", text, "run it under ASGI for messages without delay")
                raise _Ended
            refusal = f"{stream.status} {problem.get('code', '')}: {problem.get('detail', '')}".rstrip(": ")
            yield Finding(
                "fault", "stream", f"the stream was refused: {refusal}", "see docs/run/problems.md for its code"
            )
            raise _Ended
        media_type = stream.headers.get("Content-Type", "none")
        if media_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
            text = f"the stream has the Content-Type {media_type}; browsers refuse that"
            yield Finding("fault", "headers", text, f"let the server's headers pass: {CONTENT_TYPE}")
        if "no-transform" not in stream.headers.get("Cache-Control", "") and not is_told:
            text = "the server's Cache-Control: no-cache, no-transform did not arrive"
            yield Finding("fault", "headers", text, "let the server's headers pass: others may cache or compress it")

    def _first_frame(self, stream: _Stream, begun: float) -> Event | None:
        until = begun + FIRST_FRAME_WITHIN_S
        try:
            while (events := stream.read(until)) == []:
                pass
        except TimeoutError:
            return None
        return events[0]

    def _hold(self, stream: _Stream, heartbeat_s: float) -> Iterator[Finding]:
        """Keep the stream open and silent, but for heartbeats."""
        begun = quiet_since = time.monotonic()
        beats = 0
        while (now := time.monotonic()) < begun + self._idle_s:
            beat_due = quiet_since + heartbeat_s * 1.1 + HEARTBEAT_GRACE_S
            try:
                events = stream.read(min(begun + self._idle_s, beat_due))
            except TimeoutError:
                if time.monotonic() < beat_due:
                    break  # that was all the time there was
                text = (
                    f"no heartbeat came within {beat_due - quiet_since:.0f} s, though they are {heartbeat_s:g} s apart"
                )
                yield Finding("fault", "heartbeat", text, "switch buffering off in the proxy")
                return
            except _Cut as cut:
                after_s, silent_s = time.monotonic() - begun, time.monotonic() - quiet_since
                yield Finding(
                    "fault",
                    "idle",
                    f"the stream was cut after {after_s:.1f} s, {silent_s:.1f} s after the last frame ({cut})",
                    f"raise the proxy's idle limit above {heartbeat_s:g} s, or set TIDINGS_HEARTBEAT_INTERVAL_S"
                    f" below {max(silent_s / 2, 0.1):.1f}",
                )
                return
            quiet_since = time.monotonic()
            types = [_type(event) for event in events]
            beats += types.count(HEARTBEAT)
            if GOODBYE in types:
                reason = json.loads(next(event.data for event in events if _type(event) == GOODBYE))["data"]["reason"]
                text = f"the server ended the stream after {now - begun:.0f} s: {reason}"
                yield Finding("ok" if reason == "max_age" else "note", "idle", text, "nothing; clients resume")
                return
        yield Finding("ok", "idle", f"the stream stayed open for {self._idle_s:g} s, with {beats} heartbeats")

    def _buffered(self, what: str, poll: _Answer) -> Finding:
        return Finding(
            "fault",
            "buffering",
            f"{what}, though a poll takes {_ms(poll.took_s)}: something holds the stream back",
            "switch buffering of responses off in the proxy (docs/run/deploy.md)",
        )

    def _unreachable(self, failure: Exception) -> Finding:
        where = f"{self._host} port {self._port}"
        match failure:
            case socket.gaierror():
                return Finding("unreachable", "reach", f"the name {self._host} is not known", "check its spelling")
            case ssl.SSLCertVerificationError():
                text = f"the certificate of {where} is not valid: {failure.verify_message}"
                return Finding("unreachable", "certificate", text, "renew it, or use the name that it is for")
            case ssl.SSLError():
                text = f"no TLS with {where}: {failure.reason}"
                return Finding("unreachable", "reach", text, "use http:// if it has none")
            case ConnectionRefusedError():
                return Finding("unreachable", "reach", f"nothing listens on {where}", "start the server or the proxy")
            case TimeoutError():
                return Finding("unreachable", "reach", f"no answer from {where}", "check the server and firewalls")
            case _:
                text = f"no answer from {where}: {failure}" if str(failure) else f"{where} closed the connection"
                return Finding("unreachable", "reach", text, "check the server's and the proxy's log")

    def _get(self, path: str, *, with_token: bool = True) -> _Answer:
        begun = time.monotonic()
        with contextlib.closing(self._http(ANSWER_WITHIN_S)) as connection:
            with Line(connection.sock).ended_after(ANSWER_WITHIN_S):
                _ask(connection, path, self._headers(with_token))
                response = connection.getresponse()
                body = response.read(ANSWER_SIZE_MAX_BYTES)
                if response.length and len(body) < ANSWER_SIZE_MAX_BYTES:
                    raise http.client.IncompleteRead(body, response.length)
            return _Answer(response.status, response.headers, body, time.monotonic() - begun)

    def _stream(self, encodings: str, cursor: str) -> _Stream:
        headers = [*self._headers(True), ("Accept-Encoding", encodings), ("Last-Event-ID", cursor)]
        return _Stream(self._http(ANSWER_WITHIN_S), f"{self._api}/sse/me", headers)

    def _headers(self, with_credentials: bool) -> list[tuple[str, str]]:
        headers = [("Accept", "application/json, text/event-stream"), ("User-Agent", "tidings-doctor")]
        return headers + (self._credentials if with_credentials else [])

    def _http(self, timeout_s: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        connection.sock = self._connect(["http/1.1"])
        return connection

    def _connect(self, protocols: list[str]) -> socket.socket:
        connected = socket.create_connection((self._host, self._port), ANSWER_WITHIN_S)
        if not self._is_tls:
            return connected
        context = ssl.create_default_context()
        context.set_alpn_protocols(protocols)
        try:
            return context.wrap_socket(connected, server_hostname=self._host)
        except BaseException:
            connected.close()
            raise


class _Stream:
    """A response that is read as it comes. After a ``TimeoutError`` it cannot be read any more."""

    def __init__(self, connection: http.client.HTTPConnection, path: str, headers: list[tuple[str, str]]) -> None:
        self._connection = connection
        self._line = Line(connection.sock)
        self._socket: socket.socket = connection.sock
        self._decoder = EventStreamDecoder()
        self._response: http.client.HTTPResponse | None = None
        _ask(connection, path, headers)

    @property
    def status(self) -> int:
        assert self._response is not None
        return self._response.status

    @property
    def headers(self) -> http.client.HTTPMessage:
        assert self._response is not None
        return self._response.headers

    def begin(self, within_s: float) -> None:
        """Wait for the headers.

        Raises:
            TimeoutError: They did not come.
            _Cut: The connection ended.
        """
        self._socket.settimeout(within_s)
        try:
            with self._line.ended_after(within_s):
                self._response = self._connection.getresponse()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as failure:
            raise _Cut(str(failure) or "closed") from None

    def problem(self) -> dict[str, Any]:
        """The body of a refusal."""
        assert self._response is not None
        try:
            with self._line.ended_after(ANSWER_WITHIN_S):
                body = json.loads(self._response.read(READ_SIZE_BYTES))
        except (OSError, ValueError, http.client.HTTPException):
            return {}
        return body if isinstance(body, dict) else {}

    def read(self, until: float) -> list[Event]:
        """The events in what comes next, perhaps none.

        Raises:
            TimeoutError: Nothing came until then (monotonic seconds).
            _Cut: The stream ended.
        """
        assert self._response is not None
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)
        try:
            with self._line.ended_after(left_s):  # a part of a chunk's length may come and come
                part = self._response.read1(READ_SIZE_BYTES)
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as failure:
            raise _Cut(str(failure) or type(failure).__name__) from None
        if not part:
            raise _Cut("a clean end without goodbye")
        return self._decoder.feed(part)

    def close(self) -> None:
        """Let go of it."""
        if self._response is not None:
            self._response.close()
        self._connection.close()


def _skew(server_time: float, our_time: float, *, coarse_s: float) -> Iterator[Finding]:
    """The difference of the clocks, if it matters; ``coarse_s`` of it may be due to how it was measured."""
    difference_s = server_time - our_time
    if abs(difference_s) > SKEW_MAX_S + coarse_s:
        direction = "ahead of" if difference_s > 0 else "behind"
        text = (
            f"the server's clock is {abs(difference_s):.0f} s {direction} this machine's: tokens expire early or late"
        )
        yield Finding("fault", "clock", text, "set both clocks by NTP")
    else:
        yield Finding("ok", "clock", f"within {abs(difference_s) + coarse_s:.0f} s of this machine's")


def _ask(connection: http.client.HTTPConnection, path: str, headers: list[tuple[str, str]]) -> None:
    """Several fields may bear one name."""
    connection.putrequest("GET", path, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value.encode())
    connection.endheaders()


def _page_cursor(answer: _Answer) -> str | None:
    """The cursor of an answer that is a page of somebody's events."""
    if answer.status != 200:
        return None
    try:
        cursor = json.loads(answer.body)["cursor"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return cursor if isinstance(cursor, str) and cursor.isascii() and cursor.isprintable() else None


def _connected(event: Event) -> dict[str, Any] | None:
    try:
        frame = json.loads(event.data)
        return dict(frame["data"]) if frame["type"] == CONNECTED else None
    except (ValueError, KeyError, TypeError):
        return None


def _type(event: Event) -> str:
    try:
        return str(json.loads(event.data)["type"])
    except (ValueError, KeyError, TypeError):
        return ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
