"""The "break it" drawer of `tidings demo`: what it breaks, how it heals, and that its count can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from lab.demo import Demo
from lab.process import PATIENCE_S
from tests.browser.window import Window, box_of

Profile = Callable[[], BrowserContext]

RECOVERY_S = 40.0
"""From a restored network to a whole conversation: retries wait up to 30 s."""


FASTER = """factor => {
    window.realNow ??= performance.now.bind(performance);
    const began = performance.now(), real = window.realNow();
    performance.now = () => began + (window.realNow() - real) * factor;
    if (factor === 1) return;
    let last = real;
    window.stoodStillMs = 0;
    setInterval(() => {
        const now = window.realNow();
        window.stoodStillMs = Math.max(window.stoodStillMs, now - last);
        last = now;
    }, 10);
}"""
"""Lets the page's clock run faster, and watches for how long no timer came at all."""


class Drawer:
    """The drawer in a window, and its five numbers."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.panel: Locator = window.page.get_by_role("complementary", name="Break it")
        self.opener: Locator = window.page.get_by_role("button", name="Break it")

    def open(self) -> Drawer:
        self.opener.click()
        expect(self.panel).to_be_visible()
        return self

    def presses(self, name: str) -> None:
        self.panel.get_by_role("button", name=name, exact=True).click()

    def count(self) -> dict[str, int]:
        shown: dict[str, str] = self.panel.locator("dl > div").evaluate_all(
            "rows => Object.fromEntries(rows.map((row) => [row.dataset.row, row.querySelector('dd').textContent]))"
        )
        return {name: int(number) for name, number in shown.items()}

    def shows(self, numbers: dict[str, int]) -> None:
        """Wait until these are the numbers."""
        for _ in range(int(PATIENCE_S / 0.02)):
            if numbers == (count := self.count()):
                return
            self.window.page.wait_for_timeout(20)
        assert numbers == count

    def reconciles(self, at_least: int) -> dict[str, int]:
        """Wait until everything that was sent was acknowledged and received; the numbers then."""

        def whole() -> dict[str, int] | None:
            count = self.count()
            settled = at_least <= count["sent"] == count["acknowledged"] == count["received"]
            return count if settled else None

        self.window.is_waiting_for(whole, "the numbers are equal", RECOVERY_S)
        return self.count()


@pytest.fixture
def broken(demo: Demo) -> Iterator[Demo]:
    """The module's demo, with a count of its own for each test, and whole again afterwards."""
    demo.orders("count")
    yield demo
    demo.restores()
    demo.orders("traffic", per_second=0)


def two(demo: Demo, browser: BrowserContext, one: str, other: str) -> tuple[Window, Window]:
    """Two people who have talked, each in a window of one browser."""
    demo.sends(one, other, "hello")
    demo.orders("count")
    return Window.in_demo(browser, demo.url, one, other), Window.in_demo(browser, demo.url, other, one)


def test_the_drawer_is_opened_used_and_left_by_the_keyboard(broken: Demo, profile: Profile) -> None:
    """Focus goes into it and returns; what is pressed says so, for whom, and until when."""
    window = Window.in_demo(profile(), broken.url, "kim", "lou")
    drawer = Drawer(window)
    expect(drawer.opener).to_have_attribute("aria-expanded", "false")
    drawer.opener.focus()
    window.page.keyboard.press("Enter")
    expect(drawer.panel.get_by_role("heading", name="Break it")).to_be_focused()
    expect(drawer.opener).to_have_attribute("aria-expanded", "true")

    refuse = drawer.panel.get_by_role("button", name="Refuse")
    expect(refuse).to_be_disabled()
    expect(drawer.panel.get_by_role("button", name="Only kim")).to_have_attribute("aria-pressed", "true")
    drawer.panel.get_by_role("button", name="Everybody").focus()
    window.page.keyboard.press("Enter")
    expect(refuse).to_be_enabled()
    drawer.panel.get_by_role("button", name="Delay", exact=True).focus()
    window.page.keyboard.press("Space")

    expect(drawer.panel.get_by_role("button", name="Delay", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(window.page.get_by_role("status").filter(has_text="Delayed for everybody.")).to_be_attached()
    assert [("delay", None, 1000)] == [(f["kind"], f["user"], f["delay_ms"]) for f in broken.state["faults"]]
    drawer.presses("Restore everything")
    expect(window.page.get_by_role("status").filter(has_text="Nothing is broken.")).to_be_attached()
    drawer.panel.get_by_role("button", name="Close").focus()
    window.page.keyboard.press("Escape")
    expect(drawer.panel).to_be_hidden()
    expect(drawer.opener).to_be_focused()
    assert [] == window.complaints


# shows: demo/stall
def test_one_persons_network_stalls_while_the_other_goes_on(broken: Demo, profile: Profile) -> None:
    """Two windows of one browser; after `Restore` every number is the same, and nothing is lost or doubled."""
    mia, ned = two(broken, profile(), "mia", "ned")
    drawer = Drawer(mia).open()
    drawer.presses("Stall")
    expect(drawer.panel.get_by_role("button", name="Stall")).to_have_attribute("aria-pressed", "true")

    mia.says("into the void")
    ned.says("nobody hears me")
    ned.ticks("nobody hears me", "Sent")
    drawer.shows({"sent": 2, "acknowledged": 1, "received": 0, "lost": 0, "doubled": 0})
    expect(drawer.panel).to_contain_text("1 not acknowledged yet, 1 on the way.")
    drawer.presses("Restore everything")

    assert {"sent": 2, "acknowledged": 2, "received": 2, "lost": 0, "doubled": 0} == drawer.reconciles(2)
    expect(drawer.panel).to_contain_text("Every message arrived, once.")
    for window in (mia, ned):
        assert {"into the void", "nobody hears me"} == set(window.texts[1:])
        assert 3 == len(window.texts)


def test_a_frozen_tab_has_everything_when_it_thaws(broken: Demo, profile: Profile) -> None:
    """Its script stands still, by a clock that the test lets run thirty times as fast; what came meanwhile is there."""
    broken.sends("ada", "ben", "hello")
    broken.orders("count")
    ada = Window.in_demo(profile(), broken.url, "ada", "ben")
    ben = Window.in_demo(profile(), broken.url, "ben", "ada")
    drawer = Drawer(ada).open()
    ada.page.evaluate(FASTER, 30)
    drawer.presses("Freeze for 15 s")
    ben.says("while you were away")
    ben.is_acknowledged("while you were away")
    ada.is_waiting_for(lambda: ada.page.evaluate("window.stoodStillMs") >= 400, "the tab stood still")
    ada.page.evaluate(FASTER, 1)
    ada.is_waiting_for(lambda: ada.texts[-1:] == ["while you were away"], "what was sent to a frozen tab is there")
    assert {"sent": 1, "acknowledged": 1, "received": 1, "lost": 0, "doubled": 0} == drawer.reconciles(1)


def test_under_traffic_replies_are_dropped_and_the_server_is_killed_and_every_number_is_equal_in_the_end(
    broken: Demo, profile: Profile
) -> None:
    """Two people write without pause meanwhile; nothing is lost, nothing doubled."""
    oda, pit = two(broken, profile(), "oda", "pit")
    drawer = Drawer(oda).open()
    drawer.panel.get_by_role("combobox", name="Messages a second").select_option("5 a second")
    drawer.presses("Start")
    oda.is_waiting_for(lambda: drawer.count()["received"] >= 6, "the traffic runs")
    assert ["oda", "pit"] == broken.state["traffic"]["people"]

    drawer.presses("Everybody")
    drawer.presses("Drop replies")
    before = drawer.count()["sent"]
    oda.is_waiting_for(lambda: drawer.count()["sent"] >= before + 6, "it goes on")
    drawer.presses("Kill it")
    expect(drawer.panel).to_contain_text("Dead. Starts again in")
    for window in (oda, pit):
        window.connection_is("reconnecting")
    drawer.presses("Restore everything")
    expect(drawer.panel).to_contain_text("Running, process")
    drawer.panel.get_by_role("button", name="Stop").click()

    count = drawer.reconciles(before + 6)

    assert (0, 0) == (count["lost"], count["doubled"])
    for window in (oda, pit):
        assert len(window.texts) == len(set(window.texts))


FORGERY = """
    const whole = window.fetch;
    window.fetch = async (address, init) => {
        const response = await whole(address, init);
        if (!String(address).includes('/sse/')) return response;
        let text = '', copy = null;
        const forge = new TransformStream({
            start() { this.decoder = new TextDecoder(); this.encoder = new TextEncoder(); },
            transform(chunk, out) {
                text += this.decoder.decode(chunk, {stream: true});
                for (let end; (end = text.indexOf('\\n\\n')) >= 0; text = text.slice(end + 2)) {
                    let frame = text.slice(0, end + 2);
                    const [head, data] = frame.split('data: ');
                    if (data?.includes('"twice"')) copy = data;
                    if (data?.includes('"never"')) frame = head + 'data: ' + copy;
                    out.enqueue(this.encoder.encode(frame));
                }
            },
        });
        return new Response(response.body.pipeThrough(forge), response);
    };
"""
"""In the place of the message "never" this page is given "twice" once more, under the position of "never", as a server
with such a fault would do. The client cannot know; the count must."""


# shows: demo/count-fails
def test_the_count_shows_a_message_that_is_lost_and_one_that_is_doubled(broken: Demo, profile: Profile) -> None:
    """The count can fail: a loss and a doubling that were planted are one of each, in every window."""
    broken.sends("quin", "rea", "hello")
    broken.orders("count")
    quin = Window.in_demo(profile(), broken.url, "quin", "rea")
    other = profile()
    other.add_init_script(FORGERY)
    rea = Window.in_demo(other, broken.url, "rea", "quin")
    drawer = Drawer(quin).open()
    quin.says("fine")
    assert {"sent": 1, "acknowledged": 1, "received": 1, "lost": 0, "doubled": 0} == drawer.reconciles(1)

    for text in ("twice", "never"):
        quin.says(text)
        quin.ticks(text, "Read" if text == "twice" else "Sent")

    wrong = {"sent": 3, "acknowledged": 3, "received": 2, "lost": 1, "doubled": 1}
    drawer.shows(wrong)
    expect(quin.page.locator(".demo-bar")).to_contain_text("1 lost, 1 doubled")
    assert "never" not in rea.texts


# shows: demo/count-lost
def test_a_message_that_the_server_acknowledged_and_lost_is_shown(broken: Demo, profile: Profile) -> None:
    """A row that is gone from the database: what a disk that lies would do."""
    sia, tim = two(broken, profile(), "sia", "tim")
    drawer = Drawer(sia).open()
    sia.says("gone tomorrow")
    assert 0 == drawer.reconciles(1)["lost"]

    broken.loses("gone tomorrow")

    sia.is_waiting_for(lambda: drawer.count()["lost"] == 1, "the loss is shown")
    assert [] == tim.complaints


def test_on_a_phone_the_drawer_is_below_and_covers_nothing(broken: Demo, profile: Profile) -> None:
    """The composer stays in sight and in use; the page does not scroll sideways."""
    window = Window.in_demo(profile(), broken.url, "uma", "vic")
    window.page.set_viewport_size({"width": 390, "height": 844})
    drawer = Drawer(window).open()

    composer, panel = box_of(window.composer), box_of(drawer.panel)

    assert composer["y"] + composer["height"] <= panel["y"]
    assert (390, 844) == (panel["width"], panel["y"] + panel["height"])
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 390
    window.says("still in sight")
    window.ticks("still in sight", "Sent")
