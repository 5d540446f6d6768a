/**
 * The control channel as the page sees it: orders go out, and every answer is the whole state of what is broken and what
 * was counted.
 */
import type { ControlAddress } from "./frame.js";

export type FaultKind = "refuse" | "reset" | "stall" | "lose_replies" | "delay" | "buffer";

export interface Fault {
  kind: FaultKind;
  /** Whose requests; null: everybody's. */
  user: string | null;
  delay_ms: number;
  seconds_left: number;
}

export interface Count {
  sent: number;
  acknowledged: number;
  received: number;
  lost: number;
  doubled: number;
  waiting: number;
  on_the_way: number;
  unopened: number;
  elsewhere: number;
}

/** A server process. The demo has one or several of them, numbered from 1. */
export interface DemoNode {
  number: number;
  state: "starting" | "running" | "dead";
  process_id: number | null;
  starts_in_s: number | null;
  /** Whose streams it has. */
  streams: readonly string[];
}

export interface State {
  run: number;
  faults: readonly Fault[];
  nodes: readonly DemoNode[];
  traffic: { per_second: number; people: readonly string[]; seconds_left: number };
  /** Who has a window open. */
  open: readonly string[];
  count: Count;
}

/** What the answer to a report has besides. */
export interface ReportAnswer extends State {
  have: number;
  writes: { to: string; per_second: number; seconds_left: number } | null;
}

export interface Order {
  fault: { kind: FaultKind; on: boolean; user: string | null; delay_ms?: number };
  restore: Record<string, never>;
  node: { number: number; do: "kill" | "start" };
  traffic: { per_second: number; people: readonly string[] };
  count: Record<string, never>;
}

/** Whether nothing is broken. */
export function isWhole({ faults, nodes }: State): boolean {
  return faults.length === 0 && nodes.every((node) => node.state === "running");
}

/** `state` is the latest that was heard; `trouble`: the demo's process does not answer, or is another one now. */
export interface Heard {
  state: State | null;
  trouble: "none" | "unreachable" | "restarted";
}

const TIMEOUT_MS = 10_000;

export class Control {
  #heard: Heard = { state: null, trouble: "none" };
  readonly #listeners = new Set<() => void>();

  constructor(private readonly address: ControlAddress) {}

  readonly subscribe = (fn: () => void): (() => void) => {
    this.#listeners.add(fn);
    return () => void this.#listeners.delete(fn);
  };

  readonly getSnapshot = (): Heard => this.#heard;

  /** Ask for something; what became of it shows in the state. */
  order<K extends keyof Order>(name: K, what: Order[K]): void {
    void this.post(name, what);
  }

  /** Null when there was no answer, or a refusal. */
  async post(name: string, what: object, keepalive = false): Promise<ReportAnswer | null> {
    let response: Response;
    try {
      response = await fetch(`${this.address.url}/${name}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Tidings-Demo-Key": this.address.key },
        body: JSON.stringify(what),
        cache: "no-store",
        credentials: "omit",
        keepalive,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (response.ok) {
        const state = (await response.json()) as ReportAnswer;
        this.#hear({ state, trouble: "none" });
        return state;
      }
    } catch {
      this.#hear({ ...this.#heard, trouble: "unreachable" });
      return null;
    }
    // The key is another one with each start.
    if (response.status === 403) this.#hear({ ...this.#heard, trouble: "restarted" });
    return null;
  }

  #hear(heard: Heard): void {
    this.#heard = heard;
    for (const listener of [...this.#listeners]) listener();
  }
}
