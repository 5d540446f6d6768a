"""How one signs in to the page of `tidings serve`: by a link that holds a token, or by pasting one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import jwt
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from lab.browser.chromium import opened_on
from lab.node import Node
from lab.proxy import Proxy
from tests.browser.window import Window

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
def test_a_text_that_is_no_token_is_refused_in_words(garbage: str, node: Node, profile: Profile) -> None:
    """Also in the address, and also when it is badly encoded."""
    window = Window(profile())
    window.page.goto(f"{node.url}/#token={garbage}")

    expect(window.page.get_by_role("alert")).to_contain_text("not a token")
    expect(window.page.get_by_label("Token")).to_be_visible()
    assert [] == window.complaints


def test_a_token_that_the_server_refuses_leads_back_to_the_sign_in(node: Node, profile: Profile) -> None:
    """Of another secret, expired, of nobody: no sign-in has ended. Then a good one works in the same tab."""
    window = Window(profile())
    for bad in (
        node.token("guest", secret="another secret of thirty-two bytes or more"),
        node.token("guest", ttl_s=-99),
        node.token(""),
    ):
        window.page.goto(f"{node.url}/#token={bad}")
        expect(window.page.get_by_role("heading", name="This link is not valid any more.")).to_be_visible()

    window.page.goto(f"{node.url}/#token={node.token('guest')}")

    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()


# shows: behaviour/sign-in-link, security/sign-in-link
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

        assert window.page.url.endswith(f"#/{ben.id}")
        expect(window.composer).to_have_value("a draft")
        window.ticks("never sent", "Sent")
        assert [] == eve.inbox()["conversations"]


# shows: security/sign-in-link
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


def test_signing_out_asks_before_it_deletes_what_was_not_sent(
    start_node: Callable[..., Node], profile: Profile
) -> None:
    """It says how much, whichever tab it was typed in; answered no, all is sent later. Nothing unsent: no question."""
    node = start_node()
    with Proxy(node.address) as proxy:
        ada, ben, cleo = node.person("ada"), node.person("ben"), node.person("cleo")
        browser = profile()
        window = Window.as_user(browser, proxy.url, ada, ben.id)
        beside = Window.as_user(browser, proxy.url, ada, cleo.id)
        proxy.refuse()
        window.says("important")
        window.ticks("important", "Waiting to be sent")
        beside.says("too")
        beside.ticks("too", "Waiting to be sent")
        expect(window.entry(cleo.id)).to_contain_text("too")

        settings = window.page.get_by_role("dialog", name="Settings")
        window.signs_out()
        asked = "2 messages were not sent. Sign out and delete them?"
        expect(settings.get_by_role("alert")).to_have_text(asked)
        window.page.keyboard.press("Enter")
        expect(settings.get_by_role("alert")).to_have_count(0)
        window.page.keyboard.press("Escape")
        proxy.restore()
        window.ticks("important", "Sent")
        beside.ticks("too", "Sent")
        window.signs_out()

        for tab in (window, beside):
            expect(tab.page.get_by_role("heading", name="Sign in to your messages")).to_be_visible()
        assert ["important"] == [message["text"] for message in ben.history(ada)["messages"]]
        assert ["too"] == [message["text"] for message in cleo.history(ada)["messages"]]


@pytest.mark.parametrize("answer", ["Escape", "Back", "a refused link", "a junk link"])
def test_a_question_that_is_left_is_answered_with_no(node: Node, profile: Profile, answer: str) -> None:
    """Whichever way: the user is signed in as before, where they were, and the address says so."""
    ada, ben = node.person(f"asked-{answer}"), node.person("ben")
    window = Window.as_user(profile(), node.url, ada, ben.id)
    window.page.evaluate("token => { location.hash = `token=${token}` }", node.token("eve"))
    expect(window.page.get_by_role("heading", name="Sign in as somebody else?")).to_be_visible()
    assert window.page.url.endswith(f"#/{ben.id}")
    if answer == "Escape":
        window.page.keyboard.press("Escape")
    elif answer == "Back":
        window.page.go_back()
    else:
        bad = node.token("eve", ttl_s=-99) if answer == "a refused link" else "hello"
        window.page.evaluate("token => { location.hash = `token=${token}` }", bad)
        expect(window.page.get_by_text("That link is not valid any more. You are still signed in")).to_be_visible()

    expect(window.composer).to_be_visible()
    assert window.page.url.endswith(f"#/{ben.id}")
    window.says("still Ada")
    window.ticks("still Ada", "Sent")


def test_a_user_that_accepts_to_be_somebody_else_sees_their_list(node: Node, profile: Profile) -> None:
    """Not the conversation that the former user had open."""
    window = Window.as_user(profile(), node.url, node.person("former"), "ben")
    eve = node.person("latter")
    window.page.evaluate("token => { location.hash = `token=${token}` }", eve.token)
    window.page.get_by_role("button", name=f"Sign in as {eve.id}").click()
    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()
    assert window.page.url.endswith("/#/")


# shows: behaviour/sign-in-link, security/sign-in-link
@pytest.mark.parametrize("name", ["unsigned", "of another secret", "expired", "junk"])
def test_a_link_that_the_server_refuses_changes_nothing(node: Node, profile: Profile, name: str) -> None:
    """The link's claim does not count: the conversation stays open, and so do what is typed in it and the sign-in."""
    ada, ben = node.person(f"kept-{name}"), node.person("ben")
    window = Window.as_user(profile(), node.url, ada, ben.id)
    window.composer.fill("a draft")
    bad = {
        "unsigned": jwt.encode({"sub": "eve", "exp": 2**32}, "", algorithm="none"),
        "of another secret": node.token("eve", secret="another secret of thirty-two bytes or more"),
        "expired": node.token("eve", ttl_s=-99),
        "junk": "hello",
    }[name]
    window.page.evaluate("token => { location.hash = `token=${token}` }", bad)
    told = window.page.get_by_text(f"That link is not valid any more. You are still signed in as {ada.id}.")
    expect(told).to_be_visible()
    assert window.page.url.endswith(f"#/{ben.id}")
    expect(window.composer).to_have_value("a draft")
    window.page.get_by_role("main").get_by_role("button", name="Close").click()
    expect(told).to_have_count(0)
    window.page.reload()
    expect(window.composer).to_have_value("a draft")
    window.says("still Ada")
    window.ticks("still Ada", "Sent")


# shows: behaviour/wrong-clock
def test_a_clock_that_is_ahead_ends_no_sign_in(node: Node, profile: Profile) -> None:
    """Ten years: the token is over by this clock, and the server says that it is good."""
    window = Window(profile())
    window.page.clock.install(time="2036-01-01T00:00:00Z")
    window.page.goto(f"{node.url}/#token={node.token('early')}")
    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()
    window.page.clock.run_for(60_000)
    expect(window.conversations).to_be_visible()
    expect(window.page.get_by_text("Your sign-in has ended")).to_have_count(0)


# shows: behaviour/no-site-data
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
        window.signs_out(deleting="1 draft was not sent. Sign out and delete it?")
        expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert [] == [said for said in window.complaints if not said.startswith("Tidings: ")]
    finally:
        browser.close()


# shows: security/sign-in-link
def test_a_message_does_not_link_to_the_page_s_own_sign_in(node: Node, profile: Profile) -> None:
    """It is shown as text; another address of the same page stays a link."""
    ada, eve = node.person("reader"), node.person("writer")
    eve.sends(ada, f"{node.url}/#token={eve.token} {node.url}/?as=eve {node.url}/#/writer")
    window = Window.as_user(profile(), node.url, ada, eve.id)
    expect(window.messages).to_have_count(1)
    links = window.messages.locator(".tidings-text a")
    assert [f"{node.url}/#/writer"] == links.all_text_contents()
