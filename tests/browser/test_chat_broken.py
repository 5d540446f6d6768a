"""The guide's three tests with our page, and a server that is killed: nothing is lost, nothing doubled.

The network is broken by the tests' own proxy, between one window and the node; the other window is not cut.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from lab.node import Node
from lab.proxy import Proxy
from tests.browser.window import Window

TRYING_AGAIN = re.compile(r"Trying again (in \d+ s|now)")
NOTICE_POLLING = """() => {
    const begin = performance.now();
    const observer = new MutationObserver(() => {
        if (!document.body.textContent.includes("Using polling mode")) return;
        window.pollingAfterMs = performance.now() - begin;
        observer.disconnect();
    });
    observer.observe(document.body, { childList: true, subtree: true, characterData: true });
}"""
"""Measures in the page, where no tool's polling interval is added, how long it takes to show that it polls."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node whose heartbeats show soon that a stream is dead: after two of them and 5 s."""
    with Node(tmp_path, heartbeat_interval_s=1) as node:
        yield node


@pytest.fixture
def proxy(node: Node) -> Iterator[Proxy]:
    """The network between Ada and the node."""
    with Proxy(node.address) as proxy:
        yield proxy


class Desks:
    """Ada behind the proxy, Ben not, each in a conversation with the other."""

    def __init__(self, node: Node, proxy: Proxy, profile: Callable[[], BrowserContext]) -> None:
        self.node = node
        self.ada, self.ben = node.person("ada"), node.person("ben")
        self.adas = profile()
        self.hers = Window.as_user(self.adas, proxy.url, self.ada, "ben")
        self.his = Window.as_user(profile(), node.url, self.ben, "ada")

    def both_show(self, *texts: str) -> None:
        """Both windows and the server's history: each message once, in this order."""
        for window in (self.hers, self.his):
            window.shows(*texts)
        assert list(texts) == [message["text"] for message in self.ada.history("ben")["messages"]]


@pytest.fixture
def desks(node: Node, proxy: Proxy, profile: Callable[[], BrowserContext]) -> Desks:
    """Two people who have begun to talk."""
    desks = Desks(node, proxy, profile)
    desks.hers.says("before")
    desks.both_show("before")
    return desks


def test_a_message_appears_in_the_other_window_and_in_the_senders_second_tab(
    node: Node, proxy: Proxy, desks: Desks
) -> None:
    """The guide's first test: normal operation. All say that they are connected; each browser has one stream."""
    second = Window.as_user(desks.adas, proxy.url, desks.ada, "ben")

    desks.hers.says("to Ben")
    desks.his.shows("before", "to Ben")
    desks.his.says("to Ada")

    windows = (desks.hers, second, desks.his)
    for window in windows:
        window.shows("before", "to Ben", "to Ada")
        window.is_connected()
        expect(window.banner).to_have_count(0)
        assert [] == window.complaints
    assert (1, 1) == (len(desks.his.open_streams), desks.his.streams_opened)
    assert (1, 1) == (
        len(desks.hers.open_streams | second.open_streams),
        desks.hers.streams_opened + second.streams_opened,
    )


def test_the_list_alone_says_that_the_connection_is_lost(proxy: Proxy, desks: Desks) -> None:
    """Where no conversation is open there is a banner, too, with the way back."""
    listing = Window.as_user(desks.adas, proxy.url, desks.ada)
    expect(listing.entry("ben")).to_be_visible()
    proxy.refuse()
    expect(listing.own_state).to_contain_text("Reconnecting")

    way_back = listing.own_state.get_by_role("button", name="Try to reconnect").element_handle()
    proxy.restore()
    way_back.evaluate("button => button.click()")  # at once: soon the page comes back by itself, and the button goes

    expect(listing.own_state).to_have_text("Back online.")
    desks.his.says("to the list")
    expect(listing.entry("ben")).to_contain_text("to the list")


# shows: behaviour/cut, complaints/1
@pytest.mark.parametrize("cut", ["refuse", "stall"])
def test_messages_sent_during_a_cut_arrive_once_and_in_order(cut: str, proxy: Proxy, desks: Desks) -> None:
    """The guide's second test: connection drop. `refuse` resets what is open; `stall` leaves it open and silent."""
    hers, his = desks.hers, desks.his

    getattr(proxy, cut)()
    his.says("while she is cut off")
    his.shows("before", "while she is cut off")
    hers.connection_is("reconnecting")
    expect(hers.banner).to_contain_text("Connection lost.")
    expect(hers.banner).to_contain_text(TRYING_AGAIN)
    expect(hers.banner).to_contain_text(re.compile(r"[Aa]ttempt \d+"))
    assert hers.page.evaluate("navigator.onLine")
    hers.says("typed while cut off")
    expect(hers.message("typed while cut off").locator(".tidings-tick")).to_have_attribute(
        "title", re.compile("Sending|Waiting to be sent")
    )
    hers.shows("before", "typed while cut off")

    proxy.restore()

    hers.is_connected(timeout_ms=20_000)
    hers.ticks("typed while cut off", "Read", timeout_ms=20_000)
    desks.both_show("before", "while she is cut off", "typed while cut off")
    his.says("after")
    desks.both_show("before", "while she is cut off", "typed while cut off", "after")


# shows: behaviour/lost-answer, complaints/3
def test_a_message_whose_acknowledgement_was_lost_is_sent_again_and_not_doubled(proxy: Proxy, desks: Desks) -> None:
    """The server had it; the page cannot know, and repeats it under the same `client_id`."""
    proxy.lose_post_replies()
    desks.hers.says("once")
    desks.his.shows("before", "once")
    desks.hers.is_waiting_for(lambda: proxy.lost_replies, "an acknowledgement is lost")
    desks.his.says("I have it")
    proxy.restore()

    desks.hers.ticks("once", "Read")
    desks.both_show("before", "once", "I have it")


# shows: complaints/1
def test_after_a_cut_of_more_than_30_s_nothing_is_lost_or_doubled(
    node: Node, proxy: Proxy, desks: Desks, profile: Callable[[], BrowserContext]
) -> None:
    """The guide's third test: long disconnect, of two kinds.

    Before Ada's first window only streams are blocked, as by a proxy that buffers them: within 10 s it polls, and it
    returns to the stream by itself. Her second window is cut off from everything: what is typed there waits.
    """
    hers, his = desks.hers, desks.his
    with Proxy(node.address) as wire:
        alone = Window.as_user(profile(), wire.url, desks.ada, "ben")
        alone.shows("before")
        hers.page.evaluate(NOTICE_POLLING)
        cut_at = time.monotonic()
        proxy.hold_streams()
        proxy.end_open()
        wire.refuse()
        alone.says("typed all alone")

        expect(hers.banner).to_contain_text("Connection lost. Using polling mode", timeout=15_000)
        assert hers.page.evaluate("pollingAfterMs") < 10_500
        expect(hers.banner.get_by_role("button", name="Try to reconnect")).to_be_visible()
        hers.connection_is("polling")
        his.says("by polling")
        hers.shows("before", "by polling")
        hers.says("by POST")
        hers.ticks("by POST", "Read")
        desks.both_show("before", "by polling", "by POST")

        hers.page.wait_for_timeout(max(0.0, cut_at + 31 - time.monotonic()) * 1000)
        alone.connection_is("reconnecting")
        alone.shows("before", "typed all alone")
        wire.restore()
        proxy.restore()

        alone.banner.get_by_role("button", name="Try to reconnect").click()
        alone.is_connected()
        hers.is_connected(timeout_ms=40_000)
        his.says("streaming again")
        for window in (hers, alone, his):
            window.shows("before", "by polling", "by POST", "typed all alone", "streaming again")
        desks.both_show("before", "by polling", "by POST", "typed all alone", "streaming again")


def test_try_to_reconnect_leads_back_from_polling_to_the_stream(proxy: Proxy, desks: Desks) -> None:
    """The button does not wait for the next probe."""
    proxy.hold_streams()
    proxy.end_open()
    desks.hers.connection_is("polling")
    proxy.restore()
    desks.his.says("meanwhile")

    desks.hers.banner.get_by_role("button", name="Try to reconnect").click()

    desks.hers.is_connected(timeout_ms=3_000)
    desks.both_show("before", "meanwhile")


# shows: behaviour/kill
def test_a_server_that_is_killed_in_mid_chat_loses_and_doubles_nothing(node: Node, desks: Desks) -> None:
    """Both type while it is dead; after its restart both windows show every message once, in one order."""
    hers, his = desks.hers, desks.his
    hers.says("just before")
    node.kill()
    his.says("his, while it is dead")
    hers.says("hers, while it is dead")
    for window in (hers, his):
        window.connection_is("reconnecting")

    node.restart()

    for window in (hers, his):
        window.is_connected(timeout_ms=20_000)
    hers.ticks("hers, while it is dead", "Read", timeout_ms=20_000)
    his.ticks("his, while it is dead", "Read", timeout_ms=20_000)
    texts = [message["text"] for message in desks.ada.history("ben")["messages"]]
    assert sorted(["before", "just before", "his, while it is dead", "hers, while it is dead"]) == sorted(texts)
    desks.both_show(*texts)
