/** Nobody, or somebody else, is signed in: nothing is asked for in vain, and nothing that was written is lost. */
import { describe, expect, it } from "vitest";
import { MemoryStorage } from "../src/device/storage.js";
import type { RealtimeService } from "../src/service.js";
import type { RealtimeOptions, TokenReason } from "../src/types.js";
import { Browser } from "./browser.js";
import { problem, World } from "./world.js";

/** A page whose host has this token; null: nobody is signed in. */
function page(token: string | null, more: Partial<RealtimeOptions> = {}) {
  const world = new World();
  const host = { token, asked: [] as TokenReason[] };
  const getToken = ({ reason }: { reason: TokenReason }): string | null => {
    host.asked.push(reason);
    return host.token;
  };
  const { service, notices } = world.service({ getToken, ...more });
  return { world, host, service, notices };
}

const returns: [string, (service: RealtimeService, world: World) => unknown][] = [
  ["connect()", (service) => service.connect("ada")],
  ["reconnect()", (service) => service.reconnect()],
  ["the page is seen again", (_, world) => world.page("visible")],
  ["the network is back", (_, world) => world.page("online")],
];

describe("a getToken that answers null", () => {
  // shows: behaviour/signed-out
  it("is asked when the page begins, and nothing is asked of the server, however long one waits", async () => {
    const { world, host, service, notices } = page(null);
    service.connect("ada");
    void service.inbox.load();
    void service.conversation("bob").load();
    service.conversation("bob").send("kept");
    await world.settle();
    const asked = host.asked.length;
    expect(asked).toBeLessThan(3);
    await world.pass(3_600_000);
    expect(world.seen).toEqual([]);
    expect(service.connection.getSnapshot()).toMatchObject({
      status: "unauthorized",
      reason: "signed_out",
      retryAt: null,
    });
    expect(notices.filter(({ kind }) => kind === "unauthorized")).toHaveLength(1);
    await service.searchPeople("bo").catch(() => null);
    service.conversation("bob").typing();
    service.conversation("bob").watch();
    service.conversation("bob").send("kept, too");
    await world.pass(60_000);
    expect([host.asked.length, world.seen]).toEqual([asked, []]);
  });

  it.each(returns)("is asked again when %s: whoever has signed in goes on with all that waited", async (_, comes) => {
    const { world, host, service } = page(null);
    service.connect("ada");
    void service.inbox.load();
    service.conversation("bob").send("kept");
    await world.page("hidden");
    await world.pass(600_000);
    world.hidden = false;
    host.token = "good";
    await comes(service, world);
    if (!service.isConnected()) await world.page("visible");
    await world.pass(1500);
    expect(service.isConnected()).toBe(true);
    expect(service.inbox.getSnapshot()).toMatchObject({ loaded: true, error: null });
    expect(world.between("ada", "bob").map(({ text }) => text)).toEqual(["kept"]);
    expect(service.outbox.getSnapshot().pending).toEqual([]);
  });

  it("is said no second time to whoever comes back without having signed in", async () => {
    const { world, host, service, notices } = page(null);
    const shown: string[] = [];
    service.connect("ada");
    await world.settle();
    service.connection.subscribe(() => shown.push(service.connection.getSnapshot().status));
    for (let i = 0; i < 5; i++) {
      await world.page("hidden");
      await world.pass(5000);
      await world.page("visible");
    }
    expect(host.asked).toHaveLength(6);
    expect(new Set(shown)).toEqual(new Set(["unauthorized"]));
    expect(notices.filter(({ kind }) => kind === "unauthorized")).toHaveLength(1);
    expect(world.seen).toEqual([]);
  });

  it("to a send while a stream is open closes the stream, and the message waits", async () => {
    const { world, host, service } = page("good");
    world.says("bob", "ada", "before");
    service.connect("ada");
    await world.pass(20_000);
    expect(service.isConnected()).toBe(true);
    host.token = null;
    world.token = "renewed";
    service.conversation("bob").send("kept");
    await world.settle();
    expect(world.live("ada")).toEqual([]);
    const asked = world.seen.length;
    await world.pass(600_000);
    expect(world.seen).toHaveLength(asked);
    expect(service.outbox.getSnapshot().pending).toMatchObject([{ text: "kept", state: "queued" }]);
    host.token = "renewed";
    service.connect("ada");
    await world.pass(1500);
    expect(world.between("ada", "bob").map(({ text }) => text)).toEqual(["before", "kept"]);
  });

  it("keeps older messages from being loaded, which come by themselves after the sign-in", async () => {
    const { world, host, service } = page("good");
    for (let seq = 1; seq <= 60; seq++) world.says("bob", "ada", `message ${seq}`);
    const bob = service.conversation("bob");
    const letGo = bob.hold();
    service.connect("ada");
    await bob.load();
    await world.pass(20_000);
    host.token = null;
    world.token = "renewed";
    world.stream("ada").cut();
    await world.pass(2000);
    expect(service.connection.getSnapshot().status).toBe("unauthorized");
    await bob.loadOlder();
    expect(bob.getSnapshot()).toMatchObject({ hasOlder: true, errorCode: "signed_out" });
    host.token = "renewed";
    await world.page("visible");
    await world.pass(1500);
    expect(bob.getSnapshot()).toMatchObject({ hasOlder: false, error: null });
    expect(bob.getSnapshot().messages).toHaveLength(60);
    letGo();
  });

  it("in every tab of a browser is the end of asking in all of them", async () => {
    const world = new World();
    const browser = new Browser();
    let asked = 0;
    const getToken = (): null => {
      asked += 1;
      return null;
    };
    const tabs = [world.tab(browser, { getToken }), world.tab(browser, { getToken }), world.tab(browser, { getToken })];
    for (const { service } of tabs) {
      service.connect("ada");
      await world.settle();
    }
    await world.pass(60_000);
    const before = asked;
    expect(before).toBeLessThan(10);
    await world.pass(3_600_000);
    expect([asked, world.seen]).toEqual([before, []]);
    expect(tabs.map(({ status }) => status)).toEqual(["unauthorized", "unauthorized", "unauthorized"]);
  });
});

describe("a sign-in that the server refuses", () => {
  it.each([
    ["a token", page("bad")],
    ["a cookie", page("", { getToken: undefined as never })],
  ])("by %s is asked about for five minutes, and then when the page is come back to", async (_, { world, service }) => {
    world.intercept = () => problem(401, "unauthorized");
    service.connect("ada");
    void service.inbox.load();
    service.conversation("bob").send("kept");
    await world.pass(290_000);
    const before = world.seen.length;
    await world.pass(60_000);
    expect(world.seen.length).toBeGreaterThan(before);
    const asked = world.seen.length;
    await world.pass(3_600_000);
    expect(world.seen).toHaveLength(asked);
    expect(service.connection.getSnapshot()).toMatchObject({ status: "unauthorized", retryAt: null });
    await world.page("visible");
    await world.pass(60_000);
    expect(world.seen).toHaveLength(asked + 1);
    world.intercept = null;
    world.token = "bad";
    await world.page("visible");
    await world.pass(1500);
    expect(service.isConnected()).toBe(true);
    expect(world.between("ada", "bob").map(({ text }) => text)).toEqual(["kept"]);
  });

  it("is not asked about for ever by a list that nobody has connected", async () => {
    const { world, service } = page("", { getToken: undefined as never });
    world.intercept = () => problem(401, "unauthorized");
    await service.inbox.load();
    await world.pass(3_600_000);
    expect(world.seen).toHaveLength(1);
    world.intercept = null;
    service.connect("ada");
    await world.settle();
    expect(service.inbox.getSnapshot()).toMatchObject({ loaded: true, error: null });
  });

  it("of a server without streams is over when a poll is answered", async () => {
    const { world, service } = page("", { getToken: undefined as never });
    let isOver = false;
    const none = () => problem(503, "no_streams", { "retry-after": "60" });
    world.intercept = ({ path }) => (path.startsWith("/sse") ? none() : isOver ? problem(401, "unauthorized") : null);
    service.connect("ada");
    await world.pass(10_000);
    expect(service.connection.getSnapshot().status).toBe("polling");
    isOver = true;
    service.conversation("bob").send("kept");
    await world.pass(20_000);
    expect(service.connection.getSnapshot().status).toBe("unauthorized");
    isOver = false;
    service.reconnect();
    await world.pass(1500);
    expect(service.connection.getSnapshot().status).toBe("polling");
    expect(world.between("ada", "bob").map(({ text }) => text)).toEqual(["kept"]);
  });
});

describe("somebody else who signs in in the same browser", () => {
  /** Ada is connected, and from now on the cookie is ben's. */
  async function replaced(world: World, service: RealtimeService): Promise<void> {
    service.connect("ada");
    await world.pass(20_000);
    expect(service.isConnected()).toBe(true);
    world.intercept = ({ body, path }) =>
      body["caller"] === "ada" || path.endsWith("/ada") ? problem(403, "not_yours") : null;
  }

  // shows: behaviour/somebody-else
  it("is noticed by the first message, which stays; nothing more is sent or asked", async () => {
    const { world, service, notices } = page("", { getToken: undefined as never });
    await replaced(world, service);
    service.conversation("bob").send("from ada");
    await world.pass(1500);
    expect(service.connection.getSnapshot()).toMatchObject({ status: "refused", reason: "not_yours" });
    expect(world.live("ada")).toEqual([]);
    expect(notices.map(({ kind }) => kind)).toEqual(["connection_failed"]);
    const asked = world.seen.length;
    service.conversation("cy").send("another");
    await world.page("visible");
    await world.pass(3_600_000);
    expect(world.seen).toHaveLength(asked);
    expect(world.requests("POST", "/send")).toHaveLength(1);
    expect(service.outbox.getSnapshot().pending).toMatchObject([{ text: "from ada" }, { text: "another" }]);
  });

  it("finds nothing of the former user, whose messages go out under their own name when they are back", async () => {
    const storage = new MemoryStorage();
    const { world, service } = page("", { getToken: undefined as never, storage });
    await replaced(world, service);
    service.conversation("bob").send("from ada");
    await world.pass(1500);
    world.intercept = ({ method }) => (method === "POST" ? problem(500, "internal") : null);
    service.conversation("bob").setDraft("a draft");
    service.connect("ben");
    await world.pass(60_000);
    expect(service.connection.getSnapshot()).toMatchObject({ status: "connected", userId: "ben" });
    expect(world.requests("POST", "/send")).toHaveLength(1);
    expect(service.outbox.getSnapshot().pending).toEqual([]);
    expect(service.conversation("bob").getSnapshot()).toMatchObject({ messages: [], pending: [] });
    const kept = [...storage.owners]
      .filter(([owner]) => owner.endsWith(" ada"))
      .flatMap(([, rows]) => [...rows.values()]);
    expect(kept).toMatchObject([{ text: "from ada" }]);
    world.intercept = null;
    service.connect("ada");
    await world.pass(1500);
    expect(world.requests("POST", "/send").map(({ body }) => [body["caller"], body["text"]])).toEqual([
      ["ada", "from ada"],
      ["ada", "from ada"],
    ]);
    expect(world.between("ada", "bob").map(({ text }) => text)).toEqual(["from ada"]);
  });

  it("who calls forgetOthers deletes what was not sent only if they say so", async () => {
    const memory = new MemoryStorage();
    const { owners } = memory;
    const storage = Object.assign(memory, { names: () => Promise.resolve([...owners.keys()]) });
    const locks = { request: () => new Promise(() => undefined), query: () => Promise.resolve({}) };
    const { service } = page("good", { storage, environment: { locks } });
    const ada = "tidings /api/message ada";
    await storage.write(
      ada,
      new Map<string, unknown>([
        ["inbox", {}],
        ["draft/bob/x", {}],
        ["outbox/1", { text: "kept" }],
      ]),
    );
    await service.forgetOthers("ben");
    expect([...(owners.get(ada)?.keys() ?? [])]).toEqual(["draft/bob/x", "outbox/1"]);
    await service.forgetOthers("ben", { unsent: true });
    expect([...owners.keys()]).toEqual([]);
  });

  it("is not met where it was for a moment: the next stream is let in, and the message goes out", async () => {
    const { world, service } = page("", { getToken: undefined as never });
    await replaced(world, service);
    const { intercept } = world;
    world.intercept = (request) => (request.path === "/send" ? (intercept?.(request) ?? null) : null);
    service.conversation("bob").send("from ada");
    await world.settle();
    world.intercept = null;
    await world.pass(1500);
    expect(service.isConnected()).toBe(true);
    expect(world.between("ada", "bob").map(({ text }) => text)).toEqual(["from ada"]);
  });
});

describe("after a sign-out", () => {
  const byCookie = { getToken: undefined as never };

  /** Two tabs of ada; she signs out in the first, or in her only one. */
  async function signedOut(whose: "this" | "another") {
    const world = new World();
    const browser = new Browser();
    const tabs = [world.tab(browser, byCookie), world.tab(browser, byCookie)] as const;
    world.says("bob", "ada", "for ada");
    for (const { service } of tabs) {
      service.connect("ada");
      await world.settle();
    }
    const { service } = whose === "this" ? tabs[0] : tabs[1];
    const bob = service.conversation("bob");
    const looksAway = [bob.subscribe(() => undefined), service.inbox.subscribe(() => undefined)];
    await Promise.all([bob.load(), service.inbox.load()]);
    bob.setDraft("half a sentence");
    await world.pass(20_000);
    await tabs[0].service.signOut();
    world.me = "zoe";
    await world.pass(1000);
    return { world, service, bob, looksAway };
  }

  // shows: behaviour/after-sign-out
  it.each(["this", "another"] as const)("in %s tab nothing but connect() begins again", async (whose) => {
    const { world, service, bob } = await signedOut(whose);
    const nobody = { status: "unauthorized", reason: "signed_out", userId: null, retryAt: null };
    expect(service.connection.getSnapshot()).toMatchObject(nobody);
    expect(bob.getSnapshot()).toMatchObject({ messages: [], peer: null, loaded: false });
    expect(service.inbox.getSnapshot()).toMatchObject({ entries: [], unread: 0 });
    expect(bob.getDraft()).toBe("");
    const asked = world.seen.length;
    service.reconnect();
    for (const event of ["hidden", "visible", "offline", "online", "frozen", "restored"] as const)
      await world.page(event);
    bob.typing();
    bob.watch();
    bob.markRead(1);
    void bob.load();
    void service.inbox.load();
    service.disconnect();
    service.reconnect();
    await world.pass(3_600_000);
    expect(world.seen).toHaveLength(asked);
    expect(service.connection.getSnapshot()).toMatchObject(nobody);
  });

  // shows: behaviour/after-sign-out
  it.each(["this", "another"] as const)("in %s tab what is written is refused, and is nobody else's", async (whose) => {
    const { world, service, bob, looksAway } = await signedOut(whose);
    const clientId = bob.send("nobody's");
    bob.setDraft("nobody's draft");
    const refused = { text: "nobody's", state: "failed", attempts: 0, error: { code: "signed_out" } };
    expect(bob.getSnapshot().pending).toMatchObject([refused]);
    bob.retry(clientId);
    service.reconnect();
    await world.pass(60_000);
    expect(service.outbox.getSnapshot().pending).toMatchObject([refused]);
    world.says("bob", "zoe", "for zoe");
    service.connect("zoe");
    await world.pass(60_000);
    expect(service.connection.getSnapshot()).toMatchObject({ status: "connected", userId: "zoe" });
    expect(service.outbox.getSnapshot().pending).toEqual([]);
    expect(bob.getDraft()).toBe("");
    expect(world.requests("POST", "/send")).toEqual([]);
    // A screen that stayed has what is Zoe's.
    expect(bob.getSnapshot().messages.map(({ text }) => text)).toEqual(["for zoe"]);
    expect(service.inbox.getSnapshot().entries).toHaveLength(1);
    looksAway.forEach((fn) => fn());
  });
});

describe("connect() without a user", () => {
  /** A page by cookie that names nobody, and whether it is let in. */
  function unnamed() {
    const { world, service, notices } = page("", { getToken: undefined as never });
    const server = { isAway: false, isSignedIn: false };
    world.intercept = () =>
      server.isAway ? problem(503, "draining") : server.isSignedIn ? null : problem(401, "unauthorized");
    return { world, service, notices, server };
  }

  it("refuses what is written while nobody is signed in; whoever signs in sends it only when they say so", async () => {
    const { world, service, notices, server } = unnamed();
    service.connect();
    const bob = service.conversation("bob");
    const early = bob.send("before it is known");
    await world.settle();
    expect(service.connection.getSnapshot().status).toBe("unauthorized");
    const late = bob.send("after it is known");
    const failed = { state: "failed", error: { code: "signed_out" } };
    expect(bob.getSnapshot().pending).toMatchObject([failed, failed]);
    expect(notices.map(({ kind }) => kind)).toContain("send_failed");
    bob.retry(late);
    const asked = world.requests("POST", "/send").length;
    server.isSignedIn = true;
    await world.pass(60_000);
    expect(service.isConnected()).toBe(true);
    expect(world.requests("POST", "/send")).toHaveLength(asked);
    expect(bob.getSnapshot().pending).toMatchObject([failed, failed]);
    bob.discard(early);
    bob.retry(late);
    await world.pass(1500);
    expect(bob.getSnapshot().pending).toEqual([]);
    expect(world.requests("POST", "/send").slice(asked)).toMatchObject([{ body: { text: "after it is known" } }]);
  });

  it("keeps what is written while the server is away, and sends it when the server has said who it is", async () => {
    const { world, service, server } = unnamed();
    Object.assign(server, { isAway: true, isSignedIn: true });
    service.connect();
    service.conversation("bob").send("kept");
    await world.pass(60_000);
    expect(service.outbox.getSnapshot().pending).toMatchObject([{ text: "kept", state: "queued" }]);
    server.isAway = false;
    await world.pass(60_000);
    expect(service.outbox.getSnapshot().pending).toEqual([]);
    expect(world.requests("POST", "/send").at(-1)).toMatchObject({ body: { text: "kept" } });
  });
});
