/** An answer counts only for the question that was asked: otherwise it is none, and the question is asked again. */
import { describe, expect, it } from "vitest";
import { cursorAt } from "./ledger.js";
import { json, World, type SeenRequest } from "./world.js";

async function chat() {
  const world = new World();
  world.says("bob", "ada", "before");
  const { service } = world.service();
  const messages: string[] = [];
  service.on("message", ({ text }) => messages.push(text));
  service.connect("ada");
  await world.settle();
  return { world, service, messages, bob: service.conversation("bob") };
}

/** The answers to the first request for this path become another request's; what follows is answered well. */
function once(world: World, path: string, change: (body: Record<string, unknown>) => Record<string, unknown>): void {
  let isFirst = true;
  world.intercept = (request: SeenRequest) => {
    if (!request.path.startsWith(path) || !isFirst) return null;
    isFirst = false;
    world.intercept = null;
    return world.answer(request).then(async (answer) => {
      return json(answer.status, change((await answer.json()) as Record<string, unknown>));
    });
  };
}

const marks = { read_upto: 0, delivered_upto: 0, peer_read_upto: 0, peer_delivered_upto: 0 };

describe("an answer to a send", () => {
  // shows: behaviour/other-answer
  it.each([
    ["another client_id", { client_id: "another" }],
    ["no client_id", { client_id: null }],
    ["another recipient", { recipient_id: "cy" }],
    ["another sender", { sender_id: "eve" }],
  ])("that has %s leaves the message pending, and it is sent again", async (_, other) => {
    const { world, bob } = await chat();
    world.stream("ada").cut();
    world.intercept = ({ path }) => (path.startsWith("/sse") || path.startsWith("/events") ? "network" : null);
    const send = world.intercept;
    let isFirst = true;
    world.intercept = (request) => {
      if (request.path !== "/send" || !isFirst) return send(request);
      isFirst = false;
      const { client_id, text } = request.body;
      const message = {
        ...world.between("ada", "bob")[0],
        sender_id: "ada",
        recipient_id: "bob",
        text,
        client_id,
        ...other,
      };
      return json(201, { success: true, message });
    };
    bob.send("mine");
    await world.settle();
    expect(bob.getSnapshot().pending).toMatchObject([{ text: "mine", state: "queued" }]);
    await world.pass(5000);
    expect(world.requests("POST", "/send").map(({ body }) => body["text"])).toEqual(["mine", "mine"]);
    expect(bob.getSnapshot().pending).toEqual([]);
    expect(bob.getSnapshot().messages.map(({ text }) => text)).toContain("mine");
  });

  // shows: behaviour/host-sign-in
  it("is refused to who was somebody else by then, and the message waits", async () => {
    const { world, bob } = await chat();
    world.intercept = ({ path, body }) =>
      path === "/send" && body["caller"] === "ada"
        ? json(403, { code: "not_yours", detail: "This was written as somebody else.", status: 403 })
        : null;
    bob.send("mine");
    await world.pass(5000);
    expect(bob.getSnapshot().pending).toMatchObject([{ text: "mine", state: "queued" }]);
    world.intercept = null;
    await world.pass(15_000);
    expect(bob.getSnapshot().pending).toEqual([]);
  });
});

describe("a page", () => {
  const other = { _id: "x", seq: 1, sender_id: "cy", recipient_id: "ada", text: "to somebody else" };
  const foreign = { ...other, message_type: "text", createdAt: "2026-01-01T00:00:00.000Z", client_id: null };

  // shows: behaviour/other-answer
  it.each([
    ["of another conversation", () => ({ user: { id: "cy", name: "Cy" } })],
    ["with a message of another conversation", () => ({ messages: [foreign] })],
    ["of another user", () => ({ user_id: "eve" })],
  ])("of a history %s is not taken", async (_, change) => {
    const { world, bob } = await chat();
    once(world, "/bob", (body) => ({ ...body, ...change() }));
    await bob.load();
    expect(bob.getSnapshot()).toMatchObject({ loaded: false, messages: [] });
    await world.pass(5000);
    expect(bob.getSnapshot().messages.map(({ text }) => text)).toEqual(["before"]);
  });

  // shows: behaviour/host-sign-in
  it.each([
    ["of another user", () => ({ user_id: "eve" })],
    [
      "with the last message of another conversation",
      () => ({
        conversations: [
          { user: { id: "bob" }, last_message: foreign, unread: 1, watermarks: marks, updatedAt: "", position: 1 },
        ],
      }),
    ],
  ])("of the inbox %s is not taken", async (_, change) => {
    const { world, service } = await chat();
    once(world, "/inbox", (body) => ({ ...body, ...change() }));
    await service.inbox.load();
    expect(service.inbox.getSnapshot()).toMatchObject({ loaded: false, entries: [] });
    await world.pass(5000);
    expect(service.inbox.getSnapshot().entries.map(({ user }) => user.id)).toEqual(["bob"]);
  });

  // shows: behaviour/other-answer
  it.each([
    ["from somewhere else", (body: Record<string, unknown>) => ({ ...body, events: [], cursor: cursorAt(9) })],
    ["of another user", (body: Record<string, unknown>) => ({ ...body, user_id: "eve" })],
  ])("of the log %s skips nothing", async (_, change) => {
    const { world, messages } = await chat();
    world.mute = true;
    world.stream("ada").cut();
    world.says("bob", "ada", "missed");
    once(world, "/events", change);
    await world.pass(25_000);
    expect(messages).toEqual(["missed"]);
  });
});

describe("a stream", () => {
  it("of another user than was asked for is given up, and deletes nothing", async () => {
    const { world, service, bob } = await chat();
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    bob.send("unsent");
    bob.setDraft("typed");
    await world.settle();
    world.mute = true;
    world.stream("ada").cut();
    await world.pass(3000);
    world
      .stream("ada")
      .frame("connected", { user_id: "eve", cursor: cursorAt(0), resumed: false, heartbeat_ms: 15_000 });
    await world.settle();
    expect(service.connection.getSnapshot().userId).toBe("ada");
    expect([bob.getSnapshot().pending.length, bob.getDraft()]).toEqual([1, "typed"]);
  });

  it("that resumes elsewhere than was asked for is given up", async () => {
    const { world, messages } = await chat();
    world.mute = true;
    world.stream("ada").cut();
    world.says("bob", "ada", "missed");
    await world.pass(3000);
    world.mute = false;
    const data = { user_id: "ada", cursor: cursorAt(9), resumed: true, heartbeat_ms: 15_000 };
    world.stream("ada").frame("connected", data, cursorAt(9));
    await world.pass(5000);
    expect(messages).toEqual(["missed"]);
  });
});

describe("an answer to receipts", () => {
  it("of other conversations settles nothing", async () => {
    const { world, bob } = await chat();
    await bob.load();
    await world.pass(3000);
    const before = world.receipts.length;
    once(world, "/receipts", (body) => ({ ...body, receipts: [{ chatUserId: "cy", watermarks: marks }] }));
    bob.markRead(1);
    await world.pass(10_000);
    expect(world.receipts.slice(before)).toEqual([
      { chatUserId: "bob", read_upto: 1 },
      { chatUserId: "bob", read_upto: 1 },
    ]);
    expect(bob.getSnapshot().watermarks.read_upto).toBe(1);
  });
});
