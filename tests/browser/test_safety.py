"""Presence, block and report on the page, by two people in Chromium."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import BrowserContext, expect

from lab.demo import Demo
from tests.browser.window import Window

Profile = Callable[[], BrowserContext]


def two_people(demo: Demo, profile: Profile, one: str, other: str) -> tuple[Window, Window]:
    """Windows of two people who have both written."""
    demo.sends(one, other, "hello")
    demo.sends(other, one, "hello too")
    return Window.in_demo(profile(), demo.url, one, other), Window.in_demo(profile(), demo.url, other, one)


def presses(window: Window, name: str) -> None:
    window.page.get_by_role("button", name=name, exact=True).click()


def chooses(window: Window, name: str) -> None:
    window.page.get_by_role("menuitem", name=name, exact=True).click()


# shows: complaints/20
def test_presence_is_shown_in_the_header(demo: Demo, profile: Profile) -> None:
    """In words, below the name; the user's own connection is nothing of theirs."""
    fay, gus = two_people(demo, profile, "fay", "gus")
    expect(gus.status).to_contain_text("online")
    assert [] == fay.complaints == gus.complaints


# shows: complaints/19
def test_a_block_refuses_messages_until_it_is_taken_back(demo: Demo, profile: Profile) -> None:
    """The other side reads the words of any refusal; its text stays, and goes out by Retry after that."""
    hal, ivy = two_people(demo, profile, "hal", "ivy")

    presses(hal, "More about ivy")
    chooses(hal, "Block ivy")
    presses(hal, "Block")

    expect(hal.page.get_by_text("You blocked ivy.")).to_be_visible()
    expect(hal.composer).to_have_count(0)
    ivy.says("are you there?")
    ivy.ticks("are you there?", "Not sent")
    expect(ivy.message("are you there?")).to_contain_text("You may not write to this person.")
    hal.shows("hello", "hello too")
    hal.page.reload()
    expect(hal.page.get_by_text("You blocked ivy.")).to_be_visible()

    presses(hal, "Unblock")

    expect(hal.composer).to_be_visible()
    presses(ivy, "Retry")
    hal.shows("hello", "hello too", "are you there?")
    assert [] == hal.complaints
    assert {"Failed to load resource: the server responded with a status of 403 (Forbidden)"} == {*ivy.complaints}


def test_a_report_is_sent_from_the_menu_by_keyboard(demo: Demo, profile: Profile) -> None:
    """The focus goes into the form and back to the button that opened it."""
    jan, _kim = two_people(demo, profile, "jan", "kim")
    more = jan.page.get_by_role("button", name="More about kim")

    more.focus()
    more.press("Enter")
    expect(jan.page.get_by_role("menuitem", name="Report kim")).to_be_focused()
    jan.page.keyboard.press("Enter")
    jan.page.get_by_label("What happened?").press_sequentially("He says hello too often.")
    jan.page.keyboard.press("Tab")
    jan.page.keyboard.press("Tab")
    jan.page.keyboard.press("Enter")

    expect(jan.page.get_by_text("Your report was sent. Thank you.")).to_be_visible()
    jan.page.keyboard.press("Escape")
    expect(more).to_be_focused()
    assert [] == jan.complaints
