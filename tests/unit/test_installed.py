"""An installed Tidings: each extra brings what its part needs and no more, and a missing one says so in a sentence.

A wheel of this tree stands beside the packages that an installer would bring for it, out of those that the locks name:
so nothing is downloaded, and nothing else can be imported.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from email.message import Message
from email.parser import Parser
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
INSTALL = (ROOT / "docs" / "start" / "install.md").read_text(encoding="utf-8")

Install = Callable[..., Path]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, unpacked as an installer would."""
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=ROOT, check=True, timeout=100)
    (built,) = directory.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(directory / "unpacked")
    return directory / "unpacked"


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """The metadata of the wheel."""
    (path,) = wheel.glob("*.dist-info/METADATA")
    return Parser().parsestr(path.read_text(encoding="utf-8"))


def brought(requirements: list[str], extras: set[str]) -> Iterator[str]:
    """The packages that an installer brings for the requirements of one, with theirs."""
    for each in map(Requirement, requirements):
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield canonicalize_name(each.name)
            yield from brought(distribution(each.name).requires or [], each.extras)


@pytest.fixture(scope="module")
def install(wheel: Path, metadata: Message, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Install the wheel with extras into a folder: what `pip install 'tidings[...]'` leaves in an empty environment."""

    @cache
    def install(*extras: str) -> Path:
        folder = tmp_path_factory.mktemp("installed")
        for path in wheel.iterdir():
            (folder / path.name).symlink_to(path)
        for name in set(brought(metadata.get_all("Requires-Dist", []), set(extras))):
            package = distribution(name)
            for top in {path.parts[0] for path in package.files or []} - {"..", "__pycache__"}:
                (folder / top).symlink_to(Path(str(package.locate_file(top))))
        return folder

    return install


def python(folder: Path, program: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program that finds what is in the folder, and the standard library."""
    begin = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    command = [sys.executable, "-I", "-S", "-c", begin + program]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def commands(folder: Path, cwd: Path, *lines: str) -> list[tuple[int, str]]:
    """The exit code of each command, and what it said last; with the settings of a server."""
    program = f"""
import contextlib, io, json, os
os.environ.update(TIDINGS_SECRET="a secret of this test, long enough")
os.environ.update(TIDINGS_URL="http://127.0.0.1:9", TIDINGS_TOKEN="t")
from tidings.cli import main
for line in {list(lines)!r}:
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(said):
        try:
            code = main(line.split())
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, said.getvalue().strip().splitlines()[-1]]), file=sys.__stdout__)
"""
    ran = python(folder, program, cwd)
    assert ran.returncode == 0, ran.stderr
    return [(code, said) for code, said in map(json.loads, ran.stdout.splitlines())]


def test_a_plain_install_is_a_client_and_its_commands(install: Install, tmp_path: Path) -> None:
    """No server comes with it; what needs one names the extra, exit code 2. An SQLite file is kept up without one."""
    folder = install()
    there = {path.name for path in folder.iterdir()}

    assert {"httpx2", "msgspec", "tidings"} <= there
    assert set() == there & {"starlette", "uvicorn", "uvloop", "httptools", "jwt", "cryptography", "prometheus_client"}

    ran = python(
        folder, "from tidings import AsyncClient, Client, Config; import tidings.client, tidings.errors; Config()"
    )

    assert ("", 0) == (ran.stderr, ran.returncode)
    version, migrated, unreachable, *refused = commands(
        folder, tmp_path, "--version", "migrate --db sqlite:///new.db", "doctor http://127.0.0.1:9", "serve", "demo",
        "token ada", "bench http://127.0.0.1:9", "chat ben", "migrate --db postgresql://app@127.0.0.1:9/app",
    )  # fmt: skip

    assert (0, f"tidings {distribution('tidings').version}") == version
    assert (0, True) == (migrated[0], migrated[1].endswith(", was 0"))
    assert 3 == unreachable[0]
    assert [
        (2, "tidings: tidings serve needs uvicorn; install it with: pip install 'tidings[server]'"),
        (2, "tidings: tidings demo needs uvicorn; install it with: pip install 'tidings[server]'"),
        (2, "tidings: a token needs PyJWT; install it with: pip install 'tidings[server]'"),
        (2, "tidings: a token needs PyJWT; install it with: pip install 'tidings[server]'"),
        (2, "tidings: tidings chat needs Textual; install it with: pip install 'tidings[chat]'"),
        (2, "tidings: db (TIDINGS_DB): PostgreSQL needs asyncpg; install it with: pip install 'tidings[postgres]'"),
    ] == refused


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (
            "from tidings import Tidings",
            "tidings.Tidings needs Starlette; install it with: pip install 'tidings[starlette]'",
        ),
        ("import tidings.fastapi", "tidings.fastapi needs FastAPI; install it with: pip install 'tidings[fastapi]'"),
        ("import tidings.django", "tidings.django needs Django; install it with: pip install 'tidings[django]'"),
    ],
)
def test_a_part_of_the_server_says_which_extra_it_needs(install: Install, program: str, sentence: str) -> None:
    """The last line of the traceback is the sentence; `except ImportError` catches it."""
    script = f"try: {program}\nexcept ImportError as error: print(error)"

    assert sentence == python(install(), script).stdout.strip()


@pytest.mark.parametrize(
    ("extra", "program"),
    [
        ("starlette", "from tidings import Config, Tidings, create_app; create_app(Config(secret='x' * 32))"),
        ("fastapi", "from tidings.fastapi import DirectMessages"),
        ("django", "from tidings.django import DirectMessages"),
    ],
)
def test_an_application_gets_no_server_of_its_own(install: Install, extra: str, program: str, tmp_path: Path) -> None:
    """Its extra is enough for its part, and uvicorn is not among what it brings; `serve` still names its own."""
    folder = install(extra)
    ran = python(folder, program)

    assert ("", 0) == (ran.stderr, ran.returncode)
    assert set() == {path.name for path in folder.iterdir()} & {"uvicorn", "uvloop", "httptools"}
    assert [(2, "tidings: tidings serve needs uvicorn; install it with: pip install 'tidings[server]'")] == commands(
        folder, tmp_path, "serve"
    )


def test_the_extra_of_a_server_is_enough_for_its_commands(install: Install, tmp_path: Path) -> None:
    """`serve` gets as far as its settings."""
    folder = install("server")
    (token, refusal) = commands(folder, tmp_path, "token ada", "serve --db sqlite:///no/such/directory/x.db")

    assert (0, 2) == (token[0], token[1].count("."))
    assert 2 == refusal[0]
    assert "no/such/directory" in refusal[1]


def test_the_documents_list_each_extra_with_what_it_brings(metadata: Message) -> None:
    """docs/start/install.md and the metadata have the same extras."""
    listed = re.findall(r"^\| `tidings\[(\w+)\]` \|", INSTALL, re.MULTILINE)

    assert sorted(metadata.get_all("Provides-Extra", [])) == sorted(listed)


def test_the_page_of_the_package_stands_alone(metadata: Message) -> None:
    """On an index nothing leads into a clone: no picture, no relative link, and no command that needs the sources."""
    page = str(metadata.get_payload())

    assert "text/markdown" == metadata["Description-Content-Type"]
    assert page.startswith("# Tidings\n")
    assert [] == re.findall(r"\]\((?!https?://)[^)]*\)|<img|<picture|git clone|make \w+|\.venv", page)
    assert ["## Install", "## What it promises", "## What it has, and what not yet", "## Embed it"] == re.findall(
        r"^## .*$", page, re.MULTILINE
    )


def test_the_metadata_names_no_address_that_is_not_there(metadata: Message) -> None:
    """Until there is a public address, neither package has one; then both have the same, as version and licence."""
    package = json.loads((ROOT / "web" / "client" / "package.json").read_text(encoding="utf-8"))
    urls = [line.partition(", ")[2] for line in metadata.get_all("Project-URL", [])]
    repository = package.get("repository", {}).get("url", "")

    assert [repository.removeprefix("git+").removesuffix(".git")] * bool(repository) == urls[:1]
    assert (metadata["Version"], metadata["License-Expression"]) == (package["version"], package["license"])
    assert {"chat", "sse"} <= set(package["keywords"]) & set(metadata["Keywords"].split(","))
