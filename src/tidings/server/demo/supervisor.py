"""The server's process: started, killed with SIGKILL, started again; never two at a time, and none left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from tidings.errors import ConfigurationError
from tidings.server.demo.limits import DEAD_FOR_S, RESTART_AFTER_S, START_WAIT_S, STOP_WAIT_S

log = logging.getLogger("tidings.demo")

Address = tuple[str, int]
COMMAND = (sys.executable, "-m", "tidings.server.demo.child")
READY: Final = "ready "
FAILED: Final = "failed "


class Supervisor:
    """Runs the server. ``moved`` is awaited with its address when it listens, and with None when it is gone."""

    def __init__(self, orders: dict[str, Any], moved: Callable[[Address | None], Awaitable[None]]) -> None:
        self.state: Literal["starting", "running", "dead"] = "starting"
        self._starts_at: float | None = None  # of the loop's clock, while it is dead
        self.kills = 0
        self._orders = orders
        self._moved = moved
        self._process: asyncio.subprocess.Process | None = None
        self._wanted = asyncio.Event()
        self._is_stopping = False

    @property
    def process_id(self) -> int | None:
        """Of the server; None while it is dead."""
        return None if self._process is None or self.state == "dead" else self._process.pid

    @property
    def starts_in_s(self) -> float | None:
        """When a dead server is started again; None while it is not dead."""
        if self._starts_at is None:
            return None
        return max(0.0, round(self._starts_at - asyncio.get_running_loop().time(), 1))

    async def launch(self) -> None:
        """Start the process; it need not listen yet."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
        # A session of its own: Ctrl-C reaches us alone, and we decide in which order things end.
        self._process = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(self._orders) + b"\n")  # stays open: its end is our end

    async def listens(self) -> None:
        """Wait until the process that was launched listens.

        Raises:
            ConfigurationError: It does not; the text says why.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_WAIT_S):
                line = (await self._process.stdout.readline()).decode().strip()
        except TimeoutError:
            line = ""
        if not line.startswith(READY):
            await self._end(signal.SIGKILL)
            raise ConfigurationError(line.removeprefix(FAILED) or "the demo's server ended before it listened")
        address = urlsplit(line.removeprefix(READY))
        self.state, self._starts_at = "running", None
        await self._moved((address.hostname or "", address.port or 0))

    async def watch(self) -> None:
        """Start the server again whenever it has ended, until `stop`."""
        while not self._is_stopping:
            assert self._process is not None
            code = await self._process.wait()
            if self._is_stopping:
                return
            was_killed = self.state == "dead"
            if not was_killed:
                log.warning("the server ended with %d; starting it again", code)
            await self._wait(DEAD_FOR_S if was_killed else RESTART_AFTER_S)
            if self._is_stopping:
                return
            await self._start_again()

    async def kill(self) -> None:
        """SIGKILL, as kill -9 does; it stays dead until `start`, or for ``DEAD_FOR_S``."""
        if self.state != "running":
            return
        self.kills += 1
        await self._die()
        await self._end(signal.SIGKILL)

    def start(self) -> None:
        """Start a dead server now."""
        if self.state == "dead":
            self._wanted.set()

    async def stop(self) -> None:
        """Let the server drain and end."""
        self._is_stopping = True
        self._wanted.set()
        await self._end(signal.SIGTERM)

    def kill_at_once(self) -> None:
        """For a process that is about to exit: nothing is waited for."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _die(self) -> None:
        self.state = "dead"
        await self._moved(None)

    async def _wait(self, seconds: float) -> None:
        if self.state != "dead":
            await self._die()
        self._starts_at = asyncio.get_running_loop().time() + seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        self._wanted.clear()

    async def _start_again(self) -> None:
        self.state = "starting"
        try:
            await self.launch()
            await self.listens()
        except ConfigurationError as failure:
            log.warning("%s; trying again", failure)
            self.state = "dead"

    async def _end(self, number: signal.Signals) -> None:
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
