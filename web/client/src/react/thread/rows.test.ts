import { describe, expect, it } from "vitest";
import type { Message, PendingMessage } from "../../types.js";
import { rowsOf, unreadOf, type Row, type ThreadContent } from "./rows.js";

const NOON = Date.parse("2026-03-10T12:00:00.000Z");

function message(seq: number, from: "ada" | "ben", minutes: number, more: Partial<Message> = {}): Message {
  return {
    _id: `id-${seq}`,
    seq,
    sender_id: from,
    recipient_id: from === "ada" ? "ben" : "ada",
    text: `text ${seq}`,
    message_type: "text",
    sent: true,
    delivered: false,
    read: false,
    createdAt: new Date(NOON + minutes * 60_000).toISOString(),
    client_id: from === "ada" ? `client-${seq}` : null,
    ...more,
  };
}

function pending(clientId: string, state: PendingMessage["state"], minutes: number): PendingMessage {
  return {
    client_id: clientId,
    recipient_id: "ben",
    text: clientId,
    message_type: "text",
    createdAt: new Date(NOON + minutes * 60_000).toISOString(),
    state,
    attempts: state === "queued" ? 0 : 1,
    error: state === "failed" ? { code: "too_many_requests", message: "Too many messages" } : null,
  };
}

/** What ada sees of her conversation with ben. */
function content(more: Partial<ThreadContent>): ThreadContent {
  return {
    peerId: "ben",
    messages: [],
    pending: [],
    watermarks: { read_upto: 0, delivered_upto: 0, peer_read_upto: 0, peer_delivered_upto: 0 },
    hasOlder: false,
    ...more,
  };
}

/** Rows in short: the day, the line, and each bubble with its place in the group. */
function picture(rows: readonly Row[]): string[] {
  return rows.map((row) => {
    if (row.kind !== "bubble") return row.kind === "unread" ? `unread ${row.count ?? "?"}` : row.kind;
    const { own, text, first, last } = row.bubble;
    return `${own ? "own" : "other"} ${text}${first ? " first" : ""}${last ? " last" : ""}`;
  });
}

describe("rows of a thread", () => {
  it("groups neighbours of one sender within five minutes", () => {
    const messages = [message(1, "ben", 0), message(2, "ben", 4), message(3, "ben", 10), message(4, "ada", 11)];
    expect(picture(rowsOf(content({ messages }), null))).toEqual([
      "day",
      "other text 1 first",
      "other text 2 last",
      "other text 3 first last",
      "own text 4 first last",
    ]);
  });

  it("opens a day before its first message, and not again when a clock went back", () => {
    const messages = [message(1, "ben", 0), message(2, "ben", 1440), message(3, "ben", 1), message(4, "ben", 1441)];
    expect(picture(rowsOf(content({ messages }), null)).filter((row) => row === "day")).toHaveLength(2);
  });

  it("draws the unread line before the first unread message of the other, never before an own one", () => {
    const messages = [message(1, "ben", 0), message(2, "ada", 1), message(3, "ben", 2), message(4, "ben", 3)];
    const watermarks = { read_upto: 1, delivered_upto: 4, peer_read_upto: 0, peer_delivered_upto: 0 };
    const thread = content({ messages, watermarks });
    expect(picture(rowsOf(thread, unreadOf(thread)))).toEqual([
      "day",
      "other text 1 first last",
      "own text 2 first last",
      "unread 2",
      "other text 3 first",
      "other text 4 last",
    ]);
  });

  it("keeps the number of unread messages that it had when the conversation was opened", () => {
    const opened = content({ messages: [message(1, "ben", 0)] });
    const unread = unreadOf(opened);
    const later = content({ messages: [...opened.messages, message(2, "ben", 1)] });
    expect(picture(rowsOf(later, unread))).toContain("unread 1");
  });

  it("says no number while older unread messages are not loaded", () => {
    const thread = content({ messages: [message(40, "ben", 0)], hasOlder: true });
    expect(picture(rowsOf(thread, unreadOf(thread)))).toContain("unread ?");
  });

  it("has nothing unread where all messages are own or read", () => {
    expect(unreadOf(content({ messages: [message(1, "ada", 0)] }))).toBeNull();
  });

  it("puts what is not acknowledged last, and breaks the group at what failed", () => {
    const thread = content({
      messages: [message(1, "ada", 0)],
      pending: [pending("a", "failed", 1), pending("b", "queued", 1), pending("c", "sending", 1)],
    });
    expect(picture(rowsOf(thread, null))).toEqual([
      "day",
      "own text 1 first last",
      "own a first last",
      "own b first",
      "own c last",
    ]);
  });

  it("keeps the key of a message when it is acknowledged, and shows it once", () => {
    const before = rowsOf(content({ pending: [pending("client-1", "sending", 0)] }), null);
    const both = content({ messages: [message(1, "ada", 0)], pending: [pending("client-1", "sending", 0)] });
    const after = rowsOf(both, null);
    expect(after.map((row) => row.key)).toEqual(before.map((row) => row.key));
  });

  it.each([
    [{ peer_delivered_upto: 0, peer_read_upto: 0 }, {}, "sent"],
    [{ peer_delivered_upto: 1, peer_read_upto: 0 }, {}, "delivered"],
    [{ peer_delivered_upto: 1, peer_read_upto: 1 }, {}, "read"],
    [{ peer_delivered_upto: 0, peer_read_upto: 0 }, { delivered: true }, "delivered"],
    [{ peer_delivered_upto: 0, peer_read_upto: 0 }, { delivered: true, read: true }, "read"],
  ])("takes the further of watermark %o and message %o: %s", (marks, flags, tick) => {
    const watermarks = { read_upto: 0, delivered_upto: 0, ...marks };
    const rows = rowsOf(content({ messages: [message(1, "ada", 0, flags)], watermarks }), null);
    expect(rows.map((row) => (row.kind === "bubble" ? row.bubble.tick : null))).toEqual([null, tick]);
  });

  it("shows a system message between groups and an unknown type as text", () => {
    const messages = [
      message(1, "ben", 0),
      message(2, "ben", 1, { message_type: "system", text: "Ben joined" }),
      message(3, "ben", 2, { message_type: "order" }),
    ];
    expect(picture(rowsOf(content({ messages }), null))).toEqual([
      "day",
      "other text 1 first last",
      "system",
      "other text 3 first last",
    ]);
  });

  it("look the same in a part of the conversation as in all of it", () => {
    const messages = Array.from({ length: 60 }, (_, at) =>
      message(
        at + 1,
        at % 7 < 4 ? "ben" : "ada",
        at * (at % 5 === 0 ? 300 : 2),
        at === 30 ? { message_type: "system" } : {},
      ),
    );
    const of = content({ messages, pending: [pending("p1", "queued", 20_000)] });
    const unread = { after: 20, upto: 60 };
    const all = rowsOf(of, unread);
    for (let start = 0; start < 60; start += 3) {
      for (const end of [start + 1, start + 17, 60]) {
        if (end > 60) continue;
        const part = rowsOf(of, unread, { start, end });
        const at = all.findIndex((row) => row.key === part[0]?.key);
        expect(part).toEqual(all.slice(at, at + part.length));
        const shown = part.filter((row) => row.kind === "bubble" || row.kind === "system").length;
        expect(shown).toBe(end - start + (end === 60 ? 1 : 0));
      }
    }
  });
});
