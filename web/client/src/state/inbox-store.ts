/** The inbox as a screen holds it: the reducer's state, its loading, and what this device has for it: drafts and unsent messages. */
import type { Api } from "../http/api.js";
import { NO_WATERMARKS } from "./conversation.js";
import { contains, isBefore } from "../wire/cursor.js";
import type { ConversationEvent } from "../wire/events.js";
import type { Connection } from "../connection/connection.js";
import type { Device } from "../device/device.js";
import type { Listeners } from "../listeners.js";
import type { Conversations } from "./conversations.js";
import type { Receipts } from "./receipts.js";
import {
  applyBlocked,
  applyInboxEvent,
  applyPage,
  applyProfile,
  applySent,
  EMPTY_INBOX,
  sorted,
  unreadOf,
  type InboxState,
  type Row,
} from "./inbox.js";
import { Loader } from "./loader.js";
import type { Fold, Happening, Log } from "./log.js";
import type { Outbox } from "./outbox.js";
import { Store } from "../store.js";
import { Alarm } from "../http/alarm.js";
import type { Inbox, InboxEntry, InboxSnapshot } from "../types.js";
import { readInbox, type InboxPage } from "../wire/shapes.js";

const PAGE_SIZE = 50;
/** A draft that is being typed is shown anew at most this often. */
const DRAFT_INTERVAL_MS = 500;

interface InboxParts {
  api: Api;
  log: Log;
  listeners: Listeners;
  device: Device;
  connection: Connection;
  outbox: Outbox;
  receipts: Receipts;
  conversations: Conversations;
}

const KEPT_MAX = 200;

export class InboxStore extends Store<InboxSnapshot> implements Inbox, Fold {
  #state: InboxState = EMPTY_INBOX;
  #cursor: string | null = null;
  /** Events since a page was asked for; the page may have been read before some of them. */
  #since: ConversationEvent[] = [];
  #replace = false;
  /** What is shown was kept by an earlier page. */
  #stored = false;
  /** The state that `changed` was told of. */
  #known: InboxState = EMPTY_INBOX;
  #shown: ReadonlyMap<string, { row: Row; entry: InboxEntry }> = new Map();
  readonly #draftAlarm: Alarm;
  readonly #first: Loader;
  #further: Loader;

  constructor(private readonly parts: InboxParts) {
    super({ entries: [], unread: 0, loaded: false, loading: false, hasMore: false, error: null, errorCode: null });
    this.#draftAlarm = new Alarm(parts.api.environment);
    const loader = (further: boolean) =>
      new Loader(
        parts,
        (signal) => this.#load(signal, further),
        () => this.publish(),
      );
    this.#first = loader(false);
    this.#further = loader(true);
  }

  load(): Promise<void> {
    return this.#first.load();
  }

  loadMore(): Promise<void> {
    if (!this.#first.loaded || !this.#state.hasMore) return this.load();
    return this.#further.reload();
  }

  apply(happening: Happening): void {
    const { loaded, loading } = this.#first;
    switch (happening.type) {
      case "new_message":
      case "message_delivered":
      case "message_read":
        if (loading || this.#further.loading) this.#since.push(happening);
        if (!loaded && !this.#stored) return;
        this.#state = applyInboxEvent(this.#state, happening);
        break;
      case "sent":
        this.#state = applySent(this.#state, happening.message);
        return this.publish();
      case "blocked":
        this.#state = applyBlocked(this.#state, happening.peerId, happening.blocked);
        break;
      case "profile":
        this.#state = applyProfile(this.#state, happening.person);
        return this.publish();
      case "pending":
        return this.publish();
      case "draft":
        return this.#drafted(happening.peerId);
      case "watermarks":
      case "typing":
      case "presence":
      case "other":
        return;
    }
    this.publish();
    if (loaded && this.#state.stale) void this.#first.reload({ after: true });
  }

  /** The draft for this person changed. */
  #drafted(peerId: string): void {
    const shown = this.#shown.get(peerId)?.entry.draft ?? "";
    if ((shown === "") !== !this.parts.device.drafts.has(peerId)) return this.publish();
    if (!this.#draftAlarm.isSet) this.#draftAlarm.set(DRAFT_INTERVAL_MS, () => this.publish());
  }

  rebase(base: string, why: "begin" | "reset"): void {
    const { loaded, loading } = this.#first;
    if (why === "reset" && (loaded || loading)) {
      this.#replace = true;
      this.#since = [];
      void this.#first.reload({ after: true });
    } else if (loaded && isBefore(this.#cursor, base)) {
      void this.#first.reload({ after: true });
    }
  }

  /** Show what an earlier page kept, until the server's first page is here. */
  restore(kept: unknown): void {
    const of = kept as Partial<InboxState> | null | undefined;
    if (this.#first.loaded || typeof of !== "object" || of === null || !Array.isArray(of.rows)) return;
    this.#state = this.#known = { ...EMPTY_INBOX, ...(of as InboxState) };
    this.#stored = true;
    this.publish();
  }

  /** What the next page may show at once. All events up to `cursor` are in it, and need not be counted again. */
  kept(cursor: string | null): InboxState | undefined {
    if (!this.#first.loaded) return undefined;
    const rows = this.#state.rows.slice(0, KEPT_MAX).map((row) => {
      return row.cursor === null || (cursor !== null && isBefore(row.cursor, cursor)) ? { ...row, cursor } : row;
    });
    return { ...this.#state, rows };
  }

  hurry(): void {
    this.#first.hurry();
    this.#further.hurry();
  }

  reset(): void {
    this.#first.reset(this.isWatched);
    this.#further.reset(false);
    this.#state = this.#known = EMPTY_INBOX;
    this.#stored = false;
    this.#cursor = null;
    this.#since = [];
    this.#replace = false;
    this.publish();
  }

  async #load(signal: AbortSignal, further: boolean): Promise<void> {
    const { api } = this.parts;
    const before = further ? this.#state.before : null;
    const body = await api.get(api.address(["inbox", api.userId ?? "me"], { before, limit: PAGE_SIZE }), signal);
    if (signal.aborted) return;
    const page = readInbox(body);
    // A reset came while a further page was on its way: it belongs to what is being replaced.
    if (further && this.#replace) return;
    this.parts.log.readAt(page.cursor);
    if (!further) this.#cursor = page.cursor;
    const stale = this.#state.stale;
    // A row that only this device remembers may be gone at the server.
    const renew = this.#replace || (this.#stored && !this.#first.loaded);
    this.#state = applyPage(renew && !further ? EMPTY_INBOX : this.#state, page, further);
    this.#replace &&= further;
    // Rows that the page has not brought saw these events already.
    const brought = new Set(page.conversations.map((row) => row.user.id));
    for (const event of this.#since) {
      const known = this.#state.rows.some((row) => row.user.id === event.peerId);
      if (brought.has(event.peerId) || !known) this.#state = applyInboxEvent(this.#state, event);
      // It is counted in that row and not in the page's sum.
      else if (!contains(page.cursor, event.frame.id)) this.#state = { ...this.#state, stale: true };
    }
    if (further) this.#state = { ...this.#state, stale: this.#state.stale || stale };
    if (!this.#first.loading || !this.#further.loading) this.#since = [];
    this.#acknowledge(page);
    if (this.parts.log.isMissed(page.cursor) || this.#state.stale) void this.#first.reload({ after: true });
  }

  /** Last messages that have arrived with this page, and of which their senders do not know that yet. */
  #acknowledge(page: InboxPage): void {
    for (const { user, last_message, watermarks } of page.conversations) {
      if (last_message?.sender_id === user.id) this.parts.receipts.arrived(last_message, watermarks);
    }
  }

  publish(): void {
    this.#draftAlarm.clear();
    if (this.#state !== this.#known) {
      this.#known = this.#state;
      const { connection, device, log } = this.parts;
      if (connection.leads) device.keepInbox(() => this.kept(log.cursor));
    }
    this.change({
      entries: this.#entries(this.getSnapshot().entries),
      unread: unreadOf(this.#state),
      loaded: this.#first.loaded || this.#stored,
      loading: this.#first.loading || this.#further.loading,
      hasMore: this.#state.hasMore,
      error: this.#first.error ?? this.#further.error,
      errorCode: this.#first.errorCode ?? this.#further.errorCode,
    });
  }

  /** What is the same as before is the same object. */
  #entries(before: readonly InboxEntry[]): readonly InboxEntry[] {
    const { outbox } = this.parts;
    const { drafts } = this.parts.device;
    const shown = new Map<string, { row: Row; entry: InboxEntry }>();
    const show = (row: Row): InboxEntry => {
      const peerId = row.user.id;
      const draft = drafts.get(peerId)?.text ?? "";
      const pending = outbox.list(peerId);
      const last = this.#shown.get(peerId);
      const same = last?.row === row && last.entry.draft === draft && last.entry.pending === pending;
      const { cursor: _, ...told } = row;
      const entry = same ? last.entry : { ...told, blocked: row.blocked === true, draft, pending };
      shown.set(peerId, { row, entry });
      return entry;
    };
    const listed = this.#state.rows.map(show);
    const others = new Set([...outbox.people(), ...drafts.keys()]);
    for (const peerId of others) if (!shown.has(peerId)) listed.push(show(this.#rowOf(peerId)));
    this.#shown = shown;
    const entries = byMoment(listed);
    return entries.length === before.length && entries.every((entry, at) => entry === before[at]) ? before : entries;
  }

  /** Of somebody of whom the server's list says nothing yet. */
  #rowOf(peerId: string): Row {
    const user = this.parts.conversations.person(peerId);
    const at = this.parts.device.drafts.get(peerId)?.at;
    const updatedAt = this.parts.outbox.list(peerId).at(-1)?.createdAt ?? (at ? new Date(at).toISOString() : "");
    const row = this.#shown.get(peerId)?.row;
    if (row?.user === user && row.updatedAt === updatedAt) return row;
    return { user, lastMessage: null, unread: 0, watermarks: NO_WATERMARKS, updatedAt, blocked: false, cursor: null };
  }
}

/** The latest first, what waits to be sent included. */
function byMoment(entries: readonly InboxEntry[]): readonly InboxEntry[] {
  const moment = ({ pending, updatedAt }: InboxEntry): string => {
    const queued = pending.at(-1)?.createdAt ?? "";
    return queued > updatedAt ? queued : updatedAt;
  };
  return sorted(entries.map((entry) => ({ entry, user: entry.user, updatedAt: moment(entry) }))).map(
    ({ entry }) => entry,
  );
}
