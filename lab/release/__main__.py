"""``python -m lab.release``: build, try, write notes. The first thing that is wrong ends it with 1."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from lab.release import npm, python
from lab.release.notes import notes
from lab.release.packages import TARGET, Packages, build, names_in

CHECKS: tuple[tuple[str, Callable[[Packages], str]], ...] = (
    ("texts", python.check_texts),
    ("shape", npm.check_shape),
    ("wheel", python.check_wheel),
    ("sdist", python.check_sdist),
    ("Vite", npm.check_vite),
    ("Next.js", npm.check_next),
    ("Jest", npm.check_jest),
)


def main() -> int:
    """Say of each step what it found and the seconds that it took."""
    started = time.monotonic()
    packages = build()
    print(f"build    {time.monotonic() - started:6.1f} s  Tidings {packages.version}", flush=True)
    for path in packages.files:
        print(f"         {path.stat().st_size:>10,} bytes, {len(names_in(path))} files: {path.name}", flush=True)
    for name, check in CHECKS:
        begun = time.monotonic()
        try:
            found = check(packages)
        except AssertionError as failure:
            print(f"{name:<8} FAULT: {failure}", file=sys.stderr)
            return 1
        print(f"{name:<8} {time.monotonic() - begun:6.1f} s  {found}", flush=True)
    (TARGET / "notes.md").write_text(notes(packages), encoding="utf-8")
    print(f"{time.monotonic() - started:.0f} s; the packages and notes.md are in {TARGET}. Nothing was published.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
