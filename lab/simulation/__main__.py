"""``make fault`` and by hand: many seeds, one seed with its last steps, or the planted defects."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import tidings
from lab.faults.results import SEEDS_MIN, circumstances, record
from lab.simulation.defect import Mutant, plant
from lab.simulation.mutants import MUTANTS
from lab.simulation.run import Outcome, run_seed

MUTANT_SEEDS = 200  # a planted defect must be found within so many
ROOT = Path(__file__).parents[2]


def main() -> int:
    """The exit status: 0 when every seed was clean, or every planted defect was found."""
    parser = argparse.ArgumentParser(prog="python -m lab.simulation", description=__doc__)
    parser.add_argument("--seeds", default="0-1999", metavar="FIRST-LAST", help="the seeds to play (%(default)s)")
    parser.add_argument("--seed", type=int, help="one seed; shows its last steps if it fails")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once (%(default)s)")
    parser.add_argument("--mutants", nargs="*", metavar="NAME", help="play planted defects instead, all or those named")
    parser.add_argument("--source", type=Path, help="fail unless the product comes from this directory")
    parser.add_argument("--nodes", action="store_true", help="several nodes on one database, instead of one on SQLite")
    given = parser.parse_args()
    if given.source is not None and Path(tidings.__file__).parent.parent != given.source:
        print(f"tidings is {tidings.__file__}, not below {given.source}")
        return 2
    if given.mutants is not None:
        wanted = [each for each in MUTANTS if each.is_of_several] if given.nodes else MUTANTS
        return play_mutants([each for each in wanted if not given.mutants or each.name in given.mutants], given.jobs)
    first, _, last = given.seeds.partition("-")
    seeds = [given.seed] if given.seed is not None else range(int(first), int(last or first) + 1)
    return play_seeds(seeds, given.jobs, several=given.nodes)


def play_seeds(seeds: Iterable[int], jobs: int, *, several: bool = False) -> int:
    """Play them until one fails; enough of them, all clean, are a result for the documents."""
    around, begun, outcomes = circumstances(), time.perf_counter(), list[Outcome]()
    gc.freeze()  # what was imported is not looked through again with every run
    gc.set_threshold(50_000)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(jobs)) if jobs > 1 else None
        for outcome in (map if pool is None else pool.map)(partial(run_seed, several=several), seeds):
            outcomes.append(outcome)
            if outcome.violations:
                print(outcome.report())
                if pool is not None:
                    pool.shutdown(cancel_futures=True)
                return 1
            if len(outcomes) % 100 == 0:
                print(f"{len(outcomes)} seeds clean", flush=True)
    by_kind = sum((each.faults_by_kind for each in outcomes), Counter[str]())
    figures = {
        "seeds": len(outcomes),
        "operations": sum(each.operations for each in outcomes),
        "faults": by_kind.total(),
        "commits": sum(each.commits for each in outcomes),
        "virtual_h": round(sum(each.seconds for each in outcomes) / 3600, 1),
        "took_s": round(time.perf_counter() - begun),
    }
    print(
        "{seeds} seeds clean: {operations} operations, {faults} faults, {commits} commits, {virtual_h} hours of virtual"
        " time in {took_s} s".format(**figures)
    )
    part = "nodes_simulation" if several else "simulation"
    if len(outcomes) >= SEEDS_MIN[part]:
        record(
            part,
            {
                **figures,
                "faults_by_kind": dict(by_kind.most_common()),
                "operations_least": min(each.operations for each in outcomes),
                "faults_least": min(each.faults for each in outcomes),
                **around,
            },
        )
    return 0


def play_mutants(mutants: list[Mutant], jobs: int) -> int:
    """Plant each defect and play seeds until one finds it; all of them are a result for the documents."""
    around, seeds = circumstances(), dict[str, int | None]()
    with ThreadPoolExecutor(jobs) as pool:
        for mutant, found in zip(mutants, pool.map(find, mutants), strict=True):
            print(f"{mutant.name:32} {'NOT FOUND' if found is None else found}", flush=True)
            seeds[mutant.name] = None if found is None else int(found.split()[1].rstrip(":"))
    missed = [name for name, seed in seeds.items() if seed is None]
    print(f"{len(mutants) - len(missed)} of {len(mutants)} planted defects found within {MUTANT_SEEDS} seeds")
    for part, is_of_several in (("mutants", False), ("nodes_mutants", True)):
        names = [mutant.name for mutant in MUTANTS if mutant.is_of_several is is_of_several]
        if seeds.keys() >= set(names):
            record(part, {"found_by_seed": {name: seeds[name] for name in names}, "within": MUTANT_SEEDS, **around})
    return 1 if missed else 0


def find(mutant: Mutant, seeds: str = f"0-{MUTANT_SEEDS - 1}") -> str | None:
    """The seed that finds a planted defect, and what it says; None if none of them does."""
    with tempfile.TemporaryDirectory(prefix="tidings-") as directory:
        source = plant(mutant, Path(directory).resolve())
        played = subprocess.run(
            [sys.executable, "-m", "lab.simulation", "--jobs", "1", "--seeds", seeds, "--source", str(source)]
            + ["--nodes"] * mutant.is_of_several,
            env={**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
    found = [line for line in played.stdout.splitlines() if line.startswith("seed ")]
    if played.returncode == 1 and found:
        return found[0]
    if played.returncode != 0:
        raise RuntimeError(f"{mutant.name}: {played.stdout[-2000:]}{played.stderr[-2000:]}")
    return None


if __name__ == "__main__":
    sys.exit(main())
