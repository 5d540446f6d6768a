"""The faults: what each does to a scene. Letters go on being published while a fault lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lab.scoreboard.scene import Scene


@dataclass(frozen=True)
class Lengths:
    """How long the faults last, in seconds, and how much is published in the burst."""

    calm_s: float = 10.0
    stall_s: float = 10.0
    half_open_s: float = 60.0
    lost_replies_s: float = 3.0
    down_s: float = 1.0
    away_s: float = 20.0
    buffering_s: float = 30.0
    burst_count: int = 800
    burst_size_bytes: int = 15_000

    @property
    def half_away_s(self) -> float:
        return self.away_s / 2

    def named(self) -> dict[str, float]:
        return {**asdict(self), "half_away_s": self.half_away_s}


QUICK = Lengths(calm_s=3, stall_s=4, half_open_s=42, away_s=8, buffering_s=15, burst_count=300)


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        asks: Measurements of a reader beyond the counts: ``break`` when its connection is broken, ``memory`` of the
            server for a reader that does not read, ``latency`` when nothing happens.
        strike: Does it, and returns when it is over.
        is_long: It takes a minute or more; such scenes are begun first.
    """

    name: str
    says: str
    asks: Literal["break", "silence", "memory", "latency", "counts"]
    strike: Callable[[Scene, Lengths], Awaitable[None]]
    is_long: bool = False


async def nothing(scene: Scene, lengths: Lengths) -> None:
    await asyncio.sleep(lengths.calm_s)


async def cut(scene: Scene, lengths: Lengths) -> None:
    scene.proxy.end_open("close")


async def reset(scene: Scene, lengths: Lengths) -> None:
    scene.proxy.end_open("reset")


async def stall(scene: Scene, lengths: Lengths) -> None:
    scene.proxy.stall()
    await asyncio.sleep(lengths.stall_s)
    scene.proxy.restore()


async def half_open(scene: Scene, lengths: Lengths) -> None:
    scene.proxy.strand_open()
    await asyncio.sleep(lengths.half_open_s)


async def lost_replies(scene: Scene, lengths: Lengths) -> None:
    scene.senders_proxy.lose_post_replies()
    await asyncio.sleep(lengths.lost_replies_s)
    scene.senders_proxy.restore()


async def kill(scene: Scene, lengths: Lengths) -> None:
    scene.system.kill()
    await asyncio.sleep(lengths.down_s)
    await asyncio.to_thread(scene.system.start)


async def restart(scene: Scene, lengths: Lengths) -> None:
    scene.killed_at_stop = await asyncio.to_thread(scene.system.end, STOP_PATIENCE_S) is None
    await asyncio.to_thread(scene.system.start)


async def away(scene: Scene, lengths: Lengths) -> None:
    scene.proxy.refuse()
    await asyncio.sleep(lengths.away_s)
    scene.proxy.restore()


async def killed_while_away(scene: Scene, lengths: Lengths) -> None:
    scene.proxy.refuse()
    await asyncio.sleep(lengths.away_s / 2)
    await kill(scene, lengths)
    scene.proxy.restore()


async def slow_reader(scene: Scene, lengths: Lengths) -> None:
    """The same burst three times: to warm up, read, and not read. Caches grow with what is stored, reader or not."""
    sender, reader = scene.senders[0], scene.readers[0]
    for is_reading in (True, True, False):
        if not is_reading:
            reader.pause()
        watching = asyncio.create_task(scene.watch_memory())
        try:
            await sender.burst(lengths.burst_count, lengths.burst_size_bytes)
        finally:
            watching.cancel()
            await asyncio.wait({watching})
    reader.resume()


async def buffering(scene: Scene, lengths: Lengths) -> None:
    scene.proxy.hold_streams()
    scene.proxy.end_open("reset")
    await asyncio.sleep(lengths.buffering_s)
    scene.proxy.restore()


STOP_PATIENCE_S = 10.0
"""What service managers grant a stop before they kill is 10 s in many set-ups (systemd's own default is 90 s)."""

FAULTS = (
    Fault("none", "nothing happens", "latency", nothing),
    Fault("cut", "each stream's connection is closed (FIN) in the middle of it", "break", cut),
    Fault("reset", "each stream's connection is reset (RST)", "break", reset),
    Fault(
        "stall",
        "for {stall_s:.0f} s no byte moves between readers and server; then everything goes on",
        "silence",
        stall,
    ),
    Fault(
        "half-open",
        "the streams' connections fall silent for good and nobody is told (a lost NAT entry); new ones would pass; "
        "that is watched for {half_open_s:.0f} s",
        "break",
        half_open,
        is_long=True,
    ),
    Fault(
        "lost replies",
        "for {lost_replies_s:.0f} s a publish is carried out and its answer is lost; the sender repeats it",
        "counts",
        lost_replies,
    ),
    Fault("kill", "the server is killed (SIGKILL) and started again {down_s:.0f} s later", "break", kill),
    Fault("restart", "the server is stopped as its documentation says, and started again at once", "break", restart),
    Fault("away", "the readers' network is gone for {away_s:.0f} s; connections are reset and refused", "break", away),
    Fault(
        "killed while away",
        "the readers' network is gone for {half_away_s:.0f} s; then the server is killed and started again; then the "
        "network is back",
        "break",
        killed_while_away,
    ),
    Fault(
        "slow reader",
        "one reader reads nothing while {burst_count} messages of {burst_size_bytes} bytes are published to it as fast "
        "as they are acknowledged",
        "memory",
        slow_reader,
        is_long=True,
    ),
    Fault(
        "buffering proxy",
        "for {buffering_s:.0f} s a proxy holds every stream back until it ends; other answers pass",
        "silence",
        buffering,
        is_long=True,
    ),
)
