"""The served page: in the language of the browser or the address; nothing of who used the browser before."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from lab.node import Node, Person
from tests.browser.window import Window, box_of

LATIN = re.compile("[A-Za-z]{2}")


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    return start_node()


def kept_users(window: Window) -> list[str]:
    """Of whom this browser keeps something."""
    return sorted(name.split(" ")[2] for name in window.rows())


def test_in_a_browser_in_arabic_the_page_is_in_arabic_and_laid_out_from_the_right(
    node: Node, chromium: Browser, alice: Person, bob: Person
) -> None:
    """Sign-in, list and conversation; the list stands on the right. `?lang=en` is stronger."""
    bob.sends(alice, "مرحبا")
    with chromium.new_context(locale="ar-EG", viewport={"width": 1000, "height": 700}) as browser:
        window = Window(browser)
        window.page.goto(node.url)
        expect(window.page.get_by_role("heading", name="تسجيل الدخول")).to_be_visible()
        window.page.goto(f"{node.url}/#token={alice.token}")
        expect(window.page.get_by_role("navigation", name="المحادثات")).to_be_visible()
        window.goes_to(bob.id)
        expect(window.message("مرحبا")).to_be_visible()
        window.is_connected()
        expect(window.page.locator("html[lang=ar][dir=rtl]")).to_have_count(1)
        listed, thread = (box_of(window.page.locator(f".tidings-pane-{part}")) for part in ("list", "thread"))
        assert listed["x"] > thread["x"]
        shown = window.page.locator("body").inner_text()
        for name in ("Tidings", "Ctrl", alice.id, bob.id):
            shown = shown.replace(name, "")
        assert LATIN.search(shown) is None, shown
        assert [] == window.complaints

        window.page.goto(f"{node.url}/?lang=en")
        expect(window.conversations).to_be_visible()


# shows: behaviour/left-behind
def test_somebody_else_who_signs_in_on_a_fresh_page_finds_nothing_of_who_left_without_signing_out(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, bob: Person, carol: Person
) -> None:
    """Alice closed her tab. While she has one open, hers stays: two windows may be two people."""
    browser = profile()
    window = Window.as_user(browser, node.url, alice, bob.id)
    window.composer.fill("a draft of Alice")
    window.keeps(f"draft/{bob.id}/")
    beside = Window.as_user(browser, node.url, carol, bob.id, in_place_of=alice)
    assert sorted([alice.id, carol.id]) == kept_users(beside)
    beside.page.close()
    window.page.close()

    fresh = Window.as_user(browser, node.url, carol, bob.id, in_place_of=alice)

    fresh.is_waiting_for(lambda: [carol.id] == kept_users(fresh), "nothing of Alice is left")
    expect(fresh.composer).to_have_value("")


@pytest.mark.parametrize(
    ("impossible", "why"),
    [
        ("a/b", "A user id has no / or \\."),
        ("x" * 300, "A user id has at most 128 characters."),
        ("me", "“me” is not a user id."),
    ],
)
def test_an_address_that_nobody_can_have_opens_no_conversation(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, impossible: str, why: str
) -> None:
    """It may come out of a link: the page says so, and why, and leads back to the list."""
    window = Window.as_user(profile(), node.url, alice)
    expect(window.conversations).to_be_visible()

    window.goes_to(impossible)

    nobody = window.page.get_by_role("region", name="Nobody has this address")
    expect(nobody).to_contain_text(why)
    expect(window.composer).to_have_count(0)
    nobody.get_by_role("button", name="Back").click()
    expect(window.page.get_by_role("heading", name="Your messages")).to_be_visible()
    assert [] == window.complaints
