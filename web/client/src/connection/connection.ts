/**
 * Runs the state machine: timers, streams, polls, page events; holds the cursor; and shares all that with the other tabs.
 *
 * The cursor moves only after an event was applied, and only to the next position: a log is dense, so a hole means that
 * something was lost on the way, and the stream is opened again from the last position that was applied.
 *
 * Where tabs share one stream (`tabs.ts`), the leader's connection runs the machine and relays what it tells its handlers
 * to the followers (`follower.ts`). Who becomes leader goes on from its own cursor.
 */
import { outcomeOf, type Api } from "../http/api.js";
import { succession } from "../wire/cursor.js";
import { randomId } from "../http/environment.js";
import { Follower, type Relay, type Told } from "./follower.js";
import { step } from "./machine.js";
import { deadline, INITIAL, statusOf, type Effect, type MachineEvent, type MachineOptions } from "./machine-state.js";
import { Store } from "../store.js";
import { readStream } from "./stream.js";
import { Tabs } from "./tabs.js";
import type { ConnectionSnapshot, PageEvent, TimerHandle, TokenReason } from "../types.js";
import { ProtocolViolation, readConnected, readCursor, readEvents, readGoodbye, type Frame } from "../wire/shapes.js";

/** What 16 KiB of text are until a server tells its own limit. */
const TEXT_BYTES_MAX = 16_384;
const POLL_LIMIT = 200;
/** `setTimeout` fires at once beyond this. */
const TIMER_MAX_MS = 2 ** 31 - 1;
/** A leader that is not let in gives other tabs a chance, which may have a better token, at most this often. */
const YIELD_INTERVAL_MS = 30_000;
/** Tabs of different versions of this file must not talk to each other. */
const TABS_VERSION = 1;

export interface ConnectionHandlers {
  /** Resolves when what was kept of this user has been restored; nothing is requested before. */
  ready(): Promise<void>;
  /** One event of the log, in order and once, or a frame that is in no log. Must not throw. */
  apply(frame: Frame): void;
  /** From here on events are applied without a hole; state read before `cursor` must be loaded again. */
  based(cursor: string, why: "begin" | "reset"): void;
  /** The cursor is another one. */
  moved(): void;
  /** The server says who this is. */
  identified(userId: string): void;
  effect(effect: Exclude<Effect, { generation: number }>, connected: unknown): void;
  /** A frame about the stream itself: heartbeat, caught_up, goodbye, reset. */
  told(frame: Frame): void;
  /** Something happened to the page; called after the connection has seen to it. */
  page(event: PageEvent): void;
  /** Another tab says. */
  heard(body: unknown): void;
}

export class Connection extends Store<ConnectionSnapshot> {
  #cursor: string | null = null;
  #tab: string | null = null;
  #state = INITIAL;
  #textBytesMax = TEXT_BYTES_MAX;
  #connected: unknown = null;
  #timer: TimerHandle | null = null;
  #unwatch: (() => void) | null = null;
  readonly #running = new Map<number, AbortController>();
  readonly #queue: MachineEvent[] = [];
  #stepping = false;
  #time = 0;
  #wall: number | null = null;
  #monotonic = 0;
  #tabs: Tabs | null = null;
  #yieldedAt = -Infinity;
  readonly #follower: Follower;

  constructor(
    private readonly api: Api,
    private readonly options: MachineOptions & { shareStream: boolean },
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
      role: "solo",
    });
    this.#follower = new Follower(api, options.retry, {
      cursor: () => this.#cursor,
      read: (cursor, signal) => api.get(this.#eventsAddress(cursor), signal),
      takePage: (body, asked, current) => this.#takePage(body, asked, current),
      take: (told) => this.#take(told),
      mirror: (snapshot) => {
        const before = this.getSnapshot();
        this.#textBytesMax = snapshot.textBytesMax;
        this.set({ ...snapshot, userId: this.api.userId, role: "follower" });
        return before;
      },
    });
  }

  get userId(): string | null {
    return this.api.userId;
  }

  /** Position after the last event that was applied. */
  get cursor(): string | null {
    return this.#cursor;
  }

  set cursor(cursor: string | null) {
    if (cursor === this.#cursor) return;
    this.#cursor = cursor;
    this.handlers.moved();
  }

  /** Whether this tab speaks for its browser: it has the stream, or would have it. */
  get leads(): boolean {
    return this.#tabs === null || this.#tabs.leads;
  }

  /** Connect as this user; null lets the token decide. Connected already: nothing happens. */
  open(userId: string | null): void {
    const { environment } = this.api;
    this.api.userId = userId ?? this.api.userId;
    if (this.#unwatch === null) {
      this.#unwatch = environment.watchPage((event) => this.#page(event));
      if (this.#canShare()) return this.#join();
      this.#dispatch({ type: environment.hidden() ? "hidden" : "visible" });
      this.#dispatch({ type: environment.onLine() ? "online" : "offline" });
    }
    if (this.#tabs === null) this.#dispatch({ type: "connect" });
    else if (this.leads) this.#dispatch({ type: "connect", shared: true });
    else this.#tabs.ask("connect");
  }

  close(): void {
    this.#unwatch?.();
    this.#unwatch = null;
    const shared = this.#tabs !== null;
    this.#leave();
    this.#tabs = null;
    if (!shared) this.#dispatch({ type: "disconnect" });
    else this.set({ ...this.getSnapshot(), status: "closed", retryAt: null, reason: null, role: "solo" });
  }

  reconnect(): void {
    if (this.#unwatch === null && this.getSnapshot().status !== "idle") return this.open(this.api.userId);
    if (this.leads) this.#dispatch({ type: "reconnect" });
    else this.#tabs?.ask("reconnect");
  }

  /** Look at the clock now: before something is sent, a stream that has died unnoticed is found. */
  check(): void {
    if (this.leads) this.#dispatch({ type: "tick" });
    else this.#tabs?.ask("tick");
  }

  /** To the other tabs of this browser and user, if there are any. */
  tell(body: unknown): void {
    this.#tabs?.tell(body);
  }

  /** Forget user and position. */
  forget(): void {
    this.#cursor = null;
    this.api.userId = null;
    this.#connected = null;
  }

  #canShare(): boolean {
    const { locks, channel } = this.api.environment;
    return this.options.shareStream && this.api.userId !== null && locks !== null && channel !== null;
  }

  /** Take part in the sharing of one stream; what this tab is then, it is told. */
  #join(): void {
    const { environment } = this.api;
    const { locks, channel } = environment;
    if (locks === null || channel === null) return;
    const name = `${this.api.owner(this.api.userId ?? "")} ${TABS_VERSION}`;
    const tabs = (this.#tabs = new Tabs({ ...environment, locks, channel }, name, {
      lead: () => this.#lead(),
      follow: () => this.#dispatch({ type: "disconnect" }),
      relayed: (body) => this.#follower.hear(body as Relay),
      asked: (body) => this.#asked(body),
      state: (): Relay => {
        return { type: "state", snapshot: this.getSnapshot(), cursor: this.#cursor, connected: this.#connected };
      },
      seen: (visible) => this.#dispatch({ type: visible ? "visible" : "hidden" }),
      doubted: () => this.#dispatch({ type: "tick" }),
      told: (body) => this.handlers.heard(body),
    }));
    this.set({ ...this.getSnapshot(), status: "connecting", userId: this.api.userId, role: "follower", reason: null });
    // A follower has to know its own place before it hears of others.
    void this.handlers.ready().then(() => {
      if (this.#tabs === tabs) tabs.open();
    });
  }

  #lead(): void {
    this.#follower.stop();
    this.#dispatch({ type: this.api.environment.onLine() ? "online" : "offline" });
    this.#dispatch({ type: "connect", shared: true });
  }

  /** Let go of stream, lock and channel; the snapshot stays as it is. */
  #leave(): void {
    const tabs = this.#tabs;
    if (tabs === null) return;
    this.#follower.stop();
    tabs.close();
    this.#dispatch({ type: "disconnect" });
  }

  #asked(body: unknown): void {
    if (body === "reconnect" || body === "connect" || body === "tick") this.#dispatch({ type: body });
  }

  #page(type: PageEvent): void {
    const tabs = this.#tabs;
    if (tabs === null) this.#dispatch({ type });
    else if (type === "frozen") this.#leave();
    else if (type === "restored") tabs.open();
    else if (type === "visible" || type === "hidden") tabs.show(type === "visible");
    else if (tabs.leads) this.#dispatch({ type });
    this.handlers.page(type);
  }

  /** Tell the handlers, and the followers the same. */
  #say(told: Told): void {
    this.#take(told);
    this.#tabs?.relay(told);
  }

  #take(told: Told): void {
    switch (told.type) {
      case "frame":
        this.handlers.apply(told.frame);
        if (told.frame.id !== null) this.cursor = told.frame.id;
        return;
      case "told":
        return this.handlers.told(told.frame);
      case "based":
        this.cursor = told.cursor;
        return this.handlers.based(told.cursor, told.why);
      case "effect":
        this.#connected = told.connected ?? this.#connected;
        return this.handlers.effect(told.effect, told.connected);
    }
  }

  /**
   * The machine's time: it passes as the clock says that says more. The monotonic one may stop in a sleep, the wall
   * clock may be set back; neither hides that a stream has been silent for too long.
   */
  #now(): number {
    const { environment } = this.api;
    const wall = environment.now();
    const monotonic = environment.monotonic();
    this.#time = this.#wall === null ? wall : this.#time + Math.max(0, wall - this.#wall, monotonic - this.#monotonic);
    this.#wall = wall;
    this.#monotonic = monotonic;
    return this.#time;
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
    if (this.#state.unauthorized && this.#state.mode === "running") this.#letOthersTry();
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
    // What a follower shows comes from its leader.
    if (!this.leads) return;
    const { failures, retryAt, reason } = this.#state;
    const next: ConnectionSnapshot = {
      status: statusOf(this.#state),
      userId: this.api.userId,
      attempt: failures,
      retryAt: retryAt === null ? null : Math.ceil(retryAt - this.#time + (this.#wall ?? 0)),
      reason,
      pollInterval: this.options.pollIntervalMs,
      textBytesMax: this.#textBytesMax,
      role: this.#tabs === null ? "solo" : "leader",
    };
    const current = this.getSnapshot();
    const keys = Object.keys(next) as (keyof ConnectionSnapshot)[];
    if (!keys.some((key) => next[key] !== current[key])) return;
    this.set(next);
    this.#tabs?.relay({ type: "snapshot", snapshot: next } satisfies Relay);
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
      case "connected":
      case "connection_failed":
      case "reachable":
      case "reconnecting":
      case "unauthorized":
        this.#say({ type: "effect", effect, connected: this.#connected });
    }
  }

  /** Another tab may have a token that is accepted. */
  #letOthersTry(): void {
    const now = this.#now();
    if (now - this.#yieldedAt < YIELD_INTERVAL_MS || !this.#tabs?.canYield) return;
    this.#yieldedAt = now;
    queueMicrotask(() => this.#tabs?.yield());
  }

  async #stream(generation: number, token: TokenReason): Promise<void> {
    const controller = new AbortController();
    this.#running.set(generation, controller);
    await this.handlers.ready();
    if (controller.signal.aborted) return;
    const { cursor } = this;
    const end = await readStream(this.api, {
      address: this.api.address(["sse", this.api.userId ?? "me"], {
        tab: (this.#tab ??= randomId(this.api.environment)),
      }),
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
        const isAsked = connected.user_id === (this.userId ?? connected.user_id);
        if (!isAsked || (connected.resumed && connected.cursor !== (asked ?? connected.cursor))) {
          throw new ProtocolViolation("the stream is another one than was asked for");
        }
        this.handlers.identified(connected.user_id);
        this.api.userId = connected.user_id;
        this.#textBytesMax = connected.text_bytes_max ?? this.#textBytesMax;
        this.#connected = frame.data;
        if (asked === null) this.#say({ type: "based", cursor: connected.cursor, why: "begin" });
        return this.#dispatch({ type: "stream_connected", generation, heartbeatMs: connected.heartbeat_ms });
      }
      case "reset":
        this.#say({ type: "based", cursor: readCursor(frame.data), why: "reset" });
        return this.#say({ type: "told", frame });
      case "heartbeat": {
        const inStep = readCursor(frame.data) === this.cursor;
        this.#say({ type: "told", frame });
        return this.#dispatch({ type: "stream_heartbeat", generation, inStep });
      }
      case "goodbye": {
        const { reason, retry_ms: retryMs } = readGoodbye(frame.data);
        this.#say({ type: "told", frame });
        return this.#dispatch({ type: "stream_goodbye", generation, retryMs, reason });
      }
      case "caught_up":
        return this.#say({ type: "told", frame });
      default:
        return this.#event(frame);
    }
  }

  #event(frame: Frame): void {
    const follows = frame.id === null ? "unknown" : succession(this.#cursor, frame.id);
    // A stream that replaces polls begins where it was asked to, and the polls have gone on since.
    if (follows === "old") return;
    if (follows === "gap") throw new ProtocolViolation("events are missing before this one");
    this.#say({ type: "frame", frame });
  }

  #eventsAddress(cursor: string | null): string {
    return this.api.address(["events", this.api.userId ?? "me"], { cursor, wait: 0, limit: POLL_LIMIT });
  }

  async #poll(generation: number, token: TokenReason): Promise<void> {
    const controller = new AbortController();
    this.#running.set(generation, controller);
    await this.handlers.ready();
    const current = () => this.#state.poll?.generation === generation;
    try {
      const asked = this.cursor;
      const body = await this.api.get(this.#eventsAddress(asked), controller.signal, token);
      if (!current()) return;
      const more = this.#takePage(body, asked, current);
      if (current()) this.#dispatch({ type: "poll_done", generation, more });
    } catch (error) {
      this.#dispatch({ type: "poll_failed", generation, ...outcomeOf(error) });
    } finally {
      this.#running.delete(generation);
    }
  }

  /**
   * Apply the page of the log after `asked`; whether there is more of it. Stops when a listener made it not `current` any more.
   */
  #takePage(body: unknown, asked: string | null, current: () => boolean): boolean {
    const page = readEvents(body);
    if (page.reset) {
      this.#say({ type: "told", frame: { id: null, type: "reset", data: page.reset } });
      this.#say({ type: "based", cursor: page.reset.cursor, why: "reset" });
      return page.has_more;
    }
    // A cursor that its events do not lead to would skip what lies between.
    const reached = page.events.at(-1)?.id ?? asked;
    if (reached !== null && reached !== page.cursor) throw new ProtocolViolation("the page is not what was asked for");
    for (const event of page.events) {
      this.#event(event);
      // A listener may have closed the connection, or changed the user.
      if (!current()) return false;
    }
    if (this.cursor === null) this.#say({ type: "based", cursor: page.cursor, why: "begin" });
    return page.has_more;
  }
}
