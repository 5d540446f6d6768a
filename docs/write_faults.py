"""Writes the results of `make fault` into the documents, from lab/faults/results.json (``make docs``).

With ``--take`` (``make fault-docs``), what was played in this tree (build/fault.json) comes into those results first.
``tests/unit/test_docs.py`` holds the pages against them.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from lab.faults.pages import (  # noqa: E402 - the path comes first
    notes,
    of_nodes,
    of_one_node,
    simulation,
    simulation_of_nodes,
    table,
    table_of_nodes,
    verdict,
)
from lab.faults.results import PUBLISHED, read, take  # noqa: E402


def parts() -> dict[str, str]:
    """Return the text between the two marks, by document."""
    results = read(PUBLISHED)
    alone, several = of_one_node(results["scenes"]), of_nodes(results["scenes"])
    return {
        "docs/proof/fault-runs.md": (
            f"{verdict(alone)}\n{table(alone)}\n{notes(alone)}\n### Several nodes\n\n"
            f"{verdict(several)}\n{table_of_nodes(several)}\n{notes(several)}"
        ),
        "docs/proof/simulation.md": (
            f"{simulation(results['simulation'], results['mutants'])}\n### Several nodes\n\n"
            f"{simulation_of_nodes(results['nodes_simulation'], results['nodes_mutants'])}"
        ),
        "docs/proof/reliability.md": f"{verdict(alone)}\nSeveral nodes. {verdict(several)}",
    }


def page(document: str, text: str) -> str:
    """The text of the document with the present part between its two marks."""
    begin, end = "<!-- faults: begin (make docs) -->\n", "<!-- faults: end -->\n"
    before, rest = text.split(begin)
    return before + begin + parts()[document] + end + rest.split(end)[1]


if __name__ == "__main__":
    if "--take" in sys.argv[1:]:
        from lab.faults.scenes import SCENES

        taken = take([scene.__name__ for scene in SCENES])
        print(f"taken: {', '.join(taken) or 'nothing; make fault comes first'}")
    for name in parts():
        path = ROOT / name
        path.write_text(page(name, path.read_text(encoding="utf-8")), encoding="utf-8")
