/**
 * Writes what changed to the storage of one user: rows that changed at the same time in one transaction, at most every
 * `INTERVAL_MS`, and at once what must not be lost (unsent messages) and when the page is hidden or left.
 *
 * The cursor is a row like the others. It is made when the write is made, from state that has been applied, together with
 * the conversations that it belongs to: what is stored never claims events that are not in it.
 */
import { report } from "./store.js";
import type { ClientStorage, Environment, TimerHandle } from "./types.js";

export const INTERVAL_MS = 250;

/** What a row holds now; undefined deletes it. */
type Make = () => unknown;

export class Keeper {
  #owner: string | null = null;
  #dirty = new Map<string, Make>();
  #timer: TimerHandle | null = null;
  #tail: Promise<void> = Promise.resolve();
  #soon = false;
  #era = 0;

  constructor(
    private readonly storage: ClientStorage,
    private readonly environment: Pick<Environment, "setTimer" | "clearTimer">,
    /** Rows that may be given up when there is no room, so that the others fit. */
    private readonly expendable: (key: string) => boolean,
  ) {}

  /** Whose rows are kept; null keeps nothing, and what is marked waits for an owner. */
  get owner(): string | null {
    return this.#owner;
  }

  /** Keep the rows of this owner; answers what is kept already. Never rejects. */
  async open(owner: string): Promise<ReadonlyMap<string, unknown>> {
    this.#owner = owner;
    // An owner that is forgotten at this moment has nothing any more. What is marked waits, or it would hide what is kept.
    await this.#tail;
    const rows = await this.#read(owner);
    if (this.#owner === owner && this.#dirty.size > 0) this.#arm();
    return rows;
  }

  /** What is kept now, by this page or another. Never rejects. */
  async read(): Promise<ReadonlyMap<string, unknown>> {
    await this.flush();
    return this.#owner === null ? new Map() : this.#read(this.#owner);
  }

  /** This row changed; `make` is called when it is written. */
  mark(key: string, make: Make): void {
    this.#dirty.set(key, make);
    if (this.#owner !== null) this.#arm();
  }

  /** As `mark`, and written at once, together with whatever changes in the same turn. */
  markNow(key: string, make: Make): void {
    this.#dirty.set(key, make);
    if (this.#owner === null || this.#soon) return;
    this.#soon = true;
    queueMicrotask(() => {
      this.#soon = false;
      void this.flush();
    });
  }

  /** Write what is waiting. Resolves when all writes so far have ended, well or not. */
  flush(): Promise<void> {
    if (this.#timer !== null) this.environment.clearTimer(this.#timer);
    this.#timer = null;
    const owner = this.#owner;
    if (owner === null || this.#dirty.size === 0) return this.#tail;
    const rows = new Map([...this.#dirty].map(([key, make]) => [key, make()]));
    this.#dirty.clear();
    const era = this.#era;
    this.#tail = this.#tail.then(() => (era === this.#era ? this.#write(owner, rows) : undefined));
    return this.#tail;
  }

  /** Write what is waiting and give the database back, as a page must that may be frozen. */
  rest(): void {
    void this.flush().then(() => this.storage.release());
  }

  /** Forget the owner and everything that is kept under that name. */
  async purge(): Promise<void> {
    const owner = this.#owner;
    this.#era += 1;
    this.#owner = null;
    this.#dirty.clear();
    if (this.#timer !== null) this.environment.clearTimer(this.#timer);
    this.#timer = null;
    if (owner === null) return;
    this.#tail = this.#tail.then(() => this.storage.clear(owner)).catch(report);
    await this.#tail;
  }

  async #read(owner: string): Promise<ReadonlyMap<string, unknown>> {
    try {
      return await this.storage.read(owner);
    } catch (error) {
      report(error);
      return new Map();
    }
  }

  #arm(): void {
    this.#timer ??= this.environment.setTimer(() => {
      this.#timer = null;
      void this.flush();
    }, INTERVAL_MS);
  }

  async #write(owner: string, rows: ReadonlyMap<string, unknown>): Promise<void> {
    try {
      await this.storage.write(owner, rows);
    } catch (error) {
      report(error);
      try {
        // No room: the server has the conversations; what is unsent and typed exists only here.
        const held = await this.storage.read(owner);
        const spared = [...new Set([...held.keys(), ...rows.keys()])].filter(this.expendable);
        await this.storage.write(owner, new Map([...rows, ...spared.map((key) => [key, undefined] as const)]));
      } catch (again) {
        report(again);
      }
    }
  }
}
