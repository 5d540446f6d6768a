"""An application around the list of messages, on Vite's development server: StrictMode, Activity, Fast Refresh."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.client_build import install_packages
from lab.process import Program
from tidings.server.app import Tidings
from tidings.server.config import Config

HERE = Path(__file__).parent
TYPES = ("photo",)
AT_ONCE = 500


@dataclass(frozen=True)
class Written:
    """A message of the past: `age_s` seconds before now."""

    sender: str
    recipient: str
    text: str
    age_s: float = 60
    type: str = "text"


def write(database: Path, messages: Iterable[Written], now_s: float) -> None:
    """Put these into a database that nobody serves yet, in this order, as the host's own code would."""
    listed = list(messages)

    async def send() -> None:
        tidings = Tidings(Config(db=f"sqlite:///{database}", message_types=TYPES), user=lambda _request: None)
        async with tidings.lifespan():
            for at in range(0, len(listed), AT_ONCE):
                async with asyncio.TaskGroup() as tasks:
                    for each in listed[at : at + AT_ONCE]:
                        tasks.create_task(tidings.send(each.sender, each.recipient, each.text, type=each.type))

    # Playwright has an event loop in this thread already.
    thread = threading.Thread(target=asyncio.run, args=(send(),))
    thread.start()
    thread.join()
    with sqlite3.connect(database) as connection:
        ages = {each.text: each.age_s for each in listed}
        ids = connection.execute("SELECT id, body FROM messages").fetchall()
        times = [(int((now_s - ages[text]) * 1000), number) for number, text in ids if text in ages]
        connection.executemany("UPDATE messages SET ts = ? WHERE id = ?", times)
    connection.close()


class ListApp(Program):
    """The application in `list_host`, in front of a node: its source may be edited while it is served.

    With `built`, it is built as for use, and then served.
    """

    def __init__(self, directory: Path, api: str, *, built: bool = False) -> None:
        super().__init__(directory / "list_host")
        self.api = api
        self.built = built
        self.url = ""
        shutil.copytree(HERE / "list_host", self.directory)
        self._vite = ["node", str(install_packages(self.directory) / "vite" / "bin" / "vite.js")]

    def __enter__(self) -> ListApp:
        if self.built:
            subprocess.run([*self._vite, "build", "--logLevel", "warn"], cwd=self.directory, check=True, timeout=100)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def command(self) -> list[str]:
        return [*self._vite, *(["preview"] if self.built else []), "--port", "0", "--logLevel", "info"]

    def environment(self) -> dict[str, str]:
        return super().environment() | {"TIDINGS_SERVER": self.api, "NO_COLOR": "1"}

    def serves(self) -> object:
        if ready := re.search(r"http://127\.0\.0\.1:\d+(?=/)", self.output):
            self.url = ready[0]
        return ready

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a source file, as its author does."""
        file = self.directory / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
