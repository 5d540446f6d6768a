"""The results of `make fault`, and the documents' part about them: no figure is copied by hand.

build/fault.json has an entry for each scene, for the seeds and for the planted defects that were played in this tree,
each with its time and machine; one that is played again replaces its former self. `make fault-docs` takes them into
results.json beside this file, from which the parts of the documents are written.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RUN = HERE.parents[1] / "build" / "fault.json"
PUBLISHED = HERE / "results.json"
SEEDS_MIN = {"simulation": 2_000, "nodes_simulation": 1_000}  # fewer are a try, not a result
PLAYED = (*SEEDS_MIN, "mutants", "nodes_mutants")  # what there is beside scenes: seeds and planted defects

Results = dict[str, dict[str, Any]]


def read(path: Path) -> Results:
    """The scenes, and all of PLAYED, in a file; empty where there is none."""
    empty: Results = {"scenes": {}, **{part: {} for part in PLAYED}}
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
    """Note what came of one of PLAYED."""
    write(RUN, {**read(RUN), part: figures})


def take(scenes: Sequence[str]) -> list[str]:
    """Take what was played here into what is published, of the scenes that there are; the names of what was taken."""
    run, published = read(RUN), read(PUBLISHED)
    known = published["scenes"] | run["scenes"]
    published["scenes"] = {name: {**known[name], "order": at} for at, name in enumerate(scenes) if name in known}
    taken = [name for name in run["scenes"] if name in scenes]
    for part in PLAYED:
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
    servers = (["postgres", "--version"], ["nats-server", "--version"])
    for command in (["nginx", "-v"], ["caddy", "version"], ["node", "--version"], *servers):
        try:
            done = subprocess.run(
                [_found(command[0]), *command[1:]], capture_output=True, text=True, check=True, timeout=20
            )
        except (OSError, subprocess.SubprocessError):
            continue
        words = (done.stdout + done.stderr).split()
        version = next((word for word in words if any(each.isdigit() for each in word)), "")
        told += f", {command[0]} {version.removeprefix('nginx/').removeprefix('v')}"
    return told


def _found(name: str) -> str:
    """A program, also where Debian has it in a folder that is on nobody's PATH."""
    folders = [os.environ.get("PATH", ""), "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which(name, path=os.pathsep.join(folders)) or name
