/**
 * Frames told apart by `type`: each is read once, and checked as it is read.
 *
 * A frame in which the stream speaks of itself must be readable, or the stream is broken. An event is passed over when it
 * is not (`unreadable`: to read it again would change nothing), and is `other` when a newer server has kinds that this
 * client does not know.
 */
import type { Message, Person } from "../types.js";
import type { LogEventType, ServerEvents } from "./types.js";
import {
  readConnected,
  readCursor,
  readGoodbye,
  readMessage,
  readPresence,
  readProfile,
  readReceipt,
  readTyping,
  type Connected,
  type Frame,
} from "./shapes.js";

/** An event of the log, or a hint that is in no log, with the frame as it came. `peerId` is its other party. */
export type WireEvent = { frame: Frame } & (
  | { type: "new_message"; peerId: string; message: Message }
  | { type: "message_delivered" | "message_read"; peerId: string; by: string; upto: number }
  | { type: "typing"; peerId: string }
  | { type: "presence"; peerId: string; online: boolean }
  | { type: "profile"; peerId: string; person: Person }
  | { type: "other" }
  | { type: "unreadable"; error: unknown }
);

/** The events that change a conversation for good. */
export type ConversationEvent = Extract<WireEvent, { type: LogEventType }>;

/** Read an event; `peerOf` answers with whom the user has this message, or throws when it is none of theirs. */
export function readEvent(frame: Frame, peerOf: (message: Message) => string): WireEvent {
  const { data } = frame;
  // The linter demands a case for every kind of the server's registry (switch-exhaustiveness-check).
  const type = frame.type as Exclude<keyof ServerEvents, StreamFrame["type"]>;
  try {
    switch (type) {
      case "new_message": {
        const message = readMessage(data);
        return { frame, type, peerId: peerOf(message), message };
      }
      case "message_delivered":
      case "message_read": {
        const { chat_user_id, by, upto } = readReceipt(data);
        return { frame, type, peerId: chat_user_id, by, upto };
      }
      case "typing":
        return { frame, type, peerId: readTyping(data) };
      case "presence": {
        const { chat_user_id, online } = readPresence(data);
        return { frame, type, peerId: chat_user_id, online };
      }
      case "profile": {
        const person = readProfile(data);
        return { frame, type, peerId: person.id, person };
      }
      default:
        return { frame, type: "other" };
    }
  } catch (error) {
    return { frame, type: "unreadable", error };
  }
}

/** What a stream says of itself; everything else is an `event`. */
export type StreamFrame =
  | { type: "connected"; connected: Connected }
  | { type: "reset" | "heartbeat"; cursor: string }
  | { type: "goodbye"; reason: string; retry_ms: number }
  | { type: "caught_up" | "event" };

/** Read a frame of a stream. Throws `ProtocolViolation`. */
export function readStreamFrame(frame: Frame): StreamFrame {
  const { data } = frame;
  const type = frame.type as Exclude<keyof ServerEvents, WireEvent["type"]>;
  switch (type) {
    case "connected":
      return { type, connected: readConnected(data) };
    case "reset":
    case "heartbeat":
      return { type, cursor: readCursor(data) };
    case "goodbye":
      return { type, ...readGoodbye(data) };
    case "caught_up":
      return { type };
    default:
      return { type: "event" };
  }
}
