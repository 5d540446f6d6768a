/**
 * The service that an application holds: one per page, made outside of any component.
 *
 * It puts the parts together: the connection hands events in order, stores of conversations and inbox apply them, the
 * outbox and the receipts talk back. What belongs to one user is forgotten when another one connects.
 */
import { Api, ServerProblem } from "./http/api.js";
import { Connection } from "./connection/connection.js";
import { ConversationStore } from "./state/conversation-store.js";
import { isBefore } from "./wire/cursor.js";
import { Device } from "./device/device.js";
import { completeEnvironment } from "./http/environment.js";
import { InboxStore } from "./state/inbox-store.js";
import { MACHINE_DEFAULTS, type Effect } from "./connection/machine-state.js";
import { OutboxStore } from "./state/outbox-store.js";
import { Outbox, type OutboxNews } from "./state/outbox.js";
import { Receipts } from "./state/receipts.js";
import { RETRY_DEFAULTS, type RetryOptions } from "./wire/retry.js";
import { storageOf } from "./device/storage.js";
import { isolate, report, warn } from "./store.js";
import type {
  ClientStorage,
  ConnectionSnapshot,
  ConnectionStatus,
  Conversation,
  Inbox,
  Message,
  Notice,
  PageEvent,
  Readable,
  RealtimeOptions,
  UnsentMessages,
} from "./types.js";
import {
  ProtocolViolation,
  readHistory,
  readMessage,
  readPresence,
  readReceipt,
  readReceiptAnswer,
  readSent,
  readTyping,
  type Frame,
  type InboxPage,
} from "./wire/shapes.js";

/** What `on` gives its listeners, by event. Other frames come under their own type with their `data`. */
export interface RealtimeEvents {
  connected: { userId: string; [member: string]: unknown };
  message: Message;
  reconnecting: { attempt: number; delay_ms: number; reason: string };
  connection_failed: { message: string; polling: boolean };
}

type Listener = (payload: never) => void;

/** What one tab tells the others that are connected as the same user. */
type News =
  | { type: "outbox"; news: OutboxNews }
  | { type: "blocked"; peerId: string; blocked: boolean }
  | { type: "draft"; row: string }
  | { type: "signed_out" };

/** In these states requests are answered. */
const REACHED: ReadonlySet<ConnectionStatus> = new Set(["connected", "polling"]);
/** Among the latest this many messages of a conversation one is looked for that was taken back. */
const FIND_LIMIT = 100;

export class RealtimeService {
  readonly connection: Readable<ConnectionSnapshot>;
  readonly inbox: Inbox;
  /** What is not acknowledged, over all conversations. */
  readonly outbox: UnsentMessages;

  readonly #options: RealtimeOptions;
  readonly #storage: ClientStorage;
  readonly #device: Device;
  readonly #api: Api;
  readonly #retry: RetryOptions;
  readonly #connection: Connection;
  readonly #inbox: InboxStore;
  readonly #outbox: Outbox;
  readonly #unsent: OutboxStore;
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
    this.#storage = storageOf(options.storage);
    this.#device = new Device(this.#storage, api, {
      restored: (cursor) => this.#restore(cursor),
      latest: () => this.#inbox.getSnapshot().entries.map((entry) => entry.user.id),
      tookDraft: (row) => this.#tell({ type: "draft", row }),
    });
    this.#outbox = new Outbox(environment, this.#retry, {
      post: async (pending, signal) => {
        this.#connection.check();
        const { client_id, recipient_id: recipientId, text, message_type } = pending;
        const body = { recipientId, text, message_type, client_id };
        try {
          return readSent(await api.post(api.address(["send"]), body, signal), pending, api.userId);
        } catch (error) {
          // Blocked on another device, of which no event tells.
          if (error instanceof ServerProblem && error.code === "blocked_by_you") this.#setBlocked(recipientId, true);
          throw error;
        }
      },
      find: async ({ recipient_id, client_id }, signal) => {
        const body = await api.get(api.address([recipient_id], { limit: FIND_LIMIT }), signal);
        return readHistory(body, recipient_id).messages.find((one) => one.client_id === client_id) ?? null;
      },
      acknowledged: (message) => {
        this.#conversations.get(message.recipient_id)?.acknowledged(message);
        this.#inbox.acknowledged(message);
      },
      changed: (peerId) => {
        this.#store(peerId).publish();
        this.#unsent.refresh();
        this.#inbox.publish();
      },
      failed: (message) => this.#notify("send_failed", message),
      keep: (clientId, message) => this.#device.keepUnsent(clientId, message),
      tell: (news) => this.#tell({ type: "outbox", news }),
    });
    this.outbox = this.#unsent = new OutboxStore(this.#outbox);
    this.#receipts = new Receipts(environment, this.#retry, {
      post: async (upto, signal) => {
        const receipts = [...upto].map(([chatUserId, of]) => ({ chatUserId, ...of }));
        // The page may be left before the answer.
        const answer = await api.post(api.address(["receipts"]), { receipts }, signal, true);
        return readReceiptAnswer(answer, [...upto.keys()]);
      },
      acknowledged: (peerId, watermarks) => this.#conversations.get(peerId)?.raise(watermarks),
    });
    this.#connection = new Connection(
      api,
      {
        retry: this.#retry,
        maxReconnectAttempts: options.maxReconnectAttempts ?? MACHINE_DEFAULTS.maxReconnectAttempts,
        pollIntervalMs: options.pollInterval ?? MACHINE_DEFAULTS.pollIntervalMs,
        canRefresh: options.getToken !== undefined,
        shareStream: options.shareStream ?? true,
      },
      {
        ready: () => this.#device.ready,
        // One tab of those that share a stream is enough.
        moved: () => this.#connection.leads && this.#device.keepPlace(() => this.#connection.cursor),
        page: (event) => this.#page(event),
        heard: (body) => this.#heard(body as News),
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
      outbox: this.#outbox,
      drafts: this.#device.drafts,
      person: (id) => this.#conversations.get(id)?.getSnapshot().peer ?? { id, name: id, avatar_url: null },
      userId: () => this.#connection.userId,
      base: () => this.#base,
      loadedAt: (cursor) => this.#loadedAt(cursor),
      arrived: (page) => this.#arrived(page),
      failed: (message) => this.#notify("load_failed", message),
      changed: () => {
        if (this.#connection.leads) this.#device.keepInbox(() => this.#inbox.kept(this.#connection.cursor));
      },
    });
    this.connection = this.#connection;
    this.inbox = this.#inbox;
  }

  /**
   * Connect as `userId`, or as whoever the token says.
   *
   * Connected already as the same user: nothing happens, so that it may be called as often as components mount. As
   * another user: everything of the former one is forgotten first, unsent messages and what is kept on the device included.
   */
  connect(userId?: string): void {
    const former = this.#connection.userId;
    if (userId !== undefined && former !== null && former !== userId) {
      this.#connection.close();
      void this.#purge();
      this.#api.tokens.forget();
    }
    const user = userId ?? former;
    if (user !== null) this.#openDevice(user, true);
    this.#connection.open(user);
    this.#receipts.open();
    this.#openOutbox();
  }

  /** End the connection and send nothing any more; what is unsent and what is kept stays for the next `connect`. */
  disconnect(): void {
    this.#connection.close();
    this.#outbox.pause();
    this.#receipts.pause();
    this.#device.flush();
  }

  /**
   * Disconnect and forget the user: messages, drafts and what is unsent, in this page, in the other tabs of this browser
   * that are connected as the same user (they get the event `signed_out`), and on the device. Resolves when it is done.
   */
  signOut(): Promise<void> {
    this.#tell({ type: "signed_out" });
    return this.#leave();
  }

  /**
   * Delete what this device keeps of users of this API other than this one: of those who left without signing out. Who is
   * connected in another tab is spared, which only a browser with Web Locks can tell; without them nothing is deleted.
   */
  async forgetOthers(userId: string): Promise<void> {
    const { locks } = this.#api.environment;
    try {
      const { held = [], pending = [] } = (await locks?.query?.()) ?? {};
      if (!locks?.query) return;
      const present = [...held, ...pending].map(({ name = "" }) => name);
      for (const user of (await this.keptUsers()) ?? []) {
        const owner = this.#api.owner(user);
        const isHere = user === userId || present.some((name) => name.startsWith(`${owner} `));
        if (!isHere) await this.#storage.clear(owner);
      }
    } catch (error) {
      warn("what others left on this device could not be deleted", error);
    }
  }

  /** The users of this API of whom this device keeps something; null where the browser does not tell. */
  async keptUsers(): Promise<readonly string[] | null> {
    const before = this.#api.owner("");
    const names = await this.#storage.names?.().catch(() => null);
    return names?.flatMap((name) => (name.startsWith(before) ? [name.slice(before.length)] : [])) ?? null;
  }

  /** Try now instead of after the wait; also begins again after `refused`. At most once a second. */
  reconnect(): void {
    this.#connection.reconnect();
    if (this.#connection.getSnapshot().status === "idle") return;
    this.#receipts.open();
    this.#openOutbox();
    this.#hurry();
  }

  /** Position in the log after the last event that was applied: what came before it, this page has. Null until known. */
  get cursor(): string | null {
    return this.#connection.cursor;
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
        reaches: () => REACHED.has(this.#connection.getSnapshot().status),
        blocked: (blocked) => {
          this.#setBlocked(peerId, blocked);
          this.#tell({ type: "blocked", peerId, blocked });
        },
        acknowledges: () => this.#connection.leads,
        settled: () => {
          this.#unsent.refresh();
          this.#inbox.publish();
        },
        changed: () => this.#device.keepConversation(peerId, () => this.#conversations.get(peerId)?.kept()),
        getDraft: () => this.#device.getDraft(peerId),
        setDraft: (text) => {
          this.#device.setDraft(peerId, text);
          this.#inbox.drafted(peerId);
        },
      });
      this.#conversations.set(peerId, store);
      store.restore(this.#device.conversation(peerId));
      store.publish();
    }
    return store;
  }

  #openDevice(userId: string, begins: boolean): void {
    // What was queued before anybody said who this is.
    if (this.#device.open(userId, begins)) this.#outbox.keepAll();
  }

  #restore(cursor: string | null): void {
    if (cursor !== null) this.#base = this.#connection.cursor = cursor;
    this.#inbox.restore(this.#device.inbox);
    for (const [peerId, store] of this.#conversations) store.restore(this.#device.conversation(peerId));
    this.#outbox.restore(this.#device.unsent, false);
    // Drafts, too, are there now.
    for (const store of this.#conversations.values()) store.publish();
    this.#inbox.publish();
  }

  #openOutbox(): void {
    // Without tabs that know of each other there is nobody to take turns with.
    const user = this.#connection.getSnapshot().role === "solo" ? null : this.#connection.userId;
    this.#outbox.open(user === null ? null : `${this.#api.owner(user)} outbox`);
  }

  #page(event: PageEvent): void {
    if (event === "hidden") {
      this.#device.leave();
      this.#receipts.flush();
    }
    if (event === "visible") for (const store of this.#conversations.values()) store.seen();
    if (event === "frozen") {
      // Locks and open databases keep a page out of the back/forward cache, and others waiting.
      this.#outbox.pause();
      this.#receipts.flush();
      this.#receipts.pause();
      this.#device.rest();
    }
    if (event === "restored") {
      this.#receipts.open();
      void this.#device.rereadUnsent().then((unsent) => {
        // Other tabs have gone on: what they have sent or taken back is not sent again.
        if (unsent) this.#outbox.restore(unsent, true);
        this.#openOutbox();
      });
    }
  }

  #tell(news: News): void {
    this.#connection.tell(news);
  }

  #heard(news: News): void {
    switch (news.type) {
      case "outbox":
        return this.#outbox.heard(news.news);
      case "blocked":
        return this.#setBlocked(news.peerId, news.blocked);
      case "draft":
        return this.#device.draftTaken(news.row);
      case "signed_out":
        void this.#leave();
        return this.emit("signed_out", {});
    }
  }

  #setBlocked(peerId: string, blocked: boolean): void {
    this.#conversations.get(peerId)?.setBlocked(blocked);
    this.#inbox.setBlocked(peerId, blocked);
  }

  async #leave(): Promise<void> {
    this.disconnect();
    this.#api.tokens.forget();
    await this.#purge();
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
        case "presence": {
          const { chat_user_id, online } = readPresence(frame.data);
          this.#conversations.get(chat_user_id)?.peerIs(online);
          break;
        }
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
    if (me !== null) {
      if (sender_id !== me && recipient_id !== me) throw new ProtocolViolation("the message is between others");
      return sender_id === me ? recipient_id : sender_id;
    }
    // Polling without having been told who this is: only one's own messages show a client_id.
    return client_id !== null || this.#conversations.has(recipient_id) ? recipient_id : sender_id;
  }

  /** Conversations that no screen holds acknowledge too: it is this device that has the message. */
  #acknowledgeArrival(message: Message): void {
    const me = this.#connection.userId;
    if (
      me === null ||
      !this.#connection.leads ||
      message.sender_id === me ||
      this.#conversations.has(message.sender_id)
    )
      return;
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
    this.#openDevice(userId, false);
    this.#openOutbox();
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

  #purge(): Promise<void> {
    const purged = this.#device.purge();
    this.#connection.forget();
    this.#base = null;
    this.#outbox.purge();
    this.#receipts.purge();
    this.#inbox.reset();
    for (const store of this.#conversations.values()) store.reset();
    return purged;
  }

  #notify(kind: Notice["kind"], message: string): void {
    const { onError } = this.#options;
    if (onError) isolate(onError, { kind, message });
  }
}
