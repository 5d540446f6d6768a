import type { Environment, TimerHandle } from "../types.js";

/** Something that is to happen later, once. */
export class Alarm {
  #handle: TimerHandle | null = null;

  constructor(private readonly environment: Pick<Environment, "setTimer" | "clearTimer">) {}

  get isSet(): boolean {
    return this.#handle !== null;
  }

  /** In so many milliseconds, instead of when it was set for before. */
  set(ms: number, ring: () => void): void {
    this.clear();
    this.#handle = this.environment.setTimer(() => {
      this.#handle = null;
      ring();
    }, ms);
  }

  clear(): void {
    if (this.#handle !== null) this.environment.clearTimer(this.#handle);
    this.#handle = null;
  }
}
