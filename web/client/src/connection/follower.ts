/**
 * A tab that another one's stream serves: takes what the leader relays as if it came from a stream of its own, with a cursor
 * of its own, and reads from the log what it missed, so that no relay has to be reliable.
 */
import type { Api } from "../http/api.js";
import { Backoff } from "../http/backoff.js";
import { isBefore } from "../wire/cursor.js";
import type { Effect } from "./machine-state.js";
import type { ConnectionSnapshot } from "../types.js";
import { readCursor, type Frame } from "../wire/shapes.js";

/** What a stream says of itself, for the listeners, and what has become of the connection. */
export type Told =
  | { type: "told"; frame: Frame }
  | { type: "effect"; effect: Exclude<Effect, { generation: number }>; connected: unknown };

/** What a leader tells its followers; `state` is for newcomers. */
export type Relay =
  | Told
  | { type: "frame"; frame: Frame }
  | { type: "based"; cursor: string; why: "begin" | "reset" }
  | { type: "snapshot"; snapshot: ConnectionSnapshot }
  | { type: "state"; snapshot: ConnectionSnapshot; cursor: string | null; connected: unknown };

/** The user's log as this page has applied it, which owns the cursor: `state/log.ts`. */
export interface AppliedLog {
  readonly cursor: string | null;
  apply(frame: Frame): "applied" | "old" | "gap";
  begin(cursor: string, why: "begin" | "reset"): void;
}

export interface FollowerHandlers {
  /** Apply what the log has after the cursor; whether there is more. */
  readOn(signal: AbortSignal): Promise<boolean>;
  take(told: Told): void;
  /** Show the leader's state; answers what was shown before. */
  mirror(snapshot: ConnectionSnapshot): ConnectionSnapshot;
}

export class Follower {
  #catching: AbortController | null = null;
  #again = false;

  constructor(
    private readonly api: Api,
    private readonly log: AppliedLog,
    private readonly handlers: FollowerHandlers,
  ) {}

  /** The leader says. */
  hear(relay: Relay): void {
    const { handlers } = this;
    const { cursor } = this.log;
    switch (relay.type) {
      case "snapshot":
        handlers.mirror(relay.snapshot);
        return;
      case "state": {
        const before = handlers.mirror(relay.snapshot);
        if (relay.cursor !== null && cursor === null) {
          this.log.begin(relay.cursor, "begin");
        } else if (relay.cursor !== null && relay.cursor !== cursor) {
          this.#catchUp();
        }
        if (relay.snapshot.status === "connected" && before.status !== "connected") {
          handlers.take({ type: "effect", effect: { type: "connected" }, connected: relay.connected });
        }
        return;
      }
      case "frame":
        if (this.log.apply(relay.frame) === "gap") this.#catchUp();
        return;
      case "based":
        // The first stream of a new leader begins where this tab has been already, or later than it.
        if (relay.why === "reset" || cursor === null) this.log.begin(relay.cursor, relay.why);
        else if (isBefore(cursor, relay.cursor)) this.#catchUp();
        return;
      case "told":
        if (relay.frame.type === "heartbeat" && readCursor(relay.frame.data) !== cursor) this.#catchUp();
        return handlers.take(relay);
      case "effect":
        return handlers.take(relay);
    }
  }

  /** Follow nobody any more. */
  stop(): void {
    this.#catching?.abort();
    this.#catching = null;
  }

  /** Read what was missed, and once more if more was missed meanwhile. */
  #catchUp(): void {
    this.#again = true;
    if (this.#catching === null) void this.#catch((this.#catching = new AbortController()));
  }

  async #catch(controller: AbortController): Promise<void> {
    const { signal } = controller;
    const backoff = new Backoff(this.api);
    while (this.#again && !signal.aborted) {
      this.#again = false;
      try {
        const more = await this.handlers.readOn(signal);
        this.#again ||= more;
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        const next = backoff.failed(error);
        // What is refused is asked for again with the next event.
        if (next.action === "stop" || !this.api.waits(error)) break;
        this.#again = true;
        await this.#pause(next.wait_ms, signal);
      }
    }
    if (this.#catching === controller) this.#catching = null;
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    const { environment } = this.api;
    return new Promise((resolve) => {
      const timer = environment.setTimer(resolve, ms);
      signal.addEventListener("abort", () => {
        environment.clearTimer(timer);
        resolve();
      });
    });
  }
}
