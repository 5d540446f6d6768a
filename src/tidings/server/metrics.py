"""What is counted, named in one place, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

_HELP = {
    "tidings_messages_accepted_total": ("counter", "Messages stored."),
    "tidings_messages_deduplicated_total": (
        "counter",
        "Sends answered with the message that the same client_id stored.",
    ),
    "tidings_refused_total": ("counter", "Requests refused, by problem code."),
    "tidings_streams_opened_total": ("counter", "Streams opened, by how they began: new, resumed, reset."),
    "tidings_streams_closed_total": ("counter", "Streams ended, by reason."),
    "tidings_catch_up_reads_total": ("counter", "Pages of logs read for streams and polls."),
    "tidings_key_fetches_total": ("counter", "Fetches of an identity provider's keys, by result: done, failed."),
    "tidings_streams_open": ("gauge", "Streams open now."),
    "tidings_users_connected": ("gauge", "Users with a stream or a waiting poll now."),
}


class Metrics:
    """Counters of one process, and gauges that are asked when somebody looks."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._gauges: dict[str, Callable[[], int]] = {}

    def count(self, name: str, label: str = "") -> None:
        """Add one; ``label`` is ``key="value"`` or empty."""
        self._counts[name, label] += 1

    def gauge(self, name: str, read: Callable[[], int]) -> None:
        """Tell how to read a gauge."""
        self._gauges[name] = read

    def text(self) -> str:
        """All of them, in Prometheus' text exposition format 0.0.4."""
        lines: list[str] = []
        for name, (kind, meaning) in _HELP.items():
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
            if kind == "gauge":
                lines.append(f"{name} {self._gauges[name]() if name in self._gauges else 0}")
                continue
            labelled = sorted((label, count) for (counted, label), count in self._counts.items() if counted == name)
            for label, count in labelled or [("", 0)]:
                lines.append(f"{name}{{{label}}} {count}" if label else f"{name} {count}")
        return "\n".join(lines) + "\n"
