/**
 * The public types of the client core: values that travel (`Message`, `Person`, `Watermarks`), immutable snapshots of
 * state, and the interfaces that a screen consumes.
 */

/** One message of a conversation. `seq` orders it; `createdAt` (ISO 8601, UTC) is for display only. */
export interface Message {
  _id: string;
  seq: number;
  sender_id: string;
  recipient_id: string;
  text: string;
  message_type: string;
  sent: boolean;
  delivered: boolean;
  read: boolean;
  createdAt: string;
  /** The sender's own id of this send; null on messages of somebody else. */
  client_id: string | null;
}

/** How far each side has received and read, as message `seq`s. They only rise. */
export interface Watermarks {
  read_upto: number;
  delivered_upto: number;
  peer_read_upto: number;
  peer_delivered_upto: number;
}

export interface Person {
  id: string;
  name: string;
  avatar_url: string | null;
}

export type ConnectionStatus =
  | "idle"
  | "connecting"
  | "connected"
  | "reconnecting"
  | "polling"
  | "offline"
  | "unauthorized"
  | "refused"
  | "closed";

export interface ConnectionSnapshot {
  status: ConnectionStatus;
  userId: string | null;
  /** Failed attempts since the last stable stream. */
  attempt: number;
  /** `Date.now()` ms of the next attempt; null when none is scheduled. */
  retryAt: number | null;
  /** Short code of the last trouble: network, timeout, mute, end, silent, status_503, draining, token, ... */
  reason: string | null;
  /** Milliseconds between polls while the page is visible. */
  pollInterval: number;
  /** Largest text, in bytes of UTF-8, that the server accepts. */
  textBytesMax: number;
}

export type PendingState = "queued" | "sending" | "failed";

/** A send that the server has not acknowledged yet, or has refused. */
export interface PendingMessage {
  client_id: string;
  recipient_id: string;
  text: string;
  message_type: string;
  createdAt: string;
  state: PendingState;
  error: { code: string; message: string } | null;
}

export interface ConversationSnapshot {
  peerId: string;
  peer: Person | null;
  /** What the server has, by `seq`. */
  messages: readonly Message[];
  /** What it has not acknowledged, oldest first; shown after `messages`. */
  pending: readonly PendingMessage[];
  watermarks: Watermarks;
  loaded: boolean;
  loading: boolean;
  hasOlder: boolean;
  peerTyping: boolean;
  error: string | null;
}

export interface InboxEntry {
  user: Person;
  lastMessage: Message | null;
  unread: number;
  watermarks: Watermarks;
  updatedAt: string;
}

export interface InboxSnapshot {
  entries: readonly InboxEntry[];
  loaded: boolean;
  loading: boolean;
  hasMore: boolean;
  error: string | null;
}

/** State that can be read and watched. Snapshots are immutable, and the same object until something changed. */
export interface Readable<T> {
  subscribe(fn: () => void): () => void;
  getSnapshot(): T;
}

export interface Conversation extends Readable<ConversationSnapshot> {
  /** Load the newest page, once; again after an error. Never rejects: see `error` of the snapshot. */
  load(): Promise<void>;
  loadOlder(): Promise<void>;
  /** Queue a message and return its `client_id` at once; it is pending until acknowledged. */
  send(text: string, options?: { message_type?: string }): string;
  retry(clientId: string): void;
  discard(clientId: string): void;
  /** Tell that the user has read up to this `seq`. */
  markRead(upto: number): void;
  /** Tell that the user is typing; at most one request per 3 s. */
  typing(): void;
}

export interface Inbox extends Readable<InboxSnapshot> {
  load(): Promise<void>;
  loadMore(): Promise<void>;
}

export type TokenReason = "initial" | "expired" | "rejected";

export interface Notice {
  kind: "send_failed" | "connection_failed" | "unauthorized" | "load_failed";
  message: string;
}

export interface RealtimeOptions {
  /** Address of the API, e.g. `/api/message` or `https://chat.example/api/message`. */
  url: string;
  /** Answers the bearer token; without it requests carry the page's own cookies. */
  getToken?: (why: { reason: TokenReason }) => Promise<string | null> | string | null;
  maxReconnectAttempts?: number;
  reconnectDelay?: number;
  maxReconnectDelay?: number;
  pollInterval?: number;
  onError?: (notice: Notice) => void;
  /** Clock, random, fetch, storage and page events; whatever is not given is the platform's. */
  environment?: Partial<Environment>;
}

/** A handle of a timer; opaque. */
export type TimerHandle = unknown;

/** Everything that the core takes from the outside world, so that a test can hold it in its hand. */
export interface Environment {
  /** Milliseconds since 1970. */
  now(): number;
  /** A number in [0, 1). */
  random(): number;
  /** Random bytes for ids. */
  randomBytes(count: number): Uint8Array;
  setTimer(fn: () => void, ms: number): TimerHandle;
  clearTimer(handle: TimerHandle): void;
  fetch(input: string, init: RequestInit): Promise<Response>;
  /** False only when the platform knows that there is no network. */
  onLine(): boolean;
  hidden(): boolean;
  /** Watch the page; returns the undo. Called once per connected service. */
  watchPage(fn: (event: PageEvent) => void): () => void;
  /** Where unsent messages of a user live. */
  outbox: OutboxStorage;
}

export type PageEvent = "online" | "offline" | "visible" | "hidden" | "frozen" | "restored";

/** Keeps the unsent messages of one user across page loads; the default keeps them in memory. */
export interface OutboxStorage {
  load(userId: string): Promise<readonly PendingMessage[]>;
  put(userId: string, message: PendingMessage): Promise<void>;
  remove(userId: string, clientId: string): Promise<void>;
  clear(userId: string): Promise<void>;
}
