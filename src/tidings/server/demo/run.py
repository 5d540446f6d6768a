"""Puts the demo together, and takes it apart in the right order.

It listens before anything else, so that a port in use is a sentence; the server starts while the rest is loaded. At the
first SIGTERM or SIGINT everything is healed, the server drains, and the exit code is 0. A second signal exits at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket

from tidings.server.demo.fault import Faults
from tidings.server.demo.proxy import Proxy
from tidings.server.demo.supervisor import Address, Supervisor
from tidings.server.http.listen import listen
from tidings.server.logs import configure, say

DEMO_DATABASE = "sqlite:///tidings-demo.db"
HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
HEAL_EVERY_S = 0.25  # how late a fault may heal


def run_demo(*, port: int, db: str | None = None) -> int:
    """Serve the demo until told to stop; the process's exit status.

    Raises:
        TidingsError: It cannot start; the text says what to do.
    """
    configure("text", "warning")
    logging.getLogger("tidings").setLevel(logging.INFO)
    [page] = listen(HOST, port, "--port")
    [control] = listen(HOST, 0)
    with asyncio.Runner() as runner:
        return runner.run(_Demo(page, control, db or DEMO_DATABASE).serve())


class _Demo:
    def __init__(self, page: socket.socket, control: socket.socket, db: str) -> None:
        self._db = db
        self._control_listener = control
        self._control_host = f"{HOST}:{control.getsockname()[1]}"
        self._key = secrets.token_urlsafe(24)
        self._faults = Faults()
        self._proxy = Proxy(page, self._faults)
        self._origins = [f"http://{name}:{self._proxy.port}" for name in NAMES]
        orders = {
            "db": db,
            "secret": secrets.token_hex(32),
            "control": {"url": f"http://{self._control_host}", "key": self._key, "origins": self._origins},
        }
        self._supervisor = Supervisor(orders, self._moved)
        self._told = asyncio.Event()

    async def serve(self) -> int:
        """Until a signal."""
        await self._supervisor.launch()
        try:
            return await self._serve()
        finally:
            self._supervisor.kill_at_once()

    async def _serve(self) -> int:
        # Loaded while the server's process loads the same and more.
        from tidings.server.demo.control import Control, control_server
        from tidings.server.store.open import open_maintenance

        self._on_signals()
        await self._supervisor.listens()
        control = Control(
            self._key, self._control_host, self._origins, open_maintenance(self._db), self._faults, self._supervisor
        )
        await control.begin_count()
        server = control_server(control.app)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._supervisor.watch())
            healing = tasks.create_task(self._heal())
            answering = tasks.create_task(server.serve(sockets=[self._control_listener]))
            say(self._ready_text())
            await self._told.wait()
            self._faults.end_all()  # the goodbyes must pass
            await self._supervisor.stop()
            await self._proxy.close()
            server.should_exit = True
            healing.cancel()
            await asyncio.wait([watching, answering])
        return 0

    async def _moved(self, address: Address | None) -> None:
        await self._proxy.serve(address)

    async def _heal(self) -> None:
        while True:
            self._faults.end_due()
            await asyncio.sleep(HEAL_EVERY_S)

    def _on_signals(self) -> None:
        """The first signal ends in order, the second at once."""
        loop = asyncio.get_running_loop()

        def told(number: signal.Signals) -> None:
            if self._told.is_set():
                self._supervisor.kill_at_once()
                os._exit(128 + number)
            self._told.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told, number)

    def _ready_text(self) -> str:
        url = f"http://{HOST}:{self._proxy.port}"
        return (
            f"Tidings serves {url}\n\n  Ada   {url}/?as=ada\n  Ben   {url}/?as=ben\n\n"
            'Open both, in two windows of one browser, and write. Then press "Break it". Ctrl-C ends it;\n'
            f"the messages stay in {self._db.removeprefix('sqlite:///')}."
        )
