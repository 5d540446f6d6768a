"""Direct messages, POST to frames: as many as go over 64 connections, by how many streams their people have.

With nobody there a message is only stored, so that servers that store nothing have no part in it.
"""

from __future__ import annotations

from lab.benchmarks.peers import Peer, Running
from lab.benchmarks.works.size import CONNECTIONS, PAIRS, Size, Take, Used, whole
from tidings.bench.run import Plan, run


def why_not_all(peer: Peer) -> str:
    """See above."""
    return "" if peer.is_durable else "stores nothing"


def measure(running: Running, size: Size, take: Take) -> None:
    """CPU of each, by the message and by the frame, and how many a second."""
    whole(run(running.dialect, running.url, Plan(0, CONNECTIONS, 1, CONNECTIONS, 0, 1), name="warm"))
    for devices in size.devices:
        if devices == 0 and why_not_all(running.peer):
            continue
        plan = Plan(0, PAIRS, devices, CONNECTIONS, 0, size.seconds)
        # Opening the streams is not of the work: CPU counts from when all are open.
        used = Used(running)
        outcome = run(running.dialect, running.url, plan, name=f"full{devices}", on_ready=used.begin)
        used_us = used.us()
        whole(outcome)
        what = f"{devices} + {devices} streams" if devices else "nobody there"
        take(f"CPU of a message, {what} (us)", used_us / outcome.accepted)
        if outcome.frames:
            take(f"CPU of a frame, {what} (us)", used_us / outcome.frames)
        take(f"messages a second, {what}", outcome.accepted / outcome.took_s)
        take(f"messages a CPU-second, {what}", outcome.accepted / used_us * 1e6)
