"""Names and texts that try to turn around the words of the page: measured by where the letters stand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from lab.demo import Demo
from tests.browser.window import Window

Profile = Callable[[], BrowserContext]

# Of the first and of the last letter of `words`, where it begins; both on one line, as the words are short.
PLACES = """(element, words) => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const at = node.data.indexOf(words);
        if (at < 0) continue;
        const left = (index) => {
            const range = document.createRange();
            range.setStart(node, index);
            range.setEnd(node, index + 1);
            return range.getBoundingClientRect().left;
        };
        return [left(at), left(at + words.length - 1)];
    }
    return null;
}"""

STEERING = ["\u202eeve", "eve\u2069\u202e", "\u2067\u202eeve", "\u202beve\u202e"]


def reads_forward(element: Locator, words: str) -> None:
    """These words of the element stand from left to right."""
    expect(element).to_contain_text(words)
    places = element.evaluate(PLACES, words)
    assert places is not None, words
    assert places[0] < places[1], f"{words!r} is turned around: {places}"


def test_the_measure_sees_what_is_turned_around(demo: Demo, profile: Profile) -> None:
    """Without isolation an override reaches the words behind it: what the other tests here look for is there."""
    window = Window.in_demo(profile(), demo.url, "measurer")
    window.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=turned>Block \u202eeve? Neither</p>')")
    places = window.page.locator("#turned").evaluate(PLACES, "Neither")
    assert places[0] > places[1]


# shows: security/bidi
@pytest.mark.parametrize("name", STEERING, ids=[ascii(name) for name in STEERING])
def test_a_name_turns_no_sentence_around(name: str, demo: Demo, profile: Profile) -> None:
    """In the question before a block, in what is said after it, and in the buttons."""
    victim = f"victim of {name.encode().hex()}"
    demo.sends(name, victim, "hello")
    window = Window.in_demo(profile(), demo.url, victim, name)

    window.page.get_by_role("button", name="More about").click()
    reads_forward(window.page.get_by_role("menuitem", name="Report"), "Report")
    window.page.get_by_role("menuitem", name="Block").click()
    panel = window.page.locator(".tidings-panel")
    question = panel.locator("p").first
    reads_forward(question, "Neither of you")
    reads_forward(question, "is not told.")
    panel.get_by_role("button", name="Block", exact=True).click()
    note = window.page.locator(".tidings-instead p").first
    reads_forward(note, "You blocked")
    assert "\u202e" not in window.page.title()
    assert [] == window.complaints


# shows: security/bidi
def test_a_text_turns_nothing_around_but_itself(demo: Demo, profile: Profile) -> None:
    """Neither the time beside it, nor the next message, nor the list of conversations."""
    for text in ("\u202eturned\u2067 and never closed", "plain after it"):
        demo.sends("turner", "turned", text)
    window = Window.in_demo(profile(), demo.url, "turned", "turner")
    expect(window.messages).to_have_count(2)

    reads_forward(window.messages.nth(1).locator(".tidings-words"), "plain after it")
    for time in window.messages.locator("time").all():
        shown = time.inner_text()
        reads_forward(time, shown)
    assert [] == window.complaints
