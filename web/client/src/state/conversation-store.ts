/** One conversation as a screen holds it: the reducer's state, what is pending, loading, receipts and typing. */
import { mayRetry, type Api } from "../http/api.js";
import { isBefore } from "../wire/cursor.js";
import {
  applyEvent,
  applyMessage,
  applyNewest,
  applyOlder,
  applyWatermarks,
  emptyConversation,
  keepLatest,
  type ConversationState,
} from "./conversation.js";
import { Loader } from "./loader.js";
import type { Outbox } from "./outbox.js";
import { PeerPresence } from "./presence.js";
import type { Receipts } from "./receipts.js";
import type { RetryOptions } from "../wire/retry.js";
import { Store } from "../store.js";
import type { Conversation, ConversationSnapshot, Message, TimerHandle, Watermarks } from "../types.js";
import { readHistory, readMessage, readWatermarks, type Frame, type HistoryPage } from "../wire/shapes.js";

const PAGE_SIZE = 50;
/** The most that the server gives at once. */
const PAGE_MAX = 200;
/**
 * How many messages stay in memory while nobody looks further back, and how many are held before the rest is let go of.
 * A page that is left open in a busy conversation would otherwise grow for ever.
 */
const LATEST_COUNT = 500;
const LATEST_MAX = 1000;
/** How long a `typing` frame is shown (PROTOCOL 13.0.4); senders repeat it every `TYPING_INTERVAL_MS`. */
const TYPING_SHOWN_MS = 5000;
const TYPING_INTERVAL_MS = 3000;

export interface ConversationDependencies {
  api: Api;
  retry: RetryOptions;
  outbox: Outbox;
  receipts: Receipts;
  /** From where events are applied without a hole; null before that is known. */
  base(): string | null;
  /** A snapshot was read at this cursor. */
  loadedAt(cursor: string): void;
  failed(message: string): void;
  /** Whether the server can be reached now; `hurry` is called when it can again. */
  reaches(): boolean;
  /** The user has blocked this person, or has taken it back. */
  blocked(blocked: boolean): void;
  /** Whether this tab acknowledges what arrives on the stream; of several that share one, one is enough. */
  acknowledges(): boolean;
  /** Something that was pending is acknowledged. */
  settled(): void;
  /** What `kept` answers is different now. */
  changed(): void;
  getDraft(): string;
  setDraft(text: string): void;
}

/** Messages of one conversation that are kept on the device, the latest ones, and their text together. */
const KEPT_MAX = 50;
const KEPT_TEXT_MAX = 100_000;

export class ConversationStore extends Store<ConversationSnapshot> implements Conversation {
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
  #controller = new AbortController();
  #typing = false;
  #typingTimer: TimerHandle | null = null;
  #typingToldAt = -Infinity;
  readonly #presence: PeerPresence;
  #blocked = false;
  /** What is shown was kept by an earlier page. */
  #stored = false;
  /** The state that `changed` was told of. */
  #known: ConversationState;

  constructor(
    readonly peerId: string,
    private readonly deps: ConversationDependencies,
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
    });
    this.#state = this.#known = state;
    this.#presence = new PeerPresence(
      deps.api,
      peerId,
      () => deps.reaches(),
      () => this.publish(),
    );
    this.#newest = new Loader(
      deps.api.environment,
      deps.retry,
      (signal) => this.#loadNewest(signal),
      () => this.publish(),
      deps.failed,
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
    this.#typingToldAt = -Infinity;
    return this.deps.outbox.add(this.peerId, text, options.message_type ?? "text");
  }

  retry(clientId: string): void {
    this.deps.outbox.retry(this.peerId, clientId);
  }

  getDraft(): string {
    return this.deps.getDraft();
  }

  setDraft(text: string): void {
    this.deps.setDraft(text);
  }

  discard(clientId: string): void {
    this.deps.outbox.discard(this.peerId, clientId);
  }

  markRead(upto: number): void {
    // Nothing is told to whom one blocks; said later, it would be taken for said already.
    if (this.#blocked) return;
    const { messages, watermarks } = this.#state;
    // The server refuses a receipt beyond the last message.
    const read_upto = Math.min(upto, messages.at(-1)?.seq ?? 0);
    if (read_upto > watermarks.read_upto) this.deps.receipts.note(this.peerId, { read_upto }, watermarks);
  }

  typing(): void {
    const { api } = this.deps;
    const now = api.environment.monotonic();
    if (now - this.#typingToldAt < TYPING_INTERVAL_MS) return;
    this.#typingToldAt = now;
    // Worth nothing later, so it is not repeated.
    api.post(api.address(["typing"]), { chatUserId: this.peerId }, this.#controller.signal).catch(() => undefined);
  }

  watch(): () => void {
    return this.#presence.watch();
  }

  async block(): Promise<void> {
    await this.#ask("block");
    this.deps.blocked(true);
  }

  async unblock(): Promise<void> {
    await this.#ask("unblock");
    this.deps.blocked(false);
  }

  report(reason: string, seq?: number): Promise<void> {
    return this.#ask("report", { reason, ...(seq === undefined ? {} : { seq }) });
  }

  /** The user blocks this person, or does not any more: told by this tab, another one, or a refused send. */
  setBlocked(blocked: boolean): void {
    if (blocked === this.#blocked) return;
    this.#blocked = blocked;
    this.publish();
    if (blocked) {
      this.#presence.forget();
      this.#stopTyping();
    } else {
      this.#presence.ask();
      if (this.#newest.loaded) void this.#newest.reload({ after: true });
    }
  }

  /** A frame told whether the other one is online. */
  peerIs(online: boolean): void {
    this.#presence.told(online);
  }

  /** The page is seen again. */
  seen(): void {
    this.#presence.ask();
  }

  /** An event of the log, given once and in order. */
  apply(frame: Frame): void {
    this.#state = applyEvent(this.#state, frame);
    if (this.#renewed) this.#renewed = applyEvent(this.#renewed, frame);
    if (frame.type === "new_message") {
      const message = readMessage(frame.data);
      this.#settlePending([message]);
      if (this.deps.acknowledges()) this.#arrived([message]);
      if (message.sender_id === this.peerId) this.#stopTyping();
      this.#letGo();
    }
    this.publish();
    if (this.#state.stale) void this.#newest.reload({ after: true });
  }

  /** The answer to a send. */
  acknowledged(message: Message): void {
    this.#state = applyMessage(this.#state, message);
    if (this.#renewed) this.#renewed = applyMessage(this.#renewed, message);
    this.#settlePending([message]);
    this.publish();
  }

  raise(watermarks: Watermarks): void {
    this.#state = applyWatermarks(this.#state, watermarks);
    this.publish();
  }

  peerTypes(): void {
    const { environment } = this.deps.api;
    if (this.#typingTimer !== null) environment.clearTimer(this.#typingTimer);
    this.#typingTimer = environment.setTimer(() => this.#stopTyping(), TYPING_SHOWN_MS);
    this.#typing = true;
    this.publish();
  }

  /** Events before `base` may be missing: load again what was read earlier; after a reset, instead of what is held. */
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

  /** What the next page may show at once; undefined while that is nothing. */
  kept(): ConversationState | undefined {
    const { messages, cursor } = this.#state;
    if (cursor === null) return undefined;
    let text = 0;
    let from = messages.length;
    while (from > 0 && messages.length - from < KEPT_MAX && text <= KEPT_TEXT_MAX) {
      text += (messages[--from] as Message).text.length;
    }
    return {
      ...this.#state,
      messages: messages.slice(from),
      hasOlder: this.#state.hasOlder || from > 0,
    };
  }

  /** The server is back. */
  hurry(): void {
    this.#newest.hurry();
    this.#presence.ask();
  }

  /** Forget everything: another user. */
  reset(): void {
    this.#controller.abort();
    this.#controller = new AbortController();
    this.#newest.reset();
    this.#older = null;
    this.#olderWanted = this.#loadingOlder = false;
    this.#olderError = null;
    this.#renewed = null;
    this.#stored = false;
    this.#blocked = false;
    this.#presence.forget();
    this.#state = this.#known = emptyConversation(this.peerId);
    this.#stopTyping();
    this.publish();
  }

  publish(): void {
    const { peerId, peer, messages, watermarks, hasOlder } = this.#state;
    const { loaded, loading, error } = this.#newest;
    if (this.#state !== this.#known) {
      this.#known = this.#state;
      this.deps.changed();
    }
    this.set({
      peerId,
      peer,
      messages,
      pending: this.deps.outbox.list(peerId),
      watermarks,
      loaded: loaded || this.#stored,
      stored: this.#stored && !loaded,
      loading: loading || this.#loadingOlder,
      hasOlder,
      peerTyping: this.#typing,
      peerOnline: this.#presence.online,
      blocked: this.#blocked,
      error: error ?? this.#olderError,
    });
  }

  async #loadNewest(signal: AbortSignal): Promise<void> {
    const { api } = this.deps;
    const body = await api.get(api.address([this.peerId], { limit: PAGE_SIZE }), signal);
    if (signal.aborted) return;
    const page = readHistory(body, this.peerId);
    this.deps.loadedAt(page.cursor);
    this.#blocked = page.blocked;
    this.#take(applyNewest(this.#renewed ?? this.#state, page), page);
    this.#renewed = null;
    const base = this.deps.base();
    // Read before events began to be applied; those between are in neither.
    if (base !== null && isBefore(page.cursor, base)) void this.#newest.reload({ after: true });
  }

  async #loadOlder(before: number, count: number, signal: AbortSignal): Promise<void> {
    const { api } = this.deps;
    this.#loadingOlder = true;
    this.#olderError = null;
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
      if (!mayRetry(error)) this.deps.failed(this.#olderError);
    } finally {
      if (!signal.aborted) {
        this.#older = null;
        this.#loadingOlder = false;
        this.publish();
      }
    }
  }

  async #ask(route: string, more: Record<string, unknown> = {}): Promise<void> {
    const { api } = this.deps;
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
    if (!last || this.#blocked) return;
    if (last.seq > this.#state.watermarks.delivered_upto) {
      this.deps.receipts.note(this.peerId, { delivered_upto: last.seq }, this.#state.watermarks);
    }
  }

  /** What nobody looks at need not be in memory; beyond a margin, so that not each message costs a copy. */
  #letGo(): void {
    if (this.#holds > 0 || this.#olderWanted || this.#state.messages.length <= LATEST_MAX) return;
    this.#state = keepLatest(this.#state, LATEST_COUNT);
  }

  #settlePending(messages: readonly Message[]): void {
    let settled = false;
    for (const { client_id } of messages) {
      if (client_id !== null && this.deps.outbox.settle(this.peerId, client_id)) settled = true;
    }
    if (settled) this.deps.settled();
  }

  #stopTyping(): void {
    if (this.#typingTimer !== null) this.deps.api.environment.clearTimer(this.#typingTimer);
    this.#typingTimer = null;
    if (!this.#typing) return;
    this.#typing = false;
    this.publish();
  }
}

/** Whether this is a row that `kept` made: another version of this file may have made another one. */
function isKept(row: unknown): row is ConversationState {
  try {
    const of = row as ConversationState;
    of.messages.map(readMessage);
    readWatermarks(of.watermarks);
    return true;
  } catch {
    return false;
  }
}
