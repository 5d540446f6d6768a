"""Pages of other origins in a real browser: what a listed one may, what another may not, and whose cookie counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from lab.node import API, Node
from tests.browser.window import Window

FETCHES = """async ([url, options]) => {
    try {
        const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(8000) });
        const retryAfter = answer.headers.get("Retry-After");
        if (answer.headers.get("Content-Type").startsWith("text/event-stream")) {
            const reader = answer.body.getReader();
            let text = "";
            while (!text.includes("caught_up")) text += new TextDecoder().decode((await reader.read()).value);
            await reader.cancel();
            return { status: answer.status, text, retryAfter };
        }
        return { status: answer.status, text: await answer.text(), retryAfter };
    } catch (error) { return { status: 0, text: String(error), retryAfter: null }; }
}"""


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a page</title>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def origins() -> Iterator[tuple[str, str]]:
    """Two origins with an empty page: the one that the node lists, and another."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage) for _ in range(2)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=partial(server.serve_forever, 0.02), daemon=True).start()
    yield (f"http://localhost:{servers[0].server_port}", f"http://127.0.0.1:{servers[1].server_port}")
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node], origins: tuple[str, str]) -> Node:
    session = {"session_cookie": "session", "sign_in_url": "/login?next={here}"}
    return start_node(cors_origins=origins[0], **session, sends_burst=1, sends_per_s=0.01, query_token=1)


def fetched(page: Page, url: str, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = page.evaluate(FETCHES, [url, options])
    return result


def at(context: BrowserContext, origin: str) -> Page:
    page = context.new_page()
    page.goto(origin + "/healthz")
    return page


def test_a_page_of_a_listed_origin_streams_polls_and_posts(
    node: Node, origins: tuple[str, str], profile: Callable[[], BrowserContext]
) -> None:
    """With a token in a header, after a preflight; refusals and `Retry-After` are readable. PROTOCOL 2.5.1, 2.5.3"""
    page = at(profile(), origins[0])
    bearer = {"Authorization": f"Bearer {node.token('ada')}"}
    api = node.url + API

    stream = fetched(page, f"{api}/sse/me", headers={**bearer, "Last-Event-ID": node.person("ada").head()})
    assert 200 == stream["status"], stream
    assert '"resumed":true' in stream["text"]
    assert 200 == fetched(page, f"{api}/events/me", headers=bearer)["status"]
    post = {"method": "POST", "headers": {**bearer, "Content-Type": "application/json"}}
    sent, limited = [
        fetched(page, f"{api}/send", **post, body='{"recipientId": "ben", "text": "hi"}') for _ in range(2)
    ]
    assert (201, 429) == (sent["status"], limited["status"])
    assert 0 < int(limited["retryAfter"]) <= 100
    assert '"code":"unauthorized"' in fetched(page, f"{api}/inbox/me", headers={"Authorization": "Bearer x"})["text"]
    opened = page.evaluate(
        "url => new Promise(done => { const it = new EventSource(url);"
        " it.onmessage = event => { it.close(); done(event.data); }; it.onerror = () => done('error'); })",
        f"{api}/sse/me?token={node.token('ada')}",
    )
    assert '"type":"connected"' in opened


def test_a_page_of_another_origin_reads_nothing(
    node: Node, origins: tuple[str, str], profile: Callable[[], BrowserContext]
) -> None:
    """Though it has a good token: the browser keeps the answer from it. PROTOCOL 2.5.2, 2.5.4"""
    page = at(profile(), origins[1])
    for path in ("/events/me", "/sse/me"):
        answer = fetched(page, node.url + API + path, headers={"Authorization": f"Bearer {node.token('ada')}"})
        assert (0, "TypeError: Failed to fetch") == (answer["status"], answer["text"])


def test_the_cookie_counts_for_our_own_pages_alone(
    node: Node, origins: tuple[str, str], profile: Callable[[], BrowserContext]
) -> None:
    """A page on another port is the same site to a browser, which sends the cookie; the server refuses.
    PROTOCOL 2.4.1, 2.4.2"""
    context = profile()
    context.add_cookies([{"name": "session", "value": node.token("kim"), "url": node.url, "sameSite": "Lax"}])
    ours, foreign = at(context, node.url), at(context, origins[1])
    post = {"method": "POST", "headers": {"Content-Type": "text/plain"}, "mode": "no-cors", "credentials": "include"}
    api = node.url + API

    assert '"user_id":"kim"' in fetched(ours, f"{api}/sse/me")["text"]
    sent = {**post, "headers": {"Content-Type": "application/json"}, "mode": "cors"}
    assert 201 == fetched(ours, f"{api}/send", **sent, body='{"recipientId": "lou", "text": "mine"}')["status"]

    with foreign.expect_response(lambda answer: "/sse/me" in answer.url) as stream:
        fetched(foreign, f"{api}/sse/me", mode="no-cors", credentials="include")
    assert 403 == stream.value.status, "401 would say that no cookie came"
    with foreign.expect_response(lambda answer: "/send" in answer.url) as send:
        fetched(foreign, f"{api}/send", **post, body='{"recipientId": "lou", "text": "forged"}')
    assert 403 == send.value.status
    assert ["mine"] == [message["text"] for message in node.person("kim").history("lou")["messages"]]


def test_the_page_of_the_server_is_used_with_the_cookie(node: Node, profile: Callable[[], BrowserContext]) -> None:
    """Nobody pastes a token: without the cookie the page leads to the sign-in, with it somebody reads and writes."""
    context = profile()
    window = Window(context)
    window.page.goto(f"{node.url}/#/tom")
    sign_in = window.page.get_by_role("link", name="Sign in")
    expect(sign_in).to_have_attribute("href", "/login?next=%2F%23%2Ftom")
    expect(window.page.get_by_label("Token")).to_have_count(0)
    context.add_cookies([{"name": "session", "value": node.token("kit"), "url": node.url, "sameSite": "Lax"}])
    window.page.evaluate("dispatchEvent(new Event('focus'))")

    window.is_connected()
    window.says("by cookie")
    window.is_acknowledged("by cookie")
    node.person("tom").sends("kit", "seen")
    window.shows("by cookie", "seen")
    assert "kit" == node.person("tom").history("kit")["messages"][0]["sender_id"]
