/**
 * The public types of the client core: values that travel (`Message`, `Person`, `Watermarks`), immutable snapshots of
 * state, and the interfaces that a screen consumes.
 */

import type { FoundPerson, Message, Person as PersonOnTheWire, Watermarks } from "./wire/types.js";

export type { FoundPerson, Message, Watermarks };

/** A user as screens show it; the name is the id where the host tells nothing else. */
export type Person = Omit<PersonOnTheWire, "online">;

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
  /** Who holds the stream: this tab for itself, this tab for all tabs of this browser and user, or another of them. */
  role: ConnectionRole;
}

export type ConnectionRole = "solo" | "leader" | "follower";

/** `cancelling`: taken back by the user, while the server is asked whether it has the message nevertheless. */
export type PendingState = "queued" | "sending" | "cancelling" | "failed";

/** A send that the server has not acknowledged yet, or has refused. */
export interface PendingMessage {
  client_id: string;
  recipient_id: string;
  text: string;
  message_type: string;
  createdAt: string;
  state: PendingState;
  /** How often it went out; at 0 the server cannot have it. */
  attempts: number;
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
  /** There is something to show: from the server, or `stored`. */
  loaded: boolean;
  /** What is shown was kept on this device; the server's newest page has not come yet. */
  stored: boolean;
  loading: boolean;
  hasOlder: boolean;
  peerTyping: boolean;
  /** Whether the other one is online; null: unknown, or nobody watches. */
  peerOnline: boolean | null;
  /** The user blocks the other one. */
  blocked: boolean;
  /** For developers; `errorCode` is what people are told by. */
  error: string | null;
  /** The problem's code, `status_502` of an answer that is no problem, or network, timeout, token, signed_out, ... */
  errorCode: string | null;
}

export interface InboxEntry {
  user: Person;
  lastMessage: Message | null;
  unread: number;
  watermarks: Watermarks;
  /** ISO 8601; of somebody of whom the server has no message yet, when the last one was queued, or "". */
  updatedAt: string;
  /** The user blocks this person. */
  blocked: boolean;
  /** What is typed in this tab and not sent; "" is nothing. */
  draft: string;
  /** What the server has not acknowledged, oldest first. */
  pending: readonly PendingMessage[];
}

export interface InboxSnapshot {
  /** The latest first; one stays the same object until something in it changed. */
  entries: readonly InboxEntry[];
  /** How many messages are unread, over all conversations, those that are not loaded included. */
  unread: number;
  /** As in `ConversationSnapshot`: what is shown may be what this device kept. */
  loaded: boolean;
  loading: boolean;
  hasMore: boolean;
  /** Both as in `ConversationSnapshot`. */
  error: string | null;
  errorCode: string | null;
}

/** State that can be read and watched. Snapshots are immutable, and the same object until something changed. */
export interface Readable<T> {
  subscribe(fn: () => void): () => void;
  getSnapshot(): T;
}

export interface Conversation extends Readable<ConversationSnapshot> {
  /** Load the newest page, once; again after an error. Never rejects: see `error` of the snapshot. */
  load(): Promise<void>;
  /** Load what is before the first message that is held: one page, or this many messages. */
  loadOlder(count?: number): Promise<void>;
  /**
   * Keep all that was loaded until the answer is called: somebody looks at it. Otherwise, and when nothing older was loaded
   * since, the latest 500 messages or more stay in memory, and what is before them is loaded again when it is wanted.
   */
  hold(): () => void;
  /** Queue a message and return its `client_id` at once; it is pending until acknowledged. */
  send(text: string, options?: { message_type?: string }): string;
  /** Send now what is waiting or was refused. */
  retry(clientId: string): void;
  /** Take it back. If it may have arrived, the server is asked first, and what it has is shown as sent. */
  discard(clientId: string): void;
  /** What is typed and not sent; kept on this device until sent, emptied or signed out. */
  getDraft(): string;
  setDraft(text: string): void;
  /** Tell that the user has read up to this `seq`. */
  markRead(upto: number): void;
  /** Tell that the user is typing; at most one request per 3 s. */
  typing(): void;
  /** Keep `peerOnline` up to date, as long as a screen shows it; answers the undo. */
  watch(): () => void;
  /** Nobody of the two can write to the other any more. Rejects when the server did not do it. */
  block(): Promise<void>;
  unblock(): Promise<void>;
  /** Report the other one, with the latest messages, or with those up to `seq`. Rejects when it did not arrive. */
  report(reason: string, seq?: number): Promise<void>;
}

export interface Inbox extends Readable<InboxSnapshot> {
  load(): Promise<void>;
  loadMore(): Promise<void>;
}

export interface OutboxSnapshot {
  /** What no server has acknowledged, to anybody, oldest first: waiting, on its way, or refused (`state` "failed"). */
  pending: readonly PendingMessage[];
}

export interface UnsentMessages extends Readable<OutboxSnapshot> {
  /** As in `Conversation`, whoever it is for. */
  retry(clientId: string): void;
  discard(clientId: string): void;
}

export type TokenReason = "initial" | "expired" | "rejected";

export interface Notice {
  kind: "send_failed" | "connection_failed" | "unauthorized" | "load_failed";
  message: string;
}

export interface RealtimeOptions {
  /** Address of the API, e.g. `/api/message` or `https://chat.example/api/message`. */
  url: string;
  /**
   * Answers the bearer token, or null when nobody is signed in: then nothing is asked of the server, and this function is asked again
   * after `connect` or `reconnect`, and when the user comes back to the page. Without it requests carry the page's own cookies.
   */
  getToken?: (why: { reason: TokenReason }) => Promise<string | null> | string | null;
  maxReconnectAttempts?: number;
  reconnectDelay?: number;
  maxReconnectDelay?: number;
  pollInterval?: number;
  onError?: (notice: Notice) => void;
  /**
   * Where unsent messages, drafts, the place in the log and the latest messages are kept between page loads. "indexeddb"
   * (the default; memory where there is none) keeps them until `signOut`; "memory" leaves nothing on the device.
   */
  storage?: "indexeddb" | "memory" | ClientStorage;
  /**
   * True (the default): the tabs of one browser that are connected as the same `userId` share one stream, where the browser
   * has Web Locks and BroadcastChannel (secure contexts). False: each tab has its own.
   */
  shareStream?: boolean;
  /** Clock, random, fetch, storage and page events; whatever is not given is the platform's. */
  environment?: Partial<Environment>;
}

/** A handle of a timer; opaque. */
export type TimerHandle = unknown;

/** Everything that the core takes from the outside world, so that a test can hold it in its hand. */
export interface Environment {
  /** Milliseconds since 1970. It goes on while the machine sleeps, and jumps when somebody sets it. */
  now(): number;
  /** Milliseconds since some moment. It never jumps, and on some platforms stops while the machine sleeps. */
  monotonic(): number;
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
  /** Decides which tab does what only one may do; null where the browser has none. */
  locks: Locks | null;
  /** Opens the line between the tabs of this browser; null where there is none. */
  channel: ((name: string) => Channel) | null;
}

/** `frozen`: the page is left, put into the back/forward cache, or stopped; `restored`: it goes on. */
export type PageEvent = "online" | "offline" | "visible" | "hidden" | "frozen" | "restored";

/** The part of `navigator.locks` that is used. */
export interface Locks {
  query?(): Promise<{ held?: { name?: string }[]; pending?: { name?: string }[] }>;
  request(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    held: () => Promise<void>,
  ): Promise<unknown>;
}

/** The part of `BroadcastChannel` that is used. */
export interface Channel {
  postMessage(message: unknown): void;
  close(): void;
  onmessage: ((event: { data: unknown }) => void) | null;
}

/**
 * Keeps rows under an owner's name (API and user) across page loads. Values are whatever `structuredClone` can copy.
 * Nothing here needs to be fast; a rejection is reported and costs persistence, nothing else.
 */
export interface ClientStorage {
  read(owner: string): Promise<ReadonlyMap<string, unknown>>;
  /**
   * Put these rows, and delete those that are `undefined`: all of it or nothing. It may be called while an earlier call is
   * under way, when the page is left; what is called later is kept.
   */
  write(owner: string, rows: ReadonlyMap<string, unknown>): Promise<void>;
  /**
   * The page may end before a `write` answers: hold these rows by a means that needs no answer, until null. What is held is
   * in the next `read`, over what was written. Values are text and plain objects; undefined is a row that is deleted.
   */
  hold?(owner: string, rows: ReadonlyMap<string, unknown> | null): void;
  /** Delete everything under this name, what is held included. */
  clear(owner: string): Promise<void>;
  /** Under which names something is kept, also by others than this client. Without it nobody but the user is forgotten. */
  names?(): Promise<readonly string[]>;
  /** Give back what is held open; the next call opens it again. */
  release(): void;
}
