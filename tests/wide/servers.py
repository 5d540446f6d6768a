"""Other people's ASGI servers, each with an application of ``tests/server/hosts.py``."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.host import Host

SERVERS = {
    "uvicorn": ["uvicorn", "{app}", "--port", "{port}"],
    "gunicorn": ["gunicorn", "{app}", "--bind", "127.0.0.1:{port}", "--worker-class", "uvicorn_worker.UvicornWorker"],
    "gunicorn-asgi": ["gunicorn", "{app}", "--bind", "127.0.0.1:{port}", "--worker-class", "asgi"],
    "hypercorn": ["hypercorn", "{app}", "--bind", "127.0.0.1:{port}"],
    "granian": ["granian", "{app}", "--interface", "asgi", "--port", "{port}"],
}
"""By name: the module that ``python -m`` runs, and its arguments."""


class Served(Host):
    """An application such as ``hosts:mounted`` under the server of this name, with more options of that server."""

    def __init__(self, server: str, directory: Path, app: str, *options: str) -> None:
        super().__init__(directory, app, *options)
        self.server = server

    def command(self) -> list[str]:
        words = [word.format(app=self.app, port=self.port) for word in SERVERS[self.server]]
        return [sys.executable, "-m", *words, *self.options]
