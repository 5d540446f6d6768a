/**
 * The connection as one pure state machine: events in, state and effects out.
 *
 * Rules of this file:
 * 1. There is one scheduler. Whatever must happen later is a moment in the state (`retryAt`, `pollAt`, ...); `deadline`
 *    answers the earliest, and every step first looks at the clock. A timer only wakes the machine, it decides nothing:
 *    throttled and frozen pages fire timers late.
 * 2. Every stream and poll has a generation; what an earlier one still reports is ignored.
 * 3. `connected` means that the `connected` frame was read, nothing less.
 * 4. After a failure the wait comes from `nextAttempt`, and nothing but a stable stream forgets the failures. Other moments
 *    shorten or replace one wait: the browser says online or offline, a page becomes visible, a poll gets through, the user
 *    asks; a mute network makes it longer, up to the next probe.
 * 5. It never gives up, except where the server said that trying again will not help, and where somebody has to sign in first.
 */
import {
  expiry,
  HIDDEN_POLL_INTERVAL_MS,
  INITIAL,
  mayPoll,
  POLL_AFTER_MS,
  PROBE_INTERVAL_MS,
  restsAt,
  SKIP_INTERVAL_MS,
  STABLE_AFTER_MS,
  UNAUTHORIZED_FOR_MS,
  type Context,
  type Effect,
  type MachineEvent,
  type MachineState,
  type StreamState,
} from "./machine-state.js";
import { nextAttempt, NO_STREAMS, NOT_YOURS, SIGNED_OUT, type Outcome } from "../wire/retry.js";
import type { TokenReason } from "../types.js";

/** One step. Whatever has become due at `context.now` happens too, whichever event it was. */
export function step(state: MachineState, event: MachineEvent, context: Context): [MachineState, Effect[]] {
  const move = new Move(state, context);
  move.take(event);
  move.settle();
  return [move.state, move.effects];
}

/** The next state in the making. */
class Move {
  readonly state: MachineState;
  readonly effects: Effect[] = [];

  constructor(
    state: MachineState,
    private readonly context: Context,
  ) {
    this.state = { ...state, stream: state.stream && { ...state.stream } };
  }

  take(event: MachineEvent): void {
    const { state: s } = this;
    const { now } = this.context;
    switch (event.type) {
      case "tick":
        return;
      case "connect":
        if (s.mode !== "running") return this.start(event.shared ?? false);
        // Whoever has signed in is not kept waiting.
        if (s.unauthorizedAt !== null) this.skipWait();
        return;
      case "disconnect":
        if (s.mode !== "idle") this.stop("closed", null);
        return;
      case "reconnect":
        if (s.mode === "idle") return;
        if (s.mode !== "running") return this.start(s.shared);
        if (s.stream?.phase === "live") this.drop("requested");
        return this.skipWait();
      case "rejected":
        // The session is over: the stream that was let in before would not be let in now.
        if (s.mode === "running" && s.unauthorizedAt === null) this.lose({ kind: "status", status: 401 }, "status_401");
        return;
      case SIGNED_OUT:
        if (s.mode === "running") this.signOut(SIGNED_OUT);
        return;
      case NOT_YOURS:
        if (s.mode === "running") this.doubt();
        return;
      case "online":
        s.online = true;
        // An attempt in flight left through the network that is gone.
        if (s.stream && s.stream.phase !== "live") this.drop("network");
        return this.wake();
      case "offline":
        s.online = false;
        if (s.mode !== "running" || s.suspended) return;
        this.abortPoll();
        this.drop("offline");
        // `offline` may be wrong (a virtual adapter, a server on this machine), so one attempt finds out.
        return this.retryIn(Math.max(this.context.options.retry.floor_ms, this.context.random() * 1000), "offline");
      case "hidden":
        s.hiddenSince ??= now;
        return;
      case "visible":
        s.hiddenSince = null;
        this.thaw();
        return this.wake();
      case "frozen":
        s.suspended = true;
        this.abortPoll();
        return this.drop("frozen");
      case "restored":
        this.thaw();
        return this.wake();
      case "stream_requested":
      case "stream_bytes":
      case "stream_connected":
      case "stream_heartbeat":
      case "stream_goodbye":
      case "stream_ended":
        if (s.stream && event.generation === s.stream.generation) this.takeStream(s.stream, event);
        return;
      case "poll_done":
        if (event.generation === s.poll?.generation) this.takePoll(event.more);
        return;
      case "poll_failed":
        if (event.generation === s.poll?.generation) this.failPoll(s.poll.token, event.outcome, event.reason);
        return;
    }
  }

  /** Everything that has become due. */
  settle(): void {
    const { state: s } = this;
    const { now } = this.context;
    if (s.mode !== "running" || s.suspended) return;
    if (s.stream) {
      const at = expiry(s.stream);
      if (at !== null && at <= now) {
        if (s.stream.phase === "live") this.lose({ kind: "timeout" }, "silent");
        else this.lose({ kind: "mute" }, "mute");
      } else if (this.isStable()) {
        s.failures = 0;
      }
    }
    const rest = restsAt(s);
    if (rest !== null && rest <= now) {
      const wasLive = s.stream?.phase === "live";
      this.drop("hidden");
      s.resting = true;
      s.retryAt = null;
      s.polling = true;
      s.pollWorks ||= wasLive;
      s.pollAt = now + this.pollWait();
    }
    if (mayPoll(s)) {
      if (!s.polling && now >= s.aloneSince + POLL_AFTER_MS) this.beginPolling();
      if (s.polling && s.poll === null && s.pollAt !== null && s.pollAt <= now) {
        this.poll();
      }
    }
    if (s.stream === null && s.retryAt !== null && s.retryAt <= now && !s.resting) {
      s.retryAt = null;
      const generation = ++s.generation;
      const token = this.takeTokenReason();
      const phase = "preparing";
      s.stream = { generation, token, phase, since: now, lastByteAt: now, heartbeatMs: 0, heartbeatSeen: false };
      this.effects.push({ type: "open_stream", generation, token });
    }
  }

  private takeStream(stream: StreamState, event: Extract<MachineEvent, { type: `stream_${string}` }>): void {
    const { state: s } = this;
    const { now } = this.context;
    switch (event.type) {
      case "stream_requested":
        stream.phase = "opening";
        stream.since = now;
        return;
      case "stream_bytes":
        stream.lastByteAt = now;
        // A busy stream sends no heartbeats: bytes after a heartbeat's time prove as much.
        if (stream.phase === "live" && now - stream.since >= stream.heartbeatMs) stream.heartbeatSeen = true;
        return;
      case "stream_connected":
        stream.phase = "live";
        stream.since = stream.lastByteAt = now;
        stream.heartbeatMs = event.heartbeatMs;
        this.abortPoll();
        s.polling = s.pollWorks = s.mute = false;
        s.unauthorizedAt = null;
        s.tokenReason = "initial";
        s.pollFailures = 0;
        s.everLive = true;
        s.reason = null;
        this.effects.push({ type: "connected" });
        return;
      case "stream_heartbeat":
        stream.heartbeatSeen = true;
        if (!event.inStep) this.lose({ kind: "violation" }, "out_of_step");
        return;
      case "stream_goodbye":
        if (event.reason === "token_expired") s.tokenReason = "expired";
        return this.lose({ kind: "goodbye", retry_ms: event.retryMs }, event.reason);
      case "stream_ended": {
        const cut = event.outcome.kind === "end" && stream.phase !== "live";
        return this.lose(cut ? { kind: "network" } : event.outcome, event.reason);
      }
    }
  }

  private takePoll(more: boolean): void {
    const { state: s } = this;
    const { now, random } = this.context;
    s.poll = null;
    s.pollFailures = 0;
    const isKnown = s.pollWorks && s.unauthorizedAt === null;
    s.unauthorizedAt = null;
    s.pollAt = more ? now : now + this.pollWait();
    if (isKnown) return;
    s.pollWorks = true;
    this.effects.push({ type: "reachable" });
    // The server is back; unless the last stream was mute, there is no reason to leave it for the next probe.
    if (!s.mute && !s.retryAsked && s.retryAt !== null) s.retryAt = Math.min(s.retryAt, now + random() * 1000);
  }

  private failPoll(token: TokenReason, outcome: Outcome, reason: string): void {
    const { state: s } = this;
    const { now, random, options } = this.context;
    s.poll = null;
    s.pollWorks = false;
    if (reason === SIGNED_OUT) return this.signOut(reason);
    s.reason = reason;
    // Where polls do not get through either, a mute stream said nothing about streams.
    if (outcome.kind === "network" || outcome.kind === "timeout") s.mute = false;
    const next = nextAttempt(s.pollFailures, this.withRefreshed(outcome, token), random(), options.retry);
    s.pollFailures = next.failures;
    if (next.action === "stop") return this.refuse(outcome, reason);
    if (next.action === "refresh") {
      s.tokenReason = "rejected";
      s.pollAt = now;
      return;
    }
    s.pollAt = now + Math.max(next.wait_ms, this.pollWait());
    if (outcome.kind === "status" && outcome.status === 401) {
      this.reject();
      if (this.isOver()) return this.signOut(reason);
      if (s.stream === null && s.retryAt === null) s.retryAt = now + next.wait_ms;
    }
  }

  /** The stream is over; decide when the next one begins. */
  private lose(outcome: Outcome, reason: string): void {
    const { state: s } = this;
    const { now, random, options } = this.context;
    if (reason === SIGNED_OUT) return this.signOut(reason);
    const stable = this.isStable();
    const token = s.stream?.token ?? "initial";
    this.endStream();
    s.reason = reason;
    const before = stable ? 0 : s.failures;
    const ended = { ...this.withRefreshed(outcome, token), stable };
    const next = nextAttempt(s.failures, ended, random(), options.retry);
    s.failures = next.failures;
    if (next.action === "stop") return this.refuse(outcome, reason);
    if (next.action === "refresh") {
      s.tokenReason = "rejected";
      s.retryAt = now;
      return;
    }
    if (outcome.kind === "status" && outcome.status === 401) {
      this.reject();
      if (this.isOver()) return this.signOut(reason);
    }
    let wait = next.wait_ms;
    if (outcome.kind === "mute") {
      s.mute = true;
      s.unauthorizedAt = null;
      this.beginPolling();
    } else {
      s.mute = false;
      if (reason === NO_STREAMS) {
        s.failures = 0; // it serves as it means to
        this.beginPolling();
        // It was not asked who asks; a poll is.
        if (s.unauthorizedAt !== null && s.poll === null) this.poll();
      }
    }
    const probes = (s.polling && s.unauthorizedAt === null) || !s.online;
    if (probes && outcome.kind !== "goodbye") wait = Math.max(wait, PROBE_INTERVAL_MS * (0.8 + 0.4 * random()));
    this.retryIn(wait, reason);
    s.retryAsked = outcome.kind === "goodbye" || (outcome.kind === "status" && outcome.retry_after_s !== undefined);
    const limit = options.maxReconnectAttempts;
    if (before < limit && s.failures >= limit) {
      const message = `No event stream after ${s.failures} attempts`;
      this.effects.push({ type: "connection_failed", message, polling: s.polling });
    }
  }

  private retryIn(waitMs: number, reason: string): void {
    const { state: s } = this;
    s.retryAt = this.context.now + waitMs;
    s.retryAsked = false;
    this.effects.push({ type: "reconnecting", attempt: Math.max(1, s.failures), delayMs: waitMs, reason });
  }

  private start(shared: boolean): void {
    const { state: s } = this;
    const { now } = this.context;
    const { generation, online, hiddenSince, skippedAt } = s;
    Object.assign(s, INITIAL, { generation, online, hiddenSince, skippedAt, shared });
    s.mode = "running";
    s.aloneSince = s.retryAt = now;
    if (hiddenSince !== null) s.hiddenSince = now;
  }

  private stop(mode: "signed_out" | "refused" | "closed", reason: string | null): void {
    const { state: s } = this;
    this.endStream();
    this.abortPoll();
    s.mode = mode;
    s.retryAt = s.pollAt = null;
    s.polling = s.pollWorks = s.resting = false;
    s.reason = reason;
  }

  private refuse(outcome: Outcome, reason: string): void {
    if (outcome.kind === "status" && outcome.status === 204) return this.stop("closed", reason);
    this.stop("refused", reason);
    // What a developer meets first is worth its own sentence.
    const why = reason === NOT_YOURS ? "another user is signed in than connect() names" : reason;
    this.effects.push({ type: "connection_failed", message: `The server refused: ${why}`, polling: false });
  }

  private reject(): void {
    const { state: s } = this;
    s.tokenReason = "rejected";
    if (s.unauthorizedAt === null) this.effects.push({ type: "unauthorized" });
    s.unauthorizedAt ??= this.context.now;
    this.abortPoll();
  }

  /** Nobody was let in for long. */
  private isOver(): boolean {
    const { unauthorizedAt } = this.state;
    return unauthorizedAt !== null && this.context.now - unauthorizedAt >= UNAUTHORIZED_FOR_MS;
  }

  /** Nobody is signed in: ask nothing more. */
  private signOut(reason: string): void {
    this.reject();
    this.stop("signed_out", reason);
  }

  /** A request was refused as somebody else's: whether this user is still signed in, the next stream or poll is answered. */
  private doubt(): void {
    const { state: s } = this;
    const isLive = s.stream?.phase === "live";
    if (!isLive && (s.stream !== null || !s.polling)) return;
    this.drop(NOT_YOURS);
    this.abortPoll();
    const next = nextAttempt(s.failures, { kind: "network" }, this.context.random(), this.context.options.retry);
    s.failures = next.failures;
    s.tokenReason = "rejected";
    if (isLive) return this.retryIn(next.wait_ms, NOT_YOURS);
    s.pollWorks = false;
    s.pollAt = this.context.now + next.wait_ms;
  }

  private withRefreshed(outcome: Outcome, token: TokenReason): Outcome {
    if (outcome.kind !== "status") return outcome;
    return { ...outcome, refreshed: token === "rejected" || !this.context.options.canRefresh };
  }

  private thaw(): void {
    const { state: s } = this;
    if (s.suspended && !s.polling) s.aloneSince = this.context.now;
    s.suspended = false;
  }

  /** The page or the network came back: doubt what is open, and do not wait for what is not. */
  private wake(): void {
    const { state: s } = this;
    if (s.mode === "signed_out" && s.hiddenSince === null && !s.suspended) return this.comeBack();
    if (s.mode !== "running" || s.suspended) return;
    if (s.resting && s.hiddenSince === null) {
      s.resting = false;
      s.aloneSince = this.context.now;
      if (!s.mute) {
        s.polling = false;
        this.abortPoll();
      }
    }
    const { stream } = s;
    if (stream?.phase === "live") {
      const overdue = this.context.now - stream.lastByteAt > stream.heartbeatMs * 1.1 + 2000;
      if (!overdue) return;
      this.drop("silent");
    }
    this.skipWait();
  }

  /** Somebody may have signed in meanwhile; until that is known it is shown as it was, and said no second time. */
  private comeBack(): void {
    const { state: s } = this;
    const { now } = this.context;
    if (now < s.skippedAt + SKIP_INTERVAL_MS) return;
    s.skippedAt = now;
    const { unauthorizedAt } = s;
    this.start(s.shared);
    s.unauthorizedAt = unauthorizedAt;
    s.tokenReason = "rejected";
  }

  /** Try now instead of later, at most once per `SKIP_INTERVAL_MS`; the backoff stays as it is. */
  private skipWait(): void {
    const { state: s } = this;
    if (s.mode !== "running" || s.suspended || s.stream !== null) return;
    const at = Math.max(this.context.now, s.skippedAt + SKIP_INTERVAL_MS);
    if (!s.resting && (s.retryAt === null || s.retryAt > at)) {
      s.retryAt = at;
      s.skippedAt = at;
    }
    if (s.pollAt !== null && s.pollAt > at) s.pollAt = at;
  }

  private poll(): void {
    const { state: s } = this;
    s.pollAt = null;
    s.poll = { generation: ++s.generation, token: this.takeTokenReason() };
    this.effects.push({ type: "poll", ...s.poll });
  }

  private beginPolling(): void {
    const { state: s } = this;
    if (s.polling) return;
    s.polling = true;
    s.pollAt = this.context.now;
  }

  /** Give the stream up without counting it as a failure. */
  private drop(reason: string): void {
    this.endStream();
    this.state.reason = reason;
  }

  private endStream(): void {
    const { state: s } = this;
    if (s.stream === null) return;
    if (this.isStable()) s.failures = 0;
    if (s.stream.phase === "live") s.aloneSince = this.context.now;
    this.effects.push({ type: "abort_stream", generation: s.stream.generation });
    s.stream = null;
  }

  private abortPoll(): void {
    const { state: s } = this;
    if (s.poll !== null) {
      this.effects.push({ type: "abort_poll", generation: s.poll.generation });
      s.poll = null;
      s.pollAt = this.context.now;
    }
  }

  private isStable(): boolean {
    const { stream } = this.state;
    return stream?.phase === "live" && stream.heartbeatSeen && this.context.now - stream.since >= STABLE_AFTER_MS;
  }

  private takeTokenReason(): TokenReason {
    const { state: s } = this;
    const reason = s.tokenReason;
    // While rejected every attempt asks anew; otherwise one forced token is enough.
    if (s.unauthorizedAt === null) s.tokenReason = "initial";
    return reason;
  }

  /** Polls of many clients that lost one server must not stay in step. */
  private pollWait(): number {
    const { random, options } = this.context;
    const interval = this.state.hiddenSince === null ? options.pollIntervalMs : HIDDEN_POLL_INTERVAL_MS;
    return interval * (0.9 + 0.2 * random());
  }
}
