"""Several nodes under load while one of them, the database or what is between them breaks.

Each fault is a function that breaks something and returns when that is over; `broken` has everybody read and write
meanwhile, and judges afterwards.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from lab.faults.cluster import Breaks, Cluster, killed, played, stopped_for
from lab.faults.disks import SmallDisk
from lab.faults.rolling import clock_ahead, restarts_each_node, starts_on_nothing, upgrades_each_node
from lab.faults.rounds import Outcome
from lab.faults.standbys import lagging, lagging_with_its_node, synchronous, synchronous_that_was_away
from lab.nats import Nats
from lab.postgres import USER, Postgres
from lab.process import PATIENCE_S

DISK_MIB = 80
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'tidings'"


@dataclass(frozen=True)
class Fault:
    """`breaks` returns when it is over."""

    breaks: Breaks
    has_proxies: bool = False  # between each node and the database
    database: Callable[[], Postgres] = Postgres
    bus: Callable[[], Nats | None] = lambda: None  # beside the database


def kills_a_node(cluster: Cluster, away_s: float = 2) -> None:
    killed(cluster.nodes[0], away_s)


def ends_backends(cluster: Cluster) -> None:
    """As an operator does, three times."""
    for _ in range(3):
        cluster.database.run(f"SELECT pg_terminate_backend(pid) FROM ({BACKENDS} AND pid <> pg_backend_pid()) b")
        time.sleep(1)  # between the faults


def kills_a_backend(cluster: Cluster) -> None:
    """One that writes; the server ends all others, and recovers."""
    writing = cluster.database.run(f"{BACKENDS} AND query LIKE '%write_1%' LIMIT 1")
    os.kill(int(writing), signal.SIGKILL)
    time.sleep(2)  # the fault itself


def restarts_the_database(cluster: Cluster) -> None:
    assert cluster.database.end() == 0
    cluster.database.start()


def crashes_the_database(cluster: Cluster) -> None:
    cluster.database.crash()
    cluster.database.start()


def freezes_the_database(cluster: Cluster, seconds: float = 10) -> None:
    cluster.database.stands_still(True)
    time.sleep(seconds)  # the fault itself
    cluster.database.stands_still(False)


def takes_the_database_away(cluster: Cluster, seconds: float = 20) -> None:
    cluster.database.crash()
    time.sleep(seconds)  # the fault itself
    cluster.database.start()


def cuts_a_node_from_the_database(cluster: Cluster, seconds: float = 8) -> None:
    """First its connections are refused, then they stand open and nothing passes."""
    for cut in (cluster.proxies[0].refuse, cluster.proxies[0].stall):
        cut()
        time.sleep(seconds / 2)  # the fault itself
    cluster.proxies[0].restore()


def slows_the_database(cluster: Cluster, lag_s: float = 0.02, seconds: float = 8) -> None:
    """Of every node, each way."""
    for proxy in cluster.proxies:
        proxy.lags(lag_s)
    time.sleep(seconds)  # the fault itself
    for proxy in cluster.proxies:
        proxy.lags(0)


def cuts_the_power(cluster: Cluster) -> None:
    """Of the machine that has all of it. Nodes are back before the database, and wait for it."""
    cluster.database.crash()
    for node in cluster.nodes:
        node.kill()
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(cluster.all_at_once, lambda node: node.restart())
        time.sleep(3)  # the fault itself
        cluster.database.start()
        starting.result(PATIENCE_S)


def locks_a_user(cluster: Cluster, seconds: float = 3) -> None:
    """Somebody else holds the row of one of those who write."""
    newest = "SELECT uid FROM tidings.users ORDER BY uid DESC LIMIT 1 FOR UPDATE"
    cluster.database.run(f"BEGIN; {newest}; SELECT pg_sleep({seconds}); COMMIT")


def stops_a_node(cluster: Cluster, seconds: float = 30) -> None:
    stopped_for(cluster.nodes[0], seconds)


def uses_up_the_connections(cluster: Cluster, seconds: float = 8) -> None:
    """Somebody else has all of them, those of the nodes too: each that is ended is taken."""
    with contextlib.ExitStack() as held:
        first = held.enter_context(psycopg.connect(cluster.database.url(), autocommit=True))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            first.execute(f"SELECT pg_terminate_backend(pid) FROM ({BACKENDS}) b")
            with contextlib.suppress(psycopg.OperationalError):  # there are no more
                while True:
                    held.enter_context(psycopg.connect(cluster.database.url(), autocommit=True))
            time.sleep(0.5)  # the fault itself


def full_disk(directory: Path) -> Outcome:
    """The disk that the database has for itself: it stops when it cannot write its log, and is started when it can."""
    with TemporaryDirectory(prefix="tidings-disk-") as place, SmallDisk(Path(place) / "disk", DISK_MIB, USER) as disk:
        os.chmod(place, 0o711)  # PostgreSQL's own user comes through it
        database = OnASmallDisk(disk.directory, disk.under)
        with Cluster(directory, database) as cluster:

            def fills(_: Cluster) -> None:
                disk.fills()
                time.sleep(8)  # the fault itself
                disk.has_room()
                if database.process is not None and database.process.poll() is not None:
                    database.kill()
                    database.start()

            outcome = played(cluster, "nodes: disk of the database full for 8 s", fills)
            outcome.expects(outcome.errors["503 unavailable"] > 0, "the disk was not full: nothing was shown")
            cluster.ends_well(outcome)
    return outcome


def freezes_the_bus(cluster: Cluster, seconds: float = 8) -> None:
    assert cluster.bus is not None
    os.kill(cluster.bus.pid, signal.SIGSTOP)
    time.sleep(seconds)  # the fault itself
    os.kill(cluster.bus.pid, signal.SIGCONT)


def takes_the_bus_away(cluster: Cluster, seconds: float = 8) -> None:
    assert cluster.bus is not None
    cluster.bus.kill()
    time.sleep(seconds)  # the fault itself
    cluster.bus.start()


def splits_the_bus(cluster: Cluster, seconds: float = 8) -> None:
    """One node hears nothing of the others, nor they of it: its connection stands open, and then it has none."""
    for cut in (cluster.bus_proxies[0].stall, cluster.bus_proxies[0].refuse):
        cut()
        time.sleep(seconds / 2)  # the fault itself
    cluster.bus_proxies[0].restore()


class OnASmallDisk(Postgres):
    """A server that keeps its log in small pieces."""

    def makes_data(self) -> list[str]:
        return [*super().makes_data(), "--wal-segsize=1"]


FAULTS: dict[str, Fault] = {
    "SIGKILL of a node": Fault(kills_a_node),
    "rolling restart of all nodes": Fault(restarts_each_node),
    "all nodes replaced by the next version, through a migration": Fault(upgrades_each_node),
    "backends ended by an operator": Fault(ends_backends),
    "SIGKILL of a backend, the database recovers": Fault(kills_a_backend),
    "database restarted": Fault(restarts_the_database),
    "database crashes": Fault(crashes_the_database),
    "database frozen for 10 s": Fault(freezes_the_database),
    "database away for 20 s": Fault(takes_the_database_away),
    "database and all nodes end at once, nodes are back first": Fault(cuts_the_power),
    "one node cut from the database for 8 s": Fault(cuts_a_node_from_the_database, has_proxies=True),
    "database slow by 20 ms each way": Fault(slows_the_database, has_proxies=True),
    "a lock on the row of a user for 3 s": Fault(locks_a_user),
    "a node stopped for 30 s": Fault(stops_a_node),
    "connections of the database used up": Fault(
        uses_up_the_connections, database=partial(Postgres, max_connections="30")
    ),
    "NATS frozen for 8 s": Fault(freezes_the_bus, bus=Nats),
    "NATS away for 8 s": Fault(takes_the_bus_away, bus=Nats),
    "one node cut from NATS for 8 s": Fault(splits_the_bus, bus=Nats),
}
"""By name: what breaks under three nodes."""


WHOLE: dict[str, Callable[[Path], Outcome]] = {
    "three start at once on nothing": starts_on_nothing,
    "promotion of a synchronous standby": synchronous,
    "promotion of a synchronous standby that had been away": synchronous_that_was_away,
    "promotion of an asynchronous standby": lagging,
    "promotion of one, and the node that wrote is gone": lagging_with_its_node,
    "the clock of a node one hour ahead": clock_ahead,
    "disk of the database full": full_disk,
}
"""By name: those that bring their own nodes."""


def broken(directory: Path, name: str) -> Outcome:
    """Return what became of everything on three new nodes."""
    if name in WHOLE:
        return WHOLE[name](directory)
    fault = FAULTS[name]
    with Cluster(directory, fault.database(), has_proxies=fault.has_proxies, bus=fault.bus()) as cluster:
        outcome = played(cluster, f"nodes: {name}", fault.breaks)
        cluster.ends_well(outcome)
    return outcome
