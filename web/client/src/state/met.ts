/** People whom a search has found. The server tells no name of a stranger, so the device keeps it with their conversation. */
import type { Device } from "../device/device.js";
import type { Person } from "../types.js";
import { metIn } from "./kept-conversation.js";

/** So many are remembered; of somebody whom one has written to the server tells. */
const MET_MAX = 500;

export class Met {
  readonly #people = new Map<string, Person>();

  constructor(private readonly device: Pick<Device, "conversation">) {}

  /** What a search of this page, or of an earlier one, has told of this person; the same object each time. */
  get(id: string): Person | undefined {
    const kept = this.#people.get(id) ?? metIn(this.device.conversation(id));
    if (kept) this.#people.set(id, kept);
    return kept;
  }

  add(found: readonly Person[]): void {
    if (this.#people.size > MET_MAX) this.#people.clear();
    for (const person of found) this.#people.set(person.id, person);
  }

  clear(): void {
    this.#people.clear();
  }
}
