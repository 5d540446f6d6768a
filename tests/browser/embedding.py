"""The application in `embedded`, built with the package as `npm pack` makes it: a conversation where hosts put it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.client_build import install_packages, node_program
from lab.host import Host

HERE = Path(__file__).parent


@contextmanager
def embedded(directory: Path) -> Iterator[Host]:
    """Build it, and serve it."""
    shutil.copytree(HERE / "embedded", directory)
    packages = install_packages(directory)
    built = subprocess.run(
        [node_program(), str(packages / "vite" / "bin" / "vite.js"), "build", "--logLevel", "warn"],
        cwd=directory, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    host = Host(directory, "server:app", source=directory)
    host.start()
    try:
        yield host
    finally:
        host.stop()
