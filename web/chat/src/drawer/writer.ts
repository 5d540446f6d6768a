/** Writes as the demo asks it to: so many messages a second to one person, until it is told no more. */
import type { RealtimeService } from "tidings";
import { drawerWords as words } from "./words.js";
import type { ReportAnswer } from "./state.js";

const TICK_MS = 100;
/** Longer than the time between two reports: when the demo falls silent, so does this. */
const GOES_ON_MS = 3_000;

export class Writer {
  #timer: ReturnType<typeof setInterval> | undefined;
  #writes: ReportAnswer["writes"] = null;
  #until = 0;
  #at = 0;
  #owed = 0;
  /** Goes on for as long as the page lives: no text comes twice. */
  #number = 0;

  constructor(
    private readonly client: RealtimeService,
    private readonly name: string,
  ) {}

  write(writes: ReportAnswer["writes"]): void {
    if (writes === null) return this.stop();
    const now = performance.now();
    if (this.#writes === null) {
      this.#at = now;
      this.#owed = 0;
      this.#timer = setInterval(() => this.#tick(), TICK_MS);
    }
    this.#writes = writes;
    this.#until = now + Math.min(GOES_ON_MS, writes.seconds_left * 1000);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#writes = null;
  }

  #tick(): void {
    const now = performance.now();
    const writes = this.#writes;
    if (writes === null || now > this.#until) return this.stop();
    // A tab in the background is let run once a second; one that was frozen does not make up for all of it.
    this.#owed = Math.min(this.#owed + ((now - this.#at) / 1000) * writes.per_second, writes.per_second);
    this.#at = now;
    for (; this.#owed >= 1; this.#owed -= 1) {
      this.client.conversation(writes.to).send(words.trafficText((this.#number += 1), this.name));
    }
  }
}
