/**
 * Runs the state machine: timers, streams, polls, page events; hands frames to the log; and shares all that with the other
 * tabs.
 *
 * Where tabs share one stream (`tabs.ts`), the leader's connection runs the machine and relays what it tells its handlers
 * to the followers (`follower.ts`). Who becomes leader goes on from its own cursor.
 */
import { outcomeOf, type Api } from "../http/api.js";
import { randomId } from "../http/environment.js";
import { Follower, type AppliedLog, type Relay, type Told } from "./follower.js";
import { step } from "./machine.js";
import { deadline, INITIAL, statusOf, type Effect, type MachineEvent, type MachineOptions } from "./machine-state.js";
import { announce } from "./announce.js";
import type { Listeners } from "../listeners.js";
import { Store } from "../store.js";
import { readStream } from "./stream.js";
import { Tabs } from "./tabs.js";
import { Alarm } from "../http/alarm.js";
import type { ConnectionSnapshot, PageEvent, TokenReason } from "../types.js";
import { readStreamFrame } from "../wire/events.js";
import { NOT_YOURS, SIGNED_OUT } from "../wire/retry.js";
import { ProtocolViolation, readEvents, type Frame } from "../wire/shapes.js";

/** What 16 KiB of text are until a server tells its own limit. */
const TEXT_BYTES_MAX = 16_384;
const POLL_LIMIT = 200;
/** `setTimeout` fires at once beyond this. */
const TIMER_MAX_MS = 2 ** 31 - 1;
/** A leader that is not let in gives other tabs a chance, which may have a better token, at most this often. */
const YIELD_INTERVAL_MS = 30_000;
/** Tabs of different versions of this file must not talk to each other. */
const TABS_VERSION = 1;
/** What a follower may have its leader do. */
const ORDERS = ["connect", "reconnect", "tick", "rejected", SIGNED_OUT, NOT_YOURS] as const;
type Order = (typeof ORDERS)[number];

export interface ConnectionHandlers {
  /** Nothing is requested before what this device keeps of the user has been restored. */
  readonly device: { readonly ready: Promise<void> };
  /** The server says who this is. */
  identified(userId: string): void;
  /** The server answers again: what waits need wait no longer. */
  reached(): void;
  /** Something happened to the page; called after the connection has seen to it. */
  page(event: PageEvent): void;
  /** Another tab says. */
  heard(body: unknown): void;
}

export class Connection extends Store<ConnectionSnapshot> {
  #tab: string | null = null;
  #state = INITIAL;
  #textBytesMax = TEXT_BYTES_MAX;
  #connected: unknown = null;
  readonly #alarm: Alarm;
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
    private readonly log: AppliedLog,
    private readonly listeners: Listeners,
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
    this.#alarm = new Alarm(api.environment);
    this.#follower = new Follower(api, log, {
      readOn: (signal) => this.#readOn(signal, () => !signal.aborted),
      take: (told) => this.#take(told),
      mirror: (snapshot) => {
        const before = this.getSnapshot();
        this.#textBytesMax = snapshot.textBytesMax;
        this.set({ ...snapshot, userId: this.api.userId, role: "follower" });
        return before;
      },
    });
  }

  /** Whether this tab speaks for its browser: it has the stream, or would have it. */
  get leads(): boolean {
    return this.#tabs === null || this.#tabs.leads;
  }

  /** Whether somebody has connected, and has not ended it. */
  get isOpen(): boolean {
    return this.#unwatch !== null;
  }

  /** The user has signed out, here or in another tab: nothing but `open` begins again. */
  get isSignedOut(): boolean {
    return !this.isOpen && this.getSnapshot().status === "unauthorized";
  }

  /** Whether requests are answered now. */
  get reaches(): boolean {
    const { status } = this.getSnapshot();
    return status === "connected" || status === "polling";
  }

  /** Whether this user may be signed in. While not, only the connection asks. */
  get admits(): boolean {
    const { status, reason } = this.getSnapshot();
    return status !== "unauthorized" && !(status === "refused" && reason === NOT_YOURS);
  }

  /** Connect as this user; null lets the token decide. Connected already: nothing happens. */
  open(userId: string | null): void {
    const { environment } = this.api;
    this.api.userId = userId ?? this.api.userId;
    if (!this.isOpen) {
      this.#unwatch = environment.watchPage((event) => this.#page(event));
      if (this.#canShare()) return this.#join();
      this.#dispatch({ type: environment.hidden() ? "hidden" : "visible" });
      this.#dispatch({ type: environment.onLine() ? "online" : "offline" });
    }
    if (this.#tabs === null) this.#dispatch({ type: "connect" });
    else if (this.leads) this.#dispatch({ type: "connect", shared: true });
    else this.#tabs.ask("connect" satisfies Order);
  }

  /** End. `isSignOut`: until `open` nobody is signed in, and nobody says who it is. */
  close(isSignOut = false): void {
    if (!this.isOpen && !isSignOut) return;
    this.#unwatch?.();
    this.#unwatch = null;
    this.#leave();
    this.#tabs = null;
    this.#dispatch({ type: "disconnect" });
    const shown: Partial<ConnectionSnapshot> = isSignOut
      ? { status: "unauthorized", userId: null, reason: SIGNED_OUT }
      : { status: "closed", reason: null };
    this.set({ ...this.getSnapshot(), ...shown, retryAt: null, role: "solo" });
  }

  reconnect(): void {
    if (this.isOpen) this.#order("reconnect");
    else if (this.getSnapshot().status === "closed") this.open(this.api.userId);
  }

  /** Look at the clock now: before something is sent, a stream that has died unnoticed is found. */
  check(): void {
    this.#order("tick");
  }

  /** What a request tells of who is signed in. */
  refused(why: "rejected" | typeof SIGNED_OUT | typeof NOT_YOURS): void {
    this.#order(why);
  }

  /** To the other tabs of this browser and user, if there are any. */
  tell(body: unknown): void {
    this.#tabs?.tell(body);
  }

  /** Forget the user. */
  forget(): void {
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
        return { type: "state", snapshot: this.getSnapshot(), cursor: this.log.cursor, connected: this.#connected };
      },
      seen: (visible) => this.#dispatch({ type: visible ? "visible" : "hidden" }),
      doubted: () => this.#dispatch({ type: "tick" }),
      told: (body) => this.handlers.heard(body),
    }));
    this.set({ ...this.getSnapshot(), status: "connecting", userId: this.api.userId, role: "follower", reason: null });
    // A follower has to know its own place before it hears of others.
    void this.handlers.device.ready.then(() => {
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

  /** Whoever has the stream sees to it. */
  #order(type: Order): void {
    if (this.leads) this.#dispatch({ type });
    else this.#tabs?.ask(type);
  }

  #asked(body: unknown): void {
    const type = ORDERS.find((order) => order === body);
    if (type !== undefined) this.#dispatch({ type });
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

  /** Tell the listeners, and the followers the same. */
  #say(told: Told): void {
    this.#take(told);
    this.#relay(told);
  }

  #relay(relay: Relay): void {
    this.#tabs?.relay(relay);
  }

  #take(told: Told): void {
    if (told.type === "told") return this.listeners.emit(told.frame.type, told.frame.data);
    this.#connected = told.connected ?? this.#connected;
    announce(this.listeners, told.effect, this.api.userId, told.connected);
    if (told.effect.type === "connected" || told.effect.type === "reachable") this.handlers.reached();
  }

  #begin(cursor: string, why: "begin" | "reset"): void {
    this.log.begin(cursor, why);
    this.#relay({ type: "based", cursor, why });
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
    if (this.#state.unauthorizedAt !== null && this.#state.mode === "running") this.#letOthersTry();
    this.#arm();
  }

  #arm(): void {
    const at = deadline(this.#state);
    if (at === null) return this.#alarm.clear();
    const wait = Math.min(TIMER_MAX_MS, Math.max(0, Math.ceil(at - this.#now())));
    this.#alarm.set(wait, () => this.#dispatch({ type: "tick" }));
  }

  #publish(): void {
    // What a follower shows comes from its leader; what has ended shows how.
    if (!this.leads || !this.isOpen) return;
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
    this.change(next);
    if (this.getSnapshot() === next) this.#relay({ type: "snapshot", snapshot: next });
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
      case "unauthorized":
        // Also where nothing more happens here.
        this.#letOthersTry();
        return this.#say({ type: "effect", effect, connected: this.#connected });
      case "connected":
      case "connection_failed":
      case "reachable":
      case "reconnecting":
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
    await this.handlers.device.ready;
    if (controller.signal.aborted) return;
    const { cursor } = this.log;
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
    const read = readStreamFrame(frame);
    switch (read.type) {
      case "connected": {
        const { connected } = read;
        const isAsked = connected.user_id === (this.api.userId ?? connected.user_id);
        if (!isAsked || (connected.resumed && connected.cursor !== (asked ?? connected.cursor))) {
          throw new ProtocolViolation("the stream is another one than was asked for");
        }
        this.handlers.identified(connected.user_id);
        this.api.userId = connected.user_id;
        this.#textBytesMax = connected.text_bytes_max ?? this.#textBytesMax;
        this.#connected = frame.data;
        if (asked === null) this.#begin(connected.cursor, "begin");
        return this.#dispatch({ type: "stream_connected", generation, heartbeatMs: connected.heartbeat_ms });
      }
      case "reset":
        this.#begin(read.cursor, "reset");
        return this.#say({ type: "told", frame });
      case "heartbeat": {
        const inStep = read.cursor === this.log.cursor;
        this.#say({ type: "told", frame });
        return this.#dispatch({ type: "stream_heartbeat", generation, inStep });
      }
      case "goodbye": {
        const { reason, retry_ms: retryMs } = read;
        this.#say({ type: "told", frame });
        return this.#dispatch({ type: "stream_goodbye", generation, retryMs, reason });
      }
      case "caught_up":
        return this.#say({ type: "told", frame });
      case "event":
        return this.#event(frame);
    }
  }

  #event(frame: Frame): void {
    switch (this.log.apply(frame)) {
      case "applied":
        return this.#relay({ type: "frame", frame });
      case "old":
        // A stream that replaces polls begins where it was asked to, and the polls have gone on since.
        return;
      case "gap":
        throw new ProtocolViolation("events are missing before this one");
    }
  }

  async #poll(generation: number, token: TokenReason): Promise<void> {
    const controller = new AbortController();
    this.#running.set(generation, controller);
    await this.handlers.device.ready;
    const current = () => this.#state.poll?.generation === generation;
    try {
      const more = await this.#readOn(controller.signal, current, token);
      if (current()) this.#dispatch({ type: "poll_done", generation, more });
    } catch (error) {
      this.#dispatch({ type: "poll_failed", generation, ...outcomeOf(error) });
    } finally {
      this.#running.delete(generation);
    }
  }

  /**
   * Apply the page of the log after the cursor; whether there is more of it. Stops when it is not `current` any more, which a
   * listener may bring about.
   */
  async #readOn(signal: AbortSignal, current: () => boolean, token?: TokenReason): Promise<boolean> {
    const { cursor } = this.log;
    const address = this.api.address(["events", this.api.userId ?? "me"], { cursor, wait: 0, limit: POLL_LIMIT });
    const body = await this.api.get(address, signal, token);
    if (!current()) return false;
    const page = readEvents(body);
    if (page.reset) {
      this.#say({ type: "told", frame: { id: null, type: "reset", data: page.reset } });
      this.#begin(page.reset.cursor, "reset");
      return page.has_more;
    }
    // A cursor that its events do not lead to would skip what lies between.
    const reached = page.events.at(-1)?.id ?? cursor;
    if (reached !== null && reached !== page.cursor) throw new ProtocolViolation("the page is not what was asked for");
    for (const event of page.events) {
      this.#event(event);
      if (!current()) return false;
    }
    if (this.log.cursor === null) this.#begin(page.cursor, "begin");
    return page.has_more;
  }
}
