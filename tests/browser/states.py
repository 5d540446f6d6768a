"""Every state that the served chat can be in, brought about by what brings it about in life.

Nothing is injected into the page: a state is reached by what people do, by messages that arrive, and by a network
(lab/proxy.py) and servers that fail. Each state is a function of a `Scene`; a `Tour` goes through them. Where
only waiting remains, a state yields: the slow ones begin first and ripen while the quick ones are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Literal
from urllib.parse import quote

from playwright.sync_api import Browser, expect

from lab.demo import Demo
from lab.host import Host
from lab.node import Node, Person
from lab.proxy import Proxy
from tests.browser.people_host import BROKEN, GUEST
from tests.browser.shop_window import ShopWindow, shop
from tests.browser.window import Window

Device = Literal["desktop", "phone"]
SIZES: dict[Device, tuple[int, int]] = {"desktop": (1280, 800), "phone": (390, 844)}
SLOW_MS = 40_000
"""How long a state may take that the page shows only after some seconds of trouble."""

NAMES = [
    "Mia Brandt", "Robin", "Noor", "Tom Lindqvist", "Ines", "Jonas", "Amara Obi", "Lukas", "Sofia Marin", "Elif",
    "Pavel", "Greta", "Hugo", "Leila", "Otto", "Nina", "Samir", "Clara", "Marek", "Yuki", "Anton", "Selma", "Bruno",
    "Maya", "Viktor", "Lena", "Oskar", "Zoé", "Emil", "Ruth", "Felix", "Ida", "Karim", "Vera", "Nils", "Alma",
    "Theo", "Jana", "Rafael", "Eva", "Milan", "Dora", "Isak", "Hana", "Leo", "Frida", "Adam", "Rosa", "Kaspar",
    "Linn", "Jakub", "Ella", "Simon", "Aylin", "Paul", "Nora", "David", "Lotte", "Max", "Ana",
]  # fmt: skip


class Visitor(Person):
    """Somebody whom the host's own session knows."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"session={quote(self.id)}"}

    def opens_page(self, window: Window) -> None:
        """The web chat of the host, in a browser that has the session."""
        window.page.context.add_cookies([{"name": "session", "value": quote(self.id), "url": self.node.url}])
        window.page.goto(f"{self.node.url}/messages/")


class PeopleHost(Host):
    """`people_host.py`: an application whose people find each other by name."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "people_host:app", source=Path(__file__).parent)

    def visitor(self, user_id: str) -> Visitor:
        return Visitor(self, user_id, None)


class Studio:
    """One browser, a demo, a node and a host of their own, and names that nobody else has there."""

    def __init__(self, browser: Browser, directory: Path) -> None:
        self.browser = browser
        self._directory = directory
        self._open = ExitStack()
        self._named = 0

    def __enter__(self) -> Studio:
        for name in ("demo", "node", "host"):
            (self._directory / name).mkdir(parents=True)
        self._shop: Host | None = None
        self.demo = self._open.enter_context(Demo(self._directory / "demo"))
        self.node = self._open.enter_context(Node(self._directory / "node"))
        self.host = PeopleHost(self._directory / "host")
        self.host.start()
        self._open.callback(self.host.kill)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def shop(self) -> Host:
        """Somebody's application with a launcher in its pages, for the states that are of it."""
        if self._shop is None:
            self._shop = self._open.enter_context(shop(self._directory))
        return self._shop

    def person(self) -> str:
        """The id of somebody who has not written or read anything yet; it looks like a name."""
        turn, index = divmod(self._named, len(NAMES))
        self._named += 1
        return NAMES[index] + (f" {turn + 1}" if turn else "")


class Scene:
    """One window on its way into a state, with a network of its own.

    Attributes:
        refresh: To be called before each look: keeps up what passes by itself, such as somebody's typing.
    """

    def __init__(self, studio: Studio, device: Device, name: str) -> None:
        self.studio = studio
        self.demo = studio.demo
        self.device = device
        self.name = name
        self.refresh: Callable[[], None] = lambda: None
        self._open = ExitStack()
        self.network = self._open.enter_context(Proxy(("127.0.0.1", studio.demo.port)))
        self.window = self.another_window()
        self.me, self.peer = studio.person(), studio.person()

    def close(self) -> None:
        self._open.close()

    def another_window(self) -> Window:
        """In a profile of its own."""
        width, height = SIZES[self.device]
        context = self.studio.browser.new_context(
            locale="en-GB", viewport={"width": width, "height": height}, has_touch=self.device == "phone"
        )
        self._open.callback(context.close)
        return Window(context)

    def on_leaving(self, do: Callable[[], object]) -> None:
        self._open.callback(do)

    def opens(self, peer: str | None = None, url: str | None = None, me: str | None = None) -> None:
        """The conversation with `peer`, connected; the list alone without one."""
        fragment = "" if peer is None else f"#/{quote(peer, safe='')}"
        self.window.page.goto(f"{url or self.demo.url}/?as={quote(me or self.me, safe='')}{fragment}")
        if peer is None:
            expect(self.window.conversations).to_be_visible()
        else:
            self.window.is_connected()

    def peer_says(self, *texts: str) -> None:
        for text in texts:
            self.demo.sends(self.peer, self.me, text)

    def talk(self) -> None:
        """Something to look at: groups, long lines, an address, other directions of writing, emoji."""
        for mine, text in [
            (False, "Hi! Did you get home all right?"),
            (False, "The train was late, I hear."),
            (True, "Yes, half an hour.\nBut there was a seat, a window, and the sea behind it the whole way down."),
            (True, "🌊"),
            (False, "I read https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage meanwhile"),
            (False, "مرحبا! هل وصلت الكتب؟"),
            (True, "نعم، وصلت اليوم: SSE in practice, 2nd edition"),
            (True, "x" * 120),
            (False, "\n".join(f"{number}. line of a long list" for number in range(1, 20))),
        ]:
            self.demo.sends(*((self.me, self.peer) if mine else (self.peer, self.me)), text)


Enter = Callable[[Scene], Iterator[None]]
STATES: dict[str, Enter] = {}
SLOW: set[str] = set()


def state(enter: Callable[[Scene], Iterator[None] | None]) -> Callable[[Scene], Iterator[None] | None]:
    """Register a state under the function's name; one that waits long is a generator that yields before it does."""
    name = _name(enter)

    def entering(scene: Scene) -> Iterator[None]:
        waiting = enter(scene)
        if waiting is not None:
            yield from waiting

    STATES[name] = entering
    return enter


def _name(enter: Callable[[Scene], object]) -> str:
    return enter.__name__.strip("_").replace("_", "-")


def slow(enter: Callable[[Scene], Iterator[None]]) -> Callable[[Scene], Iterator[None] | None]:
    SLOW.add(_name(enter))
    return state(enter)


class Tour:
    """Goes through the states of one studio on one device; what is slow ripens meanwhile."""

    def __init__(self, studio: Studio, device: Device) -> None:
        self.studio = studio
        self.device = device
        self._ripening: dict[str, tuple[Scene, Iterator[None]]] = {}

    def begin(self, names: Iterable[str]) -> None:
        """Begin those of the states that are slow."""
        for name in SLOW.intersection(names):
            scene = Scene(self.studio, self.device, name)
            entering = STATES[name](scene)
            self._ripening[name] = (scene, entering)
            next(entering)

    @contextmanager
    def state(self, name: str) -> Iterator[Scene]:
        """A window in this state."""
        if name in self._ripening:
            scene, entering = self._ripening.pop(name)
        else:
            scene = Scene(self.studio, self.device, name)
            entering = STATES[name](scene)
        try:
            for _ in entering:
                pass
            yield scene
        finally:
            scene.close()


# Before there is a chat


@state
def choosing_who_to_be(scene: Scene) -> None:
    scene.window.page.goto(scene.demo.url)
    expect(scene.window.page.get_by_role("heading", name="Who are you?")).to_be_visible()


@state
def sign_in(scene: Scene) -> None:
    scene.window.page.goto(f"{scene.studio.node.url}/#token=hello")
    expect(scene.window.page.get_by_role("alert")).to_contain_text("not a token")


@state
def sign_in_of_the_host(scene: Scene) -> None:
    """A link was followed that brought no token."""
    scene.window.page.goto(f"{scene.studio.host.url}/messages/#token=hello")
    expect(scene.window.page.get_by_role("link", name="Sign in")).to_be_visible()
    expect(scene.window.page.get_by_role("alert")).to_contain_text("is not whole")


@state
def signed_out(scene: Scene) -> None:
    scene.window.page.goto(f"{scene.studio.node.url}/#token={scene.studio.node.token('late', ttl_s=-99)}")
    expect(scene.window.page.get_by_role("heading", name="This link is not valid any more.")).to_be_visible()


# The list


@state
def list_(scene: Scene) -> None:
    """Unread ones, own ones with each tick, other scripts, long names."""
    for peer, texts in {
        scene.peer: ["Ten o'clock at the fountain, then."],
        "دانا": ["مرحبا! هل وصلت الكتب؟", "وصلت اليوم؟"],
        "Somebody with quite a long name of eight or nine words": ["One", "Two"],
    }.items():
        for text in texts:
            scene.demo.sends(peer, scene.me, text)
    scene.demo.sends(scene.me, scene.studio.person(), "Are you coming to the market on Saturday? I need tomatoes.")
    scene.opens()
    expect(scene.window.entry(scene.peer)).to_be_visible()


@state
def list_empty(scene: Scene) -> None:
    scene.opens()
    expect(scene.window.conversations.get_by_text("No messages yet")).to_be_visible()


@state
def new_message(scene: Scene) -> None:
    scene.peer_says("Hello")
    scene.opens()
    scene.window.begins_conversation_with("not/possible")
    expect(scene.window.page.get_by_role("alert").filter(has_text="no / or")).to_be_visible()


@state
def new_message_chosen(scene: Scene) -> None:
    """By name, among those one has written with and others."""
    list_(scene)
    scene.window.conversations.get_by_role("button", name="New message").first.click()
    scene.window.page.get_by_role("combobox", name="To whom?").fill("o")
    expect(scene.window.page.get_by_role("option").first).to_be_visible()


def finds(scene: Scene, text: str) -> None:
    """In the host that has a search, somebody who has written with three."""
    host, page = scene.studio.host, scene.window.page
    ada = host.visitor(f"{GUEST} {scene.name}")
    for peer in ("u3", "u2", "u1"):
        host.visitor(peer).sends(ada, "Hello")
    ada.opens_page(scene.window)
    scene.window.conversations.get_by_role("button", name="New message").first.click()
    page.get_by_role("combobox", name="To whom? Search by name").fill(text)


@state
def new_message_found(scene: Scene) -> None:
    """Of one's conversations, and of everybody, with what was found marked in names and below them."""
    finds(scene, "ma")
    expect(scene.window.page.get_by_role("option")).to_have_count(7)


@state
def new_message_trouble(scene: Scene) -> None:
    """The search fails; those of one's conversations are there."""
    finds(scene, BROKEN)
    expect(scene.window.page.get_by_role("status").filter(has_text="The search is busy.")).to_be_visible()


@state
def list_with_marks(scene: Scene) -> None:
    """Drafts, waiting messages and messages that were not sent, above the others."""
    list_(scene)
    scene.opens(url=scene.network.url)
    begun, refused, waiting = (scene.studio.person() for _ in range(3))
    scene.window.goes_to(begun)
    scene.window.composer.fill("Ten o'clock at the fountain works, but could we")
    scene.window.goes_to(refused)
    scene.window.says("A bell that no message may hold: \x07")
    expect(scene.window.messages.filter(has_text="Not sent.")).to_be_visible()
    scene.window.goes_to(waiting)
    scene.network.stall(up=False)
    scene.window.says("On its way")
    scene.window.page.evaluate("location.hash = '#/'")
    expect(scene.window.entry(refused)).to_contain_text("Not sent:")
    expect(scene.window.entry(begun)).to_contain_text("Draft:")
    expect(scene.window.entry(waiting)).to_contain_text("You: On its way")


@state
def list_searched(scene: Scene) -> None:
    list_(scene)
    scene.window.page.get_by_role("searchbox").fill("be")
    expect(scene.window.page.locator("mark").first).to_be_visible()


@state
def list_not_found(scene: Scene) -> None:
    list_(scene)
    scene.window.page.get_by_role("searchbox").fill("zelda")
    expect(scene.window.page.get_by_text("Nobody called “zelda”")).to_be_visible()


@state
def list_unread_only(scene: Scene) -> None:
    list_(scene)
    scene.window.page.get_by_role("button", name="Unread").click()
    expect(scene.window.page.locator(".tidings-entry")).to_have_count(3)


@state
def settings(scene: Scene) -> None:
    scene.peer_says("Hello")
    scene.opens()
    scene.window.page.get_by_role("button", name="Settings of").click()
    expect(scene.window.page.get_by_role("dialog")).to_be_visible()


@state
def talking_to_oneself(scene: Scene) -> None:
    scene.opens()
    scene.window.goes_to(scene.me)
    expect(scene.window.page.get_by_text("That is you")).to_be_visible()


@state
def list_reconnecting(scene: Scene) -> None:
    """Not begun before it is looked at: after three minutes it says something else."""
    scene.peer_says("Hello")
    scene.opens(url=scene.network.url)
    expect(scene.window.entry(scene.peer)).to_be_visible()
    scene.network.refuse()
    expect(scene.window.own_state).to_contain_text("Reconnecting", timeout=SLOW_MS)


# A conversation


@state
def thread(scene: Scene) -> None:
    """Own messages in each state that the other side knows, and everything that can stand in a text."""
    scene.talk()
    other = scene.another_window()
    other.page.goto(f"{scene.demo.url}/?as={quote(scene.peer)}#/{quote(scene.me)}")
    scene.opens(scene.peer)
    scene.window.says("Good night!")
    expect(other.message("Good night!")).to_be_attached()
    other.page.locator(".tidings-scroll").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    scene.window.ticks("Good night!", "Read")
    other.page.context.close()
    scene.window.says("And thanks for the book")
    scene.window.ticks("And thanks for the book", "Sent")


@state
def thread_of_the_demo(scene: Scene) -> None:
    scene.opens("ben", me="ada")
    expect(scene.window.messages.filter(has_text="More about it")).to_be_visible()


@state
def drawer(scene: Scene) -> None:
    scene.opens("ben")
    page = scene.window.page
    page.get_by_role("button", name="Break it").click()
    page.get_by_role("button", name="Delay", exact=True).click()
    scene.on_leaving(scene.demo.restores)
    expect(page.get_by_role("button", name="Delay", exact=True)).to_have_attribute("aria-pressed", "true")


@state
def thread_empty(scene: Scene) -> None:
    scene.opens("Somebody with quite a long name of eight or nine words")
    expect(scene.window.page.get_by_text("Say hello to")).to_be_visible()


@state
def long_text_unfolded(scene: Scene) -> None:
    scene.talk()
    scene.opens(scene.peer)
    scene.window.page.get_by_role("button", name="Show more").click()
    expect(scene.window.page.get_by_role("button", name="Show less")).to_be_visible()


@state
def loading(scene: Scene) -> None:
    """Answers do not come; the composer can be used at once."""
    scene.talk()
    scene.opens(url=scene.network.url)
    expect(scene.window.entry(scene.peer)).to_be_visible()
    scene.network.stall(up=False)
    scene.window.chooses(scene.peer)
    skeleton = scene.window.page.locator(".tidings-skeleton")
    expect(skeleton).to_be_visible()
    skeleton.evaluate("it => Promise.all(it.getAnimations().map((each) => each.finished))")


@state
def loading_failed(scene: Scene) -> None:
    scene.talk()
    scene.opens(url=scene.network.url)
    expect(scene.window.entry(scene.peer)).to_be_visible()
    scene.network.refuse()
    scene.window.chooses(scene.peer)
    expect(scene.window.page.get_by_text("Could not load messages.")).to_be_visible(timeout=SLOW_MS)


@state
def unread_line(scene: Scene) -> None:
    scene.demo.sends(scene.me, scene.peer, "I am off for a while")
    scene.peer_says("Are you there?", "Hello?", "Then not.")
    scene.opens(scene.peer)
    expect(scene.window.page.get_by_text("3 new messages")).to_be_visible()


@state
def pill(scene: Scene) -> None:
    """Scrolled up, while messages arrive."""
    for number in range(16):
        sides = (scene.me, scene.peer) if number % 3 else (scene.peer, scene.me)
        scene.demo.sends(*sides, f"Message {number + 1}\nhas a second line\nand a third one")
    scene.opens(scene.peer)
    expect(scene.window.messages).to_have_count(16)
    scene.window.page.locator(".tidings-scroll").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    expect(scene.window.page.locator(".tidings-badge")).to_have_count(0)  # read, to the last
    scene.window.page.locator(".tidings-scroll").evaluate("list => list.scrollTo(0, list.scrollHeight / 4)")
    expect(scene.window.page.get_by_role("button", name="Go to the latest message")).to_be_visible()
    scene.peer_says("One", "Two", "Three", "Four")
    expect(scene.window.page.locator(".tidings-pill")).to_contain_text("4 new")


@state
def typing(scene: Scene) -> None:
    scene.demo.sends(scene.me, scene.peer, "Well?")
    scene.peer_says("Let me think")
    scene.opens(scene.peer)
    other = scene.another_window()
    other.page.goto(f"{scene.demo.url}/?as={quote(scene.peer)}#/{quote(scene.me)}")
    other.is_connected()

    def types() -> None:
        other.composer.press_sequentially("a")
        expect(scene.window.status).to_contain_text("typing")

    scene.refresh = types
    types()


@state
def sending(scene: Scene) -> None:
    scene.talk()
    scene.opens(scene.peer, url=scene.network.url)
    scene.network.stall(up=False)
    scene.window.says("On its way")
    scene.window.ticks("On its way", "Sending")


@slow
def still_sending(scene: Scene) -> Iterator[None]:
    scene.talk()
    scene.opens(scene.peer, url=scene.network.url)
    scene.network.stall(up=False)
    scene.window.says("Slowly on its way")
    yield
    expect(scene.window.page.get_by_text("Still sending")).to_be_visible(timeout=SLOW_MS)


@state
def send_refused(scene: Scene) -> None:
    scene.talk()
    scene.opens(scene.peer)
    scene.window.says("A bell that no message may hold: \x07")
    expect(scene.window.messages.filter(has_text="Not sent.")).to_be_visible()
    scene.window.says("Another one: \x07")
    expect(scene.window.messages.filter(has_text="Not sent.")).to_have_count(2)


@state
def text_too_long(scene: Scene) -> None:
    scene.talk()
    scene.opens(scene.peer)
    scene.window.composer.fill("Far too long. " * 1200)
    expect(scene.window.page.get_by_text("Too long by")).to_be_visible()


@state
def composing(scene: Scene) -> None:
    """Several lines, and the focus where one writes."""
    scene.talk()
    scene.opens(scene.peer)
    scene.window.composer.fill("\n".join(["Dear all,", "", "the parcel", "is here.", "", "M.", "", "PS: thanks"]))
    scene.window.composer.focus()


@state
def message_focused(scene: Scene) -> None:
    scene.talk()
    scene.opens(scene.peer)
    scene.window.composer.focus()
    scene.window.page.keyboard.press("Shift+Tab")
    for _ in range(3):
        scene.window.page.keyboard.press("ArrowUp")


# Safety


@state
def more_about_somebody(scene: Scene) -> None:
    scene.talk()
    scene.opens(scene.peer)
    scene.window.page.get_by_role("button", name=f"More about {scene.peer}").click()
    expect(scene.window.page.get_by_role("menuitem", name=f"Block {scene.peer}")).to_be_visible()


@state
def block_question(scene: Scene) -> None:
    more_about_somebody(scene)
    scene.window.page.get_by_role("menuitem", name=f"Block {scene.peer}").click()
    expect(scene.window.page.get_by_text("is not told")).to_be_visible()


@state
def report(scene: Scene) -> None:
    more_about_somebody(scene)
    scene.window.page.get_by_role("menuitem", name=f"Report {scene.peer}").click()
    scene.window.page.get_by_label("What happened?").fill("They sell parcels that do not exist.")


@state
def blocked(scene: Scene) -> None:
    block_question(scene)
    scene.window.page.get_by_role("button", name="Block", exact=True).click()
    expect(scene.window.page.get_by_text(f"You blocked {scene.peer}.")).to_be_visible()


# Trouble with the connection


@state
def reconnecting(scene: Scene) -> None:
    """Likewise."""
    scene.talk()
    scene.opens(scene.peer, url=scene.network.url)
    scene.network.refuse()
    expect(scene.window.banner).to_contain_text("Trying again", timeout=SLOW_MS)
    scene.window.says("Typed while the network is gone")


@slow
def polling(scene: Scene) -> Iterator[None]:
    scene.talk()
    scene.opens(scene.peer, url=scene.network.url)
    scene.network.hold_streams()
    scene.network.end_open()
    yield
    expect(scene.window.banner).to_contain_text("Using polling mode", timeout=SLOW_MS)


@slow
def offline(scene: Scene) -> Iterator[None]:
    """The network is gone, and the platform says so."""
    scene.talk()
    scene.opens(scene.peer, url=scene.network.url)
    scene.network.refuse()
    scene.window.page.context.set_offline(True)
    yield
    expect(scene.window.banner).to_contain_text("offline", timeout=SLOW_MS)
    scene.window.says("For later")


@slow
def refused(scene: Scene) -> Iterator[None]:
    """Behind the same address there is another server now, which knows nothing of messages."""
    scene.talk()
    scene.opens(scene.peer, url=scene.network.url)
    stranger = HTTPServer(("127.0.0.1", 0), _Stranger)
    thread = Thread(target=stranger.serve_forever, daemon=True)
    thread.start()
    scene.on_leaving(stranger.server_close)
    scene.on_leaving(stranger.shutdown)
    scene.network.target = ("127.0.0.1", stranger.server_port)
    scene.network.end_open()
    yield
    expect(scene.window.banner).to_contain_text("refused the connection", timeout=SLOW_MS)


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None: ...


@state
def back_online(scene: Scene) -> None:
    """Stands for three seconds; a look that comes later sees the conversation as it always is."""
    scene.talk()
    scene.opens(scene.peer, url=scene.network.url)

    def breaks_and_heals() -> None:
        scene.network.refuse()
        expect(scene.window.banner).to_contain_text("Trying again", timeout=SLOW_MS)
        scene.network.restore()
        # It may be back by itself before anybody has pressed its button.
        scene.window.page.evaluate("() => document.querySelector('.tidings-banner button')?.click()")
        expect(scene.window.banner).to_contain_text("Back online", timeout=SLOW_MS)

    scene.refresh = breaks_and_heals


# In Arabic, from the right


@state
def thread_in_arabic(scene: Scene) -> None:
    scene.talk()
    scene.window.page.goto(f"{scene.demo.url}/?as={quote(scene.me)}&lang=ar#/{quote(scene.peer)}")
    expect(scene.window.messages).to_have_count(9)
    scene.window.page.locator(".tidings-composer textarea").fill("أهلا")


@state
def list_in_arabic(scene: Scene) -> None:
    list_(scene)
    scene.window.page.goto(f"{scene.demo.url}/?as={quote(scene.me)}&lang=ar")
    expect(scene.window.page.locator(".tidings-entry")).to_have_count(4)


# In the corner of somebody's page


def in_the_shop(scene: Scene) -> ShopWindow:
    """Four messages between the shop and a visitor of this state's, who has not read the last two."""
    shop, me = scene.studio.shop, scene.studio.shop.person(f"visitor-{scene.name}")
    seller = shop.person("shop")
    seller.sends(me, "Hi, your mugs came out of the kiln this morning. The third one is a little darker: keep it?")
    me.sends(seller, "Keep it, I like it!")
    me.receipts(seller, read_upto=2)
    for text in ("Good. They leave tomorrow.", "Here is the address of the parcel: https://parcel.example/4711"):
        seller.sends(me, text)
    return ShopWindow(scene.window.page, shop, me.id)


@state
def launcher(scene: Scene) -> None:
    in_the_shop(scene).has_unread(2)


@state
def launcher_open(scene: Scene) -> None:
    window = in_the_shop(scene)
    window.has_unread(2)
    window.opens()
    expect(window.panel.get_by_text("They leave tomorrow")).to_be_visible()


@state
def launcher_list(scene: Scene) -> None:
    window = in_the_shop(scene)
    shop = scene.studio.shop
    shop.person("gallery").sends(shop.person("visitor-launcher-list"), "Have you got the blue one, too?")
    window.has_unread(3)
    window.opens()
    expect(window.panel.get_by_text("Have you got the blue one")).to_be_visible()
