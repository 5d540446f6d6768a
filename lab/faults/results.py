"""The results of `make fault`, and the documents' part about them: no figure is copied by hand.

build/fault.json has an entry for each scene, for the seeds and for the planted defects that were played in this tree,
each with its time and machine; one that is played again replaces its former self. `make fault-docs` takes them into
results.json beside this file, from which the parts of the documents are written.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RUN = HERE.parents[1] / "build" / "fault.json"
PUBLISHED = HERE / "results.json"
SEEDS_MIN = 2_000  # fewer are a try, not a result

Results = dict[str, dict[str, Any]]


def read(path: Path) -> Results:
    """The scenes, the simulation and the mutants in a file; empty where there is none."""
    empty: Results = {"scenes": {}, "simulation": {}, "mutants": {}}
    return {**empty, **json.loads(path.read_text(encoding="utf-8"))} if path.exists() else empty


def write(path: Path, results: Results) -> None:
    """Write all of it, the scenes in the order of their table."""
    scenes = dict(sorted(results["scenes"].items(), key=lambda each: each[1]["order"]))
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**results, "scenes": scenes}, indent=1) + "\n", encoding="utf-8")


def circumstances() -> dict[str, Any]:
    """When, on what and beside how much else something is played; taken before it begins."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
        "load": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count() or 1,
        "machine": _machine(),
    }


def record_scene(name: str, order: int, outcome: dict[str, Any]) -> None:
    """Note what came of a scene, at once: a run that is ended keeps what it has."""
    results = read(RUN)
    results["scenes"][name] = {**outcome, "order": order}
    write(RUN, results)


def record(part: str, figures: dict[str, Any]) -> None:
    """Note what came of the seeds ("simulation") or of the planted defects ("mutants")."""
    write(RUN, {**read(RUN), part: figures})


def take() -> list[str]:
    """Take what was played here into what is published; the names of what was taken."""
    run, published = read(RUN), read(PUBLISHED)
    published["scenes"] |= run["scenes"]
    taken = list(run["scenes"])
    for part in ("simulation", "mutants"):
        if run[part]:
            published[part] = run[part]
            taken.append(part)
    write(PUBLISHED, published)
    return taken


@cache
def _machine() -> str:
    return (
        f"{os.cpu_count()} cores of {_processor()}, {platform.system()} {platform.release().split('-')[0]}, Python"
        f" {platform.python_version()}, SQLite {sqlite3.sqlite_version}{_programs()}"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return models[0] if models else platform.machine()


def _programs() -> str:
    """The versions of the programs of others that scenes run."""
    told = ""
    for command in (["nginx", "-v"], ["caddy", "version"], ["node", "--version"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        except (OSError, subprocess.SubprocessError):
            continue
        words = (done.stdout + done.stderr).split()
        version = next((word for word in words if any(each.isdigit() for each in word)), "")
        told += f", {command[0]} {version.removeprefix('nginx/').removeprefix('v')}"
    return told
