"""The tables, in Markdown, from the JSON document of a run. Pure: the same document gives the same text."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

Document = dict[str, Any]
Outcomes = list[dict[str, Any]]
NOTHING = "-"


def tables(document: Document) -> str:
    """All of it: counts, times, costs, and what stands beside the rows."""
    names = [fault["name"] for fault in document["faults"]]
    timed = [fault["name"] for fault in document["faults"] if fault["asks"] in ("break", "silence")]
    parts = [
        "**Lost, doubled, reordered** of the acknowledged messages; 0 means none of the three in any round.",
        grid(document, names, counts),
        "**Seconds until the client noticed · the longest time without a message**, from the blow on.",
        grid(document, timed, times),
        "**What it costs.** Latency is from publishing to the reader's application, with nothing broken.",
        costs(document),
        "**The faults.**",
        "\n".join(f"- *{fault['name']}*: {fault['says']}." for fault in document["faults"]),
        "**The systems.**",
        "\n".join(
            f"- **{system['name']}** ({system['version']}). {sentence(system['setup'])} {sentence(system['lacks'])}"
            for system in document["systems"]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def grid(document: Document, faults: Sequence[str], cell: Callable[[Outcomes], str]) -> str:
    """A line for each fault, a column for each row of the plan."""
    rows = [row["name"] for row in document["rows"]]
    lines = [["fault", *rows], ["---"] * (len(rows) + 1)]
    lines += [[fault, *(cell(of(document, row, fault)) for row in rows)] for fault in faults]
    return aligned(lines)


def of(document: Document, row: str, fault: str) -> Outcomes:
    return [outcome for outcome in document["outcomes"] if (outcome["row"], outcome["fault"]) == (row, fault)]


def counts(outcomes: Outcomes) -> str:
    """Medians of the rounds with their range; lost with what it is lost of."""
    if not outcomes:
        return NOTHING
    if failed := [outcome["error"] for outcome in outcomes if outcome["error"]]:
        return f"{len(failed)} of {len(outcomes)} rounds failed"
    told = []
    for kind in ("lost", "doubled", "reordered"):
        values = [outcome["tally"][kind] for outcome in outcomes]
        if any(values):
            told.append(f"{middle(values)} {kind}")
    if any(outcome["gave_up"] for outcome in outcomes):
        told.append("stopped for good")
    if not told:
        return "0"
    return f"{', '.join(told)} of {middle([outcome['tally']['acknowledged'] for outcome in outcomes])}"


def times(outcomes: Outcomes) -> str:
    if not outcomes:
        return NOTHING
    noticed = [value for outcome in outcomes for value in outcome["noticed_s"]]
    silent = [value for outcome in outcomes for value in outcome["silent_s"]]
    return (
        f"{seconds(noticed, 'never')} · {seconds(silent, 'until the end')}"
        if noticed
        else f"· {seconds(silent, 'until the end')}"
    )


def seconds(values: list[float | None], otherwise: str) -> str:
    """Median and range; `otherwise` for those that never did."""
    known = [value for value in values if value is not None]
    if not known:
        return otherwise
    text = f"{statistics.median(known):.1f}"
    if f"{min(known):.1f}" != f"{max(known):.1f}":
        text += f" ({min(known):.1f} to {max(known):.1f})"
    missing = len(values) - len(known)
    return f"{text}, {missing} of {len(values)} {otherwise}" if missing else text


def middle(values: Sequence[int]) -> str:
    """The median, and the range where there is one."""
    text = f"{statistics.median_low(values)}"
    return text if min(values) == max(values) else f"{text} ({min(values)} to {max(values)})"


def costs(document: Document) -> str:
    rows = [row["name"] for row in document["rows"]]
    memory = {system["name"]: f"{system['stream_memory_kib']:.1f}" for system in document["systems"]}
    lines = [
        ["", *rows],
        ["---"] * (len(rows) + 1),
        ["latency, median / p99, ms", *(pair(of(document, row, "none"), "latency_ms") for row in rows)],
        ["acknowledged after, median / p99, ms", *(pair(of(document, row, "none"), "publish_ms") for row in rows)],
        ["memory per idle stream, KiB", *(memory[row["system"]] for row in document["rows"])],
        [
            "more memory for a reader that does not read, MiB",
            *(growth(of(document, row, "slow reader")) for row in rows),
        ],
    ]
    return aligned(lines)


def pair(outcomes: Outcomes, name: str) -> str:
    """Medians of the rounds."""
    values = [outcome[name] for outcome in outcomes if outcome[name]]
    if not values:
        return NOTHING
    return " / ".join(f"{statistics.median(column):.1f}" for column in zip(*values, strict=True))


def growth(outcomes: Outcomes) -> str:
    values = [outcome["memory_growth_mib"] for outcome in outcomes if outcome["memory_growth_mib"] is not None]
    return f"{statistics.median(values):.1f}" if values else NOTHING


def sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def aligned(lines: list[list[str]]) -> str:
    """A Markdown table; columns are padded, so that it reads in a terminal too."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = [
        [text.ljust(width, "-" if text == "---" else " ") for text, width in zip(line, widths, strict=True)]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)
