"""A typical application on sse-starlette: a queue in memory for each open stream, as in its broadcasting example."""

from __future__ import annotations

import json
from pathlib import Path

from lab.systems.event_source import EventSource, StreamRequest
from lab.systems.reader import Reader
from lab.systems.system import HERE, Publication, Row, System
from lab.systems.venv import VENV, PythonSystem


class SseStarlette(PythonSystem):
    packages = ("sse-starlette", "starlette", "uvicorn")
    name = "sse-starlette"
    setup = "Starlette with a queue in memory per open stream, on uvicorn"
    lacks = "Keeps nothing: what is published while nobody reads is gone. No ids, no key against doubled sends."

    def __init__(self, directory: Path, *options: str) -> None:
        super().__init__(directory)
        self.options = options

    def command(self) -> list[str]:
        return [str(VENV / "bin" / "uvicorn"), *uvicorn_arguments("sse_starlette_app", self.port), *self.options]

    def publish(self, reader: str, text: str, key: str) -> Publication:
        headers = {"Content-Type": "application/json"}
        return Publication(f"/send/{reader}", headers, json.dumps({"text": text}).encode(), positive=(200,))

    def stream(self, reader: str) -> StreamRequest:
        return StreamRequest(f"/events/{reader}", {})


def uvicorn_arguments(module: str, port: int) -> list[str]:
    """For an application in `served`."""
    return ["--app-dir", str(HERE / "served"), f"{module}:app", "--host", "127.0.0.1", "--port", str(port)]


async def event_source(system: System, url: str, name: str) -> Reader:
    return EventSource(url, system.stream(name), lambda event: event.data)


ROWS = (Row(SseStarlette, "EventSource", event_source),)
