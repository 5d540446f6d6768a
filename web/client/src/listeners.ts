import { isolate } from "./store.js";
import type { Notice } from "./types.js";

type Listener = (payload: never) => void;

/** What an application hears: events by name, and troubles of which it may tell its user. */
export class Listeners {
  readonly #byEvent = new Map<string, Set<Listener>>();

  constructor(private readonly onError?: (notice: Notice) => void) {}

  /** Listen; answers the undo. */
  on(event: string, fn: Listener): () => void {
    let listeners = this.#byEvent.get(event);
    if (!listeners) this.#byEvent.set(event, (listeners = new Set()));
    // Each is its own, even when the same function is given twice.
    const listener: Listener = (payload) => fn(payload);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  emit(event: string, payload: unknown): void {
    for (const listener of [...(this.#byEvent.get(event) ?? [])]) isolate(listener, payload as never);
  }

  notify(kind: Notice["kind"], message: string): void {
    if (this.onError) isolate(this.onError, { kind, message });
  }
}
