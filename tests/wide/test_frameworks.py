"""The examples for Vue and Svelte: built by the real compilers, in Chromium, beside the example for FastAPI."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lab.browser.chromium import launched
from lab.client_build import ROOT, install_packages, node_program
from lab.host import Host
from lab.process import PATIENCE_S, Program, accepts, free_port, wait_for
from tests.browser.window import ROWS

EXAMPLES = ROOT / "examples"
PACKAGES = Path(__file__).parent / "frameworks" / "node_modules"
BUILD_DEADLINE_S = 100
PATIENCE_MS = PATIENCE_S * 1000


class Preview(Program):
    """An example as its users build it, served by Vite, which hands the API and the sign-in on to `server`."""

    def __init__(self, directory: Path, name: str, server: str) -> None:
        super().__init__(directory)
        self.server = server
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        shutil.copytree(EXAMPLES / name, directory, ignore=shutil.ignore_patterns("node_modules", "dist"))
        self.vite = [node_program(), str(install_packages(directory, PACKAGES) / "vite" / "bin" / "vite.js")]

    def build(self) -> None:
        built = subprocess.run(
            [*self.vite, "build", "--logLevel", "warn"],
            cwd=self.directory, capture_output=True, text=True, timeout=BUILD_DEADLINE_S, check=False,
        )  # fmt: skip
        assert (0, "") == (built.returncode, built.stderr), built.stdout + built.stderr

    def command(self) -> list[str]:
        return [*self.vite, "preview", "--host", "127.0.0.1", "--port", str(self.port), "--strictPort"]

    def environment(self) -> dict[str, str]:
        return super().environment() | {"SERVER": self.server}

    def serves(self) -> object:
        return accepts(self.port)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("server"), "fastapi_app:app", source=EXAMPLES)
    host.start()
    yield host
    host.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def opened(chromium: Browser, address: str) -> Page:
    """In a profile of its own: it is somebody else's browser."""
    page = chromium.new_context(locale="en-GB").new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    return page


@pytest.mark.parametrize("name", ["vue", "svelte"])
def test_two_people_of_an_example_in_another_framework_write_to_each_other(
    tmp_path: Path, server: Host, chromium: Browser, name: str
) -> None:
    """Live, from the history, and with a draft and a refused message that are there after a reload; and so is what was
    written after a reload while the server is away: the page names its user."""
    expect.set_options(timeout=PATIENCE_MS)
    preview = Preview(tmp_path / name, name, server.url)
    preview.build()
    preview.start()
    me, other = f"ada-{name}", f"ben-{name}"
    ada = opened(chromium, f"{preview.url}/?as={me}&with={other}")
    ben = opened(chromium, f"{preview.url}/?as={other}&with={me}")
    try:
        for page in (ada, ben):
            expect(page.get_by_text("connected")).to_be_visible()
        says(ada, "Hello Ben")
        expect(ben.get_by_role("listitem")).to_have_text([f"{me}: Hello Ben"])
        says(ben, "Hello Ada")
        expect(ada.get_by_role("listitem")).to_have_text([f"{me}: Hello Ben", f"{other}: Hello Ada"])
        says(ada, "a bell \x07")
        refused = ada.get_by_role("listitem").filter(has_text="a bell")
        expect(refused.get_by_role("button", name="Retry")).to_be_visible()
        ada.get_by_label("Message", exact=True).fill("a draft")
        ada.reload()
        expect(refused).to_be_visible()
        expect(ada.get_by_role("listitem")).to_have_count(3)
        expect(ada.get_by_label("Message", exact=True)).to_have_value("a draft")
        ada.route("**/api/**", lambda route: route.abort())
        ada.reload()
        says(ada, "while nobody answers")
        wait_for(lambda: 2 == sum("outbox/" in key for keys in ada.evaluate(ROWS).values() for key in keys))
        ada.reload()
        expect(ada.get_by_role("listitem").filter(has_text="while nobody answers")).to_be_visible()
    finally:
        for page in (ada, ben):
            page.context.close()
        preview.kill()


def says(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


@pytest.mark.parametrize("path", ["vue/src/Chat.vue", "svelte/src/Chat.svelte"])
def test_an_example_of_the_core_is_at_most_forty_lines(path: str) -> None:
    """All that a conversation needs, whole lines of at most 120 characters."""
    lines = (EXAMPLES / path).read_text(encoding="utf-8").splitlines()
    assert 0 < len(lines) <= 40
    assert max(map(len, lines)) <= 120
