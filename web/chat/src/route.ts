/**
 * Which conversation is open, in the address: `#/` is the list, `#/ben` the conversation with ben. The address can be
 * kept and shared, and Back works.
 */
const CONVERSATION = /^#\/(.+)$/;

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
    return peerOf(location.hash);
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
