"""A window of the shop (`shop/`): somebody's page with our script in it, and what its visitor sees and does there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

from playwright.sync_api import Locator, Page, expect

from lab.host import Host

FILES = Path(__file__).with_name("shop")


@contextmanager
def shop(directory: Path) -> Iterator[Host]:
    """The shop, served by its application."""
    (directory / "shop").mkdir()
    host = Host(directory / "shop", "server:app", source=FILES)
    host.start()
    try:
        yield host
    finally:
        host.stop()


class ShopWindow:
    """The page with a launcher, or whatever else `options` say; `who` is signed in, None: nobody."""

    def __init__(self, page: Page, shop: Host, who: str | None, options: dict[str, object] | None = None) -> None:
        self.page = page
        if who is not None:
            page.context.add_cookies([{"name": "who", "value": quote(who), "url": shop.url}])
        page.goto(f"{shop.url}/?{urlencode({'options': json.dumps(options or {})})}")

    @property
    def button(self) -> Locator:
        """The button in the corner, while the panel is closed."""
        return self.page.locator(".tidings-launcher-button")

    @property
    def panel(self) -> Locator:
        return self.page.get_by_role("dialog", name="Messages")

    def has_unread(self, count: int) -> None:
        """The name of the button says so."""
        expect(self.button).to_have_accessible_name("Messages" + (f", {count} unread" if count else ""))

    def opens(self) -> None:
        """By a click; the panel has come to rest."""
        self.button.click()
        expect(self.panel).to_be_visible()
        self.rests()

    def rests(self) -> None:
        self.panel.evaluate("it => Promise.all(it.getAnimations({ subtree: true }).map((each) => each.finished))")

    def focused(self) -> str:
        """Name or text of the element that has the focus, within our part of the page too."""
        return str(
            self.page.evaluate(
                """() => {
                    let found = document.activeElement;
                    while (found.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
                    return found === document.body ? "" : found.ariaLabel ?? found.textContent.trim();
                }"""
            )
        )
