"""Clients that nobody here wrote follow a log through cuts and restarts: PROTOCOL.md 16.

Each is used as its own documentation says. Those that do not reopen a stream by themselves are reopened with the
`Last-Event-ID` that they report; the others have to find back alone.
"""

from __future__ import annotations

import json
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest
import sseclient
from playwright.sync_api import Page

from lab.browser.chromium import launched
from lab.javascript import JavaScript
from lab.node import API, Node, Person
from lab.process import wait_for
from lab.proxy import Proxy

WEB = Path(__file__).parents[2] / "web"
TEXTS = [
    "hi",
    "two\nlines",
    "a\u2028b\u2029c\u0085d",
    "é 👋 \U0001f469\u200d\U0001f680",
    "data: x\n\nid: 7\n\n",
    "\ufeff:",
]


@dataclass(frozen=True)
class Event:
    """One event, as a library reported it."""

    type: str
    data: str
    id: str

    @property
    def frame(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self.data)
        return frame


class Reader(ABC):
    """A client of somebody else that follows a person's log; `events` is all that it reported so far."""

    def __init__(self, person: Person) -> None:
        self.url = f"http://127.0.0.1:{person.address[1]}{API}/sse/me"
        self.token = str(person.token)
        self.headers = person.headers
        self.seen: list[Event] = []

    def __enter__(self) -> Reader:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def events(self) -> list[Event]:
        return self.seen

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    def of_type(self, type: str) -> list[dict[str, Any]]:
        return [event.frame["data"] for event in list(self.events) if event.data and event.frame["type"] == type]

    def waits_for(self, type: str, count: int) -> None:
        wait_for(lambda: len(self.of_type(type)) >= count, 20, f"{count} events {type} among {self.events[-5:]}")


class ReopenedReader(Reader):
    """A library that reads one response: reopened with the last id that it reported."""

    def start(self) -> None:
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(10)
        assert not self._thread.is_alive()

    @abstractmethod
    def read(self, headers: dict[str, str]) -> Iterator[Event]:
        """The events of one response, until it ends or breaks."""

    def _follow(self) -> None:
        last_id = ""
        while not self._is_over.is_set():
            try:
                for event in self.read(self.headers | ({"Last-Event-ID": last_id} if last_id else {})):
                    last_id = event.id or last_id
                    self.seen.append(event)
                    if self._is_over.is_set():
                        break
            except httpx.TransportError:
                pass
            self._is_over.wait(0.1)


class HttpxSse(ReopenedReader):
    def read(self, headers: dict[str, str]) -> Iterator[Event]:
        with (
            httpx.Client(trust_env=False) as client,
            httpx_sse.connect_sse(client, "GET", self.url, headers=headers) as source,
        ):
            for event in source.iter_sse():
                yield Event(event.event, event.data, event.id)


class SseclientPy(ReopenedReader):
    def read(self, headers: dict[str, str]) -> Iterator[Event]:
        with (
            httpx.Client(trust_env=False) as client,
            client.stream("GET", self.url, headers=headers) as response,
        ):
            for event in sseclient.SSEClient(response.iter_bytes()).events():
                yield Event(event.event, event.data, event.id or "")


class Curl(ReopenedReader):
    """`curl -N`; a blank line ends an event, as whoever pipes it into a script would have it."""

    def read(self, headers: dict[str, str]) -> Iterator[Event]:
        given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        command = ["curl", "--no-buffer", "--silent", "--fail", "--noproxy", "*", *given, self.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
            try:
                assert curl.stdout is not None
                fields: list[tuple[str, str]] = []
                for line in curl.stdout:
                    name, _, value = line.decode().removesuffix("\n").partition(": ")
                    if name:
                        fields.append((name, value))
                        continue
                    data = "\n".join(value for name, value in fields if name == "data")
                    yield Event("message", data, dict(fields).get("id", ""))
                    fields = []
            finally:
                curl.kill()


class NpmEventsource(Reader):
    """The npm package `eventsource`, which reopens by itself."""

    PROGRAM = """
        import { EventSource } from "eventsource";
        const { URL_OF_STREAM: url, TOKEN: token } = process.env;
        const source = new EventSource(url, {
          fetch: (input, { headers, ...init }) =>
            fetch(input, { ...init, headers: { ...headers, Authorization: `Bearer ${token}` } }),
        });
        const tell = (said) => process.stdout.write(JSON.stringify(said) + "\\n");
        source.onmessage = ({ type, data, lastEventId }) => tell({ type, data, id: lastEventId });
    """

    def start(self) -> None:
        variables = {"URL_OF_STREAM": self.url, "TOKEN": self.token}
        self._program = JavaScript(WEB, self.PROGRAM, variables, lambda told: self.seen.append(Event(**told)))

    def stop(self) -> None:
        self._program.close()


class ChromiumEventSource(Reader):
    """The browser's own `EventSource` on a page of the node; it cannot send headers, so the token is in the address."""

    PROGRAM = """(url) => {
        window.seen = [];
        window.source = new EventSource(url);
        window.source.onmessage = ({ type, data, lastEventId }) => window.seen.push({ type, data, id: lastEventId });
    }"""

    def start(self) -> None:
        self._browser = launched()
        self._page: Page = self._browser.__enter__().new_page()
        self._page.goto(self.url.replace(f"{API}/sse/me", "/healthz"))
        self._page.evaluate(self.PROGRAM, f"{self.url}?token={self.token}")

    def stop(self) -> None:
        self._browser.__exit__(None, None, None)

    @property
    def events(self) -> list[Event]:
        return [Event(**event) for event in self._page.evaluate("window.seen")]


READERS: list[type[Reader]] = [Curl, HttpxSse, SseclientPy, NpmEventsource, ChromiumEventSource]


@pytest.mark.parametrize("kind", READERS, ids=[reader.__name__ for reader in READERS])
def test_every_message_arrives_once_whatever_breaks(tmp_path: Path, kind: type[Reader]) -> None:
    """Live, after a reset, a cut body, a refused connection, an old stream's goodbye, a node that was killed and
    one that was restarted; and nothing is reported that is no event, at heartbeats neither. PROTOCOL 16.0.1, 7.2.2,
    7.9.3, 15.0.9
    """
    limits: dict[str, Any] = {"heartbeat_interval_s": 0.2, "query_token": 1, "stream_age_max_s": 2}
    with Node(tmp_path, **limits) as node, Proxy(node.address) as proxy:
        ada, ben = node.person("ada"), node.person("ben")
        texts: list[str] = []

        def ada_says(*said: str) -> None:
            for text in said:
                ada.sends(ben, text)
                texts.append(text)

        with kind(node.person("ben", via=proxy.address)) as reader:
            reader.waits_for("connected", 1)
            ada_says(*TEXTS)
            reader.waits_for("new_message", len(texts))
            reader.waits_for("heartbeat", 2)
            kinds: list[Callable[[], None]] = [lambda: proxy.end_open("reset"), lambda: proxy.end_open("close")]
            for break_off in [*kinds, proxy.refuse]:
                break_off()
                ada_says("while it was away", "and this")
                proxy.restore()
                ada_says("when it may come back")
                reader.waits_for("new_message", len(texts))
            goodbyes = len(reader.of_type("goodbye"))
            reader.waits_for("goodbye", goodbyes + 1)
            ada_says("after a goodbye")
            reader.waits_for("new_message", len(texts))
            ada_says("just before the kill")
            node.kill()
            node.restart()
            ada_says("just after it")
            reader.waits_for("new_message", len(texts))
            node.stop()
            node.restart()
            ada_says("after a planned restart")
            reader.waits_for("new_message", len(texts))
            heartbeats = len(reader.of_type("heartbeat"))
            reader.waits_for("heartbeat", heartbeats + 1)
            events = reader.events

    assert texts == [message["text"] for message in of_type(events, "new_message")]
    for event in events:
        assert "message" == event.type
        assert {"type", "data"} <= event.frame.keys(), event
        assert event.frame["type"] in ("connected", "new_message", "caught_up", "heartbeat", "goodbye")
    first, *later = of_type(events, "connected")
    assert first["resumed"] is False
    assert len(later) >= 5
    assert all(connected["resumed"] for connected in later)
    assert {"max_age", "draining"} >= {goodbye["reason"] for goodbye in of_type(events, "goodbye")}


def of_type(events: list[Event], type: str) -> list[dict[str, Any]]:
    return [event.frame["data"] for event in events if event.frame["type"] == type]
