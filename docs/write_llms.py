"""Writes llms.txt: the documents with a line on each, for programs that read (``make docs``).

It is docs/README.md with paths from the root of the repository, of a source distribution and of the site.
``tests/unit/test_docs.py`` fails when the file is not the one that ``llms()`` gives.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "llms.txt"


def llms() -> str:
    """The text of the file."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    introduction, promise = re.findall(r"^# Tidings\n\n(.*?)\n\n\*\*(.*?)\*\*\n", readme, re.DOTALL)[0]
    _, *sections = re.split(r"^(?=## )", (ROOT / "docs/README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    listed = re.sub(r"\]\((?!\.\./)", "](docs/", "".join(sections)).replace("](../", "](")
    summary = " ".join(introduction.split())
    return (
        f"# Tidings\n\n> {summary} {promise}\n\n{listed.rstrip()}\n\n## The wire and the inside\n\n"
        "- [PROTOCOL.md](PROTOCOL.md): every rule between a server and its clients, numbered\n"
        "- [ARCHITECTURE.md](ARCHITECTURE.md): how the server keeps them\n"
        "- [SECURITY.md](SECURITY.md): who may do what, and attackers\n"
        "- [CHANGELOG.md](CHANGELOG.md): what changed\n"
    )


if __name__ == "__main__":
    FILE.write_text(llms(), encoding="utf-8")
