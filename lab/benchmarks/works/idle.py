"""Idle streams of users of their own: what they keep, what connecting costs, and what messages cost beside them."""

from __future__ import annotations

from lab.benchmarks.peers import STREAMS_MAX, Peer, Running
from lab.benchmarks.works.size import CONNECTIONS, Size, Take, Used, calm, in_loop, whole
from lab.meter import kernel_kib, rss_kib
from tidings.bench.run import Plan
from tidings.bench.run import measure as carry_out
from tidings.bench.streams import Audience, Server

FEW = 10  # idle streams that are as good as none


def why_not_all(peer: Peer) -> str:
    """Some take minutes to open so many."""
    return "" if peer.streams_max == STREAMS_MAX else f"more than {peer.streams_max:,} take it minutes"


def measure(running: Running, size: Size, take: Take) -> None:
    """Open more and more of them; then messages beside all, some and few."""
    in_loop(_measure(running, size, take))


async def _measure(running: Running, size: Size, take: Take) -> None:
    audience = Audience(running.dialect, Server.at(running.url))
    used, before = Used(running), 0
    rss, kernel = rss_kib(running.pid), kernel_kib()
    for count in (each for each in size.stream_counts if each <= running.peer.streams_max):
        used.begin()
        await audience.open([f"idle-{nth}" for nth in range(before, count)])
        if before:
            added, grown = count - before, rss_kib(running.pid) - rss
            take(f"CPU to connect one, {before:,} to {count:,} (us)", used.us() / added)
            take(f"memory of an idle stream, {before:,} to {count:,} (KiB)", grown / added)
            now = kernel_kib()
            if kernel is not None and now is not None:
                take(f"kernel memory of it, both ends, {before:,} to {count:,} (KiB)", (now - kernel) / added)
        take(f"resident memory, {count:,} idle streams (MiB)", rss_kib(running.pid) / 1024)
        rss, kernel, before = rss_kib(running.pid), kernel_kib(), count
    await _messages(running, size, before, take, warm=True)
    await _messages(running, size, before, take)
    await audience.close(keep=size.latency_streams)
    await calm(running)
    await _latencies(running, size, take)
    await audience.close(keep=FEW)
    await calm(running)
    await _messages(running, size, FEW, take)
    await audience.close()


async def _messages(running: Running, size: Size, idle: int, take: Take, *, warm: bool = False) -> None:
    """As many messages as go."""
    used, seconds = Used(running), 0.5 if warm else size.seconds
    plan = Plan(0, size.beside_pairs, 1, CONNECTIONS, 0, seconds)
    outcome = await carry_out(running.dialect, running.url, plan, name=f"beside{idle}-{warm:d}", on_ready=used.begin)
    whole(outcome)
    if not warm:
        take(f"CPU of a message beside {idle:,} idle streams (us)", used.us() / outcome.accepted)


async def _latencies(running: Running, size: Size, take: Take) -> None:
    """So many messages a second: how late each is at its streams."""
    for rate, seconds in size.rates.items():
        plan = Plan(0, size.beside_pairs, 1, CONNECTIONS, rate, seconds)
        outcome = await carry_out(running.dialect, running.url, plan, name=f"rate{rate}")
        whole(outcome)
        for share, value in outcome.arrived_ms.items():
            take(f"{share} at {rate:,} a second, {size.latency_streams:,} idle streams (ms)", value)
