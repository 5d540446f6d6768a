"""The list of messages in Chromium: what is in the document, where it stands, and what counts as read.

Ada looks; each test has another person on the other side, whose messages were written before the node started.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect

from lab.browser.chromium import with_real_tabs
from lab.browser.list_app import ListApp, Written, write
from lab.browser.list_view import DRIFT_MAX_PX, MEASURE, ListView
from lab.node import Node, Person
from lab.process import wait_for
from tests.browser.window import Window, box_of

ROWS_MAX = 600
LONG = 10_000
WORDS = "A sentence of some words, so that lines wrap as they do in letters. "


def conversation(peer: str, count: int, unread: int = 0, photos: tuple[int, ...] = ()) -> list[Written]:
    """So many messages of some days, ada's and the peer's, of one line or more; the last `unread` are the peer's."""
    return [
        Written(
            sender="ada" if number % 3 == 0 and number <= count - unread else peer,
            recipient=peer if number % 3 == 0 and number <= count - unread else "ada",
            text=f"photo-{peer}-{number}" if number in photos else f"{peer} {number} {WORDS * (number % 5)}".strip(),
            type="photo" if number in photos else "text",
            age_s=(count - number) * 120 + 60,
        )
        for number in range(1, count + 1)
    ]


LATE = datetime(2026, 1, 14, 23, 30, tzinfo=UTC).timestamp()
PAST = {
    "long": conversation("long", LONG),
    "older": conversation("older", 400),
    "photos": conversation("photos", 60, photos=(20, 25, 30, 35, 55)),
    "folded": [*conversation("folded", 40), Written("folded", "ada", "Chapter one. " + WORDS * 60, 50),
               *[Written("folded", "ada", f"after {number}", 40 - number) for number in range(20)]],
    "sizes": conversation("sizes", 60),
    "pill": conversation("pill", 60),
    "hurried": conversation("hurried", 60),
    "manyunread": conversation("manyunread", 220, unread=170),
    "fewunread": conversation("fewunread", 60, unread=2),
    "deepunread": conversation("deepunread", 700, unread=690),
    "unseen": conversation("unseen", 60),
    "hidden": conversation("hidden", 60),
    "once": [Written("once", "carol", f"{number}") for number in range(5)],
    "edited": conversation("edited", 60),
    "tabs": conversation("tabs", 5),
    "floating": [Written("floating", "ada", f"floating {number}", (50 - number) * 21_600) for number in range(50)],
    "days": [Written("days", "ada", "before midnight in London", time.time() - LATE), Written("days", "ada", "now", 0)],
}  # fmt: skip
UNREAD = {"manyunread": 170, "fewunread": 2, "deepunread": 690}


class Setting:
    """The node with the past in it, and the application in front of it."""

    def __init__(self, node: Node, app: ListApp) -> None:
        self.node = node
        self.app = app
        self.ada = node.person("ada")

    def person(self, name: str) -> Person:
        return self.node.person(name)


def is_taken(reader: Person, receipt: dict[str, object]) -> bool:
    return 200 == reader.posts("/receipts", receipt).status_code


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    directory: Path = tmp_path_factory.mktemp("list")
    database = directory / "past.db"
    write(database, (each for of in PAST.values() for each in of), time.time())
    with Node(directory / "node", database=database, message_types="photo") as node:
        for peer, past in PAST.items():
            receipt = {"chatUserId": peer, "read_upto": len(past) - UNREAD.get(peer, 0)}
            reader = node.person("carol" if peer == "once" else "ada")
            # Ten a second are taken; these are more.
            wait_for(partial(is_taken, reader, receipt))
        with ListApp(directory, node.url) as app:
            yield Setting(node, app)


Opens = Callable[..., tuple[Window, ListView]]
Profile = Callable[[], BrowserContext]


@pytest.fixture
def opens(setting: Setting, profile: Profile) -> Opens:
    """Open ada's conversation with this person: the window, and its list. Things that pictures wait for go into
    `late`."""

    def open(
        peer: str, context: BrowserContext | None = None, late: list[Route] | None = None
    ) -> tuple[Window, ListView]:
        context = context or profile()
        context.add_init_script(MEASURE)
        if late is not None:
            context.route("**/late/*", lambda route: late.append(route))
        window = Window(context)
        window.page.goto(f"{setting.app.url}/#token={setting.ada.token}&me=ada&peer={peer}")
        window.is_connected()
        expect(window.messages.first).to_be_visible()
        view = ListView(window.page)
        view.settled()
        return window, view

    return open


def picture_comes(route: Route, height: int = 240) -> None:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="{height}"><rect width="200" height="9"/></svg>'
    route.fulfill(content_type="image/svg+xml", body=svg)


# shows: react/length
def test_of_ten_thousand_messages_fewer_than_600_rows_are_in_the_document(opens: Opens) -> None:
    """All are loaded; the window moves through them without a jump, by wheel and by keys, and reaches both ends."""
    window, view = opens("long")
    window.page.evaluate(f"chat.conversation('long').loadOlder({LONG})")
    up = view.scrolls_through(-1500, 12)
    down = view.scrolls_through(1500, 12)
    assert max(up["worst"], down["worst"]) <= DRIFT_MAX_PX
    window.messages.last.focus()
    window.page.keyboard.press("Home")
    expect(window.page.locator("article:focus")).to_contain_text("long 1 ")
    view.settled()
    rows = max(up["rows"], down["rows"], view.view["rows"])
    assert 100 < rows < ROWS_MAX
    window.page.keyboard.press("End")
    expect(window.page.locator("article:focus")).to_contain_text(f"long {LONG}")
    view.settled()
    assert view.view["left"] <= 1


# shows: react/place, complaints/9
def test_older_pages_move_nothing_that_is_in_view(opens: Opens) -> None:
    """From several places near the upper end, in every frame until the page is there."""
    window, view = opens("older")
    held = "chat.conversation('older').getSnapshot().messages.length"
    for top in (0, 1, 57, 200):
        before = window.page.evaluate(held)
        window.page.evaluate(f"document.querySelector('.tidings-scroll').scrollTop = {top}")
        view.watches()
        assert view.drift() <= DRIFT_MAX_PX
        assert before < window.page.evaluate(held)


# shows: react/place, complaints/9
def test_pictures_that_come_late_move_nothing_that_is_in_view(opens: Opens) -> None:
    """Above the view, wherever it stands; and who is at the end stays at the end."""
    late: list[Route] = []
    window, view = opens("photos", late=late)
    window.is_waiting_for(lambda: len(late) == 5, "the pictures were asked for")
    by_number = {int(route.request.url.rsplit("-", 1)[1].removesuffix(".svg")): route for route in late}
    picture_comes(by_number[55])
    photo = window.page.get_by_alt_text("photo-photos-55")
    window.is_waiting_for(lambda: photo.evaluate("photo => photo.naturalHeight") == 240, "the picture is there")
    view.settled()
    assert view.view["left"] <= 1
    for number, below in ((35, 400), (30, 60), (25, 1)):
        photo = window.page.get_by_alt_text(f"photo-photos-{number}")
        view.shows_from_below(f"photo-photos-{number}", below)
        view.watches()
        picture_comes(by_number[number])
        window.is_waiting_for(partial(photo.evaluate, "photo => photo.naturalHeight"), "it is there")
        assert view.drift() <= DRIFT_MAX_PX
        assert photo.evaluate("photo => photo.height") == 240


# shows: react/long-texts
def test_a_long_text_unfolds_downwards_and_folds_without_leaving_its_reader_behind(opens: Opens) -> None:
    """More than twelve lines are folded; its upper edge stays where it was, and is in view when it is folded again."""
    window, view = opens("folded")
    more = window.page.get_by_role("button", name="Show more")
    more.scroll_into_view_if_needed()
    view.settled()
    before = view.top_of("Chapter one.")
    more.click()
    less = window.page.get_by_role("button", name="Show less")
    expect(less).to_have_attribute("aria-expanded", "true")
    view.settled()
    assert abs(before - view.top_of("Chapter one.")) <= DRIFT_MAX_PX
    less.scroll_into_view_if_needed()
    view.settled()
    assert view.top_of("Chapter one.") < 0
    less.click()
    expect(more).to_be_visible()
    view.settled()
    assert 0 <= view.top_of("Chapter one.") < view.view["height"] / 2


# shows: react/place
def test_a_growing_composer_and_another_size_of_the_window_keep_the_place(opens: Opens) -> None:
    """A reader further up stays there, also when lines wrap anew; a reader at the end stays at the end."""
    window, view = opens("sizes")
    window.composer.fill("1\n2\n3\n4\n5")
    view.settled()
    assert view.view["left"] <= 1
    window.composer.fill("")
    # A scroll while the list changes its height is taken for the browser's own.
    view.settled()
    view.scrolls_up(1200)
    view.watches()
    window.composer.fill("1\n2\n3\n4\n5")
    assert view.drift() <= DRIFT_MAX_PX
    for size in ((520, 700), (1000, 400), (1000, 700)):
        view.watches()
        window.page.set_viewport_size({"width": size[0], "height": size[1]})
        view.settled()
        # A frame may be drawn before the page hears of its new size.
        assert view.offset() <= DRIFT_MAX_PX


# shows: react/new-messages
def test_a_reader_further_up_is_told_how_many_are_new_below(setting: Setting, opens: Opens) -> None:
    """Nothing moves and nothing is read; the button goes to them. An own message goes to the end from anywhere."""
    window, view = opens("pill")
    ada, peer = setting.ada, setting.person("pill")
    pill = window.page.locator(".tidings-pill")
    expect(pill).to_have_count(0)
    view.scrolls_up(900)
    expect(pill).to_have_accessible_name("Go to the latest message")
    view.watches()
    peer.sends(ada, "one")
    peer.sends(ada, "two")
    expect(pill).to_have_accessible_name("2 new messages, go to the latest")
    assert view.drift() <= DRIFT_MAX_PX
    assert 60 == ada.history("pill")["watermarks"]["read_upto"]
    pill.click()
    expect(pill).to_have_count(0)
    window.is_waiting_for(lambda: view.view["left"] <= 1, "it has scrolled to the end")
    window.is_waiting_for(lambda: 62 == ada.history("pill")["watermarks"]["read_upto"], "both are read")
    view.scrolls_up(900)
    window.says("mine")
    expect(window.message("mine")).to_be_in_viewport()
    view.settled()
    assert view.view["left"] <= 1
    window.page.set_viewport_size({"width": 500, "height": 300})
    view.settled()
    assert view.view["left"] <= 1
    peer.sends(ada, "tall indeed " + WORDS * 3 + "line\n" * 12 + WORDS * 40)
    expect(window.messages.last).to_contain_text("tall indeed")
    view.settled()
    assert 0 <= view.top_of("tall indeed") < 40


def test_a_reader_who_goes_to_the_end_while_something_changes_stays_there(opens: Opens) -> None:
    """The page may change what it shows before it hears of the scroll; that does not take the reader back."""
    window, view = opens("hurried")
    window.says("A bell that no message may hold: \x07")
    expect(window.messages.filter(has_text="Not sent.")).to_be_visible()
    view.scrolls_up(900)
    window.page.evaluate(
        """() => {
          const list = document.querySelector('.tidings-scroll');
          list.scrollTop = list.scrollHeight;
          const conversation = chat.conversation(peer);
          conversation.discard(conversation.getSnapshot().pending[0].client_id);
        }"""
    )
    expect(window.messages.filter(has_text="Not sent.")).to_have_count(0)
    view.settled()
    assert view.view["left"] <= 1


# shows: react/opening
def test_it_opens_at_the_first_unread_message_if_they_fill_more_than_the_view(opens: Opens) -> None:
    """Though that is on an earlier page; else at the end. The line says how many, and goes with the first answer."""
    window, view = opens("manyunread")
    line = window.page.locator("[data-unread-line]")
    expect(line).to_have_text("170 new messages")
    expect(line).to_be_in_viewport()
    assert 0 <= view.top_of("manyunread 51 ") < 120
    window.says("I have read all that")
    expect(line).to_have_count(0)
    view.settled()
    assert view.view["left"] <= 1
    window, view = opens("fewunread")
    expect(window.page.locator("[data-unread-line]")).to_have_text("2 new messages")
    assert view.view["left"] <= 1


def test_of_more_unread_messages_than_it_loads_those_never_shown_are_not_read(setting: Setting, opens: Opens) -> None:
    """It stands at the oldest of the 500 that it loads and counts all; whoever goes to the end has read them."""
    window, view = opens("deepunread")
    ada = setting.ada

    def read_upto() -> int:
        upto: int = ada.history("deepunread")["watermarks"]["read_upto"]
        return upto

    line = window.page.locator("[data-unread-line]")
    pill = window.page.locator(".tidings-pill")
    expect(line).to_have_text("690 new messages")
    expect(line).to_be_in_viewport()
    assert 0 <= view.top_of("deepunread 201 ") < 120
    expect(pill).to_have_accessible_name("690 new messages, go to the latest")
    view.scrolls_up(-300)
    window.page.wait_for_timeout(1500)
    assert 10 == read_upto()
    expect(pill).to_have_accessible_name("690 new messages, go to the latest")
    pill.click()
    window.is_waiting_for(lambda: 700 == read_upto(), "the end is in view")


# shows: react/read, complaints/8
def test_a_message_is_read_when_its_end_was_in_view_and_not_before(setting: Setting, opens: Opens) -> None:
    """Scrolled up it is not; half of it in view it is not."""
    window, view = opens("unseen")
    ada, peer = setting.ada, setting.person("unseen")

    def read_upto() -> int:
        upto: int = ada.history("unseen")["watermarks"]["read_upto"]
        return upto

    window.page.set_viewport_size({"width": 500, "height": 300})
    view.settled()
    peer.sends(ada, "tall " + WORDS * 3 + "line\n" * 12 + WORDS * 40)
    expect(window.messages.last).to_contain_text("tall")
    view.settled()
    assert view.view["left"] > 20
    peer.sends(ada, "below the view")
    expect(window.messages.last).to_contain_text("below the view")
    window.page.wait_for_timeout(1500)
    assert 60 == read_upto()
    window.page.evaluate("measure.scrollTo(1e6)")
    window.is_waiting_for(lambda: 62 == read_upto(), "the ends of both are in view")


def test_in_a_tab_behind_another_nothing_is_read(setting: Setting, chromium: Browser, tmp_path: Path) -> None:
    """A message that comes there is shown, delivered and not read, until the tab is in front."""
    ada, peer = setting.ada, setting.person("tabs")
    with with_real_tabs(chromium, tmp_path) as desk:
        window = Window(desk)
        window.page.goto(f"{setting.app.url}/#token={ada.token}&me=ada&peer=tabs")
        window.is_connected()
        expect(window.messages).to_have_count(5)
        desk.new_page().bring_to_front()
        window.page.wait_for_function("document.visibilityState === 'hidden'")
        peer.sends(ada, "behind")
        expect(window.messages).to_have_count(6)
        window.is_waiting_for(lambda: 6 == ada.history("tabs")["watermarks"]["delivered_upto"], "it is delivered")
        window.page.wait_for_timeout(1000)
        assert 5 == ada.history("tabs")["watermarks"]["read_upto"]
        window.page.bring_to_front()
        window.is_waiting_for(lambda: 6 == ada.history("tabs")["watermarks"]["read_upto"], "it is seen")


def test_the_day_floats_while_one_scrolls_and_lies_on_no_message(opens: Opens) -> None:
    """It is the day of what is behind it, told to nobody, lets clicks through, and goes when the list stands still."""
    window, view = opens("floating")
    day = window.page.locator(".tidings-day-now")
    expect(day).to_have_count(0)  # opening is no scrolling
    view.scrolls_up(600)
    seen = window.page.wait_for_function(
        """() => {
            const list = document.querySelector(".tidings-scroll");
            const day = document.querySelector(".tidings-day-now[data-shown=true]");
            if (!day) list.scrollTop -= 5;
            window.still = day ? (window.still ?? 0) + 1 : 0;
            if (window.still < 3) return null; // what was scrolled last is drawn
            const { left, width, top, bottom } = day.getBoundingClientRect();
            const days = [...list.querySelectorAll(".tidings-day")].map((each) => [each, each.getBoundingClientRect()]);
            return {
                said: day.textContent,
                listed: days.findLast(([, box]) => box.top < bottom)[0].textContent,
                doubled: days.filter(([, box]) => box.top < bottom && box.bottom > top).length,
                isOver: !list.contains(document.elementFromPoint(left + width / 2, (top + bottom) / 2)),
                isAnnounced: day.ariaHidden !== "true",
            };
        }"""
    ).json_value()
    said = seen["listed"]
    assert {"said": said, "listed": said, "doubled": 0, "isOver": False, "isAnnounced": False} == seen
    expect(day).to_be_hidden()


def given_style(context: BrowserContext, url: str, style: str) -> None:
    """The page at this address comes with another height."""

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace("block-size: 100vh", style))

    context.route(url, answer)


def test_in_development_a_screen_without_a_height_says_so_once(setting: Setting, profile: Profile) -> None:
    """On the console, with what to do; a screen that has its height says nothing."""
    for style, times in (("block-size: 100vh", 0), ("block-size: auto", 1)):
        context = profile()
        given_style(context, f"{setting.app.url}/", style)
        window = Window(context)
        window.page.clock.install()
        window.page.goto(f"{setting.app.url}/#token={setting.ada.token}&me=ada&peer=tabs")
        expect(window.messages.first).to_be_visible()
        window.page.clock.run_for(5000)
        said = [each for each in window.complaints if "has no height" in each]
        assert times == len(said), said


@pytest.mark.parametrize(("zone", "day"), [("Europe/London", "14 January"), ("Pacific/Auckland", "15 January")])
def test_days_are_those_of_the_user_s_zone(opens: Opens, chromium: Browser, zone: str, day: str) -> None:
    """The same moment is another day elsewhere."""
    context = chromium.new_context(locale="en-GB", timezone_id=zone)
    window, _ = opens("days", context)
    days = window.page.locator(".tidings-day time")
    expect(days).to_have_text([re.compile(f"^{day}( 2026)?$"), "Today"])
    context.close()


# shows: react/activity
def test_a_hidden_screen_marks_nothing_read_and_keeps_its_place(setting: Setting, opens: Opens) -> None:
    """React's Activity: hidden while messages come, and shown again where it was; at the end it shows what is new."""
    window, view = opens("hidden")
    ada, peer = setting.ada, setting.person("hidden")
    view.scrolls_up(1000)
    place = view.place()
    window.page.get_by_role("button", name="Hide").click()
    expect(window.composer).to_be_hidden()
    peer.sends(ada, "while hidden")
    window.page.wait_for_function("chat.conversation('hidden').getSnapshot().messages.length >= 51")
    window.page.wait_for_timeout(1000)
    window.page.get_by_role("button", name="Show").click()
    expect(window.composer).to_be_visible()
    view.settled()
    assert view.offset_from(place) <= DRIFT_MAX_PX
    assert 60 == ada.history("hidden")["watermarks"]["read_upto"]
    window.page.evaluate("measure.scrollTo(1e6)")
    window.is_waiting_for(lambda: 61 == ada.history("hidden")["watermarks"]["read_upto"], "it is in view")
    window.page.get_by_role("button", name="Hide").click()
    for number in range(30):
        peer.sends(ada, f"more {number}")
    window.page.get_by_role("button", name="Show").click()
    expect(window.page.locator("[data-unread-line]")).to_have_text("30 new messages")
    expect(window.page.locator("[data-unread-line]")).to_be_in_viewport()
    assert window.complaints == []


# shows: react/strict-mode
def test_under_strict_mode_each_thing_is_asked_for_once(setting: Setting, profile: Profile) -> None:
    """Every effect runs twice in development; history, list, stream and presence are one request each."""
    carol = setting.person("carol")
    context = profile()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(f"{request.method} {request.url.split('?')[0]}"))
    window = Window(context)
    window.page.goto(f"{setting.app.url}/#token={carol.token}&me=carol&peer=once")
    window.is_connected()
    expect(window.messages).to_have_count(5)
    window.page.wait_for_timeout(300)
    api = f"{setting.app.url}/api/message"
    calls = sorted(each for each in asked if api in each)
    assert calls == [f"GET {api}/inbox/carol", f"GET {api}/once", f"GET {api}/sse/carol", f"POST {api}/presence"]
    assert window.complaints == []


# shows: react/fast-refresh
def test_an_edited_component_keeps_state_place_and_stream(setting: Setting, opens: Opens) -> None:
    """Fast Refresh: its author's count, the draft and the place in the list stay, and there is one stream."""
    window, view = opens("edited")
    window.page.get_by_role("button", name="version one").click()
    window.composer.fill("half a sent")
    view.scrolls_up(700)
    place = view.place()
    setting.app.edit("app.tsx", "version one", "version two")
    expect(window.page.get_by_role("button", name="version two: 1")).to_be_visible()
    view.settled()
    assert view.offset_from(place) <= DRIFT_MAX_PX
    expect(window.composer).to_have_value("half a sent")
    setting.person("edited").sends(setting.ada, "still live")
    expect(window.page.locator(".tidings-pill")).to_contain_text("1 new")
    assert (1, 1) == (window.streams_opened, len(window.open_streams))
    assert window.complaints == []


# shows: react/keys
def test_arrows_and_page_keys_move_among_messages_and_bring_them_into_view(opens: Opens) -> None:
    """One stop of Tab; a page key moves by about a view, and what has the focus is not under the button below."""
    window, view = opens("sizes")
    window.messages.last.focus()
    before = view.view["top"]
    window.page.keyboard.press("PageUp")
    view.settled()
    moved = before - view.view["top"]
    focused = window.page.locator("article:focus")
    assert 0 < moved <= view.view["height"]
    expect(focused).to_be_in_viewport(ratio=1)
    for key in ("PageUp", "PageUp", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown"):
        window.page.keyboard.press(key)
    view.settled()
    pill, bubble = box_of(window.page.locator(".tidings-pill")), box_of(focused)
    assert bubble["y"] + bubble["height"] <= pill["y"]
    expect(window.page.locator(".tidings-list article[tabindex='0']")).to_have_count(1)
