/**
 * One tab of a browser at a time does what is to be done: a Web Lock that is held while there is something.
 *
 * A holder that falls silent (frozen, stopped) would keep the others waiting for ever; after `SILENCE_MS` without a word
 * from it the lock is stolen. That two may then do the same thing is harmless here: a repeated send is the same send.
 */
import { isAbort } from "../http/environment.js";
import type { Environment, TimerHandle } from "../types.js";

/** More than a request and the wait after it take; a holder at work tells each attempt. */
const SILENCE_MS = 50_000;

export class Turn {
  #name: string | null = null;
  #request: AbortController | null = null;
  #release: (() => void) | null = null;
  #timer: TimerHandle | null = null;

  constructor(
    private readonly environment: Pick<Environment, "locks" | "setTimer" | "clearTimer">,
    private readonly begun: () => void,
    private readonly lost: () => void,
  ) {}

  /** What the turn is at; null: everybody for themselves. */
  of(name: string | null): void {
    const wanted = this.environment.locks === null ? null : name;
    if (wanted !== this.#name) this.leave();
    this.#name = wanted;
  }

  /** Whether it is this tab's turn. If not, it asks for it; `begun` is called when it has it. */
  take(): boolean {
    if (this.#name === null || this.#release !== null) return true;
    if (this.#request === null) this.#contend(false);
    return false;
  }

  leave(): void {
    this.#clear();
    const request = this.#request;
    const release = this.#release;
    this.#request = null;
    this.#release = null;
    if (release) release();
    else request?.abort();
  }

  /** The holder lives. */
  heard(): void {
    if (this.#timer !== null) this.#watch();
  }

  #contend(steal: boolean): void {
    const { locks } = this.environment;
    if (locks === null || this.#name === null) return;
    this.#request?.abort();
    const request = (this.#request = new AbortController());
    const held = (): Promise<void> => {
      if (this.#request !== request) return Promise.resolve();
      this.#clear();
      return new Promise((release) => {
        this.#release = release;
        this.begun();
      });
    };
    const ended = (error: unknown): void => {
      if (this.#request !== request) return;
      this.#request = null;
      if (!isAbort(error)) {
        // Locks may not be used here: everybody for themselves.
        this.#clear();
        this.#name = null;
        return this.begun();
      }
      if (this.#release === null) return;
      this.#release = null;
      this.lost();
    };
    locks.request(this.#name, steal ? { steal } : { signal: request.signal }, held).then(() => undefined, ended);
    this.#watch();
  }

  #watch(): void {
    this.#clear();
    this.#timer = this.environment.setTimer(() => {
      this.#timer = null;
      this.#contend(true);
    }, SILENCE_MS);
  }

  #clear(): void {
    if (this.#timer !== null) this.environment.clearTimer(this.#timer);
    this.#timer = null;
  }
}
