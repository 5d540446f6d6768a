/** What this device keeps of a conversation between pages, to be shown at once. */
import type { Message, Person } from "../types.js";
import { readMessage, readPerson, readWatermarks } from "../wire/shapes.js";
import { asMet, type ConversationState } from "./conversation.js";

/** The latest messages, and their text together. */
const MESSAGES_MAX = 50;
const TEXT_MAX = 100_000;

interface KeptConversation extends ConversationState {
  /** As a search has found them, while the server tells no name. */
  met: Person | undefined;
}

/** What to keep; undefined while there is nothing that the server has said. */
export function keptOf(state: ConversationState, met: Person | undefined): KeptConversation | undefined {
  const { messages, cursor } = state;
  if (cursor === null) return undefined;
  let text = 0;
  let from = messages.length;
  while (from > 0 && messages.length - from < MESSAGES_MAX && text <= TEXT_MAX) {
    text += (messages[--from] as Message).text.length;
  }
  const isNamed = asMet(state.peer, met) !== met;
  const hasOlder = state.hasOlder || from > 0;
  return { ...state, messages: messages.slice(from), hasOlder, met: isNamed ? undefined : met };
}

/** Whether this is a row that `keptOf` made: another version of this file may have made another one. */
export function isKept(row: unknown): row is ConversationState {
  try {
    const of = row as ConversationState;
    of.messages.map(readMessage);
    readWatermarks(of.watermarks);
    return true;
  } catch {
    return false;
  }
}

/** Whom a search had found, in such a row. */
export function metIn(row: unknown): Person | undefined {
  try {
    return readPerson((row as KeptConversation).met);
  } catch {
    return undefined;
  }
}
