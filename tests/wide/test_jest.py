"""The packed package in somebody's Jest, set up as docs/embed/react.md says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from lab.client_build import ROOT, install_packages, node_program

HERE = Path(__file__).parent / "jest"


def test_jest_draws_the_screen_with_the_configuration_of_the_documents(tmp_path: Path) -> None:
    """The snippets as they stand; Jest's own DOM lacks parts of a browser's."""
    page = (ROOT / "docs" / "embed" / "react.md").read_text()
    for name, code in re.findall(r"^```\w+ (jest\.config\.mjs|babel\.config\.json)\n(.*?)^```$", page, re.M | re.S):
        (tmp_path / name).write_text(code)
    (tmp_path / "no-styles.cjs").touch()
    shutil.copy(HERE / "screen.test.js", tmp_path)
    packages = install_packages(tmp_path, HERE / "node_modules")
    jest = [node_program(), str(packages / "jest" / "bin" / "jest.js"), "--ci"]

    ran = subprocess.run(jest, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)

    assert (0, True) == (ran.returncode, "1 passed" in ran.stderr), ran.stderr
