"""`make fuzz`: a coverage-guided fuzzer on each target, then what it has found to both clients' decoders, whose
readings are compared, and then a schema-driven fuzzer on the served OpenAPI document.

    python -m lab.fuzz --seconds 60 [target ...]

The seconds are those of all together, with 5 for each at least, and 30 for the routes. The fuzzer is Atheris: libFuzzer
with the coverage of Python code, from which it learns which bytes lead further; HypoFuzz does the same to Hypothesis'
strategies, but needs a page to be driven, and random bytes alone do not get past the first line of a parser. Its
findings go to .fuzz/, where the next run goes on, and an input that fails goes into lab/fuzz/corpus with the fix.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from lab.fuzz.targets import TARGETS

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
FOUND = ROOT / ".fuzz"
DECODERS, API = "decoders", "api"
SECONDS_MIN = 5
API_SECONDS_MIN = 30  # it goes through every parameter of every route before it makes anything up


def main() -> int:
    """Run each in a process of its own; 1 when one of them found something."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("names", nargs="*", default=[])
    arguments = parser.parse_args()
    known = [*TARGETS, DECODERS, API]
    names = arguments.names or known
    if unknown := set(names) - set(known):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    each_s = max(SECONDS_MIN, arguments.seconds // len(names))
    failed = [name for name in names if not passes(name, each_s)]
    print(f"found something: {', '.join(failed)}" if failed else "nothing found", flush=True)
    return 1 if failed else 0


def passes(name: str, seconds: int) -> bool:
    """Whether nothing was found for so long."""
    if name == API:
        return by_program(name, max(seconds, API_SECONDS_MIN))
    return by_program(name, seconds) if name == DECODERS else fuzz(name, seconds)


def fuzz(name: str, seconds: int) -> bool:
    """Whether the target passed for so long."""
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lab.fuzz.one_target", name, str(found), str(FOLDER / "corpus" / name)]
    limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", f"-artifact_prefix={FOUND}/{name}-"]
    begun = time.monotonic()
    done = subprocess.run(
        [*command, *limits],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + 300,
        check=False,
    )
    *_, summary = ["nothing", *(line for line in done.stderr.splitlines() if " cov: " in line)]
    print(f"{name:10} {time.monotonic() - begun:5.0f} s  {summary}", flush=True)
    if done.returncode != 0:
        print(done.stdout[-5000:], "\n".join(done.stderr.splitlines()[-12:]), sep="\n")
    return done.returncode == 0


def by_program(name: str, seconds: int) -> bool:
    """Whether the program of that name found nothing for so long."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", f"lab.fuzz.{name}", str(seconds)], cwd=ROOT, check=False, timeout=seconds + 300
    )
    print(f"{name:10} {time.monotonic() - begun:5.0f} s", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
