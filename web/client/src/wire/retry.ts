/**
 * When to try again: a pure rule, the same in every client of Tidings. Cases: `vectors/retry.json`.
 *
 * Full jitter, so that the clients of a server that restarts come back spread out and not in one second; a floor, so
 * that no draw of luck hammers it; no limit of attempts, because a page that gave up is deaf for good.
 */

/** The code of a refusal: the request names one user, and its token another. */
export const NOT_YOURS = "not_yours";

/** The code of a refusal: this server serves no streams to anybody. */
export const NO_STREAMS = "no_streams";

/** No answer, but the host's: nobody is signed in. */
export const SIGNED_OUT = "signed_out";

/** How an attempt ended. */
export type Outcome =
  | { kind: "network" | "timeout" | "mute" | "violation" }
  | { kind: "status"; status: number; retry_after_s?: number | undefined; refreshed?: boolean | undefined }
  | { kind: "goodbye"; retry_ms: number }
  | { kind: "end" };

export interface RetryOptions {
  base_ms: number;
  cap_ms: number;
  floor_ms: number;
}

export interface NextAttempt {
  /** `refresh`: ask for a new token and try at once; `stop`: trying again will not help. */
  action: "retry" | "refresh" | "stop";
  wait_ms: number;
  /** Failures in a row, this outcome included. */
  failures: number;
}

export const RETRY_DEFAULTS: RetryOptions = { base_ms: 1000, cap_ms: 30_000, floor_ms: 250 };

/** After a clean end without goodbye (a server that was not ours to drain) everybody returns within this time. */
const CLEAN_END_SPREAD_MS = 5000;

/** A day: the longest that anybody is told to wait. A browser's timer fires at once beyond 24 days. */
const WAIT_MAX_MS = 86_400_000;

const TEMPORARY = new Set([408, 425, 429]);

/** Whether a later attempt may get another answer than this status. */
export function isTemporary(status: number): boolean {
  return TEMPORARY.has(status) || (status >= 500 && status <= 599);
}

/**
 * What follows an attempt that ended.
 *
 * `failures` counts those in a row before it. `stable` says that the stream had lived for 10 s and had shown a heartbeat,
 * which forgets earlier failures: resetting on mere success would let a server that accepts and closes be hammered.
 * `random` is one draw from [0, 1).
 */
export function nextAttempt(
  failures: number,
  outcome: Outcome & { stable?: boolean | undefined },
  random: number,
  options: RetryOptions = RETRY_DEFAULTS,
): NextAttempt {
  const before = outcome.stable ? 0 : failures;
  if (outcome.kind === "goodbye") {
    return { action: "retry", wait_ms: Math.min(outcome.retry_ms, WAIT_MAX_MS), failures: before };
  }
  if (outcome.kind === "end") {
    return { action: "retry", wait_ms: random * CLEAN_END_SPREAD_MS, failures: outcome.stable ? 0 : before + 1 };
  }
  let wait_ms = Math.max(options.floor_ms, random * Math.min(options.cap_ms, options.base_ms * 2 ** before));
  if (outcome.kind === "status") {
    if (outcome.status === 401) {
      if (!outcome.refreshed) return { action: "refresh", wait_ms: 0, failures: before };
    } else if (!isTemporary(outcome.status)) {
      return { action: "stop", wait_ms: 0, failures: before };
    }
    if (outcome.retry_after_s !== undefined) {
      wait_ms = Math.max(wait_ms, Math.min(outcome.retry_after_s * 1000 * (1 + 0.2 * random), WAIT_MAX_MS));
    }
  }
  return { action: "retry", wait_ms, failures: before + 1 };
}
