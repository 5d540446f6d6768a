import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as wire from "../src/wire/shapes.js";

const watermarks = { read_upto: 1, delivered_upto: 2, peer_read_upto: 1, peer_delivered_upto: 1 };
const user = { id: "ben", name: "Ben", avatar_url: null, online: true };
const message = {
  _id: "m1",
  seq: 1,
  sender_id: "ben",
  recipient_id: "ada",
  text: "hi",
  message_type: "text",
  sent: true,
  delivered: false,
  read: false,
  createdAt: "2026-01-01T00:00:00.000Z",
  client_id: null,
};
const sent = { client_id: "c1", recipient_id: "ben", sender_id: "ada" };
const cursor = "e-1-a";
const row = { user, last_message: message, unread: 1, watermarks, updatedAt: message.createdAt, position: 1 };
const event = { id: cursor, type: "new_message", data: message };
const connected = { user_id: "ada", cursor, resumed: true, heartbeat_ms: 15_000, limits: { text_bytes: 16_384 } };

/** Each reader, something that it reads, and what must then be true of what it gives. */
const READERS: [string, (value: unknown) => unknown, object, (read: never) => unknown[]][] = [
  ["connected", wire.readConnected, connected, (of: wire.Connected) => [of.user_id, of.cursor]],
  ["goodbye", wire.readGoodbye, { reason: "draining", retry_ms: 5 }, (of: { reason: string }) => [of.reason]],
  ["cursor", wire.readCursor, { cursor }, (of: string) => [of]],
  ["message", wire.readMessage, message, (of: typeof message) => [of._id, of.sender_id, of.text, of.createdAt]],
  [
    "receipt",
    wire.readReceipt,
    { chat_user_id: "b", by: "a", upto: 1 },
    (of: wire.Receipt) => [of.chat_user_id, of.by],
  ],
  ["typing", wire.readTyping, { chat_user_id: "ben" }, (of: string) => [of]],
  ["presence", wire.readPresence, { chat_user_id: "b", online: true }, (of: wire.Receipt) => [of.chat_user_id]],
  [
    "profile",
    wire.readProfile,
    { chat_user_id: "b", name: "Ben", avatar_url: null },
    (of: typeof user) => [of.id, of.name],
  ],
  ["answer of presence", wire.readPresenceAnswer, { online: true, watch_s: 60 }, () => []],
  ["person", wire.readPerson, user, (of: typeof user) => [of.id, of.name]],
  [
    "answer of receipts",
    (body) => wire.readReceiptAnswer(body, ["b"]),
    { receipts: [{ chatUserId: "b", watermarks }] },
    () => [],
  ],
  [
    "sent",
    (body) => wire.readSent(body, sent, "ada"),
    { success: true, message: { ...message, ...sent } },
    (of: typeof message) => [of._id, of.text],
  ],
  [
    "history",
    (body) => wire.readHistory(body, user.id),
    { messages: [message], has_more: false, cursor, watermarks, user, blocked: false },
    (of: wire.HistoryPage) => [of.cursor, of.user.id, of.user.name, ...of.messages.map(({ text }) => text)],
  ],
  [
    "inbox",
    wire.readInbox,
    { conversations: [row, { ...row, last_message: null }], has_more: true, cursor },
    (of: wire.InboxPage) => [of.cursor, ...of.conversations.map((each) => each.user.name)],
  ],
  [
    "events",
    wire.readEvents,
    { events: [event, { ...event, id: null }], cursor, has_more: false, reset: { reason: "expired", cursor } },
    (of: wire.EventsPage) => [of.cursor, of.reset?.cursor ?? "", ...of.events.map(({ type }) => type)],
  ],
];

/** The value, with what stands at one of its places replaced, or taken away for `undefined`; places by number. */
function changed(value: unknown, place: number, instead: unknown): unknown {
  let left = place;
  const visit = (at: unknown): unknown => {
    if (left-- === 0) return instead;
    if (Array.isArray(at)) return at.map(visit);
    if (typeof at !== "object" || at === null) return at;
    return Object.fromEntries(
      Object.entries(at)
        .map(([name, inner]) => [name, visit(inner)])
        .filter(([, inner]) => inner !== undefined),
    );
  };
  return visit(value);
}

describe("what comes over the wire", () => {
  it.each(READERS)("a good %s is read, with texts where texts are promised", (_name, read, good, texts) => {
    for (const each of texts(read(good) as never)) expect(each).toBeTypeOf("string");
  });

  it.each(READERS)("a %s of anything is read as promised, or is a violation", (_name, read, good, texts) => {
    const anything = fc.oneof(fc.jsonValue(), fc.constant(undefined), fc.constantFrom(NaN, Infinity, "__proto__", []));
    const near = fc.tuple(fc.nat({ max: 60 }), anything).map(([place, instead]) => changed(good, place, instead));
    fc.assert(
      fc.property(fc.oneof(anything, near), (value) => {
        let given: unknown;
        try {
          given = read(value);
        } catch (error) {
          expect(error).toBeInstanceOf(wire.ProtocolViolation);
          return;
        }
        for (const each of texts(given as never)) expect(each).toBeTypeOf("string");
      }),
      { numRuns: 200 },
    );
  });

  it("a frame of any text is a frame or a violation, and changes no object's prototype", () => {
    const text = fc.oneof(fc.string(), fc.json(), fc.constant('{"type":"x","__proto__":{"polluted":1},"data":{}}'));
    fc.assert(
      fc.property(text, fc.option(fc.string()), (json, id) => {
        try {
          expect(wire.readFrame(json, id).type).toBeTypeOf("string");
        } catch (error) {
          expect(error).toBeInstanceOf(wire.ProtocolViolation);
        }
        expect({}).not.toHaveProperty("polluted");
      }),
      { numRuns: 300 },
    );
  });
});
