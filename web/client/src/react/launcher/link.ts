import { isOwnStep } from "../parts/back.js";

/** Whose conversation is open in a page, in its address: `#tidings/ID`. */
const LINK = /^#tidings\/(.+)$/;

/** This page, with a conversation open: what a link in the list leads to in another window. */
export function linkTo(userId: string): string {
  return `#tidings/${encodeURIComponent(userId)}`;
}

/** The person whose conversation the address of this page names; null: none. */
export function linkedPerson(): string | null {
  const encoded = LINK.exec(location.hash)?.[1];
  if (encoded === undefined) return null;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return null;
  }
}

/** Calls `show` for each link to a conversation that is followed in this page; answers the undo. */
export function onLink(show: (userId: string) => void): () => void {
  const look = (event: Event): void => {
    const linked = isOwnStep(event) ? null : linkedPerson();
    if (linked !== null) show(linked);
  };
  // Unlike `hashchange` it tells of a link to where one is already, too: the panel may have been closed meanwhile.
  window.addEventListener("popstate", look);
  return () => window.removeEventListener("popstate", look);
}
