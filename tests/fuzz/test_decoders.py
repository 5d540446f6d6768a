"""Both clients read the same bytes alike, in any chunks: the decoder in Python and the one in TypeScript."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "web" / "client" / "src" / "wire" / "sse.ts"

COMPARE = """
import sys
from pathlib import Path
from lab.fuzz import decoders
for found in decoders.differences(decoders.cases(0, 400), [Path(each) for each in sys.argv[1:]]):
    print(len(found), *found[:1], end="\\0")
"""

PLANTED = {
    "a lone CR ends no line": (r"/\r\n|\r|\n/", r"/\r\n|\n/"),
    "the byte order mark is text": ('new TextDecoder("utf-8")', 'new TextDecoder("utf-8", { ignoreBOM: true })'),
    "a CRLF cut in two is two line ends": (
        'if (this.#afterCr && text.startsWith("\\n")) text = text.slice(1);',
        "",
    ),
    "a character cut in two is lost": ("{ stream: true }", "{ stream: false }"),
    "an id may have a NUL": ('!value.includes("\\0")', "true"),
    "any number is a time": ("Number(value) <= Number.MAX_SAFE_INTEGER", "true"),
}


def compared(*sources: Path) -> list[str]:
    """For each how many differences there are, and the first; in a process of its own, as the fuzzer has it."""
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, *map(str, sources)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout.split("\0")[:-1]


def test_two_decoders_read_the_same_bytes_alike(tmp_path: Path) -> None:
    """Events, ids, reconnection time and bound: of the corpus, and of 400 mixtures of it with line ends, byte order
    marks, bytes that are no UTF-8 and long lines, cut anywhere. A decoder that reads otherwise is found by the same
    cases, whichever thing it gets wrong. WHATWG HTML 9.2.5, 9.2.6."""
    source = SOURCE.read_text(encoding="utf-8")
    wrong = []
    for number, (text, instead) in enumerate(PLANTED.values()):
        assert 1 == source.count(text), text
        wrong.append(tmp_path / f"{number}.ts")
        wrong[-1].write_text(source.replace(text, instead), encoding="utf-8")

    own, *found = compared(SOURCE, *wrong)

    assert "0" == own
    assert [] == [name for name, told in zip(PLANTED, found, strict=True) if told == "0"]
