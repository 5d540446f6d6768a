import { useMemo, useSyncExternalStore } from "react";

/** Whether a media query holds. Where there is none to ask, on a server or in a test's DOM, nothing holds. */
export function mediaMatches(query: string): boolean {
  return typeof globalThis.matchMedia === "function" && globalThis.matchMedia(query).matches;
}

/** The same, drawn anew when it changes. */
export function useMedia(query: string): boolean {
  const subscribe = useMemo(
    () => (changed: () => void) => {
      const list = globalThis.matchMedia?.(query);
      list?.addEventListener("change", changed);
      return () => list?.removeEventListener("change", changed);
    },
    [query],
  );
  return useSyncExternalStore(
    subscribe,
    () => mediaMatches(query),
    () => false,
  );
}
