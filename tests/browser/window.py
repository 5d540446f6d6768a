"""A window with our page in it, and what its user sees and does there.

Everything that should be seen is waited for; nothing is asserted of what has not had its time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from playwright.sync_api import BrowserContext, FloatRect, Locator, Page, Request, expect

from lab.node import Person
from lab.process import PATIENCE_S

POLL_S = 0.05
"""Between two looks at what is waited for: a look asks the page or the server, which have something to do."""

AT_REST = """async (element) => {
    const root = element.getRootNode();
    await Promise.allSettled(root.getAnimations()
        .filter((each) => each.effect.getComputedTiming().endTime < Infinity)
        .map((each) => each.finished));
}"""
"""What appears or moves has come to its place; what shimmers or types for ever is not waited for."""

ROWS = """async () => {
    const rows = {};
    for (const { name } of await indexedDB.databases()) {
        const database = await new Promise((resolve) => {
            const request = indexedDB.open(name);
            // Deleted since it was listed: opening it must not make it anew.
            request.onupgradeneeded = () => request.transaction.abort();
            request.onsuccess = () => resolve(request.result);
            request.onerror = (event) => (event.preventDefault(), resolve(null));
        });
        if (database === null) continue;
        rows[name] = await new Promise((resolve) => {
            if (database.objectStoreNames.length === 0) return resolve([]);
            database.transaction("rows").objectStore("rows").getAllKeys().onsuccess = (event) =>
                resolve(event.target.result.map(String));
        });
        database.close();
    }
    return rows;
}"""
"""The keys that this browser keeps for this page, by database."""


def box_of(element: Locator) -> FloatRect:
    """Where an element is in the window, px, once everything around it is at rest: it is smaller while it appears."""
    element.evaluate(AT_REST)
    box = element.bounding_box()
    assert box is not None, "it is not shown"
    return box


class Window:
    """One tab. It is opened by `as_user` (`tidings serve`) or `in_demo` (`tidings demo`).

    Attributes:
        complaints: Errors and warnings on the console, uncaught exceptions, and violations of the content policy.
        open_streams: Requests for an event stream that have not ended.
        streams_opened: How many there were since the tab was opened.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.open_streams: set[Request] = set()
        self.streams_opened = 0
        self.page.on("console", lambda said: self._console(said.type, said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("request", self._began)
        self.page.on("requestfinished", self._ended)
        self.page.on("requestfailed", self._ended)

    @classmethod
    def as_user(
        cls,
        context: BrowserContext,
        url: str,
        person: Person,
        peer: str | None = None,
        in_place_of: Person | None = None,
    ) -> Window:
        """Sign in with a link that holds the token, and open the conversation with `peer`.

        Where somebody else uses this browser the page asks first.
        """
        window = cls(context)
        window.page.goto(f"{url}/#token={person.token}")
        if in_place_of is not None:
            window.accepts_to_be(person, in_place_of)
        if peer is not None:
            expect(window.conversations).to_be_visible()
            window.goes_to(peer)
            window.is_connected()
        return window

    @classmethod
    def in_demo(cls, context: BrowserContext, url: str, user_id: str, peer: str | None = None) -> Window:
        """Be this person of a demo."""
        window = cls(context)
        fragment = "" if peer is None else f"#/{quote(peer, safe='')}"
        window.page.goto(f"{url}/?as={quote(user_id, safe='')}{fragment}")
        if peer is not None:
            window.is_connected()
        return window

    def accepts_to_be(self, person: Person, in_place_of: Person) -> None:
        """Say yes when the page asks whether to sign in as somebody else, naming both."""
        question = self.page.get_by_role("main").filter(has_text="Sign in as somebody else?")
        expect(question).to_contain_text(in_place_of.id)
        question.get_by_role("button", name=f"Sign in as {person.id}").click()

    @property
    def conversations(self) -> Locator:
        return self.page.get_by_role("navigation", name="Conversations")

    @property
    def composer(self) -> Locator:
        return self.page.get_by_role("textbox", name=re.compile("^Message "))

    @property
    def status(self) -> Locator:
        """Return the state of the other one, below their name."""
        return self.page.locator(".tidings-status")

    def connection_is(self, status: str, timeout_ms: float | None = None) -> None:
        """The screen of the conversation says this of the user's own connection, for stylesheets."""
        screen = self.page.locator(".tidings-screen")
        expect(screen).to_have_attribute("data-connection", status, timeout=timeout_ms)

    @property
    def banner(self) -> Locator:
        return self.page.locator(".tidings-banner")

    @property
    def own_state(self) -> Locator:
        """Above the list: what the user's own connection is, while it is not fine."""
        return self.page.locator(".tidings-own-state")

    @property
    def connected(self) -> Locator:
        """The screen of the conversation, while the connection is fine."""
        return self.page.locator(".tidings-screen[data-connection=connected]")

    @property
    def messages(self) -> Locator:
        return self.page.get_by_role("article")

    @property
    def texts(self) -> list[str]:
        """The texts of all messages shown, as they stand in the document."""
        return self.page.locator(".tidings-message .tidings-words").all_text_contents()

    def goes_to(self, peer: str) -> None:
        """Follow a link to a conversation."""
        self.page.evaluate("fragment => { location.hash = fragment }", f"#/{quote(peer, safe='')}")

    def chooses(self, name: str) -> None:
        """Choose a conversation in the list."""
        self.entry(name).click()

    def entry(self, name: str) -> Locator:
        """A conversation in the list."""
        named = self.page.locator(".tidings-entry-name").get_by_text(name, exact=True)
        return self.conversations.get_by_role("link").filter(has=named)

    def signs_out(self, *, deleting: str | None = None) -> None:
        """By the settings, which the own picture opens; `deleting` is the question that the page asks first, if any."""
        settings = self.page.get_by_role("dialog", name="Settings")
        self.conversations.get_by_role("button", name=re.compile("^Settings of ")).click()
        settings.get_by_role("button", name="Sign out").click()
        if deleting is not None:
            expect(settings.get_by_role("alert")).to_have_text(deleting)
            settings.get_by_role("button", name="Sign out and delete").click()

    def begins_conversation_with(self, user_id: str) -> None:
        """ "New message", to this user id as it is typed."""
        self.conversations.get_by_role("button", name="New message").first.click()
        field = self.page.get_by_role("combobox", name="To whom?")
        field.fill(user_id)
        field.press("Enter")

    def says(self, text: str) -> None:
        """Type and press Enter."""
        self.composer.fill(text)
        self.composer.press("Enter")

    def message(self, text: str) -> Locator:
        """The bubble with this text; there is one."""
        return self.messages.filter(has=self.page.locator(".tidings-words").get_by_text(text, exact=True))

    def shows(self, *texts: str) -> None:
        """These messages, each once, in this order, and no others."""
        expect(self.page.locator(".tidings-message .tidings-words")).to_have_text(list(texts))

    def ticks(self, text: str, tick: str, timeout_ms: float | None = None) -> None:
        """The state of an own message: Sending, Waiting to be sent, Not sent, Sent, Delivered, Read."""
        expect(self.message(text).locator(".tidings-tick")).to_have_attribute("title", tick, timeout=timeout_ms)

    def is_acknowledged(self, text: str) -> None:
        """The server has it. Where the other side has a page, it may be delivered or read before anybody looks."""
        tick = self.message(text).locator(".tidings-tick")
        expect(tick).to_have_attribute("title", re.compile("^(Sent|Delivered|Read)$"))

    def rows(self) -> dict[str, list[str]]:
        """The keys of what this browser keeps for this page, by database."""
        kept: dict[str, list[str]] = self.page.evaluate(ROWS)
        return kept

    def keeps(self, key: str) -> None:
        """Wait until a row that begins so is on the device: what changes is written at most every 250 ms."""
        self.is_waiting_for(
            lambda: any(each.startswith(key) for keys in self.rows().values() for each in keys), f"{key} is kept"
        )

    def is_connected(self, timeout_ms: float | None = None) -> None:
        self.connection_is("connected", timeout_ms)

    def is_waiting_for(self, condition: Callable[[], object], what: str, deadline_s: float = PATIENCE_S) -> None:
        """Wait until this holds, while the browser's events go on coming in."""
        for _ in range(int(deadline_s / POLL_S)):
            if condition():
                return
            self.page.wait_for_timeout(POLL_S * 1000)
        raise AssertionError(f"not within {deadline_s} s: {what}")

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _began(self, request: Request) -> None:
        if "/sse/" in request.url:
            self.open_streams.add(request)
            self.streams_opened += 1

    def _ended(self, request: Request) -> None:
        self.open_streams.discard(request)
