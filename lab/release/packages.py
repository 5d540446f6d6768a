"""The three packages of a version: wheel, sdist and npm package, of one version, built from this tree."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

from lab.client_build import ROOT, WEB, pack_client

TARGET = ROOT / "build" / "release"


class Packages(NamedTuple):
    """The files of a release."""

    version: str
    wheel: Path
    sdist: Path
    npm: Path

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """All of them."""
        return (self.wheel, self.sdist, self.npm)


def version() -> str:
    """The version of this tree.

    Raises:
        AssertionError: The Python package and the npm packages do not bear the same one.
    """
    found = {
        "pyproject.toml": tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    }
    for name in ("client", "chat"):
        found[f"web/{name}/package.json"] = json.loads((WEB / name / "package.json").read_text(encoding="utf-8"))[
            "version"
        ]
    assert len(set(found.values())) == 1, f"the versions differ: {found}"
    return str(found["pyproject.toml"])


def build() -> Packages:
    """Build all of them anew into ``build/release``."""
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(TARGET)], cwd=ROOT, check=True, timeout=300)
    pack_client(WEB, TARGET)
    name = f"tidings-{version()}"
    built = Packages(version(), TARGET / f"{name}-py3-none-any.whl", TARGET / f"{name}.tar.gz", TARGET / f"{name}.tgz")
    missing = [path.name for path in built.files if not path.is_file()]
    assert not missing, f"the build left no {missing}"
    return built


def names_in(package: Path) -> list[str]:
    """The files in a package."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            return archive.namelist()
    with tarfile.open(package) as archive:
        return [member.name for member in archive.getmembers() if member.isfile()]
