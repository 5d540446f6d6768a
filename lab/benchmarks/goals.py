"""The goals, as ratios and figures of one run, and whether each was reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lab.benchmarks.peers import ON_POSTGRES, TWO_WITH_NATS, TWO_WITH_NOTIFY
from lab.benchmarks.report import Findings, shown

Value = Callable[[Findings], float | None]


class Goal(NamedTuple):
    """A sentence, how to read its value from a run, and its bound; ``at_least`` where more is better."""

    what: str
    value: Value
    bound: float
    at_least: bool = False

    def is_reached(self, value: float) -> bool:
        """Whether this value will do."""
        return value >= self.bound if self.at_least else value <= self.bound


def figure(work: str, name: str, server: str = "Tidings") -> Value:
    """A figure; of those whose names begin so the last, which has the most streams."""

    def value(findings: Findings) -> float | None:
        names = [each for each in findings.figures.get(work, {}) if each.startswith(name)]
        return findings.median(work, names[-1], server) if names else None

    return value


def ratio(above: Value, below: Value) -> Value:
    """One to another, where both were measured."""

    def value(findings: Findings) -> float | None:
        one, other = above(findings), below(findings)
        return one / other if one is not None and other else None

    return value


def _to(work: str, name: str, other: str) -> Value:
    return ratio(figure(work, name), figure(work, name, other))


_MESSAGE = ("message", "CPU of a message, 1 + 1 streams")
_IDLE = "memory of an idle stream"
_FRAME = ("fan_out", "CPU of a frame")
_COMMIT = "CPU of an append"
_OF_ALL = ("nodes", "CPU of a message, database and bus included")
_SPEED = ("nodes", "messages a second, all on the same CPUs")

GOALS = (
    Goal("CPU of a message, 1 + 1 streams (us)", figure(*_MESSAGE), 150),
    Goal("the same, to nchan, which keeps it in memory", _to(*_MESSAGE, "nginx with nchan"), 4.5),
    Goal("the same, to the guide's Express, which stores nothing", _to(*_MESSAGE, "guide's Express"), 0.5),
    Goal(
        "messages a CPU-second, 1 + 1 streams", figure("message", "messages a CPU-second, 1 + 1"), 6000, at_least=True
    ),
    Goal("p50 at 500 a second, to the durable floor", _to("idle", "p50 at 500", "C, epoll, fdatasync"), 3),
    Goal("p99 at 500 a second, to the durable floor", _to("idle", "p99 at 500", "C, epoll, fdatasync"), 4),
    Goal("memory of an idle stream (KiB)", figure("idle", _IDLE), 2.5),
    Goal("memory of an idle stream, not detached (KiB)", figure("idle", _IDLE, "Tidings, not detached"), 12),
    Goal("CPU to connect, token seen before (us)", figure("connect", "CPU of a stream opened again"), 150),
    Goal("CPU to connect, token never seen (us)", figure("connect", "CPU of a stream opened for the first"), 300),
    Goal("micro: CPU of a frame, to the floor in C", _to(*_FRAME, "C, epoll"), 1.3),
    Goal("micro: CPU of a frame, to nchan", _to(*_FRAME, "nginx with nchan"), 0.9),
    Goal(
        "group commit, to one transaction for each append",
        ratio(figure("store", "appends a second, group"), figure("store", "appends a second, one")),
        3,
        at_least=True,
    ),
    Goal(
        "CPU of a message beside all idle streams, to that beside 10",
        ratio(
            lambda findings: _beside(findings, most=True),
            lambda findings: _beside(findings, most=False),
        ),
        1.2,
    ),
    Goal("worst stall of the event loop in a storm (ms)", figure("storm", "worst wait for the event loop"), 20),
    Goal(
        "CPU of a message on PostgreSQL, node and database, to SQLite",
        ratio(figure(*_OF_ALL, ON_POSTGRES), figure(*_OF_ALL)),
        1.1,
    ),
    *(
        Goal(
            f"messages a second: {two.removeprefix('Tidings, ')}, to one node",
            ratio(figure(*_SPEED, two), figure(*_SPEED, ON_POSTGRES)),
            1.15,
            at_least=True,
        )
        for two in (TWO_WITH_NOTIFY, TWO_WITH_NATS)
    ),
    *(
        Goal(
            f"{share} between {two.removeprefix('Tidings, ')} (ms)",
            figure("nodes", f"{share} from one node to the other", two),
            bound,
        )
        for two in (TWO_WITH_NOTIFY, TWO_WITH_NATS)
        for share, bound in (("p50", 5), ("p99", 30))
    ),
)


def _beside(findings: Findings, *, most: bool) -> float | None:
    names = [name for name in findings.figures.get("idle", {}) if name.startswith("CPU of a message beside")]
    counted = sorted(names, key=lambda name: int(name.split("beside ")[1].split()[0].replace(",", "")))
    return findings.median("idle", counted[-1 if most else 0], "Tidings") if counted else None


def goals_table(findings: Findings) -> str:
    """Markdown: each goal, what this run says, and whether it is reached."""
    lines = ["| goal | | this run | |", "|---|---|---|---|"]
    for goal in GOALS:
        value = goal.value(findings)
        if value is not None:
            verdict = "reached" if goal.is_reached(value) else "**missed**"
            sign = "≥" if goal.at_least else "≤"
            lines.append(f"| {goal.what} | {sign} {goal.bound:,g} | {shown(value)} | {verdict} |")
    return "\n".join(lines)
