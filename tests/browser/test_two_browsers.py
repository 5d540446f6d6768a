"""Two browsers write to each other for a minute while their network breaks at random; both end with the same."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from lab.client_build import build_client
from lab.crowd import UNLIMITED
from lab.node import Node, Person
from lab.process import wait_for
from lab.proxy import Proxy

DURATION_S = 60.0
EACH_MS = 50
"""Twenty messages a second from each side."""
STUCK_S = 90.0
"""Without any progress: how long all of it takes depends on the machine."""

PAGE = """<!doctype html><meta charset="utf-8"><title>Two browsers</title><script type="module">
    import { RealtimeService } from "/client/index.js";
    const asked = new URLSearchParams(location.hash.slice(1));
    const [me, peer, token] = ["me", "peer", "token"].map((name) => asked.get(name));
    const service = new RealtimeService({ url: "/api/message", getToken: () => token });
    const chat = service.conversation(peer);
    const seen = [];
    service.on("message", ({ seq }) => seen.push(seq));
    let written = 0;
    window.write = (forMs, eachMs) => {
      const began = performance.now();
      const timer = setInterval(() => {
        const due = Math.floor(Math.min(performance.now() - began, forMs) / eachMs);
        while (written < due) chat.send(`${me} ${++written}`);
        if (performance.now() - began >= forMs) clearInterval(timer);
      }, eachMs);
    };
    window.missing = (count) => chat.getSnapshot().pending.length + Math.max(0, count - seen.length);
    window.state = () => ({
      status: service.connection.getSnapshot().status,
      written, seen,
      pending: chat.getSnapshot().pending.length,
      texts: chat.getSnapshot().messages.map(({ text }) => text),
    });
    service.on("connected", () => (document.title = "Connected"));
    chat.hold();  // as whoever scrolls back does: nothing of it is let go
    chat.load();
    service.connect(me);
</script>"""


class Browser:
    """One side: its own browser profile, its own way to the node."""

    def __init__(self, context: BrowserContext, build: Path, proxy: Proxy, me: Person, peer: Person) -> None:
        self.page: Page = context.new_page()
        self.me = me

        def serve(route: Route) -> None:
            route.fulfill(
                body=(build / route.request.url.rpartition("/client/")[2]).read_text(), content_type="text/javascript"
            )

        self.page.route("**/client/**", serve)
        self.page.route("**/two", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        self.page.goto(f"{proxy.url}/two#me={me.id}&peer={peer.id}&token={me.token}")
        self.page.wait_for_function("document.title === 'Connected'")

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.page.evaluate("window.state()")
        return state

    def misses(self, count: int) -> int:
        """How many are pending, or of so many not seen."""
        missing: int = self.page.evaluate(f"window.missing({count})")
        return missing

    def has_all(self, count: int) -> None:
        """Wait until nothing is pending, and so many were seen."""
        while missing := self.misses(count):
            what = f"{self.me} misses fewer than {missing} of {count}"
            wait_for(lambda: self.misses(count) != missing, STUCK_S, what)


@pytest.mark.timeout(600)
def test_both_end_with_the_same_conversation(tmp_path: Path, profile: Callable[[], BrowserContext]) -> None:
    """Resets, refusals, stalls and lost replies at either side or at both; lost 0, doubled 0, one order (I1 to I4)."""
    rng = random.Random(20)
    build = build_client(tmp_path / "client")
    with (
        Node(tmp_path / "node", **UNLIMITED, heartbeat_interval_s=1) as node,
        Proxy(node.address) as left_proxy,
        Proxy(node.address) as right_proxy,
    ):
        ada, ben = node.person("ada"), node.person("ben")
        sides = [
            Browser(profile(), build, left_proxy, ada, ben),
            Browser(profile(), build, right_proxy, ben, ada),
        ]
        for side in sides:
            side.page.evaluate(f"window.write({DURATION_S * 1000}, {EACH_MS})")
        ends_at = time.monotonic() + DURATION_S
        cuts: Counter[str] = Counter()
        while time.monotonic() < ends_at:
            proxies = rng.choice([[left_proxy], [right_proxy], [left_proxy, right_proxy]])
            how = rng.choice(["end_open", "refuse", "stall", "lose_post_replies"])
            cuts[how] += 1
            for proxy in proxies:
                proxy.end_open("reset") if how == "end_open" else getattr(proxy, how)()
            sides[0].page.wait_for_timeout(rng.uniform(300, 2500))  # the length of a fault, and not a wait for anything
            for proxy in proxies:
                proxy.restore()
            sides[0].page.wait_for_timeout(rng.uniform(300, 2500))

        count = 2 * int(DURATION_S * 1000 / EACH_MS)
        wanted = [*range(1, count + 1)]
        for side in sides:
            side.has_all(count)
        states = [side.state() for side in sides]
        assert len(cuts) == 4, cuts
        for state in states:
            assert count // 2 == state["written"]
            assert wanted == state["seen"], "lost, doubled or out of order"
        assert states[0]["texts"] == states[1]["texts"]
        assert len(states[0]["texts"]) == len(set(states[0]["texts"]))
        for name in ("ada", "ben"):
            own = [text for text in states[0]["texts"] if text.startswith(name)]
            assert own == sorted(own, key=lambda text: int(text.split()[1])), "one side's messages changed their order"
