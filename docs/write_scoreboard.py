"""Writes the scoreboard's tables into docs/proof/reliability.md, from lab/scoreboard/results.json (``make docs``).

``make scoreboard`` makes those results and calls this; ``tests/unit/test_docs.py`` holds the page against them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from lab.scoreboard.table import tables  # noqa: E402 - the path comes first

PAGE = Path(__file__).parent / "proof" / "reliability.md"
BEGIN, END = "<!-- scoreboard: begin (make docs) -->\n", "<!-- scoreboard: end -->\n"


def written() -> str:
    """When and where it was measured, and the tables."""
    document = json.loads((ROOT / "lab" / "scoreboard" / "results.json").read_text(encoding="utf-8"))
    before, after = document["load_average"]
    measured = (
        f"Measured on {document['date']}: {document['machine']}; load average {before} at the beginning and {after} at "
        f"the end. Rounds: {document['rounds']}, up to {document['at_once']} scenes beside each other; "
        f"{document['readers']} readers, {document['rate_per_s']:.0f} messages a second to each. A message that "
        f"had not come {document['settle_s']:.0f} s after the last was published is lost. Figures are medians, with "
        f"the range over rounds and readers in brackets. Memory is without pages of files; for idle streams, of "
        f"{document['idle_streams']} of them."
    )
    if before > int(document["machine"].split()[0]):  # its cores
        measured += (
            " **The machine was busy with other work**: the counts hold, times and latencies are too long for all."
        )
    return f"{measured}\n\n{tables(document)}"


def page(text: str) -> str:
    """The text of the page with the present part between its two marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + written() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
