"""The lines of `make fault`: a line for each outcome."""

from __future__ import annotations

from lab.faults.rounds import Outcome

COLUMNS = ("fault", "rounds", "acknowledged", "in flight", "lost", "doubled", "order", "seen", "recovery s")


def line(outcome: Outcome) -> str:
    """A line of the table, and one for each thing that does not hold."""
    shown = outcome.as_json()
    recovery = shown["recovery_s"]
    cells = [
        outcome.fault,
        str(outcome.rounds),
        str(outcome.acknowledged),
        str(outcome.in_flight),
        f"{outcome.lost} lost",
        f"{outcome.doubled} doubled",
        f"{outcome.out_of_order} out of order",
        ", ".join(f"{error} x{count}" for error, count in shown["errors"].items()) or "-",
        "-" if recovery["median"] is None else f"back in {recovery['median']} s (at most {recovery['most']} s)",
    ]
    verdict = "holds" if outcome.holds else "DOES NOT HOLD"
    figures = "".join(f"\n    {name.replace('_', ' ')}: {value}" for name, value in outcome.figures.items())
    return " | ".join([verdict, *cells]) + figures + "".join(f"\n    ! {failure}" for failure in outcome.failures)
