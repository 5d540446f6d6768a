"""One run of several nodes."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from lab.simulation.limits import Limits
from lab.simulation.nodes.cluster import URL, Cluster, ClusterNode
from lab.simulation.nodes.endings import Endings
from lab.simulation.nodes.outbox import Application
from lab.simulation.nodes.process import Process, ProcessLoop
from lab.simulation.world import World
from tidings.protocol.events import KIND_MESSAGE
from tidings.server.live.bus import carrier, notify
from tidings.server.store import limits
from tidings.server.store.postgres import link, store, writer

if TYPE_CHECKING:
    import random

    from lab.simulation.device import Device
    from lab.simulation.network import Connection

COMMITTED_WITHIN_S = 8.0  # a lost parcel is noticed by the next beat that comes, or the one after
HINTED_WITHIN_S = 3.0  # where none is lost; a node that has just started is heard of with its first or second beat
LOOK_EVERY_S = 0.5
TURNED_S = 5.0  # after which a new epoch is an old one
CUT_WITHIN_S = 1.0  # a stream of the former history, by a node that is in the next one: in a task, but at once
ADOPTED_WITHIN_S = 6.0  # a new epoch, by a node that reaches the database: it looks each second
EPOCH_WITHIN_S = 12.0  # begins after the database went back

# What the product logs as an error when a fault of ours asks for it.
EXPECTED = (
    "an event that was handed out is another one in the database: its readers begin anew",
    "the database cannot be used: %s",
    "the database cannot be read: %s",
    "the epoch of the database is now %s: every reader begins anew",
    "acknowledged messages are gone from the database: it was rolled back",
    "the database did not wait for its standby: %d writes are not known to be kept",
    "the database did not wait for its standby: %d moves are not known to be kept",
    "a look at the store failed; the next one makes up for it",
    "the sweep failed; the next one makes up for it",
    "a task of the hub failed",
)


class NodesLimits(Limits):
    """The sizes of a run of several nodes."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._constants += [
            (writer, "WRITER_BATCH_MAX", rng.choice([1, 4, 256])),
            (store, "TRIM_SLICE_EVENTS", rng.choice([2, 1000])),
            (limits, "TRIM_USERS_AT_ONCE", rng.choice([1, 500])),
            (notify.NotifyBus, "body_size_max_bytes", rng.choice([600, 7_900])),
            (carrier, "QUEUE_MAX", rng.choice([3, 1_000])),
        ]


class Doubt:
    """The database went back without a word, and its epoch is still that of before."""

    def __init__(self, epoch: str, witnesses: list[ClusterNode], now_s: float) -> None:
        self.epoch = epoch
        self.witnesses = witnesses  # nodes whose last commit is gone: each of them must notice
        self.since = now_s


class NodesWorld(World):
    """Everything of one seed of several nodes."""

    same_tab = 0.3
    loop: ProcessLoop
    host: Cluster  # type: ignore[assignment]

    def prepare(self, directory: Path) -> None:
        self.doubt: Doubt | None = None
        self.host = Cluster(self, directory)
        self.config = self.limits.config(URL)
        self.application = Application(self, URL)
        self.endings = Endings(self)
        self.revokes = self.rng.random() < 0.6
        self.truth.may_change_epoch = True
        self.told_at: dict[tuple[str, int, int], float] = {}  # by user, position and tag
        self._tellers: dict[tuple[str, int, int], Process] = {}  # likewise
        self._differs_since: dict[ClusterNode, float] = {}
        self._former_since: dict[Connection, float] = {}
        self._epoch = ""
        self._turned_at = 0.0  # when some node was in another epoch last

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Let the product connect to the simulated database."""
        connect = self.host.database.connect
        with patch.object(link, "connect", connect), patch.object(store, "connect", connect):
            yield

    def claims(self) -> dict[str, float]:
        return {"iat": self.clock.wall()} if self.revokes else {}

    def waiting(self) -> Iterator[str]:
        yield from super().waiting()
        if count := len(self.application.waiting()):
            yield f"{count} messages wait in the outbox"

    def check(self) -> None:
        self.application.check_order()

    def is_expected(self, message: str) -> bool:
        return message in EXPECTED

    def doubts(self, node: object) -> bool:
        """Whether the node may still speak of a history that is no more."""
        return self.doubt is not None or (isinstance(node, ClusterNode) and node.store.epoch != self.truth.epoch)

    def witnesses(self, source: Path) -> list[ClusterNode]:
        """Nodes whose last commit is not in this copy: each of them must notice."""
        with contextlib.closing(sqlite3.connect(source)) as copy:
            heads = dict(copy.execute("SELECT name, head FROM users"))
        return [
            node
            for node in self.host.nodes
            if node.last_commit is not None and node.last_commit.event.position > heads.get(node.last_commit.user, 0)
        ]

    def rewound(self, *, is_silent: bool) -> None:
        _logs, sends = self.truth.rewind(str(self.host.path))
        lost = [key for key in sends if key not in self.truth.by_client_id]
        for key in lost:
            self.acknowledged.pop(key, None)
        self.lost.update(lost)
        self.acknowledged_at.clear()
        self.application.rewound()
        self.endings.rewound()
        self.trace("rewound", "silently" if is_silent else "restored", len(lost))

    async def promote(self, source: Path) -> None:
        """Let the standby be the database: nothing that was acknowledged is gone."""
        acknowledged, heads = dict(self.acknowledged), {user: self.truth.head(user) for user in self.users}
        self.host.copies = []
        self.host.rewinds += 1
        self.host.database.commits.standby.is_away = False
        self.host.database.restore(source, is_silent=True)
        self.rewound(is_silent=True)
        for key in acknowledged.keys() - self.acknowledged.keys():
            self.wrong(f"I1: {key} was acknowledged, and the standby that commits wait for does not have it")
        if all(self.truth.head(user) == head for user, head in heads.items()):
            return
        # A commit that stood in the former database alone was read: nobody can tell it from the past.
        for server in self.host.servers:
            server.crash()
            self.loop.create_task(server.start())
        for device in self.devices:
            if self.is_phantom(device) or device.is_loading:
                await device.crash()
                device.forget()
                device.start()

    def committed_by(self, process: Process | None) -> None:
        """A COMMIT has come to its end, of a node that has to tell of it."""
        heads = {user: self.truth.head(user) for user in self.users}
        self.committed()
        if process is not None:
            for user, head in heads.items():
                for position in range(head + 1, self.truth.head(user) + 1):
                    self._tellers[user, position, self.truth.tag(user, position)] = process

    def promises(self, device: Device, position: int) -> Iterator[tuple[float, float, str]]:
        if self.host.is_fine:
            committed_at = self.truth.committed_at[device.user][position - 1]
            yield max(committed_at, self.host.disturbed_at), COMMITTED_WITHIN_S, "committed"
        prompt_since = None if (stream := device.stream) is None else self.host.prompt_since(stream.node)
        if prompt_since is not None:
            for at, why in self._hinted_at(device.user, position):
                yield max(at, prompt_since), HINTED_WITHIN_S, why

    def _hinted_at(self, user: str, position: int) -> Iterator[tuple[float, str]]:
        """Since when all nodes should have been given a hint of an event, if the bus loses none."""
        row = self.truth.row(user, position)
        assert row is not None
        told_at = self.told_at.get((user, position, row.tag))
        if told_at is not None:
            yield told_at, "told by its node"
        if row.kind == KIND_MESSAGE and row.mid in self.acknowledged_at:
            yield self.acknowledged_at[row.mid], "acknowledged"
        # Where its node did not hear of the commit it tells of it with the next that succeeds: it looks each second.
        teller = self._tellers.get((user, position, row.tag))
        able_since = None if teller is None else self.host.prompt_since(self.host.node_of(teller))
        if able_since is not None and not self.host.database.commits.standby.is_away:
            yield max(able_since, self.truth.committed_at[user][position - 1]), "committed by a node that is well"

    async def look_for_ever(self) -> None:
        """Look also while the plan waits: an event that comes late has come when the next step begins."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        super().look()
        self._look_at_epochs()
        self._look_at_streams()
        self.application.look()
        self.endings.look()

    def _look_at_streams(self) -> None:
        now, former_since = self.clock.now_s, self._former_since
        self._former_since = {}
        if now - self._turned_at > TURNED_S:
            return
        for stream in filter(None, (device.stream for device in self.devices)):
            node = stream.node
            if not isinstance(node, ClusterNode) or node.is_dead or node.process.is_paused:
                continue
            if stream.stream_epoch != node.store.epoch:
                since = self._former_since[stream] = former_since.get(stream, now)
                if now - since > CUT_WITHIN_S:
                    self.wrong(f"{stream.who} is open and of {stream.stream_epoch}, its node is in {node.store.epoch}")

    def _look_at_epochs(self) -> None:
        now, database = self.clock.now_s, self.host.database
        if self.truth.epoch != self._epoch:
            self._epoch = self.truth.epoch
            self._turned_at = now
        if self.doubt is not None:
            doubt = self.doubt
            doubt.witnesses = [node for node in doubt.witnesses if not node.is_dead]
            if self.truth.epoch != doubt.epoch:
                self.doubt = None
            elif not database.is_fine or any(node.process.is_paused for node in doubt.witnesses):
                doubt.since = now
            elif doubt.witnesses and now - doubt.since > EPOCH_WITHIN_S:
                self.wrong(f"the database went back {EPOCH_WITHIN_S} s ago, and its epoch is still {doubt.epoch}")
        for node in self.host.nodes:
            if node.store.epoch != self.truth.epoch:
                self._turned_at = now
            if node.store.epoch == self.truth.epoch or not database.is_fine or node.process.is_paused:
                self._differs_since.pop(node, None)
            elif now - self._differs_since.setdefault(node, now) > ADOPTED_WITHIN_S:
                self.wrong(f"{node.process.name} is in epoch {node.store.epoch}, the database in {self.truth.epoch}")
