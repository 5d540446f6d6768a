"""nginx with nchan: its own message buffer in memory, EventSource with `Last-Event-ID`, as its README has them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from string import Template

from lab.systems.event_source import EventSource, StreamRequest
from lab.systems.reader import Reader
from lab.systems.system import HERE, Publication, Row, System

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CONFIGURATION = HERE / "served" / "nginx.conf"


class Nchan(System):
    name = "nginx + nchan"
    setup = "two workers, messages in shared memory; `nchan_message_buffer_length` 10000 instead of 10"
    lacks = "The buffer is lost with nginx, by a restart too (it can use Redis). No key against doubled sends."
    stop_signal = signal.SIGQUIT

    def __init__(self, directory: Path, workers: int = 2) -> None:
        super().__init__(directory)
        self.workers = workers

    @classmethod
    def version(cls) -> str:
        nginx = subprocess.run([program(), "-v"], capture_output=True, text=True, check=True).stderr.strip()
        asked = ["dpkg-query", "--show", "--showformat=${Version}", "libnginx-mod-nchan"]
        package = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        return f"{nginx.rsplit(' ')[-1]}, libnginx-mod-nchan {package}"

    @classmethod
    def missing(cls) -> str:
        return "" if MODULE.exists() and program() else "nchan is not installed: apt-get install libnginx-mod-nchan"

    def command(self) -> list[str]:
        # Started by root it would give its workers away, to a user who may not write into this directory.
        user = "user root root;" if os.geteuid() == 0 else ""
        configuration = self.directory / "nginx.conf"
        text = Template(CONFIGURATION.read_text(encoding="utf-8"))
        configuration.write_text(
            text.safe_substitute(MODULE=MODULE, PORT=self.port, USER=user, WORKERS=self.workers), encoding="utf-8"
        )
        return [program(), "-p", f"{self.directory}/", "-c", str(configuration)]

    def publish(self, reader: str, text: str, key: str) -> Publication:
        return Publication(f"/pub?id={reader}", {"Content-Type": "text/plain"}, text.encode(), positive=(200, 201, 202))

    def stream(self, reader: str) -> StreamRequest:
        return StreamRequest(f"/sub?id={reader}", {})


def program() -> str:
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") or ""


async def event_source(system: System, url: str, name: str) -> Reader:
    return EventSource(url, system.stream(name), lambda event: event.data)


ROWS = (Row(Nchan, "EventSource", event_source),)
