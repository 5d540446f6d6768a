"""The list of messages as its reader sees it: where things stand on the screen, measured in the page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

DRIFT_MAX_PX = 1.0

# Runs in the page. `steady()` resolves when nothing has moved or come for some frames; `watch()` and `drift()` measure,
# frame by frame, how far the first message in view is from where it was.
MEASURE = """
window.measure = (() => {
  const list = () => document.querySelector('.tidings-scroll');
  const frame = () => new Promise(requestAnimationFrame);
  const articles = () => [...document.querySelectorAll('.tidings-list article')];
  const keyOf = (element) => element.getAttribute('data-anchor');
  const byKey = (key) => articles().find((each) => keyOf(each) === key);
  const topOf = (element) => element.getBoundingClientRect().top - list().getBoundingClientRect().top;
  const held = () => window.chat.conversation(window.peer).getSnapshot();
  const state = () => {
    const first = articles()[0], view = list();
    const { messages, loading } = held();
    return JSON.stringify([first && keyOf(first), articles().length, view.scrollTop, view.scrollHeight,
      view.clientHeight, messages.length, loading]);
  };
  /** Until nothing changed for some frames in a row, and nothing is being loaded. */
  const steady = async (frames = 3) => {
    let before = '', same = 0;
    while (same < frames || held().loading) {
      await frame();
      same = state() === before ? same + 1 : 0;
      before = state();
    }
  };
  const inView = () => articles().find((each) => topOf(each) >= 0);
  let watched = null;
  const watch = () => {
    const key = keyOf(inView());
    const at = topOf(byKey(key));
    const mine = watched = { key, at, worst: 0, gone: false, on: true };
    // An intersection is computed when layout and observers of sizes are done: it is what is drawn.
    const look = () => {
      const now = byKey(key);
      if (!now) mine.gone = true;
      else new IntersectionObserver(([entry], observer) => {
        observer.disconnect();
        mine.worst = Math.max(mine.worst, Math.abs(entry.boundingClientRect.top - entry.rootBounds.top - at));
      }, { root: list() }).observe(now);
      if (mine.on) requestAnimationFrame(look);
    };
    look();
  };
  const offset = ({ key, at }) => {
    const now = byKey(key);
    return now ? Math.abs(topOf(now) - at) : Infinity;
  };
  const drift = async () => {
    await steady();
    watched.on = false;
    return watched.gone ? Infinity : watched.worst;
  };
  return {
    steady, watch, drift, topOf, byKey, offset,
    place: () => ({ key: keyOf(inView()), at: topOf(inView()) }),
    offsetOfWatched: () => {
      watched.on = false;
      return offset(watched);
    },
    /** Scroll so that this picture's message ends so far above the view. */
    pass: async (alt, px) => {
      const article = document.querySelector(`[alt="${alt}"]`).closest('article');
      list().scrollTop += topOf(article) + article.getBoundingClientRect().height + px;
      await steady();
    },
    /** Scroll there, as a wheel or a finger does, and see to it that the page has noticed. */
    scrollTo: async (top) => {
      list().scrollTop = top;
      await frame();
      await frame();
    },
    /** Scroll by so much at a time; the worst step: what was seen moved by another amount. */
    scrollThrough: async (step, times) => {
      let worst = 0, rows = 0;
      for (let i = 0; i < times; i++) {
        const view = list(), from = view.scrollTop, seen = inView(), key = keyOf(seen), at = topOf(seen);
        view.scrollTop = from + step;
        const moved = view.scrollTop - from;
        await steady(2);
        const now = byKey(key);
        worst = Math.max(worst, now ? Math.abs(topOf(now) + moved - at) : Infinity);
        rows = Math.max(rows, document.querySelectorAll('.tidings-list li').length);
      }
      return { worst, rows };
    },
    view: () => {
      const { scrollTop, scrollHeight, clientHeight } = list();
      return { top: scrollTop, left: scrollHeight - scrollTop - clientHeight, height: clientHeight,
        rows: document.querySelectorAll('.tidings-list li').length };
    },
  };
})();
"""


class ListView:
    """The list of one page; `MEASURE` runs in it from its start."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def settled(self) -> None:
        """Everything that was to be loaded is there, and nothing moves."""
        self.page.evaluate("measure.steady()")

    def scrolls_to(self, top: float) -> None:
        self.page.evaluate("top => measure.scrollTo(top)", top)

    def scrolls_up(self, px: float) -> None:
        self.page.evaluate("px => measure.scrollTo(document.querySelector('.tidings-scroll').scrollTop - px)", px)
        self.settled()

    def scrolls_through(self, step: float, times: int) -> dict[str, float]:
        """Scroll step by step: the `worst` difference between a step and what it moved, and the most `rows`."""
        worst: dict[str, float] = self.page.evaluate(
            "([step, times]) => measure.scrollThrough(step, times)", [step, times]
        )
        return worst

    def watches(self) -> None:
        """From now on measure, in each frame, how far the first message in view is from where it is now."""
        self.page.evaluate("measure.watch()")

    def drift(self) -> float:
        """Pixels that it was ever away from there, once everything has settled."""
        drift: float = self.page.evaluate("measure.drift()")
        return drift

    def offset(self) -> float:
        """Pixels that the message of `watches` is away from where it was then; Infinity: it is gone."""
        offset: float = self.page.evaluate("measure.offsetOfWatched()")
        return offset

    def place(self) -> dict[str, Any]:
        """Where the first message in view is, for `offset_from`."""
        place: dict[str, Any] = self.page.evaluate("measure.place()")
        return place

    def offset_from(self, place: dict[str, Any]) -> float:
        offset: float = self.page.evaluate("place => measure.offset(place)", place)
        return offset

    def shows_from_below(self, alt: str, px: float) -> None:
        """Scroll so that the message with this picture ends `px` above the view."""
        self.page.evaluate("([alt, px]) => measure.pass(alt, px)", [alt, px])

    @property
    def view(self) -> dict[str, Any]:
        """`top` and `left` (to the end), `height` of the view, in px, and `rows` in the document."""
        view: dict[str, Any] = self.page.evaluate("measure.view()")
        return view

    def top_of(self, text: str) -> float:
        """Where the upper edge of the bubble with this text is, from that of the list, px."""
        top: float = self.page.evaluate(
            """text => measure.topOf([...document.querySelectorAll('.tidings-list article')]
                .find(each => each.querySelector('.tidings-bubble').textContent.startsWith(text)))""",
            text,
        )
        return top
