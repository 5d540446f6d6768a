"""The types of Tidings as pyright reads them, beside mypy: by basedpyright, whose package brings all that it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.unit.test_docs import snippets

ROOT = Path(__file__).parents[2]


def test_the_examples_and_the_snippets_of_the_documents_are_right_for_pyright(tmp_path: Path) -> None:
    """A snippet has no error where it is pasted. Packages without types, such as Django, are taken as they come."""
    places = {}
    for number, (document, code) in enumerate(snippets("python")):
        (tmp_path / f"snippet_{number}.py").write_text(code, encoding="utf-8")
        places[f"snippet_{number}.py"] = document
    settings = {
        "include": [".", str(ROOT / "examples" / "*.py"), str(ROOT / "examples" / "*" / "*.py")],
        "typeCheckingMode": "standard",
        "pythonVersion": "3.11",
        "useLibraryCodeForTypes": False,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    checked = subprocess.run(
        [sys.executable, "-m", "basedpyright", "-p", str(tmp_path), "--pythonpath", sys.executable, "--outputjson"],
        cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    told = json.loads(checked.stdout)
    found = [
        f"{places.get(Path(each['file']).name, each['file'])}: {each['message']}"
        for each in told["generalDiagnostics"]
        if each["severity"] == "error"
    ]
    assert [] == found
    assert told["summary"]["filesAnalyzed"] > len(places)
