"""Runs the board and prints the tables; the JSON goes where `--json` says.

python -m lab.scoreboard [--quick] [--rows TEXT] [--faults NAME,NAME] [--rounds N] [--at-once N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

from lab.scoreboard.board import Plan, run
from lab.scoreboard.faults import FAULTS, QUICK
from lab.scoreboard.scene import Measure
from lab.scoreboard.table import tables
from lab.systems import ROWS

SETTLED_S = 8.0  # longer than a client's polls are apart
QUICK_MEASURE = Measure(readers=2, rate_per_s=5, before_s=1, after_s=4.5, settled_s=SETTLED_S, lengths=QUICK)


def main() -> int:
    asked = arguments()
    rows = [row for row in ROWS if asked.rows.lower() in row.name.lower()]
    faults = [fault for fault in FAULTS if not asked.faults or fault.name in asked.faults.split(",")]
    if not rows or not faults:
        names = ", ".join(row.name for row in ROWS)
        print(f"Nothing to run. Rows: {names}. Faults: {', '.join(fault.name for fault in FAULTS)}.", file=sys.stderr)
        return 2
    if missing := sorted({row.system.missing() for row in rows} - {""}):
        print("\n".join(missing), file=sys.stderr)
        return 2
    measure = QUICK_MEASURE if asked.quick else Measure()
    rounds = asked.rounds or (1 if asked.quick else 3)
    at_once = asked.at_once or (20 if asked.quick else 4)  # mostly they wait; each takes a quarter of a GiB
    idle_streams = 200 if asked.quick else 1000
    plan = Plan(rows, faults, measure, rounds, at_once, timed_alone=not asked.quick, idle_streams=idle_streams)
    signal.signal(signal.SIGTERM, stopped)
    document = run(plan)
    if asked.json:
        asked.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(tables(document))
    return 1 if any(outcome["error"] for outcome in document["outcomes"]) else 0


def stopped(*_: object) -> None:
    """End every scene as Ctrl-C does: with its servers."""
    for scene in multiprocessing.active_children():
        if scene.pid is not None:
            os.kill(scene.pid, signal.SIGINT)
    raise KeyboardInterrupt


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scoreboard")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--faults", default="", help="only these, by name, with commas between")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=0, help="scenes beside each other")
    parser.add_argument("--json", type=Path, help="write the whole result there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
