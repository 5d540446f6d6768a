"""Seeds of the simulation (docs/proof/simulation.md), and that it can fail: planted defects are found."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextvars import Context
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from lab.simulation.__main__ import find
from lab.simulation.clock import Clock, RealClock
from lab.simulation.defect import SOURCE, Mutant, Stale, changed
from lab.simulation.mutants import HUB, MUTANTS
from lab.simulation.nodes.process import Process, ProcessClock, ProcessLoop
from lab.simulation.run import run_seed

SEEDS = [1, 2, 3, 9, 192, 924]
SEEDS_OF_NODES = [0, 1, 8, 14, 179]
QUICK = ["two-transactions", "snapshot-ahead", "resumed-from-the-first-place", "tail-raised-by-hint"]
QUICK_OF_NODES = ["outbox-in-another-order"]
played = cache(run_seed)


# shows: reliability/clock-jumps
@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_under_faults_breaks_no_invariant(seed: int) -> None:
    """I1 to I4 hold after every step, and after healing everybody has everything, once, in order."""
    outcome = played(seed)

    assert [] == outcome.violations, outcome.report()
    assert outcome.operations >= 200
    assert outcome.faults >= 3


@pytest.mark.parametrize("seed", SEEDS_OF_NODES)
def test_a_run_of_several_nodes_breaks_no_invariant(seed: int) -> None:
    """I1 to I4 hold on 2 to 4 nodes of one database, whatever breaks between them; a roll-back begins a new epoch."""
    outcome = run_seed(seed, several=True)

    assert [] == outcome.violations, outcome.report()
    assert outcome.operations >= 70
    assert outcome.faults >= 3


def test_a_seed_is_one_sequence_of_steps() -> None:
    """The same seed gives the same trace, another one another: a failure can be shown again."""
    assert played(9).hash == run_seed(9).hash != played(1).hash


def test_a_module_with_a_clock_of_its_own_is_played_in_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would go on with the real time, which no seed repeats."""
    module = ModuleType("tidings.later")
    module.now = time.time  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)

    with pytest.raises(RealClock, match=r"tidings\.later\.now"), Clock().installed(1):
        pass


@pytest.mark.parametrize("context", [None, Context()], ids=["a copy of another's", "an empty one"])
def test_what_a_step_waits_for_is_gone_on_with_in_its_process(context: Context | None) -> None:
    """The network ends the wait, in whatever context it began: else a pause of the process would not hold it up."""
    with asyncio.Runner(loop_factory=lambda: ProcessLoop(ProcessClock())) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, ProcessLoop)
        one, other = Process(loop, "n0", 0.0), Process(loop, "n1", 0.0)
        waited, went_on = loop.create_future(), list[Process | None]()

        def wait() -> None:
            waited.add_done_callback(lambda _: went_on.append(loop.process))

        async def tell() -> None:
            with loop.inside(other):
                loop.call_later(1.0, wait, context=context)

        async def play() -> None:
            with loop.inside(one):
                telling = loop.create_task(tell())
            await telling
            loop.call_later(2.0, waited.set_result, None)
            await asyncio.sleep(3.0)

        runner.run(play())
        assert [other] == went_on


@pytest.mark.parametrize("name", QUICK + QUICK_OF_NODES)
def test_a_planted_defect_is_found(name: str) -> None:
    """The checkers see what they are for. All defects: make fault MUTANTS=1."""
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == name]

    assert find(mutant) is not None


def stale(source: Path, mutants: Sequence[Mutant] = MUTANTS) -> list[str]:
    """Why defects cannot be planted in this source."""
    found = []
    for mutant in mutants:
        try:
            changed(mutant, source)
        except Stale as why:
            found.append(str(why))
    return found


def test_every_planted_defect_can_be_planted() -> None:
    """The code that a defect replaces is in the product's source, once: a defect that is not planted proves nothing."""
    assert [] == stale(SOURCE)
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12


def test_planted_defects_survive_a_formatter(tmp_path: Path) -> None:
    """Lines are broken elsewhere, and every defect is planted all the same; one whose code has changed is not."""
    shutil.copytree(SOURCE, tmp_path / "tidings", ignore=shutil.ignore_patterns("static", "__pycache__"))
    ruff = [sys.executable, "-m", "ruff", "format", "--isolated", "--quiet", "--line-length", "60", str(tmp_path)]
    subprocess.run(ruff, check=True, timeout=60)
    hub = tmp_path / "tidings" / "server" / "live" / "hub.py"

    assert (SOURCE / "server" / "live" / "hub.py").read_text("utf-8") != hub.read_text("utf-8")
    assert [] == stale(tmp_path / "tidings")

    hub.write_text(hub.read_text("utf-8").replace("user_log.kick()", "user_log.wake()"), "utf-8")

    of_hub = [mutant for mutant in MUTANTS if any(place.startswith(HUB) for place, _, _ in mutant.changes)]
    assert ["no-sweep"] == [why.split(":")[0] for why in stale(tmp_path / "tidings", of_hub)]
