"""Read means seen: what lies out of the window, or is hidden, covered or faded there, is read by nobody.

The page's clock is ours: the seconds in which nothing may become read pass at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Frame, Page, expect

from lab.browser.chromium import LAN_NAME
from lab.host import Host
from lab.node import Person
from tests.browser.embedding import embedded
from tests.browser.window import Window

AWAY = {
    "below-the-fold": "place.style.marginTop = '3000px'",
    "in-a-drawer-off-the-screen": "Object.assign(place.style, { position: 'fixed', left: '100%', width: '400px' })",
    "in-a-drawer-moved-off-the-screen": """Object.assign(place.style,
        { position: 'fixed', right: 0, width: '400px', transform: 'translateX(110%)' })""",
    "in-a-parent-of-no-height": "Object.assign(page.style, { height: 0, overflow: 'hidden' })",
    "on-a-slide-that-is-scrolled-away": """Object.assign(page.style, { height: '500px', overflow: 'auto' });
        place.style.marginBottom = '2000px'; page.scrollTop = 1000""",
    "display-none": "page.style.display = 'none'",
    "visibility-hidden": "page.style.visibility = 'hidden'",
    "content-visibility-hidden": "page.style.contentVisibility = 'hidden'",
    "opacity-0": "page.style.opacity = 0",
    "two-faint-layers": "page.style.opacity = 0.3; place.style.opacity = 0.3",
    "filtered-away": "page.style.filter = 'opacity(0)'",
    "clipped-away": "page.style.clipPath = 'inset(100%)'",
    "clipped-by-an-old-rule": "Object.assign(page.style, { position: 'absolute', clip: 'rect(0, 0, 0, 0)' })",
    "shrunk-to-nothing": "page.style.transform = 'scale(0)'",
    "covered-by-a-modal-dialog": "add('dialog').showModal()",
    "covered-by-an-overlay": "add('div').style.cssText = 'position: fixed; inset: 0; background: white; z-index: 9'",
    "inert": "page.inert = true",
}
BACK = {
    "on-a-slide-that-is-scrolled-away": "page.scrollTop = 0",
    "covered-by-a-modal-dialog": "added.remove()",
    "covered-by-an-overlay": "added.remove()",
    "inert": "page.inert = false",
}
"""What undoes it; else the styles are taken away."""

PREPARE = """code => {
    const page = document.getElementById('page');
    const place = document.getElementById('place');
    const add = (name) => (window.added = document.body.appendChild(document.createElement(name)));
    Function('page', 'place', 'add', code)(page, place, add);
}"""
UNDO = "page.removeAttribute('style'); place.removeAttribute('style')"

DRAWN = """() => new Promise((resolve) => {
    let left = 2;
    const next = () => new IntersectionObserver(([entry], observer) => {
        observer.disconnect();
        left -= 1;
        if (left === 0) resolve();
        else next();
    }).observe(document.body);
    next();
})"""
"""Until every observer of intersections has been told what there is."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with embedded(tmp_path_factory.mktemp("embedded") / "host") as host:
        yield host


@pytest.fixture
def pair(host: Host, request: pytest.FixtureRequest) -> tuple[Person, Person]:
    """Two who have written to each other."""
    name = "".join(letter for letter in request.node.name if letter.isalnum())
    ada, ben = host.person(f"ada-{name}"), host.person(f"ben-{name}")
    ada.sends(ben, "Hello Ben")
    ben.sends(ada, "Hello Ada")
    ada.receipts(ben, read_upto=2)
    return ada, ben


def opened(context: BrowserContext, host: Host, pair: tuple[Person, Person], more: str = "") -> Window:
    ada, ben = pair
    window = Window(context)
    window.page.clock.install()
    window.page.goto(f"{host.url}/?as={ada}&with={ben}{more}")
    expect(window.page.get_by_text("Hello Ada")).to_be_visible()
    return window


def does(page: Page | Frame, code: str) -> None:
    page.evaluate(PREPARE, code)


def is_read(pair: tuple[Person, Person]) -> bool:
    """Whether Ben is told that Ada has read his last message."""
    ada, ben = pair
    history = ben.history(ada)
    return bool(history["messages"][-1]["read"])


def nothing_is_read(window: Window, pair: tuple[Person, Person], frame: Frame | None = None) -> None:
    """The message is in the document, and after some seconds it is not read."""
    page = window.page
    # Asked from outside: in a frame that is hidden the browser draws nothing, and calls nobody at its next drawing.
    loaded = "id => window.chat.conversation(id).getSnapshot().messages.length"
    window.is_waiting_for(lambda: (frame or page).evaluate(loaded, pair[1].id) == 3, "the message is there")
    page.evaluate(DRAWN)
    page.clock.run_for(5000)
    page.evaluate(DRAWN)
    page.clock.run_for(5000)
    assert not is_read(pair)


def becomes_read(window: Window, pair: tuple[Person, Person]) -> None:
    window.is_waiting_for(lambda: is_read(pair), "Ben is told that it was read")


@pytest.mark.parametrize("away", AWAY)
def test_a_message_that_nobody_can_see_is_not_read(
    away: str, host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """The page has the focus and is visible, the message is in its document; once it can be seen, it is read."""
    window = opened(profile(), host, pair)
    does(window.page, AWAY[away])
    pair[1].sends(pair[0], "Do you see me?")
    nothing_is_read(window, pair)
    does(window.page, BACK.get(away, UNDO))
    becomes_read(window, pair)


def test_a_layer_over_a_shadow_root_covers_its_contents(
    host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """A widget in a shadow root is read where it can be seen, and only there."""
    window = opened(profile(), host, pair, "&in=shadow")
    does(window.page, AWAY["covered-by-an-overlay"])
    pair[1].sends(pair[0], "Do you see me?")
    nothing_is_read(window, pair)
    does(window.page, BACK["covered-by-an-overlay"])
    becomes_read(window, pair)


@pytest.mark.parametrize("away", ["below-the-fold", "visibility-hidden", "opacity-0", "covered-by-an-overlay"])
@pytest.mark.parametrize("origin", ["same", "other"])
def test_a_message_in_a_frame_that_nobody_sees_is_not_read(
    origin: str, away: str, host: Host, pair: tuple[Person, Person], profile: Callable[[], BrowserContext]
) -> None:
    """The page in the frame has the focus; what hides the frame is in the page around it, whatever its origin."""
    ada, ben = pair
    window = Window(profile())
    page = window.page
    around = host.url if origin == "same" else host.url.replace("127.0.0.1", LAN_NAME)
    page.goto(f"{around}/frame.html?of=about:blank")
    page.clock.install()
    page.evaluate("url => { document.getElementById('place').src = url }", f"{host.url}/?as={ada}&with={ben}")
    inside = page.frame_locator("#place")
    expect(inside.get_by_text("Hello Ada")).to_be_visible()
    frame = page.frames[1]
    inside.get_by_role("textbox").focus()
    does(page, AWAY[away])
    assert frame.evaluate("document.hasFocus()") or away == "visibility-hidden"
    ben.sends(ada, "Do you see me?")
    nothing_is_read(window, pair, frame)
    does(page, BACK.get(away, UNDO))
    inside.get_by_role("textbox").focus()
    becomes_read(window, pair)
