import { describe, expect, it, vi } from "vitest";
import type { Message } from "../src/types.js";
import { cursorAt } from "./ledger.js";
import { json, problem, World } from "./world.js";

async function connected(world = new World()) {
  const { service, notices } = world.service();
  const messages: string[] = [];
  service.on("message", (message) => messages.push(message.text));
  service.connect("ada");
  await world.settle();
  return { world, service, notices, messages };
}

describe("the stream", () => {
  it("asks with headers: no token and no position in the address", async () => {
    const { world, service } = await connected();
    const [request] = world.seen;
    expect(request?.path).toBe("/sse/ada");
    expect([...(request?.query.keys() ?? [])]).toEqual(["tab"]);
    expect(request?.headers.get("authorization")).toBe("Bearer good");
    expect(request?.headers.get("last-event-id")).toBeNull();
    expect(service.isConnected()).toBe(true);
  });

  it("escapes user ids in the address", async () => {
    const world = new World();
    const { service } = world.service();
    service.connect("a b|@:50%");
    await world.settle();
    expect(world.stream("a b|@:50%")).toBeDefined();
  });

  it("tells connected with the user and what the server said, once it is true", async () => {
    const world = new World();
    const { service } = world.service();
    const told: unknown[] = [];
    service.on("connected", (payload) => told.push([payload.userId, payload["heartbeat_ms"], service.isConnected()]));
    service.connect();
    await world.settle();
    expect(told).toEqual([["ada", 15_000, true]]);
    expect(service.connection.getSnapshot()).toMatchObject({ status: "connected", userId: "ada", textBytesMax: 1000 });
  });

  it("works without getToken, by the page's own cookies", async () => {
    const world = new World();
    const service = new (await import("../src/index.js")).RealtimeService({
      url: "/api/message/",
      environment: world.environment,
    });
    service.connect("ada");
    await world.settle();
    expect(world.seen[0]?.headers.get("authorization")).toBeNull();
    expect(world.seen[0]?.credentials).toBe("same-origin");
    expect(service.isConnected()).toBe(true);
  });

  it("gives new messages as message and under their own type, others under their type", async () => {
    const { world, service } = await connected();
    const seen: string[] = [];
    for (const type of ["message", "new_message", "message_read", "typing", "heartbeat", "painted"]) {
      service.on(type, () => seen.push(type));
    }
    world.says("bob", "ada", "hi");
    world.append("ada", "message_read", { chat_user_id: "bob", by: "ada", upto: 1 });
    world.append("ada", "painted", { colour: "red" });
    world.stream("ada").frame("typing", { chat_user_id: "bob" });
    world.stream("ada").frame("heartbeat", { cursor: world.head("ada") });
    await world.settle();
    expect(seen).toEqual(["new_message", "message", "message_read", "painted", "typing", "heartbeat"]);
    expect(service.isConnected()).toBe(true);
  });

  it("tells its place in the log: what lies before it has been applied", async () => {
    const { world, service, messages } = await connected();
    expect(service.cursor).toBe(world.head("ada"));
    world.says("bob", "ada", "hi");
    await world.settle();
    expect(messages).toEqual(["hi"]);
    expect(service.cursor).toBe(world.head("ada"));
    await service.signOut();
    expect(service.cursor).toBeNull();
  });

  // shows: behaviour/cut
  it("goes on where it was: what was missed arrives once, also when nothing had arrived before", async () => {
    const { world, messages } = await connected();
    world.stream("ada").cut();
    await world.settle();
    world.says("bob", "ada", "while away");
    await world.pass(1000);
    expect(world.stream("ada").headers.get("last-event-id")).toBe(cursorAt(0));
    world.says("bob", "ada", "and now");
    await world.settle();
    expect(messages).toEqual(["while away", "and now"]);
  });

  it("the cursor moves only with a whole event that was applied", async () => {
    const { world, messages } = await connected();
    const stream = world.stream("ada");
    stream.write(`id: ${cursorAt(1)}\ndata: {"type":"new_mess`);
    stream.end();
    world.says("bob", "ada", "whole");
    await world.pass(5000);
    expect(world.stream("ada").headers.get("last-event-id")).toBe(cursorAt(0));
    expect(messages).toEqual(["whole"]);
  });

  it("bad JSON ends the stream, not the client", async () => {
    const { world, service, messages } = await connected();
    world.stream("ada").write(`id: ${cursorAt(1)}\ndata: {oops\n\n`);
    await world.settle();
    expect(service.connection.getSnapshot()).toMatchObject({ status: "reconnecting", reason: "violation" });
    world.says("bob", "ada", "again");
    await world.pass(1000);
    expect(messages).toEqual(["again"]);
  });

  it("an event that cannot be read is reported and passed over", async () => {
    const report = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const { world, service, messages } = await connected();
    world.append("ada", "new_message", { seq: "one" });
    world.says("bob", "ada", "next");
    await world.settle();
    expect(messages).toEqual(["next"]);
    expect(service.isConnected()).toBe(true);
    expect(report).toHaveBeenCalledTimes(1);
    report.mockRestore();
  });

  it("a listener that throws disturbs nobody", async () => {
    const report = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const world = new World();
    const { service } = world.service();
    const texts: string[] = [];
    service.on("message", () => {
      throw new Error("mine");
    });
    service.on("message", ({ text }) => texts.push(text));
    service.connect("ada");
    await world.settle();
    world.says("bob", "ada", "one");
    world.says("bob", "ada", "two");
    await world.settle();
    expect(texts).toEqual(["one", "two"]);
    expect(report).toHaveBeenCalledTimes(2);
    report.mockRestore();
  });

  it("on answers the undo, and only its own", async () => {
    const { world, service } = await connected();
    let count = 0;
    const fn = () => (count += 1);
    const off = service.on("message", fn);
    service.on("message", fn);
    off();
    off();
    world.says("bob", "ada", "one");
    await world.settle();
    expect(count).toBe(1);
  });

  it("a hole in the log makes it reconnect from the last event that was applied", async () => {
    const { world, service, messages } = await connected();
    const log = ["one", "two"].map((text) => world.says("bob", "ada", text));
    await world.settle();
    world.stream("ada").frame("new_message", log[0], cursorAt(5));
    await world.settle();
    expect(service.connection.getSnapshot().status).toBe("reconnecting");
    await world.pass(1000);
    expect(world.stream("ada").headers.get("last-event-id")).toBe(cursorAt(2));
    expect(messages).toEqual(["one", "two"]);
  });

  it("a heartbeat that stands elsewhere makes it reconnect from its own cursor", async () => {
    const { world } = await connected();
    world.says("bob", "ada", "one");
    world.stream("ada").frame("heartbeat", { cursor: cursorAt(4) });
    await world.pass(1000);
    expect(world.stream("ada").headers.get("last-event-id")).toBe(cursorAt(1));
  });

  // shows: behaviour/captive-portal
  it("an answer that is a page and no stream is not connected", async () => {
    const world = new World();
    world.intercept = () => new Response("<html>", { status: 200, headers: { "content-type": "text/html" } });
    const { service } = world.service();
    service.connect("ada");
    await world.settle();
    expect(service.connection.getSnapshot()).toMatchObject({ status: "reconnecting", reason: "violation" });
  });

  it("an error's body is no message, and a refusal says why", async () => {
    const world = new World();
    world.intercept = () => problem(403, "not_yours");
    const { service, notices } = world.service();
    const failed: unknown[] = [];
    service.on("connection_failed", (payload) => failed.push(payload));
    service.connect("ada");
    await world.pass(60_000);
    expect(service.connection.getSnapshot()).toMatchObject({ status: "refused", reason: "not_yours" });
    expect(failed).toEqual([
      {
        message: "The server refused: another user is signed in than connect() names",
        polling: false,
      },
    ]);
    expect(notices.map((notice) => notice.kind)).toEqual(["connection_failed"]);
    expect(world.seen).toHaveLength(1);
  });

  it("obeys Retry-After of the server", async () => {
    const world = new World();
    world.intercept = () => problem(503, "draining", { "retry-after": "7" });
    const { service } = world.service();
    service.connect("ada");
    await world.settle();
    world.intercept = null;
    await world.pass(6999);
    expect(world.streams).toHaveLength(0);
    await world.pass(1401);
    expect(world.streams).toHaveLength(1);
  });

  it("reports reconnecting with attempt, delay and reason", async () => {
    const { world, service } = await connected();
    const told: { attempt: number; delay_ms: number; reason: string }[] = [];
    service.on("reconnecting", (payload) => told.push(payload));
    world.stream("ada").frame("goodbye", { reason: "draining", retry_ms: 2345 });
    await world.settle();
    expect(told).toEqual([{ attempt: 1, delay_ms: 2345, reason: "draining" }]);
    expect(service.connection.getSnapshot().retryAt).toBe(world.now + 2345);
  });

  it("a frame after a goodbye is not read: that stream is over", async () => {
    const { world, messages } = await connected();
    const stream = world.stream("ada");
    stream.write(
      `data: {"type":"goodbye","data":{"reason":"draining","retry_ms":500}}\n\nid: ${cursorAt(1)}\ndata: {"type":"x","data":1}\n\n`,
    );
    await world.pass(500);
    expect(world.stream("ada").headers.get("last-event-id")).toBe(cursorAt(0));
    expect(messages).toEqual([]);
  });

  it("disconnect leaves no timer, no stream and no listener on the page", async () => {
    const { world, service } = await connected();
    service.disconnect();
    await world.settle();
    expect([world.timers, world.live("ada").length, world.watchers]).toEqual([0, 0, 0]);
    expect(service.connection.getSnapshot().status).toBe("closed");
  });

  it("connect, disconnect, connect as StrictMode does it ends with one stream", async () => {
    const world = new World();
    const { service } = world.service();
    service.connect("ada");
    service.disconnect();
    service.connect("ada");
    await world.settle();
    expect(world.live("ada")).toHaveLength(1);
    expect(service.isConnected()).toBe(true);
  });

  it("disconnect while the token is being asked for opens nothing", async () => {
    const world = new World();
    let give: (token: string) => void = () => undefined;
    const { service } = world.service({ getToken: () => new Promise<string>((resolve) => (give = resolve)) });
    service.connect("ada");
    service.disconnect();
    give("good");
    await world.settle();
    expect(world.seen).toEqual([]);
  });

  it("a wall clock that is set back does not hide that a stream is silent", async () => {
    const { world } = await connected();
    world.mute = true;
    world.wallAhead = -3_600_000;
    const before = world.streams.length;
    await world.pass(2 * 15_000 + 5000 + 2000);
    expect(world.streams.length).toBeGreaterThan(before);
  });

  it("a sleep that the monotonic clock did not see is seen by the wall clock", async () => {
    const { world } = await connected();
    const before = world.streams.length;
    world.wallAhead = 600_000;
    await world.page("visible");
    await world.settle();
    expect(world.streams.length).toBe(before + 1);
  });

  it("a wall clock that goes back does not stop anything", async () => {
    const { world } = await connected();
    world.stream("ada").cut();
    await world.settle();
    world.now -= 3_600_000;
    await world.page("visible");
    await world.pass(1000);
    expect(world.live("ada")).toHaveLength(1);
  });
});

describe("the token", () => {
  // shows: behaviour/token-expires
  it("a 401 asks once with rejected, and the user sees nothing", async () => {
    const { world, service, notices } = await connected();
    const reasons: string[] = [];
    const second = world.service({
      getToken: ({ reason }) => {
        reasons.push(reason);
        return reason === "initial" ? "old" : "good";
      },
    });
    second.service.connect("ada");
    await world.settle();
    expect(reasons).toEqual(["initial", "rejected"]);
    expect(second.service.isConnected()).toBe(true);
    expect([...notices, ...second.notices]).toEqual([]);
    service.disconnect();
  });

  it("requests at the same time share one call", async () => {
    const world = new World();
    let calls = 0;
    const { service } = world.service({
      getToken: async () => {
        calls += 1;
        await Promise.resolve();
        return "good";
      },
    });
    service.connect("ada");
    void service.inbox.load();
    void service.conversation("bob").load();
    await world.settle();
    expect(calls).toBe(1);
  });

  // shows: behaviour/token-refused
  it("a token that stays refused is unauthorized, said once, and tried again with backoff", async () => {
    const world = new World();
    const { service, notices } = world.service({ getToken: () => "bad" });
    service.connect("ada");
    await world.pass(20_000);
    expect(service.connection.getSnapshot().status).toBe("unauthorized");
    expect(notices.filter((notice) => notice.kind === "unauthorized")).toHaveLength(1);
    expect(world.seen.length).toBeLessThan(16);
    world.token = "bad";
    await world.pass(31_000);
    expect(service.isConnected()).toBe(true);
  });

  it("a token function that fails or hangs is tried again", async () => {
    const world = new World();
    let calls = 0;
    const { service } = world.service({
      getToken: () => {
        calls += 1;
        if (calls === 1) throw new Error("not ready");
        return calls === 2 ? new Promise<string>(() => undefined) : "good";
      },
    });
    service.connect("ada");
    await world.settle();
    expect(service.connection.getSnapshot()).toMatchObject({ status: "reconnecting", reason: "token" });
    await world.pass(20_000);
    expect(service.isConnected()).toBe(true);
  });

  it("a JWT is asked for anew when it is about to expire, and not before", async () => {
    const world = new World();
    const reasons: string[] = [];
    const { service } = world.service({
      getToken: ({ reason }) => {
        reasons.push(reason);
        const exp = Math.floor(world.now / 1000) + 60;
        return (world.token = `h.${btoa(JSON.stringify({ exp }))}.s`);
      },
    });
    service.connect("ada");
    await world.settle();
    void service.conversation("bob").load();
    await world.pass(40_000);
    expect(reasons).toEqual(["initial"]);
    await world.pass(15_000);
    void service.conversation("cy").load();
    await world.settle();
    expect(reasons).toEqual(["initial", "expired"]);
  });

  it("that is over by this device's clock when it comes is used, and asked for again at most every two seconds", async () => {
    const world = new World();
    const reasons: string[] = [];
    const { service } = world.service({
      getToken: ({ reason }) => {
        reasons.push(reason);
        return (world.token = `h.${btoa(JSON.stringify({ exp: Math.floor(world.now / 1000) - 600 }))}.s`);
      },
    });
    service.connect("ada");
    await world.settle();
    for (let i = 0; i < 20; i++) {
      await service.conversation(`peer ${i}`).load();
      await world.pass(200);
    }
    expect(service.isConnected()).toBe(true);
    expect(reasons).toEqual(["initial", "expired"]);
  });
});

describe("falling back", () => {
  // shows: behaviour/held-back
  it("a mute stream turns to polls from the same cursor within eight seconds, and back without loss or doubles", async () => {
    const world = new World();
    world.mute = true;
    const { service } = world.service();
    const texts: string[] = [];
    service.on("message", ({ text }) => texts.push(text));
    service.connect("ada");
    await world.pass(8000);
    expect(service.connection.getSnapshot().status).toBe("polling");
    world.says("bob", "ada", "by poll");
    await world.pass(6000);
    expect(texts).toEqual(["by poll"]);
    world.mute = false;
    await world.pass(36_000);
    expect(service.isConnected()).toBe(true);
    world.says("bob", "ada", "by stream");
    await world.settle();
    expect(texts).toEqual(["by poll", "by stream"]);
    const polls = world.requests("GET", "/events").length;
    await world.pass(10_000);
    expect(world.requests("GET", "/events")).toHaveLength(polls);
  });

  it("an event that polls brought while a probe was opening comes once, though the stream repeats it", async () => {
    const world = new World();
    world.mute = true;
    const { service } = world.service();
    const texts: string[] = [];
    service.on("message", ({ text }) => texts.push(text));
    service.connect("ada");
    for (let waited = 0; world.streams.length < 2 && waited < 60; waited++) await world.pass(1000);
    world.says("bob", "ada", "in between");
    await world.pass(6000);
    expect(texts).toEqual(["in between"]);
    await world.greet(world.stream("ada"));
    world.says("bob", "ada", "live");
    await world.settle();
    expect(service.isConnected()).toBe(true);
    expect(texts).toEqual(["in between", "live"]);
  });

  it("polls carry the cursor and ask for no wait", async () => {
    const { world } = await connected();
    world.says("bob", "ada", "one");
    world.mute = true;
    world.stream("ada").cut();
    await world.pass(15_000);
    const query = world.requests("GET", "/events")[0]?.query;
    expect([query?.get("cursor"), query?.get("wait")]).toEqual([cursorAt(1), "0"]);
  });

  // shows: behaviour/kill
  it("a server that is away for a minute is found again soon after, with everything that was said", async () => {
    const { world, service, messages } = await connected();
    world.intercept = () => "network";
    world.stream("ada").cut();
    await world.pass(60_000);
    world.says("bob", "ada", "meanwhile");
    world.intercept = null;
    await world.pass(36_000);
    expect(messages).toEqual(["meanwhile"]);
    expect(service.isConnected()).toBe(true);
  });

  it("a request that is never answered ends after its time", async () => {
    const world = new World();
    world.intercept = () => "hang";
    const { service } = world.service();
    service.connect("ada");
    await world.pass(8000);
    expect(service.connection.getSnapshot().reason).toBe("mute");
    await world.pass(15_000);
    expect(service.connection.getSnapshot().reason).toBe("timeout");
  });

  it("connection_failed comes once and says whether polls go on", async () => {
    const world = new World();
    world.intercept = ({ path }) => (path.startsWith("/sse") ? "network" : null);
    const { service } = world.service({ maxReconnectAttempts: 3 });
    const failed: unknown[] = [];
    service.on("connection_failed", (payload) => failed.push(payload.polling));
    service.connect("ada");
    await world.pass(300_000);
    expect(failed).toHaveLength(1);
    expect(service.connection.getSnapshot().status).toBe("polling");
    world.intercept = null;
    await world.pass(36_000);
    expect(service.isConnected()).toBe(true);
  });

  // shows: behaviour/no-locks
  it("a hidden tab gives its stream back after thirty seconds and misses nothing when it is seen again", async () => {
    const { world, service, messages } = await connected();
    await world.page("hidden");
    await world.pass(29_000);
    expect(world.live("ada")).toHaveLength(1);
    world.stream("ada").frame("heartbeat", { cursor: world.head("ada") });
    await world.pass(1000);
    expect(world.live("ada")).toHaveLength(0);
    world.says("bob", "ada", "psst");
    await world.page("visible");
    expect(messages).toEqual(["psst"]);
    expect(service.isConnected()).toBe(true);
  });

  // shows: behaviour/frozen-page
  it("a page frozen for an hour goes on where it was", async () => {
    const { world, messages } = await connected();
    await world.page("frozen");
    expect(world.live("ada")).toHaveLength(0);
    world.says("bob", "ada", "good morning");
    await world.pass(3_600_000);
    await world.page("restored");
    expect(messages).toEqual(["good morning"]);
  });
});

describe("snapshots and the stream (I4)", () => {
  it("a history that was read before the stream began is read again", async () => {
    const world = new World();
    const { service } = world.service();
    world.intercept = ({ path }) => (path.startsWith("/sse") ? "hang" : null);
    service.connect("ada");
    const bob = service.conversation("bob");
    await bob.load();
    // The stream was asked for without a position, and begins after this.
    world.intercept = null;
    service.disconnect();
    world.says("bob", "ada", "between");
    service.connect("ada");
    await world.settle();
    expect(bob.getSnapshot().messages.map((one) => one.text)).toEqual(["between"]);
  });

  it("a stream that begins later than a history makes it load again", async () => {
    const world = new World();
    const { service } = world.service();
    let open: (() => void) | null = null;
    const early = json(200, {
      success: true,
      messages: [],
      has_more: false,
      cursor: cursorAt(0),
      watermarks: { read_upto: 0, delivered_upto: 0, peer_read_upto: 0, peer_delivered_upto: 0 },
      user: { id: "bob", name: "Bob", avatar_url: null },
    });
    world.says("bob", "ada", "between");
    world.intercept = ({ path }) => {
      if (path !== "/bob" || open) return null;
      open = () => undefined;
      return early;
    };
    service.connect("ada");
    const bob = service.conversation("bob");
    await bob.load();
    await world.settle();
    expect(world.requests("GET", "/bob")).toHaveLength(2);
    expect(bob.getSnapshot().messages.map((one) => one.text)).toEqual(["between"]);
  });

  // shows: behaviour/restored
  it("a reset loads everything again, and nothing of the old history stays", async () => {
    const { world, service } = await connected();
    world.says("bob", "ada", "kept");
    world.says("bob", "ada", "lost in the restore");
    const bob = service.conversation("bob");
    await bob.load();
    await service.inbox.load();
    const resets: unknown[] = [];
    service.on("reset", (data) => resets.push(data));
    world.restore(1);
    world.says("bob", "ada", "after");
    world.stream("ada").cut();
    await world.pass(1000);
    expect(resets).toHaveLength(1);
    expect(bob.getSnapshot().messages.map((one) => one.text)).toEqual(["kept", "after"]);
    expect(service.inbox.getSnapshot().entries[0]?.lastMessage?.text).toBe("after");
    world.says("bob", "ada", "live");
    await world.settle();
    expect(bob.getSnapshot().messages.at(-1)?.text).toBe("live");
  });

  it("an event that arrives while a reset loads is laid upon the page that was read before it", async () => {
    const { world, service } = await connected();
    world.says("bob", "ada", "kept");
    world.says("bob", "ada", "gone");
    const bob = service.conversation("bob");
    await bob.load();
    world.restore(1);
    let release: (response: Response) => void = () => undefined;
    const late = new Promise<Response>((resolve) => (release = resolve));
    const read = world.answerTo("/bob");
    world.intercept = ({ path }) => (path === "/bob" ? late : null);
    world.stream("ada").cut();
    await world.pass(1000);
    world.says("bob", "ada", "since");
    await world.settle();
    world.intercept = null;
    release(read);
    await world.settle();
    expect(world.requests("GET", "/bob")).toHaveLength(2);
    expect(bob.getSnapshot().messages.map((one) => one.text)).toEqual(["kept", "since"]);
  });

  it("a history that cannot be loaded says so once and loads by itself later", async () => {
    const { world, service, notices } = await connected();
    world.says("bob", "ada", "one");
    world.intercept = ({ path }) => (path === "/bob" ? problem(500, "internal") : null);
    const bob = service.conversation("bob");
    await bob.load();
    expect(bob.getSnapshot()).toMatchObject({ loaded: false, loading: false, error: "It is internal." });
    await world.pass(3000);
    world.intercept = null;
    await world.pass(10_000);
    expect(bob.getSnapshot()).toMatchObject({ loaded: true, error: null });
    expect(notices.map((notice) => notice.kind)).toEqual(["load_failed"]);
  });

  it("older pages come before what is held, and stop at the beginning", async () => {
    const world = new World();
    for (let i = 0; i < 120; i++) world.says(i % 2 ? "bob" : "ada", i % 2 ? "ada" : "bob", `text ${i}`);
    const { service } = world.service();
    const bob = service.conversation("bob");
    await bob.load();
    expect(bob.getSnapshot()).toMatchObject({ hasOlder: true, peer: { name: "BOB" } });
    await Promise.all([bob.loadOlder(), bob.loadOlder()]);
    await bob.loadOlder();
    const { messages, hasOlder } = bob.getSnapshot();
    expect(messages.map((one: Message) => one.seq)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
    expect(hasOlder).toBe(false);
    expect(world.requests("GET", "/bob")).toHaveLength(3);
  });

  it("as many older messages as are asked for come in pages of at most 200", async () => {
    const world = new World();
    for (let i = 0; i < 400; i++) world.says("bob", "ada", `text ${i}`);
    const { service } = world.service();
    const bob = service.conversation("bob");
    await bob.load();
    await bob.loadOlder(260);
    expect(bob.getSnapshot().messages).toHaveLength(310);
    expect(world.requests("GET", "/bob")).toHaveLength(3);
  });

  it("a conversation that is left open keeps the latest messages in memory, and the others when they are wanted", async () => {
    const { world, service } = await connected();
    const bob = service.conversation("bob");
    await bob.load();
    for (let i = 1; i <= 2500; i++) world.says("bob", "ada", `text ${i}`);
    await world.settle();
    const { messages, hasOlder } = bob.getSnapshot();
    expect([messages.length <= 1000, messages.at(-1)?.seq, hasOlder]).toEqual([true, 2500, true]);
    expect(messages.map((one) => one.seq)).toEqual(messages.map((_, at) => messages[0]!.seq + at));
    await bob.loadOlder(200);
    expect(bob.getSnapshot().messages[0]?.seq).toBe(messages[0]!.seq - 200);
  });

  it("messages that somebody looks at stay in memory until they are let go", async () => {
    const { world, service } = await connected();
    const bob = service.conversation("bob");
    await bob.load();
    const [one, two] = [bob.hold(), bob.hold()];
    for (let i = 1; i <= 1500; i++) world.says("bob", "ada", `text ${i}`);
    await world.settle();
    one();
    one();
    expect(bob.getSnapshot().messages).toHaveLength(1500);
    two();
    expect(bob.getSnapshot()).toMatchObject({ hasOlder: true, messages: { length: 500 } });
  });
});

describe("another user", () => {
  it("sees nothing of the former one: state, unsent messages, position, token and late events", async () => {
    const { world, service, messages } = await connected();
    world.says("bob", "ada", "for ada");
    const bob = service.conversation("bob");
    await bob.load();
    await service.inbox.load();
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    bob.send("unsent");
    await world.settle();
    expect(bob.getSnapshot().pending).toHaveLength(1);
    const old = world.stream("ada");
    service.connect("eve");
    expect(bob.getSnapshot()).toMatchObject({ messages: [], pending: [], loaded: false, peer: null });
    expect(service.inbox.getSnapshot()).toMatchObject({ entries: [], loaded: false });
    old.frame("new_message", {}, cursorAt(2));
    world.says("bob", "ada", "late, for ada");
    await world.pass(60_000);
    expect(world.streams.find((stream) => stream.user === "eve")?.headers.get("last-event-id")).toBeNull();
    expect(messages).toEqual(["for ada"]);
    expect(world.requests("POST", "/send")).toHaveLength(1);
    expect(service.connection.getSnapshot().userId).toBe("eve");
  });

  it("the same user again keeps everything and goes on from the cursor", async () => {
    const { world, service, messages } = await connected();
    world.says("bob", "ada", "one");
    await world.settle();
    service.disconnect();
    world.says("bob", "ada", "two");
    service.connect("ada");
    await world.settle();
    expect(messages).toEqual(["one", "two"]);
  });
});

describe("importing", () => {
  // shows: behaviour/server-rendering
  it("needs no page and asks for nothing", async () => {
    const { realtimeService, configure } = await import("../src/guide.js");
    expect(typeof window).toBe("undefined");
    expect(realtimeService.isConnected()).toBe(false);
    expect(realtimeService.conversation("bob").getSnapshot().messages).toEqual([]);
    const world = new World();
    const guide = configure({ getToken: () => "good", environment: world.environment });
    guide.connect("ada");
    await world.settle();
    expect(guide.isConnected()).toBe(true);
    expect(() => configure({ url: "/other" })).toThrow(/before the first connect/);
    guide.disconnect();
  });
});
