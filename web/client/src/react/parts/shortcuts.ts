/**
 * The keys of the inbox: Alt and an arrow for the next conversation, Ctrl or Cmd and K to find somebody. No single letters,
 * which dictation and screen readers use (WCAG 2.1.4).
 *
 * A host may have the same keys, for a palette of its own say. Where the focus is in the inbox they are ours, and the host's
 * listeners above do not hear of them; elsewhere they are the host's. Where the page has nothing but the inbox, they work
 * also while the focus is nowhere in particular.
 */
import { useEffect, type RefObject } from "react";
import { useLatest } from "../hooks.js";

interface Shortcuts {
  /** One conversation further down (1) or up (-1) the list. */
  onStep: (step: 1 | -1) => void;
  onFind: () => void;
}

function isApple(): boolean {
  return typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.userAgent);
}

/** The keys to find somebody, as they are written on them. */
export function findKeys(): readonly string[] {
  return [isApple() ? "⌘" : "Ctrl", "K"];
}

/** The same for `aria-keyshortcuts`. */
export function findKeysName(): string {
  return isApple() ? "Meta+K" : "Control+K";
}

/** Listens while `root` is there. It may stand in a shadow root, whose elements a document's listener does not see. */
export function useShortcuts(root: RefObject<HTMLElement | null>, isPage: boolean, shortcuts: Shortcuts): void {
  const now = useLatest(shortcuts);
  useEffect(() => {
    const act = (event: KeyboardEvent): void => {
      const { key, altKey, ctrlKey, metaKey, shiftKey } = event;
      if (event.defaultPrevented || event.isComposing || shiftKey) return;
      const isArrow = key === "ArrowUp" || key === "ArrowDown";
      if (altKey && !ctrlKey && !metaKey && isArrow) now.current.onStep(key === "ArrowDown" ? 1 : -1);
      // On a Mac Ctrl+K cuts to the end of the line.
      else if (key.toLowerCase() === "k" && !altKey && (isApple() ? metaKey && !ctrlKey : ctrlKey && !metaKey)) {
        now.current.onFind();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    };
    const onPage = (event: KeyboardEvent): void => {
      if (event.target === document.body) act(event);
    };
    const element = root.current;
    element?.addEventListener("keydown", act);
    if (isPage) document.addEventListener("keydown", onPage);
    return () => {
      element?.removeEventListener("keydown", act);
      document.removeEventListener("keydown", onPage);
    };
  }, [root, isPage, now]);
}
