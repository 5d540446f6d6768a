import { IDBFactory } from "fake-indexeddb";
import { describe, expect, it } from "vitest";
import { INTERVAL_MS, Keeper } from "../src/device/keeper.js";
import { IndexedDbStorage } from "../src/device/storage.js";
import type { ClientStorage } from "../src/types.js";

type Rows = Record<string, unknown>;

/** A storage that answers a write when it is told to, and what it was asked. */
class Slow implements ClientStorage {
  readonly written: Rows[] = [];
  held: Rows | null = null;
  #answers: (() => void)[] = [];

  answer(): void {
    for (const one of this.#answers.splice(0)) one();
  }

  read(): Promise<ReadonlyMap<string, unknown>> {
    return Promise.resolve(new Map());
  }

  write(_: string, rows: ReadonlyMap<string, unknown>): Promise<void> {
    this.written.push(Object.fromEntries(rows));
    return new Promise((resolve) => this.#answers.push(resolve));
  }

  hold(_: string, rows: ReadonlyMap<string, unknown> | null): void {
    this.held = rows && Object.fromEntries(rows);
  }

  clear(): Promise<void> {
    return Promise.resolve();
  }

  release(): void {
    // Nothing is open.
  }
}

/** A keeper of ada's rows; `tick` lets the interval end. */
async function keeperOver(
  storage: ClientStorage,
  take: (rows: ReadonlyMap<string, unknown>) => void = () => undefined,
) {
  let timers: (() => void)[] = [];
  const keeper = new Keeper(
    storage,
    {
      setTimer: (fn, ms) => (expect(ms).toBe(INTERVAL_MS), timers.push(fn), fn),
      clearTimer: (fn) => (timers = timers.filter((one) => one !== fn)),
    },
    (key) => key.startsWith("conversation/"),
    (key) => key.startsWith("draft/"),
  );
  const opened = keeper.open("ada", take);
  const tick = (): void => timers.splice(0).forEach((fn) => fn());
  return { keeper, tick, opened };
}

const turn = () => new Promise((resolve) => setTimeout(resolve));

describe("what changes", () => {
  it("after a pause is written at once, and what follows within the interval together at its end", async () => {
    const storage = new Slow();
    const { keeper, tick } = await keeperOver(storage);
    keeper.mark("draft/ben", () => "H");
    await turn();
    expect(storage.written).toEqual([{ "draft/ben": "H" }]);
    storage.answer();
    keeper.mark("draft/ben", () => "He");
    keeper.mark("draft/ben", () => "Hey");
    await turn();
    expect(storage.written).toHaveLength(1);
    tick();
    await turn();
    expect(storage.written).toEqual([{ "draft/ben": "H" }, { "draft/ben": "Hey" }]);
  });

  it("is not written any more when its owner was forgotten in the same turn", async () => {
    const storage = new Slow();
    const { keeper, tick } = await keeperOver(storage);
    keeper.mark("draft/ben", () => "H");
    await keeper.purge();
    tick();
    await turn();
    expect(storage.written).toEqual([]);
  });
});

describe("while what is kept is being read", () => {
  it("rows that the server has, too, wait, and are made with what was read; what is typed is written", async () => {
    const storage = new Slow();
    let kept: ReadonlyMap<string, unknown> | null = null;
    const reading = keeperOver(storage, (rows) => (kept = rows));
    storage.read = async () => (await turn(), new Map([["conversation/ben", "named"]]));
    const { keeper, opened, tick } = await reading;
    keeper.mark("conversation/ben", () => (kept ? `history, ${kept.get("conversation/ben") as string}` : "history"));
    keeper.markNow("draft/ben", () => "H");
    await Promise.resolve();
    await Promise.resolve();
    expect(storage.written).toEqual([{ "draft/ben": "H" }]);
    storage.answer();
    await opened;
    tick();
    await turn();
    expect(storage.written.at(-1)).toEqual({ "conversation/ben": "history, named" });
  });
});

describe("a page that is left", () => {
  // shows: behaviour/draft
  it("hands over in that turn what is waiting, what is under way, and what waits for that", async () => {
    const storage = new Slow();
    const { keeper } = await keeperOver(storage);
    keeper.mark("conversation/ben", () => "history");
    await turn();
    keeper.markNow("draft/ben", () => "queued behind the first");
    await turn();
    expect(storage.written).toHaveLength(1);
    keeper.mark("draft/cleo", () => "waiting for the interval");
    const rows = { "draft/ben": "queued behind the first", "draft/cleo": "waiting for the interval" };
    void keeper.leave();
    expect(storage.written.at(-1)).toEqual({ "conversation/ben": "history", ...rows });
    expect(storage.held).toEqual(rows);
  });

  it("holds nothing any more once the storage has answered", async () => {
    const storage = new Slow();
    const { keeper } = await keeperOver(storage);
    keeper.mark("draft/ben", () => "H");
    const left = keeper.leave();
    expect(storage.held).toEqual({ "draft/ben": "H" });
    storage.answer();
    await left;
    expect(storage.held).toBeNull();
  });
});

describe("what is held in a page's last turn", () => {
  const tab = new Map<string, string>();
  const session = {
    getItem: (key: string) => tab.get(key) ?? null,
    setItem: (key: string, value: string) => void tab.set(key, value),
    removeItem: (key: string) => void tab.delete(key),
  };

  it("is there for the next page of the tab, over what was written, and then written itself", async () => {
    const factory = new IDBFactory();
    const first = new IndexedDbStorage(factory, session);
    await first.write("ada", new Map(Object.entries({ a: "old", b: "sent meanwhile" })));
    first.hold("ada", new Map(Object.entries({ a: "new", b: undefined })));
    expect(await new IndexedDbStorage(factory, session).read("ada")).toEqual(new Map([["a", "new"]]));
    expect(tab.size).toBe(0);
    expect(await new IndexedDbStorage(factory).read("ada")).toEqual(new Map([["a", "new"]]));
  });

  it("goes when the user signs out", async () => {
    const storage = new IndexedDbStorage(new IDBFactory(), session);
    storage.hold("ada", new Map([["a", "new"]]));
    await storage.clear("ada");
    expect(tab.size).toBe(0);
    expect((await storage.read("ada")).size).toBe(0);
  });
});
