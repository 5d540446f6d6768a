import { describe, expect, it } from "vitest";
import {
  applyBlocked,
  applyInboxEvent,
  applyPage,
  applySent,
  EMPTY_INBOX,
  unreadOf,
  type InboxState,
} from "../src/state/inbox.js";
import type { Message } from "../src/types.js";
import type { InboxPage } from "../src/wire/shapes.js";
import { cursorAt, eventOf, Ledger, seeded } from "./ledger.js";

const person = (id: string) => ({ id, name: id.toUpperCase(), avatar_url: null });
const marks = (read_upto = 0) => ({ read_upto, delivered_upto: read_upto, peer_read_upto: 0, peer_delivered_upto: 0 });

function message(seq: number, from: string, to: string, minute = seq): Message {
  return {
    _id: `${from}-${to}-${seq}`,
    seq,
    sender_id: from,
    recipient_id: to,
    text: "hello",
    message_type: "text",
    sent: true,
    delivered: false,
    read: false,
    createdAt: `2026-01-01T00:${String(minute).padStart(2, "0")}:00.000Z`,
    client_id: null,
  };
}

function row(peer: string, last: Message, unread: number, read_upto = 0, position = 1): InboxPage["conversations"][0] {
  return {
    user: person(peer),
    last_message: last,
    unread,
    watermarks: marks(read_upto),
    updatedAt: last.createdAt,
    position,
    blocked: false,
  };
}

const page = (at: number, ...conversations: InboxPage["conversations"]): InboxPage => ({
  conversations,
  has_more: false,
  cursor: cursorAt(at),
  before: conversations.at(-1)?.position ?? null,
  unread_total: conversations.reduce((sum, { unread }) => sum + unread, 0),
});

const arrives = (state: InboxState, at: number, of: Message, peer: string) =>
  applyInboxEvent(state, eventOf({ id: cursorAt(at), type: "new_message", data: of }, peer));

const reads = (state: InboxState, at: number, by: string, upto: number) =>
  applyInboxEvent(state, eventOf({ id: cursorAt(at), type: "message_read", data: { chat_user_id: "bob", by, upto } }));

const summary = (state: InboxState) => state.rows.map((one) => [one.user.id, one.unread, one.lastMessage?.seq]);

describe("the inbox", () => {
  const start = applyPage(
    EMPTY_INBOX,
    page(5, row("bob", message(3, "bob", "ada", 3), 1, 2), row("cy", message(1, "cy", "ada", 1), 0, 1)),
    false,
  );

  it("counts a message of the other side and brings the conversation to the top", () => {
    const state = arrives(start, 6, message(2, "cy", "ada", 9), "cy");
    expect(summary(state)).toEqual([
      ["cy", 1, 2],
      ["bob", 1, 3],
    ]);
  });

  it("does not count own messages", () => {
    expect(summary(arrives(start, 6, message(4, "ada", "bob", 9), "bob"))[0]).toEqual(["bob", 1, 4]);
  });

  it("ignores events that the entry was read after", () => {
    expect(arrives(start, 5, message(3, "bob", "ada"), "bob")).toBe(start);
  });

  it("own reading to the end sets the count to zero", () => {
    expect(summary(reads(start, 6, "ada", 3))[0]).toEqual(["bob", 0, 3]);
  });

  it("own reading to the middle cannot be counted here, so it is loaded again", () => {
    const more = arrives(start, 6, message(4, "bob", "ada", 4), "bob");
    const state = reads(more, 7, "ada", 3);
    expect(state.stale).toBe(true);
  });

  it("reading by the other side raises a watermark and counts nothing", () => {
    const state = reads(start, 6, "bob", 3);
    expect(state.rows[0]?.watermarks.peer_read_upto).toBe(3);
    expect(state.rows[0]?.unread).toBe(1);
    expect(state.stale).toBe(false);
  });

  it("the last message shows that it was read", () => {
    const own = arrives(start, 6, message(4, "ada", "bob", 9), "bob");
    expect(reads(own, 7, "bob", 4).rows[0]?.lastMessage).toMatchObject({ delivered: true, read: true });
  });

  it("a message of somebody new makes an entry at once, and the name is loaded", () => {
    const state = arrives(start, 6, message(1, "dee", "ada", 9), "dee");
    expect(summary(state)[0]).toEqual(["dee", 1, 1]);
    expect(state.stale).toBe(true);
  });

  it("the answer to a send and its echo are one", () => {
    const sent = message(4, "ada", "bob", 9);
    const state = arrives(applySent(start, sent), 6, sent, "bob");
    expect(summary(state)[0]).toEqual(["bob", 1, 4]);
  });

  describe("with conversations that are not loaded", () => {
    const more = applyPage(
      start,
      { ...page(5, row("bob", message(3, "bob", "ada", 3), 1, 2)), unread_total: 41 },
      false,
    );

    it("counts them as unread", () => expect(unreadOf(more)).toBe(41));

    it("counts a message of one of them once more, and what a page of them brings no more than once", () => {
      const arrived = arrives(more, 6, message(9, "zoe", "ada", 9), "zoe");
      expect(unreadOf(arrived)).toBe(42);
      const known = { ...page(6, row("zoe", message(9, "zoe", "ada", 9), 40, 1)), unread_total: 42 };
      expect(unreadOf(applyPage(arrived, known, true))).toBe(42);
    });

    it("has the server count when one of them was read elsewhere, or is blocked", () => {
      const data = { chat_user_id: "zoe", by: "ada", upto: 9 };
      const read = eventOf({ id: cursorAt(6), type: "message_read", data });
      expect(applyInboxEvent(more, read).stale).toBe(true);
      expect(applyBlocked(more, "zoe", true).stale).toBe(true);
      expect(applyInboxEvent(start, read)).toBe(start);
    });
  });

  it("a further page knows its own position", () => {
    const state = applyPage(start, page(9, row("dee", message(1, "dee", "ada", 0), 1)), true);
    expect(arrives(state, 8, message(1, "dee", "ada", 0), "dee")).toBe(state);
    expect(summary(arrives(state, 8, message(4, "bob", "ada", 9), "bob"))[0]).toEqual(["bob", 2, 4]);
  });

  it.each(Array.from({ length: 20 }, (_, seed) => seed + 1))(
    "replay from any snapshot equals the snapshot at the head, or says that it does not know (seed %i)",
    (seed) => {
      const random = seeded(seed);
      const ledger = new Ledger(random).write(40);
      const from = Math.floor(random() * ledger.head);
      let state = applyPage(EMPTY_INBOX, ledger.inbox(from), false);
      ledger.events.forEach((event, index) => {
        state = applyInboxEvent(state, eventOf(event));
        if (state.stale) state = applyPage(state, ledger.inbox(index + 1), false);
      });
      const head = applyPage(EMPTY_INBOX, ledger.inbox(ledger.head), false).rows[0];
      expect(state.rows[0]?.unread).toBe(head?.unread);
      expect(state.rows[0]?.watermarks).toEqual(head?.watermarks);
      expect(state.rows[0]?.lastMessage?.seq).toBe(head?.lastMessage?.seq);
    },
  );
});
