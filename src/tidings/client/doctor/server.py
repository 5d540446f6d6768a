"""The server that is looked at: its address, what shows who asks, and the connections for the questions.

Every question goes out on a plain HTTP/1.1 connection of its own, and the time for its answer holds to the last byte.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from tidings.client.call import api_url
from tidings.client.doctor import limits
from tidings.client.doctor.stream import Stream
from tidings.client.interrupt import Line
from tidings.client.transport import ANSWER_SIZE_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """All of it, and how long it took."""

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


class Server:
    """One to which questions are put, as a stranger or as somebody who is signed in."""

    def __init__(self, url: str, token: str | None, headers: Sequence[tuple[str, str]]) -> None:
        """
        Raises:
            ValueError: The URL is none.
        """
        api = httpx2.URL(api_url(url))
        self.is_tls = api.scheme == "https"
        self.host, self.port = api.raw_host.decode("ascii"), api.port or (443 if self.is_tls else 80)
        self.is_origin = httpx2.URL(url).path in ("", "/")
        self.api = api.raw_path.decode("ascii")
        self.credentials = list(headers) + ([] if token is None else [("Authorization", f"Bearer {token}")])

    def get(self, path: str, *, with_token: bool = True) -> Answer:
        """Ask for one answer."""
        begun = time.monotonic()
        with contextlib.closing(self._http()) as connection:
            with Line(connection.sock).ended_after(limits.ANSWER_WITHIN_S):
                _ask(connection, path, self._headers(with_token))
                response = connection.getresponse()
                body = response.read(ANSWER_SIZE_MAX_BYTES)
                if response.length and len(body) < ANSWER_SIZE_MAX_BYTES:
                    raise http.client.IncompleteRead(body, response.length)
            return Answer(response.status, response.headers, body, time.monotonic() - begun)

    def stream(self, encodings: str, cursor: str) -> Stream:
        """Ask for a stream after that cursor."""
        headers = [*self._headers(True), ("Accept-Encoding", encodings), ("Last-Event-ID", cursor)]
        connection = self._http()
        _ask(connection, f"{self.api}/sse/me", headers)
        return Stream(connection)

    def connect(self, protocols: list[str]) -> socket.socket:
        """Connect, by TLS with an offer of these protocols."""
        connected = socket.create_connection((self.host, self.port), limits.ANSWER_WITHIN_S)
        if not self.is_tls:
            return connected
        context = ssl.create_default_context()
        context.set_alpn_protocols(protocols)
        try:
            return context.wrap_socket(connected, server_hostname=self.host)
        except BaseException:
            connected.close()
            raise

    def _http(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=limits.ANSWER_WITHIN_S)
        connection.sock = self.connect(["http/1.1"])
        return connection

    def _headers(self, with_credentials: bool) -> list[tuple[str, str]]:
        headers = [("Accept", "application/json, text/event-stream"), ("User-Agent", "tidings-doctor")]
        return headers + (self.credentials if with_credentials else [])


def _ask(connection: http.client.HTTPConnection, path: str, headers: list[tuple[str, str]]) -> None:
    """Several fields may bear one name."""
    connection.putrequest("GET", path, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value.encode())
    connection.endheaders()
