"""The contents of the packages: wheel and sdist hold the built page, and Node is asked for only where it is needed."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from lab.client_build import install_packages, node_program, pack_client

ROOT = Path(__file__).parents[2]
PAGE = {"index.html", "embed.js", ".build-hash"}


def hatchling(project: Path, *arguments: str, path: str | None = None) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *arguments],
        cwd=project,
        env={**os.environ, "PATH": os.environ["PATH"] if path is None else path},
        check=True,
        timeout=100,
    )


def build_requirements(project: Path, path: str) -> list[str]:
    """Return the packages that an installer must bring for the build backend, beyond the backend itself (PEP 517)."""
    answer = subprocess.run(
        [sys.executable, "-c", "import hatchling.build as b; print(*b.get_requires_for_build_wheel())"],
        cwd=project,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return answer.stdout.split()


@pytest.fixture
def no_programs(tmp_path: Path) -> str:
    """A PATH on which there is nothing, so no Node either."""
    folder = tmp_path / "no-programs"
    folder.mkdir()
    return str(folder)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small source tree with our build hook, a web/ and no built page."""
    project = tmp_path / "project"
    (project / "src" / "tidings").mkdir(parents=True)
    (project / "src" / "tidings" / "__init__.py").touch()
    (project / "web" / "chat").mkdir(parents=True)
    (project / "web" / "chat" / "page.ts").write_text("export const page = 1;\n")
    files = ["pyproject.toml", "hatch_build.py", "locks/requirements-node.lock", "README.md", "LICENSE"]
    for name in [*files, "docs/start/install.md"]:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    return project


def page_is_built(project: Path) -> bool:
    return subprocess.run([sys.executable, "hatch_build.py", "page-is-built"], cwd=project, timeout=30).returncode == 0


def pretend_built(project: Path) -> None:
    """Leave what a build of the page leaves."""
    static = project / "src" / "tidings" / "static"
    static.mkdir(exist_ok=True)
    (static / "index.html").write_text("<!doctype html>")
    script = "import hatch_build as b; b.BUILD_HASH.write_text(b._hash_of(b._sources()))"
    subprocess.run([sys.executable, "-c", script], cwd=project, check=True, timeout=30)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    directory = tmp_path_factory.mktemp("wheel")
    hatchling(ROOT, "-t", "wheel", "-d", str(directory))
    (built,) = directory.glob("*.whl")
    return built


def test_a_wheel_holds_the_page_the_migrations_and_the_types_marker(wheel: Path) -> None:
    """An installed wheel serves the chat and creates its database."""
    names = set(zipfile.ZipFile(wheel).namelist())

    assert set() == {f"tidings/static/{name}" for name in PAGE} - names
    assert "tidings/py.typed" in names
    assert [] != [name for name in names if name.endswith(".sql")]
    assert [] != [name for name in names if name.startswith("tidings/static/assets/") and name.endswith(".js")]


def test_a_wheel_holds_the_licence_of_every_package_that_its_page_bundles(wheel: Path) -> None:
    """React's licence asks for its notice in every copy; the page is one."""
    licenses = zipfile.ZipFile(wheel).read("tidings/static/licenses.md").decode()

    assert [] == [name for name in ("react", "react-dom", "scheduler") if f"## {name} - " not in licenses]
    assert licenses.count("Permission is hereby granted") >= 3
    script = zipfile.ZipFile(wheel).read("tidings/static/embed.js").decode()
    assert script.startswith("/*!\ntidings\n")
    assert "\nreact, react-dom, scheduler\n" in script


@pytest.mark.parametrize(
    "config", sorted((ROOT / "web").glob("*/vite[.-]*config.ts")), ids=lambda path: path.parent.name
)
def test_a_bundle_comes_with_the_licences_of_all_that_is_in_it(tmp_path: Path, config: Path) -> None:
    """By the source maps of the same build: the whole text of each, beside the page or in the script; all are MIT."""
    build = [node_program(), str(ROOT / "web/node_modules/vite/bin/vite.js"), "build", "--config", str(config)]
    options = ["--sourcemap", "--outDir", str(tmp_path), "--emptyOutDir", "--logLevel", "warn"]
    subprocess.run([*build, *options], cwd=config.parent, check=True, timeout=100)
    sources = {source for path in tmp_path.rglob("*.map") for source in json.loads(path.read_text())["sources"]}
    bundled = {
        re.findall(r"node_modules/((?:@[^/]+/)?[^/]+)/", each)[-1] for each in sources if "node_modules/" in each
    }
    packages = [ROOT / "web" / "node_modules" / name for name in bundled]
    (carrier,) = [*tmp_path.glob("licenses.md"), *tmp_path.glob("embed.js")]
    carried = " ".join(carrier.read_text().split())

    assert {"react", "react-dom", "scheduler"} == bundled
    assert {"MIT"} == {json.loads((path / "package.json").read_text())["license"] for path in packages}
    assert [] == [path.name for path in packages if " ".join((path / "LICENSE").read_text().split()) not in carried]


def test_npm_pack_of_a_clone_holds_the_compiled_package_its_types_and_its_licence(tmp_path: Path) -> None:
    """Nothing was built before: `npm pack` builds. The files that `exports` names are there, and no test."""
    web = tmp_path / "web"
    shutil.copytree(ROOT / "web", web, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (web / "node_modules").symlink_to(ROOT / "web" / "node_modules")
    pack_client(web, tmp_path)
    (packed,) = tmp_path.glob("*.tgz")
    with tarfile.open(packed) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
    package = json.loads((web / "client" / "package.json").read_text())
    targets = {path.removeprefix("./") for entry in package["exports"].values() for path in entry.values()}

    assert set() == targets - names
    assert "LICENSE" in names
    assert [] == [name for name in names if ".test." in name]
    # But for the script, it has nothing of others within: React is the application's.
    imported = set()
    for path in (web / "client" / name for name in names if name.endswith(".js") and name != "dist/embed.js"):
        imported |= set(
            re.findall(r"""^(?:import|export)\b(?:[^"';=]*\bfrom)? *["']([^"'.][^"']*)["']""", path.read_text(), re.M)
        )
    assert {"react", "react/jsx-runtime"} == imported


def test_an_sdist_becomes_a_wheel_where_there_is_no_node(tmp_path: Path, no_programs: str) -> None:
    """The sdist has the built page and no web/: nothing is left to build."""
    hatchling(ROOT, "-t", "sdist", "-d", str(tmp_path))
    (sdist,) = tmp_path.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", sdist], cwd=tmp_path, check=True, timeout=30)
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")

    assert not (unpacked / "web").exists()
    assert [] == build_requirements(unpacked, no_programs)

    hatchling(unpacked, "-t", "wheel", "-d", str(tmp_path), path=no_programs)
    (wheel,) = tmp_path.glob("*.whl")

    assert set() == {f"tidings/static/{name}" for name in PAGE} - set(zipfile.ZipFile(wheel).namelist())


def test_node_is_asked_for_only_without_a_page_and_without_a_node(project: Path, no_programs: str) -> None:
    """The version is that of the lock file; with a page there is nothing to build, with a Node nothing to bring."""
    (pinned,) = [
        line.split()[0] for line in (ROOT / "locks/requirements-node.lock").read_text().splitlines() if "==" in line
    ]

    assert [pinned] == build_requirements(project, no_programs)

    pretend_built(project)

    assert [] == build_requirements(project, no_programs)


def test_a_page_is_out_of_date_when_a_source_changed_and_not_when_a_product_did(project: Path) -> None:
    """Products of npm and of the builds under web/ do not count; any source does, a new or renamed one, too."""
    assert not page_is_built(project)

    pretend_built(project)
    (project / "web" / "node_modules").mkdir()
    (project / "web" / "node_modules" / "package.js").touch()

    assert page_is_built(project)

    (project / "web" / "chat" / "page.ts").rename(project / "web" / "chat" / "other.ts")

    assert not page_is_built(project)


def test_a_tree_with_neither_page_nor_sources_says_so(project: Path) -> None:
    """A build never yields a package without a page."""
    shutil.rmtree(project / "web")
    answer = subprocess.run(
        [sys.executable, "hatch_build.py", "page"], cwd=project, capture_output=True, text=True, timeout=30
    )

    assert answer.returncode == 1
    assert "neither a built page nor web/" in answer.stderr


def test_the_compiler_finds_types_for_every_entry_of_the_npm_package(tmp_path: Path) -> None:
    """The stylesheets included: a compiler that checks side-effect imports, as TypeScript 7 does, accepts them."""
    packages = install_packages(tmp_path)
    package = json.loads((packages / "tidings" / "package.json").read_text())
    entries = [name.removeprefix(".") for name in package["exports"]]
    (tmp_path / "entries.ts").write_text("".join(f'import "tidings{entry}";\n' for entry in entries))
    options = ["--noEmit", "--strict", "--noUncheckedSideEffectImports", "--module", "nodenext", "--target", "es2022"]
    compiled = subprocess.run(
        [node_program(), str(packages / "typescript" / "bin" / "tsc"), *options, "entries.ts"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert ("", 0) == (compiled.stdout, compiled.returncode)


@pytest.mark.parametrize("extra", ["django", "fastapi"])
def test_an_integration_without_its_framework_says_what_to_install(extra: str) -> None:
    """The package itself needs neither."""
    script = f"import sys; sys.modules['{extra}'] = None; import tidings, tidings.{extra}"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert f"pip install 'tidings[{extra}]'" in ran.stderr.splitlines()[-1]
