import type { Readable } from "./types.js";

/** Tell an error of somebody else's code without letting it stop ours. */
export function report(error: unknown): void {
  if (typeof globalThis.reportError === "function") globalThis.reportError(error);
  else console.error(error);
}

/** Tell what does not work here and need not, as a storage that is full or forbidden: no error of the page, which may count those. */
export function warn(what: string, error: unknown): void {
  console.warn(`Tidings: ${what}`, error);
}

/** Call a listener; what it throws is reported and stops nobody else. */
export function isolate<A extends unknown[]>(fn: (...args: A) => void, ...args: A): void {
  try {
    fn(...args);
  } catch (error) {
    report(error);
  }
}

/** One immutable value that can be watched. */
export class Store<T> implements Readable<T> {
  readonly #listeners = new Set<() => void>();
  #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  readonly subscribe = (fn: () => void): (() => void) => {
    // Each subscription is its own, even when the same function is given twice.
    const listener = () => fn();
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  readonly getSnapshot = (): T => this.#value;

  /** Whether anybody looks at it. */
  get isWatched(): boolean {
    return this.#listeners.size > 0;
  }

  /** The same members are the same value. */
  change(value: T): void {
    const keys = Object.keys(value as object) as (keyof T)[];
    if (keys.some((key) => value[key] !== this.#value[key])) this.set(value);
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) isolate(listener);
  }
}
