import { describe, expect, it } from "vitest";
import { World } from "./world.js";

async function connected() {
  const world = new World();
  world.says("bob", "ada", "1");
  await world.pass(60_000);
  world.says("cy", "ada", "2");
  const { service } = world.service();
  service.connect("ada");
  await service.inbox.load();
  await world.settle();
  return { world, service, bob: service.conversation("bob"), entries: () => service.inbox.getSnapshot().entries };
}

describe("an entry of the inbox", () => {
  it("has the draft of its conversation at once when it begins and ends, and between twice a second", async () => {
    const { world, bob, entries } = await connected();
    const drafts = () => entries().map(({ user, draft }) => [user.id, draft]);
    bob.setDraft("h");
    expect(drafts()).toEqual([
      ["cy", ""],
      ["bob", "h"],
    ]);
    bob.setDraft("he");
    expect(drafts()[1]).toEqual(["bob", "h"]);
    await world.pass(500);
    expect(drafts()[1]).toEqual(["bob", "he"]);
    bob.setDraft("");
    expect(drafts()[1]).toEqual(["bob", ""]);
  });

  it("has what waits to be sent and what was refused, and is the latest then", async () => {
    const { world, bob, entries } = await connected();
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    await world.pass(1000);
    bob.send("waits");
    await world.settle();
    const [first] = entries();
    expect([first?.user.id, first?.lastMessage?.text, first?.pending.map((one) => one.text)]).toEqual([
      "bob",
      "1",
      ["waits"],
    ]);
    world.intercept = null;
    await world.pass(5000);
    expect(entries()[0]).toMatchObject({ lastMessage: { text: "waits" }, pending: [] });
  });

  it("is there for somebody to whom nothing was sent yet", async () => {
    const { world, service, entries } = await connected();
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    service.conversation("dee").setDraft("hello");
    service.conversation("eve").send("first");
    await world.settle();
    expect(entries().filter((one) => one.lastMessage === null)).toMatchObject([
      { user: { id: "dee" }, draft: "hello", pending: [] },
      { user: { id: "eve" }, draft: "", pending: [{ text: "first" }] },
    ]);
    world.intercept = null;
    await world.pass(5000);
    expect(entries().filter((one) => one.user.id === "eve")).toMatchObject([{ lastMessage: { text: "first" } }]);
  });

  it("stays the same object while nothing in it changes", async () => {
    const { bob, entries } = await connected();
    const before = entries().find((one) => one.user.id === "cy");
    bob.setDraft("h");
    expect(entries().find((one) => one.user.id === "cy")).toBe(before);
  });
});

describe("the number of unread messages", () => {
  it("is the server's, with what is not loaded, and goes on with what happens", async () => {
    const { world, service } = await connected();
    world.unreadElsewhere = 98;
    const { service: other } = world.service();
    other.connect("ada");
    await other.inbox.load();
    expect(other.inbox.getSnapshot().unread).toBe(100);
    world.says("bob", "ada", "3");
    await world.settle();
    expect(other.inbox.getSnapshot().unread).toBe(101);
    await service.signOut();
  });
});
