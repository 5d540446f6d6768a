"""Both clients read the same bytes alike, in any chunks: the decoder in Python and the one in TypeScript."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent

COMPARE = """
import sys
from pathlib import Path
import decoders
found = decoders.differences(decoders.cases(0, 400), Path(sys.argv[1]) if sys.argv[1:] else decoders.SOURCE)
print(*found[:1], len(found))
"""


def compared(*source: str) -> str:
    """The first difference, and how many there are; in a process of its own, as the fuzzer has it."""
    return subprocess.run(
        [sys.executable, "-c", COMPARE, *source], cwd=FOLDER, capture_output=True, text=True, timeout=100, check=True
    ).stdout


def test_two_decoders_read_the_same_bytes_alike() -> None:
    """Events, ids, reconnection time and bound: of the corpus, and of 400 mixtures of it with line ends, byte order
    marks, bytes that are no UTF-8 and long lines, cut anywhere. WHATWG HTML 9.2.5, 9.2.6."""
    assert "0" == compared().strip()


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        (r"/\r\n|\r|\n/", r"/\r\n|\n/"),
        ('new TextDecoder("utf-8")', 'new TextDecoder("utf-8", { ignoreBOM: true })'),
        ('if (this.#afterCr && text.startsWith("\\n")) text = text.slice(1);', ""),
        ("{ stream: true }", "{ stream: false }"),
        ('!value.includes("\\0")', "true"),
        ("Number(value) <= Number.MAX_SAFE_INTEGER", "true"),
    ],
    ids=["a lone CR", "the byte order mark", "a CRLF cut in two", "a character cut in two", "NUL in an id", "2^53"],
)
def test_a_decoder_that_reads_otherwise_is_found(tmp_path: Path, text: str, instead: str) -> None:
    """Each thing that a decoder may get wrong is met by those cases."""
    source = (FOLDER.parents[1] / "web" / "client" / "src" / "sse.ts").read_text(encoding="utf-8")
    assert 1 == source.count(text)
    (tmp_path / "sse.ts").write_text(source.replace(text, instead), encoding="utf-8")

    assert int(compared(str(tmp_path / "sse.ts")).split()[-1]) > 0
