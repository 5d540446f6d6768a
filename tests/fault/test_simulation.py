"""Seeds of the simulation (docs/proof/simulation.md), and that it can fail: planted defects are found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from lab.simulation.__main__ import find
from lab.simulation.mutants import MUTANTS, SOURCE, Stale, changed
from lab.simulation.run import run_seed

SEEDS = [1, 2, 3, 9, 192, 924]
QUICK = ["two-transactions", "snapshot-ahead", "resumed-from-the-first-place", "tail-raised-by-hint"]
played = cache(run_seed)


# shows: reliability/clock-jumps
@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_under_faults_breaks_no_invariant(seed: int) -> None:
    """I1 to I4 hold after every step, and after healing everybody has everything, once, in order."""
    outcome = played(seed)

    assert [] == outcome.violations, outcome.report()
    assert outcome.operations >= 200
    assert outcome.faults >= 3


def test_a_seed_is_one_sequence_of_steps() -> None:
    """The same seed gives the same trace, another one another: a failure can be shown again."""
    assert played(9).hash == run_seed(9).hash != played(1).hash


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_defect_is_found(name: str) -> None:
    """The checkers see what they are for. All defects: make fault MUTANTS=1."""
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == name]

    assert find(mutant) is not None


def stale(source: Path) -> list[str]:
    """Why defects cannot be planted in this source."""
    found = []
    for mutant in MUTANTS:
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

    assert ["no-sweep"] == [why.split(":")[0] for why in stale(tmp_path / "tidings")]
