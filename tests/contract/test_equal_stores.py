"""A PostgreSQL database of two nodes answers as a file of SQLite does, whatever is asked of it.

Bursts of made-up writes go to both: a burst as a whole to one of the two nodes, which gives it an order, or its halves,
each among people of their own, to both nodes at once. Then every reading of every person is compared. Only what chance
or a clock gives is left out: ids, times, and the name that an erased person goes on under.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from lab.deployment import DEPLOYMENTS, SQLITE
from tidings.errors import Problem
from tidings.protocol.cursor import Cursor
from tidings.protocol.user_id import UserId
from tidings.server.store import Appended, NewMessage, Report, Store
from tidings.server.store.export import export
from tidings.server.store.maintenance import Maintenance
from tidings.server.store.open import open_maintenance, open_store

CAMPS = [[UserId(f"{camp}{number}") for number in range(4)] for camp in ("a", "b")]
PEOPLE = [person for camp in CAMPS for person in camp]
BURSTS = 40
FAR = 2**40  # no log is so long, no time so long ago

_DRAWN = re.compile(
    r'(?<="tag":)\d+|erased-[0-9a-f]{16}|(?<=")m[0-9a-f]{7,22}(?=")|\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+]00:00)'
    r'|(?<=")[0-9a-z]+-(?=\d+-[0-9a-f]+")|-[0-9a-f]+(?=")'
)

Ask = Callable[[Store], Coroutine[Any, Any, object]]


class Engine(NamedTuple):
    """A database with the stores of its nodes."""

    stores: list[Store]
    upkeep: Maintenance


@contextlib.asynccontextmanager
async def engine(url: str, nodes: int) -> AsyncIterator[Engine]:
    stores = [open_store(url, lambda _: None) for _ in range(nodes)]
    for store in stores:
        await store.start()
    try:
        yield Engine(stores, open_maintenance(url))
    finally:
        for store in stores:
            await store.close()


def burst(rng: random.Random, people: Sequence[UserId], size: int) -> Iterator[Ask]:
    """Writes among these people."""
    for _ in range(size):
        (one, other), chance = rng.sample(people, 2), rng.random()
        if chance < 0.55:
            client_id, limit = rng.choice([None, f"k{rng.randrange(30)}"]), rng.choice([None, None, 2, 4])
            flags = rng.random() < 0.1, rng.random() < 0.1, rng.random() < 0.9
            text, kind = rng.choice(["t", "é😀", "x" * 3000]), rng.choice(["text", "image"])
            new = NewMessage(one, other, text, kind, client_id, limit, *flags)
            yield lambda store, new=new: store.append(new)  # type: ignore[misc]
        elif chance < 0.83:
            upto, tells = (rng.randrange(12), rng.randrange(12)), rng.random() < 0.5
            yield lambda store, args=(one, other, *upto), tells=tells: store.advance(*args, tells_strangers=tells)  # type: ignore[misc]
        elif chance < 0.95:
            name = rng.choice(["block", "unblock"])
            yield lambda store, name=name, pair=(one, other): getattr(store, name)(*pair)  # type: ignore[misc]
        elif chance < 0.98:
            report = Report(one, other, rng.choice(["spam", "é😀"]), rng.choice([None, 3]), [])
            yield lambda store, report=report: store.add_report(report)  # type: ignore[misc]
        else:
            until = float(rng.randrange(100))
            yield lambda store, who=one, until=until: store.revoke(who, until)  # type: ignore[misc]


async def outcomes(store: Store, asked: Sequence[Ask]) -> list[object]:
    """The answers to a burst, which is asked at once."""
    return [
        each.code if isinstance(each, Problem) else each
        for each in await asyncio.gather(*(ask(store) for ask in asked), return_exceptions=True)
    ]


async def erase(engine: Engine, user: UserId) -> object:
    """Erase somebody beside the nodes, which say that they know of it."""
    erased = asyncio.create_task(asyncio.to_thread(engine.upkeep.erase, user))
    while not erased.done():
        for store in engine.stores:
            await store.note_forgotten(await store.check())
        await asyncio.sleep(0.01)
    return await erased


async def readings(engine: Engine) -> AsyncIterator[tuple[str, object]]:
    """Every reading of every person, by one node after the other; pages are of all sizes and begin everywhere."""
    stores, upkeep = itertools.cycle(engine.stores), engine.upkeep
    for user, store in zip(PEOPLE, stores, strict=False):
        head = (await store.start_position(user, None)).head
        yield f"log of {user}", await store.read_after(user, 0, 10_000)
        yield f"parts of the log of {user}", [await store.read_after(user, at, 3, 4000) for at in range(head + 2)]
        starts = [await store.start_position(user, Cursor(store.epoch, at, 0)) for at in (0, 1, head, head + 1, FAR)]
        yield f"places of {user}", [(place.position, place.head, place.reset) for place in starts]
        for before, limit in ((None, 50), (None, 2), (head, 1), (1, 3), (0, 3), (FAR, 1)):
            yield f"inbox of {user}", await store.inbox(user, before=before, limit=limit)
            yield f"blocked by {user}", _without_times(await store.blocked(user, before=before, limit=limit))
        for peer in PEOPLE:
            yield f"{user} to {peer}", await store.relation(user, peer)
            for before, after, limit in ((None, None, 50), (5, None, 2), (None, 2, 3), (6, 1, 9), (-FAR, FAR, 1)):
                page = await store.history(user, peer, before=before, after=after, limit=limit)
                yield f"history of {user} and {peer}, {before} > seq > {after}", page
    yield "heads", sorted((await store.heads(PEOPLE)).items())
    yield "revocations", sorted((await store.revocations()).items())
    yield "what trimming would remove", await asyncio.to_thread(upkeep.trim, FAR, 7, dry_run=True)
    yield "exports", await asyncio.to_thread(_exports, upkeep)


def _without_times(page: Any) -> object:
    return page.has_more, [(each.peer, each.position, each.relation) for each in page.blocked]


def _exports(upkeep: Maintenance) -> list[object]:
    with upkeep.snapshot() as snapshot:
        return [list(export(snapshot, user)) for user in PEOPLE]


def shown(found: object) -> str:
    """The part of it that neither chance nor a clock is in."""
    if isinstance(found, Appended):
        found = found.is_new, found.message
    return _DRAWN.sub("_", msgspec.json.encode(found).decode())


def difference(one: str, other: str) -> str:
    """Where two texts, which may be very long, begin to differ."""
    at = next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if len({*pair}) > 1), min(len(one), len(other))
    )
    return "" if one == other else f"{one[max(0, at - 200) : at + 100]!r} is not {other[max(0, at - 200) : at + 100]!r}"


@pytest.mark.parametrize("seed", range(2))
def test_two_nodes_on_postgresql_answer_as_one_on_sqlite(tmp_path: Path, seed: int) -> None:
    """Messages, receipts, blocks, reports, revocations, retention and erasures: the same answers, logs and pages."""
    rng = random.Random(seed)
    urls = [(SQLITE.db(tmp_path / "x.db"), 1), (DEPLOYMENTS["two-nodes"].db(tmp_path / "x.db"), 2)]

    async def compare(of_one: Engine, of_two: Engine) -> None:
        for number in range(BURSTS):
            (lite,), (first, second) = of_one.stores, of_two.stores
            of_two.stores.reverse()
            if number % 3 == 2:  # at once: no write of one half touches a log of the other's
                halves = [list(burst(rng, camp, rng.choice([1, 4, 12]))) for camp in CAMPS]
                expected = [await outcomes(lite, half) for half in halves]
                actual = await asyncio.gather(
                    *(outcomes(node, half) for node, half in zip((first, second), halves, strict=True))
                )
            else:
                asked = list(burst(rng, PEOPLE, rng.choice([1, 1, 4, 12])))
                expected, actual = [await outcomes(lite, asked)], [await outcomes(first, asked)]
            assert [[*map(shown, each)] for each in expected] == [[*map(shown, each)] for each in actual]
            if number in (BURSTS // 3, 2 * BURSTS // 3):
                gone = rng.choice(PEOPLE)
                assert await erase(of_one, gone) == await erase(of_two, gone)
            if number == BURSTS // 2:
                assert await lite.trim(FAR, 20) == await first.trim(FAR, 20)
        theirs = readings(of_two)
        async for name, found in readings(of_one):
            same_name, other = await anext(theirs)
            assert name == same_name
            assert "" == difference(shown(found), shown(other)), name

    async def play() -> None:
        async with engine(*urls[0]) as of_one, engine(*urls[1]) as of_two:
            await compare(of_one, of_two)

    asyncio.run(play())
