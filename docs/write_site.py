"""Writes the documents' site into build/site/html, by Sphinx (``make site``).

Rules of this file:

- The documents stay what they are on a code host. This file copies them into build/site/source, and changes there what
  only a host can show: a link to a file of the repository leads to a page with its text, one to a folder is plain text.
- The list at the side is that of docs/README.md.
- The reference has the public modules that docs/understand/compatibility.md lists, from their docstrings.
- A warning is a failure: a broken link, a heading that is not there, a docstring that is not well formed.
- The pages ask nothing of any host, and work from a disk and under any path.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from os.path import relpath
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "build" / "site"
SOURCE, EXTRA, HTML = TARGET / "source", TARGET / "extra", TARGET / "html"
ABOUT = ["PROTOCOL", "ARCHITECTURE", "SECURITY", "CHANGELOG", "CONTRIBUTING"]  # beside the README, at the root
LANGUAGES = {".py": "python", ".ts": "ts", ".tsx": "tsx", ".js": "js", ".json": "json", ".c": "c", ".sh": "sh"}
PICTURES = {".jpg", ".png", ".svg", ".webp"}
DECISIONS = ROOT / "docs" / "understand" / "decisions"  # a folder, which a code host lists by itself

CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href|srcset)=\"(?:https?:)?//[^\"]*\"", re.IGNORECASE
)
FETCHED = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//")


def documents() -> list[Path]:
    """The pages, as they lie in the repository."""
    return [ROOT / "README.md", *(ROOT / f"{name}.md" for name in ABOUT), *sorted((ROOT / "docs").rglob("*.md"))]


def public_modules(text: str) -> list[str]:
    """The modules in the table of docs/understand/compatibility.md."""
    return re.findall(r"^\| `(tidings[\w.]*)` \| .* \| .* \|$", text, re.MULTILINE)


def place(path: Path) -> Path:
    """Where a file of the repository stands on the site, as a page; its folder alone where it is none."""
    inside = path.relative_to(ROOT)
    if inside == Path("README.md"):
        return Path("index.md")
    if path.is_dir():
        return inside / "README.md"
    return inside if path.suffix == ".md" or path.suffix in PICTURES else Path("files") / f"{inside}.md"


def page(path: Path, text: str, shown: set[Path]) -> str:
    """The text of a document for the site; ``shown`` gets each file that it leads to and that is no document."""
    pages = {place(each) for each in [*documents(), DECISIONS]}

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        leads_to = (path.parent / target).resolve()
        if "://" in target or target.startswith("mailto:") or not leads_to.exists():
            return match[0]
        where = place(leads_to)
        if leads_to.is_dir() and where not in pages:
            return words
        if where not in pages:
            shown.add(leads_to)
        return f"[{words}]({relpath(where, place(path).parent)}{anchor})"

    parts = CODE.split(text)
    return "".join(part if number % 2 else LINK.sub(link, part) for number, part in enumerate(parts)).replace(
        "```mermaid\n", "```text\n"
    )


def file_page(path: Path) -> str:
    """A file of the repository as a page; the search leaves it out."""
    name = path.relative_to(ROOT)
    fence = "`" * 8
    return (
        f"---\norphan: true\nnosearch: true\n---\n# {path.name}\n\n`{name}`\n\n"
        f"{fence}{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text(encoding='utf-8').rstrip()}\n{fence}\n"
    )


def contents(index: str, modules: list[str]) -> str:
    """The list at the side, of the sections of docs/README.md and of the pages that stand beside it."""
    sections = [
        (
            title,
            [
                place(ROOT / "docs" / name).with_suffix("")
                for name in re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", body, re.M)
            ],
        )
        for title, body in re.findall(r"^## (\w+)[^\n]*\n(.*?)(?=^## |\Z)", index, re.M | re.S)
    ]
    reference = [*(Path("reference") / name for name in modules), *(Path(name) for name in ABOUT), Path("docs/README")]
    return "".join(
        "\n```{toctree}\n:hidden:\n:caption: " + title + "\n\n" + "\n".join(map(str, names)) + "\n```\n"
        for title, names in [*sections, ("Reference", reference)]
    )


def decisions() -> str:
    """The page of the folder of decisions."""
    names = sorted(path.stem for path in DECISIONS.glob("*.md"))
    return "# Decisions\n\n```{toctree}\n" + "\n".join(names) + "\n```\n"


def reference(module: str) -> str:
    """The page of a public module. What hosts use of an integration, it has from ``Tidings``."""
    inherited = "   :inherited-members:\n" if module in {"tidings.django", "tidings.fastapi"} else ""
    directive = f".. automodule:: {module}\n   :members:\n   :show-inheritance:\n{inherited}"
    return f"# {module}\n\n```{{eval-rst}}\n{directive}```\n"


def write(path: Path, text: str) -> None:
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def stage() -> None:
    """Put the pages where Sphinx reads them."""
    shutil.rmtree(TARGET, ignore_errors=True)
    shown: set[Path] = set()
    modules = public_modules((ROOT / "docs/understand/compatibility.md").read_text(encoding="utf-8"))
    for path in documents():
        text = path.read_text(encoding="utf-8")
        write(EXTRA / path.relative_to(ROOT), text)
        text = page(path, text, shown)
        if path == ROOT / "README.md":
            text += contents((ROOT / "docs/README.md").read_text(encoding="utf-8"), modules)
        write(SOURCE / place(path), text)
    for path in sorted(shown):
        if path.suffix in PICTURES:
            (SOURCE / place(path)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, SOURCE / place(path))
        else:
            write(SOURCE / place(path), file_page(path))
    write(SOURCE / place(DECISIONS), decisions())
    for module in modules:
        write(SOURCE / "reference" / f"{module}.md", reference(module))
    shutil.copytree(ROOT / "docs" / "pictures", EXTRA / "docs" / "pictures")
    shutil.copy(ROOT / "llms.txt", EXTRA)


def asked_elsewhere() -> list[str]:
    """The parts of the built pages that a browser would fetch from a host."""
    found = []
    for path in sorted(HTML.rglob("*")):
        pattern = {".html": ELSEWHERE, ".css": FETCHED}.get(path.suffix)
        found += [f"{path}: {match[0]}" for match in pattern.finditer(path.read_text("utf-8"))] if pattern else []
    return found


def main() -> int:
    """Build it; the exit code."""
    stage()
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--jobs", "2"]
    built = subprocess.run([*command, "-c", str(ROOT / "docs" / "site"), str(SOURCE), str(HTML)], check=False)
    if built.returncode:
        return built.returncode
    if found := asked_elsewhere():
        print("the site would ask other hosts:", *found, sep="\n", file=sys.stderr)
        return 1
    files = [path for path in HTML.rglob("*") if path.is_file()]
    size, pages = sum(path.stat().st_size for path in files), sum(path.suffix == ".html" for path in files)
    print(f"{pages} pages, {size:,} bytes: {HTML}/index.html")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
