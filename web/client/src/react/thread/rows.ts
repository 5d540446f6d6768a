/**
 * What a thread shows, row by row, computed from a snapshot: pure, so that grouping can be read and tested without a page.
 *
 * Rules: order is `seq`, never the clock; what is not acknowledged comes last; a group is one sender, at most 5 minutes
 * between neighbours, one day, and no unread line, system message or failed send between.
 */
import type { ConversationSnapshot, Message, PendingMessage, Watermarks } from "../../types.js";
import type { Range } from "./thread-window.js";
import type { Tick } from "../words/en.js";
import { dayOf } from "../words/time-text.js";

const GROUP_GAP_MS = 5 * 60_000;

export interface Bubble {
  own: boolean;
  /** Its `message_type`; what a screen does not know it shows as text. */
  type: string;
  text: string;
  at: string;
  /** Null on the other's messages. */
  tick: Tick | null;
  /** Null while not acknowledged. */
  seq: number | null;
  clientId: string | null;
  /** Why it was not sent. */
  problem: string | null;
  /** The problem's code, by which it is said in other languages. */
  problemCode: string | null;
  first: boolean;
  last: boolean;
}

/** `key` names the message, not its state: a bubble keeps its key, and so its element, when it is acknowledged. */
export type Row =
  | { kind: "day"; key: string; at: string }
  | { kind: "unread"; key: string; count: number | null }
  | { kind: "system"; key: string; text: string; at: string }
  | { kind: "bubble"; key: string; bubble: Bubble };

/** The messages that were unread when a conversation was opened: those of the other with `after < seq <= upto`. */
export interface Unread {
  after: number;
  upto: number;
  /** How many they are, where the list of conversations has told. */
  listed?: number | undefined;
}

/** What is unread in a loaded conversation; null when nothing is. */
export function unreadOf(snapshot: ThreadContent): Unread | null {
  const after = snapshot.watermarks.read_upto;
  const incoming = snapshot.messages.filter((message) => message.sender_id === snapshot.peerId);
  const newest = incoming.at(-1);
  return newest && newest.seq > after ? { after, upto: newest.seq } : null;
}

function tickOf(message: Message, watermarks: Watermarks): Tick {
  if (message.read || message.seq <= watermarks.peer_read_upto) return "read";
  if (message.delivered || message.seq <= watermarks.peer_delivered_upto) return "delivered";
  return "sent";
}

function keyOf(message: Message): string {
  return message.client_id === null ? `m:${message._id}` : `c:${message.client_id}`;
}

function acknowledged(message: Message, peerId: string, watermarks: Watermarks): Bubble {
  const own = message.sender_id !== peerId;
  return {
    own,
    type: message.message_type,
    text: message.text,
    at: message.createdAt,
    tick: own ? tickOf(message, watermarks) : null,
    seq: message.seq,
    clientId: message.client_id,
    problem: null,
    problemCode: null,
    first: true,
    last: true,
  };
}

function unacknowledged(message: PendingMessage): Bubble {
  return {
    own: true,
    type: message.message_type,
    text: message.text,
    at: message.createdAt,
    tick: message.state === "queued" ? "waiting" : message.state,
    seq: null,
    clientId: message.client_id,
    problem: message.state === "failed" ? (message.error?.message ?? "") : null,
    problemCode: message.state === "failed" ? (message.error?.code ?? "") : null,
    first: true,
    last: true,
  };
}

function sameGroup(before: Bubble, after: Bubble): boolean {
  return (
    before.own === after.own &&
    before.tick !== "failed" &&
    after.tick !== "failed" &&
    Math.abs(Date.parse(after.at) - Date.parse(before.at)) <= GROUP_GAP_MS
  );
}

/** The part of a snapshot that rows are made of. */
export type ThreadContent = Pick<ConversationSnapshot, "peerId" | "messages" | "pending" | "watermarks" | "hasOlder">;

/**
 * The rows of a thread, oldest first: those of the messages in this range, and of what is pending where the range has the end.
 * A message's neighbours outside of it count, so that nothing changes its look when the range moves.
 */
export function rowsOf(
  snapshot: ThreadContent,
  unread: Unread | null,
  range: Range = { start: 0, end: snapshot.messages.length },
): Row[] {
  const { messages, peerId, watermarks } = snapshot;
  const rows: Row[] = [];
  let day = Number.NEGATIVE_INFINITY;
  let before: Bubble | null = null;
  let lineDrawn = false;

  const openDay = (at: string): void => {
    // Only a later day is a new one: a server whose clock was set back must not bring yesterday back.
    const next = dayOf(at);
    if (next > day) {
      rows.push({ kind: "day", key: `day:${next}`, at });
      day = next;
      before = null;
    }
  };
  const add = (key: string, bubble: Bubble): void => {
    if (before && sameGroup(before, bubble)) {
      before.last = false;
      bubble.first = false;
    }
    rows.push({ kind: "bubble", key, bubble });
    before = bubble;
  };
  const addMessage = (message: Message): void => {
    openDay(message.createdAt);
    if (unread && !lineDrawn && isUnread(message, unread, peerId)) {
      rows.push({ kind: "unread", key: "unread", count: unreadCount(snapshot, unread) });
      lineDrawn = true;
      before = null;
    }
    if (message.message_type === "system") {
      rows.push({ kind: "system", key: keyOf(message), text: message.text, at: message.createdAt });
      before = null;
    } else {
      add(keyOf(message), acknowledged(message, peerId, watermarks));
    }
  };

  const previous = messages[range.start - 1];
  if (previous) {
    addMessage(previous);
    rows.length = 0;
    // The line stands before the first of the unread, wherever the range begins.
    lineDrawn = unread !== null && messages.slice(0, range.start).some((one) => isUnread(one, unread, peerId));
  }
  for (const message of messages.slice(range.start, range.end)) addMessage(message);

  const next = messages[range.end];
  if (next) {
    const shown = rows.length;
    addMessage(next);
    rows.length = shown;
    return rows;
  }
  if (snapshot.pending.length === 0) return rows;
  const known = new Set(messages.slice(range.start).map((message) => message.client_id));
  for (const message of snapshot.pending) {
    if (known.has(message.client_id)) continue;
    openDay(message.createdAt);
    add(`c:${message.client_id}`, unacknowledged(message));
  }
  return rows;
}

function isUnread(message: Message, unread: Unread, peerId: string): boolean {
  return message.sender_id === peerId && message.seq > unread.after;
}

/** How many; while older ones may not be loaded yet, what the list has told, or null. */
function unreadCount(snapshot: ThreadContent, unread: Unread): number | null {
  const oldest = snapshot.messages[0];
  if (snapshot.hasOlder && oldest && oldest.seq > unread.after + 1) return unread.listed ?? null;
  return snapshot.messages.filter(
    (message) => message.sender_id === snapshot.peerId && message.seq > unread.after && message.seq <= unread.upto,
  ).length;
}
