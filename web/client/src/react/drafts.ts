/**
 * What is typed and not sent, by conversation: kept outside of components, so that it survives switching between
 * conversations, and forgotten with the client.
 */
import type { RealtimeService } from "../service.js";

const drafts = new WeakMap<RealtimeService, Map<string, string>>();

export function readDraft(client: RealtimeService, peerId: string): string {
  return drafts.get(client)?.get(peerId) ?? "";
}

export function writeDraft(client: RealtimeService, peerId: string, text: string): void {
  let own = drafts.get(client);
  if (!own) drafts.set(client, (own = new Map()));
  if (text === "") own.delete(peerId);
  else own.set(peerId, text);
}
