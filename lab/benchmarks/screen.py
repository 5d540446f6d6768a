"""The cost of the list of messages in a browser: opening, rows, drift, and a key that is pressed while messages come
in.

Run it on a quiet machine:  .venv/bin/python -m lab.benchmarks.screen

It writes 10,000 messages of one conversation into a database, serves it, and opens `lab/browser/list_host`, built as
for use, in headless Chromium. Times are taken in the page: from the click that shows a conversation to the frame that
has its last message at the end of the view; of a key from the moment the browser had it to the end of the frame that
shows it, with style, layout and painting. A frame takes 16.7 ms: a key waits for half of one at least.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from lab.browser.chromium import launched
from lab.browser.list_app import ListApp, Written, write
from lab.browser.list_view import MEASURE, ListView
from lab.node import Node, Person

WORDS = "A sentence of some words, so that lines wrap as they do in letters. "

# From showing the conversation until the frame in which its last message stands at the end of the view.
OPEN = """async (text) => {
  const frame = () => new Promise(requestAnimationFrame);
  const button = document.querySelector('#toggle');
  if (document.querySelector('.tidings-list')) { button.click(); await frame(); await frame(); }
  const from = performance.now();
  button.click();
  for (;;) {
    const last = [...document.querySelectorAll('.tidings-list article')].at(-1);
    const list = document.querySelector('.tidings-scroll');
    if (last?.textContent.includes(text) && list.scrollHeight - list.scrollTop - list.clientHeight <= 1) break;
    await frame();
  }
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - from;
}"""

# Event Timing would be the standard's way, but a headless browser reports its frames late or not at all.
KEYS = """() => {
  window.busy = [];
  window.keys = [];
  addEventListener('keydown', (event) => {
    const done = new MessageChannel();
    done.port1.onmessage = () => keys.push(performance.now() - event.timeStamp);
    requestAnimationFrame(() => done.port2.postMessage(0));
  }, true);
  new PerformanceObserver(list => busy.push(...list.getEntries().map(each => each.duration)))
    .observe({ type: 'longtask' });
}"""


def spread(values: list[float]) -> str:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(len(ordered) * 0.95))]
    return f"median {statistics.median(ordered):.0f}, 95 % {p95:.0f}, worst {ordered[-1]:.0f} ms"


@contextmanager
def arriving(peer: Person, to: Person, per_s: float) -> Iterator[None]:
    """So many messages a second from the peer, evenly, until the block is left."""
    stop = threading.Event()

    def send() -> None:
        due, number = time.monotonic(), 0
        while not stop.is_set():
            number += 1
            peer.sends(to, f"arriving {number} {WORDS * (number % 3)}")
            due += 1 / per_s
            stop.wait(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def types(page: Page, count: int, pause_ms: float) -> list[float]:
    """Type so many letters: ms of each until the page showed it."""
    field = page.get_by_role("textbox")
    field.click()
    page.evaluate("keys.length = 0")
    for number in range(count):
        page.keyboard.press("abcdefghij klmnop"[number % 17])
        page.wait_for_timeout(pause_ms)
    page.wait_for_function("count => keys.length === count", arg=count)
    taken: list[float] = page.evaluate("keys")
    field.fill("")
    return taken


def run(options: argparse.Namespace) -> None:
    past = [
        Written("ben" if number % 3 else "ada", "ada" if number % 3 else "ben",
                f"number {number} {WORDS * (number % 5)}".strip(), (options.messages - number) * 120 + 60)
        for number in range(1, options.messages + 1)
    ]  # fmt: skip
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        write(directory / "past.db", past, time.time())
        with (
            Node(directory / "node", database=directory / "past.db", message_types="photo", sends_per_s=1000) as node,
            ListApp(directory, node.url, built=True) as app,
            launched() as browser,
        ):
            ada, ben = node.person("ada"), node.person("ben")
            ada.receipts(ben, read_upto=options.messages - 1)
            page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
            page.add_init_script(MEASURE)
            page.goto(f"{app.url}/#token={ada.token}&me=ada&peer=ben&closed")
            page.get_by_role("button", name="Open").wait_for()
            page.wait_for_function("chat.isConnected()")
            last = f"number {options.messages}"
            found["first"] = [page.evaluate(OPEN, last)]
            found["again"] = [page.evaluate(OPEN, last) for _ in range(options.rounds)]
            view = ListView(page)
            page.evaluate(f"chat.conversation('ben').loadOlder({options.messages})")
            page.wait_for_function("!chat.conversation('ben').getSnapshot().hasOlder")
            found["long"] = [page.evaluate(OPEN, last) for _ in range(options.rounds)]
            page.evaluate("chat.conversation('ben').hold()")
            page.evaluate(f"chat.conversation('ben').loadOlder({options.messages})")
            page.wait_for_function("!chat.conversation('ben').getSnapshot().hasOlder")
            through = view.scrolls_through(-2000, 60)
            found |= through
            found["heap"] = page.evaluate("performance.memory.usedJSHeapSize / 1048576")
            page.evaluate(KEYS)
            found["idle"] = types(page, options.keys, 60)
            page.evaluate("measure.scrollTo(1e7)")
            with arriving(ben, ada, options.rate):
                found["pinned"] = types(page, options.keys, 60)
                view.scrolls_through(-800, 1)
                found["above"] = types(page, options.keys, 60)
            found["arrived"] = (
                page.evaluate("chat.conversation('ben').getSnapshot().messages.length") - options.messages
            )
            found["busy"] = page.evaluate("busy.length ? Math.max(...busy) : 0")
    show(found, options)


def show(found: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(found))
        return
    print(f"{options.messages:,} messages in the history")
    print(f"opening, nothing loaded:        {found['first'][0]:.0f} ms")
    print(f"opening again:                  {spread(found['again'])}")
    print(f"opening, all of it in memory:   {spread(found['long'])}")
    print(f"rows in the document, at most:  {found['rows']}; heap with all of it in memory {found['heap']:.0f} MiB")
    print(f"drift while scrolling through:  {found['worst']:.2f} px")
    for name, what in (("idle", "nothing comes"), ("pinned", "at the end"), ("above", "scrolled up")):
        coming = "" if name == "idle" else f", {options.rate:g} messages a second"
        print(f"a key, {what}{coming}: {spread(found[name])}")
    print(f"{found['arrived']} messages arrived; longest task {found['busy']:.0f} ms")
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {platform.system()} {platform.release()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=20, help="messages a second that arrive while one types")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="all measured values, for another program")
    run(parser.parse_args())
