"""``make bench``: what a message and an open stream cost, here and at others, in one interleaved run.

Every figure of a server is the median of its rounds, with the lowest and the highest; rounds of all servers take turns,
so that whatever else the machine does falls on all of them. CPU is the server's, user and system, by the operating
system's accounting. Server and load have a CPU each. The load checks what it receives: a run in which something was
missing, double or out of order is no result.

All of it takes some 22 minutes on a quiet machine. QUICK=1 takes less than three: one round, fewer streams, and ratios
compared with those kept in ratios.json.
ARGUMENTS="--only storm receipt --servers Tidings 'C, epoll' --rounds 1" picks works (works/__init__.py) and servers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from lab.benchmarks.goals import goals_table
from lab.benchmarks.peers import Peer, Running, all_peers, floor_program, pinned
from lab.benchmarks.report import Findings, machine, ratios, table
from lab.benchmarks.works import WORKS, Work
from lab.benchmarks.works.size import Size
from tidings.errors import ServerProblem, StreamLost

HERE = Path(__file__).parent
RATIOS = HERE / "ratios.json"
RATIO_TOLERANCE = (
    1.5  # a quick run on a busy machine differs by a third from a long one; half as much again is a change
)
# The figures that a quick run has with little noise.
RATIOS_OF = ("CPU of a message, 1 + 1", "memory of an idle stream", "CPU of a frame (us)", "CPU of a stream opened")
STORE = ("store", "Micro-benchmark: appends at the store alone")


def measure(works: Sequence[Work], peers: Sequence[Peer], size: Size, folder: Path, *, with_store: bool) -> Findings:
    """These works at these servers, round by round; each work has a server of its own, newly started."""
    findings = Findings()
    for round_number in range(1, size.rounds + 1):
        for work in works:
            for peer in peers:
                if not work.is_for(peer):
                    continue
                findings.note(work.name, peer.name, work.why_not(peer) or work.why_not_all(peer))
                if work.why_not(peer):
                    continue
                began = time.perf_counter()
                place = folder / f"{round_number}-{work.name}-{peer.name.replace(' ', '-')}"
                place.mkdir()
                os.sched_setaffinity(0, work.cpus())
                running = Running(peer, place, shares_cpus=work.shares_cpus)
                try:
                    work.measure(running, size, partial(findings.take, work.name, peer.name))
                except (SystemExit, ServerProblem, StreamLost, TimeoutError) as failure:
                    if peer.name.startswith("Tidings"):
                        raise
                    # Somebody else's server that does not stand it is a finding, and no end of ours.
                    findings.note(work.name, peer.name, "failed")
                    print(f"{peer.name} failed: {failure!r}", file=sys.stderr)
                finally:
                    running.kill()
                _tell(round_number, size, f"{work.name}, {peer.name}", began)
        if with_store:
            began = time.perf_counter()
            program = [*pinned(0), sys.executable, str(HERE / "store.py"), "--count", str(size.appends)]
            for name, value in json.loads(subprocess.run(program, check=True, capture_output=True).stdout).items():
                findings.take(STORE[0], "Tidings", name, value)
            _tell(round_number, size, STORE[0], began)
    return findings


def _tell(round_number: int, size: Size, what: str, began: float) -> None:
    took_s = time.perf_counter() - began
    print(f"round {round_number} of {size.rounds}: {what}, {took_s:.1f} s", file=sys.stderr)


def tables(findings: Findings, peers: Sequence[Peer], circumstances: str) -> str:
    """A table for each work, then the goals."""
    titles = {**{work.name: work.title for work in WORKS}, STORE[0]: STORE[1]}
    parts = [f"{datetime.now(UTC):%Y-%m-%d}, {machine()}; {circumstances}"]
    for name in findings.figures:
        measured = {server for by_server in findings.figures[name].values() for server in by_server}
        names = [peer.name for peer in peers if peer.name in measured or peer.name in findings.notes.get(name, {})]
        parts.append(f"### {titles[name]}\n\n{table(findings, name, names)}")
    parts.append(f"### Goals\n\n{goals_table(findings)}")
    return "\n\n".join(parts) + "\n"


def changed_ratios(now: dict[str, float]) -> list[str]:
    """A sentence for each ratio that is much larger than the one that is kept."""
    kept = json.loads(RATIOS.read_text()) if RATIOS.exists() else {}
    return [
        f"CHANGED {name}: {kept[name]} before, {value} now"
        for name, value in now.items()
        if value > RATIO_TOLERANCE * kept.get(name, value)
    ]


def main() -> int:
    """The comparison; 1 where a quick run is far from the ratios that are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[*(work.name for work in WORKS), STORE[0]], help="these works")
    parser.add_argument("--servers", nargs="+", help="these servers, by the names in the table")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--keep", action="store_true", help="write the ratios of this run to ratios.json")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for the table and figures")
    options = parser.parse_args()
    size = Size(quick=options.quick)
    size.rounds = options.rounds or size.rounds
    kind = "quick, one round" if options.quick else f"{size.rounds} rounds"
    circumstances = f"{kind}; load of the machine before it: {os.getloadavg()[0]:.1f}"
    works = [work for work in WORKS if not options.only or work.name in options.only]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = [
            peer for peer in all_peers(floor_program(folder)) if not options.servers or peer.name in options.servers
        ]
        findings = measure(works, peers, size, folder, with_store=not options.only or STORE[0] in options.only)
    text = tables(findings, peers, circumstances)
    now = ratios(findings, RATIOS_OF, [peer.name for peer in peers if peer.name != "Tidings"])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "table.md").write_text(text)
    (options.out / "figures.json").write_text(json.dumps({**findings.as_json(), "ratios": now}, indent=1) + "\n")
    print(text)
    if options.keep:
        RATIOS.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    changed = changed_ratios(now) if options.quick else []
    print("\n".join(changed), end="\n" if changed else "")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
