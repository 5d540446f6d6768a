"""Writes the table of settings into docs/run/configuration.md, from the settings themselves (``make docs``).

``tests/unit/test_docs.py`` fails when the table there is not the one that ``table()`` gives.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from tidings.server.config import Config, environment_name

PAGE = Path(__file__).parent / "run" / "configuration.md"
BEGIN, END = "<!-- settings: begin (make docs) -->\n", "<!-- settings: end -->\n"


def table() -> str:
    """One row per field of ``Config``, in its order."""
    rows = ["| environment | default | unit | why |", "|---|---|---|---|"]
    for each in fields(Config):
        rows.append(
            f"| `{environment_name(each.name)}` | {_shown(each.default)} "
            f"| {each.metadata['unit']} | {each.metadata['reason']} |"
        )
    return "\n".join(rows) + "\n"


def _shown(default: Any) -> str:
    if default is False or default is True:
        return f"`{int(default)}`"
    if default == "" or default == ():
        return "none"
    if isinstance(default, float) and default.is_integer():
        return f"`{int(default)}`"
    return f"`{default}`"


def page(text: str) -> str:
    """The text of the page with the present table between its two marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
