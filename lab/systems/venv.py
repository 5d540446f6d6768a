"""The environment of the other Python systems: their packages do not mix with those of Tidings."""

from __future__ import annotations

import functools
import subprocess
from typing import ClassVar

from lab.systems.system import HERE, System

VENV = HERE / ".venv"


class PythonSystem(System):
    """A system that is installed there."""

    packages: ClassVar[tuple[str, ...]]
    """Whose versions say what runs; the first is the system itself."""

    @classmethod
    def version(cls) -> str:
        return versions(*cls.packages)

    @classmethod
    def missing(cls) -> str:
        return missing_package(cls.packages[0].replace("-", "_"))


def missing_package(module: str) -> str:
    """Return the advice when `module` cannot be imported there, or ""."""
    python = VENV / "bin" / "python"
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)"
    found = python.exists() and subprocess.run([python, "-c", code]).returncode == 0
    return "" if found else f"{module} is not installed in {VENV}: make scoreboard-programs"


@functools.cache
def versions(*packages: str) -> str:
    code = "import importlib.metadata as m, sys; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
    asked = [str(VENV / "bin" / "python"), "-c", code, *packages]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
