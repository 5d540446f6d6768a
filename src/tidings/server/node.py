"""One node: the store, the hub and the limits of one server process, and their life.

It starts on the first request, or earlier where somebody calls ``start``: a mounted application gets no lifespan
events. Everything that runs beside the requests belongs to one task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextvars import Context

from starlette.types import Scope

from tidings.errors import ConfigurationError, DatabaseAway, TidingsError, Unavailable
from tidings.protocol.user_id import UserId
from tidings.server.config import Config
from tidings.server.host.functions import MaySend, People, SearchPeople, TakeReport
from tidings.server.host.shutdown import HostShutdown
from tidings.server.identity.access_log import hide_tokens_in_access_log
from tidings.server.identity.address import Addresses
from tidings.server.identity.auth import IdentifyUser, choose_identity
from tidings.server.identity.cross_site import trusted_origins
from tidings.server.identity.rates import Rates
from tidings.server.identity.refusals import Refusals
from tidings.server.identity.service_keys import ServiceKeys
from tidings.server.live.bus import Bus
from tidings.server.live.bus.neighbours import Neighbours
from tidings.server.live.bus.open import open_bus
from tidings.server.live.bus.told import REVOKE
from tidings.server.live.ending import end_streams, end_streams_of_keys
from tidings.server.live.hub import Hub
from tidings.server.live.outbox import move_for_ever
from tidings.server.live.profiles import Profiles
from tidings.server.live.retain import retain_for_ever
from tidings.server.live.watch import watch_for_ever
from tidings.server.metrics import Metrics
from tidings.server.store import Committed, OnCommit, Store
from tidings.server.store.open import is_postgres, open_maintenance, open_store

REVOCATIONS_LOOK_INTERVAL_S = 60.0  # one that another node kept and nobody heard of holds here, too, within it
REVOCATIONS_LOOK_PAUSE_S = 0.5  # between two looks, however many gaps there are
REVOCATIONS_LOOK_BACK_S = 86_400.0  # what is older is known; clocks of nodes differ by less
AWAY_KEPT_S = 1.0  # who asks while the database is away is told so of the last try: each takes some seconds

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
        search_people: SearchPeople | None = None,
        report: TakeReport | None = None,
        owns_process: bool = False,
        open_store: Callable[[str, OnCommit], Store] = open_store,
        open_bus: Callable[[Config], Bus | None] = open_bus,
        rng: random.Random | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.config = config
        self._open_store = open_store
        self.metrics = metrics or Metrics()
        self._open_bus = open_bus
        self.refusals = Refusals(Addresses(config.trusted_proxies), self.metrics, time.monotonic)
        self.service_keys = ServiceKeys(config, self.metrics)
        self.profiles = Profiles() if people is None and user is None else None
        note_profile = None if self.profiles is None else self.profiles.note
        self.identity = choose_identity(config, user, self.metrics, self.service_keys, note_profile)
        self.trusted_origins = trusted_origins(config.cors_origins)
        self.takes_cookies = bool(config.session_cookie) or user is not None
        self.may_send = may_send
        self.people = people
        self.search_people = search_people
        self.report = report
        self.takes_any_recipient = people is None or config.stranger_recipients
        self._owns_process = owns_process
        self._rng = rng or random.Random()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Lock | None = None
        self._running: asyncio.Task[None] | None = None
        self._moving: asyncio.Task[None] | None = None
        self._host: HostShutdown | None = None
        self._has_others = False
        self._revoked: dict[UserId, float] = {}  # until when, as far as this node knows; of the last day
        self._ready_in: asyncio.AbstractEventLoop | None = None
        self._away: DatabaseAway | None = None
        self._away_until = 0.0
        self._complaint = ""  # that was told last, until it starts
        hide_tokens_in_access_log()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it runs, or was asked to start."""
        return self._loop

    @property
    def epoch(self) -> str | None:
        """The identity of the database's history, where this node has it."""
        return None if self._running is None else self.store.epoch

    async def ready(self, scope: Scope) -> None:
        """Return when the node runs in this event loop, starting it if need be; for this request.

        Raises:
            Unavailable: It cannot start; the reason is in the log.
        """
        if self._ready_in is asyncio.get_running_loop():
            return
        await self.start_or_refuse()
        if self._ready_in is None and self._host is not None and "server" in scope:
            self.hub.spawn(self._host.watch_listeners(scope))
        self._ready_in = self._loop

    async def start_or_refuse(self) -> None:
        """Return when the node runs, starting it if need be; for those who are not to know why it does not.

        Raises:
            Unavailable: It cannot start; the reason is in the log.
        """
        try:
            await self.start()
        except TidingsError as failure:
            self._note(failure)
            raise _cannot_start() from None

    async def started(self) -> None:
        """Return when the node runs, starting it if need be; for the host's own code.

        Raises:
            DatabaseTooNew, ConfigurationError, NotNow: As ``start``.
            Unavailable: The database is away; asked again, it is looked for again.
        """
        try:
            await self.start()
        except DatabaseAway as failure:
            self._note(failure)
            raise _cannot_start() from None

    async def start_if_there(self) -> None:
        """Start, but where the database is away leave that to the first request: all else of an application works.

        Raises:
            DatabaseTooNew, ConfigurationError, NotNow: As ``start``.
        """
        with contextlib.suppress(Unavailable):
            await self.started()

    async def start(self) -> None:
        """Open the store and start the hub; nothing if that is done.

        Raises:
            DatabaseTooNew, ConfigurationError: The database or a setting cannot be used.
            DatabaseAway: The database cannot be reached; all who ask within AWAY_KEPT_S are told so.
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
            if self._away is not None and loop.time() < self._away_until:
                raise self._away.with_traceback(None)
            bus = self._open_bus(self.config)
            try:
                self.store = store = await self._open()
            except DatabaseAway as failure:
                self._away, self._away_until = failure, loop.time() + AWAY_KEPT_S
                raise
            if self._complaint:
                log.info("started: the reason why it could not is gone")
            self._away, self._complaint = None, ""
            self._look_soon = asyncio.Event()
            self._has_others = bus is not None
            self.metrics.write_queue.set_function(lambda: store.write_queue)
            self.metrics.database_bytes.set_function(lambda: store.size_bytes)
            self.metrics.database.figures = lambda: store.figures
            self.hub = Hub(self.config, store, self.metrics, self._rng)
            self.rates = Rates(self.config, loop.time)
            self.service_keys.start(store, self.hub.spawn, self._keys_ended)
            started = loop.create_future()
            # Its context is not that of the first request: what runs for all is in nobody's name.
            self._running = loop.create_task(
                self.hub.run(lambda: started.set_result(None)), name="tidings", context=Context()
            )
            await started
            if bus is not None:
                self.hub.others = neighbours = Neighbours(bus, self.hub, self._revoked_elsewhere, self._look_soon.set)
                self.hub.spawn(neighbours.run())
                self.hub.spawn(self._look_for_revocations())
            self.hub.spawn(retain_for_ever(self.config, store, self.metrics))
            self.hub.spawn(watch_for_ever(store, self.hub))
            if self.profiles is not None:
                self.hub.spawn(self.profiles.keep_for_ever(store))
            self._moving = self.hub.spawn(move_for_ever(self.config, store, self.metrics))
            # In somebody's application the rest of it works without a key server, and so it starts without one.
            await self.identity.start(self.hub.spawn, must_answer=self._owns_process)
            if not self._owns_process:
                self._host = HostShutdown(self._end_streams)

    async def _open(self) -> Store:
        if not self.config.migrate:
            await asyncio.to_thread(_check_schema, self.config.db)
        store = self._open_store(self.config.db, self._committed)
        await store.start()
        try:
            self._revoked = await store.revocations()
        except Unavailable as failure:
            await store.close()
            raise DatabaseAway(f"db (TIDINGS_DB): {failure.detail}") from failure
        self.identity.remember(self._revoked)
        return store

    def _note(self, failure: TidingsError) -> None:
        """A line for each reason, and not for each request."""
        if str(failure) != self._complaint:
            self._complaint = str(failure)
            log.error("cannot start: %s", failure)

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
            if self._moving is not None:
                self._moving.cancel()
                await asyncio.wait([self._moving])  # the others are told of its last move
            self.hub.others.leave()
            running.cancel()
            await asyncio.wait([running])
            await self.store.close()

    async def revoke(self, user: UserId) -> int:
        """End what the user has open, within a second, and refuse whatever let them in until now; how many streams.

        Raises:
            Unavailable: It is done, and not known to be kept for after a restart.
        """
        until = self.identity.revoke(user)
        if self._has_others:
            until = time.time() if until is None else until  # another node may have to find it in the database
            self._revoked[user] = until
            self.hub.others.tell(REVOKE, user, repr(until))
        ended = await end_streams(self.hub, user)
        log.info("revoked user=%r streams=%d", user, ended)
        if until is not None:
            await self.store.revoke(user, until)
            if self._has_others:  # a node that missed the first may have looked before it was kept
                self.hub.others.tell(REVOKE, user, repr(until))
        return ended

    def _revoked_elsewhere(self, user: UserId, until: float) -> None:
        """Another node was told to: end the same here, unless that is done."""
        if until > self._revoked.get(user, 0.0):
            self._revoked[user] = until
            self.identity.revoke(user, until)
            self.hub.spawn(self._end_streams_of(user))

    def _keys_ended(self, digests: set[bytes]) -> None:
        self.hub.spawn(end_streams_of_keys(self.hub, digests))

    async def _end_streams_of(self, user: UserId) -> None:
        ended = await end_streams(self.hub, user)
        log.info("revoked user=%r streams=%d", user, ended)

    async def _look_for_revocations(self) -> None:
        """Read those that no other node was heard to tell of: after a gap, and each REVOCATIONS_LOOK_INTERVAL_S."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REVOCATIONS_LOOK_INTERVAL_S):
                    await self._look_soon.wait()
            self._look_soon.clear()
            since = time.time() - REVOCATIONS_LOOK_BACK_S
            try:
                found = await self.store.revocations(since)
            except Unavailable as failure:
                log.debug("the revocations cannot be read: %s", failure.detail)
                self._look_soon.set()
            else:
                for user, until in found.items():
                    self._revoked_elsewhere(user, until)
                self._revoked = {user: until for user, until in self._revoked.items() if until > since}
            await asyncio.sleep(REVOCATIONS_LOOK_PAUSE_S)

    def _committed(self, events: Sequence[Committed]) -> None:
        begun = time.perf_counter()
        self.hub.committed(events)
        self.metrics.fanout_seconds.observe(time.perf_counter() - begun)

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


def _cannot_start() -> Unavailable:
    return Unavailable("unavailable", "The server cannot start; its log says why.", retry_after_s=5)


def _check_schema(db: str) -> None:
    """Return when nothing is to be migrated.

    Raises:
        ConfigurationError: Something is; the text says by which command.
    """
    schema = open_maintenance(db).schema()
    if schema.found < schema.known:
        after = f" --from {schema.found}" if schema.found else ""
        script = f", or have the script run of: tidings migrate --sql{after}" if is_postgres(db) else ""
        raise ConfigurationError(
            f"db (TIDINGS_DB) has schema version {schema.found}, this Tidings needs {schema.known}, and migrate"
            f" (TIDINGS_MIGRATE) is off; run: tidings migrate{script}"
        )
