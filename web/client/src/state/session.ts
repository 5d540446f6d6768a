/**
 * All that works for one user at a time: makes the parts, and moves them as one when the page, the server or another tab
 * calls for it.
 *
 * The connection hands frames to the log, which the conversations and the inbox fold; outbox and receipts talk back. What
 * belongs to one user is forgotten when another one connects.
 */
import { Connection, type ConnectionHandlers } from "../connection/connection.js";
import { MACHINE_DEFAULTS } from "../connection/machine-state.js";
import { Device, type DeviceHandlers } from "../device/device.js";
import { storageOf } from "../device/storage.js";
import { Api } from "../http/api.js";
import { completeEnvironment } from "../http/environment.js";
import { Listeners } from "../listeners.js";
import type { ClientStorage, FoundPerson, PageEvent, RealtimeOptions } from "../types.js";
import { RETRY_DEFAULTS } from "../wire/retry.js";
import { readPeople } from "../wire/shapes.js";
import { Conversations } from "./conversations.js";
import { InboxStore } from "./inbox-store.js";
import { Log, type LogHandlers } from "./log.js";
import { Met } from "./met.js";
import { Outbox, type OutboxNews } from "./outbox.js";
import { Receipts } from "./receipts.js";

/** What one tab tells the others that are connected as the same user. */
type News =
  | { type: "outbox"; news: OutboxNews }
  | { type: "blocked"; peerId: string; blocked: boolean }
  | { type: "draft"; row: string }
  | { type: "signed_out" };

export class Session implements LogHandlers, DeviceHandlers, ConnectionHandlers {
  readonly listeners: Listeners;
  readonly storage: ClientStorage;
  readonly api: Api;
  readonly log: Log;
  readonly connection: Connection;
  readonly device: Device;
  readonly outbox: Outbox;
  readonly receipts: Receipts;
  readonly conversations: Conversations;
  readonly inbox: InboxStore;
  readonly met: Met;

  constructor(options: RealtimeOptions) {
    const listeners = (this.listeners = new Listeners(options.onError));
    const storage = (this.storage = storageOf(options.storage));
    const retry = {
      ...RETRY_DEFAULTS,
      base_ms: options.reconnectDelay ?? RETRY_DEFAULTS.base_ms,
      cap_ms: options.maxReconnectDelay ?? RETRY_DEFAULTS.cap_ms,
    };
    const api = (this.api = new Api(options.url, completeEnvironment(options.environment), options.getToken, retry));
    const log = (this.log = new Log(api, listeners, this));
    this.device = new Device(storage, api, this);
    this.met = new Met(this.device);
    const connectionOptions = {
      retry,
      maxReconnectAttempts: options.maxReconnectAttempts ?? MACHINE_DEFAULTS.maxReconnectAttempts,
      pollIntervalMs: options.pollInterval ?? MACHINE_DEFAULTS.pollIntervalMs,
      canRefresh: options.getToken !== undefined,
      shareStream: options.shareStream ?? true,
    };
    this.connection = new Connection(api, log, listeners, connectionOptions, this);
    api.refused = (why) => this.connection.refused(why);
    api.admits = () => this.connection.admits;
    api.reaches = () => this.connection.reaches;
    this.receipts = new Receipts(this);
    this.outbox = new Outbox(this);
    this.conversations = new Conversations(this);
    this.inbox = new InboxStore(this);
    // Whoever signs in next may be somebody else.
    this.connection.subscribe(() => this.outbox.refuse());
    log.join(this.conversations);
    log.join(this.inbox);
  }

  open(userId?: string): void {
    const former = this.api.userId;
    const isOther = userId !== undefined && former !== null && former !== userId;
    if (isOther) this.connection.close();
    // What was written after a sign-out is nobody's.
    if (isOther || this.connection.isSignedOut) void this.#forget(true);
    const user = userId ?? former;
    if (user !== null) this.#openDevice(user, true);
    this.connection.open(user);
    this.receipts.open();
    this.#openOutbox();
  }

  close(isSignOut = false): void {
    this.connection.close(isSignOut);
    this.outbox.pause();
    this.receipts.pause();
    this.device.flush();
  }

  reconnect(): void {
    this.connection.reconnect();
    if (!this.connection.isOpen) return;
    this.receipts.open();
    this.#openOutbox();
    this.reached();
  }

  /** Close and forget the user, here and in the other tabs. */
  signOut(): Promise<void> {
    this.connection.tell({ type: "signed_out" } satisfies News);
    return this.#leave();
  }

  async searchPeople(text: string, signal: AbortSignal): Promise<readonly FoundPerson[]> {
    const { api, conversations, met } = this;
    const found = readPeople(await api.get(api.address(["people"], { q: text }), signal));
    met.add(found);
    for (const { id } of found) if (conversations.has(id)) conversations.of(id).publish();
    return found;
  }

  #leave(): Promise<void> {
    this.close(true);
    return this.#forget(false);
  }

  /** `spareUnsent`: what the user has not sent waits on the device for their next sign-in; nobody has agreed to lose it. */
  #forget(spareUnsent: boolean): Promise<void> {
    this.api.tokens.forget();
    const purged = this.device.purge(spareUnsent);
    this.connection.forget();
    this.log.forget();
    this.outbox.purge();
    this.receipts.purge();
    this.met.clear();
    this.inbox.reset();
    for (const store of this.conversations.all()) store.reset();
    return purged;
  }

  #openDevice(userId: string, begins: boolean): void {
    // What was queued before anybody said who this is.
    if (this.device.open(userId, begins)) this.outbox.keepAll();
  }

  #openOutbox(): void {
    // Without tabs that know of each other there is nobody to take turns with.
    const user = this.connection.getSnapshot().role === "solo" ? null : this.api.userId;
    this.outbox.open(user === null ? null : `${this.api.owner(user)} outbox`);
  }

  identified(userId: string): void {
    this.#openDevice(userId, false);
    this.#openOutbox();
  }

  moved(): void {
    // One tab of those that share a stream is enough.
    if (this.connection.leads) this.device.keepPlace(() => this.log.cursor);
  }

  latest(): readonly string[] {
    return this.inbox.getSnapshot().entries.map((entry) => entry.user.id);
  }

  tookDraft(row: string): void {
    this.connection.tell({ type: "draft", row } satisfies News);
  }

  restored(cursor: string | null): void {
    if (cursor !== null) this.log.restore(cursor);
    this.inbox.restore(this.device.inbox);
    for (const store of this.conversations.all()) store.restore(this.device.conversation(store.peerId));
    this.outbox.restore(this.device.unsent, false);
    // Drafts, too, are there now.
    for (const store of this.conversations.all()) store.publish();
    this.inbox.publish();
  }

  reached(): void {
    this.outbox.hurry();
    this.receipts.hurry();
    this.inbox.hurry();
    for (const store of this.conversations.all()) store.hurry();
  }

  page(event: PageEvent): void {
    if (event === "hidden") {
      this.device.leave();
      this.receipts.flush();
    }
    if (event === "visible") for (const store of this.conversations.all()) store.seen();
    if (event === "frozen") {
      // Locks and open databases keep a page out of the back/forward cache, and others waiting.
      this.outbox.pause();
      this.receipts.flush();
      this.receipts.pause();
      this.device.rest();
    }
    if (event === "restored") {
      this.receipts.open();
      void this.device.rereadUnsent().then((unsent) => {
        // Other tabs have gone on: what they have sent or taken back is not sent again.
        if (unsent) this.outbox.restore(unsent, true);
        this.#openOutbox();
      });
    }
  }

  heard(body: unknown): void {
    const news = body as News;
    switch (news.type) {
      case "outbox":
        return this.outbox.heard(news.news);
      case "blocked":
        return this.log.tell(news);
      case "draft":
        return this.device.draftTaken(news.row);
      case "signed_out":
        void this.#leave();
        return this.listeners.emit("signed_out", {});
    }
  }
}
