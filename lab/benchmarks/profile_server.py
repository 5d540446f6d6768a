"""``make bench-profile``: where the CPU of a message and of a new stream goes, as flame graphs.

The server is sampled by CPU time (sampled.py) while the load does one thing as often as it can. The last box of a stack
is the line that was running: what it calls in native code and in the kernel is in it.
"""

from __future__ import annotations

import argparse
import asyncio
import linecache
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import uvloop

import tidings
from lab.benchmarks.charts import drawing
from lab.benchmarks.flame import flame
from lab.benchmarks.peers import SETTINGS, Running, served_by_us
from lab.benchmarks.works.size import CONNECTIONS, PAIRS
from lab.systems.tidings import Tidings
from tidings.bench.run import Plan, run
from tidings.bench.streams import Audience, Server, clock
from tidings.errors import StreamLost

AT_ONCE = 200
WARM_S, TURN_S = 0.5, 3.0
TURNS_MAX = 60
PACKAGE = Path(tidings.__file__).parent
TITLES = {
    "message": "CPU of a message: token, limits, commit, one stream each of two people",
    "connect": "CPU of a new stream, the token seen before",
}
_FRAME = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)')
_OTHERS = "others"

Stacks = Counter[tuple[str, ...]]


def messages(running: Running, seconds: float, on_ready: Callable[[], None]) -> None:
    """As many messages as go."""
    plan = Plan(0, PAIRS, 1, CONNECTIONS, 0, seconds)
    run(running.dialect, running.url, plan, name="sampled", on_ready=on_ready)


def connects(running: Running, seconds: float, on_ready: Callable[[], None]) -> None:
    """The same users open their streams again and again."""

    async def work() -> None:
        on_ready()
        ends_at = clock() + seconds
        while clock() < ends_at:
            audience = Audience(running.dialect, Server.at(running.url))
            await audience.open([f"sampled-{nth}" for nth in range(AT_ONCE)])
            await audience.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


LOADS = {"message": messages, "connect": connects}


def record(load: str, wanted: int, folder: Path) -> Stacks:
    """So many samples of one load, of one server after another."""
    found: Stacks = Counter()
    for turn in range(TURNS_MAX):
        place = folder / f"{load}-{turn}"
        place.mkdir()
        found += _record_once(load, place)
        print(f"{load}: {sum(found.values()):,} of {wanted:,} samples", file=sys.stderr)
        if sum(found.values()) >= wanted:
            return found
    raise SystemExit(f"{TURNS_MAX} servers gave too few samples")


def _record_once(load: str, folder: Path) -> Stacks:
    samples = folder / "samples.txt"
    running = Running(served_by_us()._replace(server=partial(_sampled, samples=samples)), folder)
    starts: list[int] = []
    try:
        for seconds in (WARM_S, TURN_S):
            LOADS[load](running, seconds, lambda: starts.append(samples.stat().st_size))
    except StreamLost:  # it died of being sampled, see sampled.py; what it wrote before is good
        pass
    finally:
        end = samples.stat().st_size
        running.stop()
    return stacks(samples.read_bytes()[starts[1] : end].decode()) if len(starts) > 1 else Counter()


def _sampled(folder: Path, samples: Path) -> Tidings:
    server = Tidings(folder, settings=SETTINGS)
    server.program = [sys.executable, str(Path(__file__).with_name("sampled.py")), str(samples)]
    return server


def stacks(text: str) -> Stacks:
    """Samples by stack, outermost first; the last is the line that was running."""
    found: Stacks = Counter()
    for sample in text.split("Stack (most recent call first):\n")[1:-1]:  # the last one may have no end
        frames = [match for match in map(_FRAME.fullmatch, sample.splitlines()) if match]
        if frames:
            found[tuple(_shown(frames))] += 1
    return found


def _shown(frames: list[re.Match[str]]) -> Iterator[str]:
    """The thread, the functions, the line."""
    root, name = _root(frames)
    yield name
    for frame in reversed(frames[:root]):
        path = Path(frame["file"])
        file = path.relative_to(PACKAGE if PACKAGE in path.parents else path.parents[1])
        yield f"{frame['function']} ({file})"
    if root == 0:
        yield "uvloop" if name == "event loop" else "waking up"
    else:
        yield linecache.getline(frames[0]["file"], int(frames[0]["line"])).strip()


def _root(frames: list[re.Match[str]]) -> tuple[int, str]:
    """How many frames are of the thread's own work, and its name."""
    for place, frame in enumerate(frames):
        path = Path(frame["file"])
        if path.name == "runners.py":
            return place, "event loop"
        if path.name == "threads.py" and frame["function"] == "take_turns":
            is_writer = any(each["function"] == "_serve_batch" for each in frames[:place])
            return place, "writer" if is_writer else "readers"
    return len(frames), _OTHERS


def table(found: Stacks, least: float) -> str:
    """Functions by the share of samples in which they were running or had called what ran."""
    total = sum(found.values())
    within: Counter[str] = Counter()
    for stack, count in found.items():
        for each in set(stack[:-1]):
            within[each] += count
    return "\n".join(
        f"{100 * count / total:5.1f} %  {each}" for each, count in within.most_common() if count >= least * total
    )


def main() -> int:
    """Write profile-*.svg and profile-*.txt into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--only", choices=LOADS, nargs="+", default=list(LOADS))
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for load in options.only:
            found = record(load, options.samples, Path(name))
            (options.out / f"profile-{load}.svg").write_text(drawing(flame(TITLES[load], found)), encoding="utf-8")
            text = table(found, 0.01)
            (options.out / f"profile-{load}.txt").write_text(f"{TITLES[load]}\n{text}\n", encoding="utf-8")
            print(f"{TITLES[load]}: {sum(found.values()):,} samples\n{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
