"""Messages on PostgreSQL, one node and two, beside SQLite; the delay from a POST to one node to a frame at the other.

Nodes, database, bus and load share all CPUs: whether a second node is of use there is what is asked. CPU is that of all
but the load.
"""

from __future__ import annotations

from lab.benchmarks.peers import Peer, Running
from lab.benchmarks.works.size import CONNECTIONS, PAIRS, TEXT_SIZE, Size, Take, Used, all_came, in_loop, whole
from lab.systems.tidings_nodes import TidingsNodes
from tidings.bench.dialect import Dialect
from tidings.bench.run import Plan, run, shares_ms
from tidings.bench.sends import Senders
from tidings.bench.streams import Audience, Server


def is_for(peer: Peer) -> bool:
    """Tidings with its usual settings, on each of its databases."""
    return peer.nodes > 0 or peer.name == "Tidings"


def measure(running: Running, size: Size, take: Take) -> None:
    """As many as go over 64 connections; of two nodes then the delay between them."""
    whole(run(running.dialect, running.url, Plan(0, CONNECTIONS, 1, CONNECTIONS, 0, 1), name="warm"))
    used = Used(running)
    plan = Plan(0, PAIRS, 1, CONNECTIONS, 0, size.seconds_shared)
    outcome = run(running.dialect, running.url, plan, name="full", on_ready=used.begin)
    used_us, services_us = used.us(), used.services_us()
    whole(outcome)
    take("CPU of a message, database and bus included (us)", used_us / outcome.accepted)
    if running.server.services:
        take("of it the database's and the bus's (us)", services_us / outcome.accepted)
    take("messages a second, all on the same CPUs", outcome.accepted / outcome.took_s)
    if isinstance(running.server, TidingsNodes) and running.peer.nodes == 2:
        running.kill()
        one, other = (running.server.beside(running.folder / name) for name in ("one", "other"))
        try:
            one.start()
            other.start()
            for rate, seconds in size.rates_between.items():
                in_loop(_delays(running.dialect, one.address, other.address, rate, seconds, take))
        finally:
            one.kill()
            other.kill()


async def _delays(
    dialect: Dialect, one: tuple[str, int], other: tuple[str, int], rate: int, seconds: float, take: Take
) -> None:
    """People whose streams are at one node send by the other, so many messages a second in all."""
    people = [f"between{rate}-{nth}" for nth in range(2 * CONNECTIONS)]
    pairs = list(zip(people[::2], people[1::2], strict=True))
    audience = Audience(dialect, Server(*other, has_tls=False))
    senders = Senders(dialect, Server(*one, has_tls=False), pairs, TEXT_SIZE)
    try:
        await audience.open(people)
        await senders.connect(CONNECTIONS)
        await senders.each(1)  # the conversations are there, and the nodes have woken up
        await audience.arrived(2 * senders.accepted)
        del audience.late_us[:]
        await senders.at_rate(rate, seconds)
        await audience.arrived(2 * senders.accepted)
        all_came(audience, 2 * senders.accepted)
        for share, value in shares_ms(audience.late_us).items():
            take(f"{share} from one node to the other at {rate:,} a second (ms)", value)
    finally:
        senders.close()
        await audience.close()
