"""Retention where several nodes have the database: a slice is one node's, and none is needed (docs/run/operate.md)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import pytest

from lab import postgres
from tidings.protocol.user_id import UserId
from tidings.server.store import NewMessage, Store, Trimmed, limits
from tidings.server.store.open import open_store

FAR_MS = 10**12
PAIRS = 4


@contextlib.asynccontextmanager
async def two_nodes(schema: str) -> AsyncIterator[tuple[Store, Store]]:
    """On logs of eight people, with three events each."""
    url = postgres.shared().url(schema=f"{schema}_{os.getpid()}")
    nodes = open_store(url, lambda _: None), open_store(url, lambda _: None)
    for node in nodes:
        await node.start()
    try:
        for number in range(PAIRS):
            for text in ("one", "two", "three"):
                new = NewMessage(UserId(f"a{number}"), UserId(f"b{number}"), text, "text", None, None)
                await nodes[0].append(new)
        yield nodes
    finally:
        for node in nodes:
            await node.close()


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TRIM_USERS_AT_ONCE", 2)


def test_nodes_that_trim_at_once_share_the_logs() -> None:
    """Each log is cut by one of them; both know how much is kept in all."""

    async def play() -> None:
        async with two_nodes("shared") as (first, second):
            done = await asyncio.gather(*(node.trim(FAR_MS, 1, not_within_s=3000) for node in (first, second)))
            assert (8, 16) == (sum(each.logs for each in done), sum(each.events for each in done))
            assert 8 == max(each.kept for each in done)
            assert Trimmed(0, 0, 8) == await first.trim(FAR_MS, 1, not_within_s=3000), "within the time"
            await first.append(NewMessage(UserId("a0"), UserId("b0"), "more", "text", None, None))
            assert Trimmed(0, 0, 8) == await second.trim(FAR_MS, 1, not_within_s=3000), "also on the other"
            assert Trimmed(2, 2, 8) == await second.trim(FAR_MS, 1)

    asyncio.run(play())


def test_a_run_whose_node_died_is_ended_by_another() -> None:
    """There is no leader to lose: the next one goes on with the slices, and the lost one comes in the next run."""

    async def play() -> None:
        async with two_nodes("died") as (first, second):
            schema = f"died_{os.getpid()}"
            taken = postgres.shared().run(f"SELECT from_uid FROM {schema}.retain_1(NULL, 3000000, 2)")
            assert "0" == taken, "a node began a run, and died with its first slice"
            done = await second.trim(FAR_MS, 1, not_within_s=3000)
            assert (6, 12) == (done.logs, done.events)
            assert Trimmed(0, 0, 6) == await first.trim(FAR_MS, 1, not_within_s=3000)
            assert Trimmed(2, 4, 8) == await first.trim(FAR_MS, 1)

    asyncio.run(play())
