"""Every route of the server, read from its route table: a route that is added is attacked without a word here.

Its methods are what the running node says that the path takes; a new POST needs a body in BODIES, and the tests say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
from starlette.routing import Route

from lab.node import SECRET, Node, Person
from tidings import Config
from tidings.server.app import create_app

BODIES: dict[str, dict[str, Any]] = {
    "/send": {"recipientId": "{peer}", "text": "hi"},
    "/receipts": {"chatUserId": "{peer}", "read_upto": 1},
    "/typing": {"chatUserId": "{peer}"},
    "/presence": {"chatUserId": "{peer}"},
    "/block": {"chatUserId": "{peer}"},
    "/unblock": {"chatUserId": "{peer}"},
    "/report": {"chatUserId": "{peer}", "reason": "x"},
}


class Call(NamedTuple):
    """One method of one path, as in the route table."""

    method: str
    path: str

    @property
    def is_own(self) -> bool:
        """Whether the path names the caller."""
        return "{me}" in self.path

    def made_by(self, caller: Person, me: str, peer: str, **headers: str) -> httpx2.Response:
        """The answer; a stream is left once its head is here."""
        path = self.path.replace("{me}", me).replace("{chat_user_id}", peer)
        if self.method == "POST":
            body = {name: peer if value == "{peer}" else value for name, value in BODIES[self.path].items()}
            return caller.posts(path, body, headers)
        if not self.path.startswith("/sse/"):
            return caller.gets(path, headers)
        http = caller.node.http
        request = http.build_request(
            "GET", f"{caller.node.url}/api/message{path}", headers={**caller.headers, **headers}
        )
        answer = http.send(request, stream=True)
        if answer.status_code != 200:
            answer.read()
        answer.close()
        return answer


def every_call(node: Node) -> Iterator[Call]:
    """Each method of each route of the API."""
    for route in create_app(Config(db="sqlite:///never-opened.db", secret=SECRET), prefix="").routes:
        assert isinstance(route, Route)
        path = route.path.replace("{me}", "me").replace("{chat_user_id}", "somebody")
        allowed = node.http.request("DELETE", f"{node.url}/api/message{path}").headers["allow"]
        for method in allowed.split(", "):
            yield Call(method, route.path)
