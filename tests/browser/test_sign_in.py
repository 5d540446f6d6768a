"""How one signs in to the page of `tidings serve`: by a link that holds a token, or by pasting one."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from node import Node
from playwright.sync_api import BrowserContext, expect
from window import Window

Profile = Callable[[], BrowserContext]


def test_without_a_token_the_page_says_how_to_sign_in(node: Node, profile: Profile) -> None:
    """It names the command; a pasted token signs in, and stays in this tab over a reload."""
    window = Window(profile())
    window.page.goto(node.url)
    expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(window.page.get_by_text("tidings token USER")).to_be_visible()

    window.page.get_by_label("Token").fill(node.token("paster"))
    window.page.get_by_role("button", name="Sign in").click()

    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()
    window.page.reload()
    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()
    window.signs_out()
    window.page.reload()
    expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert [] == window.complaints


def test_a_token_does_not_stay_in_the_address(node: Node, profile: Profile) -> None:
    """It could be seen over a shoulder, copied with the address, or found in the history."""
    window = Window.as_user(profile(), node.url, node.person("linked"))
    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()

    assert "token" not in window.page.url
    assert window.page.url == f"{node.url}/#/"
    window.page.go_back()
    assert "token" not in window.page.url


@pytest.mark.parametrize("garbage", ["hello", "a.b.c", "100%", quote("ключ")])
def test_what_is_no_token_is_refused_in_words(garbage: str, node: Node, profile: Profile) -> None:
    """Also in the address, and also when it is badly encoded."""
    window = Window(profile())
    window.page.goto(f"{node.url}/#token={garbage}")

    expect(window.page.get_by_role("alert")).to_contain_text("not a token")
    expect(window.page.get_by_label("Token")).to_be_visible()
    assert [] == window.complaints


def test_a_token_that_the_server_refuses_leads_back_to_the_sign_in(node: Node, profile: Profile) -> None:
    """A token of another secret, an expired one; then a good one works in the same tab."""
    window = Window(profile())
    for bad in (
        node.token("guest", secret="another secret of thirty-two bytes or more"),
        node.token("guest", ttl_s=-99),
    ):
        window.page.goto(f"{node.url}/#token={bad}")
        expect(window.page.get_by_role("heading", name="Your sign-in has ended")).to_be_visible()

    window.page.goto(f"{node.url}/#token={node.token('guest')}")

    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()
