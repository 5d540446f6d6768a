import { useSyncExternalStore } from "react";

/** Whose conversation is open, in the address: Back, Forward, a reload and another window know it too. */
export const usePerson = (): string | null => useSyncExternalStore(watch, person, () => null);

export const hrefFor = (id: string): string => `#with=${encodeURIComponent(id)}`;

export function open(id: string): void {
  if (id === person()) return;
  const fromList = person() === null;
  location.hash = hrefFor(id);
  history.replaceState({ fromList }, "");
}

/** Back to the list, if one came from there; after a link there is no such way back: the list takes its place. */
export function close(): void {
  if (history.state?.fromList) history.back();
  else location.replace("#");
}

const person = (): string | null => new URLSearchParams(location.hash.slice(1)).get("with") || null;

function watch(changed: () => void): () => void {
  addEventListener("popstate", changed);
  return () => removeEventListener("popstate", changed);
}
