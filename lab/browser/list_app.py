"""An application around the list of messages, on Vite's development server: StrictMode, Activity, Fast Refresh."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.client_build import install_packages
from lab.node import START_DEADLINE_S, wait_for
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


class ListApp:
    """The application in `list_host`, in front of a node: its source may be edited while it is served.

    With `built`, it is built as for use, and then served.
    """

    def __init__(self, directory: Path, api: str, *, built: bool = False) -> None:
        self.directory = directory / "list_host"
        self.api = api
        self.built = built
        shutil.copytree(HERE / "list_host", self.directory)
        self.packages = install_packages(self.directory)

    def __enter__(self) -> ListApp:
        output = self.directory / "vite.txt"
        vite = ["node", str(self.packages / "vite" / "bin" / "vite.js")]
        if self.built:
            subprocess.run([*vite, "build", "--logLevel", "warn"], cwd=self.directory, check=True, timeout=100)
        program = [*vite, *(["preview"] if self.built else []), "--port", "0", "--logLevel", "info"]
        with output.open("wb") as written:
            self.process = subprocess.Popen(
                program, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=written, stderr=subprocess.STDOUT,
                env=os.environ | {"TIDINGS_SERVER": self.api, "NO_COLOR": "1"},
            )  # fmt: skip

        def ready() -> re.Match[str] | None:
            assert self.process.poll() is None, f"vite ended at start:\n{output.read_text()}"
            return re.search(r"http://127\.0\.0\.1:(\d+)/", output.read_text())

        try:
            self.url = f"http://127.0.0.1:{wait_for(ready, START_DEADLINE_S, 'the address of vite')[1]}"
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a source file, as its author does."""
        file = self.directory / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
