import { useEffect } from "react";
import { useLatest } from "../hooks.js";
import { closesOnBack } from "./back.js";
import { useMedia } from "./media.js";

/** A window in which there is room for one pane, wherever in it this stands: see panes.css. */
const NARROW = "(width < 600px)";

/**
 * While `isOpen`, in a window narrower than 600 px, Back calls `close` before it leaves: for what covers a phone's screen, such as
 * your own dialog beside the `Inbox`. The topmost is closed first. It has an entry of the history, with your page's address and state.
 */
export function useBackCloses(isOpen: boolean, close: () => void): void {
  const covers = useMedia(NARROW) && isOpen;
  const now = useLatest(close);
  useEffect(() => (covers ? closesOnBack(() => now.current()) : undefined), [covers, now]);
}
