"""One node: the store, the hub and the limits of one server process, and their life.

It starts on the first request, or earlier where somebody calls ``start``: a mounted application gets no lifespan
events. Everything that runs beside the requests belongs to one task.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextvars import Context
from time import monotonic, perf_counter

from starlette.types import Scope

from tidings.errors import TidingsError, Unavailable
from tidings.protocol.user_id import UserId
from tidings.server.config import Config
from tidings.server.host.functions import MaySend, People, TakeReport
from tidings.server.host.shutdown import HostShutdown
from tidings.server.identity.access_log import hide_tokens_in_access_log
from tidings.server.identity.address import Addresses
from tidings.server.identity.auth import IdentifyUser, choose_identity
from tidings.server.identity.cross_site import trusted_origins
from tidings.server.identity.rates import Rates
from tidings.server.identity.refusals import Refusals
from tidings.server.live.ending import end_streams
from tidings.server.live.hub import Hub
from tidings.server.live.retain import retain_for_ever
from tidings.server.live.watch import watch_for_ever
from tidings.server.metrics import Metrics
from tidings.server.store import Committed, OnCommit, Store
from tidings.server.store.open import open_store

log = logging.getLogger("tidings.node")


class Node:
    """The parts that the routes work with. Use it in one event loop."""

    hub: Hub
    rates: Rates
    store: Store

    def __init__(
        self,
        config: Config,
        *,
        user: IdentifyUser | None = None,
        may_send: MaySend | None = None,
        people: People | None = None,
        report: TakeReport | None = None,
        owns_process: bool = False,
        open_store: Callable[[str, OnCommit], Store] = open_store,
        rng: random.Random | None = None,
    ) -> None:
        self.config = config
        self._open_store = open_store
        self.metrics = Metrics()
        self.refusals = Refusals(Addresses(config.trusted_proxies), self.metrics, monotonic)
        self.identity = choose_identity(config, user, self.metrics)
        self.trusted_origins = trusted_origins(config.cors_origins)
        self.takes_cookies = bool(config.session_cookie) or user is not None
        self.may_send = may_send
        self.people = people
        self.report = report
        self.takes_any_recipient = people is None or config.stranger_recipients
        self._owns_process = owns_process
        self._rng = rng or random.Random()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Lock | None = None
        self._running: asyncio.Task[None] | None = None
        self._host: HostShutdown | None = None
        self._ready_in: asyncio.AbstractEventLoop | None = None
        hide_tokens_in_access_log()

    async def ready(self, scope: Scope) -> None:
        """Return when the node runs in this event loop, starting it if need be; for this request.

        Raises:
            Unavailable: It cannot start; the reason is in the log.
        """
        if self._ready_in is asyncio.get_running_loop():
            return
        try:
            await self.start()
        except TidingsError as failure:
            log.error("cannot start: %s", failure)  # noqa: TRY400  # a sentence for the operator, not a defect
            raise Unavailable("unavailable", "The server cannot start; its log says why.", retry_after_s=5) from None
        if self._ready_in is None and self._host is not None and "server" in scope:
            self.hub.spawn(self._host.watch_listeners(scope))
        self._ready_in = self._loop

    async def start(self) -> None:
        """Open the store and start the hub; nothing if that is done.

        Raises:
            DatabaseTooNew, ConfigurationError: The database or a setting cannot be used.
            NotNow: The database is another process's, or nobody could sign in; starting again may help.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            await self._leave_former_loop()
            self._loop, self._starting = loop, asyncio.Lock()
        assert self._starting is not None
        async with self._starting:
            if self._running is not None:
                return
            store = self._open_store(self.config.db, self._committed)
            await store.start()
            self.store = store
            self.identity.remember(await store.revocations())
            self.metrics.write_queue.set_function(lambda: store.write_queue)
            self.metrics.database_bytes.set_function(lambda: store.size_bytes)
            self.hub = Hub(self.config, store, self.metrics, self._rng)
            self.rates = Rates(self.config, loop.time)
            started = loop.create_future()
            # Its context is not that of the first request: what runs for all is in nobody's name.
            self._running = loop.create_task(
                self.hub.run(lambda: started.set_result(None)), name="tidings", context=Context()
            )
            await started
            self.hub.spawn(retain_for_ever(self.config, store, self.metrics))
            self.hub.spawn(watch_for_ever(store, self.hub))
            # In somebody's application the rest of it works without a key server, and so it starts without one.
            await self.identity.start(self.hub.spawn, must_answer=self._owns_process)
            if not self._owns_process:
                self._host = HostShutdown(self._end_streams)

    async def stop(self) -> None:
        """End what runs, each stream with its goodbye, and close the store; nothing if that is done."""
        if self._host is not None:
            self._host.uninstall()
            self._host = None
        running = self._running
        if running is not None:
            await self.hub.drain(still_listens=False)
        if running is not None and running is self._running:
            self._running = self._ready_in = None
            running.cancel()
            await asyncio.wait([running])
            await self.store.close()

    async def revoke(self, user: UserId) -> int:
        """End what the user has open, within a second, and refuse whatever let them in until now; how many streams.

        Raises:
            Unavailable: It is done, and not known to be kept for after a restart.
        """
        until = self.identity.revoke(user)
        ended = await end_streams(self.hub, user)
        log.info("revoked user=%r streams=%d", user, ended)
        if until is not None:
            await self.store.revoke(user, until)
        return ended

    def _committed(self, events: Sequence[Committed]) -> None:
        begun = perf_counter()
        self.hub.committed(events)
        self.metrics.fanout_seconds.observe(perf_counter() - begun)

    def _end_streams(self) -> None:
        """The host's server is about to stop: it takes no more connections, and waits for those it has, so end them."""
        if self._running is not None:  # a signal's handler that somebody wrapped may outlive us
            self.hub.spawn(self.hub.drain(still_listens=False))

    async def _leave_former_loop(self) -> None:
        """Tests of a host run each request in a new event loop: what lived in the closed one starts anew."""
        if self._running is None:
            return
        if self._loop is not None and not self._loop.is_closed():
            raise RuntimeError("one Tidings works in one event loop")
        self._running = self._ready_in = None
        await self.store.close()
