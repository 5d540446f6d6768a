"""The screen among somebody else's rules: neither touches the other.

`hostile/` is an application whose stylesheets say what hosts say: resets, element rules, `!important`, `all: unset`,
layers, transforms. The screen in it has the package's own stylesheet, as the build makes it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lab.client_build import install_packages, node_program
from lab.host import Host
from tests.browser.window import Window

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
THEMES = sorted(path.stem for path in (HERE / "hostile" / "themes").glob("*.css"))

MEASURE = """() => {
    const place = document.getElementById("place");
    const root = place.firstElementChild;
    root.querySelector(".tidings-scroll").scrollTop = 1e6;
    document.getAnimations().forEach((each) => each.cancel());
    const zero = root.getBoundingClientRect();
    const scale = zero.width / root.offsetWidth;
    const said = ["color", "backgroundColor", "fontSize", "fontWeight", "fontStyle", "lineHeight", "letterSpacing",
        "textTransform", "textAlign", "borderTopWidth", "borderTopStyle", "borderTopColor", "borderTopLeftRadius",
        "boxShadow", "opacity", "transform", "float", "position", "display", "listStyleType", "fill", "stroke",
        "strokeWidth", "cursor", "outlineStyle", "textDecorationLine", "overflowX", "overflowY", "filter",
        "whiteSpace"];
    const drawn = ["fill", "stroke", "strokeWidth", "opacity", "transform", "filter", "visibility"];
    const found = [];
    for (const element of [root, ...root.querySelectorAll("*:not(.tidings-slot, .tidings-slot *)")]) {
        const box = element.getBoundingClientRect();
        const isDrawn = box.width > 0 && box.height > 0;
        const [x, y] = [(box.x - zero.x) / scale, (box.y - zero.y) / scale];
        const style = getComputedStyle(element);
        found.push([
            `${element.localName}.${[...element.classList].join(".")}`,
            isDrawn ? [x, y, box.width / scale, box.height / scale] : [0, 0, 0, 0],
            [...(element.closest("svg *") ? drawn : said).map((name) => style[name]), ...["::before", "::after"].map(
                (pseudo) => getComputedStyle(element, pseudo).content,
            ), getComputedStyle(element, "::placeholder").fontStyle].join("|"),
        ]);
    }
    return found;
}"""
"""Of each element of the screen: its box in the screen, px, and what its computed style says."""

HOST = """() => [...document.querySelectorAll("html, body, #host, #host *, #place, #slot")].map((element) => {
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    return [element.localName, element.className, box.x, box.y, box.width, box.height, ...[...style].map((name) =>
        `${name}: ${style.getPropertyValue(name)}`).filter((each) => !each.startsWith("--"))];
})"""

Row = tuple[str, list[float], str]


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The application, built with the packed package; its stylesheets are put in by each test."""
    directory = tmp_path_factory.mktemp("hostile") / "host"
    shutil.copytree(HERE / "hostile", directory)
    shutil.copy(ROOT / "examples" / "react-host" / "vite.config.ts", directory)
    packages = install_packages(directory)
    (directory / "styles").symlink_to(packages / "tidings" / "dist")
    built = subprocess.run(
        [node_program(), str(packages / "vite" / "bin" / "vite.js"), "build", "--logLevel", "warn"],
        cwd=directory, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    host = Host(directory, "server:app", source=directory)
    host.start()
    yield host
    host.stop()


@pytest.fixture(scope="module")
def page(application: Host, chromium: Browser) -> Iterator[Page]:
    """A screen with everything open: the list, messages, one that was refused, a panel."""
    ada, ben = application.person("ada"), application.person("ben")
    for number in range(12):
        (ada if number % 3 else ben).sends(
            ben if number % 3 else ada, f"Message {number}, with some words to wrap " * 3
        )
    ben.sends(ada, "🌊")
    context = chromium.new_context(locale="en-GB", viewport={"width": 1200, "height": 1100})
    window = Window(context)
    window.page.goto(f"{application.url}/?as=ada")
    wears(window.page, "styles")
    expect(window.page.locator(".tidings-message")).to_have_count(13)
    window.says("A bell: \x07")
    expect(window.page.get_by_text("Not sent.").first).to_be_visible()
    window.page.get_by_role("button", name="More about ben").click()
    window.page.get_by_role("menuitem", name="Report ben").click()
    expect(window.page.get_by_label("What happened?")).to_be_visible()
    window.page.evaluate("document.activeElement.blur()")
    expect(window.page.locator(".tidings-badge:not([data-failed])")).to_have_count(0)  # read, which changes the list
    yield window.page
    context.close()


def wears(page: Page, ours: str | None, *themes: str) -> None:
    """Exactly these stylesheets, the host's after ours."""
    page.evaluate(
        """async (addresses) => {
            document.querySelectorAll("link[rel=stylesheet]").forEach((link) => link.remove());
            for (const href of addresses) {
                const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
                const loaded = new Promise((resolve, reject) => { link.onload = resolve; link.onerror = reject; });
                document.head.append(link);
                await loaded;
            }
            for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
        }""",
        [*([] if ours is None else [f"/styles/{ours}.css"]), *(f"/themes/{theme}.css" for theme in themes)],
    )


def measured(page: Page) -> list[Row]:
    return [(what, box, style) for what, box, style in page.evaluate(MEASURE)]


def changed(before: list[Row], after: list[Row]) -> list[str]:
    """Return the elements that are elsewhere, of another size, or look different."""
    if [row[0] for row in before] != [row[0] for row in after]:
        return ["it has other elements", *(row[0] for row in after)]
    return [
        f"{what}: {box} -> {box_now}, "
        + ", ".join(f"{a} -> {b}" for a, b in zip(style.split("|"), style_now.split("|"), strict=True) if a != b)
        for (what, box, style), (_, box_now, style_now) in zip(before, after, strict=True)
        if style != style_now or any(abs(a - b) > 1 for a, b in zip(box, box_now, strict=True))
    ]


@pytest.mark.parametrize("theme", THEMES)
def test_no_rule_of_a_host_reaches_into_the_screen(page: Page, theme: str) -> None:
    """Each box is where it was, of the same size, and looks the same."""
    wears(page, "styles")
    before = measured(page)
    wears(page, "styles", theme)
    assert [] == changed(before, measured(page))


def test_the_guard_alone_changes_nothing(page: Page) -> None:
    """In a page without rules the screen looks the same with it and without it."""
    wears(page, "open")
    before = measured(page)
    wears(page, "styles")
    assert [] == changed(before, measured(page))


@pytest.mark.parametrize("theme", [theme for theme in THEMES if theme not in ("moved", "layered")])
def test_without_the_guard_a_host_s_rules_win(page: Page, theme: str) -> None:
    """This is the purpose of `tidings/open.css`; and the measurement above can see a difference."""
    wears(page, "open")
    before = measured(page)
    wears(page, "open", theme)
    differing = changed(before, measured(page))
    print(f"{theme}: {len(differing)} of {len(before)}")
    assert len(differing) > len(before) / 2


# shows: complaints/13
@pytest.mark.parametrize("ours", ["styles", "open"])
def test_our_stylesheet_touches_nothing_of_the_host(page: Page, ours: str) -> None:
    """Every computed property of the host's elements is the same with it and without it, in a slot of ours too."""
    for theme in ([], ["framework"]):
        wears(page, None, *theme)
        before = page.evaluate(HOST)
        wears(page, ours, *theme)
        for element, now in zip(before, page.evaluate(HOST), strict=True):
            skip = 6 if element[0] in ("html", "body") or element[1] == "" else 2  # heights follow from the screen's
            assert element[skip:] == now[skip:] or element[0] in ("html", "body", "p"), element[:6]


def test_a_host_changes_the_screen_by_tokens_and_in_our_layer(page: Page) -> None:
    """A token needs no more than a custom property; a rule in the layer, made important, goes where tokens do not."""
    wears(page, "styles")

    def styles(text: str) -> None:
        page.evaluate(
            "text => { const s = new CSSStyleSheet(); s.replaceSync(text); document.adoptedStyleSheets = [s] }", text
        )

    def background() -> str:
        bubble = page.locator("[data-own=true][data-failed=false] .tidings-bubble").first
        return str(bubble.evaluate("each => getComputedStyle(each).backgroundColor"))

    styles(":root { --tidings-bubble-own: rgb(1, 2, 3) }")
    assert "rgb(1, 2, 3)" == background()
    styles(".tidings-bubble { background: rgb(4, 5, 6) }")
    assert "rgb(4, 5, 6)" != background()
    styles("@layer tidings { [data-own=true] .tidings-bubble { background: rgb(4, 5, 6) !important } }")
    assert "rgb(4, 5, 6)" == background()
    styles("")


def test_moving_parts_still_move(page: Page) -> None:
    """The guard leaves animations alone: the dots of somebody who types change."""
    wears(page, "styles", "unset")
    page.evaluate(
        """() => document.querySelector(".tidings-column").insertAdjacentHTML("beforeend",
            '<div class="tidings-dots" id="dots"><i class="tidings-moves"></i></div>')"""
    )
    seen = page.evaluate(
        """() => new Promise((resolve) => {
            const seen = new Set();
            const until = performance.now() + 20_000;
            const look = () => {
                seen.add(getComputedStyle(document.querySelector("#dots i")).opacity);
                if (seen.size > 2) resolve(seen.size);
                else if (performance.now() > until) resolve(seen.size);
                else requestAnimationFrame(look);
            };
            look();
        })"""
    )
    page.evaluate("document.getElementById('dots').remove()")
    assert seen > 2
