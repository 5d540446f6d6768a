"""An application in this process that has direct messages, for the functions that a host gives: its users are known by
a header.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from lab.node import Node
from tidings import Config, Tidings

PROFILES = {
    user: {"name": user.title(), "avatar_url": f"https://example.org/{user}.png"}
    for user in ("ada", "ben", "eve", *(f"u{number}" for number in range(100)))
}


class Host:
    """An application with direct messages; ``asked`` are the ids that its ``people`` was asked for."""

    def __init__(self, path: Path, settings: dict[str, Any], functions: dict[str, Any]) -> None:
        self.asked: list[str] = []
        functions = {"people": self.people, **functions}
        self.tidings = Tidings(
            Config(db=Node.deployment.db(path), **settings),
            user=lambda request: request.headers.get("x-user"),
            **functions,
        )
        app = Starlette(routes=[Mount("/dm", routes=self.tidings.routes())], lifespan=self.tidings.lifespan)
        self.client = TestClient(app)

    def people(self, ids: Any) -> dict[str, dict[str, str]]:
        self.asked += ids
        return {user: PROFILES[user] for user in ids if user in PROFILES}

    def gets(self, user: str, path: str, **query: Any) -> Any:
        answer = self.client.get(f"/dm{path}", params=query, headers={"x-user": user})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def posts(self, user: str, path: str, **body: object) -> httpx2.Response:
        answer: httpx2.Response = self.client.post(f"/dm{path}", json=body, headers={"x-user": user})
        return answer

    def writes(self, user: str, recipient: str, **more: object) -> httpx2.Response:
        return self.posts(user, "/send", **{"recipientId": recipient, "text": "hi", **more})

    def named(self, user: str, peer: str) -> tuple[str, str | None]:
        person = self.gets(user, f"/{peer}")["user"]
        return person["name"], person["avatar_url"]
