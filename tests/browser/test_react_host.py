"""ChatScreen in somebody's own React application (`examples/react-host`): built as its users build it, in Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from lab.client_build import install_packages
from lab.host import Host
from tests.browser.window import Window

ROOT = Path(__file__).parents[2]


def example(directory: Path) -> Path:
    """A copy of the example."""
    shutil.copytree(ROOT / "examples" / "react-host", directory, ignore=shutil.ignore_patterns("node_modules", "dist"))
    return directory


TYPES = ["typescript/bin/tsc"]
BUILD = ["vite/bin/vite.js", "build", "--logLevel", "warn"]


@contextmanager
def served(directory: Path, *steps: list[str]) -> Iterator[Host]:
    """Take these steps with the packed package in the application, and serve it."""
    packages = install_packages(directory)
    for command in steps:
        program = ["node", str(packages / command[0]), *command[1:]]
        built = subprocess.run(program, cwd=directory, capture_output=True, text=True, timeout=100)
        assert built.returncode == 0, built.stdout + built.stderr
    host = Host(directory, "server:app", source=directory)
    host.start()
    try:
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The example, of the right types, built and served."""
    with served(example(tmp_path_factory.mktemp("react-host") / "example"), TYPES, BUILD) as host:
        yield host


def signed_in(host: Host, context: BrowserContext, name: str) -> Window:
    window = Window(context)
    window.page.goto(host.url)
    window.page.get_by_label("Your name").fill(name)
    window.page.get_by_role("button", name="Sign in").click()
    expect(window.page.get_by_role("heading", name=f"Matches of {name}")).to_be_visible()
    return window


def test_two_people_of_a_react_application_chat(application: Host, profile: Callable[[], BrowserContext]) -> None:
    """Live both ways with ticks, one stream each under StrictMode, and still there after a reload."""
    ada, ben = signed_in(application, profile(), "ada"), signed_in(application, profile(), "ben")
    ada.page.get_by_role("button", name="Ben Okri").click()
    ben.page.get_by_role("button", name="Ada Lovelace").click()
    for window in (ada, ben):
        window.is_connected()
    ada.says("Hello Ben")
    ben.shows("Hello Ben")
    ben.says("Hello Ada")
    ada.shows("Hello Ben", "Hello Ada")
    ada.ticks("Hello Ben", "Read")
    assert (1, 1) == (len(ada.open_streams), len(ben.open_streams))
    ada.page.reload()
    ada.shows("Hello Ben", "Hello Ada")
    assert [] == ben.complaints


def test_the_address_says_whose_conversation_is_open(application: Host, profile: Callable[[], BrowserContext]) -> None:
    """On Back, Forward and a reload, and by a link in another window; the screen's own back button leaves nothing to
    come back to behind it, and leads a link's reader to the list within the page."""
    context = profile()
    page = signed_in(application, context, "ada").page
    page.set_viewport_size({"width": 560, "height": 700})
    ben, hermit = (page.get_by_role("textbox", name=f"Message {name}") for name in ("Ben Okri", "The Hermit"))
    to_list = page.get_by_role("button", name="Back")
    page.get_by_role("button", name="Ben Okri").click()
    expect(ben).to_be_visible()
    page.get_by_role("button", name="The Hermit").click()
    expect(hermit).to_be_visible()
    page.go_back()
    expect(ben).to_be_visible()
    page.go_forward()
    expect(hermit).to_be_visible()
    page.go_back()
    page.reload()
    expect(ben).to_be_visible()
    to_list.click()
    expect(ben).to_be_hidden()
    assert application.url == page.url.rstrip("/")
    page.go_forward()
    expect(ben).to_be_visible()
    link = context.new_page()
    link.set_viewport_size({"width": 560, "height": 700})
    link.goto(f"{application.url}/#with=ben")
    behind = link.evaluate("history.length")
    link.get_by_role("button", name="Back").click()
    expect(link.get_by_role("textbox")).to_be_hidden()
    assert (behind, application.url) == (link.evaluate("history.length"), link.url.rstrip("/#"))
    link.goto(f"{application.url}/#with=constructor")
    expect(link.get_by_role("heading", name="Matches of ada")).to_be_visible()


def test_a_refusal_is_told_in_the_application_s_own_notice(
    application: Host, profile: Callable[[], BrowserContext]
) -> None:
    """``onNotice`` gets the server's sentence, once; the message stays, to be tried again or discarded."""
    ada = signed_in(application, profile(), "ada")
    ada.page.get_by_role("button", name="The Hermit").click()
    ada.is_connected()
    ada.says("Anybody home?")
    expect(ada.page.get_by_role("log").get_by_text("may not")).to_have_count(1)
    ada.ticks("Anybody home?", "Not sent")


def test_signing_out_ends_the_stream_and_forgets_the_conversations(
    application: Host, profile: Callable[[], BrowserContext]
) -> None:
    """The next person in the same browser sees their own, and nothing else."""
    ada = signed_in(application, profile(), "ada")
    ada.page.get_by_role("button", name="Ben Okri").click()
    ada.is_connected()
    ada.page.get_by_role("button", name="Sign out").click()
    expect(ada.page.get_by_label("Your name")).to_be_visible()
    ada.is_waiting_for(lambda: not ada.open_streams, "the stream is over")
    ada.page.get_by_label("Your name").fill("carol")
    ada.page.get_by_role("button", name="Sign in").click()
    ada.page.get_by_role("button", name="Ben Okri").click()
    ada.is_connected()
    expect(ada.page.get_by_text("Say hello to")).to_be_visible()
    assert [] == ada.texts


BUBBLE = "getComputedStyle(document.querySelector('[data-own=true] .tidings-bubble')).backgroundColor"
GROUND = "getComputedStyle(document.querySelector('.tidings-header')).backgroundColor"


def has_colours(host: Host, context: BrowserContext, ground: str) -> None:
    ada = signed_in(host, context, "ada")
    ada.page.get_by_role("button", name="Ben Okri").click()
    ada.says("In colours")
    expect(ada.message("In colours")).to_have_count(1)
    assert "rgba(0, 0, 0, 0)" != ada.page.evaluate(BUBBLE)
    assert ground == ada.page.evaluate(GROUND)


def test_the_screen_has_its_colours_after_the_application_s_own_tools(
    application: Host, profile: Callable[[], BrowserContext]
) -> None:
    """They rewrite the stylesheet for older browsers. It is light where the application says nothing."""
    has_colours(application, profile(), "rgb(255, 255, 255)")


def test_the_screen_is_dark_where_the_application_says_that_it_is(
    tmp_path: Path, profile: Callable[[], BrowserContext]
) -> None:
    """Likewise, by its `color-scheme`."""
    directory = example(tmp_path / "example")
    styles = directory / "src" / "app.css"
    styles.write_text(f"{styles.read_text()}\n:root {{ color-scheme: dark; }}\n")
    with served(directory, BUILD) as host:
        has_colours(host, profile(), "rgb(20, 25, 26)")


MAIN = """
import { createRoot } from "react-dom/client";
import { Messages } from "./messages";
createRoot(document.getElementById("root")!).render(<Messages />);
"""


def test_the_react_example_of_the_readme_has_its_composer_on_the_screen(
    tmp_path: Path, profile: Callable[[], BrowserContext]
) -> None:
    """Pasted as it stands into an application whose page gives it no height, for the user who is signed in."""
    (snippet,) = re.findall(r"^```tsx\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    directory = example(tmp_path / "readme")
    (directory / "src" / "messages.tsx").write_text(snippet)
    (directory / "src" / "main.tsx").write_text(MAIN)
    with served(directory, TYPES, BUILD) as host:
        context = profile()
        context.request.post(f"{host.url}/auth/sign-in", data={"name": "ada"})
        token = context.request.post(f"{host.url}/auth/token").json()["token"]
        context.set_extra_http_headers({"Authorization": f"Bearer {token}"})  # by which that server knows its users
        page = context.new_page()
        page.goto(host.url)
        expect(page.get_by_role("textbox")).to_be_in_viewport(ratio=1)
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_in_viewport(ratio=1)
