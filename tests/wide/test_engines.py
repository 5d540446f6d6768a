"""The served page in Chromium, Firefox and WebKit: the same scenes, the same promise.

The core stands on Web Locks, IndexedDB, BroadcastChannel and the page's life cycle, which each engine builds for
itself. Scenes look at messages and at what the server counts, not at wording.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.crowd import metric
from lab.node import Node
from lab.process import wait_for
from lab.proxy import Proxy
from tests.wide.engines import STARTERS, Browser, Tab, started

LONG_S = 31.0
"""The guide's third test: a disconnect of over 30 s."""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", params=STARTERS)
def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(request.param, tmp_path_factory.mktemp(request.param)) as browser:
        yield browser


class Scene:
    """Ada with a tab behind a proxy of her own; Ben, who writes by the API."""

    def __init__(self, browser: Browser, node: Node, proxy: Proxy) -> None:
        self.browser, self.node, self.proxy = browser, node, proxy
        self.ada, self.ben = node.person("ada"), node.person("ben")
        self.tabs: list[Tab] = []
        self.tab = self.opens()

    def opens(self) -> Tab:
        """Another tab of hers, signed in by a link and in the conversation with Ben."""
        tab = self.browser.new_tab()
        self.tabs.append(tab)
        tab.goto(f"{self.proxy.url}/#token={self.ada.token}")
        tab.waits_for("document.querySelector('nav')", "signed in")
        tab.run(f"location.hash = '#/{self.ben.id}'")
        tab.waits_for("document.querySelector('.tidings-composer textarea')", "the conversation is open")
        return tab

    def streams_are(self, count: int, deadline_s: float = 30) -> None:
        wait_for(lambda: metric(self.node.url, "tidings_streams_open") == count, deadline_s, f"{count} streams open")

    @property
    def kept(self) -> list[str]:
        """Return the server's messages of the conversation."""
        return [message["text"] for message in self.ada.history(self.ben.id)["messages"]]

    def keeps(self, *texts: str) -> None:
        """Wait until the server has these messages and no other: the page shows one before it is sent."""
        wait_for(lambda: len(self.kept) >= len(texts), 60, f"{len(texts)} messages are kept")
        assert list(texts) == self.kept


@pytest.fixture
def scene(browser: Browser, tmp_path: Path) -> Iterator[Scene]:
    with Node(tmp_path, heartbeat_interval_s=1) as node, Proxy(node.address) as proxy:
        scene = Scene(browser, node, proxy)
        yield scene
        for tab in scene.tabs:
            tab.close()


def test_messages_come_live_both_ways_and_are_there_after_a_reload(scene: Scene) -> None:
    """The guide's first test: normal operation; one stream, and the page with its styles and its script."""
    scene.streams_are(1)
    scene.tab.says("Hello Ben")
    scene.tab.shows("Hello Ben")
    scene.keeps("Hello Ben")
    scene.ben.sends(scene.ada, "Hello Ada")
    scene.tab.shows("Hello Ben", "Hello Ada")
    scene.tab.reload()
    scene.tab.shows("Hello Ben", "Hello Ada")
    scene.keeps("Hello Ben", "Hello Ada")


def test_a_drop_loses_and_doubles_nothing(scene: Scene) -> None:
    """The guide's second test: connections are reset and refused; both write meanwhile."""
    scene.streams_are(1)
    scene.proxy.refuse()
    scene.ben.sends(scene.ada, "from Ben")
    scene.tab.says("from Ada")
    scene.streams_are(0)
    scene.proxy.restore()
    scene.tab.shows("from Ben", "from Ada", deadline_s=60)
    scene.keeps("from Ben", "from Ada")


def test_a_long_disconnect_loses_and_doubles_nothing(scene: Scene) -> None:
    """The guide's third test: half a minute in which nothing moves and nobody is told."""
    scene.streams_are(1)
    scene.proxy.stall()
    begun = time.monotonic()
    scene.tab.says("from Ada")
    scene.ben.sends(scene.ada, "from Ben")
    wait_for(lambda: time.monotonic() - begun > LONG_S, LONG_S + 5, "the long disconnect is over")
    scene.proxy.end_open()
    scene.proxy.restore()
    scene.tab.waits_for("document.querySelectorAll('.tidings-message').length === 2", "both messages", 90)
    wait_for(lambda: len(scene.kept) == 2, 60, "both are kept")
    assert sorted(["from Ada", "from Ben"]) == sorted(scene.kept)
    scene.tab.shows(*scene.kept)


def test_two_tabs_share_one_stream_and_the_other_takes_it_over(scene: Scene) -> None:
    """The tab that holds the stream is closed; the one that is left is live."""
    scene.streams_are(1)
    second = scene.opens()
    scene.ben.sends(scene.ada, "to both")
    for tab in (scene.tab, second):
        tab.shows("to both")
    scene.streams_are(1)
    scene.tabs.remove(scene.tab)
    scene.tab.close()
    scene.ben.sends(scene.ada, "to the one that is left")
    second.shows("to both", "to the one that is left")
    scene.streams_are(1)


def test_text_that_was_typed_offline_survives_a_reload_and_is_sent_once(scene: Scene) -> None:
    """The outbox is on the device; a lost acknowledgement and a reload in one."""
    scene.streams_are(1)
    scene.proxy.lose_post_replies()
    scene.tab.says("once")
    wait_for(lambda: scene.proxy.lost_replies, 30, "an acknowledgement is lost")
    scene.proxy.restore()
    scene.tab.reload()
    scene.tab.shows("once")
    scene.ben.sends(scene.ada, "seen")
    scene.tab.shows("once", "seen")
    scene.keeps("once", "seen")


def test_signing_out_leaves_nothing_on_the_device(scene: Scene) -> None:
    """Neither conversation nor stream is there afterwards, nor after a reload."""
    scene.tab.says("private")
    scene.tab.shows("private")
    sent = "document.querySelector('.tidings-tick:is([title=Sent], [title=Delivered], [title=Read])')"
    scene.tab.waits_for(sent, "nothing is unsent, so that nothing is asked")
    signs_out(scene.tab)
    scene.tab.waits_for("!document.querySelector('.tidings-message')", "the conversation is gone")
    scene.streams_are(0)
    scene.tab.reload()
    scene.tab.waits_for("document.querySelector('input')", "the page asks for a token")
    assert not scene.tab.run("return document.body.innerText.includes('private')")
    for kept in ("localStorage", "sessionStorage"):
        assert scene.ada.token not in scene.tab.run(f"return JSON.stringify({kept})")


def signs_out(tab: Tab) -> None:
    tab.run("location.hash = ''")
    for label in ("Settings", "Sign out"):
        button = f"[...document.querySelectorAll('button')].find((each) => each.textContent.includes('{label}'))"
        tab.waits_for(button, label)
        tab.run(f"{button}.click()")
