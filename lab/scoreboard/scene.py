"""A scene: one system with its readers and senders behind proxies, put through one fault, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from lab.meter import held_kib
from lab.process import START_DEADLINE_S
from lab.proxy import Proxy
from lab.scoreboard.faults import Fault, Lengths
from lab.scoreboard.sender import Sender
from lab.scoreboard.tally import Tally, count, longest_silence_s
from lab.systems.reader import Reader, until
from lab.systems.system import Row, System

MEMORY_SAMPLE_S = 0.25


@dataclass(frozen=True)
class Measure:
    """How many readers, how fast, how long around a fault.

    Attributes:
        settle_s: A letter that has not come so long after the last one was published is lost.
        settled_s: A letter that has not come so long after the last one was shown is lost too; None: that is not looked
            at.
    """

    readers: int = 4
    rate_per_s: float = 10.0
    before_s: float = 2.0
    after_s: float = 6.0
    settle_s: float = 35.0  # longer than the longest wait of any client here before it tries again
    settled_s: float | None = None
    lengths: Lengths = field(default_factory=Lengths)


@dataclass
class Outcome:
    """The outcome of one scene.

    Attributes:
        noticed_s, silent_s: Of each reader, from the blow on; None: not at all.
        gave_up: Why readers will not come back by themselves.
        repeated: Attempts to publish beyond the first of each letter.
        latency_ms, publish_ms: Median and 99th percentile: from publishing to showing, and to the answer.
        memory_growth_mib: By how much more the server grew while a reader did not read than while it read as much.
        error: Why the scene could not be played to its end, or "".
        killed_at_stop: The server did not end within the patience of a stop.
    """

    row: str
    fault: str
    tally: Tally
    noticed_s: list[float | None] = field(default_factory=list)
    silent_s: list[float | None] = field(default_factory=list)
    gave_up: list[str] = field(default_factory=list)
    repeated: int = 0
    latency_ms: list[float] = field(default_factory=list)
    publish_ms: list[float] = field(default_factory=list)
    memory_growth_mib: float | None = None
    killed_at_stop: bool = False
    error: str = ""


class Scene:
    """The parts, as faults see them."""

    def __init__(self, system: System, proxy: Proxy, senders_proxy: Proxy) -> None:
        self.system = system
        self.proxy = proxy
        self.senders_proxy = senders_proxy
        self.readers: list[Reader] = []
        self.senders: list[Sender] = []
        self.killed_at_stop = False
        self.memory_kib: list[int] = []  # the highest of each watch

    async def watch_memory(self) -> None:
        """Keep the highest of the server's memory until cancelled."""
        self.memory_kib.append(0)
        while True:
            self.memory_kib[-1] = max(self.memory_kib[-1], held_kib(self.system.pid))
            await asyncio.sleep(MEMORY_SAMPLE_S)


async def play(row: Row, fault: Fault, measure: Measure) -> Outcome:
    """Put a row's system, freshly started, through a fault."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scoreboard-")))
        system = row.system(directory)
        stack.callback(system.kill)
        await system.prepare()
        await asyncio.to_thread(system.start)
        small_buffer = 65_536 if fault.asks == "memory" else None
        scene = Scene(
            system,
            stack.enter_context(Proxy(system.address, small_buffer)),
            stack.enter_context(Proxy(system.address)),
        )
        async with people(scene, row, measure):
            return await _play(scene, row, fault, measure)


@contextlib.asynccontextmanager
async def people(scene: Scene, row: Row, measure: Measure) -> AsyncIterator[None]:
    """Readers that are known to read, each with a sender that has not begun."""
    names = [f"reader-{number}" for number in range(1, measure.readers + 1)]
    try:
        for name in names:
            reader = await row.make_reader(scene.system, scene.proxy.url, name)
            sender = Sender(scene.senders_proxy.url, name, scene.system.publish, rate_per_s=measure.rate_per_s)
            scene.readers.append(reader)
            scene.senders.append(sender)
            await reader.open()
        await asyncio.gather(*map(greeted, scene.readers, scene.senders))
        yield
    finally:
        for sender in scene.senders:
            await sender.stop(0)
            await sender.close()
        for reader in scene.readers:
            await reader.close()


async def greeted(reader: Reader, sender: Sender) -> None:
    """Publish letters that do not count until one is shown: the reader's stream is open."""
    end = time.monotonic() + START_DEADLINE_S
    while not reader.numbers:
        if time.monotonic() > end:
            raise RuntimeError(f"{sender.reader} shows nothing of what is published; {reader.gave_up}")
        await sender.greet()
        await until(lambda: bool(reader.numbers), 0.5)


async def _play(scene: Scene, row: Row, fault: Fault, measure: Measure) -> Outcome:
    for sender in scene.senders:
        sender.start()
    await asyncio.sleep(measure.before_s)
    for reader in scene.readers:
        reader.noticed_at.clear()
    struck_at = time.monotonic()
    await fault.strike(scene, measure.lengths)
    over_at = time.monotonic()
    await asyncio.sleep(measure.after_s)
    await asyncio.gather(*(sender.stop(measure.settle_s) for sender in scene.senders))
    await until(lambda: has_settled(scene, measure.settled_s), measure.settle_s, pause_s=0.1)
    outcome = Outcome(row.name, fault.name, sum(tallies(scene), Tally()))
    outcome.gave_up = sorted({reader.gave_up for reader in scene.readers if reader.gave_up})
    outcome.repeated = sum(sender.repeated for sender in scene.senders)
    outcome.killed_at_stop = scene.killed_at_stop
    if fault.asks == "break":
        outcome.noticed_s = [noticed_s(reader, struck_at) for reader in scene.readers]
    if fault.asks in ("break", "silence"):
        pairs = zip(scene.readers, scene.senders, strict=True)
        outcome.silent_s = [silent_s(reader, sender, struck_at, over_at) for reader, sender in pairs]
    if fault.asks == "memory":
        outcome.memory_growth_mib = growth_mib(scene.memory_kib)
    if fault.asks == "latency":
        outcome.latency_ms, outcome.publish_ms = latencies_ms(scene)
    return outcome


def growth_mib(highest_kib: list[int]) -> float:
    """From the highest memory of three equal bursts: warming up, read, not read."""
    warm, read, unread = highest_kib
    return ((unread - read) - (read - warm)) / 1024


def tallies(scene: Scene) -> list[Tally]:
    """One for each reader; letter 0 is the greeting."""
    return [
        count(sender.acknowledged_at, [number for number in reader.numbers if number > 0])
        for reader, sender in zip(scene.readers, scene.senders, strict=True)
    ]


def has_settled(scene: Scene, settled_s: float | None) -> bool:
    """Whether each reader has everything, or has shown the last letter so long ago that nothing comes after it."""
    now = time.monotonic()
    for reader, sender, tally in zip(scene.readers, scene.senders, tallies(scene), strict=True):
        if not tally.lost:
            continue
        shown_at = dict(zip(reader.numbers, reader.times, strict=True)).get(max(sender.acknowledged_at))
        if settled_s is None or shown_at is None or now - shown_at < settled_s:
            return False
    return True


def noticed_s(reader: Reader, struck_at: float) -> float | None:
    return reader.noticed_at[0] - struck_at if reader.noticed_at else None


def silent_s(reader: Reader, sender: Sender, struck_at: float, over_at: float) -> float | None:
    """The longest time without a letter after the blow; None when none came that was published after it was over."""
    late = {number for number, at in sender.published_at.items() if at > over_at}
    if late and not late & set(reader.numbers):
        return None
    return longest_silence_s(struck_at, reader.times)


def latencies_ms(scene: Scene) -> tuple[list[float], list[float]]:
    """From publishing to showing, and from publishing to the answer: median and 99th percentile of each."""
    shown: list[float] = []
    answered: list[float] = []
    for reader, sender in zip(scene.readers, scene.senders, strict=True):
        first_shown = dict(reversed(list(zip(reader.numbers, reader.times, strict=True))))
        for number, published in sender.published_at.items():
            if number in first_shown:
                shown.append((first_shown[number] - published) * 1000)
            if number in sender.acknowledged_at:
                answered.append((sender.acknowledged_at[number] - published) * 1000)
    return percentiles(shown), percentiles(answered)


def percentiles(values: list[float]) -> list[float]:
    cuts = statistics.quantiles(values, n=100)
    return [cuts[49], cuts[98]]
