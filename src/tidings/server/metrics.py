"""The node's counters, by ``prometheus_client``: a name that is not below is an error when the line is checked or runs.

Rules
1. A node has a registry of its own: two in one process count apart, and the process's own registry is its host's.
2. No label names a user, an address or a path: routes are patterns, codes and reasons are words of ours, names of
   service keys the operator's.
3. Counting stands on the path of every message: what is counted there has no labels, or ``cache`` finds them:
   ``labels`` takes ten times as long, for its lock and its strings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from tidings.server.logs import lost_lines

OPENMETRICS = "application/openmetrics-text"

Page = tuple[bytes, str]  # and its content type

# Bounds of the buckets, in seconds: a commit takes some milliseconds, a fan-out some microseconds for each stream.
_COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_FANOUT_BOUNDS = (0.00001, 0.000025, 0.0001, 0.00025, 0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0)


class Metrics:
    """The metrics of one node, and those of its process; docs/run/operate.md lists them."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(name, meaning, labels, registry=registry)

        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(name, meaning, registry=registry)

        self.messages_accepted = counter("tidings_messages_accepted_total", "Messages stored.")
        self.messages_deduplicated = counter(
            "tidings_messages_deduplicated_total", "Sends answered with the message that the same client_id stored."
        )
        self.outbox_moved = counter("tidings_outbox_moved_total", "Messages of the application's transactions stored.")
        self.outbox_refused = counter(
            "tidings_outbox_refused_total", "Messages of the application's transactions refused.", "why"
        )
        self.http_requests = cache(
            counter("tidings_http_requests_total", "Requests of the API answered.", "route", "code").labels
        )
        self.refused = counter("tidings_refused_total", "Requests refused, by problem code.", "code")
        self.connections_refused = counter(
            "tidings_connections_refused_total",
            "Connections ended for what their peer did: bad_http, head_too_large, head_timeout, body_timeout,"
            " slow_reader, too_many.",
            "reason",
        )
        self.streams_opened = counter(
            "tidings_streams_opened_total", "Streams opened, by how they began: new, resumed, reset.", "how"
        )
        self.streams_closed = counter("tidings_streams_closed_total", "Streams ended.", "reason")
        self.resets = counter("tidings_resets_total", "Streams and polls whose position could not be served.", "reason")
        self.catch_up_reads = counter("tidings_catch_up_reads_total", "Pages of logs read for streams and polls.")
        self.service_key_requests = counter(
            "tidings_service_key_requests_total", "Requests with a service key, by its name.", "key"
        )
        self.key_fetches = counter(
            "tidings_key_fetches_total", "Fetches of an identity provider's keys: done, failed.", "result"
        )
        self.events_trimmed = counter("tidings_events_trimmed_total", "Events that retention removed from logs.")
        self.send_commit_seconds = Histogram(
            "tidings_send_commit_seconds",
            "From a checked message to its durable commit.",
            buckets=_COMMIT_BOUNDS,
            registry=registry,
        )
        self.fanout_seconds = Histogram(
            "tidings_fanout_seconds",
            "From a commit's arrival in the event loop to the last stream's frame.",
            buckets=_FANOUT_BOUNDS,
            registry=registry,
        )
        self.write_queue = gauge("tidings_write_queue", "Writes that wait for the disk now.")
        self.database_bytes = gauge("tidings_database_bytes", "Size of the database with its write-ahead log.")
        self.log_events = gauge("tidings_log_events", "Events in all logs when retention last looked.")
        self.streams_open = gauge("tidings_streams_open", "Streams open now.")
        self.users_connected = gauge("tidings_users_connected", "Users with a stream or a waiting poll now.")
        self.bus_up = gauge("tidings_bus_up", "1 while hints of other nodes come; 1 where there can be none.")
        self.bus_up.set(1)
        self.bus_neighbours = gauge("tidings_bus_neighbours", "Other nodes that were heard in the last seconds.")
        self.bus_published = counter("tidings_bus_published_total", "Parcels given to the bus; beats are not counted.")
        self.bus_heard = counter("tidings_bus_heard_total", "Parcels of other nodes, with their beats.")
        self.bus_dropped = counter("tidings_bus_dropped_total", "Parcels that the bus did not carry.")
        self.bus_gaps = counter(
            "tidings_bus_gaps_total", "Holes in what other nodes published, and parcels that could not be read."
        )
        self.bus_sweeps = counter("tidings_bus_sweeps_total", "Looks at the database for what no hint told.")
        Info("tidings_build", "The version.", registry=registry).info({"version": _version()})
        self.database = _Database()
        registry.register(self.database)
        registry.register(_LostLines())
        self.collector: Collector = _WithoutProcess(registry)
        ProcessCollector(registry=registry)

    def render(self, accept: str) -> Page:
        """Every metric of this node."""
        return render(self._registry, accept)


def render(registry: CollectorRegistry, accept: str) -> Page:
    """A registry's metrics, and the content type: OpenMetrics 1.0.0 for a reader that takes it, else the text format.

    The library never sees the header: it fails at a version that is no number, and claims any other that is asked.
    """
    encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in accept else "")
    return encode(registry), content_type


class Buckets(Protocol):
    """Values that were counted by bounds."""

    @property
    def bounds(self) -> Sequence[float]: ...

    @property
    def counts(self) -> Sequence[int]: ...

    @property
    def total(self) -> float: ...


class Figures(Protocol):
    """The figures that a store keeps of its work."""

    @property
    def round_trip_s(self) -> Buckets: ...

    @property
    def batch(self) -> Buckets: ...

    @property
    def retries(self) -> Mapping[str, int]: ...

    @property
    def slow(self) -> int: ...

    @property
    def unknown(self) -> int: ...


class _Database(Collector):
    """The work of a database that is elsewhere, as the store counts it; nothing where it is in this process."""

    def __init__(self) -> None:
        self.figures: Callable[[], Figures | None] = lambda: None

    def collect(self) -> Iterator[Metric]:
        figures = self.figures()
        trips = HistogramMetricFamily(
            "tidings_database_round_trip_seconds", "From a batch's way to the database to its answer."
        )
        batches = HistogramMetricFamily("tidings_database_batch_writes", "Writes in a batch.")
        retries = CounterMetricFamily(
            "tidings_database_retries_total",
            "Batches tried again, by reason: lock, conflict, connection.",
            labels=["reason"],
        )
        slow = CounterMetricFamily(
            "tidings_database_slow_writes_total", "Writes for a log that somebody else held: they waited by themselves."
        )
        unknown = CounterMetricFamily(
            "tidings_database_unknown_writes_total", "Writes answered 503 since their outcome was not known."
        )
        if figures is not None:
            _fill(trips, figures.round_trip_s)
            _fill(batches, figures.batch)
            for reason, count in figures.retries.items():
                retries.add_metric([reason], count)
            slow.add_metric([], figures.slow)
            unknown.add_metric([], figures.unknown)
        yield from (trips, batches, retries, slow, unknown)


def _fill(family: HistogramMetricFamily, buckets: Buckets) -> None:
    counts = accumulate(buckets.counts)
    bounds = [*map(str, buckets.bounds), "+Inf"]
    family.add_metric([], list(zip(bounds, counts, strict=True)), buckets.total)


class _WithoutProcess(Collector):
    """A node's metrics for a registry that has the process's own already."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        return (metric for metric in self._registry.collect() if not metric.name.startswith("process_"))


class _LostLines(Collector):
    """A counter that the process's log keeps."""

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "tidings_log_lines_lost_total",
            "Lines of the log that nobody took in time, or that were more than it may have.",
            value=lost_lines(),
        )


def _version() -> str:
    try:
        return version("tidings")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"
