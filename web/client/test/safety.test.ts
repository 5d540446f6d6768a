/** Presence, blocks and reports, over the service with a clock in hand. */
import { describe, expect, it } from "vitest";
import { Browser } from "./browser.js";
import type { Conversation } from "../src/types.js";
import { json, problem, World, type SeenRequest } from "./world.js";

/** A conversation with bob, connected; the server blocks and tells presence as a test says. */
async function chat() {
  const world = new World();
  const server = { online: null as boolean | null, blocked: false, unread: 1, watchS: 60 };
  const answer = ({ method, path }: SeenRequest) => {
    if (method === "POST" && path === "/presence") {
      return json(200, { success: true, online: server.online, watch_s: server.watchS });
    }
    if (method === "POST" && (path === "/block" || path === "/unblock")) {
      server.blocked = path === "/block";
      return json(200, { success: true });
    }
    return null;
  };
  world.intercept = answer;
  world.says("bob", "ada", "hello");
  const { service } = world.service();
  service.connect("ada");
  const bob = service.conversation("bob");
  await bob.load();
  await service.inbox.load();
  await world.settle();
  const asked = () => world.requests("POST", "/presence").length;
  const online = () => bob.getSnapshot().peerOnline;
  const tells = async (is: boolean) => {
    world.stream("ada").frame("presence", { chat_user_id: "bob", online: is });
    await world.settle();
  };
  /** Time passes on one stream that lives. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 10_000) {
      world.stream("ada").frame("heartbeat", { cursor: world.head("ada") });
      await world.pass(Math.min(left, 10_000));
    }
  };
  return { world, service, server, bob, asked, online, tells, answer, pass };
}

describe("a new name or picture", () => {
  it("is shown in the conversation and in the inbox at once", async () => {
    const { world, service, bob } = await chat();
    const names = () => [bob.getSnapshot().peer, service.inbox.getSnapshot().entries[0]?.user].map((one) => one?.name);
    expect(names()).toEqual(["BOB", "BOB"]);
    const told = { chat_user_id: "bob", name: "Robert", avatar_url: "https://example.org/bob.png" };
    world.stream("ada").frame("profile", told);
    world.stream("ada").frame("profile", { ...told, chat_user_id: "carol" });
    await world.settle();
    expect(names()).toEqual(["Robert", "Robert"]);
    expect(bob.getSnapshot().peer?.avatar_url).toBe(told.avatar_url);
    expect(service.inbox.getSnapshot().entries).toHaveLength(1);
  });
});

describe("presence", () => {
  it("is asked for while somebody watches, and again before the watch ends", async () => {
    const { world, server, bob, asked, online, pass } = await chat();
    expect(asked()).toBe(0);
    server.online = true;
    const stop = bob.watch();
    await world.settle();
    expect([asked(), online()]).toEqual([1, true]);
    server.online = false;
    await pass(59_000);
    expect([asked(), online()]).toEqual([2, false]);
    const also = bob.watch();
    stop();
    stop();
    await pass(60_000);
    expect(asked()).toBe(3);
    also();
    expect(online()).toBe(null);
    await pass(300_000);
    expect(asked()).toBe(3);
  });

  it("follows the frames of the stream, and nobody else's", async () => {
    const { world, server, bob, online, tells } = await chat();
    await tells(true);
    expect(online()).toBe(null);
    server.online = false;
    bob.watch();
    await world.settle();
    await tells(true);
    expect(online()).toBe(true);
    world.stream("ada").frame("presence", { chat_user_id: "carol", online: false });
    await tells(true);
    expect(online()).toBe(true);
    await tells(false);
    expect(online()).toBe(false);
  });

  it("is asked for anew on a new stream, and not while the page is hidden", async () => {
    const { world, server, bob, asked, online } = await chat();
    server.online = true;
    bob.watch();
    await world.settle();
    world.stream("ada").cut();
    await world.pass(5000);
    expect(world.live("ada")).toHaveLength(1);
    const before = asked();
    expect(before).toBeGreaterThan(1);
    await world.page("hidden");
    await world.pass(60_000);
    expect([asked(), online()]).toEqual([before, null]);
    await world.page("visible");
    await world.pass(2000);
    expect([asked() > before, online()]).toEqual([true, true]);
  });

  it("is unknown when the server does not say it, and is then not asked for again", async () => {
    const { server, bob, asked, online, pass } = await chat();
    server.watchS = 0;
    bob.watch();
    await pass(5 * 60_000);
    expect([asked(), online()]).toEqual([1, null]);
  });

  it("is unknown while the question fails, and asked again after a temporary trouble only", async () => {
    const { world, bob, asked, online, answer, pass } = await chat();
    world.intercept = (request) => (request.path === "/presence" ? problem(503, "unavailable") : answer(request));
    bob.watch();
    await pass(16_000);
    expect([asked(), online()]).toEqual([2, null]);
    world.intercept = (request) =>
      request.path === "/presence" ? problem(405, "method_not_allowed") : answer(request);
    await pass(120_000);
    expect(asked()).toBe(3);
  });
});

describe("a block", () => {
  it("shows at once in the conversation and in the inbox", async () => {
    const { world, service, server, bob, online } = await chat();
    server.online = true;
    bob.watch();
    await world.settle();
    expect(service.inbox.getSnapshot().entries[0]).toMatchObject({ unread: 1, blocked: false });
    await bob.block();
    expect(world.requests("POST", "/block")[0]?.body).toEqual({ chatUserId: "bob", caller: "ada" });
    expect([bob.getSnapshot().blocked, online()]).toEqual([true, null]);
    expect(service.inbox.getSnapshot().entries[0]).toMatchObject({ unread: 0, blocked: true });
    await bob.unblock();
    await world.settle();
    expect([bob.getSnapshot().blocked, online()]).toEqual([false, true]);
    expect(service.inbox.getSnapshot().entries[0]).toMatchObject({ unread: 1, blocked: false });
  });

  it("changes nothing when the server did not take it", async () => {
    const { world, bob, answer } = await chat();
    world.intercept = (request) => (request.path === "/block" ? problem(503, "unavailable") : answer(request));
    await expect(bob.block()).rejects.toThrow("It is unavailable.");
    expect(bob.getSnapshot().blocked).toBe(false);
  });

  it("is told to the server by nothing that is read meanwhile, and by all of it afterwards", async () => {
    const { world, bob } = await chat();
    await world.pass(2000);
    const before = world.requests("POST", "/receipts").length;
    await bob.block();
    bob.markRead(1);
    await world.pass(5000);
    expect(world.requests("POST", "/receipts")).toHaveLength(before);
    await bob.unblock();
    bob.markRead(1);
    await world.pass(5000);
    expect(world.receipts.at(-1)).toMatchObject({ read_upto: 1 });
  });

  it("made on another device shows when a send is refused", async () => {
    const { world, bob, answer } = await chat();
    world.intercept = (request) => (request.path === "/send" ? problem(403, "blocked_by_you") : answer(request));
    bob.send("are you there?");
    await world.settle();
    expect(bob.getSnapshot()).toMatchObject({ blocked: true, pending: [{ state: "failed" }] });
  });
});

describe("a report", () => {
  it("goes out with its reason, and rejects when it did not arrive", async () => {
    const { world, bob, answer } = await chat();
    await bob.report("He insults me.");
    await bob.report("This.", 1);
    expect(world.requests("POST", "/report").map(({ body }) => body)).toEqual([
      { chatUserId: "bob", reason: "He insults me.", caller: "ada" },
      { chatUserId: "bob", reason: "This.", seq: 1, caller: "ada" },
    ]);
    world.intercept = (request) => (request.path === "/report" ? problem(429, "rate_limited") : answer(request));
    await expect(bob.report("Again.")).rejects.toThrow("It is rate_limited.");
  });
});

describe("tabs of one browser", () => {
  it("hear of a block and of presence, whoever holds the stream", async () => {
    const world = new World();
    world.intercept = ({ path }) => {
      if (path === "/presence") return json(200, { success: true, online: false, watch_s: 60 });
      return path === "/block" ? json(200, { success: true }) : null;
    };
    world.says("bob", "ada", "hello");
    const browser = new Browser();
    const conversations: Conversation[] = [];
    for (let i = 0; i < 2; i++) {
      const { service } = world.tab(browser);
      service.connect("ada");
      const bob = service.conversation("bob");
      await bob.load();
      bob.watch();
      await world.settle();
      conversations.push(bob);
    }
    const shown = () => conversations.map((bob) => [bob.getSnapshot().blocked, bob.getSnapshot().peerOnline]);
    expect(world.live("ada")).toHaveLength(1);
    world.stream("ada").frame("presence", { chat_user_id: "bob", online: true });
    await world.settle();
    expect(shown()).toEqual([
      [false, true],
      [false, true],
    ]);
    await conversations[1]?.block();
    await world.settle();
    expect(shown()).toEqual([
      [true, null],
      [true, null],
    ]);
  });
});
