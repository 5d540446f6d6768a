"""A private PgBouncer of Debian's package, before a PostgreSQL of the lab: each transaction gets another connection."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from lab.postgres import USER, Postgres
from lab.process import Program, accepts, free_port


class PgBouncer(Program):
    """A pooler; ``settings`` are its own, such as ``ignore_startup_parameters="jit"``."""

    def __init__(self, server: Postgres, **settings: str) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="tidings-pgbouncer-")))  # which its own user can read
        self.port = free_port()
        self._server = server
        self._settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "pool_mode": "transaction",
            "auth_type": "any",
            "default_pool_size": "4",
            **settings,
        }
        # It refuses to be root, and ends with the tests, however they end.
        self.under = ["setpriv", "--pdeathsig", "TERM"]
        if os.geteuid() == 0:
            self.under += ["--reuid", USER, "--regid", USER, "--clear-groups"]

    def command(self) -> list[str]:
        found = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        assert found is not None, "the tests need pgbouncer; install it with: apt-get install pgbouncer"
        lines = [f"{name} = {value}" for name, value in self._settings.items()]
        path = self.directory / "pgbouncer.ini"
        backend = f"postgres = host=127.0.0.1 port={self._server.port} user={USER} dbname=postgres"
        path.write_text("\n".join(["[databases]", backend, "[pgbouncer]", *lines, ""]))
        if os.geteuid() == 0:
            for each in (self.directory, path):
                shutil.chown(each, USER, USER)
        return [found, "-q", str(path)]

    def serves(self) -> object:
        return accepts(self.port)

    def url(self, **options: str) -> str:
        """The URL of the database behind it for Tidings, with these options."""
        return self._server.url(**options).replace(str(self._server.port), str(self.port))

    def remove(self) -> None:
        """Stop it, and leave nothing."""
        self.end()
        shutil.rmtree(self.directory, ignore_errors=True)
