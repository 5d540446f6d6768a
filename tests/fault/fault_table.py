"""What `make fault` prints and writes: a line for each outcome, and the table for docs/fault-runs.md."""

from __future__ import annotations

from typing import Any

from rounds import Outcome

COLUMNS = ("fault", "rounds", "acknowledged", "in flight", "lost", "doubled", "order", "seen", "recovery s")


def markdown(outcomes: list[dict[str, Any]]) -> str:
    """The table of docs/fault-runs.md, from the outcomes in the file."""
    rows = ["| fault | rounds | acknowledged | in flight | lost, doubled, out of order | seen | back |"]
    rows.append("|---|---|---|---|---|---|---|")
    for each in outcomes:
        counts = ", ".join(str(each[kind]) for kind in ("lost", "doubled", "out_of_order"))
        seen = ", ".join(
            error if count == each["rounds"] else f"{error} ({count})" for error, count in each["errors"].items()
        )
        recovery = each["recovery_s"]
        back = "-" if recovery["median"] is None else f"{recovery['median']} s"
        if each["rounds"] > 1 and recovery["most"] is not None:
            back += f", at most {recovery['most']} s"
        fault = each["fault"] + (" (control: has to lose)" if each["is_control"] else "")
        verdict = counts if each["holds"] else f"{counts}; does not hold"
        rows.append(
            f"| {fault} | {each['rounds']} | {each['acknowledged'] or '-'} | {each['in_flight'] or '-'} | {verdict} |"
            f" {seen or '-'} | {back} |"
        )
    return "\n".join(rows) + "\n"


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
