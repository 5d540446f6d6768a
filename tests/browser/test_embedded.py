"""A conversation in somebody's page, with the published package: keys, menu, what is copied, dropped, printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lab.host import Host
from lab.node import Person
from tests.browser.embedding import embedded
from tests.browser.window import Window, box_of

DROPPED = """() => {
    const screen = document.querySelector(".tidings-screen");
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(["x"], "x.txt"));
    return ["dragover", "drop"].map((type) =>
        !screen.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true })));
}"""
"""Whether the page keeps the browser from opening the file."""

KEY_MS = """(element) => new Promise((resolve) => {
    const times = [];
    element.focus();
    const key = () => {
        const from = performance.now();
        document.execCommand("insertText", false, "x");
        element.getBoundingClientRect();
        requestAnimationFrame(() => setTimeout(() => {
            times.push(performance.now() - from);
            if (times.length < 9) key();
            else resolve(Math.min(...times));
        }));
    };
    key();
})"""
"""A key until it is drawn: the fastest of nine, which a busy machine has left alone."""


PASTE_MS = """(element) => {
    const text = "lorem ipsum ".repeat(80000);
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    element.focus();
    const times = [1, 2, 3].map(() => {
        document.execCommand("selectAll");
        document.execCommand("delete");
        const from = performance.now();
        element.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
        document.execCommand("insertText", false, text);
        element.getBoundingClientRect();
        return performance.now() - from;
    });
    return Math.min(...times);
}"""
"""A megabyte is pasted: the page is told, then the browser puts it in; the fastest of three."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with embedded(tmp_path_factory.mktemp("embedded") / "host") as host:
        yield host


@pytest.fixture
def pair(host: Host, request: pytest.FixtureRequest) -> tuple[Person, Person]:
    """Two who have written to each other."""
    name = "".join(letter for letter in request.node.name if letter.isalnum())[:60]
    ada, ben = host.person(f"ada-{name}"), host.person(f"ben-{name}")
    ada.sends(ben, "Hello Ben")
    ben.sends(ada, "Hello *Ada*")
    ada.receipts(ben, read_upto=2)
    return ada, ben


def opened(context: BrowserContext, host: Host, pair: tuple[Person, Person], more: str = "") -> Window:
    window = Window(context)
    window.page.goto(f"{host.url}/?as={pair[0]}&with={pair[1]}{more}")
    expect(window.page.get_by_text("Hello Ben")).to_be_visible()
    return window


def test_the_menu_of_a_message_opens_beside_it(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """With the published stylesheet, whose every declaration is important."""
    window = opened(profile(), host, pair)
    message = window.messages.last
    message.focus()
    window.page.keyboard.press("Enter")
    menu = window.page.get_by_role("menu")
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    at, bubble = box_of(menu), box_of(message.locator(".tidings-bubble"))
    assert at["x"] == pytest.approx(bubble["x"], abs=2)
    beside = (bubble["y"] + bubble["height"], bubble["y"] - at["height"])
    assert min(abs(at["y"] - each) for each in beside) < 10


@pytest.mark.parametrize("where", ["element", "form", "shadow"])
def test_text_in_the_composer_submits_nothing_of_the_host(
    where: str, host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """Not by Enter, not by Send, not by a report, though React has it below the host's form; and the keys end here."""
    window = opened(profile(), host, pair, f"&in={where}")
    page = window.page
    page.get_by_role("textbox", name="Message").fill("By Enter")
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Message").fill("By the button")
    page.get_by_role("button", name="Send", exact=True).click()
    window.shows("Hello Ben", "Hello Ada", "By Enter", "By the button")
    assert 0 == page.locator(".tidings form, .tidings button:not([type=button])").count()
    if where == "form":
        expect(page.locator("output")).to_have_text("0")


def test_on_a_phone_enter_begins_a_line_and_the_button_sends(
    host: Host, pair: tuple[Person, Person], chromium: Browser
) -> None:
    """As the pointer is: with a mouse Enter sends."""
    context = chromium.new_context(viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
    window = opened(context, host, pair)
    window.composer.fill("One")
    window.composer.press("Enter")
    window.composer.press_sequentially("two")
    expect(window.composer).to_have_value("One\ntwo")
    assert "enter" == window.composer.get_attribute("enterkeyhint")
    window.page.get_by_role("button", name="Send", exact=True).click()
    window.shows("Hello Ben", "Hello Ada", "One\ntwo")
    context.close()


def test_a_file_that_is_dropped_does_not_take_the_place_of_the_page(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """Nor of what is written there."""
    assert [True, True] == opened(profile(), host, pair).page.evaluate(DROPPED)


def test_placeholders_shimmer_unless_motion_is_not_wanted(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """With the published stylesheet too, whose important declarations are stronger than an animation."""
    page = profile().new_page()
    page.route(f"**/api/message/{pair[1]}?*", lambda _route: None)  # a history that does not come
    page.goto(f"{host.url}/?as={pair[0]}&with={pair[1]}")
    placeholder = page.locator(".tidings-skeleton > span").first
    place = "it => getComputedStyle(it).backgroundPositionX"
    before = placeholder.evaluate(place)
    page.wait_for_function(
        "before => getComputedStyle(document.querySelector('.tidings-skeleton > span')).backgroundPositionX !== before",
        arg=before,
    )
    page.emulate_media(reduced_motion="reduce")
    assert [] == placeholder.evaluate("it => it.getAnimations()")


def test_a_copy_of_several_messages_names_their_writers(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """Each text as it was typed, with its writer; no ticks, no unseen words. Of one message, its words alone."""
    page = opened(profile(), host, pair).page
    page.evaluate(
        """() => document.addEventListener("copy", (event) => {
            window.copied = event.clipboardData.getData("text/plain");
        })"""
    )

    def copied(select: str) -> str:
        page.evaluate(select)
        page.keyboard.press("Control+C")
        text: str = page.evaluate("window.copied || getSelection().toString()")
        return text

    lines = copied("getSelection().selectAllChildren(document.querySelector('.tidings-list'))").split("\n")
    assert "Today" == lines[0]
    said = [re.sub(r"(?<=, )[^:]*:[^:]*(?=:)", "", line) for line in lines[1:]]
    assert ["You, : Hello Ben", f"{pair[1]}, : Hello *Ada*"] == said
    page.evaluate("window.copied = ''")
    assert "Hello Ben" == copied("getSelection().selectAllChildren(document.querySelector('.tidings-message'))").strip()


def test_all_that_is_loaded_is_printed(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """Not what the window of the list has just now; and the list is as it was when it is done."""
    ada, ben = pair
    for number in range(300):
        ada.sends(ben, f"Message {number}")
    window = opened_at_end(profile(), host, pair, "Message 299")
    page = window.page
    page.evaluate("() => window.chat.conversation(new URLSearchParams(location.search).get('with')).loadOlder(1000)")
    assert page.locator("article").count() <= 250
    printed = page.evaluate(
        """async () => {
            dispatchEvent(new Event("beforeprint"));
            await null;
            await null;
            return document.querySelectorAll("article").length;
        }"""
    )
    assert 302 == printed
    page.emulate_media(media="print")
    heights = page.evaluate(
        "['.tidings-screen', '.tidings-list'].map(each => document.querySelector(each).offsetHeight)"
    )
    assert heights[0] >= heights[1] > 302 * 20
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator("article").first).not_to_contain_text("Hello Ben")


def opened_at_end(context: BrowserContext, host: Host, pair: tuple[Person, Person], text: str) -> Window:
    window = Window(context)
    window.page.goto(f"{host.url}/?as={pair[0]}&with={pair[1]}")
    expect(window.page.get_by_text(text, exact=True)).to_be_visible()
    return window


def test_home_leads_to_the_first_message_that_there_is(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """However far back that is, and though it was not loaded."""
    ada, ben = pair
    for number in range(400):
        ada.sends(ben, f"Message {number}")
    window = opened_at_end(profile(), host, pair, "Message 399")
    window.messages.last.focus()
    window.page.keyboard.press("Home")
    expect(window.messages.filter(has_text="Hello Ben")).to_be_focused()


@pytest.mark.parametrize(("width", "height"), [(320, 256), (844, 200)])
def test_with_seven_lines_messages_and_the_whole_button_remain(
    width: int, height: int, host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """At 400 % of 1280 px, and on a phone that lies on its side above its keyboard."""
    window = opened(profile(), host, pair)
    page = window.page
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("document.getElementById('place').style.height = '100dvh'")
    window.composer.fill("\n".join("seven!!"))
    parts = (".tidings-scroll", ".tidings-send", ".tidings-screen")
    thread, send, screen = (box_of(page.locator(part)) for part in parts)
    assert thread["height"] >= 60
    assert send["y"] + send["height"] <= screen["y"] + screen["height"] == height


def test_a_long_name_makes_an_empty_composer_no_higher(host: Host, profile: Callable[[], BrowserContext]) -> None:
    """Its placeholder is one line."""
    ada, ben = host.person("ada-high"), host.person("ben-high")
    long = host.person("a very long name of somebody " * 3 + "else")
    heights = []
    for peer in (ben, long):
        ada.sends(peer, "Hello Ben")
        heights.append(box_of(opened(profile(), host, (ada, peer)).composer)["height"])
    assert heights[0] == heights[1]


def test_tab_does_not_lead_to_links_that_are_folded_away(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """Unfolded, it does."""
    pair[0].sends(pair[1], "https://a.example/first\n" + "line\n" * 20 + "https://a.example/last")
    window = opened(profile(), host, pair)
    links = window.page.locator(".tidings-words a")
    assert [0, -1] == [links.nth(at).evaluate("link => link.tabIndex") for at in (0, 1)]
    window.page.get_by_role("button", name="Show more").click()
    expect(window.page.get_by_role("button", name="Show less")).to_be_visible()
    assert [0, 0] == [links.nth(at).evaluate("link => link.tabIndex") for at in (0, 1)]


def test_a_key_in_a_long_text_costs_what_it_costs_in_a_plain_field(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """A paste of one word: the same order as in a textarea beside it, in the same page."""
    window = opened(profile(), host, pair)
    page: Page = window.page
    page.evaluate(
        """() => {
            const plain = document.body.appendChild(document.createElement("textarea"));
            plain.id = "plain";
            plain.value = "x".repeat(2 ** 18);
            plain.style.cssText = "width: 600px; height: 8rem; font: 16px sans-serif";
        }"""
    )
    window.composer.fill("x" * 2**18)
    plain = page.locator("#plain").evaluate(KEY_MS)
    ours = window.composer.evaluate(KEY_MS)
    print(f"a key: {ours:.0f} ms, in a plain field {plain:.0f} ms")
    assert ours < 4 * plain + 100


def test_a_megabyte_is_pasted_as_fast_as_into_any_field(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """The direction of each of its lines would take the browser seconds; both are measured in the same page."""
    window = opened(profile(), host, pair)
    bare = window.page.evaluate_handle("""() => {
        const field = document.createElement("textarea");
        field.style.cssText = "inline-size: 400px; block-size: 150px";
        return document.body.appendChild(field);
    }""").as_element()
    assert bare is not None
    floor = bare.evaluate(PASTE_MS)
    bare.evaluate("element => element.remove()")
    ours = window.composer.evaluate(PASTE_MS)
    assert ours < 3 * floor + 300


def test_text_that_scrolls_out_of_the_composer_ends_at_its_padding(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """Not at the round corner of its card. At 400 % a page of 1280 by 1024 px has 320 by 256."""
    window = opened(profile(), host, pair)
    window.page.set_viewport_size({"width": 320, "height": 256})

    def edge(line: str) -> bytes:
        """Return the upper 4 px of the field, where lines of this have been scrolled."""
        window.composer.fill(f"{line}\n" * 10)
        window.composer.evaluate("element => { element.scrollTop = 60 }")
        box = box_of(window.composer)
        return window.page.screenshot(clip={"x": box["x"], "y": box["y"], "width": 60, "height": 4})

    assert edge(".") == edge("\u2588\u2588")


def test_a_name_with_nothing_below_it_stands_in_the_middle(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """Where it is not known what the other one does; with a status, the two lines stand there together."""
    window = opened(profile(), host, pair)
    page = window.page
    middle = """selector => {
        const { top, height } = document.querySelector(selector).getBoundingClientRect();
        return top + height / 2;
    }"""
    expect(page.locator(".tidings-status")).to_have_attribute("data-is", "")
    window.is_waiting_for(
        lambda: abs(page.evaluate(middle, ".tidings-header h2") - page.evaluate(middle, ".tidings-header")) <= 1.5,
        "the name is in the middle",
    )


def test_a_build_for_use_tells_nothing_on_the_console(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """Not even where the element around the screen has no height, as in development (test_screen_list.py)."""
    window = Window(profile())
    window.page.clock.install()
    window.page.goto(f"{host.url}/?as={pair[0]}&with={pair[1]}")
    expect(window.page.get_by_text("Hello Ben")).to_be_visible()
    around = "document.querySelector('.tidings-screen').parentElement"
    window.page.evaluate(f"{around}.style.height = 'auto'")
    window.page.clock.run_for(5000)
    assert [] == [each for each in window.complaints if "ChatScreen" in each]
