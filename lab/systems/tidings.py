"""Tidings: `tidings serve` on SQLite, read by its Python client, its browser client and a plain EventSource."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jwt

from lab.systems.event_source import Event, EventSource, StreamRequest
from lab.systems.reader import Reader
from lab.systems.system import Publication, Row, System
from lab.systems.tidings_readers import NodeClientReader, PythonClientReader, built_client

SECRET = "a secret of the lab, thirty-two bytes or more"
API = "/api/message"
SENDER = "sender"
UNLIMITED = {
    f"TIDINGS_{name}": "1000000" for name in ("SENDS_PER_S", "SENDS_BURST", "NEW_CONVERSATIONS_PER_H", "SIGNALS_PER_S")
}
QUERY_TOKENS = {"TIDINGS_QUERY_TOKEN": "1"}


class Tidings(System):
    name = "Tidings"
    setup = "`tidings serve` with SQLite; limits of sends raised, since no other system here has any"
    lacks = "One process on one machine. Each acknowledgement waits for the disk."

    def __init__(
        self, directory: Path, database: Path | None = None, settings: Mapping[str, str] = QUERY_TOKENS
    ) -> None:
        super().__init__(directory)
        self.database = database or directory / "tidings.db"
        self.settings = settings
        self.program = [str(program())]

    @classmethod
    def version(cls) -> str:
        return f"tidings {importlib.metadata.version('tidings')}, uvicorn {importlib.metadata.version('uvicorn')}"

    @classmethod
    def missing(cls) -> str:
        return "" if program().exists() else "Tidings is not installed: make setup"

    @classmethod
    def build(cls) -> None:
        built_client()

    def command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--db", f"sqlite:///{self.database}"]
        return [*self.program, "serve", *where]

    def environment(self) -> dict[str, str]:
        return super().environment() | {"TIDINGS_SECRET": SECRET, **UNLIMITED, **self.settings}

    def publish(self, reader: str, text: str, key: str) -> Publication:
        body = {"recipientId": reader, "text": text, "client_id": key}
        headers = {"Authorization": f"Bearer {token(SENDER)}", "Content-Type": "application/json"}
        return Publication(f"{API}/send", headers, json.dumps(body).encode(), positive=(201,))

    def stream(self, reader: str) -> StreamRequest:
        return StreamRequest(f"{API}/sse/me?token={token(reader)}", {})


def program() -> Path:
    return Path(sys.executable).with_name("tidings")


def token(user: str) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 86_400}, SECRET, "HS256")


def text_of(event: Event) -> str | None:
    frame = json.loads(event.data)
    return str(frame["data"]["text"]) if frame["type"] == "new_message" else None


async def python_client(system: System, url: str, name: str) -> Reader:
    return PythonClientReader(url, token(name))


async def browser_client(system: System, url: str, name: str) -> Reader:
    return NodeClientReader(f"{url}{API}", name, token(name))


async def event_source(system: System, url: str, name: str) -> Reader:
    return EventSource(url, system.stream(name), text_of)


ROWS = (
    Row(Tidings, "Python client", python_client),
    Row(Tidings, "browser client", browser_client),
    Row(Tidings, "EventSource", event_source),
)
