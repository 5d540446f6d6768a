/** A session that has ended while a stream of it is open: the first request that is refused tells it. */
import { describe, expect, it } from "vitest";
import { MemoryStorage } from "../src/device/storage.js";
import type { RealtimeService } from "../src/service.js";
import { Browser } from "./browser.js";
import { json, problem, World, type SeenRequest } from "./world.js";

async function chat({ byCookie = true } = {}) {
  const world = new World();
  world.byCookie = byCookie;
  world.says("bob", "ada", "before");
  const storage = new MemoryStorage();
  const { service, notices } = world.service({ storage });
  service.connect("ada");
  const bob = service.conversation("bob");
  await bob.load();
  await world.pass(20_000);
  expect(service.connection.getSnapshot().status).toBe("connected");
  return { world, service, notices, bob, storage };
}

/** Open streams go on; whatever is asked from now on is refused. */
function end(world: World): void {
  world.intercept = () => problem(401, "unauthorized");
}

const asks: [string, (service: RealtimeService) => unknown, (request: SeenRequest) => boolean][] = [
  ["a send", (service) => service.conversation("bob").send("late"), ({ path }) => path === "/send"],
  ["a word that one types", (service) => service.conversation("bob").typing(), ({ path }) => path === "/typing"],
  ["a receipt", (service) => service.conversation("bob").markRead(1), ({ path }) => path === "/receipts"],
  ["a question for presence", (service) => service.conversation("bob").watch(), ({ path }) => path === "/presence"],
  ["the inbox", (service) => service.inbox.load(), ({ path }) => path.startsWith("/inbox")],
  ["a history", (service) => service.conversation("cy").load(), ({ path }) => path === "/cy"],
  ["a search", (service) => service.searchPeople("bo").catch(() => null), ({ path }) => path === "/people"],
];

describe("without getToken a session that has ended", () => {
  it.each(asks)("is told by the 401 of %s, and the stream is closed", async (_, ask, isIt) => {
    const { world, service, notices } = await chat();
    end(world);
    const before = world.seen.length;
    ask(service);
    await world.pass(1500);
    expect(world.seen.slice(before).some(isIt)).toBe(true);
    expect(world.live("ada")).toEqual([]);
    expect(service.connection.getSnapshot()).toMatchObject({ status: "unauthorized", reason: "status_401" });
    expect(notices.filter(({ kind }) => kind === "unauthorized")).toHaveLength(1);
  });

  it("keeps what is unsent, and it goes out once after the next sign-in", async () => {
    const { world, service, bob, storage } = await chat();
    end(world);
    bob.send("kept");
    await world.settle();
    // As a page does that shows its sign-in.
    service.disconnect();
    await world.pass(60_000);
    const asked = world.requests("POST", "/send").length;
    expect(bob.getSnapshot().pending).toMatchObject([{ text: "kept", state: "queued" }]);
    expect(asked).toBe(1);
    expect(storage.owners.size).toBe(1);
    world.intercept = null;
    service.connect("ada");
    await world.settle();
    expect(service.isConnected()).toBe(true);
    expect(bob.getSnapshot().pending).toEqual([]);
    expect(world.between("ada", "bob").filter(({ text }) => text === "kept")).toHaveLength(1);
  });

  it("begins again by itself when the cookie is renewed, and asks ever more rarely until then", async () => {
    const { world, service, bob } = await chat();
    end(world);
    bob.send("kept");
    const before = world.seen.length;
    await world.pass(120_000);
    expect(service.connection.getSnapshot().status).toBe("unauthorized");
    expect(world.seen.length - before).toBeLessThan(40);
    world.intercept = null;
    await world.pass(31_000);
    expect(service.isConnected()).toBe(true);
    expect(bob.getSnapshot().pending).toEqual([]);
  });

  it("is told to all tabs by the one that asked, which has no stream", async () => {
    const world = new World();
    world.byCookie = true;
    const browser = new Browser();
    const tabs = [world.tab(browser), world.tab(browser)];
    for (const tab of tabs) {
      tab.service.connect("ada");
      await world.settle();
    }
    expect(tabs.map(({ role, status }) => [role, status])).toEqual([
      ["leader", "connected"],
      ["follower", "connected"],
    ]);
    end(world);
    tabs[1]?.service.conversation("bob").send("late");
    await world.settle();
    expect(world.live("ada")).toEqual([]);
    await world.pass(5000);
    expect(tabs.map(({ status }) => status)).toEqual(["unauthorized", "unauthorized"]);
  });
});

it("a page of somebody else, who signed in meanwhile, is not shown, and the sentence says what to do", async () => {
  const { world, service } = await chat();
  world.intercept = ({ path }) => (path === "/cy" ? json(200, { success: true, user_id: "eve", messages: [] }) : null);
  const cy = service.conversation("cy");
  await cy.load();
  expect(cy.getSnapshot()).toMatchObject({
    loaded: false,
    messages: [],
    error: "Somebody else is signed in now. Reload the page.",
  });
});

it("with getToken a 401 asks for one new token, and the stream stays", async () => {
  const { world, service, bob } = await chat({ byCookie: false });
  world.intercept = ({ path }) => (path === "/send" ? problem(401, "unauthorized") : null);
  bob.send("late");
  await world.settle();
  expect(world.requests("POST", "/send")).toHaveLength(2);
  expect(service.isConnected()).toBe(true);
  expect(world.streams).toHaveLength(1);
});
