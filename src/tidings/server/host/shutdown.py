"""Know that the process is about to end, where the server is somebody else's.

A server such as uvicorn waits for open connections before it tells the application anything, and an event stream
stays open: it would wait for ever. Why it stops, nobody tells us: a signal, a number of requests, a word of its parent,
its worker's age or size. So three things are looked at, and each ends the streams:

1. A signal. It comes first; it is passed on to whoever was there before.
2. The sockets that listen where requests came in. A server closes them before it waits,
   whatever the reason to stop.
3. The end of the application's lifespan, where it has one: ``Node.stop``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from starlette.types import Scope

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
LISTENER_LOOK_S = 0.2  # below the shortest time (a second) that a server may be told to wait for its connections


class HostShutdown:
    """Calls ``told`` in the event loop when the host's process is about to end; again if there are more signs of it."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._former: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._former[number] = signal.signal(number, self._handle)

    def uninstall(self) -> None:
        """Put the former handlers back, unless somebody came after us."""
        for number, former in self._former.items():
            if signal.getsignal(number) == self._handle and former is not None:
                signal.signal(number, former)
        self._former = {}

    async def watch_listeners(self, scope: Scope) -> None:
        """Tell when a socket of this process does not listen any more where this request came in.

        One of several is enough: a socket that was inherited stays open beside the server's own copy of it. Where there
        are none to be found (they are another process's, or nothing listens, as in tests), nothing is told.
        """
        port = scope["server"][1] if scope["server"] else None
        listeners = [number for number in _open_files() if _listens(number, port)]
        if not listeners:
            return
        while all(_listens(number, port) for number in listeners):  # noqa: ASYNC110  # a socket wakes nobody by closing
            await asyncio.sleep(LISTENER_LOOK_S)
        self._told()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._told)
        former = self._former.get(number)
        if callable(former):
            former(number, frame)
        elif former is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def _open_files() -> list[int]:
    with contextlib.suppress(OSError):  # Windows has no such folder
        return [int(name) for name in os.listdir("/dev/fd")]
    return []


def _listens(number: int, port: int | None) -> bool:
    """Whether this open file is a socket that listens on the port; without a port, on a path."""
    try:
        probe = socket.socket(fileno=number)
    except OSError:  # it is something else, or closed
        return False
    try:
        name = probe.getsockname()
        is_there = probe.family == socket.AF_UNIX if port is None else isinstance(name, tuple) and name[1] == port
        return is_there and probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0
    except OSError:
        return False
    finally:
        probe.detach()
