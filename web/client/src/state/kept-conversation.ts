/** What this device keeps of a conversation between pages, to be shown at once. */
import type { Message } from "../types.js";
import { readMessage, readWatermarks } from "../wire/shapes.js";
import type { ConversationState } from "./conversation.js";

/** The latest messages, and their text together. */
const MESSAGES_MAX = 50;
const TEXT_MAX = 100_000;

/** What to keep; undefined while there is nothing that the server has said. */
export function keptOf(state: ConversationState): ConversationState | undefined {
  const { messages, cursor } = state;
  if (cursor === null) return undefined;
  let text = 0;
  let from = messages.length;
  while (from > 0 && messages.length - from < MESSAGES_MAX && text <= TEXT_MAX) {
    text += (messages[--from] as Message).text.length;
  }
  return { ...state, messages: messages.slice(from), hasOlder: state.hasOlder || from > 0 };
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
