"""The system's Chromium, driven by Playwright, with nothing in it that talks to anybody else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from lab.process import START_DEADLINE_S, wait_for

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
LAN_NAME = "chat.test"
"""A name of this machine that is not loopback: over plain http a page of it has no secure context."""

ARGUMENTS = [
    "--no-sandbox",  # the tests may run as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    f"--host-resolver-rules=MAP {LAN_NAME} 127.0.0.1",
]


@contextmanager
def launched() -> Iterator[Browser]:
    """A headless Chromium with empty profiles; it has ended when the block is left."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def program() -> str:
    found = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    assert found, "the tests of the page need Chromium: apt-get install -y --no-install-recommends chromium"
    return found


@contextmanager
def with_real_tabs(chromium: Browser, directory: Path) -> Iterator[BrowserContext]:
    """A Chromium as on a desk: of its tabs one is in front, and the others are hidden and throttled.

    In those that Playwright starts every page counts as visible, timers run in the background as in front, and there
    is no back/forward cache. `chromium` lends its driver: there is one in a thread.
    """
    port = directory / "DevToolsActivePort"
    command = [program(), *ARGUMENTS, "--headless", "--remote-debugging-port=0", f"--user-data-dir={directory}"]
    process = subprocess.Popen(
        [*command, "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: port.exists() and port.read_text().count("\n"), START_DEADLINE_S, "Chromium's address")
        number, path = port.read_text().split("\n")[:2]
        # Whoever connects while the first tab is being made may wait for it for ever.
        wait_for(lambda: _has_tab(f"http://127.0.0.1:{number}/json/list"), START_DEADLINE_S, "Chromium's first tab")
        address = f"ws://127.0.0.1:{number}{path}"
        browser = chromium.browser_type.connect_over_cdp(address, no_defaults=True)
        yield browser.contexts[0]
        browser.close()
    finally:
        process.terminate()
        process.wait(START_DEADLINE_S)


def _has_tab(address: str) -> bool:
    listed = httpx2.get(address, trust_env=False).json()
    return any(target["type"] == "page" and target["url"] == "about:blank" for target in listed)


def opened_on(chromium: Browser, directory: Path) -> BrowserContext:
    """A Chromium on a profile that stays on the disk when it is closed, to be opened again."""
    return chromium.browser_type.launch_persistent_context(
        directory, executable_path=program(), args=ARGUMENTS, locale="en-GB"
    )
