import { ConversationStore, type ConversationParts } from "./conversation-store.js";
import { NO_WATERMARKS } from "./conversation.js";
import type { Fold, Happening } from "./log.js";
import type { Message, Person } from "../types.js";

/** The conversations that somebody has asked for, each made once. */
export class Conversations implements Fold {
  readonly #stores = new Map<string, ConversationStore>();

  constructor(private readonly parts: ConversationParts) {}

  /** The conversation with this person; the same object each time. */
  of(peerId: string): ConversationStore {
    let store = this.#stores.get(peerId);
    if (!store) {
      store = new ConversationStore(peerId, this.parts);
      this.#stores.set(peerId, store);
      store.restore(this.parts.device.conversation(peerId));
      store.publish();
    }
    return store;
  }

  has(peerId: string): boolean {
    return this.#stores.has(peerId);
  }

  all(): IterableIterator<ConversationStore> {
    return this.#stores.values();
  }

  /** What is known of this person. */
  person(id: string): Person {
    const known = this.#stores.get(id)?.getSnapshot().peer ?? this.parts.met.get(id);
    return known ?? { id, name: id, avatar_url: null };
  }

  apply(happening: Happening): void {
    if (happening.type === "other") return;
    const { peerId } = happening;
    // A screen that comes later shows what is pending.
    if (happening.type === "pending") return this.of(peerId).apply(happening);
    const store = this.#stores.get(peerId);
    if (store) store.apply(happening);
    else if (happening.type === "new_message") this.#acknowledge(happening.message);
  }

  rebase(base: string, why: "begin" | "reset"): void {
    for (const store of this.all()) store.rebase(base, why);
  }

  /** Conversations that nobody has asked for acknowledge too: it is this device that has the message. */
  #acknowledge(message: Message): void {
    const { api, connection, receipts } = this.parts;
    const isMine = api.userId === null || message.sender_id === api.userId;
    if (!isMine && connection.leads) receipts.arrived(message, NO_WATERMARKS);
  }
}
