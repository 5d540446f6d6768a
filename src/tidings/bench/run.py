"""``tidings bench URL``: idle streams, and messages between people who are there; what it took and what arrived."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tidings.bench.dialect import Dialect
from tidings.bench.sends import Senders
from tidings.bench.streams import Audience, Server
from tidings.errors import ConfigurationError, StreamLost

TEXT_SIZE = 100  # characters, as people write
FILES_BESIDE = 32  # of the interpreter and its event loop


class Plan(NamedTuple):
    """How much of what. ``rate`` 0: as many as go. Every person has ``devices`` streams."""

    idle_streams: int
    pairs: int
    devices: int
    connections: int
    rate: float
    seconds: float


class Outcome(NamedTuple):
    """The outcome, seen from outside. Latencies in milliseconds at the given shares, from when a message was due."""

    streams: int
    opened_in_s: float
    accepted: int
    refused: dict[int, int]
    took_s: float
    frames: int
    missing: int
    doubled: int
    disordered: int
    streams_lost: int
    answered_ms: dict[str, float]
    arrived_ms: dict[str, float]


SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


async def measure(
    dialect: Dialect, url: str, plan: Plan, *, name: str, on_ready: Callable[[], None] = lambda: None
) -> Outcome:
    """Carry out a plan. ``name`` makes the people of this run; ``on_ready`` is called when all streams are open.

    Raises:
        ServerProblem: A stream was refused.
        StreamLost: A stream did not come, or a send was never answered.
        OSError: The server cannot be reached.
    """
    server = Server.at(url)
    people = [f"{name}-{nth}" for nth in range(2 * plan.pairs)]
    pairs = list(zip(people[::2], people[1::2], strict=True))
    audience = Audience(dialect, server)
    senders = Senders(dialect, server, pairs, TEXT_SIZE)
    try:
        began = time.perf_counter()
        await audience.open([f"{name}-idle-{nth}" for nth in range(plan.idle_streams)])
        await audience.open([person for person in people for _ in range(plan.devices)])
        opened_in_s = time.perf_counter() - began
        await senders.connect(min(plan.connections, plan.pairs))
        on_ready()
        if plan.rate:
            took_s = await senders.at_rate(plan.rate, plan.seconds)
        else:
            took_s = await senders.as_many_as_go(plan.seconds)
        expected = senders.accepted * plan.devices * (2 if dialect.echoes else 1)
        await audience.arrived(expected)
        return Outcome(
            streams=len(audience.streams),
            opened_in_s=round(opened_in_s, 3),
            accepted=senders.accepted,
            refused={status: count for status, count in senders.statuses.items() if not 200 <= status < 300},
            took_s=round(took_s, 3),
            frames=audience.frames,
            missing=max(0, expected - audience.frames),
            doubled=audience.doubled,
            disordered=audience.disordered + audience.lost,
            streams_lost=audience.ended,
            answered_ms=shares_ms(senders.answered_us),
            arrived_ms=shares_ms(audience.late_us),
        )
    finally:
        senders.close()
        await audience.close()


def shares_ms(microseconds: Sequence[int]) -> dict[str, float]:
    """The latencies that so large a share stayed below, in milliseconds; nothing of nothing."""
    in_order = sorted(microseconds)
    last = len(in_order) - 1
    return {name: in_order[round(share * last)] / 1000 for name, share in SHARES.items()} if in_order else {}


def table(outcome: Outcome) -> str:
    """For people."""
    per_s = outcome.accepted / outcome.took_s if outcome.took_s else 0.0
    refused = ", ".join(f"{count} x {status}" for status, count in sorted(outcome.refused.items())) or "none"
    lines = [
        f"streams    {outcome.streams:,} opened in {outcome.opened_in_s:.1f} s, {outcome.streams_lost} lost",
        f"messages   {outcome.accepted:,} accepted in {outcome.took_s:.1f} s ({per_s:,.0f}/s), refused: {refused}",
        f"frames     {outcome.frames:,}; {outcome.missing} missing, {outcome.doubled} doubled,"
        f" {outcome.disordered} out of order",
        *(
            f"{what:<10} " + ", ".join(f"{name} {value:.2f} ms" for name, value in shares.items())
            for what, shares in (("answered", outcome.answered_ms), ("arrived", outcome.arrived_ms))
        ),
    ]
    return "\n".join(lines)


def is_whole(outcome: Outcome) -> bool:
    """Everything that was accepted arrived once, in order, and no stream was lost."""
    return not (outcome.missing or outcome.doubled or outcome.disordered or outcome.streams_lost)


def run(dialect: Dialect, url: str, plan: Plan, *, name: str, on_ready: Callable[[], None] = lambda: None) -> Outcome:
    """``measure`` in an event loop of its own, with as many open files as this process may have.

    Raises:
        ConfigurationError: It may not have enough.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = plan.idle_streams + 2 * plan.pairs * plan.devices + min(plan.connections, plan.pairs)
    if most != resource.RLIM_INFINITY and connections + FILES_BESIDE > most:
        raise ConfigurationError(
            f"that is {connections:,} connections, and this process may have {most:,} open files: ask for fewer, or"
            " raise the limit (ulimit -n)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        with asyncio.Runner(loop_factory=_new_event_loop) as runner:
            return runner.run(measure(dialect, url, plan, name=name, on_ready=on_ready))
    except OSError as error:
        raise StreamLost(f"{url} cannot be reached: {error}") from None


def _new_event_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":  # uvloop does not exist there
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()
