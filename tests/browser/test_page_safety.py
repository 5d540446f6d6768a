"""Text of others is text: it never becomes HTML, does not reorder what is around it, and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from lab.browser.chromium import features_off
from lab.demo import Demo
from lab.host import Host
from lab.node import Node
from tests.browser.named_host import NAMES, SECRET
from tests.browser.window import Window

HOSTILE = [
    "<img src=x onerror=\"document.title='pwned'\">",
    "<script>document.title='pwned'</script>",
    "<svg/onload=document.title='pwned'>",
    "</div></li></ol><h1>Out of the list</h1>",
    "&lt;b&gt; &amp;amp; &#60;i&#62;",
    "{{constructor.constructor('document.title=1')()}}",
    "javascript:document.title='pwned'",
    "https://example.invalid/\"onmouseover=\"document.title='pwned'",
    "invoice \u202efdp.exe and \u2066isolated, never closed",
    "a\u0000b".replace("\u0000", "\ufeff") + "\u200d\u200b zero\u2028width\u0085line",
]
HOSTILE_IDS = ["<img src=x onerror=alert(1)>", "\u202enimda", '"><script>alert(1)<script>']


@pytest.fixture
def attacked(demo: Demo, profile: Callable[[], BrowserContext]) -> Iterator[Window]:
    """A window that listens for dialogs, too."""
    window = Window(profile())

    def dialog_opened(dialog: object) -> None:
        window.complaints.append(f"a dialog: {dialog}")

    window.page.on("dialog", dialog_opened)
    yield window
    assert [] == window.complaints
    assert "pwned" not in window.page.title()
    assert 0 == window.page.locator("script:not([src]), iframe, [onerror], [onload], [onmouseover]").count()


# shows: security/html
def test_hostile_texts_are_shown_as_they_were_written(demo: Demo, attacked: Window) -> None:
    """Character by character, in the list and in the conversation; nothing but web addresses becomes an element."""
    for text in HOSTILE:
        demo.sends("mallory", "victim", text)
    attacked.page.goto(f"{demo.url}/?as=victim")
    expect(attacked.entry("mallory").locator(".tidings-entry-text")).to_contain_text("zero")

    attacked.chooses("mallory")
    expect(attacked.messages).to_have_count(len(HOSTILE))

    assert HOSTILE == attacked.texts
    links = attacked.page.locator(".tidings-words a")
    assert ["https://example.invalid/"] == [link.get_attribute("href") for link in links.all()]
    assert 0 == attacked.page.locator(".tidings-words :not(a)").count()
    expect(attacked.page.get_by_role("heading", name="Out of the list")).to_have_count(0)


def test_direction_marks_do_not_leave_their_text(demo: Demo, attacked: Window) -> None:
    """A text that overrides the direction of writing is isolated from the time and the names beside it."""
    demo.sends("\u202enimda", "turned", "\u202efdp.exe \u2067 left open")
    attacked.page.goto(f"{demo.url}/?as=turned")
    attacked.chooses("\u202enimda")
    expect(attacked.messages).to_have_count(1)

    for place in (".tidings-text", ".tidings-header h2 > *", ".tidings-entry-name > *", ".tidings-entry-text > *"):
        direction = attacked.page.locator(place).first.evaluate("each => getComputedStyle(each).unicodeBidi")
        assert direction in ("isolate", "plaintext", "isolate-override"), place


# shows: security/html
@pytest.mark.parametrize("user_id", HOSTILE_IDS)
def test_hostile_user_ids_are_only_names(user_id: str, demo: Demo, attacked: Window) -> None:
    """As the other person in the list, the header, the title and the field; and as one's own."""
    demo.sends(user_id, f"friend of {user_id}", "hello")
    attacked.page.goto(f"{demo.url}/?as=friend%20of%20" + "".join(f"%{byte:02X}" for byte in user_id.encode()))
    attacked.chooses(user_id)
    attacked.shows("hello")
    attacked.says("hello yourself")
    attacked.ticks("hello yourself", "Sent")

    expect(attacked.page.locator(".tidings-header h2")).to_have_text(user_id)
    in_sentence = f"\u2068{user_id[1:]}\u2069" if user_id.startswith("\u202e") else user_id
    expect(attacked.composer).to_have_attribute("placeholder", f"Message {in_sentence}")
    expect(attacked.page).to_have_title(f"{in_sentence} · Tidings")
    assert 0 == attacked.page.locator("img").count()


class NamedHost(Host):
    """`named_host.py`, whose people have tokens."""

    def token(self, user_id: str, **_: object) -> str:
        return Node.token(self, user_id, secret=SECRET)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NamedHost]:
    host = NamedHost(tmp_path_factory.mktemp("named"), "named_host:app", source=Path(__file__).parent)
    host.start()
    yield host
    host.kill()


# shows: security/html
def test_hostile_names_are_only_names(named: NamedHost, attacked: Window) -> None:
    """A name that a host tells is only a name: in the list, header, field, title, panel and notes."""
    victim = named.person("victim")
    for peer in NAMES:
        named.person(peer).sends(victim, f"hello from {peer}")
    attacked.page.goto(f"{named.url}/#token={victim.token}")
    expect(attacked.conversations.get_by_role("link")).to_have_count(len(NAMES))

    for peer, name in NAMES.items():
        in_sentence = re.compile(re.escape(re.sub("[\u202a-\u202e\u2066-\u2069]", "", name)))
        attacked.goes_to(peer)
        attacked.is_connected()
        attacked.shows(f"hello from {peer}")
        expect(attacked.page.locator(".tidings-header h2")).to_have_text(name)
        expect(attacked.page.locator(".tidings-entry-name").get_by_text(name, exact=True)).to_have_count(1)
        expect(attacked.composer).to_have_attribute("placeholder", in_sentence)
        expect(attacked.page).to_have_title(in_sentence)
        attacked.page.get_by_role("button", name="More about").click()
        attacked.page.get_by_role("menuitem", name="Block").click()
        panel = attacked.page.locator(".tidings-panel")
        expect(panel.locator("p").first).to_contain_text(in_sentence)
        panel.get_by_role("button", name="Cancel").click()
    expect(attacked.page.get_by_role("heading", name="Out of the list")).to_have_count(0)


# shows: security/content-policy
def test_the_page_is_served_with_a_policy_that_allows_nothing_foreign(demo: Demo, attacked: Window) -> None:
    """Scripts, styles and requests of the page's own origin only, and no frame around it.

    The demo's page may reach the demo's control, too; that `serve`'s may not is in tests/server/test_demo.py.
    """
    with urlopen(demo.url) as answer:
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert "'none'" == policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"]
    assert "'self'" == policy["script-src"] == policy["style-src"]
    assert f"'self' {demo.control['url']}" == policy["connect-src"]

    attacked.page.goto(f"{demo.url}/?as=ada#/ben")
    attacked.is_connected()
    blocked = attacked.page.evaluate(
        """() => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "document.title = 'pwned'";
            document.body.append(script);
            script.remove();
        })"""
    )

    assert re.match("script-src", blocked)
    [complaint] = attacked.complaints
    assert "Content Security Policy" in complaint
    attacked.complaints.clear()


def test_what_playwright_switches_off_stays_off(chromium: Browser) -> None:
    """Of two lists Chromium takes the last one, which is ours: it holds all of Playwright's."""
    theirs, ours = features_off(chromium)
    assert set() == theirs - ours
    assert "WebUIOmniboxPopup" in ours - theirs
