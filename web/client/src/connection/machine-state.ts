/**
 * The state of the connection: its values, what happens to it, what it asks for, and what can be read off it.
 *
 * The transitions are in `machine.ts`.
 */
import { RETRY_DEFAULTS, type NOT_YOURS, type Outcome, type RetryOptions, type SIGNED_OUT } from "../wire/retry.js";
import type { ConnectionStatus, TokenReason } from "../types.js";

/** From the request to the `connected` frame; a proxy that buffers the answer shows as an open stream that says nothing. */
export const MUTE_AFTER_MS = 8000;
/** Without a live stream for this long, polling begins. */
export const POLL_AFTER_MS = 10_000;
/** While polling, the stream is tried again every 30 s, give or take a fifth. */
export const PROBE_INTERVAL_MS = 30_000;
/** A hidden page gives its stream back (browsers allow six per host) and looks in at this interval. */
export const HIDDEN_POLL_INTERVAL_MS = 30_000;
export const HIDDEN_DROP_AFTER_MS = 30_000;
/** A stream counts as stable when it has lived this long and has shown a heartbeat. */
export const STABLE_AFTER_MS = 10_000;
/** `online`, a page that becomes visible and the user's button skip a wait at most this often. */
export const SKIP_INTERVAL_MS = 1000;
/**
 * What is refused is tried again for so long: a server that was given a wrong key for a moment heals by itself. After that
 * somebody has to sign in, and comes back to the page to do so.
 */
export const UNAUTHORIZED_FOR_MS = 300_000;
const WATCHDOG_MARGIN_MS = 5000;

export interface MachineOptions {
  retry: RetryOptions;
  maxReconnectAttempts: number;
  pollIntervalMs: number;
  /** Whether there is a `getToken` that a 401 can be answered with. */
  canRefresh: boolean;
}

export const MACHINE_DEFAULTS: MachineOptions = {
  retry: RETRY_DEFAULTS,
  maxReconnectAttempts: 10,
  pollIntervalMs: 5000,
  canRefresh: true,
};

export interface StreamState {
  generation: number;
  token: TokenReason;
  phase: "preparing" | "opening" | "live";
  /** When the request went out, or the stream became live, or was made. */
  since: number;
  lastByteAt: number;
  heartbeatMs: number;
  heartbeatSeen: boolean;
}

export interface MachineState {
  /** `signed_out`: nobody is signed in. Nothing is asked for until the page is told so, or is come back to. */
  mode: "idle" | "running" | "signed_out" | "refused" | "closed";
  generation: number;
  stream: StreamState | null;
  /** The poll in flight. */
  poll: { generation: number; token: TokenReason } | null;
  /** Failed attempts in a row; what the backoff grows with. */
  failures: number;
  pollFailures: number;
  retryAt: number | null;
  /** The server named this wait (goodbye, Retry-After); only the page or its user may cut it short. */
  retryAsked: boolean;
  pollAt: number | null;
  polling: boolean;
  /** Whether the last poll was answered; without that `polling` would claim too much. */
  pollWorks: boolean;
  /** The last stream was open and said nothing, so that an answered poll proves nothing about streams. */
  mute: boolean;
  /** When a stream was last live. */
  aloneSince: number;
  everLive: boolean;
  /** What the next request's token is asked with. */
  tokenReason: TokenReason;
  /** Since when nobody is let in; null: somebody is, or may be. */
  unauthorizedAt: number | null;
  online: boolean;
  hiddenSince: number | null;
  /** Hidden or not, the stream is kept: there is one for all tabs. */
  shared: boolean;
  /** Hidden for so long that the stream was given back. */
  resting: boolean;
  /** The page is frozen or in the back/forward cache. */
  suspended: boolean;
  skippedAt: number;
  reason: string | null;
}

export type MachineEvent =
  /** `shared`: this stream serves several tabs, so that it is kept while the page is hidden. */
  | { type: "connect"; shared?: boolean }
  | { type: "disconnect" | "reconnect" | "tick" }
  /**
   * By a request other than the machine's own: it was answered 401, and there is no token to replace; the host says that nobody is
   * signed in; the server, that somebody else is.
   */
  | { type: "rejected" | typeof SIGNED_OUT | typeof NOT_YOURS }
  | { type: "online" | "offline" | "visible" | "hidden" | "frozen" | "restored" }
  | { type: "stream_requested" | "stream_bytes"; generation: number }
  | { type: "stream_connected"; generation: number; heartbeatMs: number }
  | { type: "stream_heartbeat"; generation: number; inStep: boolean }
  | { type: "stream_goodbye"; generation: number; retryMs: number; reason: string }
  | { type: "stream_ended"; generation: number; outcome: Outcome; reason: string }
  | { type: "poll_done"; generation: number; more: boolean }
  | { type: "poll_failed"; generation: number; outcome: Outcome; reason: string };

export type Effect =
  | { type: "open_stream"; generation: number; token: TokenReason }
  | { type: "abort_stream"; generation: number }
  | { type: "poll"; generation: number; token: TokenReason }
  | { type: "abort_poll"; generation: number }
  | { type: "connected" }
  /** Polls are answered again after trouble. */
  | { type: "reachable" }
  | { type: "reconnecting"; attempt: number; delayMs: number; reason: string }
  | { type: "connection_failed"; message: string; polling: boolean }
  | { type: "unauthorized" };

export interface Context {
  now: number;
  random: () => number;
  options: MachineOptions;
}

export const INITIAL: MachineState = {
  mode: "idle",
  generation: 0,
  stream: null,
  poll: null,
  failures: 0,
  pollFailures: 0,
  retryAt: null,
  retryAsked: false,
  pollAt: null,
  polling: false,
  pollWorks: false,
  mute: false,
  aloneSince: 0,
  everLive: false,
  tokenReason: "initial",
  unauthorizedAt: null,
  online: true,
  hiddenSince: null,
  shared: false,
  resting: false,
  suspended: false,
  skippedAt: -Infinity,
  reason: null,
};

export function statusOf(state: MachineState): ConnectionStatus {
  if (state.mode === "signed_out") return "unauthorized";
  if (state.mode !== "running") return state.mode;
  if (state.stream?.phase === "live") return "connected";
  if (state.unauthorizedAt !== null) return "unauthorized";
  if (!state.online) return "offline";
  if (state.polling && state.pollWorks) return "polling";
  return state.everLive || state.failures > 0 ? "reconnecting" : "connecting";
}

/** When the machine must be woken with a `tick` at the latest; null when only an event can change anything. */
export function deadline(state: MachineState): number | null {
  if (state.mode !== "running" || state.suspended) return null;
  const moments: number[] = [];
  const { stream } = state;
  if (stream !== null) {
    const at = expiry(stream);
    if (at !== null) moments.push(at);
  } else if (state.retryAt !== null && !state.resting) {
    moments.push(state.retryAt);
  }
  const rest = restsAt(state);
  if (rest !== null) moments.push(rest);
  if (mayPoll(state)) {
    if (!state.polling) moments.push(state.aloneSince + POLL_AFTER_MS);
    else if (state.poll === null && state.pollAt !== null) moments.push(state.pollAt);
  }
  return moments.length === 0 ? null : Math.min(...moments);
}

/** When a hidden page gives its stream back; null when it does not. */
export function restsAt(state: MachineState): number | null {
  return state.hiddenSince === null || state.resting || state.shared ? null : state.hiddenSince + HIDDEN_DROP_AFTER_MS;
}

/** When the silence of this stream has lasted too long. */
export function expiry(stream: StreamState): number | null {
  if (stream.phase === "live") return stream.lastByteAt + 2 * stream.heartbeatMs + WATCHDOG_MARGIN_MS;
  return stream.phase === "opening" ? stream.since + MUTE_AFTER_MS : null;
}

/** Polls are for when nothing is live; offline or unauthorized they would only fail. */
export function mayPoll(state: MachineState): boolean {
  return state.stream?.phase !== "live" && state.online && state.unauthorizedAt === null;
}
