"""The page of `tidings demo`: people, conversations, unread counts, ticks, typing, refusals, addresses."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from lab.demo import Demo
from tests.browser.window import Window

Profile = Callable[[], BrowserContext]


def test_without_a_name_the_page_offers_the_people(demo: Demo, profile: Profile) -> None:
    """One can be somebody by a click; the address then says who, so that it can be opened again."""
    window = Window(profile())
    window.page.goto(demo.url)
    expect(window.page.get_by_role("heading", name="Who are you?")).to_be_visible()

    window.page.get_by_role("link", name="Ada").click()

    expect(window.entry("Ben")).to_be_visible()
    expect(window.entry("دانا")).to_be_visible()
    assert window.page.url.startswith(f"{demo.url}/?as=ada")
    assert [] == window.complaints


def test_a_name_that_nobody_can_have_is_asked_again(demo: Demo, profile: Profile) -> None:
    """An address that names no possible user id leads to the people, not to a broken list."""
    window = Window(profile())

    window.page.goto(f"{demo.url}/?as=a%2Fb")

    expect(window.page.get_by_role("heading", name="Who are you?")).to_be_visible()


def test_two_windows_of_one_browser_are_two_people(demo: Demo, profile: Profile) -> None:
    """Identity is per window; a message goes both ways, and both names are shown."""
    browser = profile()
    ada = Window.in_demo(browser, demo.url, "ada", "ben")
    ben = Window.in_demo(browser, demo.url, "ben", "ada")

    ada.says("two windows, one browser")
    expect(ben.message("two windows, one browser")).to_be_visible()
    ben.says("and two people")

    for window, peer in ((ada, "Ben"), (ben, "Ada")):
        expect(window.message("two windows, one browser")).to_be_visible()
        expect(window.message("and two people")).to_be_visible()
        expect(window.page.get_by_role("heading", name=peer)).to_be_visible()
        assert window.texts[-2:] == ["two windows, one browser", "and two people"]
        assert 1 == window.streams_opened
        assert [] == window.complaints


@pytest.mark.parametrize("odd", ["a b%c|@:😀", "#ben?x=1&y=2+%20", "<b>bold", "sse"])
def test_a_conversation_begins_with_any_user_id(odd: str, demo: Demo, profile: Profile) -> None:
    """ "New message" to somebody whom the server has never seen; they answer from their own window."""
    me = f"writer to {odd}"
    window = Window.in_demo(profile(), demo.url, me)
    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()
    window.begins_conversation_with(odd)
    expect(window.page.get_by_text(f"Say hello to {odd}")).to_be_visible()
    window.says("hello, whoever you are")
    window.ticks("hello, whoever you are", "Sent")

    other = Window.in_demo(profile(), demo.url, odd)
    expect(other.entry(me)).to_contain_text("hello, whoever you are")
    other.chooses(me)
    other.says("found me")

    for each in (window, other):
        each.shows("hello, whoever you are", "found me")
        assert [] == each.complaints
    assert ["hello, whoever you are", "found me"] == demo.texts(me, odd)
    window.page.reload()
    window.shows("hello, whoever you are", "found me")


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", "Type the name or the user id"),
        ("a/b", "no / or"),
        ("..", "not a user id"),
        ("choosy", "That is you"),
        ("x" * 129, "128"),
    ],
)
def test_a_user_id_that_cannot_be_is_explained_at_once(typed: str, problem: str, demo: Demo, profile: Profile) -> None:
    """The page knows the server's rules for user ids, and says what is wrong in words."""
    window = Window.in_demo(profile(), demo.url, "choosy")
    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()

    window.begins_conversation_with(typed)

    expect(window.page.get_by_role("alert").filter(has_text=problem)).to_be_visible()


def test_a_conversation_has_an_address_and_back_works(demo: Demo, profile: Profile) -> None:
    """A deep link opens the conversation; Back returns to the one before, and on to the list."""
    window = Window.in_demo(profile(), demo.url, "ada", "chloé")
    expect(window.message("Ten o'clock at the fountain, then.")).to_be_visible()

    window.chooses("دانا")
    expect(window.message("مرحبا! هل وصلت الكتب؟")).to_be_visible()
    window.page.go_back()

    expect(window.message("Ten o'clock at the fountain, then.")).to_be_visible()
    assert window.page.url.endswith("#/chlo%C3%A9")
    window.page.go_forward()
    expect(window.page.get_by_role("heading", name="دانا")).to_be_visible()
    assert 1 == window.streams_opened
    assert [] == window.complaints


def test_a_narrow_window_shows_one_pane_and_a_way_back(demo: Demo, profile: Profile) -> None:
    """List, then conversation, then list again: by the button and by the browser's Back."""
    context = profile()
    window = Window.in_demo(context, demo.url, "ada")
    window.page.set_viewport_size({"width": 390, "height": 844})
    for back in (lambda: window.page.get_by_role("button", name="Back to conversations").click(), window.page.go_back):
        window.chooses("Chloé")
        expect(window.composer).to_be_visible()
        expect(window.conversations).to_be_hidden()
        back()
        expect(window.conversations).to_be_visible()
        expect(window.composer).to_be_hidden()
    window.page.get_by_role("button", name="New message").first.click()
    expect(window.page.get_by_role("combobox")).to_be_visible()
    window.page.evaluate("location.hash = '#/ben'")  # a link elsewhere: one sees where it leads
    expect(window.composer).to_be_visible()
    expect(window.page.get_by_role("combobox")).to_have_count(0)
    assert [] == window.complaints


def test_unread_messages_are_counted_in_the_list_until_they_are_read(demo: Demo, profile: Profile) -> None:
    """The count rises while another conversation is open, stands in the title too, and goes when it is opened."""
    demo.sends("postman", "reader", "one")
    window = Window.in_demo(profile(), demo.url, "reader")
    expect(window.entry("postman")).to_contain_text("1 unread message")
    demo.sends("postman", "reader", "two")
    expect(window.entry("postman")).to_contain_text("2 unread messages")
    expect(window.page).to_have_title(re.compile(r"^\(2\) "))

    window.chooses("postman")

    expect(window.page.get_by_text("2 new messages")).to_be_visible()
    window.shows("one", "two")
    expect(window.entry("postman")).not_to_contain_text("unread")
    expect(window.page).not_to_have_title(re.compile(r"^\("))
    window.page.reload()
    window.shows("one", "two")
    expect(window.entry("postman")).not_to_contain_text("unread")


def test_a_tick_goes_from_sent_to_delivered_to_read(demo: Demo, profile: Profile) -> None:
    """Sent while the other is away, delivered when their page is there, read when they have opened it."""
    author = Window.in_demo(profile(), demo.url, "author", "critic")
    author.says("my novel")
    author.ticks("my novel", "Sent")

    critic = Window.in_demo(profile(), demo.url, "critic")
    expect(critic.entry("author")).to_contain_text("my novel")
    author.ticks("my novel", "Delivered")
    critic.chooses("author")
    author.ticks("my novel", "Read")

    author.page.reload()
    author.ticks("my novel", "Read")
    for window in (author, critic):
        assert [] == window.complaints


def test_typing_shows_until_the_message_comes(demo: Demo, profile: Profile) -> None:
    """Only while they type, and only between people who have talked."""
    demo.sends("listener", "talker", "tell me")
    listener = Window.in_demo(profile(), demo.url, "listener", "talker")
    talker = Window.in_demo(profile(), demo.url, "talker", "listener")

    talker.composer.press_sequentially("well")

    expect(listener.status).to_contain_text("typing")
    talker.composer.press("Enter")
    listener.shows("tell me", "well")
    expect(listener.status).not_to_contain_text("typing")


def test_a_refused_message_says_why_and_can_be_retried_or_deleted(demo: Demo, profile: Profile) -> None:
    """A refused message stays in its place; later ones are not held up by it."""
    window = Window.in_demo(profile(), demo.url, "rejected", "editor")
    window.says("a bell: \x07")
    refused = window.messages.filter(has_text="a bell")
    expect(refused).to_contain_text("Not sent.")
    expect(refused).to_contain_text("control character")
    window.says("plain")
    window.ticks("plain", "Sent")

    refused.get_by_role("button", name="Retry").click()
    expect(refused).to_contain_text("Not sent.")
    assert ["plain"] == demo.texts("rejected", "editor")
    refused.get_by_role("button", name="Delete").click()

    window.shows("plain")


def test_a_text_over_the_limit_is_kept_and_explained(demo: Demo, profile: Profile) -> None:
    """Nothing is cut: it can be shortened, and goes when it fits."""
    window = Window.in_demo(profile(), demo.url, "verbose", "patient")
    window.composer.fill("é" * 8193)
    expect(window.page.get_by_text("Too long by 2 bytes")).to_be_visible()
    window.composer.press("Enter")
    expect(window.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    assert "é" * 8193 == window.composer.input_value()

    window.composer.fill("é" * 8192)
    window.composer.press("Enter")

    window.shows("é" * 8192)
    window.is_waiting_for(lambda: demo.texts("verbose", "patient"), "the message arrives")
    assert ["é" * 8192] == demo.texts("verbose", "patient")
    assert [] == window.complaints


def test_a_hidden_page_gives_its_stream_back_after_30_s_and_takes_it_up_again(demo: Demo, profile: Profile) -> None:
    """Where tabs cannot share one (no Web Locks: plain http in a local network): browsers allow six connections.

    Messages that came meanwhile are there as soon as the page is seen.
    """
    window = Window(profile())
    window.page.clock.install()
    window.page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'locks', {get: () => undefined});"
        "let seen = 'visible';"
        "Object.defineProperty(document, 'visibilityState', {get: () => seen});"
        "Object.defineProperty(document, 'hidden', {get: () => seen === 'hidden'});"
        "window.becomes = (state) => { seen = state; document.dispatchEvent(new Event('visibilitychange')); };"
    )
    window.page.goto(f"{demo.url}/?as=sleeper#/waker")
    window.is_connected()
    assert 1 == len(window.open_streams)

    window.page.evaluate("becomes('hidden')")
    window.page.clock.fast_forward(31_000)
    window.is_waiting_for(lambda: not window.open_streams, "the stream is given back")
    demo.sends("waker", "sleeper", "good morning")
    window.page.evaluate("becomes('visible')")

    window.shows("good morning")
    window.is_connected()
    assert (1, 2) == (len(window.open_streams), window.streams_opened)
    assert [] == window.complaints


def test_on_paper_the_demo_s_own_bar_does_not_stand(demo: Demo, profile: Profile) -> None:
    """Neither it nor the drawer that it opens: a conversation is printed, and nothing that can only be clicked."""
    window = Window.in_demo(profile(), demo.url, "ada", "ben")
    window.page.get_by_role("button", name="Break it").click()
    panel = window.page.locator(".demo-panel")
    expect(panel).to_be_visible()

    window.page.emulate_media(media="print")

    for only_on_screen in (panel, window.page.locator(".demo-bar")):
        expect(only_on_screen).to_be_hidden()
    expect(window.messages.first).to_be_visible()
