/**
 * Where a thread stands when its content changes, and how much of it is in the document.
 *
 * Pinned (at most 100 px from the end): it follows what comes. Not pinned: the first message in view keeps its place on the
 * screen, found again by its key, whatever was added or grew above or below. The window of messages moves along when its edge
 * comes near. The browser's own anchoring is switched off in the stylesheet, for two anchors would correct twice.
 */
import { useCallback, useEffect, useRef, type RefObject } from "react";
import type { Message } from "../../types.js";
import { useLatest, useLayoutEffectOnClient } from "../hooks.js";
import { mediaMatches } from "../parts/media.js";
import {
  anchorOf,
  distanceToEnd,
  follow,
  makeGood,
  open,
  placeIn,
  placeOf,
  stay,
  restoreFolded,
  type Place,
} from "./thread-place.js";
import { first, newer, older, windowOf, type Range, type Window } from "./thread-window.js";

const PINNED_PX = 100;
/** At the very end: rounding of the browser's own positions. */
const END_PX = 2;
const NEAR_EDGE_PX = 240;

export interface ThreadScroll {
  list: RefObject<HTMLDivElement | null>;
  /** What grows within the list, and so moves what is in view. */
  column: RefObject<HTMLDivElement | null>;
  pinned: boolean;
  /** True: it was the reader who moved it, and not to the end. */
  onScroll: () => boolean;
  toEnd: (smooth: boolean) => void;
  /** Go to the first message that is loaded. */
  toStart: () => void;
  /** A message is about to be folded or unfolded by the user: its upper edge stays. */
  onFold: (key: string) => void;
}

export interface ThreadScrollOptions {
  messages: readonly Message[];
  /** What of them is in the document now. */
  range: Range;
  /** Null: the latest ones. */
  window: Window | null;
  setWindow: (window: Window | null) => void;
  /** It stands at the end, and follows it. */
  pinned: boolean;
  setPinned: (pinned: boolean) => void;
  /** True once there is something to open at. */
  ready: boolean;
  /** False while what is shown is only what this device kept; what comes is where one opens it. */
  fresh: boolean;
  /** The key of the last row; another one means that something came. */
  lastKey: string | undefined;
  /** Changes whenever what is shown may have. */
  content: unknown;
  /** Another number: open anew. */
  visit: number;
  /** Called when a screen that followed the end is shown again. */
  onReturn: () => void;
  /** Called when the upper end of all that is loaded comes near. */
  onNearTop: () => void;
}

export function useThreadScroll(options: ThreadScrollOptions): ThreadScroll {
  const list = useRef<HTMLDivElement>(null);
  const column = useRef<HTMLDivElement>(null);
  const place = useRef<Place | null>(null);
  const isPinned = useRef(true);
  const isAtEnd = useRef(true);
  const size = useRef({ client: 0, content: 0 });
  /** The visit that has been opened. */
  const opened = useRef(-1);
  /** The reader has moved it since then. */
  const hasMoved = useRef(false);
  const left = useRef(false);
  /** Where to go once the messages there are in the document. */
  const wanted = useRef<"start" | "end" | null>(null);
  const folded = useRef<Place | null>(null);
  const lastKey = useRef<string | undefined>(undefined);
  const now = useLatest(options);

  /** Look where the list stands, and follow the conversation from now on or not any more. */
  const remember = useCallback(
    (samePlace: boolean) => {
      const element = list.current;
      if (!element) return;
      const { messages, range, window, setWindow, pinned, setPinned } = now.current;
      const left = distanceToEnd(element);
      isPinned.current = range.end === messages.length && left <= PINNED_PX;
      isAtEnd.current = isPinned.current && left <= END_PX;
      // Where nobody scrolled, the place is still the one before: what the browser rounds would add up.
      if (place.current && samePlace) place.current.scrollTop = element.scrollTop;
      else place.current = placeIn(element);
      size.current = { client: element.clientHeight, content: element.scrollHeight };
      if (isPinned.current !== pinned) setPinned(isPinned.current);
      // What the reader has before them stays in the document, whatever comes.
      if (!isPinned.current && window === null) setWindow(windowOf(messages, range));
    },
    [now],
  );

  /** Bring what is needed at the edges of the view into the document. */
  const fill = useCallback(() => {
    const element = list.current;
    if (!element || element.clientHeight === 0) return;
    const { messages, range, setWindow, onNearTop, visit } = now.current;
    if (opened.current !== visit) return;
    const near = Math.max(NEAR_EDGE_PX, element.clientHeight / 2);
    if (element.scrollTop < near) {
      // A reader who stands where it opened has asked for nothing older; at the very top nobody can ask by scrolling.
      if (range.start === 0) {
        if (hasMoved.current || element.scrollTop === 0) onNearTop();
      }
      // Who follows sees the end; a view so high that it shows the beginning of the window too changes nothing.
      else if (!isPinned.current) setWindow(older(messages, range));
    } else if (range.end < messages.length && distanceToEnd(element) < near) {
      setWindow(newer(messages, range));
    }
  }, [now]);

  /** Follow, or stay; true where the same message is in the same place as before. */
  const keep = useCallback(
    (element: HTMLElement): boolean => {
      const came = lastKey.current !== now.current.lastKey;
      const to = wanted.current;
      wanted.current = null;
      if (to !== null) element.scrollTop = to === "end" ? element.scrollHeight : 0;
      else if (folded.current) restoreFolded(element, folded.current);
      else if (isPinned.current && came) follow(element);
      else if (isAtEnd.current) element.scrollTop = element.scrollHeight;
      else return place.current !== null && stay(element, place.current);
      folded.current = null;
      return false;
    },
    [now],
  );

  /** What is shown, or its size, may have changed: open, or stay. */
  const settle = useCallback(() => {
    const element = list.current;
    // Not to be seen: there is nothing to measure, and nothing may be forgotten.
    const { ready, fresh, visit } = now.current;
    if (!element || !ready || element.clientHeight === 0) return;
    const isOpen = opened.current === visit;
    const samePlace = isOpen && keep(element);
    if (!isOpen) {
      hasMoved.current = false;
      open(element);
    }
    lastKey.current = now.current.lastKey;
    remember(samePlace);
    if (fresh || !isPinned.current) opened.current = visit;
    // A first page that does not fill the view can never be scrolled to its top.
    fill();
  }, [now, keep, remember, fill]);

  // Shown again after it was hidden, as React's Activity does.
  useLayoutEffectOnClient(() => {
    if (left.current && isPinned.current) now.current.onReturn();
    left.current = false;
    return () => void (left.current = true);
  }, [now]);

  const { ready, fresh, visit, content, window } = options;
  useLayoutEffectOnClient(settle, [ready, fresh, visit, content, window, settle]);

  useEffect(() => {
    const element = list.current;
    const inner = column.current;
    if (!element || !inner || typeof ResizeObserver === "undefined") return;
    // Called after layout and before the page is drawn: nobody sees the step that is made good here.
    const observer = new ResizeObserver(settle);
    observer.observe(element);
    observer.observe(inner);
    return () => observer.disconnect();
  }, [settle]);

  const onScroll = useCallback((): boolean => {
    const element = list.current;
    // While the view changes its height (a growing composer, a banner) it is moved by the browser, not by the user.
    if (!element || element.clientHeight !== size.current.client) return false;
    if (element.scrollTop === place.current?.scrollTop) return false;
    // Something grew since: the list has not been told yet, and what it remembers would be forgotten here.
    if (place.current && !isPinned.current && element.scrollHeight !== size.current.content) {
      makeGood(element, place.current);
    }
    hasMoved.current = true;
    remember(false);
    fill();
    return !isPinned.current;
  }, [remember, fill]);

  const toEnd = useCallback(
    (smooth: boolean) => {
      const element = list.current;
      if (!element) return;
      const { messages, range, setWindow, setPinned } = now.current;
      const hasEnd = range.end === messages.length;
      const calm = mediaMatches("(prefers-reduced-motion: reduce)");
      if (smooth && hasEnd && !calm) {
        element.scrollTo({ top: element.scrollHeight, behavior: "smooth" });
        return;
      }
      // What is sent next must be followed, though the document has it not yet.
      isPinned.current = isAtEnd.current = true;
      setPinned(true);
      if (hasEnd) {
        element.scrollTop = element.scrollHeight;
      } else {
        wanted.current = "end";
        setWindow(null);
      }
    },
    [now],
  );

  const toStart = useCallback(() => {
    const { messages, setWindow } = now.current;
    isPinned.current = isAtEnd.current = false;
    wanted.current = "start";
    setWindow(first(messages));
  }, [now]);

  const onFold = useCallback((key: string) => {
    const element = list.current;
    const anchor = element && anchorOf(element, key);
    if (element && anchor) folded.current = placeOf(element, anchor);
  }, []);

  return { list, column, pinned: options.pinned, onScroll, toEnd, toStart, onFold };
}
