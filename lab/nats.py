"""A private nats-server of Debian's package, on a free port of this machine, gone afterwards; nothing of it is kept."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

from lab.process import Program, accepts, free_port


class Nats(Program):
    """A server with these options of its command line, such as ``--auth`` and a token. It keeps its port."""

    def __init__(self, *options: str) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="tidings-nats-")))
        self.port = free_port()
        self.under = ["setpriv", "--pdeathsig", "TERM"]  # it ends with the tests, however they end
        self._options = options

    def command(self) -> list[str]:
        return [program(), "--addr", "127.0.0.1", "--port", str(self.port), *self._options]

    def serves(self) -> bool:
        return accepts(self.port)

    def url(self, credentials: str = "") -> str:
        """The URL of it for Tidings, with these credentials before the host, such as ``user:password@``."""
        return f"nats://{credentials}127.0.0.1:{self.port}"

    def remove(self) -> None:
        """Stop it, and leave nothing."""
        self.end()
        shutil.rmtree(self.directory, ignore_errors=True)


@functools.cache
def shared() -> Nats:
    """The server of this test process: started when a test asks for it, gone when the process ends."""
    server = Nats()
    atexit.register(server.remove)
    server.start()
    return server


@functools.cache
def program() -> str:
    """The path of nats-server, which Debian does not put on everybody's PATH."""
    found = shutil.which("nats-server", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    assert found is not None, "the tests need nats-server; install it with: apt-get install nats-server"
    return found
