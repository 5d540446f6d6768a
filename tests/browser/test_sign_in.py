"""How one signs in to the page of `tidings serve`: by a link that holds a token, or by pasting one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import jwt
import pytest
from chromium import opened_on
from node import Node
from playwright.sync_api import Browser, BrowserContext, expect
from proxy import Proxy
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


def test_a_link_of_somebody_else_asks_and_deletes_nothing(start_node: Callable[..., Node], profile: Profile) -> None:
    """The attacker's token is good, and its owner calls herself like the user. Answered no, all is as before."""
    node = start_node()
    with Proxy(node.address) as proxy:
        ada, eve, ben = node.person("ada"), node.person("eve"), node.person("ben")
        window = Window.as_user(profile(), proxy.url, ada, ben.id)
        proxy.refuse()
        window.says("never sent")
        window.ticks("never sent", "Waiting to be sent")
        window.composer.fill("a draft")
        proxy.restore()
        window.page.evaluate("token => { location.hash = `token=${token}` }", node.token(eve.id, name="ada"))

        question = window.page.get_by_role("main")
        expect(question).to_contain_text("Sign in as somebody else?")
        assert ["ada", "ada (eve)"] == question.get_by_role("definition").all_text_contents()
        assert "token" not in window.page.url
        question.get_by_role("button", name="Change nothing").click()

        window.goes_to(ben.id)
        expect(window.composer).to_have_value("a draft")
        window.ticks("never sent", "Sent")
        assert [] == eve.inbox()["conversations"]


def test_a_link_in_a_fresh_tab_asks_whoever_uses_the_browser(node: Node, profile: Profile) -> None:
    """It was opened from a page of somebody else, who wants what is typed to be said as him."""
    browser = profile()
    mine = Window.as_user(browser, node.url, node.person("owner"))
    expect(mine.conversations).to_be_visible()
    opened = Window(browser)
    opened.page.goto(f"{node.url}/#token={node.token('attacker')}")

    question = opened.page.get_by_role("main")
    expect(question).to_contain_text("Sign in as somebody else?")
    assert ["owner", "attacker"] == question.get_by_role("definition").all_text_contents()
    question.get_by_role("button", name="Change nothing").click()
    expect(opened.page.get_by_role("heading", name="Sign in to your messages")).to_be_visible()
    expect(mine.conversations).to_be_visible()


@pytest.mark.parametrize("name", ["unsigned", "of another secret", "expired"])
def test_a_link_that_the_server_refuses_changes_nothing(node: Node, profile: Profile, name: str) -> None:
    """Whoever it says it is: what is typed and not sent stays, and so does the sign-in."""
    ada, ben = node.person(f"kept-{name}"), node.person("ben")
    window = Window.as_user(profile(), node.url, ada, ben.id)
    window.composer.fill("a draft")
    bad = {
        "unsigned": jwt.encode({"sub": "eve", "exp": 2**32}, None, algorithm="none"),
        "of another secret": node.token("eve", secret="another secret of thirty-two bytes or more"),
        "expired": node.token("eve", ttl_s=-99),
    }[name]
    with window.page.expect_response(lambda answer: answer.url.endswith("/events/me") and answer.status == 401):
        window.page.evaluate("token => { location.hash = `token=${token}` }", bad)
    window.goes_to(ben.id)
    expect(window.composer).to_have_value("a draft")
    window.page.reload()
    window.goes_to(ben.id)
    expect(window.composer).to_have_value("a draft")
    window.says("still Ada")
    window.ticks("still Ada", "Sent")


def test_a_clock_that_is_ahead_ends_no_sign_in(node: Node, profile: Profile) -> None:
    """Ten years: the token is over by this clock, and the server says that it is good."""
    window = Window(profile())
    window.page.clock.install(time="2036-01-01T00:00:00Z")
    window.page.goto(f"{node.url}/#token={node.token('early')}")
    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()
    window.page.clock.run_for(60_000)
    expect(window.conversations).to_be_visible()
    expect(window.page.get_by_text("Your sign-in has ended")).to_have_count(0)


def test_where_site_data_is_blocked_the_page_works(chromium: Browser, node: Node, tmp_path: Path) -> None:
    """Every look at a storage throws: messages are sent and received, and nothing is kept."""
    settings = tmp_path / "Default" / "Preferences"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"profile": {"default_content_setting_values": {"cookies": 2}}}))
    ada, ben = node.person("blocking"), node.person("friend")
    browser = opened_on(chromium, tmp_path)
    try:
        window = Window.as_user(browser, node.url, ada, ben.id)
        for area in ("localStorage", "sessionStorage"):
            assert "SecurityError" == window.page.evaluate(
                "area => { try { window[area].length; return null } catch (error) { return error.name } }", area
            )
        window.says("hello")
        window.ticks("hello", "Sent")
        ben.sends(ada, "and back")
        window.shows("hello", "and back")
        window.composer.fill("a draft")
        window.signs_out()
        expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert [] == [said for said in window.complaints if not said.startswith("Tidings: ")]
    finally:
        browser.close()


def test_a_message_does_not_link_to_the_page_s_own_sign_in(node: Node, profile: Profile) -> None:
    """It is shown as text; another address of the same page stays a link."""
    ada, eve = node.person("reader"), node.person("writer")
    eve.sends(ada, f"{node.url}/#token={eve.token} {node.url}/?as=eve {node.url}/#/writer")
    window = Window.as_user(profile(), node.url, ada, eve.id)
    expect(window.messages).to_have_count(1)
    links = window.messages.locator(".tidings-text a")
    assert [f"{node.url}/#/writer"] == links.all_text_contents()
