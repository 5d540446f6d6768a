"""Pictures of the page's main states, for the eye: wide and narrow, light and dark.

Run by hand: ``python tests/browser/screenshots.py OUTDIR``. It starts the demo (and `tidings serve` for the sign-in)
and writes OUTDIR/STATE-WIDTH-SCHEME.png. What is on them is asserted by the tests; whether it looks right is not.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # tests/, which pytest's configuration adds for the tests

from chromium import launched
from demo import Demo
from node import Node
from playwright.sync_api import Browser, expect
from proxy import Proxy
from window import Window

SIZES = {1280: 800, 390: 844}
SCHEMES = ("light", "dark")


class Studio:
    """One browser, one demo, and a network in front of it that can be broken."""

    def __init__(self, browser: Browser, demo: Demo, proxy: Proxy, node: Node) -> None:
        self.browser = browser
        self.demo = demo
        self.proxy = proxy
        self.node = node
        self.width = 0
        self.scheme = "light"

    @contextmanager
    def window(self) -> Iterator[Window]:
        """An empty profile of the present size and scheme."""
        context = self.browser.new_context(
            locale="en-GB",
            color_scheme="dark" if self.scheme == "dark" else "light",
            viewport={"width": self.width, "height": SIZES[self.width]},
        )
        try:
            yield Window(context)
        finally:
            self.proxy.restore()
            context.close()

    def person(self, name: str) -> str:
        """A person for one picture only."""
        return f"{name}-{self.width}-{self.scheme}"

    def talk(self, me: str, peer: str) -> None:
        """Something to look at: groups, long lines, an address, other directions of writing, emoji."""
        for sender, text in [
            (peer, "Hi! Did you get home all right?"),
            (peer, "The train was late, I hear."),
            (
                me,
                "Yes, half an hour.\nBut there was a seat, a window, and the sea behind it the whole way down.",
            ),
            (me, "🌊"),
            (
                peer,
                "I read https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage meanwhile",
            ),
            (peer, "مرحبا! هل وصلت الكتب؟"),
            (me, "x" * 120),
            (peer, "\n".join(f"{number}. line of a long list" for number in range(1, 20))),
        ]:
            self.demo.sends(sender, peer if sender == me else me, text)


def shoot_list(studio: Studio, window: Window) -> None:
    window.page.goto(f"{studio.demo.url}/?as=ada")
    expect(window.entry("Ben")).to_be_visible()


def shoot_list_empty(studio: Studio, window: Window) -> None:
    window.page.goto(f"{studio.demo.url}/?as={studio.person('newcomer')}")
    expect(window.conversations.get_by_text("No messages yet")).to_be_visible()


def shoot_new_message(studio: Studio, window: Window) -> None:
    window.page.goto(f"{studio.demo.url}/?as=ada")
    window.begins_conversation_with("not/possible")
    expect(window.page.get_by_role("alert")).to_contain_text("no / or")


def shoot_thread(studio: Studio, window: Window) -> None:
    me = studio.person("me")
    with studio.window() as other:
        _open(studio.demo.url, other, "Robin", me)
        studio.talk(me, "Robin")
        _open(studio.demo.url, window, me, "Robin")
        window.says("Good night!")
        window.ticks("Good night!", "Read")


def shoot_thread_of_the_demo(studio: Studio, window: Window) -> None:
    _open(studio.demo.url, window, "ada", "ben")
    expect(window.messages.filter(has_text="More about it")).to_be_visible()


def shoot_thread_unread(studio: Studio, window: Window) -> None:
    me = studio.person("away")
    studio.demo.sends(me, "Robin", "I am off for a while")
    for text in ("Are you there?", "Hello?", "Then not."):
        studio.demo.sends("Robin", me, text)
    _open(studio.demo.url, window, me, "Robin")
    expect(window.page.get_by_text("new messages")).to_be_visible()


def shoot_thread_empty(studio: Studio, window: Window) -> None:
    _open(studio.demo.url, window, studio.person("shy"), "Somebody with quite a long name of eight or nine words")
    expect(window.page.get_by_text("Say hello to")).to_be_visible()


def shoot_typing(studio: Studio, window: Window) -> None:
    me = studio.person("listener")
    studio.demo.sends(me, "Robin", "Well?")
    _open(studio.demo.url, window, me, "Robin")
    with studio.window() as other:
        _open(studio.demo.url, other, "Robin", me)
        other.composer.press_sequentially("I think")
        expect(window.status).to_contain_text("typing")
        window.page.screenshot()  # lets the picture settle while they still type


def shoot_reconnecting(studio: Studio, window: Window) -> None:
    me = studio.person("cut")
    studio.talk(me, "Robin")
    _open(studio.proxy.url, window, me, "Robin")
    studio.proxy.refuse()
    expect(window.banner).to_contain_text("Trying again")
    window.says("Typed while the network is gone")


def shoot_list_reconnecting(studio: Studio, window: Window) -> None:
    window.page.goto(f"{studio.proxy.url}/?as=ada")
    expect(window.entry("Ben")).to_be_visible()
    studio.proxy.refuse()
    expect(window.banner).to_contain_text("Trying again")


def shoot_polling(studio: Studio, window: Window) -> None:
    me = studio.person("polling")
    studio.talk(me, "Robin")
    _open(studio.proxy.url, window, me, "Robin")
    studio.proxy.hold_streams()
    studio.proxy.end_open()
    expect(window.banner).to_contain_text("Using polling mode", timeout=15_000)


def shoot_failed(studio: Studio, window: Window) -> None:
    me = studio.person("refused")
    studio.talk(me, "Robin")
    _open(studio.demo.url, window, me, "Robin")
    window.says("A bell that no message may hold: \x07")
    expect(window.messages.filter(has_text="Not sent.")).to_be_visible()


def shoot_too_long(studio: Studio, window: Window) -> None:
    _open(studio.demo.url, window, studio.person("verbose"), "Robin")
    window.composer.fill("Far too long. " * 1200)
    expect(window.page.get_by_text("Too long by")).to_be_visible()


def shoot_who_are_you(studio: Studio, window: Window) -> None:
    window.page.goto(studio.demo.url)
    expect(window.page.get_by_role("heading", name="Who are you?")).to_be_visible()


def shoot_sign_in(studio: Studio, window: Window) -> None:
    window.page.goto(f"{studio.node.url}/#token=hello")
    expect(window.page.get_by_role("alert")).to_contain_text("not a token")


def shoot_signed_out(studio: Studio, window: Window) -> None:
    window.page.goto(f"{studio.node.url}/#token={studio.node.token('late', ttl_s=-99)}")
    expect(window.page.get_by_role("heading", name="Your sign-in has ended")).to_be_visible()


SHOTS: list[Callable[[Studio, Window], None]] = [
    shoot_list, shoot_list_empty, shoot_new_message, shoot_thread, shoot_thread_of_the_demo, shoot_thread_unread,
    shoot_thread_empty, shoot_typing, shoot_reconnecting, shoot_list_reconnecting, shoot_polling, shoot_failed,
    shoot_too_long, shoot_who_are_you, shoot_sign_in, shoot_signed_out,
]  # fmt: skip


def _open(url: str, window: Window, user_id: str, peer: str) -> None:
    window.page.goto(f"{url}/?as={user_id}#/{peer}")
    window.is_connected()


def main(folder: Path) -> None:
    """Take every picture in every size and scheme."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, launched() as browser:
        (Path(scratch) / "demo").mkdir()
        with (
            Demo(Path(scratch) / "demo") as demo,
            Proxy(("127.0.0.1", demo.port)) as proxy,
            Node(Path(scratch) / "node") as node,
        ):
            studio = Studio(browser, demo, proxy, node)
            for shoot in SHOTS:
                for studio.width in SIZES:
                    for studio.scheme in SCHEMES:
                        name = shoot.__name__.removeprefix("shoot_").replace("_", "-")
                        with studio.window() as window:
                            shoot(studio, window)
                            window.page.screenshot(path=folder / f"{name}-{studio.width}-{studio.scheme}.png")
                            print(f"{name}-{studio.width}-{studio.scheme}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python tests/browser/screenshots.py OUTDIR")
    main(Path(sys.argv[1]))
