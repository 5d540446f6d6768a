"""The way of the host's threads into the event loop in which the messages live.

Rules
1. That loop is the server's. A thread that waits in it would wait for itself, and is told to ``await``.
2. Where no server has brought a loop (WSGI, a job, a command of the host's) one runs in a thread of ours, and ends with
   the process.
3. Waiting is bounded; what is given up is cancelled, and is not known to be done.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, TypeVar

from anyio import from_thread

from tidings.errors import Unavailable

ANSWER_WAIT_MAX_S: Final = 30.0
"""A thread of the host waits so long for an answer; the store's own limits come before."""

T = TypeVar("T")

Loop = asyncio.AbstractEventLoop


class Threads:
    """Runs what threads of the host ask for. ``known`` is the messages' loop, as soon as they have one."""

    def __init__(self, known: Callable[[], Loop | None], stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._known = known
        self._stop = stop
        self._served: Loop | None = None
        self._own: Loop | None = None
        self._starting = threading.Lock()

    def note_loop(self) -> None:
        """The server has called us in its event loop, perhaps before the messages have begun there."""
        self._served = asyncio.get_running_loop()

    def run(self, call: Coroutine[Any, Any, T], wait_max_s: float = ANSWER_WAIT_MAX_S) -> T:
        """Run ``call`` in the messages' event loop; its result.

        Raises:
            Unavailable: There is no answer within ``wait_max_s``.
            TypeError: Called in an event loop.
        """
        with suppress(RuntimeError):  # there is none in this thread
            asyncio.get_running_loop()
            call.close()
            raise TypeError(f"in async code: await messages.{getattr(call, '__name__', 'it')}(...)")
        # Its context is not the caller's: asgiref would find this thread in it, and wait for it, which waits here.
        answer = Context().run(asyncio.run_coroutine_threadsafe, call, self._loop())
        try:
            return answer.result(wait_max_s)
        except TimeoutError:
            if answer.done():  # it is the call's own
                raise
            answer.cancel()
            detail = f"The messages did not answer within {wait_max_s:g} s; it may be done or not."
            raise Unavailable("unavailable", detail, retry_after_s=2) from None

    def _loop(self) -> Loop:
        with self._starting:
            for find in (self._known, lambda: self._served, _loop_of_worker_thread):
                loop = find()
                if loop is not None and loop.is_running():
                    return loop
            if self._own is None:
                self._own = asyncio.new_event_loop()
                threading.Thread(target=self._own.run_forever, name="tidings", daemon=True).start()
                atexit.register(self._end, self._own)
            return self._own

    def _end(self, loop: Loop) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), loop).result(ANSWER_WAIT_MAX_S)
        loop.call_soon_threadsafe(loop.stop)


def _loop_of_worker_thread() -> Loop | None:
    """The loop that waits for this thread, where it is one of Starlette's for ``def`` endpoints."""
    try:
        return from_thread.run_sync(asyncio.get_running_loop)
    except RuntimeError:  # it is another thread
        return None
