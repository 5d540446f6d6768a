"""The command line as somebody at a shell runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lab.node import Person
from lab.process import PATIENCE_S, wait_for

PROGRAM = str(Path(sys.executable).with_name("tidings"))


def environment(**variables: str | None) -> dict[str, str]:
    """Ours without any TIDINGS_*, and what is given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
    return inherited | {name: value for name, value in variables.items() if value is not None}


def of(person: Person) -> dict[str, str]:
    """The environment of one who uses the node as this person."""
    assert person.token is not None
    return environment(TIDINGS_URL=person.node.url, TIDINGS_TOKEN=person.token)


def tidings(
    *arguments: str, env: dict[str, str] | None = None, timeout_s: float = 30
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [PROGRAM, *arguments],
        env=environment() if env is None else env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_s,
        check=False,
    )


def assert_fails(result: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    """The exit code, nothing on stdout, and one line on stderr with these words."""
    assert (code, "") == (result.returncode, result.stdout), result.stderr
    assert 1 == len(result.stderr.splitlines()), result.stderr
    assert result.stderr.startswith("tidings: ")
    for words in said:
        assert words in result.stderr


class Tail:
    """A running `tidings tail` whose output is kept in files."""

    def __init__(self, directory: Path, env: dict[str, str], *options: str) -> None:
        self._stdout, self._stderr = directory / "tail.out", directory / "tail.err"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [PROGRAM, "tail", *options], env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
            )

    @property
    def lines(self) -> list[str]:
        """Return the whole lines that it printed."""
        return self._stdout.read_text(encoding="utf-8").split("\n")[:-1]

    @property
    def notes(self) -> list[str]:
        return self._stderr.read_text(encoding="utf-8").split("\n")[:-1]

    @property
    def texts(self) -> list[str]:
        return [line.split(": ", 1)[1] for line in self.lines]

    def is_connected(self, times: int = 1) -> None:
        self.waits_for(lambda: sum(note.startswith("connected") for note in self.notes) >= times)

    def has(self, count: int) -> None:
        self.waits_for(lambda: len(self.lines) >= count)

    def waits_for(self, condition: Callable[[], bool], deadline_s: float = PATIENCE_S) -> None:
        def holds() -> bool:
            assert self.process.poll() is None, f"tail ended with {self.process.returncode}: {self.notes}"
            return condition()

        wait_for(holds, deadline_s, f"tail printed {self.lines[-5:]} and noted {self.notes[-5:]}")

    def interrupts(self) -> str:
        """Ctrl-C: the cursor that it printed."""
        self.process.send_signal(signal.SIGINT)
        assert 130 == self.process.wait(PATIENCE_S)
        note = self.notes[-1]
        assert note.startswith("cursor: "), self.notes
        return note.removeprefix("cursor: ")
