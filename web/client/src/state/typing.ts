import type { Api } from "../http/api.js";
import { Alarm } from "../http/alarm.js";

/** How long a `typing` frame is shown (PROTOCOL 13.0.4); senders repeat it every `INTERVAL_MS`. */
const SHOWN_MS = 5000;
const INTERVAL_MS = 3000;

/** Who is typing: the other one, as frames tell, and the user, as the other one is told. */
export class Typing {
  readonly #peer: Alarm;
  #toldAt = -Infinity;

  constructor(
    private readonly api: Api,
    private readonly peerId: string,
    private readonly changed: () => void,
  ) {
    this.#peer = new Alarm(api.environment);
  }

  get peerTypes(): boolean {
    return this.#peer.isSet;
  }

  /** A frame told that the other one types. */
  told(): void {
    this.#peer.set(SHOWN_MS, this.changed);
    this.changed();
  }

  /** The other one does not type any more. */
  stop(): void {
    if (!this.peerTypes) return;
    this.#peer.clear();
    this.changed();
  }

  /** The user types. */
  tell(signal: AbortSignal): void {
    const now = this.api.environment.monotonic();
    if (now - this.#toldAt < INTERVAL_MS) return;
    this.#toldAt = now;
    // Worth nothing later, so it is not repeated.
    this.api.post(this.api.address(["typing"]), { chatUserId: this.peerId }, signal).catch(() => undefined);
  }

  /** The user has sent: the next key begins something new. */
  sent(): void {
    this.#toldAt = -Infinity;
  }
}
