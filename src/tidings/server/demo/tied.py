"""A process that is tied to the demo: it gets its orders, says that it is ready, and ends with us, however we end.

Rules of this file:

- The first line of its standard input has its orders; then that stream stays open as long as we live (``http/parent``).
- Its standard output is one line: ``ready URL``, or ``failed SENTENCE``.
- It has a session of its own: Ctrl-C reaches us alone, and we decide in which order things end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any, Final

import msgspec

from tidings.errors import ConfigurationError
from tidings.server.demo.limits import START_WAIT_S, STOP_WAIT_S

READY: Final = "ready "
FAILED: Final = "failed "


class TiedProcess:
    """A module that is run as a program. ``title`` names it in a sentence."""

    def __init__(self, module: str, title: str) -> None:
        self._command = (sys.executable, "-m", module)
        self._title = title
        self._process: asyncio.subprocess.Process | None = None

    @property
    def id(self) -> int | None:
        """Of the process; None before the first."""
        return None if self._process is None else self._process.pid

    async def launch(self, orders: dict[str, Any]) -> None:
        """Start it; it need not be ready yet."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(orders) + b"\n")

    async def ready(self) -> str:
        """Wait until the process that was launched is ready; its URL.

        Raises:
            ConfigurationError: It is not; the text says why.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_WAIT_S):
                line = (await self._process.stdout.readline()).decode().strip()
        except TimeoutError:
            line = ""
        if not line.startswith(READY):
            await self.end(signal.SIGKILL)
            raise ConfigurationError(line.removeprefix(FAILED) or f"{self._title} ended before it was ready")
        return line.removeprefix(READY)

    async def ended(self) -> int:
        """Wait until it has ended; its exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def end(self, number: signal.Signals) -> None:
        """End it by this signal, and by SIGKILL when that takes too long; nothing where it has ended."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_WAIT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def end_at_once(self, number: signal.Signals) -> None:
        """For a process that is about to exit: nothing is waited for."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
