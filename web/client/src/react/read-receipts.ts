import { useEffect, useRef, type RefObject } from "react";
import type { Conversation } from "../types.js";

/** How long a bubble must have been in view before it counts as read. */
const SEEN_MS = 500;
/** Carried by the lower end of a bubble that is not read yet; its value is the message's `seq`. */
export const SEEN_MARK = "data-unread-seq";

function isWatching(): boolean {
  return document.visibilityState === "visible" && document.hasFocus();
}

interface Watch {
  observer: IntersectionObserver;
  observed: Set<Element>;
  /** Marks in view, each with the timer that makes it read. */
  inView: Map<Element, ReturnType<typeof setTimeout> | undefined>;
}

/**
 * Tells the conversation what was really read: the end of the bubble was in view for half a second while the page was
 * visible and had the focus. `version` changes whenever there may be other marks.
 */
export function useReadReceipts(
  list: RefObject<HTMLElement | null>,
  conversation: Conversation,
  version: unknown,
): void {
  const watch = useRef<Watch | null>(null);

  useEffect(() => {
    const root = list.current;
    if (!root || typeof IntersectionObserver === "undefined") return;
    const inView: Watch["inView"] = new Map();

    const start = (mark: Element): void => {
      clearTimeout(inView.get(mark));
      const seq = Number(mark.getAttribute(SEEN_MARK));
      const read = (): void => {
        if (isWatching()) conversation.markRead(seq);
      };
      inView.set(mark, isWatching() ? setTimeout(read, SEEN_MS) : undefined);
    };
    const stop = (mark: Element): void => {
      clearTimeout(inView.get(mark));
      inView.delete(mark);
    };
    const restart = (): void => {
      for (const mark of inView.keys()) start(mark);
    };

    const observer = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) (entry.isIntersecting ? start : stop)(entry.target);
      },
      { root },
    );
    watch.current = { observer, observed: new Set(), inView };
    document.addEventListener("visibilitychange", restart);
    window.addEventListener("focus", restart);
    window.addEventListener("blur", restart);
    return () => {
      watch.current = null;
      observer.disconnect();
      for (const timer of inView.values()) clearTimeout(timer);
      document.removeEventListener("visibilitychange", restart);
      window.removeEventListener("focus", restart);
      window.removeEventListener("blur", restart);
    };
  }, [list, conversation]);

  useEffect(() => {
    const current = watch.current;
    const root = list.current;
    if (!current || !root) return;
    for (const mark of current.observed) {
      if (mark.isConnected) continue;
      current.observer.unobserve(mark);
      current.observed.delete(mark);
      clearTimeout(current.inView.get(mark));
      current.inView.delete(mark);
    }
    for (const mark of root.querySelectorAll(`[${SEEN_MARK}]`)) {
      if (current.observed.has(mark)) continue;
      current.observed.add(mark);
      current.observer.observe(mark);
    }
  }, [list, conversation, version]);
}
