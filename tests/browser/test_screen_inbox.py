"""List and conversation on one page: widths, one pane on a phone, the way back, and everything by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from node import Node, Person
from playwright.sync_api import BrowserContext, Locator, expect
from window import Window

PHONE = {"width": 390, "height": 700}
DESK = {"width": 1280, "height": 700}


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    return start_node()


@pytest.fixture
def talk(alice: Person, bob: Person, carol: Person) -> None:
    """Bob and then Carol have written to Alice."""
    bob.sends(alice, "from Bob")
    carol.sends(alice, "from Carol")


def list_pane(window: Window) -> Locator:
    return window.page.locator(".tidings-pane-list")


def width(window: Window) -> int:
    box = list_pane(window).bounding_box()
    assert box is not None
    return round(box["width"])


def is_wide(window: Window, least: int, most: int | None = None) -> None:
    """Wait until the list has this width, px, or one between these two."""
    window.is_waiting_for(lambda: least <= width(window) <= (most or least), f"the list is {least} px wide")


def test_the_list_is_as_wide_as_one_drags_it_or_moves_it_with_the_arrow_keys(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, bob: Person
) -> None:
    """320 at first, 280 to 400; the other way round where one writes from the right; as it was after a reload."""
    window = Window.as_user(profile(), node.url, alice, bob.id)
    page = window.page
    separator = page.get_by_role("separator", name="Width of the list of conversations")
    page.set_viewport_size({"width": 800, "height": 700})
    expect(separator).to_be_hidden()
    is_wide(window, 280)
    page.set_viewport_size(DESK)
    is_wide(window, 320)

    separator.press("ArrowRight")
    expect(separator).to_have_attribute("aria-valuenow", "336")
    is_wide(window, 336)
    separator.press("End")
    is_wide(window, 400)
    separator.press("ArrowRight")
    is_wide(window, 400)
    page.evaluate("document.querySelector('.tidings-panes').dir = 'rtl'")
    separator.press("ArrowRight")
    is_wide(window, 384)
    page.evaluate("document.querySelector('.tidings-panes').dir = 'ltr'")

    box = separator.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, 300)
    page.mouse.down()
    page.mouse.move(200, 300, steps=3)
    is_wide(window, 280)
    page.mouse.move(350, 300, steps=3)
    page.mouse.up()
    is_wide(window, 345, 355)
    moved = width(window)
    page.reload()
    window.is_connected()
    is_wide(window, moved)
    separator.dblclick()
    is_wide(window, 320)


def test_on_a_phone_there_is_one_pane_and_the_browsers_back_leads_to_the_list(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, bob: Person, talk: None
) -> None:
    """To a conversation and back, by the browser and by the button; a link into one leads to the list, too."""
    window = Window.as_user(profile(), node.url, alice)
    page = window.page
    page.set_viewport_size(PHONE)
    window.chooses(bob.id)
    expect(window.composer).to_be_visible()
    expect(list_pane(window)).to_be_hidden()
    address = page.url

    page.go_back()
    expect(window.entry(bob.id)).to_be_visible()
    expect(window.composer).to_have_count(0)
    expect(window.entry(bob.id)).to_be_focused()
    page.go_forward()
    expect(window.composer).to_be_visible()
    page.get_by_role("button", name="Back to conversations").click()
    expect(window.entry(bob.id)).to_be_focused()

    page.goto("about:blank")
    page.goto(address)
    expect(window.message("from Bob")).to_be_visible()
    page.get_by_role("button", name="Back to conversations").click()
    expect(window.entry(bob.id)).to_be_visible()


def test_everything_goes_by_keyboard_alone(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, bob: Person, carol: Person, talk: None
) -> None:
    """Alt and the arrows go through the conversations; Ctrl+K begins one; Escape goes back to where one was."""
    window = Window.as_user(profile(), node.url, alice)
    page = window.page
    keyboard = page.keyboard
    expect(window.entry(carol.id)).to_be_visible()

    keyboard.press("Alt+ArrowDown")
    expect(window.message("from Carol")).to_be_visible()
    expect(window.composer).to_be_focused()
    keyboard.press("Alt+ArrowDown")
    expect(window.message("from Bob")).to_be_visible()
    keyboard.press("Alt+ArrowDown")
    expect(window.message("from Bob")).to_be_visible()
    keyboard.type("a draft")
    keyboard.press("Alt+ArrowUp")
    expect(window.message("from Carol")).to_be_visible()
    expect(window.composer).to_have_value("")

    keyboard.press("Control+k")
    to_whom = page.get_by_label("To whom? Their user id")
    expect(to_whom).to_be_focused()
    keyboard.press("Escape")
    expect(to_whom).to_have_count(0)
    expect(window.composer).to_be_focused()
    keyboard.press("Control+k")
    expect(to_whom).to_be_focused()
    keyboard.type(bob.id)
    keyboard.press("Enter")
    expect(window.composer).to_have_value("a draft")
    expect(window.composer).to_be_focused()
    keyboard.press("Enter")
    window.ticks("a draft", "Sent")
    assert re.search(re.escape(f"#/{quote(bob.id, safe='')}"), page.url)

    keyboard.press("Shift+Tab")
    expect(window.message("a draft")).to_be_focused()
    keyboard.press("ArrowUp")
    expect(window.message("from Bob")).to_be_focused()
    keyboard.press("Shift+Tab")
    more = page.get_by_role("button", name=re.compile("^More about "))
    expect(more).to_be_focused()
    keyboard.press("Enter")
    expect(page.get_by_role("button", name=re.compile("^Block "))).to_be_focused()
    keyboard.press("Escape")
    expect(more).to_be_focused()
