"""The system's Chromium, driven by Playwright, with nothing in it that talks to anybody else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from lab import plain_http
from lab.process import START_DEADLINE_S, wait_for

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
LAN_NAME = "chat.test"
"""A name of this machine that is not loopback: over plain http a page of it has no secure context."""

FEATURES_OFF = [
    # What Playwright switches off. Of two such arguments Chromium takes the last, so that ours has to repeat its own.
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect", "TcpPortRandomizationWin", "OptimizationHints", "NetworkTimeServiceQuerying",
    "AimEnabled", "PreconnectToSearch", "msForceBrowserSignIn", "msEdgeUpdateLaunchServicesPreferredVersion",
    # The address bar's list of suggestions is a page of its own, in a process of its own, for each window that opens.
    # Nobody types an address here, and it takes as much of a processor as the page that is looked at.
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup",
    # Nor does a process begin in advance for a page that nobody opens.
    "SpareRendererForSitePerProcess",
]  # fmt: skip

ARGUMENTS = [
    "--no-sandbox",  # the tests may run as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    f"--disable-features={','.join(FEATURES_OFF)}",
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


def features_off(browser: Browser) -> list[set[str]]:
    """The lists of features that a running Chromium was told to switch off, in order."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    main = next(each["id"] for each in processes if each["type"] == "browser")
    arguments = Path(f"/proc/{main}/cmdline").read_text().split("\0")
    name = "--disable-features="
    return [set(each.removeprefix(name).split(",")) for each in arguments if each.startswith(name)]


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
    listed = plain_http.get(address).json()
    return any(target["type"] == "page" and target["url"] == "about:blank" for target in listed)


def opened_on(chromium: Browser, directory: Path) -> BrowserContext:
    """A Chromium on a profile that stays on the disk when it is closed, to be opened again."""
    return chromium.browser_type.launch_persistent_context(
        directory, executable_path=program(), args=ARGUMENTS, locale="en-GB"
    )
