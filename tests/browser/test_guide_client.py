"""The guide's own client, which knows nothing of Tidings, in Chromium against a real node (`guide_client.html`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from lab.node import Node, Person

GUIDE_PAGE = (Path(__file__).parent / "guide_client.html").read_text(encoding="utf-8")
FRAME_TYPES = {"connected", "caught_up", "heartbeat", "new_message", "message_delivered", "message_read", "goodbye"}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node that takes the token from the query, as an EventSource must give it."""
    with Node(tmp_path, query_token=1, heartbeat_interval_s=1) as node:
        yield node


class GuideTab:
    """A tab with the guide's client in it. The host application serves that page on the node's own origin."""

    def __init__(self, context: BrowserContext, person: Person, peer: str) -> None:
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.route("**/guide?*", lambda route: route.fulfill(body=GUIDE_PAGE, content_type="text/html"))
        asked = urlencode({"as": person.id, "with": peer, "token": person.token})
        self.page.goto(f"{person.node.url}/guide?{asked}")
        self.page.unroute("**/guide?*")
        self.is_connected()

    def is_connected(self) -> None:
        expect(self.page.locator("#status")).to_have_text("Connected")

    def sends(self, text: str) -> None:
        self.page.locator("#text").fill(text)
        self.page.locator("#text").press("Enter")

    def shows(self, *lines: str) -> None:
        """These messages, in this order, and no others."""
        expect(self.page.locator("#messages li")).to_have_text(list(lines))

    def types_seen(self) -> list[str]:
        """The types of all frames that came; each came as an event `message` with a JSON object in it."""
        seen = self.page.evaluate("seen")
        assert {"message"} == {event["name"] for event in seen}
        return [json.loads(event["data"])["type"] for event in seen]


def test_two_people_chat_both_ways_with_the_guides_client(node: Node, profile: Callable[[], BrowserContext]) -> None:
    """Each message appears once at both, also in the sender's second tab, and no event is a phantom (16.0.1)."""
    adas, bens = profile(), profile()
    ada, ben = node.person("ada"), node.person("ben")
    first, second, other = GuideTab(adas, ada, "ben"), GuideTab(adas, ada, "ben"), GuideTab(bens, ben, "ada")

    first.sends("hi Ben")
    for tab in (first, second, other):
        tab.shows("ada: hi Ben")
    other.sends("hi Ada,\u2028 two\u0085lines")
    for tab in (first, second, other):
        tab.shows("ada: hi Ben", "ben: hi Ada,\u2028 two\u0085lines")
        tab.page.wait_for_function("seen.some((event) => event.data.includes('heartbeat'))")

    texts = ["hi Ben", "hi Ada,\u2028 two\u0085lines"]
    for tab in (first, second, other):
        assert texts == tab.page.evaluate("[...shown.values()].map((message) => message.text)")
        types = Counter(tab.types_seen())
        assert (1, 1, 2) == (types["connected"], types["caught_up"], types["new_message"])
        assert set() == set(types) - FRAME_TYPES
        assert [] == tab.errors


def test_the_guides_client_survives_a_restart_of_the_server(node: Node, profile: Callable[[], BrowserContext]) -> None:
    """It reopens without a position, so the history after `connected` has what it missed (16.0.3, 16.0.4)."""
    ada, ben = node.person("ada"), node.person("ben")
    hers, his = GuideTab(profile(), ada, "ben"), GuideTab(profile(), ben, "ada")
    hers.sends("before")
    his.shows("ada: before")

    node.kill()
    for tab in (hers, his):
        expect(tab.page.locator("#status")).to_contain_text("Reconnecting")
    node.restart()
    ben.sends("ada", "as soon as it is back")
    for tab in (hers, his):
        tab.is_connected()
    hers.sends("after")

    for tab in (hers, his):
        tab.shows("ada: before", "ben: as soon as it is back", "ada: after")
        assert set() == set(tab.types_seen()) - FRAME_TYPES
        assert [] == tab.errors
