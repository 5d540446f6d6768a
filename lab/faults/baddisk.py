"""The bad disk (baddisk.c) beside a node: what was not fsynced can be thrown away, and calls fail when told to."""

from __future__ import annotations

import atexit
import random
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from lab.node import Node

HERE = Path(__file__).parent
NEEDED = "bad disks need a C compiler: apt-get install -y --no-install-recommends gcc libc6-dev"
BLOCK_SIZE_BYTES = 4096  # what a disk writes as a whole, or not at all


@cache
def library(source: str) -> Path:
    """A file of this folder, as a library that LD_PRELOAD takes."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    assert compiler, NEEDED
    folder = Path(mkdtemp(prefix="tidings-library-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = folder / "library.so"
    command = [compiler, "-Wall", "-O2", "-shared", "-fPIC", "-o", str(made), str(HERE / source), "-ldl"]
    compiled = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert 0 == compiled.returncode, f"{NEEDED}\n{compiled.stderr}"
    return made


class BadDisk:
    """The disk under a node's database, from the node's next start on."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._kept = node.directory / "kept"
        self._orders = node.directory / "orders"
        self._kept.mkdir(parents=True)
        self.is_well()
        node.variables = {
            "LD_PRELOAD": str(library("baddisk.c")),
            "BADDISK_FILE": str(node.database.absolute()),
            "BADDISK_KEPT": str(self._kept.absolute()),
            "BADDISK_ORDERS": str(self._orders.absolute()),
        }

    def told(self, order: str) -> None:
        """From now on, until it is well: see baddisk.c."""
        unfinished = self._orders.with_suffix(".new")
        unfinished.write_text(order)
        unfinished.replace(self._orders)

    def is_well(self) -> None:
        """No order."""
        self.told("")

    @property
    def kept_count(self) -> int:
        """Files of which something was fsynced."""
        return len(list(self._kept.iterdir()))

    def loses_power(self, rng: random.Random | None = None) -> int:
        """Kill the node and throw away what was not fsynced; how many blocks that were.

        With `rng` each block that was written since the last fsync is lost or kept by chance, as on a disk that was
        in the middle of writing them.
        """
        self.node.kill()
        lost = 0
        database = self.node.database
        for live in (database, database.with_name(database.name + "-wal")):
            kept = self._kept / live.name
            written = live.read_bytes() if live.exists() else b""
            durable = kept.read_bytes() if kept.exists() else b""
            content = bytearray()
            size = len(durable) if rng is None or rng.random() < 0.5 else max(len(written), len(durable))
            for start in range(0, size, BLOCK_SIZE_BYTES):
                old, new = durable[start : start + BLOCK_SIZE_BYTES], written[start : start + BLOCK_SIZE_BYTES]
                is_lost = old != new and (rng is None or rng.random() < 0.5)
                lost += is_lost
                chosen = old if is_lost or not new else new
                content += chosen.ljust(min(BLOCK_SIZE_BYTES, size - start), b"\0")
            lost += max(0, len(written) - size) // BLOCK_SIZE_BYTES
            if kept.exists() or content:
                live.write_bytes(content)
                kept.write_bytes(content)  # what survived is on the disk
            else:
                live.unlink(missing_ok=True)
        database.with_name(database.name + "-shm").unlink(missing_ok=True)
        return lost
