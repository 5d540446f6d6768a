"""django-eventstream with its event storage on, on daphne, as its README and its chat example have them."""

from __future__ import annotations

import asyncio
import json
import subprocess
from urllib.parse import urlencode

import httpx2

from lab.systems.event_source import Event, ReconnectingEventSource, StreamRequest
from lab.systems.reader import Reader
from lab.systems.system import HERE, Publication, Row, System
from lab.systems.venv import VENV, PythonSystem

SITE = HERE / "served" / "django_site"


class DjangoEventstream(PythonSystem):
    packages = ("django-eventstream", "django", "daphne")
    name = "django-eventstream"
    setup = "daphne; events stored by `DjangoModelStorage` in SQLite (WAL, immediate transactions, as Django advises)"
    lacks = "No key against doubled sends."

    def command(self) -> list[str]:
        return [str(VENV / "bin" / "daphne"), "-b", "127.0.0.1", "-p", str(self.port), "site_settings:application"]

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "PYTHONPATH": str(SITE),
            "DJANGO_SETTINGS_MODULE": "site_settings",
            "DATABASE_FILE": str(self.directory / "site.sqlite3"),
        }

    async def prepare(self) -> None:
        """Make the tables."""
        migrate = [str(VENV / "bin" / "django-admin"), "migrate", "--run-syncdb", "--verbosity", "0"]
        await asyncio.to_thread(subprocess.run, migrate, env=self.environment(), check=True, capture_output=True)

    def publish(self, reader: str, text: str, key: str) -> Publication:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"from": "sender", "text": text}).encode()
        return Publication(f"/rooms/{reader}/messages/", headers, body, positive=(200,))

    def stream(self, reader: str) -> StreamRequest:
        return StreamRequest(f"/rooms/{reader}/events/", {})


def text_of(event: Event) -> str | None:
    return str(json.loads(event.data)["text"]) if event.type == "message" else None


async def reconnecting_event_source(system: System, url: str, name: str) -> Reader:
    """As the page of the chat example: it begins at the position that the page was made with."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        page = (await http.get(f"{system.url}/rooms/{name}/messages/")).raise_for_status().json()
    return ReconnectingEventSource(url, system.stream(name), text_of, page["last-event-id"])


ROWS = (Row(DjangoEventstream, "its ReconnectingEventSource", reconnecting_event_source),)
