import type { Message, Watermarks } from "../src/types.js";
import { readEvent, type ConversationEvent } from "../src/wire/events.js";
import type { Frame, HistoryPage, InboxPage } from "../src/wire/shapes.js";

/** Draws from [0, 1) that a seed repeats. */
export function seeded(seed: number): () => number {
  let state = (seed * 2_654_435_761) % 2_147_483_647 || 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/** A log of ada's, with one conversation (bob), and the snapshots that a server would read at any position. */
export class Ledger {
  readonly events: Frame[] = [];
  readonly #messages: Message[] = [];

  constructor(private readonly random: () => number) {}

  get head(): number {
    return this.events.length;
  }

  write(count: number): this {
    for (let i = 0; i < count; i++) this.next();
    return this;
  }

  /** One more event: a message of either side, or a receipt of either side that tells something new. */
  next(): Frame {
    const marks = this.#marks(this.head);
    const position = this.head + 1;
    const at = "2026-01-01T00:00:00.000Z";
    const draw = this.random();
    const last = this.#messages.length;
    const receipt = (type: string, by: string, above: number): Frame | null => {
      if (above >= last) return null;
      const upto = above + 1 + Math.floor(this.random() * (last - above));
      return { id: cursorAt(position), type, data: { chat_user_id: "bob", by, upto, at } };
    };
    let frame: Frame | null = null;
    if (draw < 0.15) frame = receipt("message_delivered", "bob", marks.peer_delivered_upto);
    else if (draw < 0.3) frame = receipt("message_read", "bob", marks.peer_read_upto);
    else if (draw < 0.45) frame = receipt("message_read", "ada", marks.read_upto);
    if (!frame) {
      const by = this.random() < 0.5 ? "ada" : "bob";
      const message: Message = {
        _id: `m${last + 1}`,
        seq: last + 1,
        sender_id: by,
        recipient_id: by === "ada" ? "bob" : "ada",
        text: `text ${last + 1}`,
        message_type: "text",
        sent: true,
        delivered: false,
        read: false,
        createdAt: new Date(1_767_225_600_000 + position * 1000).toISOString(),
        client_id: by === "ada" ? `c${last + 1}` : null,
      };
      this.#messages.push(message);
      frame = { id: cursorAt(position), type: "new_message", data: message };
    }
    this.events.push(frame);
    return frame;
  }

  /** The whole history as read at `position`. */
  page(position: number): HistoryPage {
    const watermarks = this.#marks(position);
    const messages = this.events
      .slice(0, position)
      .filter((frame) => frame.type === "new_message")
      .map((frame) => {
        const message = frame.data as Message;
        const theirs = message.sender_id === "bob";
        const read = message.seq <= (theirs ? watermarks.read_upto : watermarks.peer_read_upto);
        const delivered = message.seq <= (theirs ? watermarks.delivered_upto : watermarks.peer_delivered_upto);
        return { ...message, read, delivered };
      });
    const user = { id: "bob", name: "bob", avatar_url: null };
    return { messages, has_more: false, cursor: cursorAt(position), watermarks, user, blocked: false };
  }

  /** The inbox as read at `position`. */
  inbox(position: number): InboxPage {
    const { messages, watermarks, user, cursor } = this.page(position);
    const last_message = messages.at(-1);
    if (!last_message) return { conversations: [], has_more: false, cursor, before: null, unread_total: 0 };
    const unread = messages.filter((one) => one.sender_id === "bob" && one.seq > watermarks.read_upto).length;
    const updatedAt = last_message.createdAt;
    const row = { user, last_message, unread, watermarks, updatedAt, position, blocked: false };
    return { conversations: [row], has_more: false, cursor, before: position, unread_total: unread };
  }

  #marks(position: number): Watermarks {
    const marks = { read_upto: 0, delivered_upto: 0, peer_read_upto: 0, peer_delivered_upto: 0 };
    for (const { type, data } of this.events.slice(0, position)) {
      if (type === "new_message") continue;
      const { by, upto } = data as { by: string; upto: number };
      const side = by === "bob" ? "peer_" : "";
      marks[`${side}delivered_upto`] = Math.max(marks[`${side}delivered_upto`], upto);
      if (type === "message_read") marks[`${side}read_upto`] = Math.max(marks[`${side}read_upto`], upto);
    }
    return marks;
  }
}

/** What the reducers are given of this frame, which is an event of the conversation with `peerId`. */
export function eventOf(frame: Frame, peerId = "bob"): ConversationEvent {
  return readEvent(frame, () => peerId) as ConversationEvent;
}

export function cursorAt(position: number, epoch = "e"): string {
  return `${epoch}-${position}-${position === 0 ? "0" : (position * 7).toString(16)}`;
}
