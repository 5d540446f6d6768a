"""Where one writes: what is typed is never lost, and the field grows with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from lab.node import Node, Person
from tests.browser.window import Window, box_of

TYPE_AND_RELOAD = """([texts, gap]) => {
    const field = document.querySelector(".tidings-composer textarea");
    const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
    texts.forEach((text, index) => setTimeout(() => {
        set.call(field, text);
        field.dispatchEvent(new Event("input", { bubbles: true }));
        if (index === texts.length - 1) location.reload();
    }, index * gap));
}"""
"""Types one text after the other and leaves the page in the same turn as the last."""


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    return start_node()


@pytest.fixture
def window(node: Node, profile: Callable[[], BrowserContext], alice: Person, bob: Person) -> Window:
    """Alice in the conversation with Bob."""
    return Window.as_user(profile(), node.url, alice, bob.id)


# shows: behaviour/draft, complaints/10
@pytest.mark.parametrize("gap", [5, 30, 250])
def test_text_that_is_typed_in_the_moment_before_a_reload_is_there_after_it(gap: int, window: Window) -> None:
    """The page is left while the row of the key before is on its way to the disk, or still waits to be written."""
    for number in range(2):
        texts = [f"{number}: {text}" for text in ("H", "Hel", "Hello, I am not")]
        with window.page.expect_navigation():
            window.page.evaluate(TYPE_AND_RELOAD, [texts, gap])
        expect(window.composer).to_have_value(texts[-1])


# shows: complaints/12
def test_the_field_grows_with_its_lines_up_to_six_and_never_below_16_px(window: Window) -> None:
    """Then it scrolls; sent, it is small again. A phone zooms into a field with smaller letters."""
    field = window.composer

    def height() -> float:
        return box_of(field)["height"]

    def grown(lines: int) -> float:
        field.fill("\n".join("x" * lines))
        return height()

    heights = [grown(lines) for lines in (1, 2, 3, 6, 7, 30)]
    assert heights[0] < heights[1] < heights[2] < heights[3]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0], abs=1)
    assert heights[3:] == pytest.approx([heights[3]] * 3, abs=1)
    assert field.evaluate("field => field.scrollHeight > field.clientHeight")
    assert 16 <= field.evaluate("field => parseFloat(getComputedStyle(field).fontSize)")
    field.press("Enter")
    expect(field).to_have_value("")
    assert heights[0] == pytest.approx(height(), abs=1)
