"""The two event stream decoders, Python's and TypeScript's, on the same bytes in the same chunks: decoders.py SECONDS.

The inputs: the corpus, whatever a coverage-guided run has found (.fuzz/), and mixtures of both with the bytes that
decide something for a decoder, cut anywhere. All chance comes from a seed, which a difference is told with.
"""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lab.client_build import WEB, node_program
from tidings.errors import ProtocolViolation
from tidings.protocol.sse import EventStreamDecoder

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]

SOURCE = WEB / "client" / "src" / "wire" / "sse.ts"
SIZE_MAX = 4_000  # of both, so that the bound is met; the two defaults differ
CASES_A_ROUND = 2_000
PIECES = [
    *(
        b"data: x\n",
        b"data:",
        b"data",
        b"id: 7\r\n",
        b"id",
        b"event: e\r",
        b"event:",
        b"retry: 5\n",
        b"retry:",
        b":c\n",
    ),
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r", b" ", b":", b"\0", b"9" * 17, b"0" * 20),
    *("\ufeff".encode(), "\u2028".encode(), "\x85".encode(), "ä".encode(), "🦊".encode(), b"\xef", b"\xbb", b"\xff"),
    *(b"\xf0\x9f", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe2\x28\xa1", b"x" * 900),
]

Read = tuple[list[list[str]], str, int | None, bool]


def by_python(chunks: list[bytes]) -> Read:
    """Return the results of the Python client's decoder for them."""
    decoder, events, is_over = EventStreamDecoder(size_max_bytes=SIZE_MAX), list[list[str]](), False
    try:
        for chunk in chunks:
            events += [[event.event, event.data, event.id] for event in decoder.feed(chunk)]
    except ProtocolViolation:
        is_over = True
    return events, decoder.last_event_id, decoder.retry_ms, is_over


def by_typescript(cases: list[list[bytes]], sources: Sequence[Path]) -> Iterator[list[Read]]:
    """Return the results of each of these decoders, the TypeScript client's or one made of it, for each case."""
    compiler = WEB / "node_modules" / "typescript" / "lib" / "typescript.js"
    lines = "\n".join(json.dumps([base64.b64encode(chunk).decode() for chunk in chunks]) for chunks in cases)
    done = subprocess.run(
        [node_program(), str(FOLDER / "decoder.mjs"), str(compiler), str(SIZE_MAX), *map(str, sources)],
        input=lines.encode(), capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    for line in done.stdout.splitlines():
        yield [(events, last_id, retry_ms, is_over) for events, last_id, retry_ms, is_over in json.loads(line)]


def differences(cases: list[list[bytes]], sources: Sequence[Path] = (SOURCE,)) -> list[list[str]]:
    """For each decoder the cases that it reads otherwise than Python's, with both readings.

    Where the bound is passed only ASCII is compared: one counts bytes, the other UTF-16 units.
    """
    found: list[list[str]] = [[] for _ in sources]
    for chunks, readings in zip(cases, by_typescript(cases, sources), strict=True):
        ours = by_python(chunks)
        for theirs, told in zip(readings, found, strict=True):
            is_compared = not (ours[3] or theirs[3]) or b"".join(chunks).isascii()
            if is_compared and ours != theirs:
                told.append(f"{chunks}\n  Python:     {ours}\n  TypeScript: {theirs}")
    return found


def seeds() -> list[bytes]:
    """The corpus of both targets that read streams, and what a fuzzer has found for them."""
    folders = [place / name for place in (FOLDER / "corpus", ROOT / ".fuzz") for name in ("sse", "follower")]
    return [path.read_bytes() for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]


def cut(rng: random.Random, body: bytes) -> list[bytes]:
    """The body whole, byte by byte, or at any places; a chunk may be empty."""
    how = rng.randrange(4)
    if how == 0:
        return [body]
    if how == 1:
        return [body[at : at + 1] for at in range(len(body))]
    places = sorted(rng.randint(0, len(body)) for _ in range(rng.randint(1, 8)))
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


def made_up(rng: random.Random, known: list[bytes]) -> bytes:
    """Pieces in any order, or something known with pieces put in and parts taken out, doubled or moved."""
    if rng.random() < 0.3:
        return b"".join(rng.choices(PIECES, k=rng.randint(1, 30)))
    body = rng.choice(known)
    for _ in range(rng.randint(1, 6)):
        start = rng.randint(0, len(body))
        end = min(len(body), start + rng.choice([0, 0, 1, 2, 20]))
        body = body[:start] + rng.choice([b"", body[start:end] * 2, *rng.choices(PIECES, k=3)]) + body[end:]
    return body[: 4 * SIZE_MAX]


def cases(seed: int, count: int) -> list[list[bytes]]:
    """Everything known, and so many made up from it; the same for the same seed and the same files."""
    rng, known = random.Random(seed), seeds()
    return [cut(rng, body) for body in known] + [cut(rng, made_up(rng, known)) for _ in range(count)]


def main(seconds: int) -> int:
    """Compare until the time is over; 1 at the first difference."""
    begun = time.monotonic()
    seed = count = 0
    while time.monotonic() - begun < seconds:
        round_cases = cases(seed, CASES_A_ROUND)
        [found] = differences(round_cases)
        if found:
            print(f"{len(found)} differences at seed {seed}; the first:\n{found[0]}")
            return 1
        count += len(round_cases)
        seed += 1
    print(f"{count} streams read alike by both decoders")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
