/** One conversation as a screen holds it: the reducer's state, what is pending, loading, receipts and typing. */
import { codeOf, mayRetry, type Api } from "../http/api.js";
import { isBefore } from "../wire/cursor.js";
import type { ConversationEvent } from "../wire/events.js";
import {
  applyEvent,
  applyMessage,
  applyNewest,
  applyOlder,
  applyWatermarks,
  asMet,
  emptyConversation,
  keepLatest,
  type ConversationState,
} from "./conversation.js";
import { Loader } from "./loader.js";
import type { Fold, Happening, Log } from "./log.js";
import type { Connection } from "../connection/connection.js";
import type { Device } from "../device/device.js";
import type { Listeners } from "../listeners.js";
import type { Outbox } from "./outbox.js";
import { PeerPresence } from "./presence.js";
import type { Receipts } from "./receipts.js";
import { Store } from "../store.js";
import { Typing } from "./typing.js";
import { isKept, keptOf } from "./kept-conversation.js";
import type { Met } from "./met.js";
import type { Conversation, ConversationSnapshot, Message } from "../types.js";
import { readHistory, type HistoryPage } from "../wire/shapes.js";

const PAGE_SIZE = 50;
/** The most that the server gives at once. */
const PAGE_MAX = 200;
/**
 * How many messages stay in memory while nobody looks further back, and how many are held before the rest is let go of.
 * A page that is left open in a busy conversation would otherwise grow for ever.
 */
const LATEST_COUNT = 500;
const LATEST_MAX = 1000;

export interface ConversationParts {
  api: Api;
  log: Log;
  listeners: Listeners;
  device: Device;
  connection: Connection;
  outbox: Outbox;
  receipts: Receipts;
  met: Pick<Met, "get">;
}

export class ConversationStore extends Store<ConversationSnapshot> implements Conversation, Fold {
  #state: ConversationState;
  /** After a reset: what arrives while the newest page is loaded, and will be laid upon it in place of `#state`. */
  #renewed: ConversationState | null = null;
  readonly #newest: Loader;
  #older: Promise<void> | null = null;
  /** Who needs what was loaded beyond the latest messages. */
  #holds = 0;
  #olderWanted = false;
  #loadingOlder = false;
  #olderError: string | null = null;
  #olderErrorCode: string | null = null;
  #controller = new AbortController();
  readonly #typing: Typing;
  readonly #presence: PeerPresence;
  #blocked = false;
  /** What is shown was kept by an earlier page. */
  #stored = false;
  /** The state that `changed` was told of. */
  #known: ConversationState;

  constructor(
    readonly peerId: string,
    private readonly parts: ConversationParts,
  ) {
    const state = emptyConversation(peerId);
    super({
      peerId,
      peer: null,
      messages: state.messages,
      pending: [],
      watermarks: state.watermarks,
      loaded: false,
      stored: false,
      loading: false,
      hasOlder: false,
      peerTyping: false,
      peerOnline: null,
      blocked: false,
      error: null,
      errorCode: null,
    });
    this.#state = this.#known = state;
    this.#typing = new Typing(parts.api, peerId, () => this.publish());
    this.#presence = new PeerPresence(parts, peerId, () => this.publish());
    this.#newest = new Loader(
      parts,
      (signal) => this.#loadNewest(signal),
      () => this.publish(),
    );
  }

  load(): Promise<void> {
    return this.#newest.load();
  }

  loadOlder(count = PAGE_SIZE): Promise<void> {
    const first = this.#state.messages[0];
    if (!this.#newest.loaded || !this.#state.hasOlder || !first) return this.load();
    this.#olderWanted = true;
    this.#older ??= this.#loadOlder(first.seq, count, this.#controller.signal);
    return this.#older;
  }

  hold(): () => void {
    this.#holds += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holds -= 1;
      if (this.#holds > 0) return;
      this.#olderWanted = false;
      this.#letGo();
      this.publish();
    };
  }

  send(text: string, options: { message_type?: string } = {}): string {
    this.#typing.sent();
    return this.parts.outbox.add(this.peerId, text, options.message_type ?? "text");
  }

  retry(clientId: string): void {
    this.parts.outbox.retry(clientId);
  }

  getDraft(): string {
    return this.parts.device.getDraft(this.peerId);
  }

  setDraft(text: string): void {
    const { device, log } = this.parts;
    device.setDraft(this.peerId, text);
    log.tell({ type: "draft", peerId: this.peerId });
  }

  discard(clientId: string): void {
    this.parts.outbox.discard(clientId);
  }

  markRead(upto: number): void {
    // Nothing is told to whom one blocks; said later, it would be taken for said already.
    if (this.#blocked) return;
    const { messages, watermarks } = this.#state;
    // The server refuses a receipt beyond the last message.
    const read_upto = Math.min(upto, messages.at(-1)?.seq ?? 0);
    if (read_upto > watermarks.read_upto) this.parts.receipts.note(this.peerId, { read_upto }, watermarks);
  }

  typing(): void {
    this.#typing.tell(this.#controller.signal);
  }

  watch(): () => void {
    return this.#presence.watch();
  }

  block(): Promise<void> {
    return this.#block("block");
  }

  unblock(): Promise<void> {
    return this.#block("unblock");
  }

  report(reason: string, seq?: number): Promise<void> {
    return this.#ask("report", { reason, ...(seq === undefined ? {} : { seq }) });
  }

  async #block(route: "block" | "unblock"): Promise<void> {
    await this.#ask(route);
    const fact = { type: "blocked", peerId: this.peerId, blocked: route === "block" } as const;
    this.parts.log.tell(fact);
    this.parts.connection.tell(fact);
  }

  /** The user blocks this person, or does not any more: told by this tab, another one, or a refused send. */
  #setBlocked(blocked: boolean): void {
    if (blocked === this.#blocked) return;
    this.#blocked = blocked;
    this.publish();
    if (blocked) {
      this.#presence.forget();
      this.#typing.stop();
    } else {
      this.#presence.ask();
      if (this.#newest.loaded) void this.#newest.reload({ after: true });
    }
  }

  /** The page is seen again. */
  seen(): void {
    this.#presence.ask();
  }

  apply(happening: Happening): void {
    switch (happening.type) {
      case "new_message":
      case "message_delivered":
      case "message_read":
        return this.#event(happening);
      case "sent":
        return this.#acknowledged(happening.message);
      case "watermarks":
        this.#state = applyWatermarks(this.#state, happening.watermarks);
        return this.publish();
      case "blocked":
        return this.#setBlocked(happening.blocked);
      case "typing":
        return this.#typing.told();
      case "presence":
        return this.#presence.told(happening.online);
      case "profile":
        this.#state = { ...this.#state, peer: happening.person };
        if (this.#renewed) this.#renewed = { ...this.#renewed, peer: happening.person };
        return this.publish();
      case "pending":
        return this.publish();
      case "draft":
      case "other":
        return;
    }
  }

  #event(event: ConversationEvent): void {
    this.#state = applyEvent(this.#state, event);
    if (this.#renewed) this.#renewed = applyEvent(this.#renewed, event);
    if (event.type === "new_message") {
      const { message } = event;
      this.#settlePending([message]);
      if (this.parts.connection.leads) this.#arrived([message]);
      if (message.sender_id === this.peerId) this.#typing.stop();
      this.#letGo();
    }
    this.publish();
    if (this.#state.stale) void this.#newest.reload({ after: true });
  }

  #acknowledged(message: Message): void {
    this.#state = applyMessage(this.#state, message);
    if (this.#renewed) this.#renewed = applyMessage(this.#renewed, message);
    this.#settlePending([message]);
    this.publish();
  }

  rebase(base: string, why: "begin" | "reset"): void {
    const { loaded, loading } = this.#newest;
    if (why === "reset" && (loaded || loading)) {
      this.#renewed = emptyConversation(this.peerId);
      void this.#newest.reload({ after: true });
    } else if (loaded && isBefore(this.#state.cursor, base)) {
      void this.#newest.reload({ after: true });
    }
  }

  /** Show what an earlier page kept, until the server's newest page is here. */
  restore(kept: unknown): void {
    if (this.#newest.loaded || !isKept(kept)) return;
    this.#state = this.#known = this.#state.messages.reduce(applyMessage, kept);
    this.#stored = true;
    this.publish();
  }

  /** The server is back. */
  hurry(): void {
    this.#newest.hurry();
    if (this.#olderError !== null) void this.loadOlder();
    this.#presence.ask();
  }

  /** Forget everything: another user. */
  reset(): void {
    this.#controller.abort();
    this.#controller = new AbortController();
    this.#newest.reset(this.isWatched);
    this.#older = null;
    this.#olderWanted = this.#loadingOlder = false;
    this.#olderError = this.#olderErrorCode = null;
    this.#renewed = null;
    this.#stored = false;
    this.#blocked = false;
    this.#presence.forget();
    this.#state = this.#known = emptyConversation(this.peerId);
    this.#typing.stop();
    this.publish();
  }

  publish(): void {
    const { peerId, peer, messages, watermarks, hasOlder } = this.#state;
    const { loaded, loading, error, errorCode } = this.#newest;
    if (this.#state !== this.#known) {
      this.#known = this.#state;
      this.parts.device.keepConversation(peerId, () => keptOf(this.#state, this.parts.met.get(peerId)));
    }
    this.set({
      peerId,
      peer: asMet(peer, this.parts.met.get(peerId)),
      messages,
      pending: this.parts.outbox.list(peerId),
      watermarks,
      loaded: loaded || this.#stored,
      stored: this.#stored && !loaded,
      loading: loading || this.#loadingOlder,
      hasOlder,
      peerTyping: this.#typing.peerTypes,
      peerOnline: this.#presence.online,
      blocked: this.#blocked,
      error: error ?? this.#olderError,
      errorCode: errorCode ?? this.#olderErrorCode,
    });
  }

  async #loadNewest(signal: AbortSignal): Promise<void> {
    const { api } = this.parts;
    const body = await api.get(api.address([this.peerId], { limit: PAGE_SIZE }), signal);
    if (signal.aborted) return;
    const page = readHistory(body, this.peerId);
    this.parts.log.readAt(page.cursor);
    this.#blocked = page.blocked;
    this.#take(applyNewest(this.#renewed ?? this.#state, page), page);
    this.#renewed = null;
    if (this.parts.log.isMissed(page.cursor)) void this.#newest.reload({ after: true });
  }

  async #loadOlder(before: number, count: number, signal: AbortSignal): Promise<void> {
    const { api } = this.parts;
    this.#loadingOlder = true;
    this.#olderError = this.#olderErrorCode = null;
    this.publish();
    try {
      let first = before;
      // Meanwhile a reset may have replaced what a page should be laid before.
      while (!signal.aborted && this.#state.messages[0]?.seq === first) {
        const limit = Math.min(PAGE_MAX, count - (before - first));
        if (limit <= 0 || !this.#state.hasOlder) break;
        const body = await api.get(api.address([this.peerId], { before: first, limit }), signal);
        const page = readHistory(body, this.peerId);
        if (signal.aborted || this.#state.messages[0]?.seq !== first) break;
        this.#take(applyOlder(this.#state, page), page);
        first = page.messages[0]?.seq ?? 0;
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#olderError = error instanceof Error ? error.message : String(error);
      this.#olderErrorCode = codeOf(error);
      if (!mayRetry(error)) this.parts.listeners.notify("load_failed", this.#olderError);
    } finally {
      if (!signal.aborted) {
        this.#older = null;
        this.#loadingOlder = false;
        this.publish();
      }
    }
  }

  async #ask(route: string, more: Record<string, unknown> = {}): Promise<void> {
    const { api } = this.parts;
    await api.post(api.address([route]), { chatUserId: this.peerId, ...more }, this.#controller.signal);
  }

  #take(state: ConversationState, page: HistoryPage): void {
    this.#state = state;
    this.#settlePending(page.messages);
    this.#arrived(page.messages);
  }

  /** Messages of the other side are here: say so. */
  #arrived(messages: readonly Message[]): void {
    const last = messages.filter((message) => message.sender_id === this.peerId).at(-1);
    if (last && !this.#blocked) this.parts.receipts.arrived(last, this.#state.watermarks);
  }

  /** What nobody looks at need not be in memory; beyond a margin, so that not each message costs a copy. */
  #letGo(): void {
    if (this.#holds > 0 || this.#olderWanted || this.#state.messages.length <= LATEST_MAX) return;
    this.#state = keepLatest(this.#state, LATEST_COUNT);
  }

  #settlePending(messages: readonly Message[]): void {
    for (const { client_id } of messages) if (client_id !== null) this.parts.outbox.settle(this.peerId, client_id);
  }
}
