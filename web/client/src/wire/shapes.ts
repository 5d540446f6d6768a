/**
 * What comes over the wire, checked where it enters: frames of the stream and bodies of answers.
 *
 * Readers here take `unknown` and answer a typed value or throw `ProtocolViolation`; behind them nothing is checked
 * again. Unknown members are kept out of the way, unknown frame types pass: a newer server must not break this client.
 */
import type { FoundPerson, Message, PendingMessage, Person, Watermarks } from "../types.js";
import type * as wire from "./types.js";

/** The other side broke the protocol: not JSON, or not of the promised shape. */
export class ProtocolViolation extends Error {
  override readonly name = "ProtocolViolation";
}

/** One frame of the stream, or one event of a poll. `id` is its cursor; null when it is in no log. */
export interface Frame {
  id: string | null;
  type: string;
  data: unknown;
}

/** Whom a page shows; `online` may be missing, as from an older server. */
type Shown<Page> = Omit<Page, "user" | "success" | "user_id"> & { user: Person };

/** What this client reads of each shape of `types.ts`. */
export type Receipt = Pick<wire.Receipt, "chat_user_id" | "by" | "upto">;
export type HistoryPage = Shown<wire.HistoryPage>;
export type InboxPage = Pick<wire.InboxPage, "has_more" | "cursor" | "unread_total"> & {
  conversations: Shown<wire.Conversation>[];
  /** What to pass as `before` for the next page: the last row's position. */
  before: number | null;
};

export interface Connected {
  user_id: string;
  cursor: string;
  resumed: boolean;
  heartbeat_ms: number;
  text_bytes_max: number | null;
}

export interface EventsPage {
  events: Frame[];
  cursor: string;
  has_more: boolean;
  reset: { reason: string; cursor: string } | null;
}

type Fields = Record<string, unknown>;

function fields(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolViolation(`${what} is not an object`);
  }
  return value as Fields;
}

function text(of: Fields, name: string): string {
  const value = of[name];
  if (typeof value !== "string") throw new ProtocolViolation(`${name} is not a string`);
  return value;
}

function textOrNull(of: Fields, name: string): string | null {
  return of[name] === undefined || of[name] === null ? null : text(of, name);
}

function number(of: Fields, name: string): number {
  const value = of[name];
  if (typeof value !== "number" || !Number.isFinite(value)) throw new ProtocolViolation(`${name} is not a number`);
  return value;
}

function list(of: Fields, name: string): unknown[] {
  const value = of[name];
  if (!Array.isArray(value)) throw new ProtocolViolation(`${name} is not a list`);
  return value;
}

export function parseJson(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch (cause) {
    throw new ProtocolViolation("not JSON", { cause });
  }
}

export function readFrame(json: string, id: string | null): Frame {
  const frame = fields(parseJson(json), "the frame");
  return { id, type: text(frame, "type"), data: frame["data"] };
}

export function readConnected(data: unknown): Connected {
  const of = fields(data, "connected");
  const limits = of["limits"] === undefined ? {} : fields(of["limits"], "limits");
  const bytes = limits["text_bytes"] ?? limits["text_bytes_max"];
  return {
    user_id: text(of, "user_id"),
    cursor: text(of, "cursor"),
    resumed: of["resumed"] === true,
    heartbeat_ms: number(of, "heartbeat_ms"),
    text_bytes_max: typeof bytes === "number" ? bytes : null,
  };
}

export function readGoodbye(data: unknown): { reason: string; retry_ms: number } {
  const of = fields(data, "goodbye");
  return { reason: text(of, "reason"), retry_ms: Math.max(0, number(of, "retry_ms")) };
}

/** The `cursor` of a `heartbeat`, `reset` or `caught_up`. */
export function readCursor(data: unknown): string {
  return text(fields(data, "the frame's data"), "cursor");
}

export function readMessage(value: unknown): Message {
  const of = fields(value, "the message");
  return {
    _id: text(of, "_id"),
    seq: number(of, "seq"),
    sender_id: text(of, "sender_id"),
    recipient_id: text(of, "recipient_id"),
    text: text(of, "text"),
    message_type: text(of, "message_type"),
    sent: true,
    delivered: of["delivered"] === true,
    read: of["read"] === true,
    createdAt: text(of, "createdAt"),
    client_id: textOrNull(of, "client_id"),
  };
}

export function readReceipt(data: unknown): Receipt {
  const of = fields(data, "the receipt");
  return { chat_user_id: text(of, "chat_user_id"), by: text(of, "by"), upto: number(of, "upto") };
}

export function readTyping(data: unknown): string {
  return text(fields(data, "typing"), "chat_user_id");
}

export function readPresence(data: unknown): { chat_user_id: string; online: boolean } {
  const of = fields(data, "presence");
  return { chat_user_id: text(of, "chat_user_id"), online: of["online"] === true };
}

export function readProfile(data: unknown): Person {
  const of = fields(data, "profile");
  return { id: text(of, "chat_user_id"), name: text(of, "name"), avatar_url: textOrNull(of, "avatar_url") };
}

/** An answer that says nothing of it is that of a server that does not know presence. */
export function readPresenceAnswer(body: unknown): { online: boolean | null; watch_s: number } {
  const of = body === null ? {} : fields(body, "the answer");
  const { online, watch_s } = of;
  return {
    online: typeof online === "boolean" ? online : null,
    watch_s: typeof watch_s === "number" && Number.isFinite(watch_s) ? watch_s : 0,
  };
}

export function readWatermarks(value: unknown): Watermarks {
  const of = fields(value, "watermarks");
  return {
    read_upto: number(of, "read_upto"),
    delivered_upto: number(of, "delivered_upto"),
    peer_read_upto: number(of, "peer_read_upto"),
    peer_delivered_upto: number(of, "peer_delivered_upto"),
  };
}

export function readPerson(value: unknown): Person {
  const of = fields(value, "the user");
  const id = text(of, "id");
  return { id, name: textOrNull(of, "name") ?? id, avatar_url: textOrNull(of, "avatar_url") };
}

export function readPeople(body: unknown): FoundPerson[] {
  return list(fields(body, "the answer"), "people").map((value) => ({
    ...readPerson(value),
    about: textOrNull(value as Fields, "about"),
  }));
}

/** The answer to receipts for these people: where both sides stand now; without those that were refused. */
export function readReceiptAnswer(body: unknown, asked: readonly string[]): Map<string, Watermarks> {
  const told = list(fields(body, "the answer"), "receipts").map((value) => fields(value, "the receipt"));
  if (told.map((of) => text(of, "chatUserId")).join("/") !== asked.join("/")) {
    throw new ProtocolViolation("the answer is about other conversations");
  }
  return new Map(
    told.flatMap((of, at) =>
      of["watermarks"] === undefined ? [] : [[asked[at] as string, readWatermarks(of["watermarks"])]],
    ),
  );
}

/** The answer to a send of this user (null: not known yet): the message that was sent, and no other. */
export function readSent(
  body: unknown,
  sent: Pick<PendingMessage, "client_id" | "recipient_id">,
  userId: string | null,
): Message {
  const message = readMessage(fields(body, "the answer")["message"]);
  const { client_id, recipient_id, sender_id } = message;
  if (client_id !== sent.client_id || recipient_id !== sent.recipient_id || sender_id !== (userId ?? sender_id)) {
    throw new ProtocolViolation("the answer is about another message");
  }
  return message;
}

/** A page of the conversation with `peerId`, and of no other. */
export function readHistory(body: unknown, peerId: string): HistoryPage {
  const of = fields(body, "the history");
  const messages = list(of, "messages").map(readMessage);
  if (readPerson(of["user"]).id !== peerId || !messages.every((one) => concerns(one, peerId))) {
    throw new ProtocolViolation("the history is that of another conversation");
  }
  return {
    messages,
    has_more: of["has_more"] === true,
    cursor: text(of, "cursor"),
    watermarks: readWatermarks(of["watermarks"]),
    user: readPerson(of["user"]),
    blocked: of["blocked"] === true,
  };
}

function concerns({ sender_id, recipient_id }: Message, peerId: string): boolean {
  return sender_id === peerId || recipient_id === peerId;
}

export function readInbox(body: unknown): InboxPage {
  const of = fields(body, "the inbox");
  const conversations = list(of, "conversations").map((value) => {
    const row = fields(value, "the conversation");
    const last = row["last_message"];
    const user = readPerson(row["user"]);
    const last_message = last === null || last === undefined ? null : readMessage(last);
    if (last_message !== null && !concerns(last_message, user.id)) {
      throw new ProtocolViolation("the last message is that of another conversation");
    }
    return {
      user,
      last_message,
      unread: number(row, "unread"),
      watermarks: readWatermarks(row["watermarks"]),
      updatedAt: text(row, "updatedAt"),
      position: number(row, "position"),
      blocked: row["blocked"] === true,
    };
  });
  return {
    conversations,
    has_more: of["has_more"] === true,
    cursor: text(of, "cursor"),
    before: conversations.at(-1)?.position ?? null,
    // A server that does not say it: what the page shows.
    unread_total:
      of["unread_total"] === undefined
        ? conversations.reduce((sum, { unread }) => sum + unread, 0)
        : number(of, "unread_total"),
  };
}

export function readEvents(body: unknown): EventsPage {
  const of = fields(body, "the events");
  const reset = of["reset"];
  return {
    events: list(of, "events").map((value) => {
      const event = fields(value, "the event");
      return { id: textOrNull(event, "id"), type: text(event, "type"), data: event["data"] };
    }),
    cursor: text(of, "cursor"),
    has_more: of["has_more"] === true,
    reset:
      reset === undefined || reset === null
        ? null
        : { reason: text(fields(reset, "reset"), "reason"), cursor: readCursor(reset) },
  };
}
