"""A PostgreSQL server of the demo's own: its data in a temporary folder, gone with the demo, however the demo ends.

It is kept by a process of its own (``main``), which outlives a demo that is killed by as long as it needs to stop the
server and to remove the folder. It listens on no port: on a socket in that folder, which only its owner may enter.
PostgreSQL does not run as root; where the demo does, it is the user of Debian's package.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tidings.errors import ConfigurationError
from tidings.server.demo.limits import START_WAIT_S, STOP_WAIT_S
from tidings.server.demo.tied import FAILED, READY
from tidings.server.http.parent import read_orders

MODULE: Final = "tidings.server.demo.database"
DEBIAN_PROGRAMS: Final = Path("/usr/lib/postgresql")  # in a folder of each version, none of them on the PATH
USER: Final = "postgres"
LOOK_EVERY_S: Final = 0.05
FAILED_EXIT_CODE: Final = 2


def main() -> int:
    """Keep a server until told to stop, or until the parent has gone; the process's exit status."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    read_orders(dict[str, str])  # none: all that is asked for is a server
    folder = Path(tempfile.mkdtemp(prefix="tidings-demo-"))
    server: subprocess.Popen[bytes] | None = None
    try:
        server = _start(folder)
        print(f"{READY}postgresql:///postgres?user={USER}&host={quote(str(folder), safe='')}", flush=True)
        return server.wait()
    except ConfigurationError as failure:
        print(f"{FAILED}{failure}", flush=True)
        return FAILED_EXIT_CODE
    finally:
        if server is not None and server.poll() is None:
            server.send_signal(signal.SIGINT)  # ends what is connected, too
            try:
                server.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    """A server that takes connections, its data in this folder."""
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        try:
            shutil.chown(folder, USER, USER)
        except LookupError:
            raise ConfigurationError(
                f"PostgreSQL does not run as root, and there is no user {USER}: {_ADVICE}"
            ) from None
        identity = {"user": USER, "group": USER, "extra_groups": []}
    data = str(folder / "data")
    made = subprocess.run(
        [_program("initdb"), "-N", "-A", "trust", "-E", "UTF8", "--locale=C", "-U", USER, "-D", data],
        **identity,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise ConfigurationError(f"initdb could not make the demo's database: {_last_line(made.stderr)}")
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [_program("postgres"), "-D", data, "-k", str(folder), "-c", "listen_addresses="],
            **identity,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    deadline = time.monotonic() + START_WAIT_S
    is_ready = [_program("pg_isready"), "-q", "-h", str(folder)]
    while subprocess.run(is_ready).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            raise ConfigurationError(
                f"the demo's PostgreSQL did not start: {_last_line(log.read_text('utf-8', 'replace'))}"
            )
        time.sleep(LOOK_EVERY_S)
    return server


_ADVICE = "name a database with --db postgresql://user@host/database"


def _program(name: str) -> str:
    """The path of a program of PostgreSQL, of the latest version there is."""
    found = shutil.which(name, path=os.pathsep.join([*map(str, _folders()), os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise ConfigurationError(
            f"several nodes share a PostgreSQL database, and its server ({name}) is not on this machine:"
            f" apt-get install postgresql, or {_ADVICE}"
        )
    return found


def _folders() -> Sequence[Path]:
    def version(folder: Path) -> int:
        return int(re.sub(r"\D", "", folder.parent.name) or 0)

    return sorted(DEBIAN_PROGRAMS.glob("*/bin"), key=version, reverse=True)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


if __name__ == "__main__":
    raise SystemExit(main())
