/**
 * Tells the server how far messages have arrived here and have been read: the highest only, at most once a second per
 * conversation, many conversations in one request, and what was read first. A page that is left tells the rest at once.
 */
import { mayRetry } from "../http/api.js";
import { Backoff } from "../http/backoff.js";
import type { RetryOptions } from "../wire/retry.js";
import type { Environment, TimerHandle, Watermarks } from "../types.js";

const INTERVAL_MS = 1000;
/** What the server takes at once. */
const LANES_MAX = 100;

export interface Upto {
  delivered_upto: number;
  read_upto: number;
}

export interface ReceiptHandlers {
  /** Answers where both sides stand now; without those that the server refused for good. */
  post(upto: ReadonlyMap<string, Partial<Upto>>, signal: AbortSignal): Promise<ReadonlyMap<string, Watermarks>>;
  /** The server has it. */
  acknowledged(peerId: string, watermarks: Watermarks): void;
}

interface Lane {
  wanted: Upto;
  told: Upto;
  /** By the clock that never jumps: one that is set back must not make this wait for hours. */
  nextAt: number;
}

export class Receipts {
  readonly #lanes = new Map<string, Lane>();
  readonly #running = new Set<AbortController>();
  #timer: TimerHandle | null = null;
  #notBefore = 0;
  readonly #backoff: Backoff;
  #paused = false;

  constructor(
    private readonly environment: Environment,
    retryOptions: RetryOptions,
    private readonly handlers: ReceiptHandlers,
  ) {
    this.#backoff = new Backoff(environment, retryOptions);
  }

  /** `known` is what the server has already. */
  note(peerId: string, wanted: Partial<Upto>, known: Upto): void {
    const lane = this.#lanes.get(peerId) ?? { wanted: { ...known }, told: { ...known }, nextAt: -Infinity };
    this.#lanes.set(peerId, lane);
    lane.told = highest(lane.told, known);
    lane.wanted = highest(highest(lane.wanted, known), { delivered_upto: 0, read_upto: 0, ...wanted });
    this.#arm();
  }

  open(): void {
    this.#paused = false;
    this.#arm();
  }

  /** Begin no request any more; what is under way is let arrive. */
  pause(): void {
    this.#paused = true;
    this.#arm();
  }

  purge(): void {
    this.#lanes.clear();
    for (const controller of this.#running) controller.abort();
    this.#running.clear();
    this.#backoff.reset();
    this.#arm();
  }

  /** The server is back: do not wait any longer. */
  hurry(): void {
    this.#notBefore = 0;
    this.#arm();
  }

  /** The page may never be seen again: do not wait for anything. */
  flush(): void {
    if (!this.#paused) void this.#post(Infinity);
  }

  #arm(): void {
    if (this.#timer !== null) this.environment.clearTimer(this.#timer);
    this.#timer = null;
    if (this.#paused || this.#running.size > 0) return;
    const due = [...this.#lanes.values()].filter(isDirty).map((lane) => lane.nextAt);
    if (due.length === 0) return;
    const at = Math.max(this.#notBefore, Math.min(...due));
    const wait = Math.max(0, at - this.environment.monotonic());
    this.#timer = this.environment.setTimer(() => {
      this.#timer = null;
      // A timer may fire a fraction of a millisecond early: what it was set for is due.
      void this.#post(Math.max(at, this.environment.monotonic()));
    }, wait);
  }

  /** Tell what may be told at `at`. */
  async #post(at: number): Promise<void> {
    const batch = new Map<string, { lane: Lane; wanted: Upto; body: Partial<Upto> }>();
    for (const [peerId, lane] of this.#due(at)) {
      const wanted = { ...lane.wanted };
      const body: Partial<Upto> = {};
      if (wanted.delivered_upto > lane.told.delivered_upto) body.delivered_upto = wanted.delivered_upto;
      if (isNewlyRead(lane)) body.read_upto = wanted.read_upto;
      lane.nextAt = this.environment.monotonic() + INTERVAL_MS;
      batch.set(peerId, { lane, wanted, body });
    }
    if (batch.size === 0) return;
    const controller = new AbortController();
    this.#running.add(controller);
    let answer: ReadonlyMap<string, Watermarks> = new Map();
    let failure: unknown = null;
    try {
      answer = await this.handlers.post(new Map([...batch].map(([id, { body }]) => [id, body])), controller.signal);
    } catch (error) {
      failure = error;
    }
    if (!this.#running.delete(controller)) return;
    if (failure !== null && mayRetry(failure)) {
      this.#notBefore = this.environment.monotonic() + this.#backoff.failed(failure).wait_ms;
    } else {
      this.#backoff.reset();
      for (const [peerId, { lane, wanted }] of batch) {
        // What is refused for good is not said again: it would not help.
        lane.told = highest(lane.told, wanted);
        const watermarks = answer.get(peerId);
        if (watermarks) this.handlers.acknowledged(peerId, watermarks);
      }
    }
    this.#arm();
  }

  /** What was read before what has arrived, and then whoever waits longest. */
  #due(at: number): [string, Lane][] {
    return [...this.#lanes]
      .filter(([, lane]) => isDirty(lane) && lane.nextAt <= at)
      .sort(([, a], [, b]) => Number(isNewlyRead(b)) - Number(isNewlyRead(a)) || a.nextAt - b.nextAt)
      .slice(0, LANES_MAX);
  }
}

/** The server does not know yet how far this was read. */
function isNewlyRead({ wanted, told }: Lane): boolean {
  return wanted.read_upto > told.read_upto;
}

function isDirty(lane: Lane): boolean {
  return isNewlyRead(lane) || lane.wanted.delivered_upto > lane.told.delivered_upto;
}

function highest(a: Upto, b: Upto): Upto {
  // What is read has arrived.
  return {
    delivered_upto: Math.max(a.delivered_upto, b.delivered_upto, a.read_upto, b.read_upto),
    read_upto: Math.max(a.read_upto, b.read_upto),
  };
}
