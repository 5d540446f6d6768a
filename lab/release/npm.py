"""The npm package as its users meet it: installed by npm into applications of their own, which are built and tested."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lab.client_build import ROOT, WEB, node_program
from lab.release.packages import Packages

HERE = Path(__file__).parent
WAIT_MAX_S = 600
STYLES = ("styles.css", "open.css")


def run(directory: Path, *command: str) -> str:
    """Run a command, and return its output.

    Raises:
        AssertionError: It failed.
    """
    path = os.pathsep.join([str(Path(node_program()).parent), os.environ.get("PATH", "")])
    quiet = {"NEXT_TELEMETRY_DISABLED": "1", "npm_config_update_notifier": "false", "CI": "true"}
    ran = subprocess.run(
        command, cwd=directory, env={**os.environ, **quiet, "PATH": path}, timeout=WAIT_MAX_S, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, f"{command}\n{ran.stdout}"
    return ran.stdout


def check_shape(packages: Packages) -> str:
    """publint and attw: every entry and its types are found by each kind of resolution that takes ES modules."""
    tools = WEB / "node_modules" / ".bin"
    run(WEB, str(tools / "publint"), str(packages.npm), "--strict")
    run(WEB, str(tools / "attw"), str(packages.npm), "--profile", "esm-only", "--exclude-entrypoints", *STYLES)
    return "publint --strict, attw"


def application(name: str, packages: Packages, folder: Path) -> Path:
    """A fresh application with what its lock names and the packed package, by npm."""
    directory = folder / name
    shutil.copytree(HERE / name, directory, ignore=shutil.ignore_patterns("node_modules"))
    run(directory, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    run(directory, "npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", str(packages.npm))
    page = (ROOT / "docs" / "embed" / "react.md").read_text(encoding="utf-8")
    for name_of_file, code in re.findall(r"^```tsx? (chat\.ts|messages\.tsx)\n(.*?)^```$", page, re.M | re.S):
        (directory / "src" / name_of_file).write_text(code, encoding="utf-8")
    return directory


def check_vite(packages: Packages) -> str:
    """A React application with the snippets of docs/embed/react.md: TypeScript 7, then Vite."""
    with tempfile.TemporaryDirectory() as folder:
        directory = application("vite", packages, Path(folder))
        compiler = run(directory, "npx", "tsc", "--version").split()[-1]
        run(directory, "npx", "tsc", "--noEmit")
        run(directory, "npx", "vite", "build")
        built = sum(path.stat().st_size for path in (directory / "dist").rglob("*") if path.is_file())
    return f"TypeScript {compiler}, {built:,} bytes built"


def check_next(packages: Packages) -> str:
    """The same in an application of Next.js, whose server draws the page first; then examples/nextjs in its place."""
    with tempfile.TemporaryDirectory() as folder:
        directory = application("next", packages, Path(folder))
        run(directory, "npx", "next", "build")
        drawn = (directory / ".next" / "server" / "app" / "index.html").read_text(encoding="utf-8")
        assert "Ben" in drawn, drawn
        shutil.rmtree(directory / "src")
        example = ROOT / "examples" / "nextjs"
        shutil.copytree(example / "app", directory / "app")
        for name in ("next.config.mjs", "tsconfig.json"):
            shutil.copy(example / name, directory / name)
        run(directory, "npx", "next", "build")
    return "built, and drawn on the server; examples/nextjs built"


def check_jest(_packages: Packages) -> str:
    """Jest with the configuration of the documents."""
    run(ROOT, sys.executable, "-m", "pytest", "-q", "tests/wide/test_jest.py")
    return "tests/wide/test_jest.py"
