"""The documents say what the code does: settings, commands, problems, links, snippets."""

import ast
import re
import runpy
import shlex
import subprocess
import sys
import time
from dataclasses import fields
from importlib.metadata import requires
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import jwt
import pytest
from starlette.testclient import TestClient

from tidings import errors
from tidings.server.config import Config, environment_name
from tidings.server.http.siblings import SharedMetrics
from tidings.server.metrics import Metrics

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tidings"
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "web" / "client").glob("*.md")])
}
SNIPPET = re.compile(r"^```(\w+)(?: [\w.]+)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLIENT_VARIABLES = {  # read by the commands that talk with a server; not settings of one
    "TIDINGS_URL",
    "TIDINGS_TOKEN",
    "TIDINGS_KEY",
    "TIDINGS_USER",
    "TIDINGS_COOKIE",
    "TIDINGS_HEADER",
}
PROGRAMS = {
    "/opt/tidings/bin/pip",
    "cp",
    "createdb",
    "kubectl",
    "make",
    "echo",
    "nginx",
    "install",
    "docker",
    "podman",
    "systemctl",
    "cat",
    "cd",
    "curl",
    "git",
    "npm",
    "openssl",
    "pip",
    "pytest",
    "python3",
    "uvicorn",
}  # that snippets may use


def snippets(*languages: str) -> list[tuple[str, str]]:
    """(document, text) of every fenced snippet in one of these languages."""
    return [
        (name, match[2])
        for name, text in DOCUMENTS.items()
        for match in SNIPPET.finditer(text)
        if match[1] in languages
    ]


def simple_commands(code: str) -> list[list[str]]:
    """The words of each command of a shell snippet, those within ``$(...)`` included; assignments are left out."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        within = re.findall(r"\$\(([^)]*)\)", line)
        outer = re.sub(r"\$\([^)]*\)", "X", line).split("#")[0]
        for part in [*within, *re.split(r" && | \| |; ", outer)]:
            words = part.removeprefix("$ ").removeprefix("export ").split()
            words = [word for word in words if not re.match(r"[A-Z_]+=", word)]
            found += [words] if words else []
    return found


def anchors(text: str) -> set[str]:
    """The targets of ``#...``: headings, as they are shown by code hosts."""
    headings = re.findall(r"^#+ (.+)$", SNIPPET.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> list[tuple[str, str, str]]:
    """(document, path, anchor) of every link that stays within the repository."""
    targets = [
        (name, target.partition("#"))
        for name, text in DOCUMENTS.items()
        for target in re.findall(r"\]\(([^)\s]+)\)", SNIPPET.sub("", text))
        if "://" not in target and not target.startswith("mailto:")
    ]
    return [(name, unquote(path), anchor) for name, (path, _, anchor) in targets]


def problem_codes() -> set[str]:
    """Every code that the source gives to a Problem, as in ``Conflict("client_id_reused", ...)``."""
    classes = [
        name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, errors.Problem)
    ]
    given = re.compile(rf'(?:\b(?:{"|".join(classes)})|super\(\)\.__init__)\(\s*"([a-z_0-9]+)"')
    return {code for path in SOURCE.rglob("*.py") for code in given.findall(path.read_text(encoding="utf-8"))}


def tidings_help(*command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "tidings", *command, "--help"], capture_output=True, text=True, check=True, timeout=30
    ).stdout


def commands() -> list[str]:
    """The commands that ``tidings --help`` lists."""
    return re.findall(r"^    ([a-z]+) ", tidings_help(), re.MULTILINE)


def test_the_table_of_settings_is_that_of_the_code() -> None:
    """docs/run/configuration.md has every setting with default, unit and reason; `make docs` writes it."""
    page = runpy.run_path(str(ROOT / "docs" / "write_settings.py"))["page"]
    text = DOCUMENTS["docs/run/configuration.md"]

    assert page(text) == text


def test_the_page_of_the_clients_states_is_that_of_the_table() -> None:
    """docs/understand/client-states.md is written from vectors/connection.json; `make docs` writes it."""
    page = runpy.run_path(str(ROOT / "docs" / "write_states.py"))["page"]
    text = DOCUMENTS["docs/understand/client-states.md"]

    assert page(text) == text


def test_the_list_of_documents_for_programs_is_that_of_the_index() -> None:
    """llms.txt is written from docs/README.md; `make docs` writes it. Each of its links leads to a file."""
    text = (ROOT / "llms.txt").read_text(encoding="utf-8")

    assert runpy.run_path(str(ROOT / "docs" / "write_llms.py"))["llms"]() == text
    assert [] == [path for path in re.findall(r"\]\(([^)]+)\)", text) if not (ROOT / path).exists()]


def test_the_types_of_the_browser_client_are_those_of_the_shapes() -> None:
    """wire/types.ts is written from protocol/shapes.py and protocol/events.py; `make types` writes it."""
    types = runpy.run_path(str(ROOT / "web" / "write_types.py"))["types"]

    assert types() == (ROOT / "web/client/src/wire/types.ts").read_text(encoding="utf-8")


def test_the_tests_that_the_documents_name_are_those_that_say_so() -> None:
    """A document has a mark, a test has a tag; `make docs` writes the links. Each mark has a test, each tag a mark."""
    written = runpy.run_path(str(ROOT / "docs" / "write_tests.py"))
    tests = written["tests_by_claim"]()
    marks = [mark[1] for text in DOCUMENTS.values() for mark in written["MARK"].finditer(text)]

    assert sorted(set(marks)) == sorted(marks)
    assert set(marks) == set(tests)
    for name, text in DOCUMENTS.items():
        assert written["page"](ROOT / name, text, tests) == text


def rows_shown_by_tests(document: str) -> list[str]:
    """The rows of each table of a document whose last column is "shown by"."""
    rows: list[str] = []
    is_shown = False
    for line in DOCUMENTS[document].splitlines():
        if not line.startswith("|"):
            is_shown = False
        elif line.endswith("| shown by |"):
            is_shown = True
        elif is_shown and not line.startswith("|--"):
            rows.append(line)
    return rows


@pytest.mark.parametrize(
    ("document", "rows_min"),
    [
        ("SECURITY.md", 60),
        ("docs/proof/reliability.md", 30),
        ("docs/understand/behaviour.md", 40),
        ("docs/proof/complaints.md", 20),
        ("docs/embed/react.md", 10),
    ],
)
def test_each_line_that_tests_show_has_one(document: str, rows_min: int) -> None:
    """Each row of a table that ends in "shown by" has the mark of a claim, or says why it cannot come up."""
    rows = rows_shown_by_tests(document)

    assert len(rows) >= rows_min
    assert [] == [row for row in rows if "<!-- shows: " not in row and "cannot come up: " not in row]


def test_the_complaints_are_twenty() -> None:
    """docs/proof/complaints.md says that there are twenty, and numbers them."""
    numbers = [int(row.split(".")[0].removeprefix("| ")) for row in rows_shown_by_tests("docs/proof/complaints.md")]

    assert list(range(1, 21)) == numbers


def test_the_tables_of_the_scoreboard_are_those_of_its_results() -> None:
    """docs/proof/reliability.md is written from lab/scoreboard/results.json; also by `make docs`."""
    page = runpy.run_path(str(ROOT / "docs" / "write_scoreboard.py"))["page"]
    text = DOCUMENTS["docs/proof/reliability.md"]

    assert page(text) == text


@pytest.mark.parametrize(
    "document", ["docs/proof/fault-runs.md", "docs/proof/simulation.md", "docs/proof/reliability.md"]
)
def test_the_figures_of_the_fault_runs_are_those_of_their_results(document: str) -> None:
    """They are written from lab/faults/results.json; `make fault-docs` and `make docs` write them."""
    page = runpy.run_path(str(ROOT / "docs" / "write_faults.py"))["page"]
    text = DOCUMENTS[document]

    assert page(document, text) == text


def test_every_variable_in_the_documents_exists() -> None:
    """A TIDINGS_... that nobody reads helps nobody."""
    known = {environment_name(each.name) for each in fields(Config)} | CLIENT_VARIABLES
    named = {name for text in DOCUMENTS.values() for name in re.findall(r"\bTIDINGS_[A-Z_]+[A-Z]\b", text)}

    assert set() == named - known


def test_every_metric_is_documented_and_every_one_in_the_documents_exists(tmp_path: Path) -> None:
    """docs/run/operate.md names all, with their labels."""
    text = (Metrics().render("")[0] + SharedMetrics(tmp_path, 0).render("")[0]).decode()
    given = {
        name for name in re.findall(r"^# TYPE (tidings_\w+) ", text, re.MULTILINE) if not name.endswith("_created")
    }
    named = {name for text in DOCUMENTS.values() for name in re.findall(r"\btidings_[a-z_]+\b", text)}

    assert given == named
    assert set() == {name for name in given if name not in DOCUMENTS["docs/run/operate.md"]}


def test_every_command_is_documented_with_its_options() -> None:
    """docs/run/cli.md names each command of `tidings` and each of its options."""
    page = DOCUMENTS["docs/run/cli.md"]
    for command in commands():
        assert f"tidings {command}" in page
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", tidings_help(command))) - {"--help"}

        assert set() == {option for option in options if option not in page}, command


def test_every_problem_is_documented_and_every_documented_problem_exists() -> None:
    """docs/run/problems.md has a section for each code that the source can answer, and for no other."""
    assert problem_codes() == set(re.findall(r"^### (\w+)$", DOCUMENTS["docs/run/problems.md"], re.MULTILINE))


def clauses_as_subjects(text: str) -> list[str]:
    """The sentences of a text that begin with a clause instead of their actor; questions may."""
    begins = r"(?:^(?:[-*] |\d+\. )?|(?<=[.!?:][ \n])|(?<=\| )|(?<=\*\* ))"
    clause = r"((?:What|Who|Whoever|Whatever|Whose|Whom)\b[^|]+?(?:[.!?|](?=\s)|\Z))"
    found = re.findall(begins + clause, text, re.MULTILINE)
    return [sentence for sentence in found if not sentence.endswith("?")]


def test_a_sentence_begins_with_its_actor() -> None:
    """In documents and in docstrings: "A client that ...", not "What ..." or "Who ..."."""
    texts = {name: SNIPPET.sub("", text) for name, text in DOCUMENTS.items()}
    code = [path for folder in ("src", "tests", "lab", "examples") for path in (ROOT / folder).rglob("*.py")]
    for path in (path for path in code if not {"node_modules", ".venv"} & set(path.parts)):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if re.search(r"\bWh(?:at|o)", text) else []:
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                texts[f"{path.relative_to(ROOT)}: {getattr(node, 'name', '')}"] = ast.get_docstring(node) or ""

    assert {} == {name: found for name, text in texts.items() if (found := clauses_as_subjects(text))}


def test_the_index_of_the_documents_names_each_of_them() -> None:
    """docs/README.md, by reader; the decisions stand in one folder, which it names."""
    named = {(ROOT / "docs" / path).resolve() for document, path, _ in links() if document == "docs/README.md"}
    pages = set((ROOT / "docs").glob("*/*.md"))

    assert set() == pages - named
    assert ROOT / "docs" / "understand" / "decisions" in named


@pytest.mark.parametrize(("document", "path", "anchor"), links())
def test_a_link_between_documents_leads_somewhere(document: str, path: str, anchor: str) -> None:
    """The file is there, and so is the heading."""
    target = (ROOT / document).parent / path if path else ROOT / document

    assert target.exists()
    if anchor:
        assert anchor in anchors(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("document", "code"), snippets("python"))
def test_a_python_snippet_compiles_and_imports_what_exists(document: str, code: str) -> None:
    """A snippet of a document can be pasted."""
    tree = ast.parse(code, document)
    lines = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import)]
    exec("\n".join(line for line in lines if "tidings" in line), {})


def test_the_python_snippets_are_right_for_a_checker_of_types(tmp_path: Path) -> None:
    """mypy, strict: what a document shows passes where it is pasted."""
    places = {}
    for number, (document, code) in enumerate(snippets("python")):
        path = tmp_path / f"snippet_{number}.py"
        path.write_text(code, encoding="utf-8")
        places[path.stem] = document
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *map(str, sorted(tmp_path.glob("*.py")))],
        cwd=ROOT, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    found = re.sub(r"\S*/(snippet_\d+)\.py", lambda match: places[match[1]], checked.stdout)
    assert 0 == checked.returncode, found + checked.stderr


def test_the_embedding_example_of_the_readme_works(tmp_path: Path) -> None:
    """Pasted and started as the README says: the host's code writes, and the customer reads by the host's session."""
    (code,) = [code for document, code in snippets("python") if document == "README.md"]
    (tmp_path / "app.py").write_text(code, encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app:app", "--port", "0"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        (url,) = next(found for line in server.stderr if (found := re.findall(r"running on (http://\S+)", line)))
        shipped = httpx.post(f"{url}/orders/ada/shipped").raise_for_status().json()
        (cookie,) = re.findall(r'document\.cookie = "(\S+); path=/"', DOCUMENTS["README.md"])
        page = httpx.get(f"{url}/api/message/shop", headers={"Cookie": cookie}).raise_for_status().json()

        assert [(shipped["message"], "Your parcel is on its way.")] == [
            (message["_id"], message["text"]) for message in page["messages"]
        ]
        assert 401 == httpx.get(f"{url}/api/message/shop").status_code
        assert "session" == httpx.get(f"{url}/messages/page.json").raise_for_status().json()["sign_in"]
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_the_server_of_the_page_on_frameworks_finds_people_for_the_tokens_of_a_next_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pasted as it stands: the token's user finds somebody by a part of the name, and writes to nobody unknown."""
    (code,) = [match[2] for match in SNIPPET.finditer(DOCUMENTS["docs/embed/frameworks.md"]) if match[1] == "python"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDINGS_SECRET", "s" * 32)
    pasted: dict[str, Any] = {}
    exec(code, pasted)
    token = jwt.encode({"sub": "ada", "exp": time.time() + 60}, "s" * 32, "HS256")
    with TestClient(pasted["app"], headers={"Authorization": f"Bearer {token}"}) as ada:
        found = ada.get("/api/message/people", params={"q": "oKr"}).json()["people"]
        assert [("ben", "Ben Okri")] == [(person["id"], person["name"]) for person in found]
        sent = [
            ada.post("/api/message/send", json={"recipientId": user, "text": "Hello", "client_id": user})
            for user in ("ben", "nobody")
        ]
        assert [(201, None), (404, "unknown_person")] == [(each.status_code, each.json().get("code")) for each in sent]
        assert 401 == ada.get("/api/message/people?q=b", headers={"Authorization": "Bearer x"}).status_code


def test_the_readme_installs_an_extra_of_the_installed_package_for_its_example() -> None:
    """After `make setup` pip finds Tidings installed and adds what the extra names: nothing of ours is downloaded."""
    (installs,) = re.findall(r"^\.venv/bin/pip (install '\S+')", DOCUMENTS["README.md"], re.MULTILINE)
    (code,) = [code for document, code in snippets("python") if document == "README.md"]
    (package,) = re.findall(r"^install 'tidings\[(\w+)\]'$", installs)
    assert f"from {package} import" in code
    extra = [each for each in requires("tidings") or [] if f'extra == "{package}"' in each.replace("'", '"')]
    assert {package, "starlette", "pyjwt", "prometheus-client"} == {re.split(r"[^\w-]", each)[0] for each in extra}
    found = subprocess.run(
        [sys.executable, "-m", "pip", *shlex.split(installs), "--dry-run", "--no-index", "--quiet"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert 0 == found.returncode, found.stderr


@pytest.mark.parametrize(("document", "code"), snippets("ts", "tsx"))
def test_a_typescript_snippet_imports_what_the_package_exports(document: str, code: str) -> None:
    """Each name that a document imports from `tidings` is exported by that entry of the package."""
    entries = {
        "tidings": "index.ts",
        "tidings/react": "react/index.ts",
        "tidings/react/words/ar": "react/words/ar.ts",
        "tidings/guide": "guide.ts",
        "tidings/embed": "embed/index.tsx",
    }
    for names, package in re.findall(r"import \{([^}]+)\} from \"(tidings[\w/]*)\"", code):
        text = (ROOT / "web" / "client" / "src" / entries[package]).read_text(encoding="utf-8")
        exported = {
            name.split(" as ")[-1].removeprefix("type ").strip()
            for group in re.findall(r"^export (?:type )?\{([^}]+)\}", text, re.MULTILINE)
            for name in group.split(",")
        } | set(re.findall(r"^export (?:abstract )?(?:const|function|class|interface|type) (\w+)", text, re.MULTILINE))

        assert set() == {name.removeprefix("type ").strip() for name in names.split(",")} - exported


@pytest.mark.parametrize(("document", "code"), snippets("sh", "console"))
def test_the_commands_of_a_shell_snippet_exist(document: str, code: str) -> None:
    """make targets, commands of `tidings` and npm scripts are real; other programs are well known."""
    makefiles = [(ROOT / folder / "Makefile").read_text(encoding="utf-8") for folder in (".", "lab")]
    targets = {name for text in makefiles for name in re.findall(r"^([\w-]+):", text, re.MULTILINE)}
    for words in simple_commands(code):
        program = words[0].removeprefix(".venv/bin/")
        if program == "make":
            assert words[1] in targets
        elif program == "tidings":
            assert words[1] in commands()
        else:
            assert program in PROGRAMS
