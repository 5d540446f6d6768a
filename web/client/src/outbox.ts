/**
 * Sends that the server has not acknowledged.
 *
 * Rules of this file:
 * 1. A message keeps its `client_id` until the server has answered for good, so that a repeated send is the same send.
 * 2. One conversation sends in order, one message at a time; conversations do not wait for each other.
 * 3. Sending never waits for the stream.
 * 4. No answer, 401, 408, 425, 429 and 5xx: the message stays and is sent again by the policy of `retry.ts`. Any other
 *    refusal: it stays as `failed`, until somebody retries or discards it.
 * 5. The echo over the stream and the answer to the request settle a message alike, whichever comes first.
 */
import { mayRetry, outcomeOf, ServerProblem } from "./api.js";
import { randomId } from "./environment.js";
import { nextAttempt, type RetryOptions } from "./retry.js";
import { report } from "./store.js";
import type { Environment, Message, PendingMessage, TimerHandle } from "./types.js";

export interface OutboxHandlers {
  post(message: PendingMessage, signal: AbortSignal): Promise<Message>;
  /** The server answered with the message; it is still listed, and `settle` removes it. */
  acknowledged(message: Message): void;
  /** What is pending for this person changed. */
  changed(peerId: string): void;
  failed(message: string): void;
}

interface Lane {
  items: readonly PendingMessage[];
  sending: { clientId: string; controller: AbortController } | null;
  timer: TimerHandle | null;
  /** The server asked for this wait; hurrying would only be refused again. */
  asked: boolean;
  failures: number;
}

const NOTHING: readonly PendingMessage[] = [];

export class Outbox {
  readonly #lanes = new Map<string, Lane>();
  #userId = "";
  #paused = false;
  #era = 0;

  constructor(
    private readonly environment: Environment,
    private readonly retryOptions: RetryOptions,
    private readonly handlers: OutboxHandlers,
  ) {}

  list(peerId: string): readonly PendingMessage[] {
    return this.#lanes.get(peerId)?.items ?? NOTHING;
  }

  /** Send as this user, beginning with what an earlier page of the same user left behind. */
  open(userId: string): void {
    this.#paused = false;
    if (userId !== this.#userId) {
      this.#userId = userId;
      // What was queued before anybody said who this is.
      for (const lane of this.#lanes.values()) lane.items.forEach((item) => this.#store(item));
      if (userId !== "") void this.#restore(userId, this.#era);
    }
    this.hurry();
  }

  /** Send nothing until `open`. What is on its way may still arrive; its echo or its repetition settles it. */
  pause(): void {
    this.#paused = true;
    for (const lane of this.#lanes.values()) this.#halt(lane);
  }

  /** Forget everything of this user, also what is stored. */
  purge(): void {
    this.#era += 1;
    const peers = [...this.#lanes.keys()];
    for (const lane of this.#lanes.values()) this.#halt(lane);
    this.#lanes.clear();
    if (this.#userId !== "") this.environment.outbox.clear(this.#userId).catch(report);
    this.#userId = "";
    for (const peerId of peers) this.handlers.changed(peerId);
  }

  /** Queue a message; answers its `client_id`. */
  add(peerId: string, text: string, messageType: string): string {
    const client_id = randomId(this.environment);
    const createdAt = new Date(this.environment.now()).toISOString();
    const message: PendingMessage = {
      client_id,
      recipient_id: peerId,
      text,
      message_type: messageType,
      createdAt,
      state: "queued",
      error: null,
    };
    const lane = this.#lane(peerId);
    lane.items = [...lane.items, message];
    this.#store(message);
    this.handlers.changed(peerId);
    this.#pump(peerId, lane);
    return client_id;
  }

  retry(peerId: string, clientId: string): void {
    const lane = this.#lanes.get(peerId);
    const item = lane?.items.find((one) => one.client_id === clientId);
    if (!lane || !item || item.state === "sending") return;
    this.#replace(peerId, lane, { ...item, state: "queued", error: null });
    this.#clearTimer(lane);
    this.#pump(peerId, lane);
  }

  /** Drop a message. If it is on its way it may arrive nevertheless; then its echo shows it. */
  discard(peerId: string, clientId: string): void {
    const lane = this.#lanes.get(peerId);
    if (!lane || !this.settle(peerId, clientId)) return;
    this.handlers.changed(peerId);
    this.#pump(peerId, lane);
  }

  /** Take the message off the list: the server has it. Tells nobody; the caller shows both changes as one. */
  settle(peerId: string, clientId: string): boolean {
    const lane = this.#lanes.get(peerId);
    if (!lane?.items.some((one) => one.client_id === clientId)) return false;
    lane.items = lane.items.filter((one) => one.client_id !== clientId);
    if (this.#userId !== "") this.environment.outbox.remove(this.#userId, clientId).catch(report);
    if (lane.sending?.clientId === clientId) {
      lane.sending.controller.abort();
      lane.sending = null;
    }
    lane.failures = 0;
    this.#clearTimer(lane);
    queueMicrotask(() => this.#pump(peerId, lane));
    return true;
  }

  /** The network or the server is back: do not wait any longer, except where the server asked to. */
  hurry(): void {
    for (const [peerId, lane] of this.#lanes) {
      if (lane.timer !== null && lane.asked) continue;
      this.#clearTimer(lane);
      this.#pump(peerId, lane);
    }
  }

  async #restore(userId: string, era: number): Promise<void> {
    try {
      const stored = await this.environment.outbox.load(userId);
      if (era !== this.#era) return;
      for (const message of stored) {
        const lane = this.#lane(message.recipient_id);
        if (lane.items.some((one) => one.client_id === message.client_id)) continue;
        const state = message.state === "failed" ? "failed" : "queued";
        lane.items = [...lane.items, { ...message, state } as const].sort((a, b) =>
          a.createdAt < b.createdAt ? -1 : 1,
        );
        this.handlers.changed(message.recipient_id);
      }
      this.hurry();
    } catch (error) {
      report(error);
    }
  }

  #pump(peerId: string, lane: Lane): void {
    if (this.#paused || lane.sending || lane.timer !== null || this.#lanes.get(peerId) !== lane) return;
    const item = lane.items.find((one) => one.state === "queued");
    if (item) void this.#send(peerId, lane, item);
  }

  async #send(peerId: string, lane: Lane, item: PendingMessage): Promise<void> {
    const controller = new AbortController();
    const attempt = { clientId: item.client_id, controller };
    lane.sending = attempt;
    this.#replace(peerId, lane, { ...item, state: "sending" });
    let answer: Message | null = null;
    let failure: unknown = null;
    try {
      answer = await this.handlers.post(item, controller.signal);
    } catch (error) {
      failure = error;
    }
    // Settled by its echo, discarded, paused or purged meanwhile.
    if (lane.sending !== attempt) return;
    lane.sending = null;
    if (answer !== null) {
      lane.failures = 0;
      this.handlers.acknowledged(answer);
      if (this.settle(peerId, item.client_id)) this.handlers.changed(peerId);
    } else {
      this.#fail(peerId, lane, item, failure);
    }
    this.#pump(peerId, lane);
  }

  #fail(peerId: string, lane: Lane, item: PendingMessage, failure: unknown): void {
    const message = failure instanceof Error ? failure.message : String(failure);
    const error = failure instanceof ServerProblem ? { code: failure.code, message } : null;
    if (!mayRetry(failure)) {
      lane.failures = 0;
      this.#replace(peerId, lane, { ...item, state: "failed", error });
      this.handlers.failed(message);
      return;
    }
    const { outcome } = outcomeOf(failure);
    const told = outcome.kind === "status" ? { ...outcome, refreshed: true } : outcome;
    const next = nextAttempt(lane.failures, told, this.environment.random(), this.retryOptions);
    lane.failures = next.failures;
    lane.asked = outcome.kind === "status" && outcome.retry_after_s !== undefined;
    lane.timer = this.environment.setTimer(() => {
      lane.timer = null;
      this.#pump(peerId, lane);
    }, next.wait_ms);
    this.#replace(peerId, lane, { ...item, state: "queued", error });
  }

  #lane(peerId: string): Lane {
    let lane = this.#lanes.get(peerId);
    if (!lane) {
      lane = { items: NOTHING, sending: null, timer: null, asked: false, failures: 0 };
      this.#lanes.set(peerId, lane);
    }
    return lane;
  }

  #replace(peerId: string, lane: Lane, item: PendingMessage): void {
    lane.items = lane.items.map((one) => (one.client_id === item.client_id ? item : one));
    this.#store(item);
    this.handlers.changed(peerId);
  }

  #store(item: PendingMessage): void {
    if (this.#userId !== "") this.environment.outbox.put(this.#userId, item).catch(report);
  }

  #halt(lane: Lane): void {
    this.#clearTimer(lane);
    const { sending } = lane;
    if (!sending) return;
    lane.sending = null;
    sending.controller.abort();
    lane.items = lane.items.map((one) => (one.client_id === sending.clientId ? { ...one, state: "queued" } : one));
  }

  #clearTimer(lane: Lane): void {
    if (lane.timer !== null) this.environment.clearTimer(lane.timer);
    lane.timer = null;
  }
}
