"""A stream that has missed much: one after another comes with the position at the beginning of its log."""

from __future__ import annotations

import statistics

from lab.benchmarks.peers import Peer, Running
from lab.benchmarks.works.size import CONNECTIONS, TEXT_SIZE, Size, Take, Used, accepted, all_came, calm, in_loop
from tidings.bench.sends import Senders
from tidings.bench.streams import Audience, Server, clock


def why_not(peer: Peer) -> str:
    """A server that stores nothing has nothing to catch up with."""
    return peer.past if isinstance(peer.past, str) else ""


def measure(running: Running, size: Size, take: Take) -> None:
    """CPU of an event, and how long a reader waits for all of them."""
    in_loop(_measure(running, size, take))


async def _measure(running: Running, size: Size, take: Take) -> None:
    assert not isinstance(running.peer.past, str)
    dialect, server, count = running.peer.past(running.url), Server.at(running.url), size.catch_up_events
    users = [f"away-{nth}" for nth in range(size.catch_up_readers)]
    pairs = list(zip(users[::2], users[1::2], strict=True))
    senders = Senders(dialect, server, pairs, TEXT_SIZE)
    await senders.connect(min(CONNECTIONS, len(pairs)))
    await senders.each(count)
    senders.close()
    accepted(senders)
    await calm(running)

    audience, used, taken = Audience(dialect, server), Used(running), []
    for nth, user in enumerate(users, start=1):
        began = clock()
        await audience.open([user])
        await audience.arrived(nth * count)
        taken.append((clock() - began) * 1000)
    all_came(audience, len(users) * count)
    take(f"CPU of an event, {count} missed (us)", used.us() / len(users) / count)
    take(f"until all {count} are there (ms)", statistics.median(taken))
    await audience.close()
