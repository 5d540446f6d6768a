/**
 * The user's log as this page has applied it. Nobody else moves the cursor.
 *
 * Rules of this file:
 * 1. Each event is applied once and in order. The cursor moves after that, and only to the next position: a log is dense,
 *    so a hole means that something was lost on the way, and it is read again from the cursor.
 * 2. An event that cannot be read, or is of a kind that nobody here knows, moves the cursor like any other.
 * 3. The base is where events began to be applied without a hole. What was read at an earlier position lacks the events
 *    between, and is read again.
 * 4. State is made by folds, which join before the first event. What an answer tells, as that a message was sent, is folded
 *    like an event; it has no place in the log and moves no cursor.
 */
import type { Listeners } from "../listeners.js";
import { isolate, report } from "../store.js";
import type { Message, Watermarks } from "../types.js";
import { isBefore, succession } from "../wire/cursor.js";
import { readEvent, type WireEvent } from "../wire/events.js";
import { ProtocolViolation, type Frame } from "../wire/shapes.js";

/** What is known from an answer, from the user or from another tab, before its event comes, or without one. */
type Fact =
  | { type: "sent"; peerId: string; message: Message }
  | { type: "watermarks"; peerId: string; watermarks: Watermarks }
  | { type: "blocked"; peerId: string; blocked: boolean }
  /** What waits to be sent to this person, or is typed and not sent, is something else now. */
  | { type: "pending" | "draft"; peerId: string };

export type Happening = Exclude<WireEvent, { type: "unreadable" }> | Fact;

/** State that follows from what happens. */
export interface Fold {
  apply(happening: Happening): void;
  /** Events before `base` may be missing: load again what was read earlier; after a reset, instead of what is held. */
  rebase(base: string, why: "begin" | "reset"): void;
}

export interface LogHandlers {
  /** The cursor is another one. */
  moved(): void;
  /** Those of which this page holds the state, by person. */
  readonly conversations: { has(peerId: string): boolean };
}

export class Log {
  #cursor: string | null = null;
  #base: string | null = null;
  /** Grows with each user that is forgotten. */
  #life = 0;
  readonly #folds: Fold[] = [];

  constructor(
    private readonly user: { readonly userId: string | null },
    private readonly listeners: Listeners,
    private readonly handlers: LogHandlers,
  ) {}

  /** Position after the last event that was applied; null until known. */
  get cursor(): string | null {
    return this.#cursor;
  }

  join(fold: Fold): void {
    this.#folds.push(fold);
  }

  /** Apply what comes next: an event, or a hint that is in no log. */
  apply(frame: Frame): "applied" | "old" | "gap" {
    const follows = frame.id === null ? "unknown" : succession(this.#cursor, frame.id);
    if (follows === "old" || follows === "gap") return follows;
    const life = this.#life;
    const event = readEvent(frame, (message) => this.#peerOf(message));
    if (event.type === "unreadable") {
      report(event.error);
    } else {
      this.tell(event);
      const message = event.type === "new_message" && event.message;
      if (life === this.#life) this.listeners.emit(frame.type, message || frame.data);
      if (message && life === this.#life) this.listeners.emit("message", message);
    }
    // A listener may have put another user in place of this one.
    if (frame.id !== null && life === this.#life) this.#move(frame.id);
    return "applied";
  }

  /** Fold what happened. */
  tell(happening: Happening): void {
    const life = this.#life;
    for (const fold of this.#folds) {
      if (life === this.#life) isolate(() => fold.apply(happening));
    }
  }

  /** From here on events come without a hole. */
  begin(cursor: string, why: "begin" | "reset"): void {
    this.#move(cursor);
    // A stream that began where nothing had been read yet changes nothing for what was read later.
    if (why === "begin" && this.#base !== null && !isBefore(this.#base, cursor)) return;
    this.#base = cursor;
    for (const fold of this.#folds) fold.rebase(cursor, why);
  }

  /** Go on where an earlier page of this user was. */
  restore(cursor: string): void {
    this.#base = cursor;
    this.#move(cursor);
  }

  /** A snapshot was read at this cursor. The first of all is where events have to be applied from. */
  readAt(cursor: string): void {
    if (this.#cursor === null) this.restore(cursor);
  }

  /** Whether what was read at this cursor lacks events that will not come any more. */
  isMissed(cursor: string): boolean {
    return this.#base !== null && isBefore(cursor, this.#base);
  }

  forget(): void {
    this.#cursor = this.#base = null;
    this.#life += 1;
  }

  #move(cursor: string): void {
    if (cursor === this.#cursor) return;
    this.#cursor = cursor;
    this.handlers.moved();
  }

  #peerOf({ sender_id, recipient_id, client_id }: Message): string {
    const me = this.user.userId;
    if (me !== null) {
      if (sender_id !== me && recipient_id !== me) throw new ProtocolViolation("the message is between others");
      return sender_id === me ? recipient_id : sender_id;
    }
    // Polling without having been told who this is: only one's own messages show a client_id.
    return client_id !== null || this.handlers.conversations.has(recipient_id) ? recipient_id : sender_id;
  }
}
