import { describe, expect, it } from "vitest";
import type { RealtimeOptions } from "../src/types.js";
import { Browser, type Tab } from "./browser.js";
import { World } from "./world.js";

/** Tabs of one browser, connected as ada. */
async function open(count: number, options: Partial<RealtimeOptions> = {}) {
  const world = new World();
  const browser = new Browser();
  const add = async (user = "ada"): Promise<Tab> => {
    const tab = world.tab(browser, options);
    tab.service.connect(user);
    await world.settle();
    return tab;
  };
  const tabs: Tab[] = [];
  for (let i = 0; i < count; i++) tabs.push(await add());
  return { world, browser, tabs, add };
}

const leaders = (tabs: readonly Tab[]) => tabs.filter((tab) => !tab.isStopped && tab.role === "leader");
const live = (world: World) => world.live("ada").length;

function one<T>(of: readonly T[]): T {
  expect(of).toHaveLength(1);
  return of[0] as T;
}

describe("tabs of one browser", () => {
  // shows: behaviour/eight-tabs, complaints/7
  it("eight hold one stream, and all of them are live", async () => {
    const { world, tabs } = await open(8);
    expect(world.streams).toHaveLength(1);
    expect(tabs.map((tab) => tab.status)).toEqual(Array(8).fill("connected"));
    one(leaders(tabs));
    world.says("bob", "ada", "hi");
    await world.settle();
    expect(tabs.map((tab) => tab.messages)).toEqual(Array(8).fill(["hi"]));
  });

  it("followers tell connected too, and what the stream said", async () => {
    const { world, browser, tabs } = await open(1);
    const tab = world.tab(browser);
    const told: unknown[] = [];
    tab.service.on("connected", (payload) => told.push([payload.userId, payload["heartbeat_ms"]]));
    tab.service.connect("ada");
    await world.settle();
    expect(told).toEqual([["ada", 15_000]]);
    expect(tab.service.connection.getSnapshot()).toMatchObject({ role: "follower", textBytesMax: 1000 });
    expect(tabs[0]?.role).toBe("leader");
  });

  it("where there may be no line between tabs, each is alone and works", async () => {
    const world = new World();
    const browser = new Browser();
    const forbidden = () => {
      throw new DOMException("forbidden", "SecurityError");
    };
    const { service } = world.service({
      environment: { locks: browser.locksOf(world.tab(browser)), channel: forbidden },
    });
    service.connect("ada");
    await world.settle();
    expect(service.connection.getSnapshot()).toMatchObject({ status: "connected", role: "leader" });
    service.disconnect();
    service.connect("ada");
    await world.settle();
    expect(service.connection.getSnapshot().status).toBe("connected");
  });

  // shows: behaviour/two-people
  it("another user, and a tab that wants its own, have streams of their own", async () => {
    const { world, browser, add } = await open(2);
    await add("eve");
    const own = world.tab(browser, { shareStream: false });
    own.service.connect("ada");
    await world.settle();
    expect(own.role).toBe("solo");
    expect([live(world), world.live("eve").length]).toEqual([2, 1]);
  });

  // shows: behaviour/no-locks
  it("without Web Locks each tab has a stream (plain http in a local network)", async () => {
    const world = new World();
    const tabs = [world.service(), world.service()];
    tabs.forEach(({ service }) => service.connect("ada"));
    await world.settle();
    expect(live(world)).toBe(2);
  });

  it("where Web Locks may not be used each tab is alone, and sends (a sandboxed frame)", async () => {
    const world = new World();
    const locks = { request: () => Promise.reject(new DOMException("not here", "SecurityError")) };
    const channel = new Browser().channelOf(world.tab(new Browser()));
    const { service } = world.service({ environment: { locks, channel } });
    service.connect("ada");
    service.conversation("bob").send("hello");
    await world.settle();
    expect(service.isConnected()).toBe(true);
    expect(service.conversation("bob").getSnapshot().messages).toHaveLength(1);
  });

  // shows: behaviour/tab-ends
  it.each(["closed", "crashed", "frozen"])(
    "a leader that is %s: another goes on, and nothing is lost or doubled",
    async (how) => {
      const { world, tabs } = await open(3);
      world.says("bob", "ada", "one");
      await world.settle();
      const leader = one(leaders(tabs));
      const rest = tabs.filter((tab) => tab !== leader);
      if (how === "closed") leader.service.disconnect();
      else if (how === "crashed") await leader.crash();
      else await leader.page("frozen");
      world.says("bob", "ada", "two");
      await world.settle();
      one(leaders(rest));
      expect(live(world)).toBe(1);
      expect(rest.map((tab) => tab.status)).toEqual(["connected", "connected"]);
      world.says("bob", "ada", "three");
      await world.settle();
      expect(rest.map((tab) => tab.messages)).toEqual(Array(2).fill(["one", "two", "three"]));
    },
  );

  // shows: behaviour/tab-hangs
  it("a leader that falls silent with the lock in its hand is replaced within 15 s", async () => {
    const { world, tabs } = await open(3);
    const leader = one(leaders(tabs));
    const rest = tabs.filter((tab) => tab !== leader);
    await world.pass(4000);
    leader.stop();
    world.says("bob", "ada", "two");
    await world.pass(15_000);
    one(leaders(rest));
    expect(rest.map((tab) => tab.messages)).toEqual([["two"], ["two"]]);
    // It wakes up, finds out, and goes along: what it still had in its hands changes nothing.
    await leader.goOn();
    world.says("bob", "ada", "three");
    await world.pass(1000);
    one(leaders(tabs));
    expect(tabs.map((tab) => tab.messages)).toEqual(Array(3).fill(["two", "three"]));
    expect(live(world)).toBe(1);
  });

  it("nobody takes the lead from a leader that answers, however late its timers are", async () => {
    const { world, tabs } = await open(2);
    const leader = one(leaders(tabs));
    // Hours of sleep: all timers are late at once.
    world.now += 3 * 3_600_000;
    await world.pass(20_000);
    expect(leaders(tabs)).toEqual([leader]);
  });

  it("a newcomer beside a silent leader waits three seconds", async () => {
    const { world, tabs, add } = await open(1);
    tabs[0]?.stop();
    const tab = await add();
    expect(tab.status).toBe("connecting");
    await world.pass(3500);
    expect([tab.role, tab.status]).toEqual(["leader", "connected"]);
  });

  // shows: behaviour/tab-switch
  it("a hidden leader keeps its stream, and a switch of tabs changes nothing", async () => {
    const { world, tabs } = await open(2);
    const leader = one(leaders(tabs));
    await leader.page("hidden");
    await world.pass(120_000);
    for (const stream of world.live("ada")) stream.frame("heartbeat", { cursor: world.head("ada") });
    expect(leaders(tabs)).toEqual([leader]);
    expect(world.streams.filter((stream) => stream.headers.get("x-tab") !== leader.id)).toEqual([]);
    await leader.page("visible");
    expect(leaders(tabs)).toEqual([leader]);
  });

  it("polls slowly only while the user sees none of the tabs", async () => {
    const { world, tabs } = await open(2);
    const leader = one(leaders(tabs));
    const follower = one(tabs.filter((tab) => tab !== leader));
    world.mute = true;
    world.stream("ada").cut();
    await world.pass(20_000);
    await leader.page("hidden");
    const polls = () => world.requests("GET", "/events").length;
    const before = polls();
    await world.pass(60_000);
    expect(polls() - before).toBeGreaterThanOrEqual(10);
    await follower.page("hidden");
    await world.pass(10_000);
    const hidden = polls();
    await world.pass(60_000);
    expect(polls() - hidden).toBeLessThanOrEqual(3);
  });

  it("the button of a follower makes the leader try", async () => {
    const { world, tabs } = await open(2);
    const follower = one(tabs.filter((tab) => tab.role === "follower"));
    const before = world.streams.length;
    await world.pass(2000);
    follower.service.reconnect();
    await world.settle();
    expect(world.streams.length).toBe(before + 1);
    expect(live(world)).toBe(1);
    expect(follower.status).toBe("connected");
  });

  // shows: behaviour/frozen-page
  it("a follower that missed a word reads it from the log", async () => {
    const { world, browser, tabs, add } = await open(1);
    await add();
    const late = world.tab(browser);
    late.service.connect("ada");
    await world.settle();
    late.stop();
    world.says("bob", "ada", "one");
    await world.settle();
    // What was said to it is lost.
    await late.page("frozen");
    world.says("bob", "ada", "two");
    await late.goOn();
    await late.page("restored");
    await world.settle();
    expect(late.messages).toEqual(["one", "two"]);
    expect(leaders([...tabs, late])).toHaveLength(1);
  });

  it("a reset reaches all tabs once, and all of them reload", async () => {
    const { world, tabs } = await open(2);
    for (const tab of tabs) await tab.service.conversation("bob").load();
    world.says("bob", "ada", "before");
    await world.settle();
    world.restore(0);
    world.says("bob", "ada", "after");
    world.stream("ada").cut();
    await world.pass(3000);
    const texts = tabs.map((tab) =>
      tab.service
        .conversation("bob")
        .getSnapshot()
        .messages.map((each) => each.text),
    );
    expect(texts).toEqual([["after"], ["after"]]);
  });

  it("of the tabs that share a stream one acknowledges what arrives", async () => {
    const { world } = await open(4);
    world.says("bob", "ada", "hi");
    await world.pass(3000);
    expect(world.requests("POST", "/receipts")).toHaveLength(1);
  });

  it("a leader that is not let in lets another tab try, which may have a better token", async () => {
    const world = new World();
    const browser = new Browser();
    const bad = world.tab(browser, { getToken: () => "bad" });
    bad.service.connect("ada");
    await world.settle();
    const good = world.tab(browser);
    good.service.connect("ada");
    await world.pass(10_000);
    expect([good.role, bad.role]).toEqual(["leader", "follower"]);
    expect([good.status, bad.status]).toEqual(["connected", "connected"]);
  });
});

describe("the outbox of several tabs", () => {
  const sends = (world: World) => world.requests("POST", "/send");

  it("shows everywhere what one of them sends, and sends it once", async () => {
    const { world, tabs } = await open(3);
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    tabs[1]?.service.conversation("bob").send("hello");
    await world.settle();
    const pending = () =>
      tabs.map((tab) =>
        tab.service
          .conversation("bob")
          .getSnapshot()
          .pending.map((each) => each.text),
      );
    expect(pending()).toEqual([["hello"], ["hello"], ["hello"]]);
    world.intercept = null;
    const tried = sends(world).length;
    await world.pass(5000);
    expect(sends(world).length).toBe(tried + 1);
    expect(pending()).toEqual([[], [], []]);
    expect(tabs.map((tab) => tab.messages)).toEqual([["hello"], ["hello"], ["hello"]]);
  });

  // shows: behaviour/tabs-write
  it("keeps the order of what several of them write", async () => {
    const { world, tabs } = await open(2);
    const texts = Array.from({ length: 20 }, (_, i) => `text ${i}`);
    for (const [i, text] of texts.entries()) {
      tabs[i % 2]?.service.conversation("bob").send(text);
      await world.pass(1);
    }
    await world.pass(1000);
    expect(tabs[0]?.messages).toEqual(texts);
    expect(sends(world)).toHaveLength(20);
  });

  // shows: behaviour/tabs-write
  it("goes on when the tab that sends crashes", async () => {
    const { world, tabs } = await open(2);
    world.intercept = ({ path }) => (path === "/send" ? "hang" : null);
    tabs[0]?.service.conversation("bob").send("survives");
    await world.settle();
    world.intercept = null;
    await tabs[0]?.crash();
    await world.pass(2000);
    expect(tabs[1]?.messages).toEqual(["survives"]);
  });

  // shows: behaviour/tabs-write
  it("goes on when the tab that sends hangs with its turn in hand, within a minute", async () => {
    const { world, tabs } = await open(2);
    const [first, second] = tabs;
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    first?.service.conversation("bob").send("survives");
    await world.settle();
    first?.stop();
    world.intercept = null;
    await world.pass(60_000);
    expect(second?.messages).toEqual(["survives"]);
    await first?.goOn();
    await world.pass(5000);
    expect(first?.service.conversation("bob").getSnapshot().pending).toEqual([]);
    expect(world.between("ada", "bob")).toHaveLength(1);
  });

  it("takes back in one tab what another is sending, after the server was asked", async () => {
    const { world, tabs } = await open(2);
    world.intercept = ({ path }) => (path === "/send" ? "hang" : null);
    const id = tabs[0]?.service.conversation("bob").send("oops") ?? "";
    await world.settle();
    tabs[1]?.service.conversation("bob").discard(id);
    await world.pass(2000);
    for (const tab of tabs) expect(tab.service.conversation("bob").getSnapshot().pending).toEqual([]);
    expect(world.requests("GET", "/bob")).toHaveLength(1);
  });

  it("a tab that was frozen does not send what others have sent or taken back meanwhile", async () => {
    const { world, tabs } = await open(2);
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    const bob = tabs[0]?.service.conversation("bob");
    bob?.send("sent by the other");
    const id = bob?.send("taken back") ?? "";
    await world.settle();
    await tabs[0]?.page("frozen");
    tabs[1]?.service.conversation("bob").discard(id);
    world.intercept = null;
    await world.pass(40_000);
    const tried = sends(world).length;
    await tabs[0]?.page("restored");
    await world.pass(5000);
    expect(sends(world).length).toBe(tried);
    expect(bob?.getSnapshot().pending).toEqual([]);
    expect(tabs[1]?.messages).toEqual(["sent by the other"]);
  });

  // shows: behaviour/tab-sign-out
  it("signing out in one tab signs out the others, and leaves nothing", async () => {
    const { world, tabs, browser } = await open(2);
    let told = 0;
    tabs[1]?.service.on("signed_out", () => (told += 1));
    tabs[1]?.service.conversation("bob").setDraft("half a sentence");
    await world.pass(1000);
    await tabs[0]?.service.signOut();
    await world.pass(1000);
    expect(told).toBe(1);
    expect(tabs.map((tab) => tab.status)).toEqual(["unauthorized", "unauthorized"]);
    expect(live(world)).toBe(0);
    expect(tabs[1]?.service.conversation("bob").getDraft()).toBe("");
    expect([...browser.storage.owners.keys()]).toEqual([]);
  });
});
