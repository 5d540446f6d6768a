"""Opening streams: who comes for the first time, whose token must be checked, and who comes again."""

from __future__ import annotations

from lab.benchmarks.peers import Running
from lab.benchmarks.works.size import Size, Take, Used, calm, in_loop
from tidings.bench.streams import Audience, Server

WARM = 200


def measure(running: Running, size: Size, take: Take) -> None:
    """CPU to open a stream, with a token never seen and with one seen before."""
    in_loop(_measure(running, size, take))


async def _measure(running: Running, size: Size, take: Take) -> None:
    server = Server.at(running.url)
    warm = Audience(running.dialect, server)
    await warm.open([f"warm-{nth}" for nth in range(WARM)])
    await warm.close()
    users = [f"comes-{nth}" for nth in range(size.connects)]
    for what in ("for the first time", "again"):
        await calm(running)
        audience, used = Audience(running.dialect, server), Used(running)
        await audience.open(users)
        take(f"CPU of a stream opened {what} (us)", used.us() / len(users))
        await audience.close()
