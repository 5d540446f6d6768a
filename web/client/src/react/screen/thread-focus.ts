/** Where the focus goes in a conversation. */
import { focusedIn, focusOn } from "../parts/focus.js";
import { mediaMatches } from "../parts/media.js";

/** A focused field opens the keyboard of a phone over the messages; with a mouse it is what one wants. */
export function hasFinePointer(): boolean {
  return mediaMatches("(pointer: fine)");
}

/** Into the composer, or to what stands in its place; on a phone to the name. */
export function focusThread(screen: Element | null | undefined): void {
  const places = [".tidings-instead button", "h2", "button"];
  if (hasFinePointer()) places.unshift(".tidings-composer textarea");
  for (const place of places) {
    const element = screen?.querySelector(place) ?? null;
    focusOn(element);
    if (element && focusedIn(element) === element) return;
  }
}
