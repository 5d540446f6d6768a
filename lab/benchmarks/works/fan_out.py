"""One event to a thousand streams of one user: nobody has so many, but what is left of the cost is that of a frame.

Tidings goes the whole way, from POST over the commit to the hub's append; a thousandth of that counts for each frame.
"""

from __future__ import annotations

from lab.benchmarks.peers import Running
from lab.benchmarks.works.size import TEXT_SIZE, Size, Take, Used, accepted, all_came, in_loop
from tidings.bench.sends import Senders
from tidings.bench.streams import Audience, Server

WARM = 10


def measure(running: Running, size: Size, take: Take) -> None:
    """CPU of a frame."""
    in_loop(_measure(running, size, take))


async def _measure(running: Running, size: Size, take: Take) -> None:
    server, streams = Server.at(running.url), size.fan_out_streams
    audience = Audience(running.dialect, server)
    await audience.open(["crowd"] * streams)
    senders = Senders(running.dialect, server, [("speaker", "crowd")], TEXT_SIZE)
    await senders.connect(1)
    await senders.each(WARM)
    await audience.arrived(WARM * streams)
    used = Used(running)
    await senders.each(size.fan_out_events)
    await audience.arrived((WARM + size.fan_out_events) * streams)
    used_us = used.us()
    senders.close()
    accepted(senders)
    all_came(audience, (WARM + size.fan_out_events) * streams)
    take("CPU of a frame (us)", used_us / size.fan_out_events / streams)
    await audience.close()
