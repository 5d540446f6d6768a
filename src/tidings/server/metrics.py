"""What is counted, named in one place, in the text format of Prometheus.

Counting stands on the path of every message: a count is one dictionary entry, an observation one bisection.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

_HELP = {
    "tidings_messages_accepted_total": ("counter", "Messages stored."),
    "tidings_messages_deduplicated_total": (
        "counter",
        "Sends answered with the message that the same client_id stored.",
    ),
    "tidings_http_requests_total": ("counter", "Requests of the API answered, by route and code."),
    "tidings_refused_total": ("counter", "Requests refused, by problem code."),
    "tidings_connections_refused_total": (
        "counter",
        "Connections ended for what their peer did, by reason: bad_http, head_too_large, head_timeout, body_timeout,"
        " slow_reader, too_many.",
    ),
    "tidings_streams_opened_total": ("counter", "Streams opened, by how they began: new, resumed, reset."),
    "tidings_streams_closed_total": ("counter", "Streams ended, by reason."),
    "tidings_resets_total": ("counter", "Streams and polls whose position could not be served, by reason."),
    "tidings_catch_up_reads_total": ("counter", "Pages of logs read for streams and polls."),
    "tidings_key_fetches_total": ("counter", "Fetches of an identity provider's keys, by result: done, failed."),
    "tidings_events_trimmed_total": ("counter", "Events that retention removed from logs."),
    "tidings_send_commit_seconds": ("histogram", "From a checked message to its durable commit."),
    "tidings_fanout_seconds": ("histogram", "From a commit's arrival in the event loop to the last stream's frame."),
    "tidings_log_lines_lost_total": (
        "counter",
        "Lines of the log that nobody took in time, or that were more than it may have.",
    ),
    "tidings_build_info": ("gauge", "1, with the version."),
    "tidings_write_queue": ("gauge", "Writes that wait for the disk now."),
    "tidings_database_bytes": ("gauge", "Size of the database with its write-ahead log."),
    "tidings_log_events": ("gauge", "Events in all logs when retention last looked."),
    "tidings_streams_open": ("gauge", "Streams open now."),
    "tidings_users_connected": ("gauge", "Users with a stream or a waiting poll now."),
}


# Bounds of the buckets, in seconds: a commit takes some milliseconds, a fan-out some microseconds for each stream.
_BUCKETS = {
    "tidings_send_commit_seconds": (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    "tidings_fanout_seconds": (0.00001, 0.000025, 0.0001, 0.00025, 0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0),
}


class Metrics:
    """Counters and histograms of one process, and gauges that are asked when somebody looks."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {
            name: Counter() for name, (kind, _) in _HELP.items() if kind == "counter"
        }
        self._requests: Counter[tuple[str, int]] = Counter()
        self._histograms = {name: _Histogram(bounds) for name, bounds in _BUCKETS.items()}
        self._gauges: dict[str, Callable[[], int]] = {}

    def count(self, name: str, label: str = "", times: int = 1) -> None:
        """Add to a counter, which has to be one of those above; ``label`` is ``key="value"`` or empty."""
        self._counts[name][label] += times

    def request(self, route: str, status: int) -> None:
        """Count an answered request; ``route`` is the pattern, never an address."""
        self._requests[route, status] += 1

    def observe(self, name: str, seconds: float) -> None:
        """Add to a histogram."""
        self._histograms[name].observe(seconds)

    def gauge(self, name: str, read: Callable[[], int]) -> None:
        """Tell how to read a gauge, or a counter that is kept elsewhere; it has to be one of those above."""
        assert _HELP[name][0] in ("gauge", "counter"), name
        self._gauges[name] = read

    def text(self) -> str:
        """All of them, in Prometheus' text exposition format 0.0.4."""
        lines: list[str] = []
        for name, (kind, meaning) in _HELP.items():
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
            if name == "tidings_build_info":
                lines.append(f'{name}{{version="{_version()}"}} 1')
            elif kind == "gauge" or name in self._gauges:
                lines.append(f"{name} {self._gauges[name]() if name in self._gauges else 0}")
            elif kind == "histogram":
                lines += self._histograms[name].lines(name)
            else:
                lines += self._counter_lines(name)
        return "\n".join(lines) + "\n"

    def _counter_lines(self, name: str) -> list[str]:
        labelled = sorted(self._counts[name].items())
        if name == "tidings_http_requests_total":
            labelled = sorted(
                (f'route="{route}",code="{status}"', count) for (route, status), count in self._requests.items()
            )
        return [f"{name}{{{label}}} {count}" if label else f"{name} {count}" for label, count in labelled or [("", 0)]]


class _Histogram:
    """Observations by bucket."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Add one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str) -> list[str]:
        """Its lines: a bucket holds all that are at or below its bound."""
        lines, below = [], 0
        for bound, count in zip((*self._bounds, None), self._counts, strict=True):
            below += count
            lines.append(f'{name}_bucket{{le="{_bound(bound)}"}} {below}')
        return [*lines, f"{name}_sum {self._sum:.6f}", f"{name}_count {below}"]


def _bound(bound: float | None) -> str:
    return "+Inf" if bound is None else f"{bound:g}"


def _version() -> str:
    try:
        return version("tidings")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"
