"""A typical application on sse-starlette: a queue in memory for each open stream, as in its broadcasting example."""

from __future__ import annotations

import json

from lab.scoreboard.event_source import EventSource, StreamRequest
from lab.scoreboard.reader import Reader
from lab.scoreboard.sender import Publication
from lab.systems.system import HERE, Row, System
from lab.systems.venv import VENV, PythonSystem


class SseStarlette(PythonSystem):
    packages = ("sse-starlette", "starlette", "uvicorn")
    name = "sse-starlette"
    setup = "Starlette with a queue in memory per open stream, on uvicorn"
    lacks = "Keeps nothing: what is published while nobody reads is gone. No ids, no key against doubled sends."

    def command(self) -> list[str]:
        application = ["--app-dir", str(HERE / "served"), "sse_starlette_app:app"]
        return [str(VENV / "bin" / "uvicorn"), *application, "--host", "127.0.0.1", "--port", str(self.port)]

    def publish(self, reader: str, text: str, key: str) -> Publication:
        headers = {"Content-Type": "application/json"}
        return Publication(f"/send/{reader}", headers, json.dumps({"text": text}).encode(), positive=(200,))

    def stream(self, reader: str) -> StreamRequest:
        return StreamRequest(f"/events/{reader}", {})


async def event_source(system: System, url: str, name: str) -> Reader:
    return EventSource(url, system.stream(name), lambda event: event.data)


ROWS = (Row(SseStarlette, "EventSource", event_source),)
