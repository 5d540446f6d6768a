"""A bare TCP connection to a server: what a peer that is no client of ours may write, and what it is told."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from types import TracebackType

from lab.process import PATIENCE_S


class Wire:
    """A connection on which a test writes what it likes. Reading never raises: an end by RST is an end."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.received = b""
        self.is_ended = False
        self._socket = socket.create_connection(address, PATIENCE_S)

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def statuses(self) -> list[int]:
        """Of the answers that came so far, in order."""
        return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.received)]

    def writes(self, *parts: bytes) -> Wire:
        """Write these; the server may have ended the connection meanwhile."""
        with contextlib.suppress(OSError):
            for part in parts:
                self._socket.sendall(part)
        return self

    def hears(self, wanted: bytes, deadline_s: float = PATIENCE_S) -> Wire:
        """Read until this has come, or fail."""
        end = time.monotonic() + deadline_s
        while wanted not in self.received:
            assert not self.is_ended, f"ended after {self.received[-500:]!r}"
            assert self._read(end - time.monotonic()), f"not within {deadline_s} s, but {self.received[-500:]!r}"
        return self

    def ends(self, deadline_s: float = PATIENCE_S) -> Wire:
        """Read until the server has ended the connection, or fail."""
        end = time.monotonic() + deadline_s
        while not self.is_ended:
            assert self._read(end - time.monotonic()), f"open after {deadline_s} s and {self.received[-500:]!r}"
        return self

    def ends_or_hears(self, wanted: bytes, deadline_s: float = PATIENCE_S) -> Wire:
        """Read until this has come or the server has ended the connection, whichever is first."""
        end = time.monotonic() + deadline_s
        while wanted not in self.received and not self.is_ended:
            assert self._read(end - time.monotonic()), f"neither within {deadline_s} s, but {self.received[-500:]!r}"
        return self

    def _read(self, timeout_s: float) -> bool:
        if timeout_s <= 0:
            return False
        self._socket.settimeout(timeout_s)
        try:
            piece = self._socket.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            piece = b""
        self.received += piece
        self.is_ended = not piece
        return True
