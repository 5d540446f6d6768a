/**
 * Where a thread stands when its content changes.
 *
 * Pinned (at most 100 px from the end): it follows. Not pinned: the first visible message keeps its place on the screen,
 * found again by its key, whatever was added above or below. The browser's own anchoring is switched off in the
 * stylesheet, for two anchors would correct twice.
 */
import { useCallback, useEffect, useRef, useState, type RefObject } from "react";
import { useLatest, useLayoutEffectOnClient } from "./hooks.js";

const PINNED_PX = 100;
const NEAR_TOP_PX = 240;
/** The attribute of a row that can hold the place: rows of messages, not days, which move when older ones load. */
export const ANCHOR = "data-anchor";

interface Place {
  key: string;
  /** From the upper edge of the view to the upper edge of the row, px. */
  offset: number;
}

export interface ThreadScroll {
  list: RefObject<HTMLDivElement | null>;
  pinned: boolean;
  onScroll: () => void;
  toEnd: (smooth: boolean) => void;
}

interface Options {
  /** True once there is something to open at. */
  ready: boolean;
  /** False while what is shown is only what this device kept; what comes is where one opens it. */
  fresh: boolean;
  /** Changes whenever what is shown may have. */
  content: unknown;
  /** Called when the upper end comes near. */
  onNearTop: () => void;
}

function distanceToEnd(list: HTMLElement): number {
  return list.scrollHeight - list.scrollTop - list.clientHeight;
}

function placeOf(list: HTMLElement): Place | null {
  const rows = list.querySelectorAll<HTMLElement>(`[${ANCHOR}]`);
  let low = 0;
  let high = rows.length - 1;
  let found: HTMLElement | null = null;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const row = rows[middle];
    if (!row) break;
    if (row.offsetTop + row.offsetHeight > list.scrollTop) {
      found = row;
      high = middle - 1;
    } else {
      low = middle + 1;
    }
  }
  return found && { key: found.getAttribute(ANCHOR) ?? "", offset: found.offsetTop - list.scrollTop };
}

function restore(list: HTMLElement, place: Place): void {
  for (const row of list.querySelectorAll<HTMLElement>(`[${ANCHOR}]`)) {
    if (row.getAttribute(ANCHOR) !== place.key) continue;
    list.scrollTop = row.offsetTop - place.offset;
    return;
  }
}

/** Open at the unread line when the unread messages fill more than the view, else at the end. */
function open(list: HTMLElement): void {
  const line = list.querySelector<HTMLElement>("[data-unread-line]");
  const unreadHeight = line ? list.scrollHeight - line.offsetTop : 0;
  list.scrollTop = line && unreadHeight > list.clientHeight ? line.offsetTop - 8 : list.scrollHeight;
}

/** Go on to the end; but a message taller than the view is shown from its top. */
function follow(list: HTMLElement): void {
  const rows = list.querySelectorAll<HTMLElement>(`[${ANCHOR}]`);
  const last = rows[rows.length - 1];
  const tall = last && last.offsetHeight > list.clientHeight && last.dataset["own"] !== "true";
  list.scrollTop = tall ? last.offsetTop - 8 : list.scrollHeight;
}

export function useThreadScroll({ ready, fresh, content, onNearTop }: Options): ThreadScroll {
  const list = useRef<HTMLDivElement>(null);
  const place = useRef<Place | null>(null);
  const isPinned = useRef(true);
  const height = useRef(0);
  const opened = useRef(false);
  const [pinned, setPinned] = useState(true);
  const nearTop = useLatest(onNearTop);

  const remember = useCallback(() => {
    const element = list.current;
    if (!element) return;
    isPinned.current = distanceToEnd(element) <= PINNED_PX;
    place.current = placeOf(element);
    height.current = element.clientHeight;
    setPinned(isPinned.current);
  }, []);

  const keep = useCallback(() => {
    const element = list.current;
    if (!element) return;
    if (isPinned.current) follow(element);
    else if (place.current) restore(element, place.current);
    remember();
  }, [remember]);

  useLayoutEffectOnClient(() => {
    const element = list.current;
    if (!element || !ready) return;
    if (opened.current) {
      keep();
    } else {
      open(element);
      remember();
      opened.current = fresh || !isPinned.current;
    }
    // A first page that does not fill the view can never be scrolled to its top.
    if (element.clientHeight > 0 && element.scrollTop < NEAR_TOP_PX) nearTop.current();
  }, [ready, fresh, content, keep, remember, nearTop]);

  useEffect(() => {
    const element = list.current;
    if (!element || typeof ResizeObserver === "undefined") return;
    const observer = new ResizeObserver(() => {
      if (place.current) keep();
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [keep]);

  const onScroll = useCallback(() => {
    const element = list.current;
    // While the view changes its height (a growing composer, a banner) it is moved by the browser, not by the user.
    if (!element || element.clientHeight !== height.current) return;
    remember();
    if (element.scrollTop < NEAR_TOP_PX) nearTop.current();
  }, [remember, nearTop]);

  const toEnd = useCallback((smooth: boolean) => {
    const element = list.current;
    if (!element) return;
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    element.scrollTo({ top: element.scrollHeight, behavior: smooth && !calm ? "smooth" : "instant" });
    // What is sent next must be followed, though the scroll event has not come yet.
    isPinned.current = true;
  }, []);

  return { list, pinned, onScroll, toEnd };
}
