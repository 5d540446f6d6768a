"""Every state of the page can be seen and used with bad eyes, a keyboard, a narrow window or large letters.

Each state is reached once, by real means (states.py), and looked at in both themes, wide and narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.states import SIZES, SLOW, STATES, Scene, Studio, Tour

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
LOOK = Path(__file__).with_name("look.js")
NARROW = (320, 640)
ZOOMED = (640, 400)
"""1280 x 800 at 200 %."""

PASSING = {"back-online"}
"""Stands for three seconds: too short for all looks. Its colours are computed where they are defined, below."""

ORDER = sorted([name for name in STATES if name not in PASSING], key=SLOW.__contains__)


@pytest.fixture(scope="module")
def tour(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    with Studio(chromium, tmp_path_factory.mktemp("look")) as studio:
        yield Tour(studio, "desktop")


@pytest.fixture(scope="module")
def begun(tour: Tour) -> Tour:
    """The slow states are under way."""
    tour.begin(STATES)
    return tour


def equipped(page: Page) -> Page:
    """With axe and our own checks in it, and with a keyboard in use."""
    for script in (AXE, LOOK):
        page.evaluate(script.read_text())
    page.keyboard.press("Shift")
    return page


def sized(page: Page, size: tuple[int, int]) -> None:
    """A window of this size, in which the list has found its place again."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    drawn(page)


def drawn(page: Page) -> None:
    """An observer of the size has moved its elements."""
    page.evaluate("async () => { for (let frame = 0; frame < 4; frame += 1) await new Promise(requestAnimationFrame) }")


@pytest.mark.parametrize("name", ORDER)
def test_every_state_can_be_seen_and_used_by_everybody(begun: Tour, name: str) -> None:
    """Seen with both themes, wide and narrow, at 320 px, at 200 %, and with letters twice as large.

    axe finds nothing. Text has 4.5 to 1, drawings, edges and focus rings have 3 to 1, computed by us. Controls have
    40 px. Nothing is cut, nothing scrolls sideways. The element that has the focus is in sight. Nothing moves that
    should not.
    """
    with begun.state(name) as scene:
        page = equipped(scene.window.page)
        seen: dict[str, list[str]] = {}
        computed = {"texts": 0, "rings": 0}
        for device, size in SIZES.items():
            sized(page, size)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                scene.refresh()
                # Of axe's rules only contrast sees the theme; each state still meets both themes and both devices.
                if (device, scheme) in (("desktop", "light"), ("phone", "dark")):
                    seen[f"axe, {device}, {scheme}"] = page.evaluate("look.axe()")
                contrast, focus = page.evaluate("look.contrast()"), page.evaluate("look.focus()")
                seen[f"contrast, {device}, {scheme}"] = contrast["found"]
                seen[f"focus, {device}, {scheme}"] = focus["found"]
                computed["texts"] += contrast["texts"]
                computed["rings"] += focus["rings"]
            seen[f"targets, {device}"] = page.evaluate("look.targets()")
            seen[f"cut, {device}"] = page.evaluate("look.cut()")
        for what, size in (("at 320 px", NARROW), ("at 200 %", ZOOMED)):
            sized(page, size)
            seen[f"cut, {what}"] = page.evaluate("look.cut()")
        sized(page, SIZES["desktop"])
        page.evaluate("() => { document.documentElement.style.fontSize = '200%' }")
        drawn(page)
        seen["cut, large letters"] = page.evaluate("look.cut()")
        page.emulate_media(reduced_motion="reduce")
        seen["moves"] = page.evaluate("document.getAnimations().map((each) => each.animationName ?? 'transition')")
        assert {} == {what: found for what, found in seen.items() if found}
        assert computed["texts"] > 0 < computed["rings"]


@pytest.fixture
def state(tour: Tour) -> Iterator[Callable[[str], Scene]]:
    """One more look at a state."""
    entered = []

    def enter(name: str) -> Scene:
        entered.append(tour.state(name))
        return entered[-1].__enter__()

    yield enter
    for each in entered:
        each.__exit__(None, None, None)


def test_the_checks_find_what_is_wrong(state: Callable[[str], Scene]) -> None:
    """Grey on grey, a tiny button, a line that is too wide, no ring, something that moves: each is found."""
    page = equipped(state("thread-of-the-demo").window.page)
    page.evaluate(
        """() => {
            const wrong = new CSSStyleSheet();
            wrong.replaceSync(`
                .tidings-bubble { color: #777 !important; background: #888 !important; white-space: pre !important }
                .tidings-send { inline-size: 20px !important; block-size: 20px !important; outline: 0 !important }
                .tidings-tick { color: #eee !important }
                .tidings-avatar { animation: tidings-typing 1s infinite !important }
                .tidings-header { inline-size: 2000px !important }
            `);
            document.adoptedStyleSheets = [wrong];
        }"""
    )
    page.get_by_role("textbox").fill("enables the button")
    contrast = page.evaluate("look.contrast()")["found"]
    assert any("text of" in each for each in contrast)
    assert any("path in" in each for each in contrast)
    assert any("tidings-send" in each for each in page.evaluate("look.targets()"))
    assert any("tidings-header" in each for each in page.evaluate("look.cut()"))
    assert any("no ring around button.tidings-send" in each for each in page.evaluate("look.focus()")["found"])
    assert any("color-contrast" in each for each in page.evaluate("look.axe()"))
    assert "tidings-typing" in page.evaluate("document.getAnimations().map((each) => each.animationName)")


def test_nothing_glides_where_motion_is_not_wanted(state: Callable[[str], Scene]) -> None:
    """The pill takes one to the end at once."""
    scene = state("pill")
    page = scene.window.page
    page.emulate_media(reduced_motion="reduce")
    left = page.locator(".tidings-pill").evaluate(
        """pill => {
            const list = document.querySelector(".tidings-scroll");
            pill.click();
            return list.scrollHeight - list.clientHeight - list.scrollTop;
        }"""
    )
    assert left <= 1


def test_with_forced_colours_shapes_tell_what_grounds_told(state: Callable[[str], Scene]) -> None:
    """Bubbles, pictures and buttons have edges, own bubbles a heavier one."""
    scene = state("thread")
    page = scene.window.page
    page.emulate_media(forced_colors="active")
    assert page.evaluate("matchMedia('(forced-colors: active)').matches")
    edges = page.evaluate(
        """() => Object.fromEntries(Object.entries({
            own: "[data-own=true] .tidings-bubble:not([data-emoji=true])",
            other: "[data-own=false] .tidings-bubble:not([data-emoji=true])",
            avatar: ".tidings-avatar", field: ".tidings-composer-card", send: ".tidings-send",
        }).map(([name, selector]) => {
            const style = getComputedStyle(document.querySelector(selector));
            return [name, style.borderTopStyle === "solid" ? parseFloat(style.borderTopWidth) : 0];
        }))"""
    )
    assert edges["own"] > edges["other"] >= 1
    assert min(edges.values()) >= 1
    chosen = page.locator(".tidings-entry[aria-current]")
    assert "solid" == chosen.evaluate("entry => getComputedStyle(entry).outlineStyle")


def test_the_good_news_can_be_read(state: Callable[[str], Scene]) -> None:
    """The colours of the banner that stands for three seconds, on its own ground."""
    scene = state("back-online")
    page = equipped(scene.window.page)
    scene.refresh()
    found = page.evaluate(
        """() => {
            const shown = document.querySelector(".tidings-banner").dataset.kind;
            return [shown, look.contrast().found];
        }"""
    )
    assert ["back", []] == found
