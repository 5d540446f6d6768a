/** What moves the list, and what its end brings. */
import { useEffect, type RefObject } from "react";
import { useLatest } from "../hooks.js";

/** Further conversations are asked for before the end of the list is seen. */
const AHEAD = "400px 0px";

/** Calls `more` as soon as `end` comes near to being seen, and again after what it brought was drawn. */
export function useEnd(
  end: RefObject<HTMLElement | null>,
  scroller: RefObject<HTMLElement | null>,
  more: (() => void) | null,
): void {
  const now = useLatest(more);
  const isWanted = more !== null;
  useEffect(() => {
    // Without it there is the button.
    if (!isWanted || !end.current || typeof IntersectionObserver === "undefined") return;
    const observer = new IntersectionObserver(
      (seen) => {
        if (seen.some(({ isIntersecting }) => isIntersecting)) now.current?.();
      },
      { root: scroller.current, rootMargin: AHEAD },
    );
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [end, scroller, isWanted, now]);
}

/** Scrolls the list, and nothing around it, to the conversation that was opened by whatever means. */
export function useInView(scroller: RefObject<HTMLElement | null>, activeId: string | null, isLoaded: boolean): void {
  useEffect(() => {
    const list = scroller.current;
    const row = list?.querySelector("[aria-current]")?.getBoundingClientRect();
    if (!list || !row) return;
    const { top, bottom } = list.getBoundingClientRect();
    if (row.top < top) list.scrollBy(0, row.top - top);
    else if (row.bottom > bottom) list.scrollBy(0, row.bottom - bottom);
  }, [scroller, activeId, isLoaded]);
}
