"""Our clients and a node with a link of packets between them.

`python -m lab.faults.lossy NAME BUILD DIRECTORY` prints an outcome.

A process of its own, since it moves to another network namespace; `in_namespaces` starts it so that this is allowed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.crowd import UNLIMITED
from lab.faults.link import SERVER_ADDRESS, Link
from lab.faults.networks import watched
from lab.faults.rounds import Outcome
from lab.node import Node

ROOT = Path(__file__).parents[2]
RUN_MAX_S = 300

LINKS: dict[str, tuple[dict[str, Any], float]] = {
    "5 % of packets lost, 40 ms with jitter": ({"loss": 0.05, "delay_s": 0.03, "jitter_s": 0.02}, 20),
    "30 % of packets lost": ({"loss": 0.3, "delay_s": 0.01}, 20),
    "packets doubled and out of order": ({"double": 0.3, "jitter_s": 0.05}, 15),
    "300 ms there, 300 ms back": ({"delay_s": 0.3}, 15),
    "black hole for 20 s": ({"hole": True}, 20),
    "black hole for 50 s": ({"hole": True}, 50),
}
"""By name: what the link does, and for how many seconds."""


def in_namespaces(name: str, build: Path, directory: Path) -> Outcome:
    """Run one of the links; an outcome with the reason where namespaces are not allowed."""
    rights = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user"]
    command = [*rights, sys.executable, "-m", "lab.faults.lossy", name, str(build), str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_MAX_S)
    if done.returncode != 0:
        return Outcome(f"link: {name}", failures=[f"not run: {done.stderr.strip().splitlines()[-1:]}"])
    return Outcome.from_json(json.loads(done.stdout.splitlines()[-1]))


def main(name: str, build: str, directory: str) -> None:
    """Run one of the links in this process."""
    settings, hold_s = LINKS[name]
    link = Link()
    try:
        link.enter()
        node = Node(Path(directory), heartbeat_interval_s=1, **UNLIMITED)
        node.host, node.under = SERVER_ADDRESS, link.under
        with node:
            outcome = watched(
                node,
                node.url,
                Path(build),
                f"link: {name}",
                lambda: link.told(**settings),
                link.told,
                hold_s=hold_s,
            )
        print(json.dumps(outcome.as_json()))
    finally:
        link.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
