"""The shape of the tree: who may import whom, and what no file may contain (ARCHITECTURE.md, "Layout")."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"

# First part of a module's name below tidings → the parts it may import from.
MAY_IMPORT = {
    "errors": {"errors"},
    "extra": {"errors"},
    "protocol": {"protocol", "errors"},
    "server": {"server", "protocol", "errors", "extra"},
    "client": {"client", "protocol", "errors"},
    "bench": {"bench", "protocol", "errors"},
    "fastapi": {
        "fastapi",
        "server",
        "protocol",
        "errors",
        "extra",
    },  # integrations know the server, which knows nothing of them
    "django": {"server", "protocol", "errors", "extra"},
    "terminal_text": {"terminal_text"},
    "chat_terminal": {"chat_terminal", "client", "terminal_text", "protocol", "errors"},
    "cli": {"cli", "server", "client", "bench", "chat_terminal", "terminal_text", "protocol", "errors", "extra"},
    "__main__": {"cli"},
    "": {"server", "client", "protocol", "errors", "extra"},  # tidings/__init__.py: public names
}
# Room of src/tidings/server → the rooms that it imports from, all of which stand above it in this table. The ground
# floor is open to every room but the store.
GROUND_FLOOR = {"config", "logs", "metrics", "own_connection"}
ROOMS: dict[str, set[str]] = {
    "store": set(),
    "host": {"store"},
    "identity": {"host", "store"},
    "live": {"store"},
    "node": {"host", "identity", "live", "store"},
    "api": {"host", "identity", "live", "node", "store"},
    "calls": {"api", "node", "store"},
    "calls_now": {"api", "calls", "host", "node", "store"},
    "page": {"api", "identity", "node"},
    "app": {"api", "calls_now", "host", "identity", "node", "page"},
    "http": {"api", "app", "identity", "live", "node", "page"},
    "demo": {"api", "http", "identity", "node", "store"},
}
ENTRY_POINTS = {
    "tidings.cli",
    "tidings.__main__",
    "tidings.django",
    "tidings.fastapi",
    "tidings.server.demo.child",
    "tidings.server.demo.database",
    "tidings.server.http.worker",
}
IMPURE = {"asyncio", "logging", "os", "pathlib", "random", "secrets", "socket", "ssl", "sqlite3", "threading", "time"}
NAMELESS = {"utils", "util", "helpers", "common", "misc", "core", "models", "services", "interfaces"}
LOCK_FILES = [
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "locks").iterdir()),
    *("web/package-lock.json", "lab/systems/package-lock.json", "tests/wide/jest/package-lock.json"),
    *("lab/release/vite/package-lock.json", "lab/release/next/package-lock.json"),
    "tests/wide/frameworks/package-lock.json",
]


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((SOURCE / "tidings").rglob("*.py"))}


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@cache
def imports(module: str) -> frozenset[str]:
    """Every module that a module names in an import statement, also inside functions."""
    return frozenset(_imports(module))


def _imports(module: str) -> Iterator[str]:
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            # "from tidings.server import hub" names the module tidings.server.live.hub, if there is one.
            for alias in node.names:
                yield name if (name := f"{base}.{alias.name}") in MODULES else base


def room(module: str) -> str:
    """The room of a module of the server; of all others, none."""
    return module.split(".")[2] if module.startswith("tidings.server.") else ""


def files() -> list[Path]:
    """Every file that is in the repository or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    """The text of a file; of an image, none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


FILES = files()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    """cli, fastapi, django → server; cli → client; server and client import neither each other nor those."""
    allowed = MAY_IMPORT[layer(module)]

    assert [] == [
        name
        for name in imports(module)
        if name.split(".")[0] == "tidings" and layer(name) not in allowed and name != module
    ]


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_of_the_server_imports_from_the_rooms_that_it_names_and_no_other(name: str) -> None:
    """The table is what is there: no other door is open, and one that nobody uses is closed."""
    entered = {room(other) for module in MODULES if room(module) == name for other in imports(module)}

    assert ROOMS[name] == entered - {name, ""} - GROUND_FLOOR


def test_the_rooms_of_the_server_stand_on_floors() -> None:
    """Every room is in the table, after all that it imports from, and the ground floor stands on itself."""
    names = list(ROOMS)
    ground = {room(other) for module in MODULES if room(module) in GROUND_FLOOR for other in imports(module)}

    assert {room(module) for module in MODULES} - {""} == GROUND_FLOOR | ROOMS.keys()
    assert [] == [name for name, entered in ROOMS.items() if not entered <= set(names[: names.index(name)])]
    assert set() == ground - GROUND_FLOOR - {""}


def test_the_architecture_lists_the_rooms_that_each_imports_from() -> None:
    """A reader finds the same table."""
    listed = re.findall(r"^(\w+) +→ *(.*)$", text_of(ROOT / "ARCHITECTURE.md"), re.MULTILINE)

    assert ROOMS == {name: set(entered.split(", ")) - {"the ground floor alone"} for name, entered in listed}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Each can be read, tried and moved without those that use it; imports for types alone count too."""
    try:
        TopologicalSorter(
            {name: {each for each in imports(name) if each in MODULES} - {name} for name in MODULES}
        ).prepare()
        circle = []
    except CycleError as found:
        circle = found.args[1]

    assert [] == circle


@pytest.mark.parametrize("module", [name for name in MODULES if layer(name) == "protocol"])
def test_the_protocol_is_pure(module: str) -> None:
    """No event loop, clock, socket, file or randomness: time and chance are handed in. One library: the codec."""
    named = {name.split(".")[0] for name in imports(module)}

    assert set() == named & IMPURE
    assert set() == named - set(sys.stdlib_module_names) - {"tidings", "msgspec"}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("tidings.server.store")])
def test_a_store_knows_nothing_of_the_server_but_its_settings(module: str) -> None:
    """A store can be tried, and replaced, without a hub, a stream or a route."""
    known = ("tidings.server.store", "tidings.server.config")

    assert [] == [name for name in imports(module) if name.startswith("tidings.server") and not name.startswith(known)]


@pytest.mark.parametrize("module", ["tidings.server.store.rules", "tidings.server.store.rows"])
def test_the_rules_of_all_stores_are_pure(module: str) -> None:
    """No database, clock or chance: a second store has the same rules, and its own SQL."""
    assert set() == {name.split(".")[0] for name in imports(module)} & IMPURE
    assert [] == [name for name in imports(module) if name.startswith("tidings.server.store.sqlite")]


def test_a_limit_stands_beside_its_use() -> None:
    """config.py has the settings, and only those limits that several modules keep."""
    config = MODULES["tidings.server.config"]
    names = [node for node in ast.walk(ast.parse(text_of(config))) if isinstance(node, ast.Name)]
    limits = {name.id for name in names if name.id.isupper() and isinstance(name.ctx, ast.Store)}
    kept_here = {name.id for name in names if isinstance(name.ctx, ast.Load)}
    others = [text_of(path) for path in MODULES.values() if path != config]

    assert [] == [limit for limit in limits - kept_here if sum(limit in text for text in others) < 2]


def test_a_sentence_names_a_setting_as_both_of_its_readers_write_it() -> None:
    """``db (TIDINGS_DB)``: who embeds gives ``Config(db=...)``, and no variable is read."""
    named = [
        (path.name, found)
        for path in [SOURCE / "tidings" / "errors.py", *(SOURCE / "tidings" / "server").rglob("*.py")]
        for node in ast.walk(ast.parse(text_of(path)))
        # A text without a space is a variable that is read.
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
        for found in re.finditer(r"(\w*) ?\(?TIDINGS_([A-Z_]+)", node.value)
    ]
    assert len(named) > 40
    assert [] == [(name, found[0]) for name, found in named if found[1] != found[2].lower()]


def test_every_module_is_used() -> None:
    """A module that nothing imports is an entry point or dead."""
    used = {name for module in MODULES for name in imports(module) if name != module}
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}

    assert set() == set(MODULES) - used - packages - ENTRY_POINTS


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module: str) -> None:
    """A module begins with a docstring: the rules of that file."""
    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))


def test_the_architecture_names_every_file_of_the_server_in_its_room() -> None:
    """A reader finds a room by the name on its door: the table has all files, and no other."""
    rows = re.findall(
        r"^\| (?:`([\w/]+)/`|ground floor|upper floors) \| .* \| (.*) \|$",
        text_of(ROOT / "ARCHITECTURE.md"),
        re.MULTILINE,
    )
    named = {f"{room}/{name}".strip("/") for room, files in rows for name in re.findall(r"`(\w+)`", files)}
    server = SOURCE / "tidings" / "server"
    there = {path.relative_to(server).with_suffix("").as_posix() for path in server.rglob("*.py")}

    assert {name for name in there if not name.endswith("__init__")} == named


def test_no_module_has_a_name_that_says_nothing() -> None:
    """A file is named after what it does; only the client's sans-I/O core may be called core."""
    named = {name for name in MODULES if NAMELESS & set(name.split("."))}

    assert set() == named - {"tidings.client.core"}


@pytest.mark.parametrize("name", LOCK_FILES)
def test_a_lock_file_holds_hashes_and_no_addresses(name: str) -> None:
    """The same lock installs from any index or mirror, and whatever comes is what was locked."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".json"):
        packages = json.loads(text)["packages"]
        fetched = {path: entry for path, entry in packages.items() if "node_modules/" in path and "link" not in entry}

        assert [] == [path for path, entry in fetched.items() if not entry["integrity"].startswith("sha512-")]
        assert [] == [path for path, entry in fetched.items() if "://" in entry.get("resolved", "")]
    else:
        assert [] == re.findall(r"^(?! *#|.*(?:==.*\\|--hash=sha256:)).+$", text, re.MULTILINE)
        assert "://" not in text


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the business of whoever installs."""
    hosts = [("pypi", "org"), ("python" + "hosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com")]
    named = re.compile("|".join(re.escape(f"{name}.{domain}") for name, domain in hosts))

    assert [] == [str(path.relative_to(ROOT)) for path in FILES if named.search(text_of(path))]


def test_no_file_names_a_path_of_one_machine() -> None:
    """A file that works only where it was written does not belong here."""
    of_one_machine = re.compile(r"(?<![\w.$}])/(?:root|home/[a-z]+|Users/[a-zA-Z]+|work/[a-z]+)/")

    assert [] == [str(path.relative_to(ROOT)) for path in FILES if of_one_machine.search(text_of(path))]


def test_no_test_is_skipped_and_no_work_is_left_as_a_note() -> None:
    """A missing program or service is a failure with a sentence; open work is an issue, not a comment."""
    left = re.compile(
        r"\bpytest\.(?:mark\.)?skip|\bpytest\.importorskip|\b(?:it|test|describe)\.skip\b|\b(?:TODO)\b|FIXME\b"
    )
    code = [path for path in FILES if path.suffix in {".py", ".ts", ".tsx", ".sql", ".css"} and path != Path(__file__)]

    assert [] == [str(path.relative_to(ROOT)) for path in code if left.search(text_of(path))]
