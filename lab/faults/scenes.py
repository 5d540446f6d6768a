"""`make fault`: every fault with all its rounds, printed and in build/fault.json.

    make fault                   all of them
    make fault ONLY="kill disk"  those whose name has one of the words
    make fault-docs              take what is in build/fault.json into the documents

docs/proof/fault-runs.md publishes a run of this. Each scene runs on a node of its own; the report has a line with the
reason for a scene that cannot run on this machine. The exit status is 1 when a promise was broken.
"""

from __future__ import annotations

import atexit
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from lab.client_build import build_client
from lab.crowd import UNLIMITED
from lab.faults import nodes
from lab.faults.bounds import LIMITS, limits_hold
from lab.faults.catching_up import catch_up_under_traffic
from lab.faults.disks import SmallDisk, damaged_file, failing_disk, full_disk, read_only_disk, start_on_a_full_disk
from lab.faults.fronts import behind_a_front, http2_stream
from lab.faults.killing import kill_rounds
from lab.faults.lossy import LINKS, in_namespaces
from lab.faults.networks import FAULTS, broken_network
from lab.faults.powercut import kill_within_fsync, power_cuts
from lab.faults.results import RUN, circumstances, record_scene
from lab.faults.rounds import Outcome
from lab.faults.soak import soak
from lab.faults.stops import no_descriptors, stands_still
from lab.faults.storm import crowded_drain, reconnection_storm
from lab.faults.table import COLUMNS, line
from lab.faults.unread import never_reads
from lab.front import Front
from lab.node import Node

FRONTS = ("nginx", "caddy")

Scene = Callable[[Path], Outcome]


def kill(directory: Path) -> Outcome:
    """50 rounds."""
    with Node(directory, **UNLIMITED) as node:
        return kill_rounds(node, 50, sends=400)


def power_cut(directory: Path) -> Outcome:
    """20 rounds, every second one with a part of what was not fsynced."""
    return stopped(Node(directory, **UNLIMITED), lambda node: power_cuts(node, 20, sends=400))


def power_cut_on_a_lying_disk(directory: Path) -> Outcome:
    """The control: it has to lose."""
    return stopped(Node(directory, **UNLIMITED), lambda node: power_cuts(node, 1, sends=200, lying=True))


def power_cut_after_a_kill_within_fsync(directory: Path) -> Outcome:
    """One round, at the worst moment."""
    return stopped(Node(directory, **UNLIMITED), kill_within_fsync)


def disk_full(directory: Path) -> Outcome:
    """A real small disk."""
    with SmallDisk(directory / "disk") as disk:
        node = Node(directory / "node", database=disk.directory / "tidings.db", heartbeat_interval_s=0.5, **UNLIMITED)
        node.under = disk.under
        return stopped(node, lambda node: full_disk(node, disk.fills, disk.has_room))


def disk_full_at_a_start(directory: Path) -> Outcome:
    """As above."""
    with SmallDisk(directory / "disk") as disk:
        return start_on_a_full_disk(directory / "node", disk, **UNLIMITED)


def disk_read_only(directory: Path) -> Outcome:
    """As above."""
    with SmallDisk(directory / "disk") as disk:
        return read_only_disk(directory / "node", disk, **UNLIMITED)


def disk_fsync_fails(directory: Path) -> Outcome:
    """EIO, whereupon the writer thread dies."""
    node = Node(directory, **UNLIMITED)
    return stopped(node, lambda node: failing_disk(node, "fsync 5", "fsync fails (EIO), the writer dies"))


def disk_write_fails(directory: Path) -> Outcome:
    """EIO, whereupon the writer thread dies."""
    node = Node(directory, **UNLIMITED)
    return stopped(node, lambda node: failing_disk(node, "write 5", "write fails (EIO), the writer dies"))


def disk_becomes_read_only(directory: Path) -> Outcome:
    """EROFS, as of a file system that the kernel has remounted."""
    node = Node(directory, **UNLIMITED)
    return stopped(node, lambda node: failing_disk(node, "write 30", "write fails (EROFS), the writer dies"))


def disk_damaged(directory: Path) -> Outcome:
    """Pages with other bytes."""
    return stopped(Node(directory, **UNLIMITED), damaged_file)


def stop_for_half_a_minute(directory: Path) -> Outcome:
    """SIGSTOP, 30 s."""
    with Node(directory, **UNLIMITED) as node:
        return stands_still(node, 30)


def descriptors(directory: Path) -> Outcome:
    """RLIMIT_NOFILE."""
    with Node(directory, **UNLIMITED) as node:
        return no_descriptors(node)


def unread_streams(directory: Path) -> Outcome:
    """20 of them."""
    return never_reads(directory, 20, messages=4_000, **UNLIMITED)


def catch_up(directory: Path) -> Outcome:
    """10,000 messages."""
    with Node(directory, **UNLIMITED) as node:
        return catch_up_under_traffic(node, 10_000)


def reconnections(directory: Path) -> Outcome:
    """5,000 clients."""
    return running(Node(directory, **UNLIMITED), lambda node: reconnection_storm(node, 5_000, backlog=5))


def drain(directory: Path) -> Outcome:
    """2,000 streams, in the usual window."""
    node = Node(directory, **UNLIMITED | {"drain_window_s": 5})
    return running(node, lambda node: crowded_drain(node, 2_000, 5.0))


def limits(directory: Path) -> Outcome:
    """All at once."""
    with Node(directory, **LIMITS) as node:
        return limits_hold(node)


def network(name: str) -> Scene:
    """The scene of one of the networks."""
    breaks, hold_s = FAULTS[name]

    def scene(directory: Path) -> Outcome:
        with Node(directory, heartbeat_interval_s=1, **UNLIMITED) as node:
            return broken_network(node, client_package(), name, breaks, hold_s)

    scene.__name__ = f"network_{name}"
    return scene


def link(name: str) -> Scene:
    """The scene of one of the links of packets."""

    def scene(directory: Path) -> Outcome:
        return in_namespaces(name, client_package(), directory)

    scene.__name__ = f"link_{name}"
    return scene


def front(kind: str) -> Scene:
    """A stream over HTTP/2 behind a proxy with our configuration."""

    def scene(directory: Path) -> Outcome:
        with Node(directory / "node", heartbeat_interval_s=1, **UNLIMITED) as node:
            (directory / "front").mkdir()
            with Front(kind, node, directory / "front") as front:
                outcome = http2_stream(front)
            node.restart()
        return outcome

    scene.__name__ = f"front_{kind}_http2"
    return scene


def restart_behind(kind: str, *, kill: bool) -> Scene:
    """The node goes and comes behind the proxy."""

    def scene(directory: Path) -> Outcome:
        return behind_a_front(kind, directory, client_package(), kill=kill)

    scene.__name__ = f"front_{kind}_{'kill' if kill else 'drain'}"
    return scene


def several_nodes(name: str) -> Scene:
    """The scene of a fault under three nodes on one PostgreSQL."""

    def scene(directory: Path) -> Outcome:
        return nodes.broken(directory, name)

    scene.__name__ = f"nodes_{name}"
    return scene


def soak_of_ten_minutes(directory: Path) -> Outcome:
    """The soak."""
    with Node(directory, **UNLIMITED) as node:
        return soak(node, 600)


@cache
def client_package() -> Path:
    """The package for JavaScript, built once."""
    folder = Path(mkdtemp(prefix="tidings-fault-client-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return build_client(folder)


def running(node: Node, scene: Callable[[Node], Outcome]) -> Outcome:
    """The scene of a node that runs, and may be gone afterwards."""
    node.start()
    return stopped(node, scene)


def stopped(node: Node, scene: Callable[[Node], Outcome]) -> Outcome:
    """The scene of a node that it starts by itself."""
    try:
        return scene(node)
    finally:
        node.kill()


SCENES: list[Scene] = [
    kill,
    power_cut,
    power_cut_after_a_kill_within_fsync,
    power_cut_on_a_lying_disk,
    disk_full,
    disk_full_at_a_start,
    disk_read_only,
    disk_fsync_fails,
    disk_write_fails,
    disk_becomes_read_only,
    disk_damaged,
    stop_for_half_a_minute,
    descriptors,
    unread_streams,
    catch_up,
    reconnections,
    drain,
    limits,
    *(network(name) for name in FAULTS),
    *(link(name) for name in LINKS),
    *(front(kind) for kind in FRONTS),
    *(restart_behind(kind, kill=kill) for kind in FRONTS for kill in (False, True)),
    soak_of_ten_minutes,
    *(several_nodes(name) for name in (*nodes.FAULTS, *nodes.WHOLE)),
]


def main(words: list[str]) -> int:
    """Run the scenes, print and note each; 1 when something does not hold, 2 when a word names none."""
    for word in words:
        if not any(word in scene.__name__ for scene in SCENES):
            print(
                f"{word!r} names nothing; there are: {', '.join(scene.__name__ for scene in SCENES)}", file=sys.stderr
            )
            return 2
    all_hold = True
    print("  ".join(COLUMNS), flush=True)
    for order, scene in enumerate(SCENES):
        if words and not any(word in scene.__name__ for word in words):
            continue
        around, begun = circumstances(), time.monotonic()
        with TemporaryDirectory(prefix="tidings-fault-") as directory:
            try:
                outcome = scene(Path(directory) / "node")
            except Exception as failure:
                traceback.print_exc()
                outcome = Outcome(scene.__name__.replace("_", " "), failures=[f"{type(failure).__name__}: {failure}"])
        outcome.took_s = round(time.monotonic() - begun, 1)
        all_hold = all_hold and outcome.holds
        record_scene(scene.__name__, order, {**outcome.as_json(), **around})
        print(line(outcome), flush=True)
    print(f"noted in {RUN}; `make fault-docs` takes it into the documents")
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
