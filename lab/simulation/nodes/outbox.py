"""The outbox: an application that enqueues in transactions of its own, and the database's part of moving them.

``move_1`` is written again here, as the other functions of the database are; the node's mover is the product's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lab.simulation.nodes import statements
from lab.simulation.nodes.statements import Rows
from tidings.server.store.postgres.address import read_address

if TYPE_CHECKING:
    from lab.simulation.nodes.world import NodesWorld

TABLE = """
    CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT, recipient TEXT, body TEXT, type TEXT,
                        client_id TEXT)"""
LOCK = "outbox/"  # no user's name; whoever moves holds it
MOVED_WITHIN_S = 6.0  # by any node: each looks once a second, and one that failed looks again


def move(rows: sqlite3.Connection, ids: Sequence[int], columns: Sequence[Sequence[Any]]) -> Rows:
    """``move_1``, within a transaction and behind the locks."""
    marks = ", ".join("?" * len(ids))
    (there,) = rows.execute(f"SELECT count(*) FROM outbox WHERE id IN ({marks})", ids).fetchone()
    if there < len(ids):
        return []
    found = statements.write(rows, columns)
    rows.execute(f"DELETE FROM outbox WHERE id IN ({marks})", ids)
    return [*found, (0, "moved", *[None] * 13)]


class Application:
    """It enqueues, and what it has enqueued must come, once and in its order."""

    def __init__(self, world: NodesWorld, url: str) -> None:
        self._world = world
        self._channel = read_address(url).sql("TIDINGS.outbox")
        self._enqueued: dict[tuple[str, str], float] = {}  # by sender and client_id, when; in its order
        self._waiting: set[tuple[str, str]] = set()

    def enqueue(self, sender: str, recipient: str, *, is_notified: bool) -> None:
        """A transaction that does so is committed."""
        world, database = self._world, self._world.host.database
        key = sender, f"{sender}.outbox.{len(self._enqueued)}"
        text = f"{key[1]} of the application"
        world.said[key] = recipient, text
        self._enqueued[key] = world.clock.now_s
        self._waiting.add(key)
        row = (sender, recipient, text, "text", key[1])
        insert = "INSERT INTO outbox(sender, recipient, body, type, client_id) VALUES (?, ?, ?, ?, ?)"
        database.commits.commit(lambda: database.rows.execute(insert, row).fetchall())
        if is_notified:
            database.notify(self._channel, "")

    def waiting(self) -> set[tuple[str, str]]:
        """Those that are in no log yet."""
        self._waiting = {key for key in self._waiting if key not in self._world.truth.by_client_id}
        return self._waiting

    def rewound(self) -> None:
        """The database is a former one: what it has in the outbox comes, and what it has nowhere is lost."""
        world = self._world
        found = world.host.database.rows.execute("SELECT sender, client_id FROM outbox").fetchall()
        self._waiting = set(found)
        world.lost -= self._waiting
        for key in self._enqueued.keys() - self._waiting - world.truth.by_client_id.keys():
            world.lost.add(key)
        self._enqueued = {key: world.clock.now_s for key in self._enqueued if key not in world.lost}

    def look(self) -> None:
        """After every step: where nothing is in the way, nothing waits for long."""
        world = self._world
        if not self._waiting or not world.host.is_fine:
            return
        for key in self.waiting():
            waits_s = world.clock.now_s - max(self._enqueued[key], world.host.disturbed_at)
            if waits_s > MOVED_WITHIN_S:
                world.wrong(f"{key[1]} waits in the outbox for {waits_s:.1f} s")

    def check_order(self) -> None:
        """Messages of one sender to one recipient stand in the log as they were enqueued."""
        truth, last = self._world.truth, dict[tuple[str, str], int]()
        for key in self._enqueued:
            mid = truth.by_client_id.get(key)
            if mid is not None:
                sent = truth.messages[mid]
                pair = sent.sender, sent.recipient
                if sent.seq < last.get(pair, 0):
                    self._world.wrong(f"{key[1]} was enqueued after message {last[pair]} of {pair}, and is {sent.seq}")
                last[pair] = sent.seq
