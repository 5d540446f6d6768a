"""Ending a read that waits too long.

A blocking read knows one timeout, fixed before the heartbeat is known, and cannot be interrupted by another thread.
A ``Watchdog`` can do both: it shuts the socket down, and the read returns with an error.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any


class Watchdog:
    """Guards one attempt, from its connect to its last byte, in a thread of its own.

    Attributes:
        expired: The deadline passed, and the socket was shut down for it.
    """

    def __init__(self, deadline_s: float) -> None:
        """
        Args:
            deadline_s: On the clock of ``time.monotonic``.
        """
        self.expired = False
        self._deadline_s = deadline_s
        self._socket: socket.socket | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="tidings-watchdog", daemon=True).start()

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Learn the socket as soon as it is connected; a ``trace`` extension of the HTTP library."""
        if name.endswith(("connect_tcp.complete", "connect_unix_socket.complete")):
            self.watch(info["return_value"].get_extra_info("socket"))

    def watch(self, watched: socket.socket) -> None:
        """Guard this socket; if the attempt has been ended meanwhile, it is shut down at once."""
        with self._lock:
            self._socket = watched
            if self._ended.is_set():
                self._shut_down()

    def extend(self, deadline_s: float) -> None:
        """Set the deadline anew."""
        self._deadline_s = deadline_s  # read at the next wake-up; waking the thread for every byte would cost more

    def end(self) -> None:
        """End the attempt: a read under way returns at once, nothing is guarded any more."""
        with self._lock:
            self._ended.set()
            self._shut_down()

    def _run(self) -> None:
        while (left_s := self._deadline_s - monotonic()) > 0:
            if self._ended.wait(left_s):
                return
        self.expired = True
        self.end()

    def _shut_down(self) -> None:
        if self._socket is None:
            return
        with suppress(OSError):  # closed or reset already
            # Not the method of an SSLSocket, which would pull its state from under the reading thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
