"""The script for pages without a build, in a shop with a strict content policy, in a real Chromium.

Each test ends with a look at the console: no rule of the policy was broken, and nothing failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context, Engine
from jinja2 import Environment
from playwright.sync_api import Browser, Route, expect

from lab.host import Host
from lab.node import Person
from tests.browser.shop_window import ShopWindow, shop
from tests.browser.window import Window, box_of

ROOT = Path(__file__).parents[2]
Opens = Callable[..., ShopWindow]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

INSIDE = """() => {
    const root = document.querySelector("[data-tidings]").shadowRoot;
    const said = ["color", "backgroundColor", "fontSize", "fontStyle", "lineHeight", "letterSpacing", "display",
        "float", "fill", "stroke", "opacity", "boxSizing", "borderTopWidth", "paddingTop", "outlineStyle",
        "transitionDuration"];
    return [...root.querySelectorAll("*")].map((element) => {
        const { x, y, width, height } = element.getBoundingClientRect();
        const style = getComputedStyle(element);
        const kind = element.className.baseVal ?? element.className;
        return [kind, x, y, width, height, ...said.map((name) => style[name])];
    });
}"""
"""Of each element of ours: its box in the window, and what its computed style says."""

OUTSIDE = """() => {
    const theirs = "body > :not([data-tidings])";
    return [...document.querySelectorAll(`html, body, ${theirs}, ${theirs} *`)].map((element) => {
        const { x, y, width, height } = element.getBoundingClientRect();
        const style = getComputedStyle(element);
        const said = [...style].sort().map((name) => `${name}: ${style.getPropertyValue(name)}`);
        return [element.localName, x, y, width, height, ...said];
    });
}"""

WEAR = """(href) => new Promise((resolve, reject) => {
    document.head.append(Object.assign(document.createElement("link"), {
        rel: "stylesheet", href, onload: resolve, onerror: reject }));
}).then(() => new Promise(requestAnimationFrame))"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with shop(tmp_path_factory.mktemp("launcher")) as host:
        yield host


@pytest.fixture
def opens(host: Host, chromium: Browser) -> Iterator[Opens]:
    """Open the shop as this user, or as nobody; all that was opened is closed, and has complained of nothing."""
    windows: list[Window] = []

    def open_shop(who: Person | str | None, options: dict[str, object] | None = None, **device: Any) -> ShopWindow:
        context = chromium.new_context(**{"locale": "en-GB", "viewport": {"width": 1000, "height": 760}, **device})
        windows.append(Window(context))
        return ShopWindow(windows[-1].page, host, None if who is None else str(who), options)

    yield open_shop
    for window in windows:
        window.page.context.close()
    refused = "the server responded with a status of 401"  # of nobody, which the browser notes by itself
    assert [] == [said for window in windows for said in window.complaints if refused not in said]


@pytest.fixture
def visitor(host: Host, request: pytest.FixtureRequest) -> Person:
    """Somebody to whom the shop has written twice."""
    name = "".join(letter for letter in request.node.name if letter.isalnum())[:60]
    visitor = host.person(f"v-{name}")
    for text in ("Your mugs came out of the kiln.", "The third one is a little darker."):
        host.person("shop").sends(visitor, text)
    return visitor


def test_the_script_is_served_beside_the_page_and_asked_for_again(host: Host) -> None:
    """Its name stays when it changes: a browser keeps it, and asks each time whether it is the one that there is."""
    script = host.http.get(f"{host.url}/messages/embed.js")
    assert (200, "no-cache", "nosniff") == (
        script.status_code,
        script.headers["cache-control"],
        script.headers["x-content-type-options"],
    )
    assert script.headers["content-type"].startswith("text/javascript")
    again = host.http.get(f"{host.url}/messages/embed.js", headers={"If-None-Match": script.headers["etag"]})
    assert (304, "no-cache") == (again.status_code, again.headers["cache-control"])


def test_the_panel_is_opened_and_left_by_the_keyboard(opens: Opens, visitor: Person) -> None:
    """Focus goes in, is not held there, and comes back to the button with Escape, which the page does not hear of."""
    window = opens(visitor)
    page = window.page
    window.has_unread(2)
    expect(window.button).to_have_text("2")
    expect(window.button).to_have_attribute("aria-expanded", "false")
    window.button.focus()
    page.keyboard.press("Enter")
    composer = window.panel.get_by_role("textbox", name="Message Lowtide Ceramics")
    expect(composer).to_be_focused()
    expect(window.button).to_have_attribute("aria-expanded", "true")
    panel_id = window.panel.get_attribute("id")
    assert panel_id is not None
    assert panel_id == window.button.get_attribute("aria-controls")
    page.keyboard.type("so")
    page.keyboard.press("Escape")
    expect(window.panel).to_have_count(0)
    expect(window.button).to_be_focused()
    assert ["Enter"] == page.evaluate("shortcuts")  # the letters were typed into a field, and Escape was ours
    page.keyboard.press("Enter")
    expect(composer).to_have_value("so")
    page.locator(".buy").focus()
    expect(window.panel).to_be_visible()
    page.keyboard.press("Tab")
    expect(window.button).to_be_focused()
    page.keyboard.press("Escape")
    expect(window.panel).to_have_count(0)


def test_on_a_phone_the_panel_is_the_whole_screen_and_the_page_waits(opens: Opens, visitor: Person) -> None:
    """The button is away, the page does not scroll, and the focus stays inside until the header's button closes it."""
    window = opens(visitor, **PHONE)
    page = window.page
    window.has_unread(2)
    window.opens()
    assert {"x": 0, "y": 0, "width": 390, "height": 844} == box_of(window.panel)
    assert window.panel.evaluate("it => it.matches(':modal')")
    expect(window.button).to_be_hidden()
    before = page.evaluate("scrollY")
    page.mouse.move(200, 400)
    page.mouse.wheel(0, 600)
    page.evaluate("scrollBy(0, 0)")
    assert ("hidden", before) == (
        page.evaluate("getComputedStyle(document.documentElement).overflowY"),
        page.evaluate("scrollY"),
    )
    page_owned = {"Mugs", "Bowls", "Workshop", "Basket (3)", "Put into the basket"}
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.add(window.focused())
    assert set() == seen & page_owned
    assert "Close messages" in seen
    page.set_viewport_size({"width": 900, "height": 844})  # turned: room for both
    expect(window.button).to_be_visible()
    assert not window.panel.evaluate("it => it.matches(':modal')")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(window.button).to_be_hidden()
    window.panel.get_by_role("button", name="Close messages").click()
    expect(window.panel).to_have_count(0)
    expect(window.button).to_be_focused()
    page.keyboard.press("Enter")
    expect(window.panel).to_be_visible()
    page.keyboard.press("Escape")
    expect(window.panel).to_have_count(0)
    expect(window.button).to_be_focused()
    assert "visible" == page.evaluate("getComputedStyle(document.documentElement).overflowY")


def test_on_a_phone_back_closes_the_conversation_then_the_panel_and_touches_no_entry_of_the_page(
    opens: Opens, visitor: Person
) -> None:
    """Each has an entry, which goes when it is closed otherwise; the page's own entries and links stay as they are."""
    window = opens(visitor, **PHONE)
    page = window.page
    composer = window.panel.get_by_role("textbox", name="Message Lowtide Ceramics")

    def page_is_at(number: int) -> None:
        page.wait_for_function("it => JSON.stringify(history.state) === JSON.stringify({ page: it })", arg=number)

    page.evaluate("history.pushState({ page: 1 }, '', '#tidings/shop')")
    window.has_unread(2)
    window.opens()
    expect(composer).to_be_visible()
    page.go_back()
    expect(window.panel.get_by_role("heading", name="Conversations")).to_be_visible()
    expect(composer).to_have_count(0)
    assert "Lowtide Ceramics" in window.focused()  # its row
    page.go_back()
    expect(window.panel).to_have_count(0)
    expect(window.button).to_be_focused()
    page_is_at(1)
    page.go_forward()  # to an entry whose panel is gone: it is stepped over
    page_is_at(1)
    expect(window.panel).to_have_count(0)
    window.opens()
    window.panel.get_by_role("button", name="Close messages").last.click()
    page_is_at(1)
    # The page goes on in the moment in which it closes the panel, and comes back.
    window.opens()
    page.evaluate("chat.close(); history.pushState({ page: 2 }, '', '#there')")
    expect(window.panel).to_have_count(0)
    page_is_at(2)
    page.go_back()
    page_is_at(1)
    assert "#tidings/shop" == page.evaluate("location.hash")
    page.evaluate("history.replaceState({ page: 1 }, '', '#mugs')")
    window.opens()
    page.reload()
    expect(window.button).to_be_visible()
    page_is_at(1)
    page.go_back()
    page.wait_for_function("history.state === null && location.hash === ''")


def test_in_a_page_that_is_written_from_the_right_the_corner_is_the_left_one(opens: Opens, visitor: Person) -> None:
    """In Arabic, with its digits, its words and its direction; `corner: "start"` is the other one."""
    window = opens(visitor, {"language": "ar"})
    box = box_of(window.button)
    assert (20, 60, 60, 760 - 60 - 20) == (box["x"], box["width"], box["height"], box["y"])
    window.button.click()
    assert 20 == box_of(window.page.get_by_role("dialog", name="الرسائل"))["x"]
    other = opens(visitor, {"language": "ar", "corner": "start"})
    assert 1000 - 60 - 20 == box_of(other.button)["x"]


def test_neither_do_rules_of_the_page_reach_in_nor_ours_out(opens: Opens, visitor: Person) -> None:
    """Each box and each style is what it was, though the page's rules are important; and so is all of the page."""
    bare = opens(visitor, {"view": "launcher", "user": None})  # nobody, and nowhere to sign in: nothing is shown
    window = opens(visitor)
    window.has_unread(2)
    window.opens()
    expect(window.panel.get_by_role("article").filter(has_text="The third one")).to_be_visible()
    expect(window.panel.locator(".tidings-badge")).to_have_count(0)
    for each in (bare, window):
        each.page.locator("header strong").click()
    window.rests()
    for without, with_ours in zip(bare.page.evaluate(OUTSIDE), window.page.evaluate(OUTSIDE), strict=True):
        assert [] == [f"{a}, not {b}" for a, b in zip(without, with_ours, strict=True) if a != b]
    before = window.page.evaluate(INSIDE)
    window.page.evaluate(WEAR, "/files/hostile.css")
    assert before == window.page.evaluate(INSIDE)
    assert len(before) > 60
    assert 0 == window.page.evaluate("document.adoptedStyleSheets.length")


def test_two_views_of_a_page_have_one_stream_and_leave_nothing(opens: Opens, host: Host, visitor: Person) -> None:
    """A conversation in the page and a launcher; each shows what comes, and the last one that goes ends the stream."""
    window = opens(visitor)
    page = window.page
    window.has_unread(2)
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if "/sse/" in request.url else None)
    page.on("framenavigated", lambda _: streams.clear())
    page.reload()
    page.evaluate(
        """() => {
            const place = document.getElementById("place");
            window.other = mount(place, { url: "/api/message", view: "conversation", with: "shop" });
        }"""
    )
    expect(page.get_by_text("The third one")).to_be_visible()
    page.evaluate("document.querySelector('#place').scrollIntoView()")
    window.has_unread(0)  # it was read in the page
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    host.person("shop").sends(visitor, "And a third.")
    window.has_unread(1)
    expect(page.get_by_text("And a third.")).to_be_attached()
    assert 1 == len(streams)
    assert [0, 1] == page.evaluate("unread.slice(-2)")
    with page.expect_event("requestfailed", lambda request: "/sse/" in request.url):
        page.evaluate("() => { other.unmount(); chat.unmount(); }")
    assert 0 == page.locator("[data-tidings]").count()


def test_nobody_is_led_to_the_sign_in_and_is_there_when_they_come_back(opens: Opens, visitor: Person) -> None:
    """The button leads to the page's sign-in; somebody who signed in in another tab finds their messages."""
    window = opens(None, {"signIn": f"/sign-in/{visitor}"})
    button = window.page.get_by_role("button", name="Sign in to your messages")
    expect(button).to_be_visible()
    button.click()
    expect(window.page.get_by_text("You are signed in.")).to_be_visible()
    window.page.go_back()
    window.has_unread(2)


def test_a_badge_ends_at_99_and_what_comes_is_said(opens: Opens, host: Host, visitor: Person) -> None:
    """The name has the whole number; a message that comes while the panel is closed is told by a polite region."""
    seller = host.person("shop")
    for number in range(119):
        seller.sends(visitor, f"Message {number}")
    window = opens(visitor)
    window.has_unread(121)
    expect(window.button).to_have_text("99+")
    said = window.page.locator(".tidings-launcher > [role=status]")
    expect(said).to_have_text("")
    seller.sends(visitor, "One more")
    expect(said).to_have_text("122 unread messages")
    expect(said).to_have_attribute("aria-live", "polite")


def test_a_link_of_the_list_opens_its_conversation_in_another_window(opens: Opens, host: Host, visitor: Person) -> None:
    """The list has an address for each; the page that is opened by it shows that conversation."""
    host.person("gallery").sends(visitor, "The exhibition opens on Friday.")
    window = opens(visitor)
    window.has_unread(3)
    window.opens()
    link = window.panel.get_by_role("link").filter(has_text="Gallery")
    window.page.goto(f"{host.url}/{link.get_attribute('href')}")
    expect(window.panel.get_by_role("textbox", name="Message Gallery")).to_be_visible()
    # A link of the page's own, in this window: the first time, and again after the panel was closed.
    window.page.evaluate(
        """() => {
            const link = document.createElement("a");
            document.body.prepend(Object.assign(link, { href: "#tidings/shop", textContent: "Ask the seller" }));
            scrollTo(0, 0);
        }"""
    )
    for _ in range(2):
        window.page.get_by_role("link", name="Ask the seller").click()
        expect(window.panel.get_by_role("textbox", name="Message Lowtide Ceramics")).to_be_visible()
        window.page.keyboard.press("Escape")
        expect(window.panel).to_have_count(0)


def test_colours_and_movement_are_the_user_s(opens: Opens, visitor: Person) -> None:
    """Nothing moves where that is wanted; with forced colours edges stand where grounds were; a theme can be fixed."""
    window = opens(visitor, {"theme": "dark"}, color_scheme="light", reduced_motion="reduce", forced_colors="active")
    window.has_unread(2)
    window.button.click()
    assert [] == window.panel.evaluate("it => it.getAnimations({ subtree: true })")
    assert "1px" == window.panel.evaluate("it => getComputedStyle(it).borderTopWidth")
    assert "1px" == window.button.evaluate("it => getComputedStyle(it).borderTopWidth")
    window.page.emulate_media(forced_colors="none")
    assert "dark" == window.panel.evaluate("it => getComputedStyle(it).colorScheme")


def test_the_snippets_of_the_document_show_what_they_say(host: Host, opens: Opens, visitor: Person) -> None:
    """Pasted into a page, or into a template of Django's or Jinja's: a launcher, a conversation with the seller."""
    document = (ROOT / "docs" / "embed" / "plain-page.md").read_text(encoding="utf-8")
    snippets = dict(re.findall(r"^```html ?(\w*)\n(.*?)^```$", document, re.MULTILINE | re.DOTALL))
    user = SimpleNamespace(id=str(visitor), pk=str(visitor))
    seller = SimpleNamespace(pk="painter", get_full_name="Ines Painter")
    other = SimpleNamespace(id="painter", name="Ines Painter")
    jinja = Environment(autoescape=True).from_string(snippets["jinja"])
    django = Engine().from_string(snippets["django"])
    pages = {
        "plain": snippets[""],
        "django": django.render(Context({"user": user, "seller": seller})),
        "django-nobody": django.render(Context({"user": SimpleNamespace(pk=None), "seller": seller})),
        "jinja": jinja.render(user=user, url_for="/{}".format),
        "jinja-seller": jinja.render(user=user, seller=other, url_for="/{}".format),
        "jinja-nobody": jinja.render(user=None, url_for="/{}".format),
    }
    window = opens(visitor)
    page = window.page

    def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        route.fulfill(content_type="text/html", body=f"<!doctype html><title>{name}</title><body>{pages[name]}</body>")

    page.route("**/snippets/*", serve)
    page.goto(f"{host.url}/snippets/plain")
    window.has_unread(2)
    page.goto(f"{host.url}/snippets/django")
    expect(page.get_by_role("textbox", name="Message Ines Painter")).to_be_visible()  # a stranger, by name
    assert 36 * 16 == page.locator(".tidings-screen").evaluate("it => it.offsetHeight")
    page.goto(f"{host.url}/snippets/django-nobody")
    expect(page.get_by_text("Sign in to your messages")).to_be_visible()
    page.goto(f"{host.url}/snippets/jinja")
    window.has_unread(2)
    page.goto(f"{host.url}/snippets/jinja-seller")
    window.has_unread(2)
    window.opens()
    expect(window.panel.get_by_role("textbox", name="Message Ines Painter")).to_be_visible()
    page.route("**/sign_in?*", lambda route: route.fulfill(body="Who are you?"))
    page.goto(f"{host.url}/snippets/jinja-nobody")
    page.get_by_role("button", name="Sign in to your messages").click()
    page.wait_for_url(f"{host.url}/sign_in?next=%2Fsnippets%2Fjinja-nobody")
