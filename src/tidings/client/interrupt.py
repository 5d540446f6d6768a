"""Ending what another thread waits for on a socket.

A blocking call cannot be interrupted by another thread. A ``Line`` can: it shuts the socket down, and the call returns
with an error or the end of the stream.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any


class Line:
    """The connection of one request, from its connect to its last byte."""

    def __init__(self, known: socket.socket | None = None) -> None:
        """
        Args:
            known: Its socket, where it is connected already.
        """
        self._socket = known
        self._has_ended = False
        self._lock = threading.Lock()

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Learn the socket as soon as it is connected, and again when TLS has taken it over.

        A ``trace`` extension of the HTTP library: whatever step completes with a connection, the socket is in it.
        """
        tell = getattr(info.get("return_value"), "get_extra_info", None)
        watched = tell("socket") if tell is not None else None
        if isinstance(watched, socket.socket):
            with self._lock:
                self._socket = watched
                if self._has_ended:
                    self._shut_down()

    def end(self) -> None:
        """End it: a call under way returns at once."""
        with self._lock:
            self._has_ended = True
            self._shut_down()

    @contextmanager
    def ended_after(self, seconds: float) -> Iterator[None]:
        """The calls under way then are ended, though bytes of them still come.

        Raises:
            TimeoutError: It was.
        """
        timer = threading.Timer(seconds, self.end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as trouble:
            if self._has_ended:
                raise TimeoutError("the answer took too long") from trouble
            raise
        finally:
            timer.cancel()
        if self._has_ended:  # the end of the connection may look like that of the answer
            raise TimeoutError("the answer took too long")

    def _shut_down(self) -> None:
        if self._socket is None:
            return
        with suppress(OSError):  # closed or reset already
            # Not the method of an SSLSocket, which would pull its state from under the reading thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
