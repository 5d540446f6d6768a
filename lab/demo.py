"""A real `tidings demo`, with a database of its own, started by the command that a user types."""

from __future__ import annotations

import contextlib
import re
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from lab import plain_http
from lab.node import API
from lab.process import START_DEADLINE_S, Program, wait_for

EXIT_DEADLINE_S = 30.0
KEY_HEADER = "Tidings-Demo-Key"


class Demo(Program):
    """The demo's process and address; `port` 0 takes a free one. Several `nodes` are on `db`, or on the demo's own."""

    stop_signal = signal.SIGINT

    def __init__(self, directory: Path, port: int = 0, *, nodes: int = 1, db: str | None = None) -> None:
        super().__init__(directory)
        self.port, self.nodes = port, nodes
        self.db = db or (f"sqlite:///{directory}/demo.db" if nodes == 1 else None)

    def __enter__(self) -> Demo:
        self.start()
        self.http = plain_http.client(base_url=self.url)
        self.outside = plain_http.client()
        self.control: dict[str, str] = self.http.get("/page.json").json()["control"]
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.outside.close()
        is_running = self.process is not None and self.process.poll() is None
        code = self.end()
        assert not is_running or code == 0, f"the demo exited with {code}:\n{self.output}"

    def command(self) -> list[str]:
        program = str(Path(sys.executable).with_name("tidings"))
        more = [] if self.db is None else ["--db", self.db]
        return [program, "demo", "--port", str(self.port), "--nodes", str(self.nodes), *more]

    def serves(self) -> object:
        if ready := re.search(r"Tidings serves http://127\.0\.0\.1:(\d+)\n", self.output):
            self.port = int(ready[1])
        return ready

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def orders(self, order: str, **what: object) -> dict[str, Any]:
        """Send an order of a page's drawer to the control channel; return the state of everything."""
        answer = self.asks(order, what)
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state

    def asks(self, order: str, what: object, **headers: str) -> httpx2.Response:
        """A request to the control channel, with headers of one's own."""
        where = self.control
        return self.outside.post(f"{where['url']}/{order}", json=what, headers={KEY_HEADER: where["key"], **headers})

    @property
    def state(self) -> dict[str, Any]:
        """The state of everything, as a page hears it that has done nothing."""
        return self.orders("report", tab="a test", user="nobody")

    def breaks(self, kind: str, user: str | None = None, **more: object) -> None:
        """Begin a fault."""
        self.orders("fault", kind=kind, on=True, user=user, **more)

    def restores(self) -> None:
        """End all faults, and wait until every node answers."""
        self.orders("restore")
        wait_for(
            lambda: all(node["state"] == "running" for node in self.state["nodes"]), START_DEADLINE_S, "all are back"
        )

    @property
    def server(self) -> dict[str, Any]:
        """The state of the only node."""
        [node] = self.state["nodes"]
        return dict(node)

    def kills(self, number: int = 1) -> None:
        """SIGKILL to a node."""
        self.orders("node", number=number, do="kill")

    def loses(self, text: str) -> None:
        """Take a message out of the database, beside the server."""
        connection = sqlite3.connect(self.directory / "demo.db", timeout=START_DEADLINE_S)
        with contextlib.closing(connection), connection:
            assert 1 == connection.execute("DELETE FROM messages WHERE body = ?", (text,)).rowcount

    def sends(self, sender: str, recipient: str, text: str) -> None:
        """A message from somebody who has no window open."""
        answer = self.http.post(
            f"{API}/send", json={"recipientId": recipient, "text": text}, headers=self.headers(sender)
        )
        assert answer.status_code == 201, answer.text

    def texts(self, user_id: str, peer: str) -> list[str]:
        """Return the server's texts of a conversation."""
        answer = self.http.get(f"{API}/{quote(peer, safe='')}", headers=self.headers(user_id))
        assert answer.status_code == 200, answer.text
        return [message["text"] for message in answer.json()["messages"]]

    def headers(self, user_id: str) -> dict[str, str]:
        token = self.http.post("/demo/token", json={"as": user_id}).json()["token"]
        return {"Authorization": f"Bearer {token}"}
