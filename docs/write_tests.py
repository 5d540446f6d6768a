"""Writes the links to tests into the documents, from the tags above the tests (``make docs``).

A claim in a document has a mark, ``<!-- shows: reliability/kill -->``, and the links follow the mark. A test that shows
the claim has a comment above it: ``# shows: reliability/kill`` in Python, ``// shows: reliability/kill`` in TypeScript.
So a test that is renamed or moved edits no prose. ``tests/unit/test_docs.py`` holds the pages against the tags.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"<!-- shows: ([\w/-]+) -->(?:\[[^\]]+\]\([^)\s]+\)(?: · )?)*")
TAG = re.compile(r"^ *(?:#|//) shows: (.+)$", re.MULTILINE)
NAME = {
    ".py": re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE),
    ".ts": re.compile(r'^ *(?:it|test|describe)\b.*?\(\s*"((?:[^"\\]|\\.)+)"(?=,)', re.MULTILINE | re.DOTALL),
}


def documents() -> list[Path]:
    """Every document that may have a mark."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def tagged(text: str, suffix: str) -> Iterator[tuple[str, str]]:
    """(claim, name of the test below) of each tag in the text of a test file."""
    for tag in TAG.finditer(text):
        below = NAME[suffix].search(text, tag.end())
        if below is None:
            raise ValueError(f"no test below {tag[0].strip()!r}")
        for claim in tag[1].split(", "):
            yield claim, below[1]


def tests_by_claim() -> dict[str, list[tuple[Path, str]]]:
    """(file, name) of the tests of each claim, those of the browser's client first."""
    web = [path for folder in ("src", "test") for path in (ROOT / "web" / "client" / folder).rglob("*.test.ts*")]
    found: dict[str, list[tuple[Path, str]]] = {}
    for path in [*sorted(web), *sorted((ROOT / "tests").rglob("test_*.py"))]:
        for claim, name in tagged(path.read_text(encoding="utf-8"), path.suffix[:3]):
            found.setdefault(claim, []).append((path, name))
    return found


def page(document: Path, text: str, tests: dict[str, list[tuple[Path, str]]]) -> str:
    """The text of the document with the present links after each mark."""

    def linked(mark: re.Match[str]) -> str:
        links = [f"[{name}]({os.path.relpath(path, document.parent)})" for path, name in tests.get(mark[1], [])]
        return f"<!-- shows: {mark[1]} -->{' · '.join(links)}"

    return MARK.sub(linked, text)


if __name__ == "__main__":
    shown = tests_by_claim()
    for each in documents():
        each.write_text(page(each, each.read_text(encoding="utf-8"), shown), encoding="utf-8")
