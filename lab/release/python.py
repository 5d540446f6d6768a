"""The wheel and the sdist as their users meet them: in a fresh environment, without Node."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2

from lab.client_build import ROOT
from lab.process import Program, free_port
from lab.release.packages import Packages, names_in

INSTALL = ROOT / "docs" / "start" / "install.md"
INSTALL_WAIT_MAX_S = 300


class Environment:
    """A fresh virtual environment. Its programs find one another and nothing else: no Node."""

    def __init__(self, directory: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True, timeout=INSTALL_WAIT_MAX_S)
        self.programs = directory / "bin"

    def run(self, *command: str, status: int = 0) -> str:
        """Run a program, and return its output, of both streams.

        Raises:
            AssertionError: It ended with another status.
        """
        ran = subprocess.run(
            [str(self.programs / command[0]), *command[1:]], cwd=self.programs, env=self.variables(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=INSTALL_WAIT_MAX_S, check=False,
        )  # fmt: skip
        assert ran.returncode == status, f"{command}: {ran.returncode} instead of {status}\n{ran.stdout}"
        return ran.stdout

    def install(self, *what: str) -> None:
        """By pip."""
        self.run("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what)

    def variables(self) -> dict[str, str]:
        """Ours, without our programs and without settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDINGS_", "PYTHON"))}
        return kept | {"PATH": str(self.programs)}


class Served(Program):
    """`tidings serve` of an environment."""

    def __init__(self, environment: Environment, directory: Path) -> None:
        super().__init__(directory)
        self.of = environment
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [str(self.of.programs / "tidings"), "serve", "--port", str(self.port)]

    def environment(self) -> dict[str, str]:
        return self.of.variables() | {"TIDINGS_SECRET": "of the release, and long enough for its algorithm"}

    def serves(self) -> object:
        return f"Tidings serves {self.url}" in self.output


def check_wheel(packages: Packages) -> str:
    """Install it for a client alone, then with a server, which serves the page; then as docs/start/install.md says."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder) / "venv")
        environment.install(str(packages.wheel))
        brought = {line.split("==")[0] for line in environment.run("pip", "freeze").splitlines()}
        assert not brought & {"uvicorn", "starlette", "PyJWT"}, f"a client brings a server: {brought}"
        environment.run("python", "-c", "from tidings import AsyncClient, Client")
        refused = environment.run("tidings", "serve", status=2)
        (wanted,) = re.findall(r"^tidings: .+; install it with: pip install '(.+)'$", refused, re.MULTILINE)
        environment.install("--require-hashes", "-r", str(ROOT / "locks" / "requirements.lock"))
        environment.install("--no-index", wanted)  # the sentence's own command; all that it names is in the lock
        (command,) = re.findall(r"^pip install '\S+\.whl(\[\w+\])'$", INSTALL.read_text(encoding="utf-8"), re.MULTILINE)
        environment.install(f"{packages.wheel}{command}")
        environment.run("python", "-c", "from tidings.fastapi import DirectMessages")
        served = Served(environment, Path(folder))
        served.start()
        try:
            with httpx2.Client(base_url=served.url, trust_env=False, timeout=10) as http:
                page = http.get("/").raise_for_status().text
                parts = re.findall(r'(?:src|href)="\./(assets/[^"]+)"', page)
                assert parts, page
                sizes = [len(http.get(f"/{part}").raise_for_status().content) for part in parts]
                http.get("/readyz").raise_for_status()
        finally:
            served.end()
    served_size = f"the page and {len(parts)} parts of it, {sum(sizes):,} bytes"
    return f"{len(brought)} packages for a client; with [server] {served_size}"


def check_sdist(packages: Packages) -> str:
    """Build a wheel of it where there is no Node; the same files come out."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder) / "venv")
        environment.install("--require-hashes", "-r", str(ROOT / "locks" / "requirements.lock"))
        environment.run(
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "-w",
            folder,
            str(packages.sdist),
        )
        (wheel,) = Path(folder).glob("*.whl")
        names, wanted = set(names_in(wheel)), set(names_in(packages.wheel))
        assert names == wanted, f"the sdist's wheel differs: {names ^ wanted}"
    return f"a wheel of the same {len(names)} files"


def check_texts(packages: Packages) -> str:
    """twine: an index will take both files, and show their page."""
    command = [sys.executable, "-m", "twine", "check", "--strict", str(packages.wheel), str(packages.sdist)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return "twine check --strict"
