"""A program in a process of Node, such as one that uses the npm package as published; what it tells comes at once."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.client_build import node_program


class JavaScript:
    """The program runs in the folder of its packages, with `variables` in its environment.

    `heard` is called with each line that it writes, a JSON object, in a thread of its own.
    """

    def __init__(self, folder: Path, program: str, variables: dict[str, str], heard: Callable[[Any], None]) -> None:
        self._heard = heard
        self._process = subprocess.Popen(
            [node_program(), "--input-type=module", "--eval", program],
            cwd=folder, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self._thread.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard(json.loads(line))
