/**
 * What travels over the wire: written by `make types` from `protocol/shapes.py` and `protocol/events.py` of the server.
 *
 * Nothing is checked here: a newer server may send more, and types of events that are not in this file.
 */

/** A person's message, as one of its two participants sees it. */
export interface Message {
  _id: string;
  /** Number in the conversation, the same for both sides; the order on a screen */
  seq: number;
  sender_id: string;
  recipient_id: string;
  text: string;
  message_type: string;
  sent: boolean;
  delivered: boolean;
  read: boolean;
  /** ISO 8601, UTC, milliseconds; for display only */
  createdAt: string;
  /** The sender's own id of this send; null for the other side */
  client_id: string | null;
}

/** How far both sides of a conversation have received and read, as message seqs. They only rise. */
export interface Watermarks {
  read_upto: number;
  delivered_upto: number;
  peer_read_upto: number;
  peer_delivered_upto: number;
}

/** A user as screens show it; the name is the id where the host tells nothing else. */
export interface Person {
  id: string;
  name: string;
  avatar_url: string | null;
  /** Null: unknown, or not for the caller to know */
  online: boolean | null;
}

/** A user whom the host's search found. */
export interface FoundPerson {
  id: string;
  name: string;
  avatar_url: string | null;
  /** Plain text that tells people of one name apart, or null */
  about: string | null;
}

/** How far `by` has received or read a conversation. */
export interface Receipt {
  /** The other party, seen from the log's owner */
  chat_user_id: string;
  by: string;
  /** A message's seq */
  upto: number;
  /** ISO 8601, UTC, milliseconds */
  at: string;
}

/** The `data:` line of a frame; `connected` has a `message` beside it. */
export interface Frame {
  type: string;
  data: Record<string, unknown>;
}

/** The sizes that the server takes. */
export interface Limits {
  /** The longest text, in bytes of UTF-8 */
  text_bytes: number;
  /** The longest body of a request */
  body_bytes: number;
  /** Beyond it the oldest ends */
  streams_per_user: number;
}

/** Where a stream begins, and how often it is heard of. */
export interface Connected {
  /** The caller */
  user_id: string;
  /** Where the stream begins: as given, or the head */
  cursor: string;
  /** The cursor of the log's last event */
  head: string;
  /** Whether the stream goes on from the cursor that was given */
  resumed: boolean;
  /** Milliseconds of silence before a heartbeat */
  heartbeat_ms: number;
  /** ISO 8601, UTC, milliseconds */
  server_time: string;
  limits: Limits;
}

/** A position that cannot be served; snapshots are to be loaded anew. */
export interface Reset {
  /** `expired`, `unknown`, `future` or `other_epoch` */
  reason: string;
  /** The head, from which the reader goes on */
  cursor: string;
}

/** How far a stream is. */
export interface Reached {
  /** The position after the last frame of this stream */
  cursor: string;
}

/** Somebody is typing to the caller. */
export interface Typing {
  chat_user_id: string;
}

/** Somebody whom the caller watches has come or gone. */
export interface PresenceChange {
  chat_user_id: string;
  online: boolean;
}

/** Somebody with whom the caller has a conversation has another name or picture. */
export interface ProfileChange {
  chat_user_id: string;
  name: string;
  avatar_url: string | null;
}

/** The server ends the stream. */
export interface Goodbye {
  /** `draining`, `max_age`, `token_expired` or `replaced` */
  reason: string;
  /** Milliseconds until the stream is to be opened again */
  retry_ms: number;
}

/** A message to send. */
export interface SendBody {
  recipientId: string;
  /** Up to 16,384 bytes of UTF-8, and not blank */
  text: string;
  message_type?: string;
  /** Names this send: the same id again never doubles it. 1 to 64 printable ASCII characters */
  client_id?: string | null;
}

/** How far the caller has received or read in one conversation; at least one of them. */
export interface ReceiptBody {
  /** The other side */
  chatUserId: string;
  /** A message's seq */
  delivered_upto?: number | null;
  /** A message's seq */
  read_upto?: number | null;
}

/** How far the caller has received or read in several conversations. */
export interface ReceiptsBody {
  receipts: ReceiptBody[];
}

/** The other side. */
export interface PeerBody {
  chatUserId: string;
}

/** A report about somebody; the messages up to `seq`, or the last ones, go along. */
export interface ReportBody {
  chatUserId: string;
  reason: string;
  /** A message's seq */
  seq?: number | null;
}

/** It was heard. */
export interface Accepted {
  success: boolean;
}

/** The message as it was committed. */
export interface Sent {
  success: boolean;
  message: Message;
}

/** Messages of one conversation, oldest first, and the cursor at which they were read. */
export interface HistoryPage {
  success: boolean;
  /** The caller */
  user_id: string;
  messages: Message[];
  has_more: boolean;
  /** The caller's head at which this was read: events up to here are in it, others are not */
  cursor: string;
  watermarks: Watermarks;
  /** The other side */
  user: Person;
  /** Whether the caller blocks the other side */
  blocked: boolean;
}

/** One line of the inbox; `user` is the other side. */
export interface Conversation {
  user: Person;
  last_message: Message | null;
  unread: number;
  watermarks: Watermarks;
  /** ISO 8601, UTC, milliseconds */
  updatedAt: string;
  /** For `before` of the next page */
  position: number;
  /** Whether the caller blocks the other side */
  blocked: boolean;
}

/** Conversations, the latest first, and the cursor at which they were read. */
export interface InboxPage {
  success: boolean;
  /** The caller */
  user_id: string;
  conversations: Conversation[];
  has_more: boolean;
  /** The caller's head at which this was read: events up to here are in it, others are not */
  cursor: string;
  /** Unread messages over all conversations */
  unread_total: number;
}

/** One entry of the caller's log. */
export interface LogEntry {
  /** Its cursor */
  id: string;
  type: string;
  data: Record<string, unknown>;
}

/** A page of the caller's log; `reset` says why it does not go on where it was asked to. */
export interface EventsPage {
  success: boolean;
  /** The caller */
  user_id: string;
  events: LogEntry[];
  /** Of the last event; as given where there is none */
  cursor: string;
  has_more: boolean;
  reset?: Reset | null;
}

/** The watermarks after it. */
export interface Received {
  success: boolean;
  watermarks: Watermarks;
}

/** The watermarks of one conversation after it, or the code of why it was refused. */
export interface ReceiptTold {
  chatUserId: string;
  watermarks?: Watermarks;
  code?: string;
}

/** The results of several receipts, in their order. */
export interface ReceivedList {
  success: boolean;
  /** The caller */
  user_id: string;
  receipts: ReceiptTold[];
}

/** Whether the other side is online; changes are told for `watch_s` seconds. */
export interface Presence {
  success: boolean;
  online: boolean | null;
  watch_s: number;
}

/** Somebody whom the caller blocks. */
export interface Blocked {
  user: Person;
  /** ISO 8601, UTC, milliseconds */
  since: string;
  /** For `before` of the next page */
  position: number;
}

/** Those whom the caller blocks, the latest first. */
export interface BlockedPage {
  success: boolean;
  blocked: Blocked[];
  has_more: boolean;
}

/** The people whom the host's search found, in its order. */
export interface FoundPeople {
  success: boolean;
  /** The text that was searched for, trimmed and in NFC */
  q: string;
  people: FoundPerson[];
}

/** A refusal (RFC 9457). */
export interface ProblemDetails {
  /** `urn:tidings:problem:` and the code */
  type: string;
  title: string;
  status: number;
  /** What to decide by; PROTOCOL.md 5 lists all */
  code: string;
  /** A sentence for people */
  detail: string;
  success: boolean;
  /** As `detail` */
  message: string;
}

/** By the `type` of a frame or of an entry of a log: what it has as `data`. */
export interface ServerEvents {
  /** The first frame of a stream. */
  connected: Connected;
  /** The position asked for cannot be served. */
  reset: Reset;
  /** A message was sent. */
  new_message: Message;
  /** Messages have reached a device. */
  message_delivered: Receipt;
  /** Messages were read. */
  message_read: Receipt;
  /** All of the past has been sent; from now on the stream is live. */
  caught_up: Reached;
  /** The stream lives. */
  heartbeat: Reached;
  /** Somebody is typing. */
  typing: Typing;
  /** Somebody has come or gone. */
  presence: PresenceChange;
  /** Somebody has another name or picture. */
  profile: ProfileChange;
  /** The last frame of a stream that the server ends. */
  goodbye: Goodbye;
}

export type ServerEvent = { [T in keyof ServerEvents]: { type: T; data: ServerEvents[T] } }[keyof ServerEvents];

/** Those that are in a log, and have a cursor. */
export type LogEventType = "new_message" | "message_delivered" | "message_read";
