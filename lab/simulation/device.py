"""A device: the product's Python client on a simulated link, and a disk of its own that outlives its crashes.

Two ways of reading: the client's ``AsyncFeed`` over event streams, or long polls with the client's ``Call``. The device
writes to its disk the things that the client's documentation tells a program to store: state, and ``feed.cursor``.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import httpx2
import jwt
import msgspec

from lab.simulation.conversation import State
from lab.simulation.network import API, Connection, Link, Transport
from tidings.client import call
from tidings.client.async_client import AsyncClient
from tidings.client.async_feed import AsyncFeed
from tidings.client.call import Call, Caller
from tidings.client.core import Event
from tidings.client.following import ConnectionState
from tidings.client.outbox import Outbox
from tidings.client.token import AsyncTokenSource
from tidings.errors import ClientError, ServerProblem
from tidings.protocol.cursor import parse_cursor
from tidings.protocol.events import RESET
from tidings.protocol.shapes import HistoryPage

if TYPE_CHECKING:
    from lab.simulation.world import World

SECRET = "simulated" * 4
POLL_WAIT_S = 10
LOAD_RETRY_S = 0.5


class SimulatedClient(AsyncClient):
    """The product's client over a simulated link."""

    def __init__(self, device: Device) -> None:
        self._url = API
        self._tokens = AsyncTokenSource(device.token)
        self._caller = Caller()
        self._deadline_s = device.rng.choice([5.0, 60.0])
        self.outbox = device.outbox
        self._turns = {}
        self._http = httpx2.AsyncClient(transport=Transport(device.world, device.link, device.user), trust_env=False)

    def tab_events(self, tab: str, cursor: str | None, on_state: Any) -> AsyncFeed:
        """``events`` under the name of a tab."""
        feed = AsyncFeed(lambda: self._http, API, self._tokens, cursor=cursor, on_state=on_state)
        feed._tab = tab
        return feed

    async def ask(self, asked: Call[Any]) -> Any:
        """Any call, under the client's own retry policy."""
        return await self._exchange(asked)

    async def end(self) -> None:
        """Close what is open; the outbox is on the disk and stays."""
        await self._http.aclose()


class _Poll(msgspec.Struct):
    events: list[dict[str, Any]]
    cursor: str
    has_more: bool
    reset: dict[str, Any] | None = None


class Device:
    """One installation of a user's client."""

    def __init__(self, world: World, user: str, name: str, *, tab: str, polls: bool) -> None:
        self.world = world
        self.user = user
        self.name = name
        self.tab = tab
        self.polls = polls
        self.rng = random.Random(world.rng.getrandbits(64))
        self.link = Link(world, name, random.Random(world.rng.getrandbits(64)))
        self.outbox = Outbox(":memory:")
        self.begins_with_stream = self.rng.random() < 0.4
        self.saved: tuple[State, str | None] = (State(user), None)
        self.state = State(user)
        self.position: int | None = None
        self.live_since: float | None = None
        self.client: SimulatedClient | None = None
        self._cursor: str | None = None
        self._feed: AsyncFeed | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._loading: asyncio.Task[None] | None = None
        self.asking = 0  # calls and sends that are not answered yet
        self._count = 0

    @property
    def is_on(self) -> bool:
        """The program runs."""
        return self.client is not None

    @property
    def is_loading(self) -> bool:
        """Snapshots are being read."""
        return self.is_on and not self.state.is_whole

    @property
    def cursor(self) -> str | None:
        """Return the cursor that a program stores."""
        return self._feed.cursor if self._feed is not None else self._cursor

    @property
    def stream(self) -> Connection | None:
        """Its open event stream on the network, if it has told where it is."""
        return next((each for each in reversed(self.link.connections) if each.stream_epoch), None)

    def token(self) -> str:
        """A new token, for some seconds or for long."""
        ttl_s = self.rng.choice([20, 300, 100_000])
        claims = {"sub": self.user, "exp": int(self.world.clock.wall()) + ttl_s, **self.world.claims()}
        return jwt.encode(claims, SECRET, "HS256")

    def start(self) -> None:
        """Start the program from what is on its disk."""
        if self.is_on:
            return
        saved, cursor = self.saved
        self.state, self._cursor = saved.copy(), cursor
        self.position = None if cursor is None else _position(cursor)
        self.world.trace("on", self.name, self.position)
        self.client = SimulatedClient(self)
        self.spawn(self._live(self.client))
        self.spawn(self._flush(self.client))

    def save(self) -> None:
        """Write to the disk what is known and where to go on."""
        if self.is_on:
            self.saved = (self.state.copy(), self.cursor)

    async def crash(self) -> None:
        """The program ends between two instructions."""
        client, self.client = self.client, None
        if client is None:
            return
        self.world.trace("off", self.name, self.position)
        self.link.cut(is_noticed=self.rng.random() < 0.5)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await client.end()
        self._feed = self.live_since = self._loading = None

    def forget(self) -> None:
        """Lose the disk: a new installation. Unsent messages stay, to be counted."""
        self.saved = (State(self.user), None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something for as long as the program runs; what it raises is a defect."""
        task = self.world.loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self.world.wrong(f"{self.name}: the client raised {failure!r}")

    # Writing.

    async def say(self, peer: str) -> None:
        """Write to somebody through the outbox; what is not acknowledged stays in it."""
        self._count += 1
        client_id, client = f"{self.name}.{self._count}", self.client
        assert client is not None
        text = f"{client_id} " + "x" * self.rng.choice([0, 10, 300])
        self.world.said[self.user, client_id] = (peer, text)
        with self._asking():
            try:
                await client.send(peer, text, client_id=client_id)
            except ClientError as failure:
                self._check_temporary(failure)

    async def repeat(self, client_id: str) -> None:
        """Send again what was acknowledged: the server's answer is held against the first one."""
        peer, text = self.world.said[self.user, client_id]
        await self.attempt(call.send(peer, text, client_id, "text"))

    async def reuse(self, client_id: str) -> None:
        """The same ``client_id`` for another text is a conflict, and nothing is written."""
        peer, text = self.world.said[self.user, client_id]
        stored = self.world.truth.messages.get(self.world.acknowledged.get((self.user, client_id), 0))
        if stored is None or stored.text != text:
            return  # a restore took it away since it was chosen: the id is free, or another text has it
        rewinds = self.world.host.rewinds
        answer = await self.attempt(call.send(peer, text + " other", client_id, "text"), 409)
        if answer is not None and rewinds == self.world.host.rewinds:
            self.world.wrong(f"I1: {client_id} was taken for two texts")

    async def mark(self, peer: str, *, is_read: bool) -> None:
        """Tell how far one has got: mostly the last message, sometimes an earlier one."""
        conversation = self.state.conversations.get(peer)
        if conversation is None or not conversation.messages:
            return
        last = max(conversation.messages)
        upto = last if self.rng.random() < 0.6 else self.rng.randint(1, last)
        name = "read_upto" if is_read else "delivered_upto"
        await self.attempt(call.receipts(peer, **{name: upto}), 404)

    async def look_up(self, asked: Call[Any]) -> None:
        """Ask for something; the answer is looked at where it leaves the server."""
        await self.attempt(asked)

    async def attempt(self, asked: Call[Any], *expected: int) -> Any:
        """Make a call; None if it came to nothing. Any refusal for good but ``expected`` is a defect."""
        client = self.client
        assert client is not None
        with self._asking():
            try:
                return await client.ask(asked)
            except ServerProblem as problem:
                if problem.status not in expected:
                    self._check_temporary(problem)
            except ClientError:
                pass
        return None

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        self.asking += 1
        try:
            yield
        finally:
            self.asking -= 1

    async def _flush(self, client: SimulatedClient) -> None:
        while True:
            if self.outbox.waiting():
                try:
                    await client.flush()
                except ClientError as failure:
                    self._check_temporary(failure)
            await asyncio.sleep(self.rng.uniform(2.0, 6.0))

    def _check_temporary(self, failure: ClientError) -> None:
        if not isinstance(failure, ServerProblem) or failure.status in (401, 408, 429, 503):
            return
        if failure.status != 409 or not self.world.is_retaken(self.user):
            self.world.wrong(f"{self.name}: refused for good: {failure}")

    # Reading.

    async def _live(self, client: SimulatedClient) -> None:
        if self._cursor is None and not self.begins_with_stream:
            await self._load()
        elif self._cursor is not None and not self.state.is_whole:
            self._begin_loading()
        if self.polls:
            await self._take_all(self._poll(client))
            return
        feed = client.tab_events(self.tab, self._cursor, self._on_state)
        async with feed:
            self._feed = feed
            await self._take_all(feed)

    def _on_state(self, state: ConnectionState) -> None:
        self.live_since = None
        if state.status == "connected":
            self.live_since = self.world.clock.now_s
            self._found_place()

    def _found_place(self) -> None:
        if self.position is None and self.cursor is not None:
            self.position = _position(self.cursor)
        if not self.state.is_whole:
            self._begin_loading()

    async def _take_all(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            if self.rng.random() < 0.1:
                await asyncio.sleep(self.rng.uniform(0.0, 0.2))  # it takes a while to apply
            self._take(event)
            if self.rng.random() < 0.02:
                self.save()

    def _take(self, event: Event) -> None:
        if event.type == RESET:
            assert event.cursor is not None
            self.world.trace("reset", self.name, event.data["reason"], _position(event.cursor))
            self.state.begin_anew(event.cursor)
            self.position = _position(event.cursor)
            if self._loading is not None:
                self._loading.cancel()
                self._loading = None
            self._begin_loading()
            return
        if event.cursor is None:
            return
        cursor = parse_cursor(event.cursor)
        assert cursor is not None
        self.world.trace("got", self.name, cursor.position)
        if self.position is None and self.live_since is None:
            # Without a cursor a poll begins at the head that it meets, then waits: its first event says where.
            self.position = cursor.position - 1
        if self.position is None or cursor.position != self.position + 1:
            self._wrong(f"I4: event {cursor.position} was handed out after {self.position}")
        if self.state.epoch not in ("", cursor.epoch) and cursor.epoch == self.world.truth.epoch:
            self._wrong("I4: an event of another history came without a reset")
        self.position = cursor.position
        if self.state.epoch in ("", cursor.epoch):
            self.state.epoch = cursor.epoch
            self.state.apply(event.type, event.data, cursor.position, self._forgiving)
        if not self.state.is_whole:
            self._begin_loading()

    def _wrong(self, what: str) -> None:
        self.world.wrong(f"{self.name}: {what}")

    def _forgiving(self, what: str) -> None:
        """Tell of a misfit, unless it is of a history that is no more: a reset will take it away."""
        if self.state.epoch == self.world.truth.epoch and not self.world.doubts(None):
            self._wrong(what)

    async def _poll(self, client: SimulatedClient) -> AsyncIterator[Event]:
        while True:
            query = {
                "cursor": self._cursor,
                "wait": self.rng.choice([0, POLL_WAIT_S, POLL_WAIT_S]),
                "limit": self.rng.choice([2, 200]),
            }
            asked = Call("GET", "/events/me", lambda body: msgspec.json.decode(body, type=_Poll), query=query)
            try:
                page: _Poll = await client.ask(asked)
            except ClientError as failure:
                self._check_temporary(failure)
                continue
            if page.reset is not None:
                yield Event(RESET, page.reset, page.cursor)
            for event in page.events:
                yield Event(event["type"], event["data"], event["id"])
                self._cursor = event["id"]
            self._cursor = page.cursor
            self._found_place()
            if not page.has_more and not query["wait"]:
                await asyncio.sleep(self.rng.uniform(3.0, 15.0))

    def _begin_loading(self) -> None:
        if self._loading is None:
            self._loading = self.spawn(self._load())

    async def _load(self) -> None:
        """Read the snapshots; again, if the history they are of is not the one that the events are of."""
        client = self.client
        assert client is not None
        while not self.state.is_whole:
            generation = self.state.generation
            try:
                loaded, cursor = await self._read_snapshots(client)
            except ClientError as failure:
                self._check_temporary(failure)
                await asyncio.sleep(LOAD_RETRY_S)
                continue
            epochs = {parse_cursor(page.cursor).epoch for page, _older in loaded.values()} | {cursor.partition("-")[0]}  # type: ignore[union-attr]
            if generation == self.state.generation and len(epochs) == 1 and epochs <= {self.state.epoch or min(epochs)}:
                self.state.epoch = min(epochs)
                for peer, (page, older) in loaded.items():
                    self.state.lay_under(peer, page, older)
                self.state.is_whole = not self.state.lacks_past
                self.world.trace("loaded", self.name, _position(cursor))
                if self._cursor is None and self._feed is None:
                    self._cursor, self.position = cursor, _position(cursor)
            else:
                await asyncio.sleep(LOAD_RETRY_S)
        self._loading = None

    async def _read_snapshots(
        self, client: SimulatedClient
    ) -> tuple[dict[str, tuple[HistoryPage, list[HistoryPage]]], str]:
        loaded: dict[str, tuple[HistoryPage, list[HistoryPage]]] = {}
        cursor, before = "", None
        while True:
            page = await client.inbox(before=before)
            cursor = cursor or page.cursor
            for line in page.conversations:
                loaded[line.user.id] = await self._read_history(client, line.user.id)
            if not page.has_more:
                for peer in [peer for peer in self.state.conversations if peer not in loaded]:
                    loaded[peer] = await self._read_history(client, peer)
                return loaded, cursor
            before = page.conversations[-1].position

    async def _read_history(self, client: SimulatedClient, peer: str) -> tuple[HistoryPage, list[HistoryPage]]:
        newest = oldest = await client.history(peer)
        older: list[HistoryPage] = []
        while oldest.has_more:
            oldest = await client.history(peer, before=oldest.messages[0].seq)
            older.append(oldest)
        return newest, older


def _position(cursor: str) -> int:
    parsed = parse_cursor(cursor)
    assert parsed is not None
    return parsed.position
