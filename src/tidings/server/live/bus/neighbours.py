"""The other nodes of the database: their commits come here as hints, and ours go to them. See the rules of the bus.

Rules of this file
1. Bytes of anybody may come: they raise nothing, cost no more than their size, and end nothing that hears.
2. A node that was missed something of is asked who is there, until it was heard from beginning to end.
3. A node that says nothing for LATE_S is looked after by sweeps; for SILENT_S, it has gone, and its people with it. The
   database may know that it is there all the same: then the bus is split, and the sweeps go on.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from tidings.errors import Unavailable
from tidings.protocol.encoding import encode_json
from tidings.protocol.user_id import UserId, check_user_id
from tidings.server.live.bus import Bus, Hint, Parcel, Told, decode, encode
from tidings.server.live.bus.listener import Listener, Revoked
from tidings.server.live.bus.told import BYE, GONE, HELLO, HERE, PERISHABLE, REVOKE, ROLL, ROLL_END
from tidings.server.live.hub import Hub
from tidings.server.store import Committed

BEAT_INTERVAL_S = 1.0
LATE_S = 2.5  # two beats were lost, or the bus stands still and has not noticed it
SILENT_S = 4.0
STALE_S = 2.0  # what took so long to come, where others came at once, tells of what is over
NODES_WAIT_MAX_S = 0.5  # for the database: a beat waits behind it
HELLO_GAP_S = 2.0  # between two questions of ours to the same node
ROLL_GAP_S = 1.0  # between two answers, which all hear
CHANGES_GATHER_S = 0.05  # who came and went within it goes in one parcel
NEIGHBOURS_MAX = 256  # a database has some tens of connections for each; more are made up
PEOPLE_MAX = 50_000  # of one node, which has fewer streams
NODE_SIZE_BYTES = 4
FOR_STRANGERS = {HELLO, REVOKE}  # told also where nobody was heard yet who could hear it

_NOTHING = msgspec.Raw(b"null")
_ENVELOPE_SIZE_BYTES = 160  # of a parcel without hints

log = logging.getLogger("tidings.bus")


class Neighbour:
    """One of the other nodes, as far as it was heard."""

    def __init__(self, node: str, epoch: str) -> None:
        self.node = node
        self.epoch = epoch
        self.number = -1  # of its last parcel
        self.heard_at = 0.0
        self.asked_at = float("-inf")
        self.behind_s = float("inf")  # its clock and the shortest way, against ours
        self.people: set[UserId] = set()
        self.roll: set[UserId] | None = None  # who was named since the beginning of one
        self.is_certain = False  # people are all that are there
        self.is_away = False  # the database, for this node


class Neighbours:
    """The other nodes, as far as one of them knows."""

    def __init__(self, bus: Bus, hub: Hub, revoked: Revoked, missed: Callable[[], None]) -> None:
        self._bus = bus
        self._hub = hub
        self._missed = missed
        self._listener = Listener(hub, revoked)
        self._node = secrets.token_hex(NODE_SIZE_BYTES)
        self._number = 0  # of our last parcel
        self._known: dict[str, Neighbour] = {}
        self._elsewhere: Counter[UserId] = Counter()  # on how many other nodes
        self._told: list[Told] = []  # in this turn of the loop
        self._changed: dict[UserId, None] = {}
        self._rolled_at = float("-inf")
        metrics = hub.metrics
        metrics.bus_up.set_function(lambda: not bus.trouble)
        metrics.bus_neighbours.set_function(lambda: len(self._known))

    async def run(self) -> None:
        """Hear and be heard until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bus.run(self.hear, self._came_back))
            tasks.create_task(self._beat_for_ever())

    @property
    def trouble(self) -> str:
        """Return why no hints of other nodes come, for an operator; empty when they do."""
        return self._bus.trouble

    @property
    def are_all_away(self) -> bool:
        """Whether there are some, and the database is away for each of them, as they say."""
        return bool(self._known) and all(neighbour.is_away for neighbour in self._known.values())

    def publish(self, events: Sequence[Committed]) -> None:
        """Tell the others of a commit."""
        if not self._known:
            self._number += 1  # who hears us and is not heard finds a hole
            return
        self._send(
            [
                Hint(user, event.position, event.tag, event.type, msgspec.Raw(encode_json(event.data)))
                for user, event in events
            ],
            [],
        )

    def tell(self, kind: str, to: str, about: str = "") -> None:
        """Tell the others what is in no log, with all that is told in this turn of the loop."""
        if not self._told:
            self._hub.loop.call_soon(self._flush)
        self._told.append((kind, to, about))

    def has(self, user: UserId) -> bool:
        """Whether this user has a stream or poll on another node."""
        return user in self._elsewhere

    def changed(self, user: UserId) -> None:
        """The first stream or poll of a user came here, or the last went."""
        if not self._changed:
            self._hub.loop.call_later(CHANGES_GATHER_S, self._tell_changes)
        self._changed[user] = None

    def leave(self) -> None:
        """Say good-bye."""
        self.tell(BYE, "")
        self._flush()

    # What comes

    def hear(self, body: bytes) -> None:
        """Take whatever came on the bus."""
        try:
            parcel = decode(body)
            if parcel.node != self._node:
                self._take(parcel)
        except ValueError as wrong:  # of a later version, or of a stranger: from whom it was, or what, nobody knows
            log.debug("a parcel that cannot be read: %s", wrong)
            self._gap(None)
        except Exception:  # a defect of ours: the bus goes on
            log.exception("a parcel could not be taken")
            self._gap(None)

    def _take(self, parcel: Parcel) -> None:
        self._hub.metrics.bus_heard.inc()
        neighbour, now = self._known.get(parcel.node), self._hub.loop.time()
        if neighbour is None and len(self._known) >= NEIGHBOURS_MAX:
            return self._hub.heard(parcel.epoch, parcel.hints)
        if neighbour is None:
            neighbour = self._meet(parcel)
        neighbour.heard_at = now
        neighbour.is_away = parcel.is_away
        neighbour.behind_s = min(neighbour.behind_s, now - parcel.at)
        expected = neighbour.number + bool(parcel.hints or parcel.told)
        is_old = parcel.number < expected
        if parcel.number > expected:
            self._gap(neighbour)
        neighbour.number = max(neighbour.number, parcel.number)
        if parcel.epoch != neighbour.epoch:
            neighbour.epoch = parcel.epoch
            self._gap(neighbour)  # and the sweep reads the database's own
        self._hub.heard(parcel.epoch, parcel.hints)
        if is_old:  # doubled, or overtaken
            return
        if parcel.epoch != self._hub.epoch:
            if parcel.told:
                self._gap(neighbour)
            return
        told_at = parcel.at + neighbour.behind_s  # by our clock
        for kind, to, about in parcel.told:
            if now - told_at <= STALE_S or kind not in PERISHABLE:
                self._hear_told(neighbour, kind, to, about, told_at)

    def _meet(self, parcel: Parcel) -> Neighbour:
        neighbour = self._known[parcel.node] = Neighbour(parcel.node, parcel.epoch)
        neighbour.number = parcel.number - bool(parcel.hints or parcel.told)
        self._look()  # at what it published before
        self._ask(neighbour)
        return neighbour

    def _gap(self, neighbour: Neighbour | None) -> None:
        """Something of a neighbour, or of nobody knows whom, was missed."""
        self._hub.metrics.bus_gaps.inc()
        if neighbour is not None:
            neighbour.roll, neighbour.is_certain = None, False
        self._look()

    def _look(self) -> None:
        """See in the database what was perhaps not heard."""
        self._hub.sweep_soon()
        self._missed()

    def _came_back(self) -> None:
        self._beat()
        self.tell(HELLO, "")
        self._look()

    # Who is where

    def _hear_told(self, neighbour: Neighbour, kind: str, to: str, about: str, told_at: float) -> None:
        match kind:
            case "hello":
                if to in ("", self._node):
                    self._call_roll()
            case "bye":
                self._forget(neighbour)
            case "roll":
                neighbour.roll = set()
            case "roll_end":
                if neighbour.roll is not None:
                    for user in neighbour.people - neighbour.roll:
                        self._gone(neighbour, user)
                    neighbour.roll, neighbour.is_certain = None, True
            case "here":
                self._here(neighbour, check_user_id(to))
            case "gone":
                user = check_user_id(to)
                self._here(neighbour, user)  # until now, perhaps for less than it takes to tell
                self._gone(neighbour, user)
            case _:
                self._listener.hear(kind, to, about, told_at)

    def _here(self, neighbour: Neighbour, user: UserId) -> None:
        if neighbour.roll is not None:
            neighbour.roll.add(user)
        if user not in neighbour.people and len(neighbour.people) < PEOPLE_MAX:
            neighbour.people.add(user)
            self._elsewhere[user] += 1
            if self._elsewhere[user] == 1:
                self._hub.arrived_elsewhere(user)

    def _gone(self, neighbour: Neighbour, user: UserId) -> None:
        if neighbour.roll is not None:
            neighbour.roll.discard(user)
        if user in neighbour.people:
            neighbour.people.discard(user)
            self._elsewhere[user] -= 1
            if self._elsewhere[user] == 0:
                del self._elsewhere[user]
                self._hub.left_elsewhere(user)

    def _forget(self, neighbour: Neighbour) -> None:
        self._known.pop(neighbour.node, None)
        for user in list(neighbour.people):
            self._gone(neighbour, user)

    def _ask(self, neighbour: Neighbour) -> None:
        neighbour.asked_at = self._hub.loop.time()
        self.tell(HELLO, neighbour.node)

    def _call_roll(self) -> None:
        """Tell everybody who is here, once for all who ask now."""
        now = self._hub.loop.time()
        if now - self._rolled_at >= ROLL_GAP_S:
            self._rolled_at = now
            self._tell_changes()
            self._told += [(ROLL, "", ""), *((HERE, user, "") for user in self._hub.people()), (ROLL_END, "", "")]
            self._flush()

    def _tell_changes(self) -> None:
        changed, self._changed = self._changed, {}
        for user in changed:
            self.tell(HERE if self._hub.find(user) else GONE, user)

    # What goes

    def _flush(self) -> None:
        told, self._told = self._told, []
        if told and (self._known or any(kind in FOR_STRANGERS for kind, _, _ in told)):
            self._send([], told)
        elif told:
            self._number += 1

    def _send(self, hints: list[Hint], told: list[Told]) -> None:
        size_max = self._bus.body_size_max_bytes
        body = self._body(self._number + 1, hints, told)
        if len(body) <= size_max:
            self._number += 1
            self._hub.metrics.bus_published.inc()
            self._bus.publish(body)
        elif len(hints) + len(told) > 1:
            for some_hints, some_told in _split(hints, told, size_max - _ENVELOPE_SIZE_BYTES):
                self._send(some_hints, some_told)
        elif hints and hints[0].type is not None:
            (long,) = hints
            self._send([Hint(long.user, long.position, long.tag, None, _NOTHING)], [])
        else:
            self._number += 1  # it cannot be told, and there is a hole

    def _beat(self) -> None:
        self._bus.publish(self._body(self._number, [], []))

    def _body(self, number: int, hints: list[Hint], told: list[Told]) -> bytes:
        hub = self._hub
        return encode(Parcel(self._node, number, hub.epoch, hints, told, hub.loop.time(), bool(hub.store_trouble)))

    async def _beat_for_ever(self) -> None:
        counted, has_vanished = 0, False
        while True:
            self._beat()
            await asyncio.sleep(BEAT_INTERVAL_S)
            dropped = self._bus.dropped
            self._hub.metrics.bus_dropped.inc(dropped - counted)
            counted = dropped
            now = self._hub.loop.time()
            for neighbour in list(self._known.values()):
                silent_s = now - neighbour.heard_at
                if silent_s > SILENT_S:
                    self._forget(neighbour)
                    has_vanished = True
                elif silent_s > LATE_S:
                    self._hub.sweep_soon()
                elif not neighbour.is_certain and now - neighbour.asked_at > HELLO_GAP_S:
                    self._ask(neighbour)
            if has_vanished:
                has_vanished = await self._are_others_unheard()
            if self._bus.trouble or has_vanished:
                self._hub.sweep_soon()

    async def _are_others_unheard(self) -> bool:
        """Whether the database has more nodes than are heard, or cannot say so."""
        try:
            async with asyncio.timeout(NODES_WAIT_MAX_S):
                return await self._hub.store.nodes() - 1 > len(self._known)
        except (Unavailable, TimeoutError):
            return True


def _split(hints: list[Hint], told: list[Told], size_max: int) -> list[tuple[list[Hint], list[Told]]]:
    """The same in parts of so many bytes at most; what is longer by itself is a part of its own."""
    parts: list[tuple[list[Hint], list[Told]]] = [([], [])]
    left = size_max
    for each in (*hints, *told):
        size = len(encode(each)) + 1
        if size > left and left < size_max:
            parts.append(([], []))
            left = size_max
        left -= size
        (parts[-1][0] if isinstance(each, Hint) else parts[-1][1]).append(each)  # type: ignore[arg-type]
    return parts
