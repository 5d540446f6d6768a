"""The web chat in applications of others, used by whoever they have signed in: by their cookie, at their address."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from lab.browser.chromium import LAN_NAME
from lab.host import Host
from tests.browser.window import Window

HERE = Path(__file__).parent
SITE = HERE / "django_site"
PICTURE = HERE.parents[1] / "docs" / "pictures" / "phone-light.webp"
Profile = Callable[[], BrowserContext]

MOUNT_SIGNED_OUT = """async (url) => {
    const { mount } = await import(new URL("embed.js", document.baseURI).href);
    const place = Object.assign(document.createElement("div"), { id: "place" });
    document.body.replaceChildren(place);
    mount(place, { url, view: "inbox", user: "3", token: () => null, signIn: () => undefined });
}"""
"""In place of the page: an inbox of somebody of whom nothing is kept, whose host has no token."""


class Shop(Host):
    """`page_host.py`: FastAPI, below a path that it does not know."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "page_host:served", source=HERE)

    def environment(self) -> dict[str, str]:
        return super().environment() | {"HOST_FRAMES": f"self,http://localhost:{self.port}"}

    @property
    def page(self) -> str:
        return f"{self.url}/shop/account/messages"


class DjangoSite(Host):
    """`django_site`, by its own `manage.py runserver` (WSGI) or under uvicorn (ASGI)."""

    def __init__(self, directory: Path, interface: str) -> None:
        super().__init__(directory, "asgi:application", source=SITE)
        self.interface = interface

    def environment(self) -> dict[str, str]:
        return super().environment() | {"HOST_DIRECTORY": str(self.directory)}

    def command(self) -> list[str]:
        manage = [sys.executable, str(SITE / "manage.py")]
        migrate = [*manage, "migrate", "--run-syncdb", "--verbosity", "0"]
        subprocess.run(migrate, check=True, env={**os.environ, **self.environment()}, timeout=60)
        return super().command() if self.interface == "asgi" else [*manage, "runserver", "--noreload", str(self.port)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.start()
    yield shop
    shop.kill()


def test_two_people_of_an_application_write_to_each_other_in_its_page(shop: Shop, profile: Profile) -> None:
    """Each signs in at the application and comes back to the conversation, has a name and a picture; one signs out."""
    ada, ben = Window(profile()), Window(profile())
    for window, name, peer in ((ada, "Ada Lovelace", "2"), (ben, "Ben Okri", "1")):
        window.page.route("https://pictures.invalid/*", lambda route: route.fulfill(path=PICTURE))
        window.page.goto(f"{shop.page}#/{peer}")
        expect(window.page.get_by_role("heading", name="Sign in to your messages")).to_be_visible()
        expect(window.page.get_by_label("Token")).to_have_count(0)
        window.page.get_by_role("link", name="Sign in").click()
        window.page.get_by_role("link", name=name).click()
        window.is_connected()
        assert f"{shop.page}/#/{peer}" == window.page.url
        expect(window.conversations.get_by_role("button", name=f"Settings of {name}")).to_be_visible()

    ada.says("hello Ben")
    ben.shows("hello Ben")
    ben.says("hello Ada")
    ada.shows("hello Ben", "hello Ada")
    ada.ticks("hello Ben", "Read")
    expect(ada.page.locator(".tidings-header h2")).to_have_text("Ben Okri")
    assert ben.page.locator("img[src='https://pictures.invalid/1.png']").count() > 0

    ada.signs_out()
    expect(ada.page.get_by_role("heading", name="You have left the shop")).to_be_visible()
    ada.page.go_back()
    expect(ada.page.get_by_role("link", name="Sign in")).to_be_visible()


def test_somebody_who_signed_in_elsewhere_comes_back_to_a_page_that_knows_it(shop: Shop, profile: Profile) -> None:
    """The tab that asked for a sign-in looks again when somebody looks at it."""
    context = profile()
    window = Window(context)
    window.page.goto(shop.page)
    expect(window.page.get_by_role("link", name="Sign in")).to_be_visible()
    context.add_cookies([{"name": "session", "value": "1", "url": shop.url}])

    window.page.evaluate("dispatchEvent(new Event('focus'))")

    expect(window.conversations).to_be_visible()


# shows: behaviour/somebody-else
def test_somebody_else_who_signs_in_beside_an_open_page_sends_nothing_in_its_user_s_name(
    shop: Shop, profile: Profile
) -> None:
    """The page says so, and whoever loads it again is who is signed in; what was not sent goes out when its user is
    back. A page whose host has no token for it asks nothing, though there is a cookie."""
    context = profile()

    def signs_in(user: str) -> None:
        context.add_cookies([{"name": "session", "value": user, "url": shop.url}])

    signs_in("1")
    window = Window(context)
    window.page.goto(f"{shop.page}#/2")
    window.is_connected()
    signs_in("2")
    window.says("of Ada alone")
    expect(window.banner).to_contain_text("You are signed in as somebody else now. Reload to go on.")
    window.ticks("of Ada alone", "Waiting to be sent")
    window.banner.get_by_role("button", name="Reload").click()
    expect(window.conversations.get_by_role("button", name="Settings of Ben Okri")).to_be_visible()
    window.goes_to("1")
    window.is_connected()
    expect(window.page.get_by_text("of Ada alone")).to_have_count(0)

    signs_in("1")
    window.page.reload()
    window.goes_to("2")
    window.is_acknowledged("of Ada alone")

    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(request.url))
    nobodys = f"{shop.url}/nobody/api/message"  # the page's own client asks its own address
    window.page.evaluate(MOUNT_SIGNED_OUT, nobodys)
    expect(window.page.get_by_role("heading", name="Sign in to your messages")).to_be_visible()
    expect(window.page.get_by_role("button", name="Sign in")).to_be_visible()
    assert [] == [url for url in asked if url.startswith(nobodys)]


# shows: security/frames
@pytest.mark.parametrize(("origin", "is_shown"), [("127.0.0.1", True), ("localhost", True), (LAN_NAME, False)])
def test_only_pages_of_named_origins_frame_the_page(shop: Shop, profile: Profile, origin: str, is_shown: bool) -> None:
    """Its own origin and another one are named in ``frame_ancestors``; a third is not, and shows nothing of it."""
    window = Window(profile())
    window.page.goto(f"http://{origin}:{shop.port}/shop/framing?address={shop.page}/")
    inside = window.page.frame_locator("iframe").get_by_role("heading", name="Sign in to your messages")
    if is_shown:
        expect(inside).to_be_visible()
        return
    window.is_waiting_for(lambda: any("frame-ancestors" in each for each in window.complaints), "the refusal")
    expect(inside).to_have_count(0)


@pytest.mark.parametrize("interface", ["runserver", "asgi"])
def test_two_members_of_a_django_project_write_to_each_other_in_its_page(
    tmp_path: Path, profile: Profile, interface: str
) -> None:
    """Known by the project's own user model; one ``path()`` brings page and API, with streams where there are any."""
    site = DjangoSite(tmp_path, interface)
    site.start()
    try:
        ada, anonymous = Window(profile()), Window(profile())
        ids = []
        for window, email in ((ada, "ada@example.org"), (anonymous, "anonymous@example.org")):
            window.page.goto(f"{site.url}/messages")
            window.page.get_by_role("link", name="Sign in").click()
            window.page.get_by_label("E-mail").fill(email)
            window.page.get_by_role("button", name="Go on").click()
            expect(window.conversations).to_be_visible()
            assert f"{site.url}/messages/" == window.page.url
            own_id, address = window.page.request.get(f"{site.url}/who/").text().split()
            assert "/messages/" == address
            ids.append(own_id)

        for window, peer in ((ada, ids[1]), (anonymous, ids[0])):
            window.goes_to(peer)
            window.is_connected()
        ada.says("hello")
        anonymous.shows("hello")
        anonymous.says("hello yourself")
        ada.shows("hello", "hello yourself")

        expect(anonymous.page.locator(".tidings-header h2")).to_have_text("Ada")
        expect(ada.page.locator(".tidings-header h2")).to_have_text(ids[1])  # nobody is shown the address of e-mail
        for window in (ada, anonymous):
            expect(window.banner).to_have_count(0)
            assert (interface == "asgi") == bool(window.open_streams)
            assert [] == [each for each in window.complaints if "Failed to load resource" not in each]
    finally:
        site.kill()
