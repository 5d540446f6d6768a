/**
 * The keys that work wherever in the inbox the focus is: Alt and an arrow for the next conversation, Ctrl or Cmd and K for
 * a new one. No single letters, which dictation and screen readers use (WCAG 2.1.4).
 */
import { useEffect, type RefObject } from "react";
import { useLatest } from "./hooks.js";

interface Shortcuts {
  /** One conversation further down (1) or up (-1) the list. */
  onStep: (step: 1 | -1) => void;
  onNew: () => void;
}

function isApple(): boolean {
  return /Mac|iPhone|iPad/.test(navigator.userAgent);
}

/** Listens while `root` is on the page, and takes only what happens in it, or nowhere in particular. */
export function useShortcuts(root: RefObject<HTMLElement | null>, shortcuts: Shortcuts): void {
  const now = useLatest(shortcuts);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      const { target, key, altKey, ctrlKey, metaKey, shiftKey } = event;
      if (event.defaultPrevented || event.isComposing || shiftKey) return;
      if (target !== document.body && !(target instanceof Node && root.current?.contains(target))) return;
      if (altKey && !ctrlKey && !metaKey && (key === "ArrowUp" || key === "ArrowDown")) {
        event.preventDefault();
        now.current.onStep(key === "ArrowDown" ? 1 : -1);
      } else if (key.toLowerCase() === "k" && !altKey && (isApple() ? metaKey && !ctrlKey : ctrlKey && !metaKey)) {
        // On a Mac Ctrl+K cuts to the end of the line.
        event.preventDefault();
        now.current.onNew();
      }
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, [root, now]);
}
