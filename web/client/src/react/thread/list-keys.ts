/** The keyboard among messages: one stop of Tab, in which arrows, Home, End and the page keys move. */
import { useCallback, useEffect, useRef, useState, type KeyboardEvent } from "react";
import { showWhole } from "./thread-place.js";
import type { Thread } from "./thread.js";

/** The nearest message about one view away, or the last one in that direction. */
function aPageFrom(articles: readonly HTMLElement[], from: number, page: number): number {
  const step = Math.sign(page);
  const start = (articles[from] as HTMLElement).getBoundingClientRect().top;
  let at = from;
  while (articles[at + step]) {
    at += step;
    if (Math.abs((articles[at] as HTMLElement).getBoundingClientRect().top - start) >= Math.abs(page)) break;
  }
  return at;
}

/** The handler of keys for the list. It moves the focus, and what is focused is brought into view. */
export function useListKeys(thread: Thread): (event: KeyboardEvent<HTMLElement>) => void {
  const { scroll, hasStart, hasEnd, loadAll } = thread;
  const { list, toStart, toEnd } = scroll;
  /** Where the focus goes once it is in the document. */
  const wanted = useRef<"first" | "last" | null>(null);
  /** Counts keys: what took long to load moves nobody who has gone on meanwhile. */
  const asked = useRef(0);
  const [arrived, setArrived] = useState(0);
  const moved = useRef(0);

  const focus = useCallback(
    (article: HTMLElement | undefined) => {
      if (!article || !list.current) return;
      article.focus({ preventScroll: true });
      showWhole(list.current, article);
    },
    [list],
  );

  useEffect(() => {
    if (wanted.current === null || !list.current) return;
    if (wanted.current === "first" && !hasStart) {
      // Only what was drawn knows what was loaded: the window moves now, once, and the focus when it is there.
      if (moved.current !== arrived) toStart();
      moved.current = arrived;
      return;
    }
    focus([...list.current.querySelectorAll("article")].at(wanted.current === "first" ? 0 : -1));
    wanted.current = null;
  });

  return useCallback(
    (event) => {
      asked.current += 1;
      const from = event.target instanceof Element ? event.target.closest("article") : null;
      if (!from || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const articles = [...event.currentTarget.querySelectorAll("article")];
      const at = articles.indexOf(from);
      const page = (list.current?.clientHeight ?? 0) * 0.9;
      let to: number;
      switch (event.key) {
        case "ArrowUp":
          to = at - 1;
          break;
        case "ArrowDown":
          to = at + 1;
          break;
        case "PageUp":
          to = aPageFrom(articles, at, -page);
          break;
        case "PageDown":
          to = aPageFrom(articles, at, page);
          break;
        case "Home":
          to = 0;
          break;
        case "End":
          to = articles.length - 1;
          break;
        default:
          return;
      }
      event.preventDefault();
      if (event.key === "Home" && !hasStart) {
        const mine = asked.current;
        void loadAll().then(() => {
          if (mine !== asked.current) return;
          wanted.current = "first";
          setArrived(mine);
        });
      } else if (event.key === "End" && !hasEnd) {
        wanted.current = "last";
        toEnd(false);
      } else {
        focus(articles[to]);
      }
    },
    [list, hasStart, hasEnd, loadAll, toEnd, focus],
  );
}
