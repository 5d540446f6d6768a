"""The npm package `tidings` as it is published: its core, built into a folder of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).parents[1] / "web"
BUILD_DEADLINE_S = 100


def node_program() -> str:
    """The Node that the web client is built and tested with."""
    found = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert found, "the tests need Node: make node"
    return found


def build_client(directory: Path) -> Path:
    """Compile the package into `directory`; its `index.js` is what `import ... from "tidings"` gives."""
    compiler = WEB / "node_modules" / "typescript" / "bin" / "tsc"
    command = [node_program(), str(compiler), "-p", "client/tsconfig.build.json", "--outDir", str(directory)]
    subprocess.run([*command, "--declaration", "false"], cwd=WEB, check=True, timeout=BUILD_DEADLINE_S)
    (directory / "package.json").write_text('{"type": "module"}')
    return directory
