"""A node's process: started, killed with SIGKILL, started again; never two at a time, and none left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from urllib.parse import urlsplit

from tidings.errors import ConfigurationError
from tidings.server.demo.limits import DEAD_FOR_S, RESTART_AFTER_S
from tidings.server.demo.tied import TiedProcess

log = logging.getLogger("tidings.demo")

Address = tuple[str, int]
MODULE = "tidings.server.demo.child"


class Supervisor:
    """Runs a node. ``moved`` is awaited with its address when it listens, and with None when it is gone."""

    def __init__(self, title: str, orders: dict[str, Any], moved: Callable[[Address | None], Awaitable[None]]) -> None:
        self.state: Literal["starting", "running", "dead"] = "starting"
        self.kills = 0
        self._starts_at: float | None = None  # of the loop's clock, while it is dead
        self._title = title
        self._orders = orders
        self._moved = moved
        self._process = TiedProcess(MODULE, title)
        self._wanted = asyncio.Event()
        self._is_stopping = False

    @property
    def process_id(self) -> int | None:
        """Of the node; None while it is dead."""
        return None if self.state == "dead" else self._process.id

    @property
    def starts_in_s(self) -> float | None:
        """When a dead node is started again; None while it is not dead."""
        if self._starts_at is None:
            return None
        return max(0.0, round(self._starts_at - asyncio.get_running_loop().time(), 1))

    async def launch(self) -> None:
        """Start the process; it need not listen yet."""
        await self._process.launch(self._orders)

    async def listens(self) -> None:
        """Wait until the process that was launched listens.

        Raises:
            ConfigurationError: It does not; the text says why.
        """
        address = urlsplit(await self._process.ready())
        self.state, self._starts_at = "running", None
        await self._moved((address.hostname or "", address.port or 0))

    async def watch(self) -> None:
        """Start the node again whenever it has ended, until `stop`."""
        while not self._is_stopping:
            code = await self._process.ended()
            if self._is_stopping:
                return
            was_killed = self.state == "dead"
            if not was_killed:
                log.warning("%s ended with %d; starting it again", self._title, code)
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
        await self._process.end(signal.SIGKILL)

    def start(self) -> None:
        """Start a dead node now."""
        if self.state == "dead":
            self._wanted.set()

    async def stop(self) -> None:
        """Let the node drain and end."""
        self._is_stopping = True
        self._wanted.set()
        await self._process.end(signal.SIGTERM)

    def kill_at_once(self) -> None:
        """For a process that is about to exit: nothing is waited for."""
        self._process.end_at_once(signal.SIGKILL)

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
