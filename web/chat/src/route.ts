/**
 * Which conversation is open, in the address: `#/` is the list, `#/ben` the conversation with ben. The address can be
 * kept and shared, and Back works.
 */
const CONVERSATION = /^#\/(.+)$/;
/** A sign-in link: no place of its own, so that one stays where one is. */
export const BRINGS_TOKEN = /^#token=(.*)$/;

/** The user id in a fragment, or null: for the list, for other fragments, and for an id that is not well encoded. */
export function peerOf(hash: string): string | null {
  const encoded = CONVERSATION.exec(hash)?.[1];
  if (encoded === undefined) return null;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return null;
  }
}

export function hrefOf(peerId: string): string {
  return `#/${encodeURIComponent(peerId)}`;
}

const listeners = new Set<() => void>();

function changed(): void {
  for (const listener of listeners) listener();
}

let shown = peerOf(location.hash);

export const route = {
  subscribe(fn: () => void): () => void {
    if (listeners.size === 0) window.addEventListener("popstate", changed);
    listeners.add(fn);
    return () => {
      listeners.delete(fn);
      if (listeners.size === 0) window.removeEventListener("popstate", changed);
    };
  },
  getSnapshot(): string | null {
    if (!BRINGS_TOKEN.test(location.hash)) shown = peerOf(location.hash);
    return shown;
  },
};

interface Entry {
  /** True when Back from here leads to the list. */
  fromList: boolean;
}

export function openConversation(peerId: string): void {
  if (peerId === peerOf(location.hash)) return;
  const entry: Entry = { fromList: peerOf(location.hash) === null };
  history.pushState(entry, "", hrefOf(peerId));
  changed();
}

/** Back to the list: the browser's own Back when that is where it leads, so that entries do not pile up. */
export function openList(): void {
  const entry = history.state as Entry | null;
  if (entry?.fromList) {
    history.back();
  } else {
    history.replaceState(null, "", "#/");
    changed();
  }
}
