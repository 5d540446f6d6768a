import type { Outbox } from "./outbox.js";
import { Store } from "../store.js";
import type { OutboxSnapshot, UnsentMessages } from "../types.js";

/** What is not acknowledged, over all conversations, as a value that can be watched. */
export class OutboxStore extends Store<OutboxSnapshot> implements UnsentMessages {
  constructor(private readonly outbox: Outbox) {
    super({ pending: [] });
  }

  /** Something may have changed; the same messages stay the same snapshot. */
  refresh(): void {
    const before = this.getSnapshot().pending;
    const pending = this.outbox.all();
    if (pending.length === before.length && pending.every((message, at) => message === before[at])) return;
    this.set({ pending });
  }

  retry(clientId: string): void {
    const message = this.#find(clientId);
    if (message) this.outbox.retry(message.recipient_id, clientId);
  }

  discard(clientId: string): void {
    const message = this.#find(clientId);
    if (message) this.outbox.discard(message.recipient_id, clientId);
  }

  #find(clientId: string) {
    return this.outbox.all().find((message) => message.client_id === clientId);
  }
}
