"""``tidings serve``: owns uvicorn, from the socket to the last goodbye.

At the first SIGTERM, SIGINT or SIGHUP the node drains: every stream gets its goodbye, new streams and sends are refused
with ``Retry-After``, what is being sent finishes, and the listener stays open until the window ends, so that refusals
are answers. Then the process exits with 0. A second signal exits at once (stopping.py).

When the writer has died it drains too, and exits with STORE_FAILED: whoever started the process starts another, which
reads what is really on the disk. As long as it stayed, every send would be refused. Where another process would serve
something else than what was acknowledged, it exits with STORE_GONE, after which nobody starts one by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import uvicorn
import uvloop
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from tidings.errors import DatabaseAway
from tidings.server.api.answer import not_found
from tidings.server.app import API_PREFIX, routes
from tidings.server.config import COMMIT_WAIT_MAX_S, Config
from tidings.server.http.connection import Connections
from tidings.server.http.detach import detaching_works
from tidings.server.http.health import health_routes, metrics_app
from tidings.server.http.listen import METRICS_PORT_SETTING, bound, listen, shown_url
from tidings.server.http.parent import parent_has_gone
from tidings.server.http.stopping import Said, Stopping
from tidings.server.http.workers import ready_line
from tidings.server.logs import configure, flush, say
from tidings.server.node import Node
from tidings.server.page import page_routes

log = logging.getLogger("tidings.run")

KEEP_ALIVE_S = 75  # longer than the 60 s of common load balancers: they must not send into a closing connection
BACKLOG = 4096  # connections of a reconnect storm that wait to be accepted
DESCRIPTORS_BESIDE_STREAMS = 500  # database, log, and the requests that are not streams
DATABASE_WAIT_MAX_S = 60.0  # of machines that start together; the patience of supervisors, 90 s of systemd, is longer
DATABASE_PAUSE_S = 0.5
STORE_FAILED = 1  # as after what stands in the way of a start for now; 2 is a wrong configuration: docs/run/cli.md
STORE_GONE = 2  # as after a wrong configuration
# Nobody here knows people by name: one writes to an id that one was told.
PAGE_SETTINGS = {"raw_ids": True}
GC_THRESHOLDS = (50_000, 50, 1_000)  # full collections stall a storm of 18,000 streams for 270 ms, these 29 ms


def serve(config: Config, *, host: str, port: int) -> int:
    """Serve until told to stop; the process's exit status.

    Raises:
        TidingsError: It cannot start; the text says what to do. ``NotNow``: starting it again may help.
    """
    node = Node(config, owns_process=True)
    return run(node, served(node, PAGE_SETTINGS), host=host, port=port, ready_text=ready_line)


def served(
    node: Node,
    page_settings: Mapping[str, Any] | None = None,
    extra: Sequence[BaseRoute] = (),
    *,
    page_connects_to: str = "",
) -> ASGIApp:
    """The API and the page. A bare router: Starlette's middleware would cost every idle stream 2 KiB.

    The API first: each route that is asked in vain costs a request 0.7 us.
    """
    page = page_routes(node, "/", api=API_PREFIX, more=page_settings or {}, connects_to=page_connects_to)
    table = [*routes(node, API_PREFIX), *extra, *page, *health_routes(node)]
    return Router(table, redirect_slashes=False, default=not_found)


def run(
    node: Node,
    app: ASGIApp,
    *,
    host: str,
    port: int,
    ready_text: Callable[[str], str],
    prepare: Callable[[Node], Awaitable[None]] | None = None,
    worker: int | None = None,
) -> int:
    """Run an application around a node: start it, ``prepare``, listen, and print ``ready_text(url)`` on stdout.

    ``worker`` is the number of a process that shares its ports with others; see workers.py.
    """
    configure(node.config.log_format, node.config.log_level, worker)
    _allow_descriptors(node.config.streams_max + DESCRIPTORS_BESIDE_STREAMS)
    is_shared = worker is not None
    listeners = listen(host, port, is_shared=is_shared)
    url = shown_url(host, listeners[0])
    if node.config.metrics_port:
        listeners += listen(host, node.config.metrics_port, METRICS_PORT_SETTING, is_shared=is_shared)
        app = _ByPort(node.config.metrics_port, metrics_app(node), app)
    for listener in listeners:
        bound(listener)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_serve(node, app, listeners, lambda: say(ready_text(url)), prepare, worker))
        finally:
            flush()  # a sentence of why it did not start is the last line


async def _serve(
    node: Node,
    app: ASGIApp,
    listeners: list[socket.socket],
    on_started: Callable[[], None],
    prepare: Callable[[Node], Awaitable[None]] | None,
    worker: int | None,
) -> int:
    await _start(node)
    if prepare is not None:
        await prepare(node)
    connections = Connections(node.config, node.metrics)
    connections.may_detach = connections.may_detach and await detaching_works(connections)
    server = _Server(
        uvicorn.Config(
            app,
            http=connections,  # type: ignore[arg-type]  # it is called like the class
            ws="none",
            proxy_headers=False,  # addresses are told apart by identity/address.py alone
            lifespan="off",
            backlog=BACKLOG,
            access_log=False,  # it would print tokens in addresses; streams and refusals are logged and counted by us
            log_config=None,
            server_header=False,
            headers=[("x-content-type-options", "nosniff")],  # in all that is answered, whoever does it
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(COMMIT_WAIT_MAX_S) + 1,
        ),
        on_started=on_started,
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    status = 0

    async def leave_when_failed() -> None:
        nonlocal status
        status = STORE_FAILED if await node.store.failed() else STORE_GONE
        log.critical("nothing can be written any more: draining, to exit with %d", status)
        await _drain(node, server)

    try:
        async with asyncio.TaskGroup() as tasks:
            _on_signals(tasks, node, server, is_worker=worker is not None)
            watching = tasks.create_task(leave_when_failed())
            await server.serve(sockets=listeners)
            watching.cancel()
    finally:
        await node.stop()
    return STORE_GONE if node.store.is_lost else status  # the last look is taken when it stops


async def _start(node: Node) -> None:
    """Start the node; where the database is away, try on: it may be starting beside us."""
    loop = asyncio.get_running_loop()
    gives_up_at, is_told = loop.time() + DATABASE_WAIT_MAX_S, False
    while True:
        try:
            return await node.start()
        except DatabaseAway as failure:
            if loop.time() > gives_up_at:
                raise
            if not is_told:
                log.warning("%s; trying for %g s", failure, DATABASE_WAIT_MAX_S)
                is_told = True
        await asyncio.sleep(DATABASE_PAUSE_S)


def _on_signals(tasks: asyncio.TaskGroup, node: Node, server: uvicorn.Server, *, is_worker: bool) -> None:
    """The first signal drains, a second one ends the process.

    One of several workers is told by its supervisor, and perhaps by systemd, which tells all processes of a service: a
    second signal says nothing new, and the supervisor ends it. SIGHUP to it means that the others go on: it listens no
    more, and nobody gets a refusal.
    """
    loop, stopping = asyncio.get_running_loop(), Stopping()

    def told(number: signal.Signals) -> None:
        said = stopping.take(number, loop.time())
        if said is Said.AT_ONCE and not is_worker:
            log.warning("second signal, %s: exiting at once", number.name)
            flush()
            os._exit(128 + number)
        if said is not Said.STOP:
            return
        log.info("%s: draining", "the process that started this one has gone" if parent_has_gone() else number.name)
        if is_worker and number == signal.SIGHUP:
            for listener in server.servers:
                listener.close()
            tasks.create_task(_drain(node, server, still_listens=False))
        else:
            tasks.create_task(_drain(node, server))

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            loop.add_signal_handler(number, told, number)


async def _drain(node: Node, server: uvicorn.Server, *, still_listens: bool = True) -> None:
    try:
        await node.hub.drain(still_listens=still_listens)
    finally:
        server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would close the listener at once."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to ``_on_signals``."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell that we listen."""
        await super().startup(sockets)
        self._on_started()


def _allow_descriptors(wanted: int) -> None:
    """Raise this process's limit of open files as far as it may: at the usual 1024 clients would be cut in silence."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_enough, may_be = (limit == resource.RLIM_INFINITY or limit >= wanted for limit in (soft, hard))
    if not is_enough:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if may_be else hard, hard))
        except (OSError, ValueError):  # a limit that getrlimit does not tell, of the system or of a container
            may_be = False
    if not is_enough and not may_be:
        log.warning("open files are limited, too few for streams_max (%d wanted): raise it with ulimit -n", wanted)


class _ByPort:
    """Requests to the port of the metrics go to them, and all others to the application."""

    def __init__(self, metrics_port: int, metrics: ASGIApp, app: ASGIApp) -> None:
        self._metrics_port = metrics_port
        self._metrics = metrics
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._metrics if scope["server"][1] == self._metrics_port else self._app)(scope, receive, send)
