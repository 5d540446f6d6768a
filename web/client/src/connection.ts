/**
 * Runs the state machine: timers, streams, polls, page events; and holds the cursor.
 *
 * The cursor moves only after an event was applied, and only to the next position: a log is dense, so a hole means that
 * something was lost on the way, and the stream is opened again from the last position that was applied.
 */
import { outcomeOf, type Api } from "./api.js";
import { succession } from "./cursor.js";
import { randomId } from "./environment.js";
import { step } from "./machine.js";
import { deadline, INITIAL, statusOf, type Effect, type MachineEvent, type MachineOptions } from "./machine-state.js";
import { Store } from "./store.js";
import { readStream } from "./stream.js";
import type { ConnectionSnapshot, TimerHandle, TokenReason } from "./types.js";
import { ProtocolViolation, readConnected, readCursor, readEvents, readGoodbye, type Frame } from "./wire.js";

/** What 16 KiB of text are until a server tells its own limit. */
const TEXT_BYTES_MAX = 16_384;
const POLL_LIMIT = 200;
/** `setTimeout` fires at once beyond this. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export interface ConnectionHandlers {
  /** One event of the log, in order and once, or a frame that is in no log. Must not throw. */
  apply(frame: Frame): void;
  /** From here on events are applied without a hole; state read before `cursor` must be loaded again. */
  based(cursor: string, why: "begin" | "reset"): void;
  /** The server says who this is. */
  identified(userId: string): void;
  effect(effect: Exclude<Effect, { generation: number }>, connected: unknown): void;
  /** A frame about the stream itself: heartbeat, caught_up, goodbye, reset. */
  told(frame: Frame): void;
}

export class Connection extends Store<ConnectionSnapshot> {
  /** Position after the last event that was applied. */
  cursor: string | null = null;

  #tab: string | null = null;
  #state = INITIAL;
  #userId: string | null = null;
  #textBytesMax = TEXT_BYTES_MAX;
  #connected: unknown = null;
  #timer: TimerHandle | null = null;
  #unwatch: (() => void) | null = null;
  readonly #running = new Map<number, AbortController>();
  readonly #queue: MachineEvent[] = [];
  #stepping = false;
  #latest = 0;
  #offset = 0;

  constructor(
    private readonly api: Api,
    private readonly options: MachineOptions,
    private readonly handlers: ConnectionHandlers,
  ) {
    super({
      status: "idle",
      userId: null,
      attempt: 0,
      retryAt: null,
      reason: null,
      pollInterval: options.pollIntervalMs,
      textBytesMax: TEXT_BYTES_MAX,
    });
  }

  get userId(): string | null {
    return this.#userId;
  }

  /** Connect as this user; null lets the token decide. Connected already: nothing happens. */
  open(userId: string | null): void {
    const { environment } = this.api;
    this.#userId = userId ?? this.#userId;
    if (this.#unwatch === null) {
      this.#unwatch = environment.watchPage((type) => this.#dispatch({ type }));
      this.#dispatch({ type: environment.hidden() ? "hidden" : "visible" });
      this.#dispatch({ type: environment.onLine() ? "online" : "offline" });
    }
    this.#dispatch({ type: "connect" });
  }

  close(): void {
    this.#unwatch?.();
    this.#unwatch = null;
    this.#dispatch({ type: "disconnect" });
  }

  reconnect(): void {
    if (this.#unwatch === null && this.#state.mode !== "idle") return this.open(this.#userId);
    this.#dispatch({ type: "reconnect" });
  }

  /** Forget user and position. */
  forget(): void {
    this.cursor = null;
    this.#userId = null;
    this.#connected = null;
  }

  /** Never goes back, even where the wall clock does: a moment in the state must not slip away. */
  #now(): number {
    const wall = this.api.environment.now();
    if (wall + this.#offset < this.#latest) this.#offset = this.#latest - wall;
    return (this.#latest = wall + this.#offset);
  }

  #dispatch(event: MachineEvent): void {
    this.#queue.push(event);
    // A listener called by an effect may dispatch; its event waits for its turn.
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
        const { random } = this.api.environment;
        const [state, effects] = step(this.#state, next, { now: this.#now(), random, options: this.options });
        this.#state = state;
        this.#publish();
        for (const effect of effects) this.#run(effect);
      }
    } finally {
      this.#stepping = false;
    }
    this.#arm();
  }

  #arm(): void {
    const { environment } = this.api;
    if (this.#timer !== null) environment.clearTimer(this.#timer);
    const at = deadline(this.#state);
    this.#timer =
      at === null
        ? null
        : environment.setTimer(
            () => this.#dispatch({ type: "tick" }),
            Math.min(TIMER_MAX_MS, Math.max(0, Math.ceil(at - this.#now()))),
          );
  }

  #publish(): void {
    const { failures, retryAt, reason } = this.#state;
    const next: ConnectionSnapshot = {
      status: statusOf(this.#state),
      userId: this.#userId,
      attempt: failures,
      retryAt: retryAt === null ? null : Math.ceil(retryAt - this.#offset),
      reason,
      pollInterval: this.options.pollIntervalMs,
      textBytesMax: this.#textBytesMax,
    };
    const current = this.getSnapshot();
    const keys = Object.keys(next) as (keyof ConnectionSnapshot)[];
    if (keys.some((key) => next[key] !== current[key])) this.set(next);
  }

  #run(effect: Effect): void {
    switch (effect.type) {
      case "open_stream":
        return void this.#stream(effect.generation, effect.token);
      case "poll":
        return void this.#poll(effect.generation, effect.token);
      case "abort_stream":
      case "abort_poll":
        this.#running.get(effect.generation)?.abort();
        this.#running.delete(effect.generation);
        return;
      default:
        this.handlers.effect(effect, this.#connected);
    }
  }

  async #stream(generation: number, token: TokenReason): Promise<void> {
    const controller = new AbortController();
    this.#running.set(generation, controller);
    const { cursor } = this;
    const end = await readStream(this.api, {
      address: this.api.address(["sse", this.#userId ?? "me"], { tab: (this.#tab ??= randomId(this.api.environment)) }),
      cursor,
      token,
      signal: controller.signal,
      onRequest: () => this.#dispatch({ type: "stream_requested", generation }),
      onBytes: () => this.#dispatch({ type: "stream_bytes", generation }),
      onFrame: (frame) => {
        if (this.#state.stream?.generation === generation) this.#frame(generation, cursor, frame);
      },
    });
    this.#running.delete(generation);
    this.#dispatch({ type: "stream_ended", generation, ...end });
  }

  #frame(generation: number, asked: string | null, frame: Frame): void {
    switch (frame.type) {
      case "connected": {
        const connected = readConnected(frame.data);
        this.handlers.identified(connected.user_id);
        this.#userId = connected.user_id;
        this.#textBytesMax = connected.text_bytes_max ?? this.#textBytesMax;
        this.#connected = frame.data;
        // The second: somebody else than before, whose log begins here.
        if (asked === null || this.cursor === null) {
          this.cursor = connected.cursor;
          this.handlers.based(connected.cursor, "begin");
        }
        return this.#dispatch({ type: "stream_connected", generation, heartbeatMs: connected.heartbeat_ms });
      }
      case "reset":
        this.cursor = readCursor(frame.data);
        this.handlers.based(this.cursor, "reset");
        return this.handlers.told(frame);
      case "heartbeat": {
        const inStep = readCursor(frame.data) === this.cursor;
        this.handlers.told(frame);
        return this.#dispatch({ type: "stream_heartbeat", generation, inStep });
      }
      case "goodbye": {
        const { reason, retry_ms: retryMs } = readGoodbye(frame.data);
        this.handlers.told(frame);
        return this.#dispatch({ type: "stream_goodbye", generation, retryMs, reason });
      }
      case "caught_up":
        return this.handlers.told(frame);
      default:
        return this.#take(frame);
    }
  }

  #take(frame: Frame): void {
    const follows = frame.id === null ? "unknown" : succession(this.cursor, frame.id);
    // A stream that replaces polls begins where it was asked to, and the polls have gone on since.
    if (follows === "old") return;
    if (follows === "gap") throw new ProtocolViolation("events are missing before this one");
    this.handlers.apply(frame);
    if (frame.id !== null) this.cursor = frame.id;
  }

  async #poll(generation: number, token: TokenReason): Promise<void> {
    const controller = new AbortController();
    this.#running.set(generation, controller);
    const query = { cursor: this.cursor, wait: 0, limit: POLL_LIMIT };
    const address = this.api.address(["events", this.#userId ?? "me"], query);
    const current = () => this.#state.poll?.generation === generation;
    try {
      const page = readEvents(await this.api.get(address, controller.signal, token));
      if (!current()) return;
      if (page.reset) {
        this.handlers.told({ id: null, type: "reset", data: page.reset });
        this.handlers.based(page.reset.cursor, "reset");
        this.cursor = page.reset.cursor;
      } else {
        for (const event of page.events) {
          this.#take(event);
          // A listener may have closed the connection, or changed the user.
          if (!current()) return;
        }
        if (this.cursor === null) this.handlers.based(page.cursor, "begin");
        this.cursor = page.cursor;
      }
      this.#dispatch({ type: "poll_done", generation, more: page.has_more });
    } catch (error) {
      this.#dispatch({ type: "poll_failed", generation, ...outcomeOf(error) });
    } finally {
      this.#running.delete(generation);
    }
  }
}
