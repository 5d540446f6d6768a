/**
 * One conversation as a pure reducer: pages, events and answers in, state out. Cases: `vectors/conversation.json`.
 *
 * Everything here may arrive twice, late, or in the other order, and the result is the same: messages are upserted by
 * `_id` and ordered by `seq`, watermarks only rise, `delivered` and `read` follow from the watermarks. Events that the
 * newest page already contains are ignored by their position.
 */
import { contains, placeOf } from "../wire/cursor.js";
import type { Message, Person, Watermarks } from "../types.js";
import type { ConversationEvent } from "../wire/events.js";
import type { HistoryPage } from "../wire/shapes.js";

export interface ConversationState {
  peerId: string;
  peer: Person | null;
  /** By `seq`, each `_id` once. */
  messages: readonly Message[];
  watermarks: Watermarks;
  /** Where the newest page was read; null before one was. */
  cursor: string | null;
  hasOlder: boolean;
  /** A message arrived that does not follow the last one: the newest page must be loaded again. */
  stale: boolean;
}

export const NO_WATERMARKS: Watermarks = { read_upto: 0, delivered_upto: 0, peer_read_upto: 0, peer_delivered_upto: 0 };

/** Of somebody to whom the server gives no name yet, what a search has told. */
export function asMet(told: Person | null, met: Person | undefined): Person | null {
  return met && (!told || told.name === told.id) ? met : told;
}

export function emptyConversation(peerId: string): ConversationState {
  return { peerId, peer: null, messages: [], watermarks: NO_WATERMARKS, cursor: null, hasOlder: false, stale: false };
}

/** The newest page of the history. */
export function applyNewest(held: ConversationState, page: HistoryPage): ConversationState {
  // A restored database numbers its messages anew: nothing of what was held may stay.
  const restored = held.cursor !== null && placeOf(held.cursor)?.epoch !== placeOf(page.cursor)?.epoch;
  const state = restored ? emptyConversation(held.peerId) : held;
  const last = state.messages.at(-1)?.seq ?? 0;
  const first = page.messages[0]?.seq ?? 0;
  // More was sent meanwhile than a page holds: what lies before the hole is loaded again when somebody scrolls there.
  const hole = page.has_more && last < first - 1;
  const kept = hole ? [] : state.messages;
  const reachesBack = kept.length > 0 && first > 0 && (kept[0] as Message).seq < first;
  return settle({
    ...state,
    peer: page.user,
    messages: merge(kept, page.messages),
    watermarks: raise(state.watermarks, page.watermarks),
    cursor: page.cursor,
    // Only pages tell whether there is more before them; messages of events alone do not.
    hasOlder: reachesBack && state.cursor !== null ? state.hasOlder : page.has_more,
    stale: false,
  });
}

/** A page from before the first message that is held. */
export function applyOlder(state: ConversationState, page: HistoryPage): ConversationState {
  return settle({
    ...state,
    messages: merge(state.messages, page.messages),
    watermarks: raise(state.watermarks, page.watermarks),
    hasOlder: page.has_more,
  });
}

/** An event of this conversation. */
export function applyEvent(state: ConversationState, event: ConversationEvent): ConversationState {
  if (contains(state.cursor, event.frame.id)) return state;
  switch (event.type) {
    case "new_message": {
      const { message } = event;
      const last = state.messages.at(-1)?.seq ?? 0;
      const hole = state.cursor !== null && message.seq > last + 1;
      const next = applyMessage(state, message);
      return hole ? { ...next, stale: true } : next;
    }
    case "message_delivered":
    case "message_read": {
      const { by, upto } = event;
      const read = event.type === "message_read" ? upto : 0;
      return applyWatermarks(
        state,
        by === state.peerId
          ? { ...NO_WATERMARKS, peer_delivered_upto: upto, peer_read_upto: read }
          : { ...NO_WATERMARKS, delivered_upto: upto, read_upto: read },
      );
    }
  }
}

/** A message from wherever it came: an event, or the answer to a send. */
export function applyMessage(state: ConversationState, message: Message): ConversationState {
  return settle({ ...state, messages: merge(state.messages, [message]) });
}

/** Watermarks from wherever they came. */
export function applyWatermarks(state: ConversationState, watermarks: Watermarks): ConversationState {
  const raised = raise(state.watermarks, watermarks);
  return raised === state.watermarks ? state : settle({ ...state, watermarks: raised });
}

/** The higher of both, each by itself; the first object when nothing rose. */
export function raise(current: Watermarks, by: Watermarks): Watermarks {
  const raised: Watermarks = {
    read_upto: Math.max(current.read_upto, by.read_upto),
    delivered_upto: Math.max(current.delivered_upto, by.delivered_upto, by.read_upto),
    peer_read_upto: Math.max(current.peer_read_upto, by.peer_read_upto),
    peer_delivered_upto: Math.max(current.peer_delivered_upto, by.peer_delivered_upto, by.peer_read_upto),
  };
  const same = (Object.keys(raised) as (keyof Watermarks)[]).every((key) => raised[key] === current[key]);
  return same ? current : raised;
}

function merge(held: readonly Message[], incoming: readonly Message[]): readonly Message[] {
  const [only] = incoming;
  // What a busy conversation consists of: one more at the end. It must not cost more the longer the conversation is.
  if (only && incoming.length === 1 && only.seq > (held.at(-1)?.seq ?? 0)) return [...held, only];
  const byId = new Map(held.map((message) => [message._id, message]));
  for (const message of incoming) {
    const before = byId.get(message._id);
    const client_id = message.client_id ?? before?.client_id ?? null;
    const delivered = message.delivered || (before?.delivered ?? false);
    const read = message.read || (before?.read ?? false);
    byId.set(message._id, { ...message, client_id, delivered, read });
  }
  return [...byId.values()].sort((a, b) => a.seq - b.seq);
}

/** Let go of all but the latest messages: those before them are loaded again when somebody scrolls there. */
export function keepLatest(state: ConversationState, count: number): ConversationState {
  if (state.messages.length <= count) return state;
  return { ...state, messages: state.messages.slice(-count), hasOlder: true };
}

/** The message with the ticks that follow from the watermarks; the same object where they are there. */
export function ticked(message: Message, peerId: string, marks: Watermarks): Message {
  const theirs = message.sender_id === peerId;
  const read = message.read || message.seq <= (theirs ? marks.read_upto : marks.peer_read_upto);
  const upto = theirs ? marks.delivered_upto : marks.peer_delivered_upto;
  const delivered = message.delivered || read || message.seq <= upto;
  return read === message.read && delivered === message.delivered ? message : { ...message, read, delivered };
}

/** Derive the ticks; messages that do not change stay the same objects, so that screens need not draw them again. */
function settle(state: ConversationState): ConversationState {
  const messages = state.messages.map((message) => ticked(message, state.peerId, state.watermarks));
  return messages.some((message, at) => message !== state.messages[at]) ? { ...state, messages } : state;
}
