/**
 * The focus is not lost with the element that has it: one who uses the keyboard, or a screen reader, would begin the page anew.
 */
import { useEffect, type RefObject } from "react";
import { useLatest } from "../hooks.js";
import { focusedIn, isFocusNowhere, isThere } from "./focus.js";

/**
 * Calls `goTo` when what had the focus in `root` was taken away or hidden, and nothing else has it since.
 *
 * Looked at are changes in the children of `root` and of those elements in it, there from the start, that `inside` selects;
 * in all that is in them if `isDeep`.
 */
export function useKeptFocus(
  root: RefObject<HTMLElement | null>,
  { inside, isDeep = false, goTo }: { inside?: string; isDeep?: boolean; goTo: () => void },
): void {
  const now = useLatest(goTo);
  useEffect(() => {
    const element = root.current;
    if (!element) return;
    const focused = focusedIn(element);
    let last = element.contains(focused) ? focused : null;
    const onFocus = ({ target }: FocusEvent): void => {
      last = target as Element;
    };
    const onBlur = (): void => {
      // The user's doing, unless it turns out to be gone; where a browser tells of that at all, it does so before.
      const left = last;
      setTimeout(() => {
        if (last === left && last && isThere(last) && focusedIn(element) !== last) last = null;
      });
    };
    const look = (): void => {
      if (last === null || isThere(last)) return;
      last = null;
      if (isFocusNowhere(element)) now.current();
    };
    element.addEventListener("focusin", onFocus);
    element.addEventListener("focusout", onBlur);
    const observer = new MutationObserver(look);
    const watched = { childList: true, subtree: isDeep, attributeFilter: ["data-open"] };
    for (const each of [element, ...(inside === undefined ? [] : element.querySelectorAll(inside))]) {
      observer.observe(each, watched);
    }
    return () => {
      observer.disconnect();
      element.removeEventListener("focusin", onFocus);
      element.removeEventListener("focusout", onBlur);
    };
  }, [root, inside, isDeep, now]);
}
