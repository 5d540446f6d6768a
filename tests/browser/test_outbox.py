"""Text that is written, typed or kept survives the page, the network and the browser, and leaves no trace after signing
out.

The network is broken by the tests' own proxy. Where the page is loaded while it is broken, its files come from
`KeptPage`; every request to the API goes through the proxy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Request, expect

from lab.browser.chromium import opened_on
from lab.node import Node, Person
from lab.process import wait_for
from lab.proxy import Proxy
from tests.browser.kept_page import KeptPage
from tests.browser.tally import NOTHING_LOST_OR_DOUBLED, tally
from tests.browser.window import Window

BACK_MS = 20_000
"""How long what was broken may take: backoff included, which had time to grow."""


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    return start_node(heartbeat_interval_s=1)


@pytest.fixture(scope="module")
def kept(node: Node) -> KeptPage:
    return KeptPage.of(node.url)


@pytest.fixture
def proxy(node: Node) -> Iterator[Proxy]:
    """The network between the browser and the node."""
    with Proxy(node.address) as proxy:
        yield proxy


@pytest.fixture
def browser(profile: Callable[[], BrowserContext], kept: KeptPage) -> BrowserContext:
    """Alice's browser."""
    browser = profile()
    kept.stands_in(browser)
    return browser


# shows: behaviour/offline-send, reliability/sender-dies
def test_twenty_messages_written_offline_survive_a_reload_and_arrive_in_order_once(
    proxy: Proxy, browser: BrowserContext, alice: Person, bob: Person
) -> None:
    """Written while the server refuses, shown after a reload that has no server either, sent when it is back."""
    window = Window.as_user(browser, proxy.url, alice, bob.id)
    written = [f"{number} of 20" for number in range(1, 21)]
    proxy.refuse()
    for text in written:
        window.says(text)
    window.shows(*written)

    window.page.reload()

    window.shows(*written)
    window.ticks(written[-1], "Waiting to be sent")
    assert [] == alice.history(bob)["messages"]
    proxy.restore()
    window.ticks(written[-1], "Sent", BACK_MS)
    window.shows(*written)
    assert NOTHING_LOST_OR_DOUBLED == tally(written, alice, bob.id, [window])
    window.is_waiting_for(lambda: not any("outbox/" in key for keys in window.rows().values() for key in keys), "sent")


# shows: behaviour/lost-answer
def test_a_send_whose_reply_and_echo_were_dropped_is_not_doubled_though_the_page_was_reloaded(
    proxy: Proxy, browser: BrowserContext, alice: Person, bob: Person
) -> None:
    """The server has it, the page was never told, and repeats it under the same `client_id` after its reload."""
    window = Window.as_user(browser, proxy.url, alice, bob.id)
    proxy.stall(up=False)
    window.says("once")
    window.is_waiting_for(lambda: alice.history(bob)["messages"], "the server has it")
    proxy.refuse()

    window.page.reload()
    window.shows("once")
    window.ticks("once", "Waiting to be sent")
    proxy.restore()

    window.ticks("once", "Sent", BACK_MS)
    assert NOTHING_LOST_OR_DOUBLED == tally(["once"], alice, bob.id, [window])


def test_a_message_that_came_a_moment_before_a_reload_is_shown_after_it_without_a_server(
    proxy: Proxy, browser: BrowserContext, alice: Person, bob: Person
) -> None:
    """A write that is under way when the page is left is completed."""
    window = Window.as_user(browser, proxy.url, alice, bob.id)
    window.says("hers")
    window.ticks("hers", "Sent")
    bob.sends(alice, "his")
    window.shows("hers", "his")
    window.page.evaluate("location.reload()")
    proxy.refuse()

    window.page.wait_for_load_state()
    window.shows("hers", "his")
    expect(window.connected).to_have_count(0)


# shows: behaviour/echo
def test_a_reply_that_is_dropped_while_the_echo_arrives_doubles_nothing(
    proxy: Proxy, browser: BrowserContext, alice: Person, bob: Person
) -> None:
    """Twenty in a row, in two tabs: of each message one of the two ways back is closed."""
    windows = [Window.as_user(browser, proxy.url, alice, bob.id) for _ in range(2)]
    proxy.lose_post_replies()
    written = [f"number {number}" for number in range(20)]
    for number, text in enumerate(written):
        windows[number % 2].says(text)
        expect(windows[1 - number % 2].message(text)).to_have_count(1)
    windows[0].is_waiting_for(lambda: proxy.lost_replies > 0, "a reply was lost")
    proxy.restore()

    for window in windows:
        window.ticks(written[-1], "Sent", BACK_MS)
    assert NOTHING_LOST_OR_DOUBLED == tally(written, alice, bob.id, windows)


# shows: behaviour/reload
def test_a_browser_that_is_started_again_shows_what_it_had_at_once_and_goes_on_from_there(
    proxy: Proxy, chromium: Browser, kept: KeptPage, tmp_path: Path, alice: Person, bob: Person
) -> None:
    """Closed with one message unsent, opened again on the same profile without a server, then with one."""
    written = ["from Bob", "from Alice", "unsent when she closed the browser"]
    bob.sends(alice, written[0])
    first = opened_on(chromium, tmp_path)
    kept.stands_in(first)
    window = Window.as_user(first, proxy.url, alice, bob.id)
    window.says(written[1])
    window.ticks(written[1], "Sent")
    proxy.refuse()
    window.says(written[2])
    window.composer.fill("a draft")
    window.keeps(f"draft/{bob.id}/")
    window.ticks(written[2], "Waiting to be sent")
    first.close()
    written.insert(2, "while her browser was closed")
    bob.sends(alice, written[2])

    second = opened_on(chromium, tmp_path)
    kept.stands_in(second)
    asked: list[str | None] = []

    def note(sent: Request) -> None:
        if "/sse/" in sent.url:
            asked.append(sent.headers.get("last-event-id"))

    second.on("request", note)
    again = Window.as_user(second, proxy.url, alice)
    expect(again.entry(bob.id)).to_be_visible()
    again.chooses(bob.id)

    again.shows(written[0], written[1], written[3])
    assert "a draft" == again.composer.input_value()
    expect(again.connected).to_have_count(0)
    proxy.restore()
    again.is_connected(BACK_MS)
    again.ticks(written[3], "Sent", BACK_MS)
    assert NOTHING_LOST_OR_DOUBLED == tally(written, alice, bob.id, [again])
    # The first one may have gone out before a slow disk gave the place back; nobody answered that.
    assert asked[-1] is not None, "it goes on from the place where it was"
    second.close()


# shows: behaviour/draft, complaints/10
def test_drafts_survive_a_reload_each_in_its_conversation(
    proxy: Proxy, browser: BrowserContext, alice: Person, bob: Person, carol: Person
) -> None:
    """Until sent: then it is gone, after a reload too."""
    window = Window.as_user(browser, proxy.url, alice, bob.id)
    window.composer.fill("for Bob")
    window.goes_to(carol.id)
    expect(window.composer).to_have_value("")
    window.composer.fill("for Carol")
    window.keeps(f"draft/{carol.id}/")

    window.page.reload()

    expect(window.composer).to_have_value("for Carol")
    window.goes_to(bob.id)
    expect(window.composer).to_have_value("for Bob")
    window.composer.press("Enter")
    window.ticks("for Bob", "Sent")
    window.page.reload()
    window.shows("for Bob")
    expect(window.composer).to_have_value("")


# shows: behaviour/two-drafts
def test_a_tab_that_sends_leaves_the_draft_of_another_one(
    proxy: Proxy, browser: BrowserContext, alice: Person, bob: Person
) -> None:
    """In the same conversation: after a reload the draft is there."""
    one, other = (Window.as_user(browser, proxy.url, alice, bob.id) for _ in range(2))
    one.composer.fill("half a sen")
    one.keeps(f"draft/{bob.id}/")
    other.says("hello")
    one.is_acknowledged("hello")
    one.page.reload()
    one.shows("hello")
    expect(one.composer).to_have_value("half a sen")


# shows: behaviour/receipts-first
def test_read_receipts_go_out_before_hundreds_of_delivered_ones_though_the_tab_is_closed_at_once(
    start_node: Callable[..., Node], profile: Callable[[], BrowserContext]
) -> None:
    """A first visit to 150 conversations of people to whom she wrote, one of them opened."""
    node = start_node(new_conversations_per_h=1000, sends_per_s=1000, sends_burst=1000)
    ada, friends = node.person("ada"), [node.person(f"friend {number}") for number in range(150)]
    for friend in friends:
        ada.sends(friend, "hi")
        friend.sends(ada, "hi yourself")
    opened = friends[0]
    browser = profile()
    asked: list[Any] = []

    def note(sent: Request) -> None:
        if sent.url.endswith("/receipts"):
            asked.append(sent.post_data_json)

    browser.on("request", note)
    window = Window.as_user(browser, node.url, ada, opened.id)
    expect(window.message("hi yourself")).to_be_visible()

    def told() -> list[dict[str, object]]:
        return [receipt for body in asked for receipt in body["receipts"]]

    window.is_waiting_for(lambda: [one for one in told() if "read_upto" in one], "it was read")
    window.page.close()
    wait_for(lambda: 2 == opened.history(ada)["watermarks"]["peer_read_upto"], 10, "the sender is told Read")
    assert len(asked) <= 12, [len(str(body)) for body in asked]


# shows: behaviour/refused-message, complaints/5
def test_a_refused_message_stays_with_retry_and_delete_across_a_reload(
    proxy: Proxy, browser: BrowserContext, alice: Person, bob: Person
) -> None:
    """It says why; a reload does not send it again; deleted, it stays deleted."""
    window = Window.as_user(browser, proxy.url, alice, bob.id)
    window.says("a bell: \x07")
    refused = window.messages.filter(has_text="a bell")
    expect(refused).to_contain_text("Not sent.")

    window.page.reload()

    expect(refused).to_contain_text("Not sent.")
    expect(refused).to_contain_text("control character")
    refused.get_by_role("button", name="Retry").click()
    expect(refused).to_contain_text("Not sent.")
    assert [] == alice.history(bob)["messages"]
    refused.get_by_role("button", name="Delete").click()
    expect(window.messages).to_have_count(0)
    window.says("plain")
    window.ticks("plain", "Sent")
    window.page.reload()
    window.shows("plain")


# shows: behaviour/tab-sign-out
def test_after_signing_out_nothing_of_the_user_is_left_in_any_tab_or_on_the_device(
    proxy: Proxy, browser: BrowserContext, alice: Person, bob: Person, carol: Person
) -> None:
    """Conversations, draft and what is unsent; somebody else who signs in sees, and sends, nothing of it."""
    window = Window.as_user(browser, proxy.url, alice, bob.id)
    other = Window.as_user(browser, proxy.url, alice, bob.id)
    window.says("sent")
    window.ticks("sent", "Sent")
    proxy.refuse()
    window.says("never sent")
    window.composer.fill("a draft")
    expect(other.message("never sent")).to_have_count(1)
    window.keeps(f"draft/{bob.id}/")

    window.signs_out(deleting="1 message and 1 draft were not sent. Sign out and delete them?")

    for tab in (window, other):
        expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()
        expect(tab.messages).to_have_count(0)
        assert 0 == tab.page.evaluate("sessionStorage.length + localStorage.length")
    window.is_waiting_for(lambda: window.rows() == {}, "nothing is stored")
    proxy.restore()
    window.page.goto(f"{proxy.url}/#token={carol.token}")
    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()
    window.goes_to(bob.id)
    window.is_connected(BACK_MS)
    expect(window.composer).to_have_value("")
    window.says("from Carol")
    window.ticks("from Carol", "Sent")
    window.shows("from Carol")
    assert ["from Carol"] == [message["text"] for message in bob.history(carol)["messages"]]
    assert ["sent"] == [message["text"] for message in bob.history(alice)["messages"]]
    assert [carol.id] == [name.split(" ")[2] for name in window.rows()]


# shows: behaviour/sign-out
def test_somebody_else_who_signs_in_in_the_same_tab_sees_nothing_of_the_one_before(
    proxy: Proxy, browser: BrowserContext, alice: Person, bob: Person, carol: Person
) -> None:
    """By a sign-in link, without signing out, after a question that names both."""
    window = Window.as_user(browser, proxy.url, alice, bob.id)
    window.says("sent")
    window.ticks("sent", "Sent")
    proxy.refuse()
    window.says("never sent")
    window.composer.fill("a draft")
    proxy.restore()
    window.page.evaluate("token => { location.hash = `token=${token}` }", carol.token)
    window.accepts_to_be(carol, in_place_of=alice)

    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()
    window.goes_to(bob.id)
    window.is_connected(BACK_MS)
    expect(window.messages).to_have_count(0)
    expect(window.composer).to_have_value("")
    window.is_waiting_for(lambda: [carol.id] == [name.split(" ")[2] for name in window.rows()], "hers is gone")
    assert [] == carol.history(bob)["messages"]
