"""Seeds of the simulation (docs/proof/simulation.md), and that it can fail: planted defects are found."""

from __future__ import annotations

from functools import cache

import pytest

from lab.simulation.__main__ import find
from lab.simulation.mutants import MUTANTS, Stale, changed
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


def test_every_planted_defect_can_be_planted() -> None:
    """The text that a defect replaces is in the product's source, once: a defect that is not planted proves nothing."""
    stale = []
    for mutant in MUTANTS:
        try:
            changed(mutant)
        except Stale as why:
            stale.append(str(why))

    assert [] == stale
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12
