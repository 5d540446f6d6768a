import {
  deadline,
  INITIAL,
  MACHINE_DEFAULTS,
  statusOf,
  type Effect,
  type MachineEvent,
  type MachineOptions,
  type MachineState,
} from "../src/connection/machine-state.js";
import { step } from "../src/connection/machine.js";
import type { Outcome } from "../src/wire/retry.js";

type EffectOf<T extends Effect["type"]> = Extract<Effect, { type: T }>;

/** The machine with a clock in hand: time passes only in `advance`, which wakes it where it asked to be woken. */
export class Rig {
  state: MachineState = INITIAL;
  now = 1_000_000;
  draw = 0.5;
  readonly effects: Effect[] = [];
  readonly options: MachineOptions;
  /** Steps taken by `advance`, to show that the machine does not spin. */
  wakes = 0;

  constructor(options: Partial<MachineOptions> = {}) {
    this.options = { ...MACHINE_DEFAULTS, ...options };
  }

  send(event: MachineEvent): this {
    const [state, effects] = step(this.state, event, { now: this.now, random: () => this.draw, options: this.options });
    this.state = state;
    this.effects.push(...effects);
    return this;
  }

  advance(ms: number): this {
    const end = this.now + ms;
    for (let at = deadline(this.state); at !== null && at <= end; at = deadline(this.state)) {
      this.now = Math.max(this.now, at);
      this.wakes += 1;
      this.send({ type: "tick" });
    }
    this.now = end;
    return this;
  }

  /** When the machine asked to be woken. */
  get due(): number | null {
    return deadline(this.state);
  }

  get status() {
    return statusOf(this.state);
  }

  all<T extends Effect["type"]>(type: T): EffectOf<T>[] {
    return this.effects.filter((effect): effect is EffectOf<T> => effect.type === type);
  }

  /** The effects since the last call. */
  drain(): Effect["type"][] {
    return this.effects.splice(0).map((effect) => effect.type);
  }

  get generation(): number {
    if (!this.state.stream) throw new Error("there is no stream");
    return this.state.stream.generation;
  }

  /** The request of the current stream goes out. */
  requested(): this {
    return this.send({ type: "stream_requested", generation: this.generation });
  }

  /** The `connected` frame of the current stream is read. */
  connected(heartbeatMs = 15_000): this {
    this.requested();
    return this.send({ type: "stream_connected", generation: this.generation, heartbeatMs });
  }

  bytes(): this {
    return this.send({ type: "stream_bytes", generation: this.generation });
  }

  heartbeat(inStep = true): this {
    this.bytes();
    return this.send({ type: "stream_heartbeat", generation: this.generation, inStep });
  }

  goodbye(reason: string, retryMs: number): this {
    return this.send({ type: "stream_goodbye", generation: this.generation, retryMs, reason });
  }

  ended(outcome: Outcome, reason: string = outcome.kind): this {
    return this.send({ type: "stream_ended", generation: this.generation, outcome, reason });
  }

  fails(times = 1): this {
    for (let i = 0; i < times; i++) {
      if (!this.state.stream) this.advance((this.state.retryAt ?? this.now) - this.now);
      this.requested().ended({ kind: "network" });
    }
    return this;
  }

  pollDone(more = false): this {
    return this.send({ type: "poll_done", generation: this.poll, more });
  }

  pollFails(outcome: Outcome = { kind: "network" }): this {
    return this.send({ type: "poll_failed", generation: this.poll, outcome, reason: outcome.kind });
  }

  get poll(): number {
    if (!this.state.poll) throw new Error("there is no poll in flight");
    return this.state.poll.generation;
  }

  /** Ms until the next attempt to open a stream. */
  get wait(): number | null {
    return this.state.retryAt === null ? null : this.state.retryAt - this.now;
  }
}

/** A stream that is live and stable. */
export function stable(options: Partial<MachineOptions> = {}): Rig {
  return new Rig(options).send({ type: "connect" }).connected().advance(15_000).heartbeat();
}
