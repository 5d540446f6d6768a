"""New message: people are found by name, in the web chat of a FastAPI application that has a search."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.people_host import BROKEN, PEOPLE
from tests.browser.states import PeopleHost
from tests.browser.window import Window

IDS = {profile["name"]: user for user, profile in PEOPLE.items()}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeopleHost]:
    host = PeopleHost(tmp_path_factory.mktemp("people"))
    host.start()
    yield host
    host.kill()  # its search failed as it was told to: there is a traceback


def offered(page: Page) -> list[list[str]]:
    """The names that are offered, group by group."""
    names = ".tidings-entry-name"
    groups = page.get_by_role("listbox").get_by_role("group").all()
    return [[group.locator("h3").inner_text(), *group.locator(names).all_inner_texts()] for group in groups]


def test_a_first_message_goes_to_somebody_who_was_found_by_name(
    host: PeopleHost, profile: Callable[[], BrowserContext]
) -> None:
    """By keyboard alone; no id is typed or shown, after a reload neither. Afterwards they are among the people one has
    written with.
    """
    window, other = Window(profile()), Window(profile())
    host.visitor(IDS["Matilda Ost"]).opens_page(window)
    page = window.page
    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()
    page.keyboard.press("Control+k")  # nothing to search yet: it is New message
    field = page.get_by_role("combobox", name="To whom? Search by name")
    expect(field).to_be_focused()
    page.keyboard.type("ma")
    expect(page.get_by_role("option")).to_have_count(6)
    everybody = ["Mira Castellanos", "Chloé Marchand", "Amara Boateng", "Marek Kowal", "Imani Mwangi", "مريم الصالح"]
    assert [["Everybody", *everybody]] == offered(page)
    assert ["ma", "Ma", "ma", "Ma", "ma", "Ma"] == page.locator("mark").all_inner_texts()
    expect(page.get_by_role("status").filter(has_text="6 people")).to_be_attached()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).to_contain_text("Workshop, ground floor")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Marek Kowal", exact=True)).to_be_visible()
    expect(page.get_by_text("Say hello to Marek Kowal")).to_be_visible()
    window.keeps(f"conversation/{IDS['Marek Kowal']}")
    page.reload()
    expect(page.get_by_role("heading", name="Marek Kowal", exact=True)).to_be_visible()
    window.says("Is the kiln free on Thursday?")
    window.is_acknowledged("Is the kiln free on Thursday?")
    expect(window.entry("Marek Kowal")).to_contain_text("Is the kiln free")
    host.visitor(IDS["Marek Kowal"]).opens_page(other)
    expect(other.entry("Matilda Ost")).to_contain_text("Is the kiln free")

    window.conversations.get_by_role("button", name="New message").click()
    field.fill("mar")
    expect(page.get_by_role("option")).to_have_count(4)
    everybody = ["Chloé Marchand", "Amara Boateng", "مريم الصالح"]
    assert [["You have written with", "Marek Kowal"], ["Everybody", *everybody]] == offered(page)
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("lyon")
    expect(window.conversations.get_by_role("link")).to_contain_text("Team Lyon")
    assert [] == window.complaints


def test_a_search_that_fails_is_one_quiet_sentence_and_no_id_is_taken_in_its_place(
    host: PeopleHost, profile: Callable[[], BrowserContext]
) -> None:
    """The host has a search and allows no typed ids: somebody whom nobody finds is written to by nobody."""
    window = Window(profile())
    host.visitor("u1").opens_page(window)
    page = window.page
    window.conversations.get_by_role("button", name="New message").first.click()
    field = page.get_by_role("combobox", name="To whom? Search by name")
    field.fill("zelda")
    expect(page.get_by_text("Nobody called “zelda”")).to_be_visible()
    field.press("Enter")
    expect(page.get_by_role("option")).to_have_count(0)
    expect(field).to_be_visible()
    field.fill(BROKEN)
    expect(page.get_by_role("status").filter(has_text="The search is busy.")).to_be_visible()
    field.fill("imani")
    expect(page.get_by_role("option", name="Imani Mwangi")).to_be_visible()
    expect(page.get_by_text("The search is busy.")).to_have_count(0)
