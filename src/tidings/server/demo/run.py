"""Puts the demo together, and takes it apart in the right order.

It listens before anything else, so that a port in use is a sentence; the nodes start while the rest is loaded. At the
first SIGTERM or SIGINT everything is healed, the nodes drain, and the exit code is 0. A second signal exits at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket

from tidings.errors import ConfigurationError
from tidings.protocol.shown_url import shown_url
from tidings.server.demo import database
from tidings.server.demo.fault import Faults
from tidings.server.demo.limits import NODES_MAX
from tidings.server.demo.proxy import Proxy
from tidings.server.demo.supervisor import Address, Supervisor
from tidings.server.demo.tied import TiedProcess
from tidings.server.http.listen import listen
from tidings.server.http.stopping import Said, Stopping
from tidings.server.logs import configure, say
from tidings.server.store.open import is_postgres

DEMO_DATABASE = "sqlite:///tidings-demo.db"
HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
HEAL_EVERY_S = 0.25  # how late a fault may heal

log = logging.getLogger("tidings.demo")


def run_demo(*, port: int, db: str | None = None, nodes: int = 1) -> int:
    """Serve the demo until told to stop; the process's exit status.

    Without ``db`` one node has a file in this directory, and several have a PostgreSQL server that ends with the demo.

    Raises:
        TidingsError: It cannot start; the text says what to do.
    """
    if nodes > NODES_MAX:
        raise ConfigurationError(f"--nodes: the demo has at most {NODES_MAX}")
    if nodes > 1 and db is not None and not is_postgres(db):
        raise ConfigurationError("--db: several nodes share a PostgreSQL database; name one, or leave --db out")
    configure("text", "warning")
    logging.getLogger("tidings").setLevel(logging.INFO)
    [page] = listen(HOST, port, "--port")
    [control] = listen(HOST, 0)
    if nodes == 1 and db is None:
        db = DEMO_DATABASE
    with asyncio.Runner() as runner:
        return runner.run(_Demo(page, control, db, nodes).serve())


class _Demo:
    def __init__(self, page: socket.socket, control: socket.socket, db: str | None, nodes: int) -> None:
        self._db = db
        self._database = TiedProcess(database.MODULE, "the demo's PostgreSQL")
        self._control_listener = control
        self._control_host = f"{HOST}:{control.getsockname()[1]}"
        self._key = secrets.token_urlsafe(24)
        self._faults = Faults()
        self._proxy = Proxy(page, self._faults)
        self._origins = [f"http://{name}:{self._proxy.port}" for name in NAMES]
        self._secret = secrets.token_hex(32)
        self._numbers = range(1, nodes + 1)
        self._nodes: list[Supervisor] = []
        self._told = asyncio.Event()

    async def serve(self) -> int:
        """Until a signal."""
        self._on_signals()
        try:
            db = self._db or await self._own_database()
            self._nodes = [self._supervisor(number, db) for number in self._numbers]
            for node in self._nodes:
                await node.launch()
            return await self._serve(db)
        finally:
            self._end_at_once()

    async def _own_database(self) -> str:
        """The URL of a PostgreSQL server that was started for these nodes."""
        await self._database.launch({})
        return await self._database.ready()

    def _supervisor(self, number: int, db: str) -> Supervisor:
        async def moved(address: Address | None) -> None:
            await self._proxy.serve(number, address)

        control = {"url": f"http://{self._control_host}", "key": self._key, "origins": self._origins}
        title = "the server" if len(self._numbers) == 1 else f"node {number}"
        return Supervisor(title, {"db": db, "secret": self._secret, "control": control}, moved)

    async def _serve(self, db: str) -> int:
        # Loaded while the nodes' processes load the same and more.
        from tidings.server.demo.control import Control, control_server
        from tidings.server.store.open import open_maintenance

        for node in self._nodes:
            await node.listens()
        control = Control(
            self._key, self._control_host, self._origins, open_maintenance(db), self._faults, self._nodes, self._proxy
        )
        await control.begin_count()
        server = control_server(control.app)
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(node.watch()) for node in self._nodes]
            healing = tasks.create_task(self._heal())
            missing = tasks.create_task(self._miss_database())
            answering = tasks.create_task(server.serve(sockets=[self._control_listener]))
            say(self._ready_text())
            await self._told.wait()
            self._faults.end_all()  # the goodbyes must pass
            await asyncio.gather(*(node.stop() for node in self._nodes))
            await self._proxy.close()
            server.should_exit = True
            healing.cancel()
            missing.cancel()
            await asyncio.wait([*watching, answering])
        await self._database.end(signal.SIGTERM)
        return 0

    async def _heal(self) -> None:
        while True:
            self._faults.end_due()
            await asyncio.sleep(HEAL_EVERY_S)

    async def _miss_database(self) -> None:
        """Say so when the demo's own database is gone: nothing brings it back."""
        if self._db is None:
            log.error(
                "the demo's PostgreSQL ended with %d; end the demo and start it again", await self._database.ended()
            )

    def _on_signals(self) -> None:
        """The first signal ends in order, a second one at once."""
        loop, stopping = asyncio.get_running_loop(), Stopping()

        def told(number: signal.Signals) -> None:
            said = stopping.take(number, loop.time())
            if said is Said.AT_ONCE:
                self._end_at_once()
                os._exit(128 + number)
            if said is Said.STOP:
                self._told.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told, number)

    def _end_at_once(self) -> None:
        """Nothing is waited for; the database's process still removes its folder."""
        for node in self._nodes:
            node.kill_at_once()
        self._database.end_at_once(signal.SIGTERM)

    def _ready_text(self) -> str:
        url = f"http://{HOST}:{self._proxy.port}"
        return (
            f"Tidings serves {url}\n\n  Ada   {url}/?as=ada\n  Ben   {url}/?as=ben\n\n"
            'Open both, in two windows of one browser, and write. Then press "Break it". Ctrl-C ends it;\n'
            f"{self._afterwards()}."
        )

    def _afterwards(self) -> str:
        if self._db is None:
            return f"{len(self._nodes)} nodes share a PostgreSQL server of the demo's own, and the messages go with it"
        return f"the messages stay in {shown_url(self._db).removeprefix('sqlite:///')}"
