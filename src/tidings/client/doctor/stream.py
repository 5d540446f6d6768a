"""A response that is read as it comes, however slowly.

It judges nothing: it hands on the events that arrived, or says that none did in time or that the connection ended.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

from tidings.client.doctor import limits
from tidings.client.interrupt import Line
from tidings.protocol.sse import Event, EventStreamDecoder


class Cut(Exception):
    """The connection ended before it should."""


class Stream:
    """A response that is read as it comes. After a ``TimeoutError`` it cannot be read any more."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        """
        Args:
            connection: On it the stream was asked for.
        """
        self._connection = connection
        self._line = Line(connection.sock)
        self._socket: socket.socket = connection.sock
        self._decoder = EventStreamDecoder()
        self._response: http.client.HTTPResponse | None = None

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
            Cut: The connection ended.
        """
        self._socket.settimeout(within_s)
        try:
            with self._line.ended_after(within_s):
                self._response = self._connection.getresponse()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as failure:
            raise Cut(str(failure) or "closed") from None

    def problem(self) -> dict[str, Any]:
        """The body of a refusal."""
        assert self._response is not None
        try:
            with self._line.ended_after(limits.ANSWER_WITHIN_S):
                body = json.loads(self._response.read(limits.READ_SIZE_BYTES))
        except (OSError, ValueError, http.client.HTTPException):
            return {}
        return body if isinstance(body, dict) else {}

    def read(self, until: float) -> list[Event]:
        """The events in what comes next, perhaps none.

        Raises:
            TimeoutError: Nothing came until then (monotonic seconds).
            Cut: The stream ended.
        """
        assert self._response is not None
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)
        try:
            with self._line.ended_after(left_s):  # a part of a chunk's length may come and come
                part = self._response.read1(limits.READ_SIZE_BYTES)
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as failure:
            raise Cut(str(failure) or type(failure).__name__) from None
        if not part:
            raise Cut("a clean end without goodbye")
        return self._decoder.feed(part)

    def close(self) -> None:
        """Let go of it."""
        if self._response is not None:
            self._response.close()
        self._connection.close()
