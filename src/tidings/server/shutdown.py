"""Hear that the process was told to stop, where the server is somebody else's.

A server such as uvicorn waits for open connections before it tells the application anything, and an event stream
stays open: it would wait for ever. So we hear the signal too, end the streams, and pass the signal on.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ShutdownSignal:
    """Calls ``told`` in the event loop at the first SIGINT or SIGTERM, and hands every one to who was there before."""

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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        told, self._told = self._told, _nothing
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(told)
        former = self._former.get(number)
        if callable(former):
            former(number, frame)
        elif former is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def _nothing() -> None:
    return None
