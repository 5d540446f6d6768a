/**
 * Tells the server how far messages have arrived here and have been read: the highest only, at most once a second per
 * conversation, many conversations in one request, and what was read first. A page that is left tells the rest at once.
 */
import { mayRetry, type Api } from "../http/api.js";
import { Backoff } from "../http/backoff.js";
import { Alarm } from "../http/alarm.js";
import type { Message, Watermarks } from "../types.js";
import { readReceiptAnswer } from "../wire/shapes.js";
import type { Log } from "./log.js";

const INTERVAL_MS = 1000;
/** What the server takes at once. */
const LANES_MAX = 100;

export interface Upto {
  delivered_upto: number;
  read_upto: number;
}

interface ReceiptParts {
  api: Api;
  log: Log;
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
  readonly #alarm: Alarm;
  #notBefore = 0;
  readonly #backoff: Backoff;
  #paused = false;

  constructor(private readonly parts: ReceiptParts) {
    const { api } = parts;
    this.#alarm = new Alarm(api.environment);
    this.#backoff = new Backoff(api);
  }

  /** `known` is what the server has already. */
  note(peerId: string, wanted: Partial<Upto>, known: Upto): void {
    const lane = this.#lanes.get(peerId) ?? { wanted: { ...known }, told: { ...known }, nextAt: -Infinity };
    this.#lanes.set(peerId, lane);
    lane.told = highest(lane.told, known);
    lane.wanted = highest(highest(lane.wanted, known), { delivered_upto: 0, read_upto: 0, ...wanted });
    this.#arm();
  }

  /** This message of the other side is here. */
  arrived({ sender_id, seq }: Message, known: Upto): void {
    if (seq > known.delivered_upto) this.note(sender_id, { delivered_upto: seq }, known);
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
    this.#alarm.clear();
    if (this.#paused || this.#running.size > 0) return;
    const due = [...this.#lanes.values()].filter(isDirty).map((lane) => lane.nextAt);
    if (due.length === 0) return;
    const at = Math.max(this.#notBefore, Math.min(...due));
    if (at === Infinity) return;
    const wait = Math.max(0, at - this.parts.api.environment.monotonic());
    // A timer may fire a fraction of a millisecond early: what it was set for is due.
    this.#alarm.set(wait, () => void this.#post(Math.max(at, this.parts.api.environment.monotonic())));
  }

  /** Tell what may be told at `at`. */
  async #post(at: number): Promise<void> {
    const { api, log } = this.parts;
    const batch = new Map<string, { lane: Lane; wanted: Upto }>();
    const receipts: ({ chatUserId: string } & Partial<Upto>)[] = [];
    for (const [peerId, lane] of this.#due(at)) {
      const wanted = { ...lane.wanted };
      const receipt: (typeof receipts)[0] = { chatUserId: peerId };
      if (wanted.delivered_upto > lane.told.delivered_upto) receipt.delivered_upto = wanted.delivered_upto;
      if (isNewlyRead(lane)) receipt.read_upto = wanted.read_upto;
      receipts.push(receipt);
      lane.nextAt = api.environment.monotonic() + INTERVAL_MS;
      batch.set(peerId, { lane, wanted });
    }
    if (batch.size === 0) return;
    const controller = new AbortController();
    this.#running.add(controller);
    let answer: ReadonlyMap<string, Watermarks> = new Map();
    let failure: unknown = null;
    try {
      // The page may be left before the answer.
      const body = await api.post(api.address(["receipts"]), { receipts }, controller.signal, true);
      answer = readReceiptAnswer(body, [...batch.keys()]);
    } catch (error) {
      failure = error;
    }
    if (!this.#running.delete(controller)) return;
    if (failure !== null && mayRetry(failure)) {
      const { wait_ms } = this.#backoff.failed(failure);
      this.#notBefore = api.waits(failure) ? api.environment.monotonic() + wait_ms : Infinity;
    } else {
      this.#backoff.reset();
      for (const [peerId, { lane, wanted }] of batch) {
        // What is refused for good is not said again: it would not help.
        lane.told = highest(lane.told, wanted);
        const watermarks = answer.get(peerId);
        if (watermarks) log.tell({ type: "watermarks", peerId, watermarks });
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
