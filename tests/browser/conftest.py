"""A real Chromium for the tests of the page.

One browser for all of this folder: Playwright's synchronous API keeps an event loop in this thread while it runs, which
tests elsewhere need for themselves. Each test has people of its own, in contexts (profiles) of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from lab.browser.chromium import launched
from lab.demo import Demo

PATIENCE_MS = 30_000
"""How long a test waits for something that the page should show at once: as long as a busy machine may take."""


@pytest.fixture(scope="package")
def only_chromium() -> Iterator[Browser]:
    """Started once: driver and browser take a second of a processor, for each of thirty files."""
    expect.set_options(timeout=PATIENCE_MS)
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def chromium(only_chromium: Browser) -> Iterator[Browser]:
    """The browser; its console says what the page says. It has no window left when the module ends."""
    yield only_chromium
    for context in only_chromium.contexts:
        context.close()


@pytest.fixture
def profile(chromium: Browser) -> Iterator[Callable[[], BrowserContext]]:
    """Make an empty profile, as another browser on another desk would have; all are closed with the test."""
    made: list[BrowserContext] = []

    def make() -> BrowserContext:
        made.append(chromium.new_context(locale="en-GB", viewport={"width": 1000, "height": 700}))
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`tidings demo`; the tests of a module share it, each with people whom no other test uses."""
    with Demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo
