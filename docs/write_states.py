"""Writes the connection's states into docs/understand/client-states.md, from vectors/connection.json (``make docs``).

``web/client/test/table.test.ts`` holds that file against the machine, ``tests/unit/test_docs.py`` the page against it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).parent / "understand" / "client-states.md"
BEGIN, END = "<!-- states: begin (make docs) -->\n", "<!-- states: end -->\n"


def written() -> str:
    """States, diagram and transitions."""
    table: dict[str, Any] = json.loads((ROOT / "vectors" / "connection.json").read_text(encoding="utf-8"))
    lines = ["| state | means |", "|---|---|"]
    lines += [f"| `{state['name']}` | {state['means']} |" for state in table["states"]]
    lines += ["", "```mermaid", "stateDiagram-v2", "    [*] --> idle"]
    lines += ["    state trying {", *(f"        {name}" for name in table["names"]), "    }"]
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in table["rows"]:
        for start in row["from"]:
            arrows.setdefault((start, row["to"]), []).extend(row["causes"])
    # A colon ends the label's beginning in Mermaid, and may not stand in it.
    lines += [
        f"    {start} --> {end}: {', '.join(dict.fromkeys(causes)).replace(': ', ' ')}"
        for (start, end), causes in arrows.items()
    ]
    lines += ["```", "", "| from | what happens | to | why, and what follows |", "|---|---|---|---|"]
    lines += [
        f"| {', '.join(row['from'])} | {', '.join(row['causes'])} | {row['to']} | {row['why']} |"
        for row in table["rows"]
    ]
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The text of the page with the present part between its two marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + written() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
