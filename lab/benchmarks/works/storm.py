"""Everybody's stream is cut, messages are sent meanwhile, and all come back at once with their cursor.

Two probes ask all the while: one sends a message at a steady pace, one asks for what needs the event loop alone. How
long they wait is what somebody notices who was not cut.
"""

from __future__ import annotations

from lab.benchmarks.peers import Peer, Running
from lab.benchmarks.probe import COUNTER, Probe
from lab.benchmarks.works.size import CONNECTIONS, TEXT_SIZE, Size, Take, Used, accepted, all_came, calm, in_loop
from tidings.bench.dialect import Dialect
from tidings.bench.sends import Senders
from tidings.bench.streams import Audience, Server, clock

AT_ONCE = 2000  # connections under way: below the backlog of 4,096 that all of them have
MESSAGE_EVERY_S = 0.01
LOOP_EVERY_S = 0.003
# Ours has such a route; the others say that they have none, which is no more work.
LOOP_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def why_not_all(peer: Peer) -> str:
    """A message that is not stored cannot be had when one is back."""
    return peer.past if isinstance(peer.past, str) else ""


def measure(running: Running, size: Size, take: Take) -> None:
    """How long until all are back and have what they missed, what it costs, and who waits for it."""
    in_loop(_measure(running, size, take))


async def _measure(running: Running, size: Size, take: Take) -> None:
    peer, server = running.peer, Server.at(running.url)
    is_stored = not isinstance(peer.past, str)
    dialect = running.dialect if isinstance(peer.past, str) else peer.past(running.url)
    users = [f"cut-{nth}" for nth in range(size.storm)]
    before = Audience(running.dialect, server)
    await before.open(users)
    await before.close()
    missed = await _send_all(dialect, server, users, size.missed) if is_stored else 0
    await calm(running)

    message = running.dialect.send("probe-a", "probe-b", "x" * TEXT_SIZE, "probe" + COUNTER.decode())
    probes = {
        "a message": Probe(running.port, message, MESSAGE_EVERY_S),
        "the event loop": Probe(running.port, LOOP_REQUEST, LOOP_EVERY_S),
    }
    after, used, began = Audience(dialect, server), Used(running), clock()
    await after.open(users, at_once=AT_ONCE)
    take(f"{size.storm:,} streams are back (s)", clock() - began)
    if is_stored:
        await after.arrived(missed)
        all_came(after, missed)
        take(f"and each has the {size.missed} messages that it missed (s)", clock() - began)
    take("CPU of one, what it missed included (us)", used.us() / size.storm)
    for what, probe in probes.items():
        waited = probe.stop()
        take(f"worst wait for {what} meanwhile (ms)", waited.worst_ms)
        take(f"p99 of it, {what} (ms)", waited.p99_ms)
    await after.close()


async def _send_all(dialect: Dialect, server: Server, users: list[str], each: int) -> int:
    """``each`` messages for every two of them; how many frames that makes."""
    pairs = list(zip(users[::2], users[1::2], strict=True))
    senders = Senders(dialect, server, pairs, TEXT_SIZE)
    await senders.connect(CONNECTIONS)
    await senders.each(each)
    senders.close()
    accepted(senders)
    return len(users) * each
