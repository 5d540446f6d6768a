import { describe, expect, it } from "vitest";
import { MemoryStorage } from "../src/device/storage.js";
import type { Message, PendingMessage } from "../src/types.js";
import { cursorAt } from "./ledger.js";
import { json, problem, World, type Receipt } from "./world.js";

async function chat(world = new World()) {
  const { service, notices } = world.service();
  service.connect("ada");
  const bob = service.conversation("bob");
  await bob.load();
  await world.settle();
  const shown = () => {
    const { messages, pending } = bob.getSnapshot();
    return [...messages.map((one) => one.text), ...pending.map((one) => `${one.text} (${one.state})`)];
  };
  return { world, service, notices, bob, shown };
}

/** The unsent messages in storage, of all owners. */
const kept = (storage: MemoryStorage) =>
  [...storage.owners.values()].flatMap((rows) => [...rows.keys()].filter((key) => key.startsWith("outbox/")));

const sends = (world: World) => world.requests("POST", "/send").map(({ body }) => body);

describe("sending", () => {
  it("shows the message at once, and once, when it is acknowledged", async () => {
    const { world, bob, shown } = await chat();
    const id = bob.send("hello");
    expect(shown()).toEqual(["hello (sending)"]);
    await world.settle();
    expect(shown()).toEqual(["hello"]);
    expect(sends(world)).toEqual([
      { recipientId: "bob", text: "hello", message_type: "text", client_id: id, caller: "ada" },
    ]);
    expect(id).toMatch(/^[0-9a-f]{32}$/);
  });

  // shows: behaviour/echo
  it.each([true, false])("no moment shows it twice or not at all, echo first: %s", async (echoFirst) => {
    const { world, bob, shown } = await chat();
    let own: Message | null = null;
    world.intercept = ({ path, body }) => {
      if (path !== "/send") return null;
      own = {
        _id: "m1",
        seq: 1,
        sender_id: "ada",
        recipient_id: "bob",
        text: "hello",
        message_type: "text",
        sent: true,
        delivered: false,
        read: false,
        createdAt: new Date(world.now).toISOString(),
        client_id: String(body["client_id"]),
      };
      if (echoFirst) world.append("ada", "new_message", own);
      return json(201, { success: true, message: own });
    };
    const moments: string[][] = [];
    bob.subscribe(() => moments.push(shown()));
    bob.send("hello");
    await world.settle();
    if (!echoFirst) world.append("ada", "new_message", own);
    await world.settle();
    expect(shown()).toEqual(["hello"]);
    expect(moments.every((moment) => moment.length === 1)).toBe(true);
  });

  // shows: behaviour/lost-answer
  it("an answer that is lost is asked for again under the same client_id, and makes one message", async () => {
    const { world, bob, shown } = await chat();
    let lost = 0;
    world.intercept = ({ path, body }) => {
      if (path !== "/send" || lost > 0) return null;
      lost += 1;
      // Committed, and its echo is lost with the stream.
      world.stream("ada").cut();
      world.says("ada", "bob", String(body["text"]), String(body["client_id"]));
      return "network";
    };
    bob.send("once");
    await world.pass(5000);
    const ids = new Set(sends(world).map((body) => body["client_id"]));
    expect(ids.size).toBe(1);
    expect(shown()).toEqual(["once"]);
  });

  // shows: behaviour/silent
  it("finds a stream that has died unnoticed, before any timer does", async () => {
    const { world, bob } = await chat();
    // The computer slept: timers have not fired yet, and nothing has told the socket.
    world.now += 3_600_000;
    bob.send("hello");
    await world.settle();
    expect(world.streams).toHaveLength(1);
    expect(world.streams[0]?.closed).toBe(true);
  });

  it("waits for no stream", async () => {
    const world = new World();
    world.mute = true;
    const { service } = world.service();
    service.conversation("bob").send("before connect");
    await world.settle();
    service.connect("ada");
    service.conversation("bob").send("while connecting");
    await world.settle();
    expect(sends(world).map((body) => body["text"])).toEqual(["before connect", "while connecting"]);
  });

  it("twenty messages while the server is away arrive in order, each once", async () => {
    const { world, bob, shown } = await chat();
    world.intercept = () => "network";
    await world.page("offline");
    for (let i = 0; i < 20; i++) bob.send(`text ${i}`);
    await world.pass(30_000);
    expect(bob.getSnapshot().pending).toHaveLength(20);
    world.intercept = null;
    await world.page("online");
    await world.pass(1000);
    expect(shown()).toEqual(Array.from({ length: 20 }, (_, i) => `text ${i}`));
  });

  it("an echo that overtakes its answer lets the next one go, and only that (order is kept)", async () => {
    const { world, bob } = await chat();
    world.intercept = ({ path }) => (path === "/send" ? "hang" : null);
    const first = bob.send("first");
    bob.send("second");
    bob.send("third");
    await world.settle();
    world.says("ada", "bob", "first", first);
    await world.pass(5000);
    expect(sends(world).map((body) => body["text"])).toEqual(["first", "second"]);
  });

  it("one conversation does not wait for another", async () => {
    const { world, service, bob } = await chat();
    world.intercept = ({ body }) => (body["recipientId"] === "bob" ? "hang" : null);
    bob.send("stuck");
    service.conversation("cy").send("through");
    await world.settle();
    expect(
      service
        .conversation("cy")
        .getSnapshot()
        .messages.map((one) => one.text),
    ).toEqual(["through"]);
  });

  it("a send that is never answered is given up after its time and repeated", async () => {
    const { world, bob, shown } = await chat();
    world.intercept = ({ path }) => (path === "/send" ? "hang" : null);
    bob.send("slow");
    await world.pass(14_000);
    world.intercept = null;
    await world.pass(3000);
    expect(shown()).toEqual(["slow"]);
    expect(sends(world)).toHaveLength(2);
  });

  // shows: behaviour/overload
  it("obeys Retry-After, also when the network comes back meanwhile", async () => {
    const { world, bob, shown } = await chat();
    world.intercept = ({ path }) => (path === "/send" ? problem(429, "too_many", { "retry-after": "20" }) : null);
    bob.send("later");
    await world.settle();
    world.intercept = null;
    await world.page("offline");
    await world.page("online");
    await world.pass(19_000);
    expect(sends(world)).toHaveLength(1);
    expect(bob.getSnapshot().pending[0]).toMatchObject({ state: "queued", error: { code: "too_many" } });
    await world.pass(6000);
    expect(shown()).toEqual(["later"]);
  });

  // shows: behaviour/refused-message
  it("a refusal keeps the message as failed, tells once, and lets the next one pass", async () => {
    const { world, bob, shown, notices } = await chat();
    world.intercept = ({ path, body }) =>
      path === "/send" && body["text"] === "bad" ? problem(422, "too_long") : null;
    const id = bob.send("bad");
    bob.send("good");
    await world.pass(60_000);
    expect(shown()).toEqual(["good", "bad (failed)"]);
    expect(bob.getSnapshot().pending[0]?.error).toEqual({ code: "too_long", message: "It is too_long." });
    expect(notices).toEqual([{ kind: "send_failed", message: "It is too_long." }]);
    world.intercept = null;
    bob.retry(id);
    await world.settle();
    expect(shown()).toEqual(["good", "bad"]);
    expect(sends(world).filter((body) => body["client_id"] === id)).toHaveLength(2);
  });

  it("a failed message can be discarded", async () => {
    const { world, bob, shown } = await chat();
    world.intercept = ({ path }) => (path === "/send" ? problem(403, "not_allowed") : null);
    const id = bob.send("no");
    await world.settle();
    bob.discard(id);
    expect(shown()).toEqual([]);
  });

  it("a reconnect and a new page do not wipe what is pending", async () => {
    const { world, bob, shown } = await chat();
    world.intercept = ({ path }) => (path === "/send" ? "network" : null);
    bob.send("kept");
    await world.settle();
    world.restore(0);
    world.stream("ada").cut();
    await world.pass(2000);
    expect(shown()[0]).toContain("kept");
  });

  it("a token that expired meanwhile is renewed, and the user sees nothing", async () => {
    const world = new World();
    let token = "good";
    const { service, notices } = world.service({
      getToken: ({ reason }) => (reason === "rejected" ? (token = world.token) : token),
    });
    service.connect("ada");
    await world.settle();
    world.token = "renewed";
    service.conversation("bob").send("hello");
    await world.settle();
    expect(service.conversation("bob").getSnapshot().messages).toHaveLength(1);
    expect(notices).toEqual([]);
  });

  it("a message that was unsent when the page went away is sent by the next one, under the same client_id", async () => {
    const world = new World();
    const storage = new MemoryStorage();
    const first = world.service({ storage });
    world.intercept = () => "network";
    first.service.connect("ada");
    const id = first.service.conversation("bob").send("from before");
    await world.settle();
    first.service.disconnect();
    world.intercept = null;
    const second = world.service({ storage });
    second.service.connect("ada");
    await world.settle();
    expect(
      second.service
        .conversation("bob")
        .getSnapshot()
        .messages.map((one) => one.client_id),
    ).toEqual([id]);
    expect(kept(storage)).toEqual([]);
  });

  it("a sign-out forgets what is unsent, in storage too", async () => {
    const world = new World();
    const storage = new MemoryStorage();
    const { service } = world.service({ storage });
    world.intercept = () => "network";
    service.connect("ada");
    service.conversation("bob").send("private");
    await world.settle();
    await service.signOut();
    expect([...storage.owners.keys()].filter((owner) => owner.endsWith(" ada"))).toEqual([]);
  });

  it("disconnect holds what is unsent until connect", async () => {
    const { world, service, bob } = await chat();
    service.disconnect();
    bob.send("held");
    await world.pass(60_000);
    expect(sends(world)).toEqual([]);
    expect(bob.getSnapshot().pending.map((one: PendingMessage) => one.state)).toEqual(["queued"]);
    service.connect("ada");
    await world.settle();
    expect(bob.getSnapshot().pending).toEqual([]);
  });
});

describe("a server that comes back sooner than it said", () => {
  it("gets at once what it refused while it went", async () => {
    const { world, bob, shown } = await chat();
    world.intercept = ({ path }) => (path === "/send" ? problem(503, "draining", { "Retry-After": "30" }) : null);
    bob.send("hello");
    await world.settle();
    world.intercept = null;
    world.stream("ada").frame("goodbye", { reason: "draining", retry_ms: 0 });
    await world.pass(100);
    expect(shown()).toEqual(["hello"]);
  });

  it("is waited for by who sends too fast", async () => {
    const { world, bob, shown } = await chat();
    world.intercept = ({ path }) => (path === "/send" ? problem(429, "rate_limited", { "Retry-After": "30" }) : null);
    bob.send("hello");
    await world.settle();
    world.intercept = null;
    world.stream("ada").frame("goodbye", { reason: "max_age", retry_ms: 0 });
    await world.pass(29_000);
    expect(shown()).toEqual(["hello (queued)"]);
  });
});

describe("a clock that is set back by a day", () => {
  // shows: behaviour/wrong-clock
  it("holds up neither receipts nor typing", async () => {
    const { world, bob } = await chat();
    world.says("bob", "ada", "one");
    await world.pass(100);
    bob.typing();
    world.wallAhead = -86_400_000;
    world.says("bob", "ada", "two");
    await world.pass(3500);
    bob.typing();
    await world.settle();
    expect(world.receipts.at(-1)).toEqual({ chatUserId: "bob", delivered_upto: 2 });
    expect(world.requests("POST", "/typing")).toHaveLength(2);
  });

  it("set forward, takes no message for one that waited for two days and was never tried", async () => {
    const { world, bob, shown } = await chat();
    world.intercept = ({ path }) => (path === "/send" && world.wallAhead === 0 ? "hang" : null);
    bob.send("first");
    bob.send("second");
    await world.settle();
    world.wallAhead = 3 * 86_400_000;
    world.intercept = null;
    await world.pass(20_000);
    expect(shown()).toEqual(["second", "first (failed)"]);
  });
});

describe("receipts", () => {
  it("tells that messages arrived: the highest only, at most once a second per conversation", async () => {
    const { world } = await chat();
    for (let i = 0; i < 10; i++) world.says("bob", "ada", `text ${i}`);
    await world.pass(1);
    for (let i = 0; i < 10; i++) {
      world.says("bob", "ada", `more ${i}`);
      await world.pass(50);
    }
    await world.pass(2000);
    expect(world.receipts).toEqual([
      { chatUserId: "bob", delivered_upto: 10 },
      { chatUserId: "bob", delivered_upto: 20 },
    ]);
    const [first, second] = world.requests("POST", "/receipts");
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(1000);
  });

  it("tells it for conversations that no screen shows, and not for own messages", async () => {
    const { world, service } = await chat();
    world.says("cy", "ada", "hi");
    world.says("ada", "cy", "hi yourself");
    await world.pass(3000);
    expect(world.receipts).toEqual([{ chatUserId: "cy", delivered_upto: 1 }]);
    service.disconnect();
  });

  it("tells it for what a history or an inbox brings", async () => {
    const world = new World();
    world.says("bob", "ada", "one");
    world.says("cy", "ada", "two");
    const { service } = world.service();
    service.connect("ada");
    await service.inbox.load();
    await service.conversation("bob").load();
    await world.pass(3000);
    expect(world.receipts.map(({ chatUserId }) => chatUserId).sort()).toEqual(["bob", "cy"]);
  });

  it("marks as read once, not beyond the last message, and shows it when the server has it", async () => {
    const { world, bob } = await chat();
    world.says("bob", "ada", "one");
    await world.pass(1500);
    bob.markRead(99);
    bob.markRead(1);
    expect(bob.getSnapshot().watermarks.read_upto).toBe(0);
    await world.pass(1500);
    bob.markRead(1);
    await world.pass(3000);
    expect(world.receipts).toEqual([
      { chatUserId: "bob", delivered_upto: 1 },
      { chatUserId: "bob", read_upto: 1 },
    ]);
    expect(bob.getSnapshot().watermarks.read_upto).toBe(1);
    expect(bob.getSnapshot().messages[0]?.read).toBe(true);
  });

  it("a receipt that got lost is told again, and then the highest", async () => {
    const { world } = await chat();
    world.intercept = ({ path }) => (path === "/receipts" ? "network" : null);
    world.says("bob", "ada", "one");
    await world.pass(100);
    world.says("bob", "ada", "two");
    world.intercept = null;
    await world.pass(5000);
    expect(world.receipts.at(-1)).toEqual({ chatUserId: "bob", delivered_upto: 2 });
  });

  it("a receipt that is refused is not told again", async () => {
    const { world } = await chat();
    world.intercept = ({ path }) => (path === "/receipts" ? problem(404, "not_found") : null);
    world.says("bob", "ada", "one");
    await world.pass(30_000);
    expect(world.receipts).toHaveLength(1);
  });
});

describe("many conversations", () => {
  // shows: behaviour/receipts-first
  it("read receipts go out before hundreds of delivered ones, and those in a few requests", async () => {
    const world = new World();
    for (let i = 0; i < 650; i++) world.says(`peer ${i}`, "ada", "hi");
    const { service } = world.service();
    service.connect("ada");
    await world.settle();
    const opened = service.conversation("peer 649");
    await opened.load();
    let answer = (_: Response) => {};
    world.intercept = ({ path }) => (path === "/receipts" ? new Promise<Response>((done) => (answer = done)) : null);
    for (let i = 0; i < 650; i++) void service.conversation(`peer ${i}`).load();
    await world.settle();
    opened.markRead(1);
    await world.pass(5000);
    world.intercept = null;
    answer(problem(429, "rate_limited", { "Retry-After": "1" }));
    await world.pass(5000);
    const told = world.requests("POST", "/receipts").map(({ body }) => body["receipts"] as Receipt[]);
    expect(told[1]?.[0]).toEqual({ chatUserId: "peer 649", delivered_upto: 1, read_upto: 1 });
    expect(told.slice(1).map((each) => each.length)).toEqual([100, 100, 100, 100, 100, 100, 50]);
  });

  it.each(["hidden", "frozen"] as const)(
    "a page that is %s tells at once what was read, and does not take it back",
    async (event) => {
      const world = new World();
      world.says("bob", "ada", "one");
      const { service } = world.service();
      service.connect("ada");
      const bob = service.conversation("bob");
      await bob.load();
      await world.pass(10);
      const before = world.receipts.length;
      let aborted = 0;
      world.onAbort = () => (aborted += 1);
      world.intercept = ({ path }) => (path === "/receipts" ? "hang" : null);
      bob.markRead(1);
      void world.page(event);
      await world.settle();
      expect(world.receipts.slice(before)).toEqual([{ chatUserId: "bob", read_upto: 1 }]);
      expect(world.requests("POST", "/receipts").at(-1)?.keepalive).toBe(true);
      expect(aborted).toBe(event === "frozen" ? 1 : 0); // the stream
    },
  );
});

describe("typing", () => {
  it("is told at most every three seconds", async () => {
    const { world, bob } = await chat();
    for (let i = 0; i < 10; i++) {
      bob.typing();
      await world.pass(500);
    }
    expect(world.requests("POST", "/typing")).toHaveLength(2);
  });

  it("shows for five seconds, or until the message is there", async () => {
    const { world, bob } = await chat();
    const typing = () => bob.getSnapshot().peerTyping;
    world.stream("ada").frame("typing", { chat_user_id: "bob" });
    await world.settle();
    expect(typing()).toBe(true);
    await world.pass(4900);
    expect(typing()).toBe(true);
    await world.pass(100);
    expect(typing()).toBe(false);
    world.stream("ada").frame("typing", { chat_user_id: "bob" });
    await world.settle();
    world.says("bob", "ada", "done");
    await world.settle();
    expect(typing()).toBe(false);
  });
});

describe("the inbox", () => {
  it("counts what arrives while it is being loaded, once", async () => {
    const world = new World();
    world.says("bob", "ada", "one");
    const { service } = world.service();
    service.connect("ada");
    await world.settle();
    const loading = service.inbox.load();
    world.says("bob", "ada", "two");
    await loading;
    await world.settle();
    expect(service.inbox.getSnapshot().entries.map((one) => one.unread)).toEqual([2]);
    world.says("bob", "ada", "three");
    await world.settle();
    expect(service.inbox.getSnapshot().entries.map((one) => one.unread)).toEqual([3]);
  });

  it("counts what arrives between the reading of a page and its arrival", async () => {
    const { world, service } = await chat();
    world.says("bob", "ada", "one");
    await world.settle();
    let release: (response: Response) => void = () => undefined;
    const late = new Promise<Response>((resolve) => (release = resolve));
    const read = world.answerTo("/inbox/ada");
    world.intercept = ({ path }) => (path === "/inbox/ada" ? late : null);
    const loading = service.inbox.load();
    world.says("bob", "ada", "two");
    await world.settle();
    release(read);
    await loading;
    expect(service.inbox.getSnapshot().entries[0]).toMatchObject({ unread: 2, lastMessage: { text: "two" } });
  });

  it("learns the name of somebody new", async () => {
    const { world, service } = await chat();
    await service.inbox.load();
    world.says("dee", "ada", "hello");
    await world.settle();
    expect(service.inbox.getSnapshot().entries[0]).toMatchObject({ user: { name: "DEE" }, unread: 1 });
  });

  it("keeps its snapshot while nothing changes", async () => {
    const { world, service, bob } = await chat();
    await service.inbox.load();
    const before = [service.inbox.getSnapshot(), bob.getSnapshot(), service.connection.getSnapshot()];
    world.stream("ada").frame("heartbeat", { cursor: cursorAt(0) });
    await world.settle();
    expect([service.inbox.getSnapshot(), bob.getSnapshot(), service.connection.getSnapshot()]).toEqual(before);
    expect(service.connection.getSnapshot()).toBe(before[2]);
    expect(bob.getSnapshot()).toBe(before[1]);
  });
});
