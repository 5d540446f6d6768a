"""Requests of one connection as they come in, each within its bounds: uvicorn's parsing, with an end.

Rules
1. A head (request line and fields) and after it a body each arrive within ``request_wait_max_s``, however they
   trickle. A body that nobody reads (its request was answered already) has no more time than that either.
2. A head has at most HEAD_SIZE_MAX_BYTES and HEADER_FIELDS_MAX, and one ``Host``: the parser itself would gather any
   number of fields, and each costs some calls before anybody is known. A body has at most BODY_CHUNKS_MAX.
3. At most PIPELINED_MAX requests wait behind the one that is being answered.
4. Another protocol (``Upgrade``) is offered by nobody here: the request is one of HTTP as if the field were not there,
   as RFC 9110 7.8 allows. Java's HttpClient asks for h2c with every first request, and its body is a body.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidings.errors import BadRequest, HeadTooLarge, Problem
from tidings.server.config import PATH_SIZE_MAX_BYTES, QUERY_SIZE_MAX_BYTES
from tidings.server.http.peers import Peers

HEAD_SIZE_MAX_BYTES = 1 << 16  # of a request's line and fields; a token has 8 KiB at most, and proxies cut near 32
HEADER_FIELDS_MAX = 100  # of a head and of what follows a chunked body; browsers and proxies send thirty at most
BODY_CHUNKS_MAX = 1000  # of one body; each costs a call, and 64 bytes of the longest body
BODY_GRACE_S = 2.0  # a body that is late is answered (408) before its connection is cut
PIPELINED_MAX = 16  # requests that wait behind one on the same connection; browsers and proxies send none

LAST_LOOK_S = 0.05  # after the wait for a request: more than one turn of the event loop

BAD_HTTP = BadRequest("bad_http", "This is not an HTTP/1.1 request, or one that two readers could read differently.")
HEAD_TOO_LARGE = HeadTooLarge("head_too_large", f"A request's head has at most {HEAD_SIZE_MAX_BYTES} bytes.")
_TOO_MANY_FIELDS = HeadTooLarge("head_too_large", f"A request's head has at most {HEADER_FIELDS_MAX} fields.")
_ADDRESS_TOO_LARGE = HeadTooLarge(
    "head_too_large",
    f"A path has at most {PATH_SIZE_MAX_BYTES} bytes, and what follows it at most {QUERY_SIZE_MAX_BYTES}.",
)
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")  # RFC 3986 3.2.2, and a port


class BoundedRequests(HttpToolsProtocol):
    """A connection that reads requests; what breaks a rule ends the parsing, and ``_refusal`` is its answer."""

    __slots__ = (
        "_chunks",
        "_fields",
        "_head_received_bytes",
        "_head_size_bytes",
        "_hosts",
        "_is_in_body",
        "_is_in_head",
        "_is_read_anew",
        "_patience",
        "_peers",
        "_refusal",
    )

    def __init__(self, peers: Peers, **given: Any) -> None:
        super().__init__(**given)
        self._peers = peers
        self._refusal: Problem = BAD_HTTP
        self._patience: asyncio.TimerHandle | None = None
        self._is_in_head = True  # of the first request, which has not begun
        self._is_in_body = False
        self._is_read_anew = False  # its head, without Upgrade
        self._hosts = self._fields = self._chunks = 0
        self._head_size_bytes = 0  # as the parser told it
        self._head_received_bytes = 0  # in pieces of which the head is all

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._is_in_body = True, False
        self._head_size_bytes = self._head_received_bytes = self._hosts = self._fields = self._chunks = 0

    def on_url(self, url: bytes) -> None:
        """Bound the address: it comes in pieces, which uvicorn gathers."""
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
        """Begin to answer a request whose head keeps the rules."""
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

    def _grow_head(self, size_bytes: int) -> None:
        self._head_size_bytes += size_bytes
        if self._head_size_bytes > HEAD_SIZE_MAX_BYTES:
            self._refuse_head(HEAD_TOO_LARGE)

    def _refuse_head(self, refusal: Problem) -> NoReturn:
        """Stop the parser: what it has is answered by this."""
        self._refusal = refusal
        raise ValueError(refusal.code)

    def _wait(self) -> None:
        """Give the peer time for the head or the body that it has begun; a body's reader answers before we cut."""
        grace_s = BODY_GRACE_S if self._is_in_body else 0.0
        self._patience = self.loop.call_later(self._peers.request_wait_max_s + grace_s, self._look_once_more)

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
            self._peers.ended("body_timeout" if self._is_in_body else "head_timeout")
            self.transport.abort()
