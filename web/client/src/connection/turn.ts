/**
 * One tab of a browser at a time does what is to be done: a Web Lock that is held while there is something.
 *
 * A holder that falls silent (frozen, stopped) would keep the others waiting for ever; after `SILENCE_MS` without a word
 * from it the lock is stolen. That two may then do the same thing is harmless here: a repeated send is the same send.
 */
import { Alarm } from "../http/alarm.js";
import type { Environment } from "../types.js";
import { SharedLock } from "./shared-lock.js";

/** More than a request and the wait after it take; a holder at work tells each attempt. */
const SILENCE_MS = 50_000;

export class Turn {
  #name: string | null = null;
  readonly #lock: SharedLock | null;
  readonly #silence: Alarm;

  constructor(
    environment: Pick<Environment, "locks" | "setTimer" | "clearTimer">,
    begun: () => void,
    lost: () => void,
  ) {
    this.#silence = new Alarm(environment);
    this.#lock =
      environment.locks &&
      new SharedLock(environment.locks, {
        held: () => {
          this.#silence.clear();
          begun();
        },
        // Everybody for themselves.
        forbidden: () => {
          this.#silence.clear();
          this.#name = null;
          begun();
        },
        lost: (wasHeld) => wasHeld && lost(),
      });
  }

  /** What the turn is at; null: everybody for themselves. */
  of(name: string | null): void {
    const wanted = this.#lock === null ? null : name;
    if (wanted !== this.#name) this.leave();
    this.#name = wanted;
  }

  /** Whether it is this tab's turn. If not, it asks for it; `begun` is called when it has it. */
  take(): boolean {
    if (this.#name === null || this.#lock?.isHeld) return true;
    if (!this.#lock?.isAsked) this.#contend(false);
    return false;
  }

  leave(): void {
    this.#silence.clear();
    this.#lock?.leave();
  }

  /** The holder lives. */
  heard(): void {
    if (this.#silence.isSet) this.#watch();
  }

  #contend(steal: boolean): void {
    if (this.#lock === null || this.#name === null) return;
    this.#lock.ask(this.#name, steal);
    this.#watch();
  }

  #watch(): void {
    this.#silence.set(SILENCE_MS, () => this.#contend(true));
  }
}
