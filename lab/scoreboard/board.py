"""Runs the scenes, several at a time, and keeps what came out as one JSON document."""

from __future__ import annotations

import asyncio
import datetime
import multiprocessing
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.scoreboard.cost import stream_memory_kib
from lab.scoreboard.faults import Fault
from lab.scoreboard.scene import Measure, Outcome, play
from lab.scoreboard.tally import Tally
from lab.systems.system import Row


@dataclass(frozen=True)
class Plan:
    """The plan of a run: each fault on each row `rounds` times, `at_once` scenes beside each other.

    With `timed_alone` what costs time and memory is measured first, one scene after the other.
    """

    rows: Sequence[Row]
    faults: Sequence[Fault]
    measure: Measure
    rounds: int
    at_once: int
    timed_alone: bool = True
    idle_streams: int = 1000


def run(plan: Plan) -> dict[str, Any]:
    """Run the plan. Each scene has a process of its own for its readers, senders and networks, so that none waits for
    another's; how many there are at once is all that they share.
    """
    load_before = os.getloadavg()[0]
    for system in {row.system for row in plan.rows}:
        system.build()
    scenes = [(row, fault) for _ in range(plan.rounds) for fault in plan.faults for row in plan.rows]
    timed = [scene for scene in scenes if scene[1].asks == "latency"]
    others = [scene for scene in scenes if scene[1].asks != "latency"]
    others.sort(key=lambda scene: not scene[1].is_long)
    systems = {row.system.name: row for row in plan.rows}
    spawn = multiprocessing.get_context("spawn")

    def measured(at_once: int, scenes: list[tuple[Row, Fault]], weighed: Iterable[Row]) -> None:
        with ProcessPoolExecutor(at_once, spawn) as pool:
            playing = [pool.submit(played, row, fault, plan.measure) for row, fault in scenes]
            weighing = [(row.system.name, pool.submit(weigh, row, plan.idle_streams)) for row in weighed]
            outcomes.extend(each.result() for each in playing)
            memory.update((name, each.result()) for name, each in weighing)

    outcomes: list[Outcome] = []
    memory: dict[str, float] = {}
    if plan.timed_alone:
        measured(1, timed, systems.values())
        measured(plan.at_once, others, ())
    else:
        measured(plan.at_once, [*others, *timed], systems.values())
    return document(plan, outcomes, memory, load_before)


def weigh(row: Row, streams: int) -> float:
    return asyncio.run(stream_memory_kib(row, streams))


def played(row: Row, fault: Fault, measure: Measure) -> Outcome:
    try:
        outcome = asyncio.run(play(row, fault, measure))
    except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:  # one scene spoils no other
        outcome = Outcome(row.name, fault.name, Tally(), error=str(error))
        print(f"{row.name}: {fault.name}: {error}", file=sys.stderr, flush=True)
        return outcome
    lost, doubled, reordered = outcome.tally.faults
    told = f"{row.name}: {fault.name}: {outcome.tally.acknowledged} acknowledged"
    print(f"{told}, {lost} lost, {doubled} doubled, {reordered} reordered", file=sys.stderr, flush=True)
    return outcome


def document(plan: Plan, outcomes: list[Outcome], memory_kib: dict[str, float], before: float) -> dict[str, Any]:
    """All that `table` needs; `before` is the load average at the beginning, which tells what times are worth."""
    named = plan.measure.lengths.named()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "load_average": [round(before, 1), round(os.getloadavg()[0], 1)],
        "rounds": plan.rounds,
        "at_once": plan.at_once,
        "readers": plan.measure.readers,
        "rate_per_s": plan.measure.rate_per_s,
        "settle_s": plan.measure.settle_s,
        "idle_streams": plan.idle_streams,
        "faults": [
            {"name": fault.name, "asks": fault.asks, "says": fault.says.format(**named)} for fault in plan.faults
        ],
        "systems": [
            {
                "name": system.name,
                "version": system.version(),
                "setup": system.setup,
                "lacks": system.lacks,
                "stream_memory_kib": round(memory_kib[system.name], 1),
            }
            for system in dict.fromkeys(row.system for row in plan.rows)
        ],
        "rows": [{"system": row.system.name, "client": row.client, "name": row.name} for row in plan.rows],
        "outcomes": [rounded(asdict(outcome)) for outcome in outcomes],
    }


def machine() -> str:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = platform.release().split("-")[0]
    return f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}, {gib:.0f} GiB, Linux {kernel}"


def rounded(value: Any) -> Any:
    """The same with times to the millisecond: more says nothing."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 3) if isinstance(value, float) else value
