"""Ten minutes of ordinary life: what the node holds at the end is what it held at the beginning."""

from __future__ import annotations

import os
import random
import time

from lab.crowd import Crowd, Letter, log_after, metric, until_acknowledged
from lab.faults.rounds import Outcome, Town
from lab.faults.unread import resident_kib
from lab.node import Node
from lab.process import wait_for

TICK_S = 0.25
SENDS_A_TICK = 12
SAMPLE_EVERY_S = 5.0
WARM_UP_S = 120.0
SLOPE_MAX_MIB = 1.0
FILLING, FILLING_TEXT = 40_000, "x" * 2_000


def soak(node: Node, seconds: float) -> Outcome:
    """About 50 messages a second, ten readers that stay, and streams that come and go, politely and not.

    The database is filled first, beyond SQLite's page caches: they grow until they are full, whatever else happens.
    """
    outcome = Outcome(f"soak of {seconds / 60:g} minutes", rounds=1)
    fill_caches(node)
    town = Town(node, 10, random.Random(21))
    town.opens_streams()
    live_for(town, WARM_UP_S)
    before = descriptors(node)
    samples: list[tuple[float, float]] = []
    live_for(town, seconds, samples)
    outcome.figures["streams_opened"] = int(metric(node.url, 'tidings_streams_opened_total{how="new"}'))
    town.reopens_streams()
    town.comes_to_rest()
    outcome.adds(town.judge())
    wait_for(lambda: metric(node.url, "tidings_streams_open") <= len(town.people), what="the end of the guests")
    after = wait_for(lambda: descriptors(node) if descriptors(node) <= before else None, 30, "the same descriptors")
    slope_mib = slope(samples) * seconds / 1024
    outcome.figures |= {
        "memory_mib_at_first": round(samples[0][1] / 1024, 1),
        "memory_mib_at_last": round(samples[-1][1] / 1024, 1),
        "memory_slope_mib": round(slope_mib, 2),
        "descriptors_before": before,
        "descriptors_after": after,
    }
    outcome.expects(slope_mib <= SLOPE_MAX_MIB, f"memory grows by {slope_mib:.2f} MiB")
    outcome.expects(after == before, f"{before} descriptors before, {after} after")
    return outcome


def fill_caches(node: Node) -> None:
    """More is written and read than the page caches hold."""
    people = [node.person(f"filler-{number}") for number in range(20)]
    starts = [person.head() for person in people]
    letters = [
        Letter(people[number % 20], people[(number * 7 + 1) % 20], f"{number} {FILLING_TEXT}", f"{number}")
        for number in range(FILLING)
        if number % 20 != (number * 7 + 1) % 20
    ]
    until_acknowledged(letters, deadline_s=300)
    for person, start in zip(people, starts, strict=True):
        log_after(person, start)


def live_for(town: Town, seconds: float, samples: list[tuple[float, float]] | None = None) -> None:
    """Write, read, come and go; with `samples`, note seconds and KiB."""
    begun = time.monotonic()
    sampled = tick = 0
    while (now := time.monotonic() - begun) < seconds:
        crowd = Crowd(4)
        crowd.sends(town.writes(SENDS_A_TICK))
        guest = town.node.person(f"user-{tick % 10}").opens_stream(tab=f"guest-{tick % 3}")
        guest.live()
        if tick % 2:
            guest.reset()
        else:
            guest.close()
        town.node.streams.remove(guest)
        town.people[tick % 10].receipts(town.people[(tick + 1) % 10], read_upto=0)
        if samples is not None and now >= sampled * SAMPLE_EVERY_S:
            samples.append((now, resident_kib(town.node)))
            sampled += 1
        town.reopens_streams()  # each has its maximum age
        tick += 1
        time.sleep(max(0.0, begun + tick * TICK_S - time.monotonic()))


def slope(samples: list[tuple[float, float]]) -> float:
    """KiB a second, by least squares."""
    mean_at = sum(at for at, _ in samples) / len(samples)
    mean_kib = sum(kib for _, kib in samples) / len(samples)
    above = sum((at - mean_at) * (kib - mean_kib) for at, kib in samples)
    return above / sum((at - mean_at) ** 2 for at, _ in samples)


def descriptors(node: Node) -> int:
    assert node.process is not None
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))
