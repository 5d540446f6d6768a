"""One HTTP/1.1 connection of ``tidings serve``: uvicorn's, with bounds on what a peer costs before it is known.

Rules
1. Requests are read within the bounds of ``request_bounds.py``.
2. A request that is not valid HTTP is answered by a problem, also where only the body is not, unless an answer is under
   way: nothing is written into the middle of one, and no request has two. It is counted, and no line of the log:
   anybody could write those.
3. An open stream leaves uvicorn where it can: ``detach.py``. Its place is given back when its connection is lost.
4. An answer is taken at ANSWER_RATE_MIN_BYTES_PER_S at least: until then it is in our memory, and may be a megabyte.
   All of one user, and all of one address, that are not taken have a share of it together: ``slow_answers.py``.
5. One address has so many connections and no more: ``peers.py``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import httptools
from starlette.types import Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from tidings.errors import Problem
from tidings.server.api.answer import problem_answer
from tidings.server.http.detach import Detached
from tidings.server.http.peers import Peers
from tidings.server.http.request_bounds import HEAD_SIZE_MAX_BYTES, HEAD_TOO_LARGE, BoundedRequests
from tidings.server.own_connection import CONNECTION_EXTENSION, OwnConnection, Reader

ANSWER_RATE_MIN_BYTES_PER_S = 8192  # slower readers of an answer are cut; half of what the slowest phones do

_of_uvicorn = logging.getLogger("tidings.connection.uvicorn")
_of_uvicorn.setLevel(logging.ERROR)  # its warnings are of what peers send, one for each


class Connections(Peers):
    """Makes the connections of one server."""

    def __call__(self, **given: Any) -> Connection:
        """Make the connection that uvicorn asks for."""
        return Connection(self, **given)


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


class Connection(BoundedRequests):
    """A connection whose peer may be anybody.

    Our own fields stand in slots: with more than 30 attributes an object's dictionary would take 1.2 KiB more.
    """

    __slots__ = (
        "_answering",
        "_begun",
        "_counted_as",
        "_postponed",
        "_unsent_bytes",
        "_write_patience",
        "user",
    )

    def __init__(self, peers: Peers, **given: Any) -> None:
        super().__init__(peers, **given)
        self.logger = _of_uvicorn
        self.pipeline = _Pipeline()  # type: ignore[assignment]
        self._counted_as = ""
        self._write_patience: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self._answering: RequestResponseCycle | None = None
        self._begun: asyncio.Task[None] | None = None  # it answers a request that came in what is being read
        self._postponed: tuple[RequestResponseCycle, Any] | None = None
        self.user = ""  # who asked for what is being answered, as soon as that is known

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Wait for a request.

        In place of uvicorn's, which asks a socket object for both addresses: that object, with what it remembers,
        is 430 bytes for as long as the connection is open, and its calls a tenth of what connecting costs.
        """
        self.connections.add(self)
        self.transport, self.flow, self.scheme = transport, _Flow(transport), "http"
        self.server = _address(transport.get_extra_info("sockname"))
        self.client = _address(transport.get_extra_info("peername"))
        counted_as = self._peers.admit(self.client[0] if self.client else "")
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
        self._peers.untaken.remove(self)
        self._peers.release(self._counted_as)
        self._counted_as = ""
        # A request's scope holds us. Whoever still answers it has it; else all of us would stay until a collection,
        # and what has been open for long is collected never.
        self.scope = self.cycle = self._answering = self._postponed = None  # type: ignore[assignment]
        self.pipeline.clear()

    def pause_writing(self) -> None:
        """The reader takes less than we write: see that it takes enough."""
        super().pause_writing()
        self._watch_reader()
        self._peers.untaken.add(
            self, self._unsent_bytes, self._end_slow_reader, address=self._counted_as, user=self.user
        )

    def resume_writing(self) -> None:
        """The reader has taken nearly all: a request that waited for that begins."""
        super().resume_writing()
        self._stop_watching_reader()
        self._peers.untaken.remove(self)
        postponed, self._postponed = self._postponed, None
        if postponed is not None and not self.transport.is_closing():
            self._start_asgi_task(*postponed)

    def detach(self, reader: Reader) -> Detached | None:
        """Give the socket of the response that is being sent away; ``reader.leave`` is called once, when it is lost.

        None: this response cannot be detached, and nothing has changed.
        """
        cycle, transport = self.cycle, self.transport
        if not (
            self._peers.may_detach
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
        detached = Detached(transport, reader, self._peers, self._counted_as, self.user)
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
                self._refuse(HEAD_TOO_LARGE)
                return
        # Line ends between requests are legal and begin none: they must not keep the connection for ever.
        is_idle = self.timeout_keep_alive_task is None and not self._is_answering
        if self._patience is None and (self._is_in_head or self._is_in_body or is_idle):
            self._wait()

    @property
    def _is_answering(self) -> bool:
        return self._postponed is not None or (self._answering is not None and not self._answering.response_complete)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin to answer a request, when the answer to the one before it has been taken: else two would be held."""
        if self.flow.write_paused:
            self._postponed = cycle, app
            return
        offered: OwnConnection = self
        cycle.scope["extensions"] = {CONNECTION_EXTENSION: offered}  # type: ignore[dict-item]
        self._begun = self.loop.create_task(cycle.run_asgi(app))  # uvicorn does the same, and does not keep it
        self._begun.add_done_callback(self.tasks.discard)
        self.tasks.add(self._begun)
        self._answering = cycle
        self.user = ""

    def _refuse(self, problem: Problem) -> None:
        self._peers.ended(problem.code)
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
        self._write_patience = self.loop.call_later(self._peers.write_blocked_max_s, self._judge_reader)

    def _stop_watching_reader(self) -> None:
        if self._write_patience is not None:
            self._write_patience.cancel()
            self._write_patience = None

    def _judge_reader(self) -> None:
        self._write_patience = None
        taken_bytes = self._unsent_bytes - self.transport.get_write_buffer_size()
        if taken_bytes < ANSWER_RATE_MIN_BYTES_PER_S * self._peers.write_blocked_max_s:
            self._end_slow_reader()
        else:
            self._watch_reader()

    def _end_slow_reader(self) -> None:
        self._peers.ended("slow_reader")
        self.transport.abort()


def _address(name: object) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
