/** Whether the page is being printed: then there is no window that one could scroll. */
import { useSyncExternalStore } from "react";

let isPrinting = false;

function subscribe(changed: () => void): () => void {
  const begin = (): void => {
    isPrinting = true;
    changed();
  };
  const end = (): void => {
    isPrinting = false;
    changed();
  };
  window.addEventListener("beforeprint", begin);
  window.addEventListener("afterprint", end);
  return () => {
    window.removeEventListener("beforeprint", begin);
    window.removeEventListener("afterprint", end);
  };
}

/** By an external store: of all that React does only that is drawn before the event, and with it the page, is over. */
export function usePrinting(): boolean {
  return useSyncExternalStore(
    subscribe,
    () => isPrinting,
    () => false,
  );
}
