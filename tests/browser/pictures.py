"""The pictures of the documents, from the real page: ``make pictures`` writes docs/pictures/ anew.

Still ones in both themes, and a recording of a network that is cut under one of two people while both write.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, expect

from lab.browser.chromium import launched
from lab.demo import Demo
from lab.proxy import Proxy
from tests.browser.screenshots import ARRIVE
from tests.browser.shop_window import ShopWindow, shop
from tests.browser.window import Window

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
QUALITY = 82
RECORDING_QUALITY = 45  # letters stay sharp, and the README loads 174 KiB for it
FRAMES_PER_S = 5
WINDOW = {"width": 400, "height": 520}
PHONE = {"width": 360, "height": 640}
DESK = {"width": 960, "height": 600}
STAFF = [
    {"id": "mara", "name": "Mara Lindqvist"},
    {"id": "marek", "name": "Marek Kowal"},
    {"id": "tom", "name": "Tomas Maas"},
]
CAPTION_PX = 34
IN_THE_PAGE = """() => {
    const place = document.getElementById("place");
    const top = document.querySelector("header");
    top.after(place);
    place.style.height = `${innerHeight - top.getBoundingClientRect().bottom}px`;
}"""
"""The inbox as a page of the shop: below its header."""
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"

MORNING = [
    ("ben", "ada", "Good morning! The 7:40 is late again"),
    ("ben", "ada", "I am in a tunnel half of the time"),
    ("ada", "ben", "Write anyway. It arrives when you are out again,\nonce, and in order."),
    ("ben", "ada", "🚇 📶 🤞"),
    ("ada", "ben", "See https://html.spec.whatwg.org/multipage/server-sent-events.html"),
    ("chloé", "ada", "Ten o'clock at the fountain? I bring coffee."),
    ("دانا", "ada", "صباح الخير! هل وصلت الكتب؟"),
]


@contextmanager
def window(
    browser: Browser, size: dict[str, int], scheme: Literal["light", "dark"] = "light", scale: float = 1
) -> Iterator[Window]:
    context = browser.new_context(
        locale="en-GB",
        color_scheme=scheme,
        device_scale_factor=scale,
        has_touch=size == PHONE,
        viewport={"width": size["width"], "height": size["height"]},
    )
    yield Window(context)
    context.close()


def picture(window: Window | ShopWindow) -> Image.Image:
    return Image.open(io.BytesIO(window.page.screenshot(caret="hide"))).convert("RGB")


def still(browser: Browser, demo: Demo, size: dict[str, int], name: str) -> None:
    """A conversation as one sees it, in both themes."""
    for scheme in SCHEMES:
        with window(browser, size, scheme, scale=1.5) as ada:
            ada.page.goto(f"{demo.url}/?as=ada#/ben")
            ada.is_connected()
            expect(ada.page.locator(".tidings-thread .tidings-tick").last).to_have_attribute("title", "Read")
            expect(ada.messages.filter(has_text="🚇")).to_be_visible()
            ada.page.locator(".tidings-scroll").evaluate("list => list.scrollTo(0, list.scrollHeight)")
            expect(ada.page.locator(".tidings-entry[aria-current] .tidings-badge")).to_have_count(0)
            ada.page.evaluate("document.activeElement.blur()")
            ada.page.wait_for_timeout(300)
            picture(ada).save(PICTURES / f"{name}-{scheme}.webp", quality=QUALITY, method=6)


def in_a_shop(browser: Browser, directory: Path) -> None:
    """The launcher of a shop, its picker, and the inbox in a page; on a desk and on a phone, in both themes."""
    with shop(directory) as host:
        seller, gallery, visitor = host.person("shop"), host.person("gallery"), host.person("ada")
        seller.sends(
            visitor, "Hi Ada, your mugs came out of the kiln this morning. The third one is a little darker: keep it?"
        )
        visitor.sends(seller, "Keep it, I like it!")
        seller.sends(visitor, "Good. They leave tomorrow.")
        visitor.receipts(seller, read_upto=3)
        seller.receipts(visitor, read_upto=3)
        for scheme in SCHEMES:
            for size, suffix in ((DESK, ""), (PHONE, "-phone")):
                with window(browser, size, scheme, scale=1.5) as ada:
                    page = ShopWindow(ada.page, host, "ada")
                    page.has_unread(0)
                    page.opens()
                    expect(page.panel.get_by_role("article").filter(has_text="They leave tomorrow")).to_be_visible()
                    rests(page, f"launcher{suffix}-{scheme}")
        gallery.sends(visitor, "The exhibition opens on Friday at seven.")
        visitor.receipts(gallery, read_upto=1)
        for scheme in SCHEMES:
            for size, suffix in ((DESK, ""), (PHONE, "-phone")):
                with window(browser, size, scheme, scale=1.5) as ada:
                    page = ShopWindow(ada.page, host, "ada", {"people": STAFF})
                    page.has_unread(0)
                    page.opens()
                    page.panel.get_by_role("button", name="New message").first.click()
                    page.panel.get_by_role("combobox").fill("ma")
                    expect(page.panel.get_by_role("option").filter(has_text="Mara")).to_be_visible()
                    rests(page, f"picker{suffix}-{scheme}")
                with window(browser, size, scheme, scale=1.5) as ada:
                    page = ShopWindow(ada.page, host, "ada", {"view": "inbox", "with": "shop"})
                    article = ada.page.get_by_role("article").filter(has_text="They leave tomorrow")
                    expect(article).to_be_visible()
                    ada.page.evaluate(IN_THE_PAGE)
                    rests(page, f"embedded{suffix}-{scheme}")


def rests(page: ShopWindow, name: str) -> None:
    """Take the picture when nothing moves any more."""
    page.page.evaluate(ARRIVE)
    picture(page).save(PICTURES / f"{name}.webp", quality=QUALITY, method=6)


class Recording:
    """Two windows side by side, each with a line above it that says what is done to its network."""

    def __init__(self, left: Window, right: Window) -> None:
        self.left, self.right = left, right
        self.frames: list[Image.Image] = []
        self.durations_ms: list[int] = []
        self.captions = ["Ada", "Ben"]
        self.is_cut = False
        self._font = ImageFont.truetype(FONT, 15)

    def look(self, seconds: float) -> None:
        """Record for this long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.monotonic()
            self.add()
            self.left.page.wait_for_timeout(max(1.0, 1000 / FRAMES_PER_S - (time.monotonic() - began) * 1000))

    def add(self) -> None:
        pictures = [picture(self.left), picture(self.right)]
        width, height = pictures[0].size
        frame = Image.new("RGB", (2 * width + 12, height + CAPTION_PX), "#2a3133")
        draw = ImageDraw.Draw(frame)
        for index, each in enumerate(pictures):
            left = index * (width + 12)
            is_red = self.is_cut and index == 0
            draw.rectangle((left, 0, left + width - 1, CAPTION_PX - 1), fill="#b0271e" if is_red else "#1b524e")
            draw.text((left + 12, 8), self.captions[index], fill="white", font=self._font)
            frame.paste(each, (left, CAPTION_PX))
        if self.frames and frame.tobytes() == self.frames[-1].tobytes():
            self.durations_ms[-1] += 1000 // FRAMES_PER_S
            return
        self.frames.append(frame)
        self.durations_ms.append(1000 // FRAMES_PER_S)

    def says(self, who: Window, text: str) -> None:
        """Typed as people type, and sent."""
        for start in range(0, len(text), 4):
            who.composer.press_sequentially(text[start : start + 4])
            self.add()
        who.composer.press("Enter")
        self.look(0.8)

    def until(self, seen: Callable[[], bool], deadline_s: float = 20) -> None:
        until = time.monotonic() + deadline_s
        while not seen():
            assert time.monotonic() < until, "the recording waits for something that does not come"
            self.look(0.2)

    def save(self, path: Path) -> None:
        self.frames[0].save(
            path,
            save_all=True,
            append_images=self.frames[1:],
            duration=self.durations_ms,
            loop=0,
            quality=RECORDING_QUALITY,
            method=6,
            minimize_size=True,
        )


def cut_and_recovery(browser: Browser, demo: Demo) -> None:
    """Ada's network is cut; both go on writing; it comes back. Both see the same at the end."""
    with (
        Proxy(("127.0.0.1", demo.port)) as network,
        window(browser, WINDOW) as ada,
        window(browser, WINDOW) as ben,
    ):
        for who, url, name, peer in ((ada, network.url, "ada", "ben"), (ben, demo.url, "ben", "ada")):
            who.page.goto(f"{url}/?as={name}#/{peer}")
            who.is_connected()
            who.page.locator(".tidings-scroll").evaluate("list => list.scrollTo(0, list.scrollHeight)")
        film = Recording(ada, ben)
        film.look(0.6)
        film.says(ben, "Next stop: the long tunnel")
        film.until(lambda: ada.message("Next stop: the long tunnel").is_visible())
        film.captions[0], film.is_cut = "Ada: network cut", True
        network.refuse()
        film.until(lambda: ada.banner.is_visible())
        film.says(ada, "I write into the dark")
        film.says(ben, "Are you still there?")
        film.says(ada, "and once more")
        film.look(1.0)
        film.captions[0], film.is_cut = "Ada: network back", False
        network.restore()
        film.look(0.4)
        if ada.banner.get_by_role("button").is_visible():
            ada.banner.get_by_role("button").click()
        last = ["Are you still there?", "I write into the dark", "and once more"]
        film.until(lambda: set(last) <= set(ada.texts) and ada.texts[-3:] == ben.texts[-3:])
        ada.ticks("and once more", "Read", 20_000)
        film.look(2.5)
        assert sorted(last) == sorted(ben.texts[-3:]), ben.texts
        film.save(PICTURES / "cut-and-recovery.webp")


def main() -> None:
    """Write every picture, and say how large they are."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, launched() as browser:
        expect.set_options(timeout=20_000)
        with Demo(Path(scratch)) as demo:
            for sender, recipient, text in MORNING:
                demo.sends(sender, recipient, text)
            with window(browser, WINDOW) as ben:  # so that what Ada wrote was read
                ben.page.goto(f"{demo.url}/?as=ben#/ada")
                ben.is_connected()
                ben.page.locator(".tidings-scroll").evaluate("list => list.scrollTo(0, list.scrollHeight)")
                ben.page.wait_for_timeout(2000)
            still(browser, demo, DESK, "desktop")
            still(browser, demo, PHONE, "phone")
            cut_and_recovery(browser, demo)
        in_a_shop(browser, Path(scratch))
    for path in sorted(PICTURES.glob("*.webp")):
        print(f"{path.stat().st_size / 1024:6.0f} KiB  {path.name}")


if __name__ == "__main__":
    main()
