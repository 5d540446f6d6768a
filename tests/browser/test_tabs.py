"""The tabs of one browser share one event stream, whatever becomes of the tab that holds it.

The Chromium of this file is as on a desk: one tab is in front, the others are hidden and their timers throttled. Over
HTTP/1.1 it opens at most six connections to one host, so that eight streams could not even open.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, expect

from lab.browser.chromium import with_real_tabs
from lab.crowd import metric
from lab.demo import Demo
from lab.node import Node
from lab.proxy import Proxy
from tests.browser.tally import NOTHING_LOST_OR_DOUBLED, tally
from tests.browser.window import Window

TABS = 8
LIVE_AGAIN_S = 30.0
"""A silent leader is doubted after 7 s and robbed after 10; the rest is what a busy machine takes."""


class Desk:
    """Ada's browser with eight tabs, all in the conversation with Ben, behind the proxy; and what the two wrote.

    Ben has no window, so that every open stream of the node is one of Ada's.
    """

    def __init__(self, node: Node, proxy: Proxy, browser: BrowserContext) -> None:
        self.node = node
        self.proxy = proxy
        self.browser = browser
        self.ada, self.ben = node.person("ada"), node.person("ben")
        self.tabs: list[Window] = []
        self.written: list[str] = []
        self._number = count(1)

    def fill(self) -> None:
        """Open tabs until there are eight."""
        while len(self.tabs) < TABS:
            self.tabs.append(Window.as_user(self.browser, self.proxy.url, self.ada, "ben"))

    @property
    def leader(self) -> Window:
        """The tab whose request for the stream is open; there is one."""
        self.tabs[0].is_waiting_for(lambda: [tab for tab in self.tabs if tab.open_streams], "a tab holds a stream")
        (leader,) = [tab for tab in self.tabs if tab.open_streams]
        return leader

    def ben_says(self, what: str) -> None:
        self.written.append(f"{next(self._number)} Ben: {what}")
        self.ben.sends(self.ada, self.written[-1])

    def ada_says(self, tab: Window, what: str) -> None:
        self.written.append(f"{next(self._number)} Ada: {what}")
        tab.says(self.written[-1])

    def show_all(self, tabs: list[Window], deadline_s: float = 10.0) -> None:
        """Each of these tabs is connected and has what the server has: everything that was written, once."""
        for tab in tabs:
            expect(tab.message(self.written[-1])).to_have_count(1, timeout=deadline_s * 1000)
            tab.is_connected()
        assert NOTHING_LOST_OR_DOUBLED == tally(self.written, self.ada, "ben", tabs)

    def are_live(self, tabs: list[Window]) -> None:
        """Messages of Ben and of one of these tabs come to all of them now, and over one stream."""
        self.ben_says("are you there?")
        self.ada_says(tabs[-1], "in all tabs")
        self.show_all(tabs)
        tabs[0].is_waiting_for(lambda: metric(self.node.url, "tidings_streams_open") == 1, "one stream is open")

    def hand_over(self, end: Callable[[Window], None]) -> Window:
        """Let the leader come to this end: the others are live again in time. Returns the former leader."""
        former = self.leader
        others = [tab for tab in self.tabs if tab is not former]
        self.ben_says("before")
        began = time.monotonic()
        end(former)
        self.ben_says("meanwhile")
        self.ada_says(others[0], "written meanwhile")
        others[0].is_waiting_for(lambda: any(tab.open_streams for tab in others), "another holds it", LIVE_AGAIN_S)
        self.ben_says("now live")
        self.show_all(others, LIVE_AGAIN_S)
        assert time.monotonic() - began < LIVE_AGAIN_S
        return former


@pytest.fixture(scope="module")
def desk(
    start_node: Callable[..., Node], chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """One desk for the module: a test fills up what another one has ended."""
    node = start_node(heartbeat_interval_s=2)
    with Proxy(node.address) as proxy, with_real_tabs(chromium, tmp_path_factory.mktemp("profile")) as browser:
        yield Desk(node, proxy, browser)
        for page in browser.pages:
            page.close()


# shows: behaviour/eight-tabs, complaints/16
def test_eight_tabs_over_http_1_1_hold_one_stream_and_all_are_live(desk: Desk) -> None:
    """Seven of them are hidden."""
    desk.fill()

    seen = [tab.page.evaluate("document.visibilityState") for tab in desk.tabs]
    assert ["hidden"] * (TABS - 1) + ["visible"] == seen
    desk.are_live(desk.tabs)

    assert 1 == sum(len(tab.open_streams) for tab in desk.tabs)


def test_when_the_leading_tab_is_closed_the_others_are_live_again(desk: Desk) -> None:
    """The next one takes over at once."""
    desk.fill()

    desk.tabs.remove(desk.hand_over(lambda leader: leader.page.close()))

    desk.are_live(desk.tabs)


# shows: behaviour/tab-ends
def test_when_the_leading_tab_crashes_the_others_are_live_again(desk: Desk) -> None:
    """Its process ends; nobody says goodbye."""
    desk.fill()

    def crash(leader: Window) -> None:
        with leader.page.expect_event("crash"), contextlib.suppress(Error):
            leader.page.goto("chrome://crash")

    former = desk.hand_over(crash)
    desk.tabs.remove(former)
    former.page.close()

    desk.are_live(desk.tabs)


# shows: behaviour/tab-ends
def test_when_the_leading_tab_is_frozen_the_others_are_live_again_and_it_comes_back(desk: Desk) -> None:
    """As a browser does with a tab that was hidden for long."""
    desk.fill()
    session = desk.browser.new_cdp_session(desk.leader.page)
    desk.leader.page.evaluate("document.addEventListener('freeze', () => { window.wasFrozen = true })")

    def freeze(leader: Window) -> None:
        next(tab for tab in desk.tabs if tab is not leader).page.bring_to_front()
        leader.page.wait_for_function("document.visibilityState === 'hidden'", polling=50)
        session.send("Page.setWebLifecycleState", {"state": "frozen"})

    former = desk.hand_over(freeze)
    session.send("Page.setWebLifecycleState", {"state": "active"})

    assert former.page.evaluate("window.wasFrozen")
    desk.are_live(desk.tabs)


# shows: behaviour/tab-hangs
def test_when_the_leading_tab_hangs_the_others_take_the_stream_from_it_and_it_goes_along(desk: Desk) -> None:
    """Stopped in a debugger, it keeps its lock and its connection: only its silence tells."""
    desk.fill()
    session = desk.browser.new_cdp_session(desk.leader.page)
    session.send("Debugger.enable")

    desk.hand_over(lambda leader: leader.page.evaluate("void setTimeout(() => { debugger })"))
    session.send("Debugger.resume")
    session.send("Debugger.disable")

    desk.are_live(desk.tabs)


# shows: behaviour/two-people
def test_two_people_in_one_browser_each_have_a_stream_of_their_own(
    demo: Demo, profile: Callable[[], BrowserContext]
) -> None:
    """Two tabs each: what is shared is shared by user, and the end of one's leader does not concern the other."""
    browser = profile()
    adas = [Window.in_demo(browser, demo.url, "ada of tabs", "ben of tabs") for _ in range(2)]
    bens = [Window.in_demo(browser, demo.url, "ben of tabs", "ada of tabs") for _ in range(2)]
    adas[1].says("from Ada's second tab")
    bens[1].says("from Ben's second tab")
    for window in (*adas, *bens):
        expect(window.messages).to_have_count(2)
    assert [1, 1] == [sum(len(window.open_streams) for window in windows) for windows in (adas, bens)]

    leader = next(window for window in adas if window.open_streams)
    left = next(window for window in adas if window is not leader)
    leader.page.close()
    bens[0].says("still there?")

    said = sorted(["from Ada's second tab", "from Ben's second tab", "still there?"])
    for window in (left, *bens):
        expect(window.message("still there?")).to_have_count(1)
        assert said == sorted(window.texts)
        window.is_connected()
    assert said == sorted(demo.texts("ada of tabs", "ben of tabs"))
    left.is_waiting_for(lambda: left.open_streams, "Ada's other tab has the stream")
    assert 1 == sum(window.streams_opened for window in bens)
    assert [] == [complaint for window in (left, *bens) for complaint in window.complaints]
