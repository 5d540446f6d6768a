/**
 * A tab that another one's stream serves: takes what the leader relays as if it came from a stream of its own, with a cursor
 * of its own, and reads from the log what it missed, so that no relay has to be reliable.
 */
import type { Api } from "../http/api.js";
import { Backoff } from "../http/backoff.js";
import { isBefore, succession } from "../wire/cursor.js";
import type { Effect } from "./machine-state.js";
import type { RetryOptions } from "../wire/retry.js";
import type { ConnectionSnapshot } from "../types.js";
import { readCursor, type Frame } from "../wire/shapes.js";

/** What happened on a stream, told to the handlers of a connection and relayed to the followers. */
export type Told =
  | { type: "frame" | "told"; frame: Frame }
  | { type: "based"; cursor: string; why: "begin" | "reset" }
  | { type: "effect"; effect: Exclude<Effect, { generation: number }>; connected: unknown };

/** What a leader tells its followers; `state` is for newcomers. */
export type Relay =
  | Told
  | { type: "snapshot"; snapshot: ConnectionSnapshot }
  | { type: "state"; snapshot: ConnectionSnapshot; cursor: string | null; connected: unknown };

export interface FollowerHandlers {
  cursor(): string | null;
  /** The page of the log after this cursor. */
  read(cursor: string | null, signal: AbortSignal): Promise<unknown>;
  /** Apply the page after `asked` while `current`; whether there is more. */
  takePage(body: unknown, asked: string | null, current: () => boolean): boolean;
  take(told: Told): void;
  /** Show the leader's state; answers what was shown before. */
  mirror(snapshot: ConnectionSnapshot): ConnectionSnapshot;
}

export class Follower {
  #catching: AbortController | null = null;
  #again = false;

  constructor(
    private readonly api: Api,
    private readonly retryOptions: RetryOptions,
    private readonly handlers: FollowerHandlers,
  ) {}

  /** The leader says. */
  hear(relay: Relay): void {
    const { handlers } = this;
    const cursor = handlers.cursor();
    switch (relay.type) {
      case "snapshot":
        handlers.mirror(relay.snapshot);
        return;
      case "state": {
        const before = handlers.mirror(relay.snapshot);
        if (relay.cursor !== null && cursor === null) {
          handlers.take({ type: "based", cursor: relay.cursor, why: "begin" });
        } else if (relay.cursor !== null && relay.cursor !== cursor) {
          this.#catchUp();
        }
        if (relay.snapshot.status === "connected" && before.status !== "connected") {
          handlers.take({ type: "effect", effect: { type: "connected" }, connected: relay.connected });
        }
        return;
      }
      case "frame": {
        const follows = relay.frame.id === null ? "unknown" : succession(cursor, relay.frame.id);
        if (follows === "gap") this.#catchUp();
        else if (follows !== "old") handlers.take(relay);
        return;
      }
      case "based":
        // The first stream of a new leader begins where this tab has been already, or later than it.
        if (relay.why === "reset" || cursor === null) handlers.take(relay);
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
    const backoff = new Backoff(this.api.environment, this.retryOptions);
    while (this.#again && !signal.aborted) {
      this.#again = false;
      try {
        const asked = this.handlers.cursor();
        const body = await this.handlers.read(asked, signal);
        if (signal.aborted) return;
        this.#again ||= this.handlers.takePage(body, asked, () => !signal.aborted);
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        const next = backoff.failed(error);
        // What is refused is asked for again with the next event.
        if (next.action === "stop") break;
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
