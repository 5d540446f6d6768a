/**
 * A Web Lock that the tabs of one browser contend for: held until it is left, waited for in the browser's own queue, and
 * taken by force from a holder that does not answer.
 */
import { isAbort } from "../http/environment.js";
import type { Locks } from "../types.js";

export interface SharedLockHandlers {
  /** This tab holds the lock from now on. */
  held(): void;
  /** Locks are there and may not be used, as in a sandboxed frame: this tab is alone. */
  forbidden(): void;
  /** The request is over: another tab took the lock by force, from this one if `wasHeld`. */
  lost(wasHeld: boolean): void;
}

export class SharedLock {
  /** The request that counts; what an earlier one still reports is passed over. */
  #request: AbortController | null = null;
  #release: (() => void) | null = null;

  constructor(
    private readonly locks: Locks,
    private readonly handlers: SharedLockHandlers,
  ) {}

  get isHeld(): boolean {
    return this.#release !== null;
  }

  get isAsked(): boolean {
    return this.#request !== null;
  }

  /** Wait for the lock of this name, or take it by force. */
  ask(name: string, steal: boolean): void {
    this.#request?.abort();
    const request = (this.#request = new AbortController());
    const held = (): Promise<void> => {
      if (this.#request !== request) return Promise.resolve();
      return new Promise((release) => {
        this.#release = release;
        this.handlers.held();
      });
    };
    const ended = (error: unknown): void => {
      if (this.#request !== request) return;
      const wasHeld = this.isHeld;
      this.#request = null;
      this.#release = null;
      if (isAbort(error)) this.handlers.lost(wasHeld);
      else this.handlers.forbidden();
    };
    this.locks.request(name, steal ? { steal } : { signal: request.signal }, held).then(() => undefined, ended);
  }

  /** Let go of it, or wait for it no longer. */
  leave(): void {
    const request = this.#request;
    const release = this.#release;
    this.#request = null;
    this.#release = null;
    if (release) release();
    else request?.abort();
  }
}
