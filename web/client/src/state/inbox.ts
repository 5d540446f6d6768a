/**
 * The inbox as a pure reducer.
 *
 * Unread counts are sums, which an event applied twice would spoil: each entry knows at which cursor it was read and
 * ignores events up to there, and the caller gives each event once. Where a count cannot be known (read up to the middle)
 * or a person is new, the state says `stale` and the caller loads it again.
 */
import { contains } from "../wire/cursor.js";
import { NO_WATERMARKS, raise, ticked } from "./conversation.js";
import type { InboxEntry, Message, Person } from "../types.js";
import type { ConversationEvent } from "../wire/events.js";
import type { InboxPage } from "../wire/shapes.js";

/** What the server, or an event, told of one conversation. */
export interface Row extends Omit<InboxEntry, "draft" | "pending"> {
  /** Where this entry was read; null when it was made from events alone. */
  cursor: string | null;
}

export interface InboxState {
  /** The latest first. */
  rows: readonly Row[];
  hasMore: boolean;
  /** What to pass for the next page. */
  before: number | null;
  /** How many messages are unread in conversations that are not among the rows. */
  elsewhere: number;
  stale: boolean;
}

export const EMPTY_INBOX: InboxState = { rows: [], hasMore: false, before: null, elsewhere: 0, stale: false };

/** How many messages are unread in all conversations. */
export function unreadOf({ rows, elsewhere }: InboxState): number {
  return rows.reduce((sum, { unread }) => sum + unread, elsewhere);
}

/** The first page (`further` false) or the next one. Rows of the page replace what is held of the same people. */
export function applyPage(state: InboxState, page: InboxPage, further: boolean): InboxState {
  const rows = new Map(state.rows.map((row) => [row.user.id, row]));
  for (const { user, last_message, unread, watermarks, updatedAt, blocked } of page.conversations) {
    const row = { user, lastMessage: last_message, unread, watermarks, updatedAt, blocked, cursor: page.cursor };
    rows.set(user.id, row);
  }
  const held = unreadOf({ ...state, rows: [...rows.values()], elsewhere: 0 });
  const reachesFurther = !further && state.before !== null && state.rows.length > page.conversations.length;
  return {
    rows: sorted([...rows.values()]),
    hasMore: reachesFurther ? state.hasMore : page.has_more,
    before: reachesFurther ? state.before : page.before,
    elsewhere: Math.max(0, page.unread_total - held),
    stale: false,
  };
}

/** An event of the log. */
export function applyInboxEvent(state: InboxState, event: ConversationEvent): InboxState {
  const { peerId } = event;
  const row = state.rows.find((one) => one.user.id === peerId);
  if (row && contains(row.cursor, event.frame.id)) return state;
  switch (event.type) {
    case "new_message":
      return applyNewMessage(state, row, event.message, peerId);
    case "message_delivered":
    case "message_read": {
      const { by, upto } = event;
      const read = event.type === "message_read" ? upto : 0;
      // Not on the pages that are loaded; its page will know. How many are unread, the server has to count.
      if (!row) return by !== peerId && read > 0 ? recounted(state) : state;
      if (by === peerId) {
        const peer = { ...NO_WATERMARKS, peer_delivered_upto: upto, peer_read_upto: read };
        return replace(state, { ...row, watermarks: raise(row.watermarks, peer) });
      }
      const mine = { ...NO_WATERMARKS, delivered_upto: upto, read_upto: read };
      const next = { ...row, watermarks: raise(row.watermarks, mine) };
      if (read <= row.watermarks.read_upto || row.unread === 0) return replace(state, next);
      if (read >= (row.lastMessage?.seq ?? 0)) return replace(state, { ...next, unread: 0 });
      return { ...replace(state, next), stale: true };
    }
  }
}

/** The answer to a send; its echo may have come before. */
export function applySent(state: InboxState, message: Message): InboxState {
  const row = state.rows.find((one) => one.user.id === message.recipient_id);
  return row ? replace(state, withLast(row, message)) : state;
}

/** This person has another name or picture. */
export function applyProfile(state: InboxState, person: Person): InboxState {
  const row = state.rows.find((one) => one.user.id === person.id);
  return row ? replace(state, { ...row, user: person }) : state;
}

/** The user blocks this person, which counts nothing as unread, or has taken it back, which the server has to count. */
export function applyBlocked(state: InboxState, peerId: string, blocked: boolean): InboxState {
  const row = state.rows.find((one) => one.user.id === peerId);
  if (!row) return recounted(state);
  if (row.blocked === blocked) return state;
  const next = replace(state, { ...row, blocked, unread: blocked ? 0 : row.unread });
  return blocked ? next : { ...next, stale: true };
}

function recounted(state: InboxState): InboxState {
  return state.elsewhere > 0 ? { ...state, stale: true } : state;
}

function applyNewMessage(state: InboxState, row: Row | undefined, message: Message, peerId: string): InboxState {
  if (!row) {
    const user = { id: peerId, name: peerId, avatar_url: null };
    const known = { lastMessage: null, unread: 0, watermarks: NO_WATERMARKS, updatedAt: "", blocked: false };
    const base = { user, ...known, cursor: null };
    return { ...replace(state, counted(base, message, peerId)), stale: true };
  }
  return replace(state, counted(row, message, peerId));
}

function counted(row: Row, message: Message, peerId: string): Row {
  const counts = message.sender_id === peerId && message.seq > row.watermarks.read_upto;
  return withLast(counts ? { ...row, unread: row.unread + 1 } : row, message);
}

function withLast(row: Row, message: Message): Row {
  if (message.seq < (row.lastMessage?.seq ?? 0)) return row;
  return { ...row, lastMessage: message, updatedAt: message.createdAt };
}

function replace(state: InboxState, row: Row): InboxState {
  const rows = state.rows.filter((one) => one.user.id !== row.user.id);
  const last = row.lastMessage && ticked(row.lastMessage, row.user.id, row.watermarks);
  return { ...state, rows: sorted([...rows, last === row.lastMessage ? row : { ...row, lastMessage: last }]) };
}

/** The latest first. */
export function sorted<T extends Pick<Row, "updatedAt" | "user">>(rows: T[]): readonly T[] {
  return rows.sort((a, b) =>
    a.updatedAt === b.updatedAt ? (a.user.id < b.user.id ? -1 : 1) : a.updatedAt < b.updatedAt ? 1 : -1,
  );
}
