"""The fixed inputs of the fuzzer, replayed: what once failed does not fail again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = sorted(folder.name for folder in (ROOT / "lab" / "fuzz" / "corpus").iterdir())

REPLAY = """
import sys
from lab.fuzz.targets import TARGETS, corpus, stop
for name in sys.argv[1:]:
    for path in corpus(name):
        try:
            TARGETS[name](path.read_bytes())
        except BaseException as error:
            raise SystemExit(f"{name}: {path.name}: {type(error).__name__}: {error}")
    print(name, len(corpus(name)))
stop()
"""


def test_every_input_of_the_corpus_passes() -> None:
    """All targets, in a process of their own, as the fuzzer has it; each has some inputs."""
    done = subprocess.run(
        [sys.executable, "-c", REPLAY, *NAMES], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert 0 == done.returncode, done.stderr
    counts = dict(line.split() for line in done.stdout.splitlines())
    assert set(counts) == set(NAMES)
    assert min(map(int, counts.values())) >= 5


def test_every_target_has_a_corpus() -> None:
    """A target that nobody replays is one that nobody looks at."""
    listed = subprocess.run(
        [sys.executable, "-c", "from lab.fuzz.targets import TARGETS; print(*TARGETS)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert NAMES == sorted(listed.stdout.split())


@pytest.mark.parametrize("planted", ["sse", "cursor"])
def test_a_target_can_fail(planted: str) -> None:
    """With a decoder that drops what follows a CR, and cursors that take a sign, the corpus finds it."""
    break_it = {
        "sse": "from tidings.protocol import sse; import re; sse._LINE_END = re.compile(rb'\\n')",
        "cursor": "import re; from tidings.protocol import cursor; cursor._FORM = re.compile("
        "r'([a-z0-9]{1,32})-(-?[0-9]{1,18})-([0-9a-f]{1,8})', re.ASCII)",
    }[planted]
    done = subprocess.run(
        [sys.executable, "-c", f"{break_it}\n{REPLAY}", planted],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 1 == done.returncode
    assert planted in done.stderr
