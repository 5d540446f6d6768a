"""The notes of a release: its changes, from CHANGELOG.md, and its files with their sizes and SHA-256."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from lab.client_build import ROOT
from lab.release.packages import Packages, names_in


def changes(changelog: str, version: str) -> str:
    """The section of a version, else of what is not released yet.

    Raises:
        AssertionError: There is neither, or it is empty.
    """
    sections = dict(re.findall(r"^## (\S+)[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL))
    text = str(sections.get(version) or sections.get("Unreleased", "")).strip()
    assert text, f"CHANGELOG.md has no changes under {version}, nor under Unreleased"
    return text


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def notes(packages: Packages) -> str:
    """The text of the notes."""
    rows = [
        f"| `{path.name}` | {path.stat().st_size:,} | {len(names_in(path))} | `{_sha256(path)}` |"
        for path in packages.files
    ]
    return "\n".join([
        f"# Tidings {packages.version}", "",
        changes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), packages.version), "",
        "## Files", "", "| file | bytes | files within | SHA-256 |", "|---|---|---|---|", *rows, "",
    ])  # fmt: skip
