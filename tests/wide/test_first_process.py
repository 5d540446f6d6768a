"""A server that is the first process of its container: what it has no handler for, the kernel drops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.node import SECRET, Node
from lab.openings import openings
from lab.process import START_DEADLINE_S, wait_for

# A container's engine does the same; who is no root may begin a namespace of processes within one of users.
APART = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--pid", "--fork", "--kill-child"]


def first_process(unshare: subprocess.Popen[bytes]) -> int:
    """The process that has the number 1 within, by its number here."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    return wait_for(lambda: int((children.read_text().split() or ["0"])[0]), what="unshare's child")


@pytest.mark.parametrize("is_serving", [False, True])
def test_sigterm_ends_the_first_process(tmp_path: Path, is_serving: bool) -> None:
    """While it waits for its database, and while it serves: with 0, and at once."""
    other = Node(tmp_path / "other")
    if not is_serving:
        other.start()
    log = tmp_path / "log"
    program = Path(sys.executable).with_name("tidings")
    database = tmp_path / "other" / "tidings.db"
    database.parent.mkdir(exist_ok=True)
    database.touch()
    with openings(database) as is_opened, log.open("wb") as output:
        unshare = subprocess.Popen(
            [*APART, program, "serve", "--port", "0", "--db", f"sqlite:///{database}"],
            stdout=output, stderr=output, env={**os.environ, "TIDINGS_SECRET": SECRET},
        )  # fmt: skip
        try:
            process_id = first_process(unshare)
            if is_serving:
                wait_for(lambda: "Tidings serves" in log.read_text(), START_DEADLINE_S, "it serves")
            else:
                wait_for(is_opened, START_DEADLINE_S, "it tries to get the database")
            os.kill(process_id, signal.SIGTERM)
            assert 0 == unshare.wait(5), log.read_text()
        finally:
            unshare.kill()
            unshare.wait()
            other.stop()
