"""A private PostgreSQL of Debian's package: a new cluster in a directory of its own, on a free port, gone afterwards.

It answers only to this machine and keeps nothing over a crash of it (``fsync=off``). PostgreSQL does not run as root;
where the tests do, it is the package's user.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from lab.meter import processes
from lab.process import PATIENCE_S, Program, free_port

USER = "postgres"


class Postgres(Program):
    """A server; ``settings`` are its own, such as ``max_connections="20"``."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # ends what is connected

    def __init__(self, place: Path | None = None, under: Sequence[str] = (), **settings: str) -> None:
        """Make it at `place`, which `under` can see; else in a directory of its own."""
        super().__init__(Path(tempfile.mkdtemp(prefix="tidings-postgres-")))
        self.port = free_port()
        self.data = str((place or self.directory) / "data")
        self._settings = {"fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": "", **settings}
        self.under = [*under, "setpriv", "--pdeathsig", "INT"]  # it ends with the tests, however they end
        if os.geteuid() == 0:
            shutil.chown(self.directory, USER, USER)
            self.under += ["--reuid", USER, "--regid", USER, "--clear-groups"]
        made = subprocess.run([*self.under, *self.makes_data()], capture_output=True, text=True, cwd=self.directory)
        assert made.returncode == 0, made.stderr

    def makes_data(self) -> list[str]:
        """The command that makes its files."""
        return [*_words("initdb -A trust -E UTF8 --locale=C -N"), "-U", USER, "-D", self.data]

    def command(self) -> list[str]:
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return [*_words("postgres"), "-D", self.data, "-p", str(self.port), *options]

    def serves(self) -> bool:
        asked = [*_words("pg_isready -q -h 127.0.0.1"), "-p", str(self.port)]
        return subprocess.run(asked).returncode == 0

    def crash(self) -> None:
        """End it at once, as a power cut would that loses no disk: the next start recovers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(PATIENCE_S)
        self.kill()

    def stands_still(self, so: bool) -> None:
        """Stop all its processes, or let them go on. Each of them is a group of its own."""
        for process in reversed(list(processes(self.pid))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP if so else signal.SIGCONT)

    def url(self, **options: str) -> str:
        """The URL of its database for Tidings, with these options."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres" + (f"?{query}" if query else "")

    def run(self, sql: str) -> str:
        """The output of statements, by psql."""
        done = subprocess.run([*self._psql(), "-c", sql, "postgres"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextlib.contextmanager
    def holding(self, sql: str) -> Iterator[None]:
        """Have the locks that a statement takes, until the block ends."""
        psql = subprocess.Popen([*self._psql(), "postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert psql.stdin is not None
        assert psql.stdout is not None
        psql.stdin.write(f"BEGIN; {sql};\n\\echo held\n")
        psql.stdin.flush()
        try:
            while psql.stdout.readline() != "held\n":
                assert psql.poll() is None, sql
            yield
        finally:
            psql.communicate(timeout=PATIENCE_S)

    def _psql(self) -> list[str]:
        psql = _words("psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1")
        return [*psql, "-p", str(self.port), "-U", USER]

    def remove(self) -> None:
        """Stop it, and leave nothing."""
        self.end()
        shutil.rmtree(self.directory, ignore_errors=True)


@functools.cache
def shared(fsync: Literal["on", "off"] = "off") -> Postgres:
    """The server of this process, one that waits for its disk or one that does not: started when somebody asks for it,
    gone when the process ends.
    """
    server = Postgres(fsync=fsync)
    atexit.register(server.remove)
    server.start()
    return server


def _words(command: str) -> list[str]:
    name, *options = command.split()
    return [program(name), *options]


@functools.cache
def program(name: str) -> str:
    """The path of a program of PostgreSQL, which Debian does not put on the PATH: of the latest version there is."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(re.sub(r"\D", "", each.parent.name))
    )
    found = shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", "")]))
    assert found is not None, f"the tests need {name}; install it with: apt-get install postgresql"
    return found
