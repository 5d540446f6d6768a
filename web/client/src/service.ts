/**
 * The service that an application holds: one per page, made outside of any component.
 *
 * It puts the parts together: the connection hands events in order, stores of conversations and inbox apply them, the
 * outbox and the receipts talk back. What belongs to one user is forgotten when another one connects.
 */
import { Api } from "./api.js";
import { Connection } from "./connection.js";
import { ConversationStore } from "./conversation-store.js";
import { completeEnvironment } from "./environment.js";
import { InboxStore } from "./inbox-store.js";
import { MACHINE_DEFAULTS, type Effect } from "./machine-state.js";
import { Outbox } from "./outbox.js";
import { Receipts } from "./receipts.js";
import { RETRY_DEFAULTS, type RetryOptions } from "./retry.js";
import { isolate, report } from "./store.js";
import type { ConnectionSnapshot, Conversation, Inbox, Message, Notice, Readable, RealtimeOptions } from "./types.js";
import { isBefore } from "./cursor.js";
import {
  readMessage,
  readReceipt,
  readReceiptAnswer,
  readSent,
  readTyping,
  type Frame,
  type InboxPage,
} from "./wire.js";

/** What `on` gives its listeners, by event. Other frames come under their own type with their `data`. */
export interface RealtimeEvents {
  connected: { userId: string; [member: string]: unknown };
  message: Message;
  reconnecting: { attempt: number; delay_ms: number; reason: string };
  connection_failed: { message: string; polling: boolean };
}

type Listener = (payload: never) => void;

export class RealtimeService {
  readonly connection: Readable<ConnectionSnapshot>;
  readonly inbox: Inbox;

  readonly #options: RealtimeOptions;
  readonly #api: Api;
  readonly #retry: RetryOptions;
  readonly #connection: Connection;
  readonly #inbox: InboxStore;
  readonly #outbox: Outbox;
  readonly #receipts: Receipts;
  readonly #conversations = new Map<string, ConversationStore>();
  readonly #listeners = new Map<string, Set<Listener>>();
  #base: string | null = null;

  constructor(options: RealtimeOptions) {
    this.#options = options;
    const environment = completeEnvironment(options.environment);
    this.#retry = {
      ...RETRY_DEFAULTS,
      base_ms: options.reconnectDelay ?? RETRY_DEFAULTS.base_ms,
      cap_ms: options.maxReconnectDelay ?? RETRY_DEFAULTS.cap_ms,
    };
    const api = (this.#api = new Api(options.url, environment, options.getToken));
    this.#outbox = new Outbox(environment, this.#retry, {
      post: async (pending, signal) => {
        const { client_id, recipient_id: recipientId, text, message_type } = pending;
        return readSent(await api.post(api.address(["send"]), { recipientId, text, message_type, client_id }, signal));
      },
      acknowledged: (message) => {
        this.#conversations.get(message.recipient_id)?.acknowledged(message);
        this.#inbox.acknowledged(message);
      },
      changed: (peerId) => this.#store(peerId).publish(),
      failed: (message) => this.#notify("send_failed", message),
    });
    this.#receipts = new Receipts(environment, this.#retry, {
      post: async (chatUserId, upto, signal) =>
        readReceiptAnswer(await api.post(api.address(["receipts"]), { chatUserId, ...upto }, signal)),
      acknowledged: (peerId, watermarks) => this.#conversations.get(peerId)?.raise(watermarks),
    });
    this.#connection = new Connection(
      api,
      {
        retry: this.#retry,
        maxReconnectAttempts: options.maxReconnectAttempts ?? MACHINE_DEFAULTS.maxReconnectAttempts,
        pollIntervalMs: options.pollInterval ?? MACHINE_DEFAULTS.pollIntervalMs,
        canRefresh: options.getToken !== undefined,
      },
      {
        apply: (frame) => this.#apply(frame),
        based: (cursor, why) => this.#rebase(cursor, why),
        identified: (userId) => this.#identified(userId),
        effect: (effect, connected) => this.#effect(effect, connected),
        told: (frame) => this.emit(frame.type, frame.data),
      },
    );
    this.#inbox = new InboxStore({
      api,
      retry: this.#retry,
      userId: () => this.#connection.userId,
      base: () => this.#base,
      loadedAt: (cursor) => this.#loadedAt(cursor),
      arrived: (page) => this.#arrived(page),
      failed: (message) => this.#notify("load_failed", message),
    });
    this.connection = this.#connection;
    this.inbox = this.#inbox;
  }

  /**
   * Connect as `userId`, or as whoever the token says.
   *
   * Connected already as the same user: nothing happens, so that it may be called as often as components mount. As
   * another user: everything of the former one is forgotten first, unsent messages included.
   */
  connect(userId?: string): void {
    const former = this.#connection.userId;
    if (userId !== undefined && former !== null && former !== userId) {
      this.#connection.close();
      this.#purge();
      this.#api.tokens.forget();
    }
    this.#connection.open(userId ?? null);
    this.#receipts.open();
    this.#outbox.open(this.#connection.userId ?? "");
  }

  /** Close stream and polls and send nothing more. State stays; `connect` goes on from where this was. */
  disconnect(): void {
    this.#connection.close();
    this.#outbox.pause();
    this.#receipts.pause();
  }

  /** Try now instead of after the wait; also begins again after `refused`. At most once a second. */
  reconnect(): void {
    this.#connection.reconnect();
    if (this.#connection.getSnapshot().status === "idle") return;
    this.#receipts.open();
    this.#outbox.open(this.#connection.userId ?? "");
    this.#hurry();
  }

  isConnected(): boolean {
    return this.#connection.getSnapshot().status === "connected";
  }

  /** Listen; answers the undo. A listener that throws is reported and disturbs nobody. */
  on<K extends keyof RealtimeEvents>(event: K, fn: (payload: RealtimeEvents[K]) => void): () => void;
  on(event: string, fn: (payload: unknown) => void): () => void;
  on(event: string, fn: (payload: never) => void): () => void {
    let listeners = this.#listeners.get(event);
    if (!listeners) this.#listeners.set(event, (listeners = new Set()));
    const listener: Listener = (payload) => fn(payload);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** Call the listeners of this page; nothing is sent. */
  emit(event: string, payload: unknown): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) isolate(listener, payload as never);
  }

  /** The conversation with this person; the same object each time. */
  conversation(peerId: string): Conversation {
    return this.#store(peerId);
  }

  #store(peerId: string): ConversationStore {
    let store = this.#conversations.get(peerId);
    if (!store) {
      store = new ConversationStore(peerId, {
        api: this.#api,
        retry: this.#retry,
        outbox: this.#outbox,
        receipts: this.#receipts,
        base: () => this.#base,
        loadedAt: (cursor) => this.#loadedAt(cursor),
        failed: (message) => this.#notify("load_failed", message),
      });
      this.#conversations.set(peerId, store);
      store.publish();
    }
    return store;
  }

  /** Apply one frame to everything it concerns. What cannot be read is reported and passed over: it would not change. */
  #apply(frame: Frame): void {
    let payload: unknown = frame.data;
    try {
      switch (frame.type) {
        case "new_message": {
          const message = readMessage(frame.data);
          payload = message;
          this.#applyLogged(frame, this.#peerOf(message));
          this.#acknowledgeArrival(message);
          break;
        }
        case "message_delivered":
        case "message_read":
          this.#applyLogged(frame, readReceipt(frame.data).chat_user_id);
          break;
        case "typing":
          this.#conversations.get(readTyping(frame.data))?.peerTypes();
          break;
      }
    } catch (error) {
      report(error);
      return;
    }
    this.emit(frame.type, payload);
    if (frame.type === "new_message") this.emit("message", payload);
  }

  #applyLogged(frame: Frame, peerId: string): void {
    this.#conversations.get(peerId)?.apply(frame);
    this.#inbox.apply(frame, peerId);
  }

  #peerOf({ sender_id, recipient_id, client_id }: Message): string {
    const me = this.#connection.userId;
    if (me !== null) return sender_id === me ? recipient_id : sender_id;
    // Polling without having been told who this is: only one's own messages show a client_id.
    return client_id !== null || this.#conversations.has(recipient_id) ? recipient_id : sender_id;
  }

  /** Conversations that no screen holds acknowledge too: it is this device that has the message. */
  #acknowledgeArrival(message: Message): void {
    const me = this.#connection.userId;
    if (me === null || message.sender_id === me || this.#conversations.has(message.sender_id)) return;
    const none = { delivered_upto: 0, read_upto: 0 };
    this.#receipts.note(message.sender_id, { delivered_upto: message.seq }, none);
  }

  #arrived(page: InboxPage): void {
    for (const { user, last_message, watermarks } of page.conversations) {
      if (last_message === null || last_message.sender_id !== user.id) continue;
      if (last_message.seq > watermarks.delivered_upto) {
        this.#receipts.note(user.id, { delivered_upto: last_message.seq }, watermarks);
      }
    }
  }

  #loadedAt(cursor: string): void {
    // The first position that anything was read at is where events have to be applied from.
    if (this.#connection.cursor !== null) return;
    this.#connection.cursor = cursor;
    this.#base = cursor;
  }

  #rebase(cursor: string, why: "begin" | "reset"): void {
    // A stream that began where nothing had been read yet changes nothing for what was read later.
    if (why === "begin" && this.#base !== null && !isBefore(this.#base, cursor)) return;
    this.#base = cursor;
    for (const store of this.#conversations.values()) store.rebase(cursor, why);
    this.#inbox.rebase(cursor, why);
  }

  #identified(userId: string): void {
    const former = this.#connection.userId;
    if (former !== null && former !== userId) this.#purge();
    this.#outbox.open(userId);
  }

  #effect(effect: Exclude<Effect, { generation: number }>, connected: unknown): void {
    switch (effect.type) {
      case "connected": {
        const told = typeof connected === "object" ? connected : {};
        this.emit("connected", { ...told, userId: this.#connection.userId });
        return this.#hurry();
      }
      case "reachable":
        return this.#hurry();
      case "reconnecting": {
        const { attempt, delayMs, reason } = effect;
        return this.emit("reconnecting", { attempt, delay_ms: Math.round(delayMs), reason });
      }
      case "connection_failed":
        this.emit("connection_failed", { message: effect.message, polling: effect.polling });
        return this.#notify("connection_failed", effect.message);
      case "unauthorized":
        return this.#notify("unauthorized", "The server does not accept who you say you are");
    }
  }

  #hurry(): void {
    this.#outbox.hurry();
    this.#receipts.hurry();
    this.#inbox.hurry();
    for (const store of this.#conversations.values()) store.hurry();
  }

  #purge(): void {
    this.#connection.forget();
    this.#base = null;
    this.#outbox.purge();
    this.#receipts.purge();
    this.#inbox.reset();
    for (const store of this.#conversations.values()) store.reset();
  }

  #notify(kind: Notice["kind"], message: string): void {
    const { onError } = this.#options;
    if (onError) isolate(onError, { kind, message });
  }
}
