"""List and conversation on one page: widths, one pane on a phone, the way back, and everything by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Locator, ViewportSize, expect

from lab.host import Host
from lab.node import Node, Person
from tests.browser.known_host import SECRET
from tests.browser.window import Window, box_of

PHONE: ViewportSize = {"width": 390, "height": 700}
DESK: ViewportSize = {"width": 1280, "height": 700}


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
    return round(box_of(list_pane(window))["width"])


def is_wide(window: Window, least: int, most: int | None = None) -> None:
    """Wait until the list has this width, px, or one between these two."""
    window.is_waiting_for(lambda: least <= width(window) <= (most or least), f"the list is {least} px wide")


def test_the_list_is_as_wide_as_one_drags_it_or_moves_it_with_the_arrow_keys(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, bob: Person
) -> None:
    """348 px at first, 280 to 400; the other way round where one writes from the right; as it was after a reload."""
    window = Window.as_user(profile(), node.url, alice, bob.id)
    page = window.page
    separator = page.get_by_role("separator", name="Width of the list of conversations")
    page.set_viewport_size({"width": 800, "height": 700})
    expect(separator).to_be_hidden()
    is_wide(window, 280)
    page.set_viewport_size(DESK)
    is_wide(window, 348)

    separator.press("ArrowRight")
    expect(separator).to_have_attribute("aria-valuenow", "364")
    is_wide(window, 364)
    separator.press("End")
    is_wide(window, 400)
    separator.press("ArrowRight")
    is_wide(window, 400)
    page.evaluate("document.querySelector('.tidings-panes').dir = 'rtl'")
    separator.press("ArrowRight")
    is_wide(window, 384)
    page.evaluate("document.querySelector('.tidings-panes').dir = 'ltr'")

    box = box_of(separator)
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
    is_wide(window, 348)


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


def test_on_a_phone_back_closes_what_covers_the_list_and_then_leaves_it(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, bob: Person, talk: None
) -> None:
    """New message and the settings, and somebody chosen there is one step from the list; so it is after a reload."""
    window = Window.as_user(profile(), node.url, alice)
    page = window.page
    page.set_viewport_size(PHONE)
    new_message = page.get_by_role("button", name="New message").first
    picker = page.get_by_role("combobox")
    settings = page.get_by_role("dialog", name="Settings")
    list_is = page.url

    new_message.click()
    expect(picker).to_be_visible()
    page.go_back()
    expect(picker).to_have_count(0)
    expect(window.entry(bob.id)).to_be_visible()

    opener = page.get_by_role("button", name="Settings")
    opener.click()
    expect(settings).to_be_visible()
    page.go_back()
    expect(settings).to_have_count(0)
    expect(opener).to_be_focused()

    opener.click()
    page.get_by_role("button", name="Close").click()
    new_message.click()
    picker.fill(bob.id)
    page.get_by_role("option").first.click()
    expect(window.composer).to_be_visible()
    page.go_back()
    expect(window.entry(bob.id)).to_be_visible()
    window.is_waiting_for(
        lambda: "tidingsDepth" not in page.evaluate("JSON.stringify(history.state)"), "one is at the list"
    )
    window.chooses(bob.id)
    page.get_by_role("button", name="Back to conversations").click()
    expect(window.entry(bob.id)).to_be_visible()

    new_message.click()
    expect(picker).to_be_visible()
    page.reload()
    window.is_waiting_for(
        lambda: "tidingsDepth" not in page.evaluate("JSON.stringify(history.state)"), "nothing is open"
    )
    assert list_is == page.url
    page.go_back()
    expect(page).to_have_url("about:blank")


def test_everything_goes_by_keyboard_alone(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, bob: Person, carol: Person, talk: None
) -> None:
    """Alt and the arrows go through the conversations; Ctrl+K finds one; Escape goes back to where one was."""
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
    search = page.get_by_role("searchbox", name="Search people and conversations")
    expect(search).to_be_focused()
    keyboard.press("Escape")
    expect(window.composer).to_be_focused()
    keyboard.press("Control+k")
    expect(search).to_be_focused()
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
    expect(page.get_by_role("menuitem", name=re.compile("^Report "))).to_be_focused()
    keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem", name=re.compile("^Block "))).to_be_focused()
    keyboard.press("Escape")
    expect(more).to_be_focused()


def test_a_list_of_many_loads_on_as_one_scrolls_and_the_title_counts_what_it_has_not(
    node: Node, profile: Callable[[], BrowserContext]
) -> None:
    """120 people have written: the title says all of them before they are loaded, no button has to be clicked.

    Alt and an arrow keep the chosen conversation in sight. On paper stands all of it.
    """
    popular = node.person("popular")
    for number in range(120):
        node.person(f"fan {number:03}").sends(popular, "hello")
    window = Window.as_user(profile(), node.url, popular)
    page = window.page
    page.set_viewport_size(DESK)
    rows = page.locator(".tidings-conversations .tidings-entry")
    expect(window.entry("fan 119")).to_be_visible()
    expect(page).to_have_title(re.compile(r"^\(99\+\) "))
    assert rows.count() < 120
    scroller = page.locator(".tidings-inbox-scroll")

    def reached_the_end() -> bool:
        scroller.evaluate("list => list.scrollTo(0, list.scrollHeight)")
        return rows.count() == 120

    window.is_waiting_for(reached_the_end, "all conversations are there")
    expect(window.entry("fan 000")).to_be_visible()
    expect(page.get_by_role("button", name="Show more conversations")).to_have_count(0)

    scroller.evaluate("list => list.scrollTo(0, 0)")
    for number in range(119, 104, -1):
        page.keyboard.press("Alt+ArrowDown")
        expect(window.entry(f"fan {number:03}")).to_have_attribute("aria-current", "page")
    window.is_waiting_for(
        lambda: page.evaluate(
            """() => {
                const list = document.querySelector(".tidings-inbox-scroll").getBoundingClientRect();
                const row = document.querySelector(".tidings-entry[aria-current]").getBoundingClientRect();
                return row.top >= list.top - 1 && row.bottom <= list.bottom + 1;
            }"""
        ),
        "the chosen conversation is in sight",
    )

    page.evaluate("location.hash = '#/'")
    expect(page.get_by_text("Your messages")).to_be_visible()
    page.emulate_media(media="print")
    assert box_of(window.entry("fan 000"))["y"] > 120 * 60, "on paper the whole list stands, below one another"
    assert page.evaluate("document.scrollingElement.scrollHeight") > 120 * 60


def test_a_preview_runs_below_the_time_to_the_end_of_the_row(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, bob: Person
) -> None:
    """It was cut where the column of the time began, 70 px before."""
    bob.sends(alice, "a text that is much longer than the line that the list of conversations has for it " * 3)
    bob.sends(alice, "this is the last, and it is as long as the one before so that it is cut in any case")
    window = Window.as_user(profile(), node.url, bob)
    window.page.set_viewport_size(DESK)
    expect(window.entry(alice.id)).to_be_visible()
    row, preview, time = (
        box_of(window.entry(alice.id).locator(part)) for part in (".tidings-entry-body", ".tidings-entry-text", "time")
    )
    assert preview["x"] + preview["width"] > time["x"] + time["width"] - 2
    assert abs(row["x"] + row["width"] - preview["x"] - preview["width"]) < 2


@pytest.mark.parametrize("size", [(320, 256), (844, 200)])
def test_a_low_window_leaves_room_for_the_list(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, talk: None, size: tuple[int, int]
) -> None:
    """1280 x 1024 at 400 %, and a phone on its side with its keyboard: what stands above it scrolls with it, uncut."""
    window = Window.as_user(profile(), node.url, alice)
    window.page.set_viewport_size({"width": size[0], "height": size[1]})
    expect(window.conversations).to_be_visible()

    def visible() -> int:
        return int(
            window.page.evaluate(
                """() => {
                    const list = document.querySelector(".tidings-inbox-scroll").getBoundingClientRect();
                    return Math.round(Math.min(list.bottom, innerHeight) - Math.max(list.top, 0));
                }"""
            )
        )

    window.is_waiting_for(lambda: visible() >= 68, "a whole row has room")
    field = window.page.get_by_role("searchbox")
    missing = field.evaluate("""field => {
        const style = getComputedStyle(field), pen = document.createElement("canvas").getContext("2d");
        pen.font = style.font;
        const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
        return pen.measureText(field.placeholder).width - room;
    }""")
    assert missing <= 0, "what the field is for can be read"


def test_ctrl_k_finds_somebody_also_where_there_is_room_for_one_pane(
    node: Node, profile: Callable[[], BrowserContext], alice: Person, bob: Person, carol: Person, talk: None
) -> None:
    """The list comes for it, and goes again: to whom was found, or back by Escape."""
    window = Window.as_user(profile(), node.url, alice, bob.id)
    page = window.page
    page.set_viewport_size(PHONE)
    expect(list_pane(window)).to_be_hidden()
    window.composer.focus()
    page.keyboard.press("Control+k")
    search = page.get_by_role("searchbox", name="Search people and conversations")
    expect(search).to_be_focused()
    page.keyboard.press("Escape")
    expect(list_pane(window)).to_be_hidden()
    expect(window.composer).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.type(carol.id)
    page.keyboard.press("Enter")
    expect(list_pane(window)).to_be_hidden()
    expect(window.message("from Carol")).to_be_visible()


class KnownHost(Host):
    """`known_host.py`, whose people have tokens."""

    def token(self, user_id: str, **_: object) -> str:
        return Node.token(self, user_id, secret=SECRET)


@pytest.fixture
def known(tmp_path: Path) -> Iterator[KnownHost]:
    host = KnownHost(tmp_path, "known_host:app", source=Path(__file__).parent)
    host.start()
    yield host
    host.kill()


def test_a_user_that_writes_to_nobody_is_told_so_and_keeps_the_text(
    known: KnownHost, profile: Callable[[], BrowserContext]
) -> None:
    """`Ben` is a name, and the user is 2 (PROTOCOL.md 9.0.20). The typed text stays, there and in the list."""
    window = Window.as_user(profile(), known.url, known.person("1"))
    window.begins_conversation_with("Ben")
    window.says("Hello Ben, are you there?")

    expect(window.message("Hello Ben, are you there?")).to_contain_text("Nobody here has this id.")
    expect(window.page.locator(".tidings-composer")).to_contain_text("Nobody here has this id.")
    expect(window.entry("Ben")).to_contain_text("Not sent: Hello Ben, are you there?")

    window.begins_conversation_with("2")
    window.says("Hello Ben")
    window.ticks("Hello Ben", "Sent")
