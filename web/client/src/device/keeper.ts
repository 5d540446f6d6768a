/**
 * Writes what changed to the storage of one user: rows that changed at the same time in one transaction, at once after a
 * pause and then at most every `INTERVAL_MS`, and at once what must not be lost (unsent messages).
 *
 * When the page is hidden or left, it may not live to see a write end, and a browser gives up those that wait for one: what
 * is waiting or under way is handed over in that very turn, and what exists only here (unsent messages, drafts) is held by
 * other means until the storage has answered.
 *
 * The cursor is a row like the others. It is made when the write is made, from state that has been applied, together with
 * the conversations that it belongs to: what is stored never claims events that are not in it.
 */
import { clearBut } from "./clear-but.js";
import { warn } from "../store.js";
import { Alarm } from "../http/alarm.js";
import type { ClientStorage, Environment } from "../types.js";

export const INTERVAL_MS = 250;

/** What a row holds now; undefined deletes it. */
type Make = () => unknown;

export class Keeper {
  #owner: string | null = null;
  /** What is kept of the owner is known here. A row that is made before could hide what only the device knows. */
  #isRead = false;
  #dirty = new Map<string, Make>();
  readonly #alarm: Alarm;
  #tail: Promise<void> = Promise.resolve();
  /** What the storage was given and has not answered, oldest first. */
  readonly #underWay = new Set<ReadonlyMap<string, unknown>>();
  #soon = false;
  #era = 0;
  /** The last write failed: said once, not for each of those that follow. */
  #fails = false;

  constructor(
    private readonly storage: ClientStorage,
    environment: Pick<Environment, "setTimer" | "clearTimer">,
    /** Rows that may be given up when there is no room, so that the others fit. */
    private readonly expendable: (key: string) => boolean,
    /** Rows that nobody else has. */
    private readonly precious: (key: string) => boolean,
  ) {
    this.#alarm = new Alarm(environment);
  }

  /** Whose rows are kept; null keeps nothing, and what is marked waits for an owner. */
  get owner(): string | null {
    return this.#owner;
  }

  /** Keep the rows of this owner; `take` is given what is kept already, before any of it is written anew. Never rejects. */
  async open(owner: string, take: (rows: ReadonlyMap<string, unknown>) => void): Promise<void> {
    this.#owner = owner;
    this.#isRead = false;
    // An owner that is forgotten at this moment has nothing any more.
    await this.#tail;
    const rows = await this.#read(owner);
    if (this.#owner !== owner) return;
    take(rows);
    this.#isRead = true;
    if (this.#dirty.size > 0) this.#arm();
  }

  /** What is kept now, by this page or another, and what of this page could not be. Never rejects. */
  async read(): Promise<ReadonlyMap<string, unknown>> {
    await this.flush();
    if (this.#owner === null) return new Map();
    const rows = new Map(await this.#read(this.#owner));
    for (const [key, make] of this.#dirty) rows.set(key, make());
    return rows;
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
      this.#writeAll();
    });
  }

  /** Write what is waiting. Resolves when all writes so far have ended, well or not. */
  flush(): Promise<void> {
    this.#alarm.clear();
    this.#writeAll();
    return this.#tail;
  }

  /** The page is hidden or left: see above. Resolves as `flush` does. */
  leave(): Promise<void> {
    this.#alarm.clear();
    const owner = this.#owner;
    if (owner === null) return this.#tail;
    const rows = new Map([...this.#underWay].flatMap((batch) => [...batch]));
    for (const [key, value] of this.#made()) rows.set(key, value);
    if (rows.size === 0) return this.#tail;
    const precious = [...rows].filter(([key]) => this.precious(key));
    if (precious.length > 0) this.storage.hold?.(owner, new Map(precious));
    const before = this.#tail;
    this.#underWay.clear();
    this.#underWay.add(rows);
    const written = this.#write(owner, rows);
    const era = this.#era;
    this.#tail = before
      .then(() => written)
      .then(() => {
        // What could not be written stays held, for a page of this tab.
        if (era === this.#era && this.#underWay.size === 0 && !this.#fails) this.storage.hold?.(owner, null);
      });
    return this.#tail;
  }

  /** As `leave`, and give the database back, as a page must that may be frozen. */
  rest(): void {
    void this.leave().then(() => this.storage.release());
  }

  /** Forget the owner and everything that is kept under that name, or all but the rows that are `spared`. */
  async purge(spared?: (key: string) => boolean): Promise<void> {
    const owner = this.#owner;
    const late = new Map([...this.#underWay].flatMap((batch) => [...batch]));
    for (const [key, make] of this.#dirty) if (spared?.(key)) late.set(key, make());
    this.#era += 1;
    this.#owner = null;
    this.#dirty.clear();
    this.#underWay.clear();
    this.#alarm.clear();
    if (owner === null) return;
    this.#tail = this.#tail
      .then(() => (spared ? clearBut(this.storage, owner, spared, late) : this.storage.clear(owner)))
      .catch((error: unknown) => warn("what is kept of a user could not be deleted", error));
    await this.#tail;
  }

  async #read(owner: string): Promise<ReadonlyMap<string, unknown>> {
    try {
      return await this.storage.read(owner);
    } catch (error) {
      warn("what is kept on this device cannot be read", error);
      return new Map();
    }
  }

  /** What changes after a pause is written at once; what follows within the interval, together at its end. */
  #arm(): void {
    if (this.#alarm.isSet) return;
    this.#alarm.set(INTERVAL_MS, () => {
      if (this.#dirty.size > 0) this.#arm();
    });
    queueMicrotask(() => this.#writeAll());
  }

  #writeAll(): void {
    const owner = this.#owner;
    if (owner === null) return;
    const rows = this.#made();
    if (rows.size === 0) return;
    this.#underWay.add(rows);
    const era = this.#era;
    this.#tail = this.#tail.then(() => (era === this.#era ? this.#write(owner, rows) : undefined));
  }

  /** The rows that changed, as they are now: until what is kept has been read, those alone that nobody else has. */
  #made(): Map<string, unknown> {
    const rows = new Map<string, unknown>();
    for (const [key, make] of this.#dirty) {
      if (!this.#isRead && !this.precious(key)) continue;
      this.#dirty.delete(key);
      rows.set(key, make());
    }
    return rows;
  }

  async #write(owner: string, rows: ReadonlyMap<string, unknown>): Promise<void> {
    try {
      await this.storage.write(owner, rows);
      this.#fails = false;
    } catch {
      try {
        // No room: the server has the conversations; what is unsent and typed exists only here.
        const held = await this.storage.read(owner);
        const spared = [...new Set([...held.keys(), ...rows.keys()])].filter(this.expendable);
        await this.storage.write(owner, new Map([...rows, ...spared.map((key) => [key, undefined] as const)]));
      } catch (error) {
        if (!this.#fails) warn("this device keeps nothing for the next page", error);
        this.#fails = true;
        // What exists only here goes with the next write.
        for (const [key, value] of rows) {
          if (this.#owner === owner && this.precious(key) && !this.#dirty.has(key)) this.#dirty.set(key, () => value);
        }
      }
    } finally {
      this.#underWay.delete(rows);
    }
  }
}
