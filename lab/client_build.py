"""The npm package `tidings` as `npm pack` makes it: tests of the client stand on the files that its users install.

Rules of this file:

- The package is packed once for each state of its sources, into build/package, and unpacked wherever it is wanted.
- Processes that test in parallel wait for each other: packing empties and fills web/client/dist.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
PACKED = ROOT / "build" / "package"
BUILD_DEADLINE_S = 100


def node_program() -> str:
    """The Node that the web client is built and tested with."""
    return _program("node")


def build_client(directory: Path) -> Path:
    """Unpack the package and give the folder whose `index.js` is what `import ... from "tidings"` gives."""
    directory.mkdir(parents=True, exist_ok=True)
    return unpack_client(directory / "tidings") / "dist"


def unpack_client(directory: Path) -> Path:
    """Unpack the packed package as `directory`."""
    # By the program: Debian 12's Python 3.11.2 has no `filter` yet. Everything in it lies in a folder `package`.
    subprocess.run(["tar", "-xzf", packed_client(), "-C", directory.parent], check=True)
    return (directory.parent / "package").rename(directory)


def install_packages(application: Path, others: Path = WEB / "node_modules") -> Path:
    """Give an application its node_modules: `tidings` out of the packed file, everything else from `others`."""
    packages = application / "node_modules"
    packages.mkdir()
    for each in others.iterdir():
        if each.name not in ("tidings", ".vite", ".cache"):
            (packages / each.name).symlink_to(each)
    unpack_client(packages / "tidings")
    return packages


def packed_client() -> Path:
    """The file that `npm pack` makes of the present sources."""
    PACKED.mkdir(parents=True, exist_ok=True)
    with (PACKED / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, kept = _hash_of_sources(), PACKED / ".hash"
        if not kept.is_file() or kept.read_text() != wanted:
            kept.unlink(missing_ok=True)
            for old in PACKED.glob("*.tgz"):
                old.unlink()
            pack_client(WEB, PACKED)
            kept.write_text(wanted)
    (packed,) = PACKED.glob("*.tgz")
    return packed


def pack_client(web: Path, target: Path) -> None:
    """Run `npm pack` as a developer does, in a tree whose packages are installed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [_program("npm"), "pack", "--workspace=client", f"--pack-destination={target}", "--silent"]
    packed = subprocess.run(
        command, cwd=web, env=environment, capture_output=True, text=True, timeout=BUILD_DEADLINE_S, check=False
    )
    assert packed.returncode == 0, packed.stdout + packed.stderr


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert found, "the tests need Node with npm: make node"
    return found


def _hash_of_sources() -> str:
    digest = hashlib.sha256()
    sources = [path for path in (WEB / "client").rglob("*") if path.is_file()]
    for path in sorted([WEB / "tsconfig.base.json", WEB / "package-lock.json", *sources]):
        if not {"node_modules", "dist"} & set(path.relative_to(WEB).parts):
            digest.update(f"{path.relative_to(WEB)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
