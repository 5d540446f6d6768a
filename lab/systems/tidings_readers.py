"""Tidings' own clients as readers: the Python client in this process, the browser's client in a Node process each."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

from lab.client_build import build_client, node_program
from lab.systems.reader import Reader, TaskReader
from tidings.client import AsyncClient, ConnectionState

BUILD_VARIABLE = "SCOREBOARD_CLIENT_BUILD"
NODE_PROGRAM = """
    import { RealtimeService } from "./index.js";
    const tell = (said) => process.stdout.write(JSON.stringify(said) + "\\n");
    const service = new RealtimeService({
      url: process.env.API_URL, getToken: () => process.env.TOKEN, storage: "memory", shareStream: false,
    });
    let wasConnected = false;
    service.connection.subscribe(() => {
      const isConnected = service.connection.getSnapshot().status === "connected";
      if (wasConnected && !isConnected) tell({ noticed: true });
      wasConnected = isConnected;
    });
    service.on("message", ({ text }) => tell({ text }));
    service.connect(process.env.USER_ID);
"""


class PythonClientReader(TaskReader):
    """`AsyncClient.events()`, as docs/embed/python-client.md shows it."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__()
        self._url = url
        self._token = token
        self._was_connected = False

    async def _follow(self) -> None:
        async with AsyncClient(self._url, self._token) as client, client.events(on_state=self._changed) as events:
            async for event in events:
                if event.message:
                    self.show(event.message.text)
                await self._reads.wait()

    def _changed(self, state: ConnectionState) -> None:
        if self._was_connected and state.status != "connected":
            self.notice()
        self._was_connected = state.status == "connected"


class NodeClientReader(Reader):
    """`RealtimeService` of the npm package, as published; without tabs there is nothing to share a stream with."""

    def __init__(self, api_url: str, user: str, token: str) -> None:
        super().__init__()
        self._environment = {**os.environ, "API_URL": api_url, "USER_ID": user, "TOKEN": token}
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            node_program(), "--input-type=module", "--eval", NODE_PROGRAM,
            cwd=built_client(), env=self._environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            limit=2**20,
        )  # fmt: skip
        self._listening = asyncio.create_task(self._listen(self._process))

    async def close(self) -> None:
        if self._process is not None and self._listening is not None:
            self._process.kill()
            await self._listening
            await self._process.wait()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            said = json.loads(line)
            if "text" in said:
                self.show(said["text"])
            else:
                self.notice()


@functools.cache
def built_client() -> Path:
    """The package's core, compiled once for this run: processes that it starts find it by their environment."""
    if known := os.environ.get(BUILD_VARIABLE):
        return Path(known)
    directory = tempfile.mkdtemp(prefix="scoreboard-client-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    built = build_client(Path(directory))
    os.environ[BUILD_VARIABLE] = str(built)
    return built
