"""The server and the client of a widespread guide to chats over SSE with Express and React.

Both are written anew from its description: connections in memory, `{type, data}` frames without ids, a heartbeat, and
a client that closes its EventSource on an error, opens a new one a second later, and loads the history on `connected`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx2

from lab.client_build import node_program
from lab.systems.event_source import Event, EventSource, StreamRequest
from lab.systems.reader import Reader
from lab.systems.system import HERE, Publication, Row, System

API = "/api/message"
SENDER = "sender"
RECONNECT_DELAY_S = 1.0
"""The guide's first delay. Its attempts are counted from 0 again by every `connect()`, so it is also its last."""


class Guide(System):
    name = "guide's Express"
    setup = "Express; its database is a file here, appended to without fsync, read again at a start; no sign-in"
    lacks = "No ids on the stream, so no resuming; no watchdog in the client; no key against doubled sends."

    def __init__(self, directory: Path, messages_file: str = "") -> None:
        super().__init__(directory)
        self.messages_file = messages_file

    @classmethod
    def version(cls) -> str:
        manifest = json.loads((HERE / "node_modules" / "express" / "package.json").read_text())
        node = subprocess.run([node_program(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
        return f"express {manifest['version']}, Node {node}"

    @classmethod
    def missing(cls) -> str:
        return (
            "" if (HERE / "node_modules" / "express").exists() else "Express is not installed: make scoreboard-programs"
        )

    def command(self) -> list[str]:
        return [node_program(), str(HERE / "served" / "guide.mjs")]

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "PORT": str(self.port),
            "MESSAGES_FILE": self.messages_file or str(self.directory / "messages.jsonl"),
            "NODE_ENV": "production",
        }

    def publish(self, reader: str, text: str, key: str) -> Publication:
        headers = {"X-User-Id": SENDER, "Content-Type": "application/json"}
        body = {"recipientId": reader, "text": text, "message_type": "text"}
        return Publication(f"{API}/send", headers, json.dumps(body).encode(), positive=(201,))

    def stream(self, reader: str) -> StreamRequest:
        return StreamRequest(f"{API}/sse/{reader}", {"X-User-Id": reader})


class GuideClient(EventSource):
    """Closes on an error, opens a new EventSource without a position, loads the history on `connected`."""

    def __init__(self, base_url: str, request: StreamRequest, name: str) -> None:
        super().__init__(base_url, request, lambda event: None)
        self._name = name
        self._shown_ids: set[str] = set()
        self._history = httpx2.AsyncClient(base_url=base_url, headers={"X-User-Id": name}, trust_env=False, timeout=5)

    async def close(self) -> None:
        await super().close()
        await self._history.aclose()

    async def _receive(self, event: Event) -> None:
        frame = json.loads(event.data)
        if frame["type"] == "connected":
            await self._load_history()
        elif frame["type"] == "new_message":
            self._show_message(frame["data"])

    async def _load_history(self) -> None:
        try:
            answer = await self._history.get(f"{API}/{SENDER}")
        except httpx2.TransportError:  # its promise is rejected, and the next `connected` tries again
            return
        if answer.status_code == 200:
            for message in answer.json()["messages"]:
                self._show_message(message)

    def _show_message(self, message: dict[str, str]) -> None:
        if message["_id"] not in self._shown_ids:
            self._shown_ids.add(message["_id"])
            self.show(message["text"])

    def _headers(self) -> dict[str, str]:
        return {name: value for name, value in super()._headers().items() if name != "Last-Event-ID"}

    def _wait_s(self) -> float:
        return RECONNECT_DELAY_S

    def _refused(self, answer: str) -> bool:
        return True  # it opens a new one whatever the error was


async def guide_client(system: System, url: str, name: str) -> Reader:
    return GuideClient(url, system.stream(name), name)


ROWS = (Row(Guide, "guide's client", guide_client),)
