/**
 * Where a browser keeps what belongs to one user: rows under an owner's name, written together or not at all.
 *
 * IndexedDB holds one database per owner, so that forgetting a user deletes a database and leaves no name behind. Where
 * there is none (a server, Node, a browser that forbids it, a database of a newer version), memory takes its place: what
 * is unsent then lives as long as the page.
 */
import { warn } from "../store.js";
import type { ClientStorage } from "../types.js";

const VERSION = 1;
const ROWS = "rows";
const HELD = "tidings.held ";
/** Some browsers neither open nor refuse a database after a crash; the page must not wait for that. */
const OPEN_TIMEOUT_MS = 3000;

/** Forgets with the page. */
export class MemoryStorage implements ClientStorage {
  readonly owners = new Map<string, Map<string, unknown>>();

  read(owner: string): Promise<ReadonlyMap<string, unknown>> {
    return Promise.resolve(new Map(this.owners.get(owner)));
  }

  write(owner: string, rows: ReadonlyMap<string, unknown>): Promise<void> {
    const held = this.owners.get(owner) ?? new Map<string, unknown>();
    this.owners.set(owner, held);
    for (const [key, value] of rows) {
      if (value === undefined) held.delete(key);
      else held.set(key, value);
    }
    return Promise.resolve();
  }

  clear(owner: string): Promise<void> {
    this.owners.delete(owner);
    return Promise.resolve();
  }

  release(): void {
    // Nothing is held open.
  }
}

export class IndexedDbStorage implements ClientStorage {
  readonly #databases = new Map<string, Promise<IDBDatabase>>();
  /** Stands in once the browser has refused. */
  #instead: MemoryStorage | null = null;

  /** `held`: what is written to it in a page's last turn is there for the next page of the same tab. */
  constructor(
    private readonly factory: IDBFactory,
    private readonly held: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null = null,
  ) {}

  hold(owner: string, rows: ReadonlyMap<string, unknown> | null): void {
    try {
      // JSON knows no undefined.
      if (rows === null) this.held?.removeItem(HELD + owner);
      else this.held?.setItem(HELD + owner, JSON.stringify([...rows].map(([key, value]) => [key, value ?? null])));
    } catch (error) {
      warn("a page that is closed now may lose what it has not sent", error);
    }
  }

  async read(owner: string): Promise<ReadonlyMap<string, unknown>> {
    const held = allowed(() => this.held?.getItem(HELD + owner)) ?? null;
    if (held !== null) {
      await this.write(owner, heldRows(held));
      this.hold(owner, null);
    }
    const rows = new Map<string, unknown>();
    const done = await this.#use(owner, "readonly", (store) => {
      store.openCursor().onsuccess = (event) => {
        const cursor = (event.target as IDBRequest<IDBCursorWithValue | null>).result;
        if (cursor === null) return;
        rows.set(String(cursor.key), cursor.value);
        cursor.continue();
      };
    });
    return done ? rows : this.#memory().read(owner);
  }

  async write(owner: string, rows: ReadonlyMap<string, unknown>): Promise<void> {
    const done = await this.#use(owner, "readwrite", (store) => {
      for (const [key, value] of rows) {
        if (value === undefined) store.delete(key);
        else store.put(value, key);
      }
    });
    if (!done) await this.#memory().write(owner, rows);
  }

  async clear(owner: string): Promise<void> {
    this.hold(owner, null);
    // Emptied first: deleting waits for other tabs that have it open, and what it held is gone then already.
    const done = await this.#use(owner, "readwrite", (store) => void store.clear());
    if (!done) return this.#memory().clear(owner);
    await this.#close(owner);
    const request = this.factory.deleteDatabase(owner);
    await new Promise<void>((resolve) => {
      request.onsuccess = request.onerror = request.onblocked = () => resolve();
    });
  }

  async names(): Promise<readonly string[]> {
    // Firefox had none for long; then nobody is known.
    const databases = (await this.factory.databases?.()) ?? [];
    return databases.flatMap(({ name }) => (name === undefined ? [] : [name]));
  }

  release(): void {
    for (const owner of this.#databases.keys()) void this.#close(owner);
  }

  /** One transaction; false where there is no database. Rejects when it was not carried out. */
  async #use(owner: string, mode: IDBTransactionMode, work: (store: IDBObjectStore) => void): Promise<boolean> {
    for (let again = true; ; again = false) {
      if (this.#instead !== null) return false;
      let database: IDBDatabase;
      try {
        database = await this.#open(owner);
      } catch {
        this.#instead = new MemoryStorage();
        return false;
      }
      try {
        await run(database, mode, work);
        return true;
      } catch (error) {
        // Closed between: by a newer page, by the browser, or by `release`.
        const closed = error instanceof DOMException && error.name === "InvalidStateError";
        if (!closed || !again) throw error;
        this.#databases.delete(owner);
      }
    }
  }

  #memory(): MemoryStorage {
    return (this.#instead ??= new MemoryStorage());
  }

  #open(owner: string): Promise<IDBDatabase> {
    let database = this.#databases.get(owner);
    if (!database) {
      database = open(this.factory, owner, () => this.#databases.delete(owner));
      this.#databases.set(owner, database);
      database.catch(() => this.#databases.delete(owner));
    }
    return database;
  }

  async #close(owner: string): Promise<void> {
    const database = this.#databases.get(owner);
    this.#databases.delete(owner);
    try {
      (await database)?.close();
    } catch {
      // It was never open.
    }
  }
}

function heldRows(text: string): ReadonlyMap<string, unknown> {
  try {
    const rows = JSON.parse(text) as [string, unknown][];
    return new Map(rows.map(([key, value]) => [key, value ?? undefined]));
  } catch (error) {
    warn("what a page held cannot be read", error);
    return new Map();
  }
}

function open(factory: IDBFactory, name: string, gone: () => void): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the database does not open")), OPEN_TIMEOUT_MS);
    const request = factory.open(name, VERSION);
    // There is one version; the next one decides here what it takes over.
    request.onupgradeneeded = () => request.result.createObjectStore(ROWS);
    request.onerror = () => {
      clearTimeout(timer);
      reject(request.error ?? new Error("the database does not open"));
    };
    request.onsuccess = () => {
      clearTimeout(timer);
      const database = request.result;
      // Whoever deletes or upgrades it must not wait for this page, which may lie in the back/forward cache.
      database.onversionchange = () => {
        gone();
        database.close();
      };
      database.onclose = gone;
      resolve(database);
    };
  });
}

function run(database: IDBDatabase, mode: IDBTransactionMode, work: (store: IDBObjectStore) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(ROWS, mode);
    transaction.oncomplete = () => resolve();
    // A full disk or quota shows here and not at the single request.
    transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
    try {
      work(transaction.objectStore(ROWS));
      // A page that is being left does not live to see the last answer, which would commit it.
      if (mode === "readwrite") transaction.commit();
    } catch (error) {
      // A value that cannot be copied: what was put before it must not stay alone.
      reject(error as Error);
      transaction.abort();
    }
  });
}

/** The storage that an application named; IndexedDB, or memory where a browser has none. */
export function storageOf(named: "indexeddb" | "memory" | ClientStorage = "indexeddb"): ClientStorage {
  if (typeof named !== "string") return named;
  if (named === "memory") return new MemoryStorage();
  const factory = allowed(() => globalThis.indexedDB);
  return factory
    ? new IndexedDbStorage(factory, allowed(() => globalThis.sessionStorage) ?? null)
    : new MemoryStorage();
}

/** A document in a sandbox may not even ask. */
function allowed<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}
