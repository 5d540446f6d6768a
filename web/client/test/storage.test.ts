import { IDBFactory } from "fake-indexeddb";
import { describe, expect, it, vi } from "vitest";
import { IndexedDbStorage, MemoryStorage } from "../src/device/storage.js";
import type { ClientStorage, RealtimeOptions } from "../src/types.js";
import { Browser } from "./browser.js";
import { cursorAt } from "./ledger.js";
import { problem, World } from "./world.js";

const rows = (of: Record<string, unknown>) => new Map(Object.entries(of));

describe.each([
  ["IndexedDB", () => new IndexedDbStorage(new IDBFactory())],
  ["memory", () => new MemoryStorage()],
])("storage in %s", (_, make) => {
  it("reads what was written, by owner, and forgets what is undefined", async () => {
    const storage: ClientStorage = make();
    await storage.write("ada", rows({ a: 1, b: { deep: ["x"] } }));
    await storage.write("eve", rows({ a: 3 }));
    await storage.write("ada", rows({ a: undefined, c: null }));
    expect(await storage.read("ada")).toEqual(rows({ b: { deep: ["x"] }, c: null }));
    storage.release();
    expect(await storage.read("eve")).toEqual(rows({ a: 3 }));
  });

  it("clears one owner and no other", async () => {
    const storage: ClientStorage = make();
    await storage.write("ada", rows({ a: 1 }));
    await storage.write("eve", rows({ a: 1 }));
    await storage.clear("ada");
    expect([(await storage.read("ada")).size, (await storage.read("eve")).size]).toEqual([0, 1]);
  });
});

describe("storage in IndexedDB", () => {
  it("survives the page, and a forgotten user leaves no database behind", async () => {
    const factory = new IDBFactory();
    const storage = new IndexedDbStorage(factory);
    await storage.write("ada", rows({ a: 1 }));
    expect(await new IndexedDbStorage(factory).read("ada")).toEqual(rows({ a: 1 }));
    await storage.clear("ada");
    expect((await factory.databases()).map((one) => one.name)).toEqual([]);
  });

  it("a transaction that fails changes nothing", async () => {
    const storage = new IndexedDbStorage(new IDBFactory());
    await storage.write("ada", rows({ a: 1 }));
    await expect(storage.write("ada", rows({ a: 2, bad: () => undefined }))).rejects.toThrow();
    expect(await storage.read("ada")).toEqual(rows({ a: 1 }));
  });

  it("gives way to whoever deletes or upgrades the database, and opens it again", async () => {
    const factory = new IDBFactory();
    const storage = new IndexedDbStorage(factory);
    await storage.write("ada", rows({ a: 1 }));
    await new Promise((resolve, reject) => {
      const request = factory.deleteDatabase("ada");
      request.onsuccess = resolve;
      request.onblocked = reject;
    });
    await storage.write("ada", rows({ b: 2 }));
    expect(await storage.read("ada")).toEqual(rows({ b: 2 }));
  });

  it("a database of a newer version is left alone: memory takes its place", async () => {
    const factory = new IDBFactory();
    await new Promise((resolve) => (factory.open("ada", 99).onsuccess = resolve));
    const storage = new IndexedDbStorage(factory);
    await storage.write("ada", rows({ a: 1 }));
    expect(await storage.read("ada")).toEqual(rows({ a: 1 }));
  });

  // shows: behaviour/no-storage
  it.each(["refused", "never answered"])("where opening is %s, memory takes its place", async (how) => {
    vi.useFakeTimers();
    const open = (): IDBOpenDBRequest => {
      if (how === "refused") throw new DOMException("no", "SecurityError");
      return {} as IDBOpenDBRequest;
    };
    const storage = new IndexedDbStorage({ open } as unknown as IDBFactory);
    const written = storage.write("ada", rows({ a: 1 }));
    await vi.advanceTimersByTimeAsync(3000);
    vi.useRealTimers();
    await written;
    expect(await storage.read("ada")).toEqual(rows({ a: 1 }));
  });
});

/** A page of one browser, and the next one: what the first has told storage is all that the second knows. */
async function page(world: World, browser: Browser, options: Partial<RealtimeOptions> = {}) {
  const tab = world.tab(browser, options);
  tab.service.connect("ada");
  await world.settle();
  const bob = tab.service.conversation("bob");
  const shown = () => bob.getSnapshot().messages.map((message) => message.text);
  return { tab, bob, shown, service: tab.service };
}

describe("what is kept between pages", () => {
  // shows: behaviour/reload
  it("goes on from the last event that was applied: what happened meanwhile arrives once", async () => {
    const world = new World();
    const browser = new Browser();
    const first = await page(world, browser);
    world.says("bob", "ada", "seen");
    await world.pass(1000);
    await first.tab.crash();
    world.says("bob", "ada", "missed");
    const second = await page(world, browser);
    expect(world.stream("ada").headers.get("last-event-id")).toBe(cursorAt(1));
    expect(second.tab.messages).toEqual(["missed"]);
  });

  // shows: behaviour/reload
  it("shows the conversation and the inbox at once, and then what the server has", async () => {
    const world = new World();
    const browser = new Browser();
    const first = await page(world, browser);
    await first.bob.load();
    await first.service.inbox.load();
    world.says("bob", "ada", "seen");
    await world.pass(1000);
    first.service.disconnect();
    world.says("bob", "ada", "missed");
    world.intercept = () => "hang";
    const second = await page(world, browser);
    void second.bob.load();
    void second.service.inbox.load();
    await world.settle();
    expect(second.shown()).toEqual(["seen"]);
    expect(second.bob.getSnapshot()).toMatchObject({ loaded: true, stored: true, loading: true });
    expect(second.service.inbox.getSnapshot().entries.map((one) => one.unread)).toEqual([1]);
    world.intercept = null;
    await world.pass(40_000);
    expect(second.shown()).toEqual(["seen", "missed"]);
    expect(second.bob.getSnapshot()).toMatchObject({ loaded: true, stored: false, loading: false });
    expect(second.service.inbox.getSnapshot().entries.map((one) => one.unread)).toEqual([2]);
  });

  it("a cursor is never stored without what it stands for", async () => {
    const world = new World();
    const writes: ReadonlyMap<string, unknown>[] = [];
    const storage = new MemoryStorage();
    const write = storage.write.bind(storage);
    storage.write = (owner, of) => {
      writes.push(structuredClone(of));
      return write(owner, of);
    };
    const { service } = world.service({ storage });
    service.connect("ada");
    await service.conversation("bob").load();
    for (let i = 1; i <= 20; i++) {
      world.says("bob", "ada", `text ${i}`);
      await world.pass(100);
    }
    await world.pass(1000);
    const places = writes.filter((of) => of.has("place") && of.has("conversation/bob"));
    expect(places.length).toBeGreaterThan(3);
    for (const of of places) {
      const { cursor } = of.get("place") as { cursor: string };
      const { messages } = of.get("conversation/bob") as { messages: unknown[] };
      expect(Number(cursor.split("-")[1])).toBe(messages.length);
    }
    // At most one in a quarter of a second.
    expect(writes.length).toBeLessThanOrEqual(3000 / 250);
  });

  it("is written at once when the page is hidden", async () => {
    const world = new World();
    const browser = new Browser();
    const { tab } = await page(world, browser);
    world.says("bob", "ada", "hi");
    await world.settle();
    await tab.page("hidden");
    const place = [...browser.storage.owners.values()][0]?.get("place") as { cursor: string };
    expect(place.cursor).toBe(cursorAt(1));
  });

  it("a place in the log older than a week begins at the head", async () => {
    const world = new World();
    const browser = new Browser();
    const first = await page(world, browser);
    world.says("bob", "ada", "hi");
    await world.pass(1000);
    first.service.disconnect();
    world.now += 8 * 24 * 3_600_000;
    await page(world, browser);
    expect(world.stream("ada").headers.get("last-event-id")).toBeNull();
  });

  // shows: behaviour/restored
  it("a restored database is noticed across pages: nothing of the former one stays on the screen", async () => {
    const world = new World();
    const browser = new Browser();
    const first = await page(world, browser);
    await first.bob.load();
    world.says("bob", "ada", "lost by the restore");
    await world.pass(1000);
    first.service.disconnect();
    world.restore(0);
    world.says("bob", "ada", "after");
    const second = await page(world, browser);
    await second.bob.load();
    await world.pass(1000);
    expect(second.shown()).toEqual(["after"]);
  });

  // shows: behaviour/offline-send
  it("twenty messages written offline survive the page, and arrive in order once (pain 11)", async () => {
    const world = new World();
    const browser = new Browser();
    const first = await page(world, browser);
    world.intercept = () => "network";
    await first.tab.page("offline");
    const texts = Array.from({ length: 20 }, (_, i) => `text ${i}`);
    for (const text of texts) first.bob.send(text);
    await world.settle();
    await first.tab.crash();
    world.intercept = null;
    const second = await page(world, browser);
    await world.pass(2000);
    expect(second.tab.messages).toEqual(texts);
    expect(second.bob.getSnapshot().pending).toEqual([]);
  });

  // shows: behaviour/draft
  it("drafts survive the page, and are gone when sent", async () => {
    const world = new World();
    const browser = new Browser();
    const first = await page(world, browser);
    first.bob.setDraft("half a sen");
    await world.pass(500);
    await first.tab.crash();
    const second = await page(world, browser);
    expect(second.bob.getDraft()).toBe("half a sen");
    second.bob.setDraft("");
    await world.pass(500);
    await second.tab.crash();
    expect((await page(world, browser)).bob.getDraft()).toBe("");
  });

  describe("of two tabs that write to the same person", () => {
    async function twoTabs() {
      const world = new World();
      const browser = new Browser();
      const [one, other] = [await page(world, browser), await page(world, browser)];
      const reloaded = async () => {
        await world.pass(1000);
        await one.tab.page("frozen");
        await one.tab.crash();
        return (await page(world, browser)).bob.getDraft();
      };
      return { world, browser, one, other, reloaded };
    }

    // shows: behaviour/two-drafts
    it("one that sends leaves the other's draft", async () => {
      const { one, other, reloaded } = await twoTabs();
      one.bob.setDraft("half a sen");
      other.bob.setDraft("hello");
      other.bob.send("hello");
      other.bob.setDraft("");
      expect(one.bob.getDraft()).toBe("half a sen");
      expect(await reloaded()).toBe("half a sen");
    });

    it("one that sends what it had of the other leaves what is typed there", async () => {
      const { world, browser, one, reloaded } = await twoTabs();
      one.bob.setDraft("half a sen");
      await world.pass(1000);
      const later = await page(world, browser);
      expect(later.bob.getDraft()).toBe("half a sen");
      later.bob.setDraft("");
      await world.pass(1000);
      expect(await reloaded()).toBe("half a sen");
    });

    it("one that was closed is gone on with, once", async () => {
      const { world, browser, one } = await twoTabs();
      one.bob.setDraft("half a sen");
      await world.pass(1000);
      await one.tab.crash();
      const next = await page(world, browser);
      next.bob.setDraft("half a sentence");
      next.bob.setDraft("");
      await world.pass(1000);
      expect((await page(world, browser)).bob.getDraft()).toBe("");
    });
  });

  // shows: behaviour/sign-out
  it("signing out deletes everything", async () => {
    const world = new World();
    const browser = new Browser();
    const { service, bob } = await page(world, browser);
    await bob.load();
    bob.setDraft("private");
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    bob.send("unsent");
    await world.pass(1000);
    await service.signOut();
    await world.pass(5000);
    expect([...browser.storage.owners.keys()]).toEqual([]);
    expect(bob.getSnapshot()).toMatchObject({ messages: [], pending: [], loaded: false });
    expect(service.connection.getSnapshot().status).toBe("unauthorized");
  });

  // shows: behaviour/sign-out, complaints/14
  it("another user finds no trace of the former one", async () => {
    const world = new World();
    const browser = new Browser();
    const { tab, service, bob } = await page(world, browser);
    await bob.load();
    world.says("bob", "ada", "for ada");
    bob.setDraft("private");
    await world.pass(1000);
    service.connect("eve");
    await world.pass(1000);
    expect([...browser.storage.owners.keys()].filter((owner) => owner.includes("ada"))).toEqual([]);
    expect(bob.getSnapshot().messages).toEqual([]);
    expect(bob.getDraft()).toBe("");
    expect(world.live("ada")).toEqual([]);
    expect(tab.messages).toEqual(["for ada"]);
  });

  // shows: behaviour/no-storage
  it("a storage that fails costs the memory of the next page, and nothing else", async () => {
    const world = new World();
    const reported = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const fails = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
    const storage: ClientStorage = { read: fails, write: fails, clear: fails, release: () => undefined };
    const { service } = world.service({ storage });
    service.connect("ada");
    await world.settle();
    service.conversation("bob").send("hello");
    await world.settle();
    expect(
      service
        .conversation("bob")
        .getSnapshot()
        .messages.map((one) => one.text),
    ).toEqual(["hello"]);
    await service.signOut();
    expect(reported).toHaveBeenCalled();
    reported.mockRestore();
  });

  // shows: behaviour/no-room
  it("a storage that is full is one warning, and what could not be kept is with the next write that can", async () => {
    const world = new World();
    const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const uncaught = vi.fn();
    vi.stubGlobal("reportError", uncaught);
    const storage = new MemoryStorage();
    const write = storage.write.bind(storage);
    let isFull = true;
    storage.write = (owner, of) =>
      isFull ? Promise.reject(new DOMException("full", "QuotaExceededError")) : write(owner, of);
    const { service } = world.service({ storage });
    service.connect("ada");
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    for (let i = 0; i < 9; i++) {
      service.conversation("bob").setDraft(`draft ${i}`);
      service.conversation("bob").send(`unsent ${i}`);
      await world.pass(300);
    }
    expect([warned.mock.calls.length, uncaught.mock.calls.length]).toEqual([1, 0]);
    await world.page("frozen");
    await world.page("restored");
    expect(service.outbox.getSnapshot().pending).toHaveLength(9);
    isFull = false;
    service.conversation("bob").send("unsent 9");
    await world.pass(300);
    const keys = [...([...storage.owners.values()][0]?.keys() ?? [])];
    expect(keys.filter((key) => key.startsWith("outbox/"))).toHaveLength(10);
    expect(keys.filter((key) => key.startsWith("draft/bob/"))).toHaveLength(1);
    vi.unstubAllGlobals();
    warned.mockRestore();
  });

  it("where there is no room, conversations make way for what is unsent", async () => {
    const world = new World();
    const reported = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const storage = new MemoryStorage();
    const write = storage.write.bind(storage);
    storage.write = (owner, of) => {
      const tooBig = [...of].some(([key, value]) => key.startsWith("conversation/") && value !== undefined);
      return tooBig ? Promise.reject(new DOMException("full", "QuotaExceededError")) : write(owner, of);
    };
    const { service } = world.service({ storage });
    service.connect("ada");
    await service.conversation("bob").load();
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    world.says("bob", "ada", "hi");
    service.conversation("bob").setDraft("typed");
    service.conversation("bob").send("unsent");
    await world.pass(1000);
    const keys = [...([...storage.owners.values()][0]?.keys() ?? [])];
    expect(keys.filter((key) => key.startsWith("conversation/"))).toEqual([]);
    expect(keys.filter((key) => key.startsWith("outbox/"))).toHaveLength(1);
    expect(keys.filter((key) => key.startsWith("draft/bob/"))).toHaveLength(1);
    reported.mockRestore();
  });

  it("a storage that does not answer delays the first request by a second, no longer", async () => {
    const world = new World();
    const never = () => new Promise<never>(() => undefined);
    const storage: ClientStorage = { read: never, write: never, clear: never, release: () => undefined };
    const { service } = world.service({ storage });
    service.connect("ada");
    await world.settle();
    expect(world.seen).toEqual([]);
    await world.pass(1000);
    expect(service.isConnected()).toBe(true);
  });
});

describe("taking back", () => {
  it("a message that never went out is gone at once, and nobody is asked", async () => {
    const world = new World();
    const { service } = world.service();
    const bob = service.conversation("bob");
    service.connect("ada");
    await world.settle();
    service.disconnect();
    bob.discard(bob.send("not now"));
    await world.pass(1000);
    expect(bob.getSnapshot().pending).toEqual([]);
    expect(world.requests("POST", "/send")).toEqual([]);
  });

  // shows: behaviour/cancel
  it.each([true, false])("what may be on its way is looked for at the server: it has it: %s", async (arrived) => {
    const world = new World();
    const { service } = world.service();
    service.connect("ada");
    const bob = service.conversation("bob");
    await bob.load();
    world.intercept = ({ path, body }) => {
      if (path === "/send" && arrived) world.says("ada", "bob", String(body["text"]), String(body["client_id"]));
      return path === "/send" ? "hang" : null;
    };
    world.streams.forEach((stream) => (stream.closed = true));
    const id = bob.send("hello");
    await world.settle();
    bob.discard(id);
    expect(bob.getSnapshot().pending.map((one) => one.state)).toEqual(["cancelling"]);
    await world.pass(1000);
    expect(bob.getSnapshot().pending).toEqual([]);
    expect(bob.getSnapshot().messages.map((one) => one.text)).toEqual(arrived ? ["hello"] : []);
    expect(world.requests("POST", "/send")).toHaveLength(1);
  });

  it("waits for the server while there is none, and sends nothing meanwhile", async () => {
    const world = new World();
    const { service } = world.service();
    service.connect("ada");
    await world.settle();
    const bob = service.conversation("bob");
    world.intercept = () => "network";
    const id = bob.send("hello");
    await world.settle();
    bob.discard(id);
    await world.pass(60_000);
    expect(bob.getSnapshot().pending.map((one) => one.state)).toEqual(["cancelling"]);
    expect(world.requests("POST", "/send")).toHaveLength(1);
    world.intercept = null;
    await world.pass(40_000);
    expect(bob.getSnapshot().pending).toEqual([]);
  });

  // shows: behaviour/48-hours
  it("after 48 hours it says that it was not sent, and retrying begins anew", async () => {
    const world = new World();
    const { service, notices } = world.service();
    service.connect("ada");
    await world.settle();
    const bob = service.conversation("bob");
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    const id = bob.send("old");
    await world.settle();
    world.now += 48 * 3_600_000;
    await world.pass(60_000);
    expect(bob.getSnapshot().pending[0]).toMatchObject({ state: "failed", error: { code: "expired" } });
    expect(notices.map((one) => one.kind)).toContain("send_failed");
    world.intercept = null;
    bob.retry(id);
    await world.pass(1000);
    expect(bob.getSnapshot().messages.map((one) => one.client_id)).toEqual([id]);
  });

  // shows: behaviour/echo
  it("an echo that comes first does not abort the request, which then changes nothing", async () => {
    const world = new World();
    const { service } = world.service();
    service.connect("ada");
    await world.settle();
    const bob = service.conversation("bob");
    let answer: (response: Response) => void = () => undefined;
    let aborted = false;
    world.intercept = ({ path }) => {
      return path === "/send" ? new Promise<Response>((resolve) => (answer = resolve)) : null;
    };
    world.onAbort = ({ path }) => (aborted ||= path === "/send");
    const id = bob.send("hello");
    await world.settle();
    world.says("ada", "bob", "hello", id);
    await world.pass(1000);
    expect([aborted, bob.getSnapshot().pending.length]).toEqual([false, 0]);
    answer(problem(500, "late"));
    await world.pass(1000);
    expect(bob.getSnapshot()).toMatchObject({ pending: [], messages: [{ client_id: id }] });
  });
});
