"""One HTTP/1.1 connection of ``tidings serve``: uvicorn's, with bounds on what a peer costs before it is known.

Rules
1. A head (request line and fields) and after it a body each arrive within ``request_wait_max_s``, however they
   trickle. A body that nobody reads (its request was answered already) has no more time than that either.
2. A head has at most HEAD_SIZE_MAX_BYTES and HEADER_FIELDS_MAX, and one ``Host``: the parser itself would gather any
   number of fields, and each costs some calls before anybody is known. A body has at most BODY_CHUNKS_MAX.
3. At most PIPELINED_MAX requests wait behind the one that is being answered.
4. What is no HTTP is answered by a problem, also where only the body is none, unless an answer is under way: nothing is
   written into the middle of one, and no request has two. It is counted, and no line of the log: anybody could write
   those.
5. An open stream leaves uvicorn where it can: ``detach.py``. Its place is given back when its connection is lost.
6. An answer is taken at ANSWER_RATE_MIN_BYTES_PER_S at least: until then it is in our memory, and may be a megabyte.
   All of one user, and all of one address, that are not taken have a share of it together: ``slow_answers.py``.
7. Another protocol (``Upgrade``) is offered by nobody here: the request is one of HTTP as if the field were not there,
   as RFC 9110 7.8 allows. Java's HttpClient asks for h2c with every first request, and its body is a body.
8. One address has at most ``connections_per_address_max`` connections. Trusted proxies are no address of anybody.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

import httptools
from starlette.types import Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from tidings.errors import BadRequest, HeadTooLarge, Problem
from tidings.server.api.answer import problem_answer
from tidings.server.api.request import CONNECTION_EXTENSION
from tidings.server.config import (
    ANSWER_RATE_MIN_BYTES_PER_S,
    BODY_CHUNKS_MAX,
    BODY_GRACE_S,
    HEAD_SIZE_MAX_BYTES,
    HEADER_FIELDS_MAX,
    PATH_SIZE_MAX_BYTES,
    PIPELINED_MAX,
    QUERY_SIZE_MAX_BYTES,
    TCP_USER_TIMEOUT_MS,
    UNSENT_SIZE_MAX_BYTES,
    Config,
)
from tidings.server.http.detach import Detached, Reader
from tidings.server.http.slow_answers import Untaken
from tidings.server.identity.address import Addresses
from tidings.server.metrics import Metrics

TELL_EVERY_S = 60.0  # an address with too many connections is one line in so long

log = logging.getLogger("tidings.connection")
LAST_LOOK_S = 0.05  # after the wait for a request: more than one turn of the event loop
_of_uvicorn = logging.getLogger("tidings.connection.uvicorn")
_of_uvicorn.setLevel(logging.ERROR)  # its warnings are of what peers send, one for each

_BAD_HTTP = BadRequest("bad_http", "This is not an HTTP/1.1 request, or one that two readers could read differently.")
_HEAD_TOO_LARGE = HeadTooLarge("head_too_large", f"A request's head has at most {HEAD_SIZE_MAX_BYTES} bytes.")
_TOO_MANY_FIELDS = HeadTooLarge("head_too_large", f"A request's head has at most {HEADER_FIELDS_MAX} fields.")
_ADDRESS_TOO_LARGE = HeadTooLarge(
    "head_too_large",
    f"A path has at most {PATH_SIZE_MAX_BYTES} bytes, and what follows it at most {QUERY_SIZE_MAX_BYTES}.",
)
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")  # RFC 3986 3.2.2, and a port


def bound(listener: socket.socket) -> socket.socket:
    """Bound what the kernel holds for a peer, and for how long it keeps one that has vanished.

    Accepted sockets inherit it. On the listener it costs nothing; on each of them it is two calls.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_SIZE_MAX_BYTES)
    return listener


class Connections:
    """Makes the connections of one server, and knows how many each address has."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self.request_wait_max_s = config.request_wait_max_s
        self.may_detach = config.detached_streams
        self.write_blocked_max_s = config.write_blocked_max_s
        self._per_address_max = config.connections_per_address_max
        self._addresses = Addresses(config.trusted_proxies)
        self._metrics = metrics
        self._open: Counter[str] = Counter()
        self.untaken = Untaken()
        self._tell_at = 0.0

    def __call__(self, **given: Any) -> Connection:
        """What uvicorn calls for each connection that it accepts."""
        return Connection(self, **given)

    def admit(self, peer: str) -> str | None:
        """Count a connection of this peer, and tell under which name; None: it has too many. Empty: not counted."""
        name = self._addresses.name(peer)
        if name and self._open[name] >= self._per_address_max:
            self._refuse(name)
            return None
        if name:
            self._open[name] += 1
        return name

    def _refuse(self, name: str) -> None:
        self.ended("too_many")
        if time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + TELL_EVERY_S
            log.warning(
                "%s has %d connections, and more are refused; if it is a proxy, name it in TIDINGS_TRUSTED_PROXIES",
                name,
                self._per_address_max,
            )

    def release(self, name: str) -> None:
        """One that was counted under this name has ended; nothing if it was not counted."""
        if name:
            self._open[name] -= 1
            if self._open[name] <= 0:
                del self._open[name]

    def ended(self, reason: str) -> None:
        """Count a connection that was ended for what its peer did."""
        self._metrics.connections_refused.labels(reason=reason).inc()


class _Flow(FlowControl):
    """uvicorn's, without its event until the socket is full for the first time: one takes 760 bytes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False

    def pause_writing(self) -> None:
        if not self.write_paused:
            self.write_paused = True
            self._is_writable_event = asyncio.Event()


class _Pipeline(list[tuple[RequestResponseCycle, Any]]):
    """Requests that wait, the next one last. It has PIPELINED_MAX at most, and an empty deque takes 700 bytes more."""

    def appendleft(self, waiting: tuple[RequestResponseCycle, Any]) -> None:
        self.insert(0, waiting)


class Connection(HttpToolsProtocol):
    """A connection whose peer may be anybody.

    What is ours stands in slots: with more than 30 attributes an object's dictionary would take 1.2 KiB more.
    """

    __slots__ = (
        "_answering",
        "_begun",
        "_chunks",
        "_connections",
        "_counted_as",
        "_fields",
        "_head_received_bytes",
        "_head_size_bytes",
        "_hosts",
        "_is_in_body",
        "_is_in_head",
        "_is_read_anew",
        "_patience",
        "_postponed",
        "_refusal",
        "_unsent_bytes",
        "_write_patience",
        "user",
    )

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.logger = _of_uvicorn
        self.pipeline = _Pipeline()  # type: ignore[assignment]
        self._connections = connections
        self._counted_as = ""
        self._refusal: Problem = _BAD_HTTP
        self._patience: asyncio.TimerHandle | None = None
        self._write_patience: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self._answering: RequestResponseCycle | None = None
        self._begun: asyncio.Task[None] | None = None  # it answers a request that came in what is being read
        self._postponed: tuple[RequestResponseCycle, Any] | None = None
        self.user = ""  # who asked for what is being answered, as soon as that is known
        self._is_in_head = True  # of the first request, which has not begun
        self._is_in_body = False
        self._is_read_anew = False  # its head, without Upgrade
        self._hosts = self._fields = self._chunks = 0
        self._head_size_bytes = 0  # as the parser told it
        self._head_received_bytes = 0  # in pieces of which the head is all

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Wait for a request.

        In place of uvicorn's, which asks a socket object for both addresses: that object, with what it remembers,
        is 430 bytes for as long as the connection is open, and its calls a tenth of what connecting costs.
        """
        self.connections.add(self)
        self.transport, self.flow, self.scheme = transport, _Flow(transport), "http"
        self.server = _address(transport.get_extra_info("sockname"))
        self.client = _address(transport.get_extra_info("peername"))
        counted_as = self._connections.admit(self.client[0] if self.client else "")
        if counted_as is None:
            transport.abort()
            return
        self._counted_as = counted_as
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back, and tell whoever answers: uvicorn tells the last request, which may wait behind it."""
        super().connection_lost(exc)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        self._stop_waiting()
        self._stop_watching_reader()
        self._connections.untaken.remove(self)
        self._connections.release(self._counted_as)
        self._counted_as = ""
        # A request's scope holds us. Whoever still answers it has it; else all of us would stay until a collection,
        # and what has been open for long is collected never.
        self.scope = self.cycle = self._answering = self._postponed = None  # type: ignore[assignment]
        self.pipeline.clear()

    def pause_writing(self) -> None:
        """The reader takes less than we write: see that it takes enough."""
        super().pause_writing()
        self._watch_reader()
        self._connections.untaken.add(
            self, self._unsent_bytes, self._end_slow_reader, address=self._counted_as, user=self.user
        )

    def resume_writing(self) -> None:
        """It has taken nearly all."""
        super().resume_writing()
        self._stop_watching_reader()
        self._connections.untaken.remove(self)
        postponed, self._postponed = self._postponed, None
        if postponed is not None and not self.transport.is_closing():
            self._start_asgi_task(*postponed)

    def detach(self, reader: Reader) -> Detached | None:
        """Give the socket of the response that is being sent away; ``reader.leave`` is called once, when it is lost.

        None: this response cannot be detached, and nothing has changed.
        """
        cycle, transport = self.cycle, self.transport
        if not (
            self._connections.may_detach
            and cycle is not None  # else the connection is lost
            and cycle.response_started
            and cycle.chunked_encoding
            and not cycle.response_complete
            and not cycle.disconnected
            and not cycle.more_body
            and not cycle.body
            and cycle.scope is self.scope  # else the first bytes of another request have been parsed
            and not self.pipeline
            and self.scope["http_version"] == "1.1"
            and self.scope["method"] == "GET"
            and not self.parser.should_upgrade()
            and not self.flow.read_paused
            and not self.flow.write_paused
            and not transport.is_closing()
        ):
            return None
        self._unset_keepalive_if_required()
        self._stop_waiting()
        self.connections.discard(self)
        cycle.response_complete = cycle.disconnected = True  # uvicorn has nothing left to do for it
        detached = Detached(transport, reader, self._connections, self._counted_as, self.user)
        transport.set_protocol(detached)
        # They hold each other; without this they would stay until a collection.
        self.parser = self.cycle = self.flow = self.scope = self.headers = self.transport = self._answering = None  # type: ignore[assignment]
        return detached

    def sends(self, send: Send) -> bool:
        """Whether this is the ``send`` of what is being answered here, and nothing of others' around it."""
        return self._answering is not None and getattr(send, "__self__", None) is self._answering

    def has_arrived(self, scope: Scope) -> bool:
        """Whether the body of this request is here in full."""
        cycle = self._answering
        return cycle is not None and cycle.scope is scope and not cycle.more_body

    def answer(self, scope: Scope, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a whole answer at once; False: uvicorn has to, and nothing has changed.

        Through uvicorn a message's answer is two writes and a look at each header that could be anybody's: 12 us more.
        These headers are our own, and their values checked where they came from.
        """
        cycle = self._answering
        if (
            cycle is None
            or cycle.scope is not scope
            or cycle.response_started
            or cycle.disconnected
            or not cycle.keep_alive
            or cycle.more_body
            or scope["method"] == "HEAD"
            or self.flow.write_paused
        ):
            return False
        lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.on_response()
        return True

    def data_received(self, data: bytes) -> None:
        """Read what came, and go on waiting if a request is incomplete."""
        was_in_head = self._is_in_head
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal)
        self._begun = None
        if self.transport.is_closing():
            return
        if was_in_head and self._is_in_head:
            self._head_received_bytes += len(data)
            if self._head_received_bytes > HEAD_SIZE_MAX_BYTES:  # one field without an end, which the parser gathers
                self._refuse(_HEAD_TOO_LARGE)
                return
        # Line ends between requests are legal and begin none: they must not keep the connection for ever.
        is_idle = self.timeout_keep_alive_task is None and not self._is_answering
        if self._patience is None and (self._is_in_head or self._is_in_body or is_idle):
            self._wait()

    def on_message_begin(self) -> None:
        """Offer the connection to the stream endpoint."""
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION_EXTENSION: self}  # type: ignore[dict-item]
        self._is_in_head, self._is_in_body = True, False
        self._head_size_bytes = self._head_received_bytes = self._hosts = self._fields = self._chunks = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        super().on_url(url)
        self._grow_head(len(url))
        if len(self.url) > PATH_SIZE_MAX_BYTES + QUERY_SIZE_MAX_BYTES:
            self._refuse_head(_ADDRESS_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or of the trailer of a chunked body, which is bounded with it and read by nobody."""
        self._grow_head(len(name) + len(value) + 4)
        self._fields += 1
        if self._fields > HEADER_FIELDS_MAX:
            self._refuse_head(_TOO_MANY_FIELDS)
        if self._is_in_head:
            super().on_header(name, value)
            if len(name) == 4 and self.headers[-1][0] == b"host":
                self._hosts += 1 if _HOST.fullmatch(value) else 2

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop_waiting()
        self._is_in_head, self._is_in_body = False, True
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):  # 0.9 has no fields, 2.0 is not said like this
            raise ValueError("another version")
        if self._hosts != 1 and (self._hosts or version == "1.1"):  # RFC 9112 3.2
            raise ValueError("not one host")
        path, _, query = self.url.partition(b"?")
        if len(path) > PATH_SIZE_MAX_BYTES or len(query) > QUERY_SIZE_MAX_BYTES:
            self._refuse_head(_ADDRESS_TOO_LARGE)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise ValueError("a tunnel")
            self._is_read_anew = True
            return
        super().on_headers_complete()
        if len(self.pipeline) > PIPELINED_MAX:
            raise ValueError("too many requests at once")

    def on_message_complete(self) -> None:
        """The request is whole, or its head, which is to be read anew."""
        if not self._is_read_anew:
            self._stop_waiting()
            self._is_in_body = False
            super().on_message_complete()

    def on_chunk_header(self) -> None:
        """A piece of a chunked body begins."""
        self._chunks += 1
        if self._chunks > BODY_CHUNKS_MAX:
            raise ValueError("too many chunks")

    def _parse(self, data: bytes) -> None:
        """Feed the parser; where it stops because a request asks for another protocol, go on as if it did not.

        The parser takes such a request to have no body, whatever it says, and cannot be told otherwise.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                self._is_read_anew = False
                lines = [
                    b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
                ]
                lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
                data = b"\r\n".join([*lines, b"", data[stopped.args[0] :]])
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn
            else:
                return

    @property
    def _is_answering(self) -> bool:
        return self._postponed is not None or (self._answering is not None and not self._answering.response_complete)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin to answer a request, when the answer to the one before it has been taken: else two would be held."""
        if self.flow.write_paused:
            self._postponed = cycle, app
            return
        self._begun = self.loop.create_task(cycle.run_asgi(app))  # uvicorn does the same, and does not keep it
        self._begun.add_done_callback(self.tasks.discard)
        self.tasks.add(self._begun)
        self._answering = cycle
        self.user = ""

    def _grow_head(self, size_bytes: int) -> None:
        self._head_size_bytes += size_bytes
        if self._head_size_bytes > HEAD_SIZE_MAX_BYTES:
            self._refuse_head(_HEAD_TOO_LARGE)

    def _refuse_head(self, refusal: Problem) -> NoReturn:
        """Stop the parser: what it has is answered by this."""
        self._refusal = refusal
        raise ValueError(refusal.code)

    def _refuse(self, problem: Problem) -> None:
        self._connections.ended(problem.code)
        self._stop_waiting()
        cycle = self.cycle
        if self._is_in_body and cycle is not None and cycle.scope is self.scope:  # its head was good
            if cycle.response_complete:
                self.transport.close()
                return
            if cycle is self._answering and not cycle.response_started:
                self._take_back(cycle)
        if self._is_answering:
            self.transport.abort()
            return
        answer = problem_answer(problem)
        lines = [
            b"HTTP/1.1 %d %b" % (answer.status, problem.title.encode()),
            b"content-type: " + answer.media_type,
            b"content-length: %d" % len(answer.body),
            b"cache-control: no-store",
            b"x-content-type-options: nosniff",
            b"connection: close",
        ]
        self.transport.write(b"\r\n".join([*lines, b"", answer.body]))
        self.transport.close()

    def _take_back(self, cycle: RequestResponseCycle) -> None:
        """Let nobody answer this request any more: whoever has not begun never does, others see that it is over."""
        if self._begun is not None:
            self._begun.cancel()
        cycle.disconnected = True
        cycle.message_event.set()
        self._answering = None

    def _watch_reader(self) -> None:
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._write_patience = self.loop.call_later(self._connections.write_blocked_max_s, self._judge_reader)

    def _stop_watching_reader(self) -> None:
        if self._write_patience is not None:
            self._write_patience.cancel()
            self._write_patience = None

    def _judge_reader(self) -> None:
        self._write_patience = None
        taken_bytes = self._unsent_bytes - self.transport.get_write_buffer_size()
        if taken_bytes < ANSWER_RATE_MIN_BYTES_PER_S * self._connections.write_blocked_max_s:
            self._end_slow_reader()
        else:
            self._watch_reader()

    def _end_slow_reader(self) -> None:
        self._connections.ended("slow_reader")
        self.transport.abort()

    def _wait(self) -> None:
        """Give the peer time for the head or the body that it has begun; a body's reader answers before we cut."""
        grace_s = BODY_GRACE_S if self._is_in_body else 0.0
        self._patience = self.loop.call_later(self._connections.request_wait_max_s + grace_s, self._look_once_more)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _look_once_more(self) -> None:
        """After a stall of ours, what the peer said in time lies unread: the loop reads before this comes."""
        self._patience = self.loop.call_later(LAST_LOOK_S, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        if not self.transport.is_closing():
            self._connections.ended("body_timeout" if self._is_in_body else "head_timeout")
            self.transport.abort()


def _address(name: object) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
