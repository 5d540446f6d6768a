"""Statements with numbered placeholders and a tuple warn on Python 3.12.0 to 3.12.3, an error under ``-W error``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tidings"
NUMBERED = re.compile(r"\?\d")


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_statement_numbers_its_placeholders(path: Path) -> None:
    """They are plain, or have names and a dictionary, which every Python takes without a word."""
    assert [] == [line for line in path.read_text("utf-8").splitlines() if NUMBERED.search(line)]
