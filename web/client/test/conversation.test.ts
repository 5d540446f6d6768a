import { describe, expect, it } from "vitest";
import { applyEvent, applyMessage, applyNewest, applyOlder, emptyConversation } from "../src/state/conversation.js";
import type { Message, Watermarks } from "../src/types.js";
import { readEvent, type ConversationEvent } from "../src/wire/events.js";
import type { Frame, HistoryPage } from "../src/wire/shapes.js";
import { eventOf, Ledger, seeded } from "./ledger.js";
import { readVectors } from "./vectors.js";

type Page = Omit<HistoryPage, "user" | "blocked">;
type Step = { snapshot: Page } | { older: Page } | { event: Frame } | { reply: Message } | { reset: true };

interface Case {
  name: string;
  me: string;
  peer: string;
  steps: Step[];
  expect: { messages: Partial<Message>[]; watermarks: Watermarks; has_older?: boolean; stale?: boolean };
}

const vectors = readVectors<{ message_defaults: Partial<Message>; cases: Case[] }>("conversation");

function replay(given: Case) {
  const complete = (message: Message): Message => ({ ...vectors.message_defaults, ...message });
  const page = (of: Page): HistoryPage => ({
    ...of,
    messages: of.messages.map(complete),
    user: { id: given.peer, name: given.peer, avatar_url: null },
    blocked: false,
  });
  let state = emptyConversation(given.peer);
  let renewed: typeof state | null = null;
  for (const step of given.steps) {
    if ("snapshot" in step) {
      state = applyNewest(renewed ?? state, page(step.snapshot));
      renewed = null;
    } else if ("older" in step) {
      state = applyOlder(state, page(step.older));
    } else if ("reset" in step) {
      renewed = emptyConversation(given.peer);
    } else {
      const apply = (to: typeof state) => {
        if ("reply" in step) return applyMessage(to, complete(step.reply));
        const { event } = step;
        const data = event.type === "new_message" ? complete(event.data as Message) : event.data;
        const read = readEvent({ ...event, data }, () => given.peer);
        return read.type === "other" ? to : applyEvent(to, read as ConversationEvent);
      };
      state = apply(state);
      if (renewed) renewed = apply(renewed);
    }
  }
  return state;
}

describe("one conversation", () => {
  it.each(vectors.cases)("$name", (given) => {
    const state = replay(given);
    const { messages, watermarks, has_older, stale } = given.expect;
    expect(state.messages).toHaveLength(messages.length);
    expect(state.messages).toMatchObject(messages);
    expect(state.watermarks).toEqual(watermarks);
    if (has_older !== undefined) expect(state.hasOlder).toBe(has_older);
    if (stale !== undefined) expect(state.stale).toBe(stale);
  });

  it("messages that nothing happened to stay the same objects", () => {
    const ledger = new Ledger(seeded(3)).write(20);
    const before = applyNewest(emptyConversation("bob"), ledger.page(20));
    const after = applyEvent(before, eventOf(ledger.next()));
    const kept = after.messages.filter((message) => before.messages.includes(message));
    expect(kept.length).toBeGreaterThan(0);
  });
});

describe("replay (I4)", () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed + 1))(
    "from any snapshot, with doubles, late and swapped, equals the snapshot at the head (seed %i)",
    (seed) => {
      const random = seeded(seed);
      const ledger = new Ledger(random).write(60);
      const head = applyNewest(emptyConversation("bob"), ledger.page(ledger.head));
      const from = Math.floor(random() * ledger.head);
      // Everything after the snapshot, some of what is before it, and some of it twice.
      const log = ledger.events.slice(Math.max(0, from - 5));
      const doubled = [...log, ...log.filter(() => random() < 0.3)].sort(() => random() - 0.5);
      const cut = Math.floor(random() * doubled.length);
      let state = emptyConversation("bob");
      for (const event of doubled.slice(0, cut)) state = applyEvent(state, eventOf(event));
      state = applyNewest(state, ledger.page(from));
      for (const event of doubled.slice(cut)) state = applyEvent(state, eventOf(event));
      expect(state.messages).toEqual(head.messages);
      expect(state.watermarks).toEqual(head.watermarks);
    },
  );
});
