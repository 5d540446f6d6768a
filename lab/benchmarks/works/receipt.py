"""Receipts: a reader says how far it has read, message by message, and both sides' streams are told."""

from __future__ import annotations

from lab.benchmarks.peers import Peer, Running
from lab.benchmarks.works.size import CONNECTIONS, PAIRS, TEXT_SIZE, Size, Take, Used, accepted, all_came, calm, in_loop
from tidings.bench.sends import Senders
from tidings.bench.streams import READ_MARK, Audience, Server


def why_not(peer: Peer) -> str:
    """Most servers know nothing of receipts."""
    return peer.receipts if isinstance(peer.receipts, str) else ""


def measure(running: Running, size: Size, take: Take) -> None:
    """CPU of one that raises the watermark, and of one that says what is known."""
    in_loop(_measure(running, size, take))


async def _measure(running: Running, size: Size, take: Take) -> None:
    assert not isinstance(running.peer.receipts, str)
    server = Server.at(running.url)
    pairs = [(f"writes-{nth}", f"reads-{nth}") for nth in range(PAIRS)]
    await _each(Senders(running.dialect, server, pairs, TEXT_SIZE), size.receipts_each)
    back = [(reads, writes) for writes, reads in pairs]
    await _each(Senders(running.dialect, server, back, TEXT_SIZE), 1)  # whom one has not answered is told nothing
    audience = Audience(running.dialect, server, READ_MARK)
    await audience.open([user for pair in pairs for user in pair])
    count = PAIRS * size.receipts_each
    for what, frames in (
        ("CPU of a receipt, 1 + 1 streams (us)", 2 * count),
        ("CPU of one that says what is known (us)", 0),
    ):
        await calm(running)
        used = Used(running)
        took_s = await _each(Senders(running.peer.receipts(running.url), server, back, TEXT_SIZE), size.receipts_each)
        await audience.arrived(2 * count)
        take(what, used.us() / count)
        if frames:
            take("receipts a second, 1 + 1 streams", count / took_s)
    all_came(audience, 2 * count)
    await audience.close()


async def _each(senders: Senders, count: int) -> float:
    await senders.connect(CONNECTIONS)
    took_s = await senders.each(count)
    senders.close()
    accepted(senders)
    return took_s
