/**
 * What this page says of itself, about once a second: what its user sent, what it had acknowledged, what it applied, and up
 * to where it claims to have applied its log. The demo holds that against its database.
 *
 * Everything is taken from the client's public face: `message` once for each event that was applied, and what comes to
 * and goes from `pending` of each conversation. An entry is reported until the demo says that it has it.
 */
import type { Conversation, Message, RealtimeService } from "tidings";
import { route } from "../route.js";
import type { Control, ReportAnswer } from "./state.js";
import { Writer } from "./writer.js";

const EVERY_MS = 1_000;
/** The demo has ended, perhaps for good. */
const EVERY_UNANSWERED_MS = 5_000;
/** The demo takes no more at once. */
const ENTRIES_MAX = 2_000;
/** Of what was applied so many are told again when the count begins anew. */
const KEPT_MAX = 20_000;

type Entry = readonly [kind: "queued" | "acknowledged" | "withdrawn" | "applied" | "shown_twice", ...what: string[]];

export class Reporter {
  readonly #tab = crypto.randomUUID();
  readonly #writer: Writer;
  readonly #undo: (() => void)[] = [];
  readonly #watched = new Map<string, { conversation: Conversation; pending: ReadonlySet<string> }>();
  /** What was queued here and is not acknowledged. */
  readonly #open = new Set<string>();
  readonly #twice = new Set<string>();
  #entries: Entry[] = [];
  #have = 0;
  #run = 0;
  #base: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(
    private readonly client: RealtimeService,
    private readonly userId: string,
    private readonly control: Control,
    name: string,
  ) {
    this.#writer = new Writer(client, name);
  }

  start(): void {
    const { client } = this;
    this.#base = client.cursor;
    this.#undo.push(
      client.on("connected", () => (this.#base ??= client.cursor)),
      // What lies before is shown as history, and not told event by event.
      client.on("reset", () => (this.#base = client.cursor)),
      client.on("message", (message) => this.#applied(message)),
      client.inbox.subscribe(() => this.#watchAll()),
      route.subscribe(() => this.#watchAll()),
    );
    const leave = () => void this.control.post("report", this.#report(true), true);
    window.addEventListener("pagehide", leave);
    this.#undo.push(() => window.removeEventListener("pagehide", leave));
    this.#watchAll();
    void this.#tell();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#writer.stop();
    for (const undo of this.#undo) undo();
  }

  async #tell(): Promise<void> {
    this.#findTwice();
    const answer = await this.control.post("report", this.#report(false));
    if (this.#stopped) return;
    if (answer) this.#take(answer);
    else this.#writer.stop();
    this.#timer = setTimeout(() => void this.#tell(), answer ? EVERY_MS : EVERY_UNANSWERED_MS);
  }

  #report(closed: boolean): object {
    return {
      tab: this.#tab,
      user: this.userId,
      run: this.#run,
      since: this.#have,
      entries: this.#entries.slice(this.#have, this.#have + ENTRIES_MAX),
      base: this.#base,
      cursor: this.client.cursor,
      closed,
    };
  }

  #take(answer: ReportAnswer): void {
    if (answer.run !== this.#run) {
      // A new count: of what was sent before it nothing is told; what was applied may be of messages that belong to it.
      if (this.#run !== 0) {
        this.#entries = this.#entries.filter(([kind]) => kind === "applied" || kind === "shown_twice").slice(-KEPT_MAX);
      }
      this.#run = answer.run;
      this.#have = 0;
    } else {
      this.#have = Math.min(answer.have, this.#entries.length);
    }
    this.#writer.write(answer.writes);
  }

  #applied(message: Message): void {
    this.#entries.push(["applied", message._id]);
    if (message.sender_id === this.userId) this.#acknowledged(message);
  }

  #acknowledged({ client_id, _id }: Message): void {
    if (client_id === null || !this.#open.delete(client_id)) return;
    this.#entries.push(["acknowledged", client_id, _id]);
  }

  #watchAll(): void {
    const open = route.getSnapshot();
    const peers = this.client.inbox.getSnapshot().entries.map((entry) => entry.user.id);
    for (const peerId of open === null ? peers : [...peers, open]) {
      if (peerId === this.userId || this.#watched.has(peerId)) continue;
      const conversation = this.client.conversation(peerId);
      this.#watched.set(peerId, { conversation, pending: new Set() });
      this.#undo.push(conversation.subscribe(() => this.#compare(peerId)));
      this.#compare(peerId);
    }
  }

  #compare(peerId: string): void {
    const watched = this.#watched.get(peerId);
    if (!watched) return;
    const { pending, messages } = watched.conversation.getSnapshot();
    const now = new Set(pending.map((message) => message.client_id));
    for (const id of now) {
      if (watched.pending.has(id)) continue;
      this.#open.add(id);
      this.#entries.push(["queued", id]);
    }
    for (const id of watched.pending) {
      if (now.has(id)) continue;
      const message = messages.find((one) => one.client_id === id);
      if (message) this.#acknowledged(message);
      // Taken back; should it turn out that the server has it, that is told, too.
      else if (this.#open.has(id)) this.#entries.push(["withdrawn", id]);
    }
    watched.pending = now;
  }

  /** What a conversation shows twice: under one id, or as sent and as waiting. */
  #findTwice(): void {
    for (const { conversation } of this.#watched.values()) {
      const { messages, pending } = conversation.getSnapshot();
      const waiting = new Set(pending.map((message) => message.client_id));
      const seen = new Set<string>();
      for (const { _id, client_id } of messages) {
        if ((seen.has(_id) || (client_id !== null && waiting.has(client_id))) && !this.#twice.has(_id)) {
          this.#twice.add(_id);
          this.#entries.push(["shown_twice", _id]);
        }
        seen.add(_id);
      }
    }
  }
}
