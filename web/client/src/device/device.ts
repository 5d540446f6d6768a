/**
 * What this device keeps of its user between pages, as rows of a storage: the place in the log, the inbox, the latest
 * conversations, drafts and unsent messages.
 *
 * All of it but drafts and unsent messages is there to be shown at once; the server's answers take its place.
 */
import type { Api } from "../http/api.js";
import { randomId } from "../http/environment.js";
import { Keeper } from "./keeper.js";
import type { ClientStorage, PendingMessage } from "../types.js";

/**
 * The rows: these two, and with these prefixes one per conversation, unsent message and draft. A draft's row carries the page
 * that typed it: two tabs may type to the same person, and one that sends or empties its own must not delete the other's.
 */
const PLACE = "place";
const INBOX = "inbox";
const CONVERSATION = "conversation/";
const OUTBOX = "outbox/";
const DRAFT = "draft/";
/** A place in the log that is older begins at the head instead: reading on would take longer than loading anew. */
const PLACE_AGE_MAX_MS = 7 * 24 * 3_600_000;
const CONVERSATIONS_MAX = 20;
/** What was kept is worth no more delay than this; a database that opens later is read nevertheless. */
const WAIT_MS = 1000;

interface Place {
  cursor: string;
  /** `Date.now()` ms. */
  at: number;
}

/** What is typed and not sent. */
export interface Draft {
  text: string;
  /** When it was typed, `Date.now()` ms. */
  at: number;
}

export interface DeviceHandlers {
  /** What was kept is read. `cursor`: go on from here; null: from where the stream begins, or where it is already. */
  restored(cursor: string | null): void;
  /** The people whose conversations are the latest. */
  latest(): readonly string[];
  /** This page has gone on with the draft of another one, and has deleted its row. */
  tookDraft(row: string): void;
}

export class Device {
  /** Resolves when what was kept is restored, or takes too long. */
  ready: Promise<void> = Promise.resolve();

  readonly drafts = new Map<string, Draft>();

  readonly #keeper: Keeper;
  #page: string | null = null;
  /** The rows of other pages whose drafts are shown here, unchanged so far; by person. */
  readonly #shown = new Map<string, string>();
  /** As it was when the page began. */
  #rows: ReadonlyMap<string, unknown> = new Map();

  constructor(
    storage: ClientStorage,
    private readonly api: Api,
    private readonly handlers: DeviceHandlers,
  ) {
    this.#keeper = new Keeper(storage, api.environment, isExpendable, isPrecious);
  }

  /**
   * Keep what belongs to this user, and restore what was kept; whether it is not this user already. `begins`: no stream has
   * begun yet, so that the kept place counts.
   */
  open(userId: string, begins: boolean): boolean {
    const { environment } = this.api;
    const owner = this.api.owner(userId);
    if (this.#keeper.owner === owner) return false;
    let early = begins;
    const reading = this.#keeper.open(owner, (rows) => this.#restore(rows, early));
    this.ready = new Promise((resolve) => {
      const begin = (): void => {
        early = false;
        resolve();
      };
      const timer = environment.setTimer(begin, WAIT_MS);
      void reading.then(() => {
        environment.clearTimer(timer);
        begin();
      });
    });
    return true;
  }

  get inbox(): unknown {
    return this.#rows.get(INBOX);
  }

  conversation(peerId: string): unknown {
    return this.#rows.get(CONVERSATION + peerId);
  }

  get unsent(): readonly PendingMessage[] {
    return unsentIn(this.#rows);
  }

  getDraft(peerId: string): string {
    return this.drafts.get(peerId)?.text ?? "";
  }

  setDraft(peerId: string, text: string): void {
    if (text === this.getDraft(peerId)) return;
    if (text === "") this.drafts.delete(peerId);
    else this.drafts.set(peerId, { text, at: this.api.environment.now() });
    this.#keepDraft(peerId);
    const row = this.#shown.get(peerId);
    if (row === undefined) return;
    this.#shown.delete(peerId);
    this.#keeper.mark(row, () => undefined);
    this.handlers.tookDraft(row);
  }

  /** Another page has deleted this row: it cannot know that this one is still there, with what it typed. */
  draftTaken(row: string): void {
    const peerId = personOf(row);
    if (row === this.#draftRow(peerId) && this.drafts.has(peerId)) this.#keepDraft(peerId);
  }

  /** These changed; `make` is called when they are written. */
  keepPlace(make: () => string | null): void {
    this.#keeper.mark(PLACE, (): Place | undefined => {
      const cursor = make();
      return cursor === null ? undefined : { cursor, at: this.api.environment.now() };
    });
  }

  keepInbox(make: () => unknown): void {
    this.#keeper.mark(INBOX, make);
  }

  keepConversation(peerId: string, make: () => unknown): void {
    this.#keeper.mark(CONVERSATION + peerId, make);
  }

  /** At once: a page may be closed right after the user has pressed Enter. Null deletes it. */
  keepUnsent(clientId: string, message: PendingMessage | null): void {
    this.#keeper.markNow(OUTBOX + clientId, () => message ?? undefined);
  }

  flush(): void {
    void this.#keeper.flush();
  }

  /** The page is hidden, and may never be seen again. */
  leave(): void {
    this.#keepDrafts();
    void this.#keeper.leave();
  }

  /** Write what is waiting and give the database back, as a page must that may be frozen. */
  rest(): void {
    this.#keepDrafts();
    this.#keeper.rest();
  }

  /** The unsent messages as other tabs have left them; null where nothing is kept. */
  async rereadUnsent(): Promise<readonly PendingMessage[] | null> {
    const rows = await this.#keeper.read();
    return rows.size === 0 ? null : unsentIn(rows);
  }

  /**
   * Forget the user, here and on the device; `spareUnsent`: there what is unsent waits for them. Resolves when it is done; nothing is
   * shown of it any more at once.
   */
  purge(spareUnsent: boolean): Promise<void> {
    this.#rows = new Map();
    this.drafts.clear();
    this.#shown.clear();
    this.ready = Promise.resolve();
    return this.#keeper.purge(spareUnsent ? isUnsent : undefined);
  }

  #restore(rows: ReadonlyMap<string, unknown>, withPlace: boolean): void {
    this.#rows = rows;
    // The last one that was typed to each person; what was typed here meanwhile is newer.
    const drafts = [...rows].filter((row): row is [string, Draft] => row[0].startsWith(DRAFT) && isDraft(row[1]));
    for (const [row, draft] of drafts.sort(([, a], [, b]) => b.at - a.at)) {
      const peerId = personOf(row);
      if (this.drafts.has(peerId)) continue;
      this.drafts.set(peerId, draft);
      this.#shown.set(peerId, row);
    }
    const place = rows.get(PLACE) as Partial<Place> | undefined;
    const isFresh = this.api.environment.now() - (place?.at ?? 0) < PLACE_AGE_MAX_MS;
    this.handlers.restored(withPlace && isFresh && typeof place?.cursor === "string" ? place.cursor : null);
    this.#discardOldest();
  }

  #keepDraft(peerId: string): void {
    this.#keeper.mark(this.#draftRow(peerId), () => this.drafts.get(peerId));
  }

  #draftRow(peerId: string): string {
    return `${DRAFT}${peerId}/${(this.#page ??= randomId(this.api.environment))}`;
  }

  /** Those of this page, also where another one has deleted them and could not say so. */
  #keepDrafts(): void {
    for (const peerId of this.drafts.keys()) if (!this.#shown.has(peerId)) this.#keepDraft(peerId);
  }

  #discardOldest(): void {
    const held = [...this.#rows.keys()].filter((key) => key.startsWith(CONVERSATION));
    if (held.length <= CONVERSATIONS_MAX) return;
    const latest = this.handlers.latest().slice(0, CONVERSATIONS_MAX);
    const spared = new Set(latest.map((peerId) => CONVERSATION + peerId));
    for (const key of held) if (!spared.has(key)) this.#keeper.mark(key, () => undefined);
  }
}

/** What its user has sent, and no server has acknowledged. */
function isUnsent(key: string): boolean {
  return key.startsWith(OUTBOX);
}

/** The server has it, too. */
function isExpendable(key: string): boolean {
  return key === INBOX || key.startsWith(CONVERSATION);
}

/** Nobody else has it. */
export function isPrecious(key: string): boolean {
  return isUnsent(key) || key.startsWith(DRAFT);
}

/** Whom the draft of this row is for; no user id has a `/`. */
function personOf(row: string): string {
  return row.slice(DRAFT.length, row.lastIndexOf("/"));
}

function isDraft(value: unknown): value is Draft {
  const { text, at } = (value ?? {}) as Partial<Draft>;
  return typeof text === "string" && typeof at === "number";
}

function unsentIn(rows: ReadonlyMap<string, unknown>): PendingMessage[] {
  return [...rows].flatMap(([key, value]) => (isUnsent(key) && value ? [value as PendingMessage] : []));
}
