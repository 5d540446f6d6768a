"""The life of a page besides cuts: silence, buffering, tokens that end, the back/forward cache, hidden tabs.

Each test counts what was lost and what was doubled, against the server's history.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lab.browser.chromium import LAN_NAME, with_real_tabs
from lab.crowd import metric
from lab.node import Node, Person
from lab.proxy import Proxy
from tests.browser.tally import NOTHING_LOST_OR_DOUBLED, tally
from tests.browser.window import Window

HEARTBEAT_S = 1
LEEWAY_S = 30
"""How long after its `exp` the server still takes a token (PROTOCOL.md 2.1.8)."""

WITNESS = """
    window.seen = [];
    const note = () => {
        for (const each of document.querySelectorAll("[data-connection], .tidings-banner, [role=alert]")) {
            const text = each.dataset.connection ?? each.textContent.trim();
            if (text && !window.seen.some((one) => one.text === text)) {
                window.seen.push({ text, at: performance.now() });
            }
        }
    };
    const watched = { subtree: true, childList: true, characterData: true, attributes: true };
    new MutationObserver(note).observe(document, watched);
    addEventListener("pageshow", (event) => { if (event.persisted) window.wasPersisted = true; });
"""
"""Keeps what the page says of its connection, and when it first said so (ms); and whether it came out of the cache."""


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    """A node whose heartbeats show soon that a stream is dead: after two of them and 5 s."""
    return start_node(heartbeat_interval_s=HEARTBEAT_S)


@pytest.fixture
def proxy(node: Node) -> Iterator[Proxy]:
    """The network between Alice's browser and the node."""
    with Proxy(node.address) as proxy:
        yield proxy


@pytest.fixture
def browser(profile: Callable[[], BrowserContext]) -> BrowserContext:
    browser = profile()
    browser.add_init_script(WITNESS)
    return browser


@pytest.fixture
def desktop(chromium: Browser, tmp_path: Path) -> Iterator[BrowserContext]:
    """A browser with a back/forward cache, and tabs that are hidden when they are not in front."""
    with with_real_tabs(chromium, tmp_path) as browser:
        browser.add_init_script(WITNESS)
        yield browser
        for page in browser.pages:
            page.close()


class Talk:
    """Bob writes to Alice while something happens to her page; he has no window."""

    def __init__(self, alice: Person, bob: Person) -> None:
        self.alice, self.bob = alice, bob
        self.written: list[str] = []

    def goes_on(self) -> None:
        self.written.append(f"number {len(self.written) + 1}")
        self.bob.sends(self.alice, self.written[-1])

    def goes_on_until(self, window: Window, condition: Callable[[], object], deadline_s: float) -> float:
        """Two messages a second until this holds; how long it took (s)."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < deadline_s, f"not within {deadline_s} s"
            self.goes_on()
            window.page.wait_for_timeout(500)
        return time.monotonic() - began

    def is_whole(self, window: Window) -> None:
        """Her window, live again, has all of it once."""
        self.goes_on()
        assert NOTHING_LOST_OR_DOUBLED == tally(self.written, self.alice, self.bob.id, [window])


@pytest.fixture
def talk(alice: Person, bob: Person) -> Talk:
    talk = Talk(alice, bob)
    talk.goes_on()
    return talk


def seen(page: Page) -> dict[str, float]:
    """Return the states of the connection that the page has shown, with the moment (s since it was loaded)."""
    return {each["text"]: each["at"] / 1000 for each in page.evaluate("window.seen")}


def said(page: Page, text: str) -> float | None:
    return next((at for words, at in seen(page).items() if text in words), None)


# shows: behaviour/silent, reliability/half-open, complaints/2
def test_a_half_open_connection_is_noticed_within_two_heartbeats_and_5_s(
    proxy: Proxy, browser: BrowserContext, talk: Talk
) -> None:
    """Nothing moves and nobody is told: neither side gets an error."""
    window = Window.as_user(browser, proxy.url, talk.alice, talk.bob.id)
    stalled_at = window.page.evaluate("performance.now()") / 1000
    proxy.stall()

    talk.goes_on_until(window, lambda: said(window.page, "reconnecting"), 2 * HEARTBEAT_S + 10)
    assert (said(window.page, "reconnecting") or 0) - stalled_at < 2 * HEARTBEAT_S + 5.5
    proxy.restore()

    window.is_connected(20_000)
    talk.is_whole(window)


# shows: behaviour/held-back, reliability/held-back, complaints/16
def test_behind_a_proxy_that_buffers_streams_it_polls_and_returns_to_the_stream_without_a_gap(
    proxy: Proxy, browser: BrowserContext, talk: Talk
) -> None:
    """Polling within 20 s of its arrival, streaming within 60 s of its removal; Bob writes all the time."""
    window = Window.as_user(browser, proxy.url, talk.alice, talk.bob.id)
    proxy.hold_streams()
    proxy.end_open()

    polling = window.page.locator("[data-connection=polling]")
    assert talk.goes_on_until(window, lambda: polling.count() == 1, 20) < 20
    expect(window.message(talk.written[-1])).to_have_count(1)
    proxy.restore()

    assert talk.goes_on_until(window, lambda: window.connected.count() == 1, 60) < 60
    talk.is_whole(window)


# shows: behaviour/token-expires, complaints/15
def test_a_token_that_expires_in_mid_stream_is_renewed_unseen(
    node: Node, proxy: Proxy, browser: BrowserContext, talk: Talk
) -> None:
    """The host's page renews what the server takes for 4 s; Bob writes all the time. Nothing is shown of it."""
    given: list[str] = []

    def renew(user_id: str) -> str:
        given.append(node.token(user_id, ttl_s=4 - LEEWAY_S))
        return json.dumps({"token": given[-1]})

    page = {"api": "/api/message", "sign_in": "demo", "people": []}
    browser.route("**/page.json", lambda route: route.fulfill(json=page))
    browser.route("**/demo/token?*", lambda route: route.fulfill(body=renew(talk.alice.id)))
    window = Window.in_demo(browser, proxy.url, talk.alice.id, talk.bob.id)
    tokens = len(given)

    talk.goes_on_until(window, lambda: window.streams_opened >= 3, 20)

    window.is_connected()
    talk.is_whole(window)
    assert len(given) > tokens
    assert {"idle", "connecting", "connected"} >= set(seen(window.page)), "nothing of it is shown"
    assert [] == window.complaints


# shows: behaviour/frozen-page
def test_a_page_that_was_in_the_back_forward_cache_goes_on_with_nothing_lost(
    node: Node, proxy: Proxy, desktop: BrowserContext, talk: Talk
) -> None:
    """It lets go of its stream on the way in, so that another tab takes over, and takes part again on the way out."""
    window = Window.as_user(desktop, proxy.url, talk.alice, talk.bob.id)
    opened = metric(node.url, "tidings_streams_open")
    window.page.evaluate("window.isTheSamePage = true")
    window.page.goto(f"{proxy.url}/healthz")
    window.is_waiting_for(lambda: metric(node.url, "tidings_streams_open") == opened - 1, "its stream is closed")
    talk.goes_on()
    other = Window.as_user(desktop, proxy.url, talk.alice, talk.bob.id)
    talk.goes_on()

    window.page.bring_to_front()
    window.page.go_back(wait_until="commit")

    assert window.page.evaluate("window.isTheSamePage && window.wasPersisted")
    window.is_connected()
    for each in (window, other):
        talk.is_whole(each)
    window.says("from the page that was away")
    talk.written.append("from the page that was away")
    expect(other.message(talk.written[-1])).to_have_count(1)
    assert NOTHING_LOST_OR_DOUBLED == tally(talk.written, talk.alice, talk.bob.id, [window, other])
    window.is_waiting_for(lambda: metric(node.url, "tidings_streams_open") == opened, "one stream for both")


# shows: behaviour/no-locks
def test_where_tabs_cannot_share_a_stream_a_hidden_one_gives_its_own_back_after_30_s(
    node: Node, proxy: Proxy, desktop: BrowserContext, talk: Talk
) -> None:
    """Plain http under a name of the local network: no secure context, no Web Locks. A visible tab has its stream."""
    url = proxy.url.replace("127.0.0.1", LAN_NAME)
    before = metric(node.url, "tidings_streams_open")
    hidden = Window.as_user(desktop, url, talk.alice, talk.bob.id)
    assert [False, "undefined"] == hidden.page.evaluate("[isSecureContext, typeof navigator.locks]")
    hidden.page.evaluate("document.addEventListener('visibilitychange', () => (window.hiddenAt = performance.now()))")
    visible = Window.as_user(desktop, url, talk.alice, talk.bob.id)
    assert ["hidden", "visible"] == [each.page.evaluate("document.visibilityState") for each in (hidden, visible)]
    assert before + 2 == metric(node.url, "tidings_streams_open")

    talk.goes_on_until(visible, lambda: metric(node.url, "tidings_streams_open") == before + 1, 40)

    assert hidden.page.evaluate("performance.now() - window.hiddenAt") > 28_000
    visible.is_waiting_for(
        lambda: [0, 1] == [len(each.open_streams) for each in (hidden, visible)], "only the hidden one has none"
    )
    assert "hidden" == hidden.page.evaluate("document.visibilityState")
    talk.is_whole(visible)
    hidden.page.bring_to_front()
    hidden.is_connected()
    for each in (hidden, visible):
        talk.is_whole(each)
