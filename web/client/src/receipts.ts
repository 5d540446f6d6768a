/**
 * Tells the server how far messages have arrived here and have been read: the highest only, at most once a second per
 * conversation, one request at a time.
 */
import { mayRetry, outcomeOf } from "./api.js";
import { nextAttempt, type RetryOptions } from "./retry.js";
import type { Environment, TimerHandle, Watermarks } from "./types.js";

const INTERVAL_MS = 1000;

export interface Upto {
  delivered_upto: number;
  read_upto: number;
}

export interface ReceiptHandlers {
  post(peerId: string, upto: Partial<Upto>, signal: AbortSignal): Promise<Watermarks>;
  /** The server has it, and tells where both sides stand. */
  acknowledged(peerId: string, watermarks: Watermarks): void;
}

interface Lane {
  wanted: Upto;
  told: Upto;
  nextAt: number;
}

export class Receipts {
  readonly #lanes = new Map<string, Lane>();
  #timer: TimerHandle | null = null;
  #controller: AbortController | null = null;
  #notBefore = 0;
  #failures = 0;
  #paused = false;

  constructor(
    private readonly environment: Environment,
    private readonly retryOptions: RetryOptions,
    private readonly handlers: ReceiptHandlers,
  ) {}

  /** `known` is what the server has already. */
  note(peerId: string, wanted: Partial<Upto>, known: Upto): void {
    const lane = this.#lanes.get(peerId) ?? { wanted: { ...known }, told: { ...known }, nextAt: 0 };
    this.#lanes.set(peerId, lane);
    lane.told = highest(lane.told, known);
    lane.wanted = highest(highest(lane.wanted, known), { delivered_upto: 0, read_upto: 0, ...wanted });
    this.#arm();
  }

  open(): void {
    this.#paused = false;
    this.#arm();
  }

  pause(): void {
    this.#paused = true;
    this.#controller?.abort();
    this.#controller = null;
    this.#arm();
  }

  purge(): void {
    this.#lanes.clear();
    this.#controller?.abort();
    this.#controller = null;
    this.#failures = 0;
    this.#arm();
  }

  /** The server is back: do not wait any longer. */
  hurry(): void {
    this.#notBefore = 0;
    this.#arm();
  }

  #arm(): void {
    if (this.#timer !== null) this.environment.clearTimer(this.#timer);
    this.#timer = null;
    if (this.#paused || this.#controller) return;
    const due = [...this.#lanes.values()].filter(isDirty).map((lane) => lane.nextAt);
    if (due.length === 0) return;
    const at = Math.max(this.#notBefore, Math.min(...due));
    const wait = Math.max(0, at - this.environment.now());
    this.#timer = this.environment.setTimer(() => {
      this.#timer = null;
      void this.#post();
    }, wait);
  }

  async #post(): Promise<void> {
    const now = this.environment.now();
    const found = [...this.#lanes].filter(([, lane]) => isDirty(lane)).sort(([, a], [, b]) => a.nextAt - b.nextAt)[0];
    if (!found || this.#controller) return;
    const [peerId, lane] = found;
    const wanted = { ...lane.wanted };
    const body: Partial<Upto> = {};
    if (wanted.delivered_upto > lane.told.delivered_upto) body.delivered_upto = wanted.delivered_upto;
    if (wanted.read_upto > lane.told.read_upto) body.read_upto = wanted.read_upto;
    lane.nextAt = now + INTERVAL_MS;
    const controller = new AbortController();
    this.#controller = controller;
    let answer: Watermarks | null = null;
    let failure: unknown = null;
    try {
      answer = await this.handlers.post(peerId, body, controller.signal);
    } catch (error) {
      failure = error;
    }
    if (this.#controller !== controller) return;
    this.#controller = null;
    if (answer === null && mayRetry(failure)) {
      const { outcome } = outcomeOf(failure);
      const told = outcome.kind === "status" ? { ...outcome, refreshed: true } : outcome;
      const next = nextAttempt(this.#failures, told, this.environment.random(), this.retryOptions);
      this.#failures = next.failures;
      this.#notBefore = this.environment.now() + next.wait_ms;
    } else {
      // Refused for good: saying it again would not help.
      lane.told = highest(lane.told, wanted);
      this.#failures = 0;
      if (answer) this.handlers.acknowledged(peerId, answer);
    }
    this.#arm();
  }
}

function isDirty({ wanted, told }: Lane): boolean {
  return wanted.delivered_upto > told.delivered_upto || wanted.read_upto > told.read_upto;
}

function highest(a: Upto, b: Upto): Upto {
  // What is read has arrived.
  return {
    delivered_upto: Math.max(a.delivered_upto, b.delivered_upto, a.read_upto, b.read_upto),
    read_upto: Math.max(a.read_upto, b.read_upto),
  };
}
