/**
 * The waits between the attempts of one request: they grow with each failure in a row, and a success makes them short again.
 *
 * For requests alone: sends, receipts, loads, a following tab. When a stream is tried again, `lose` in `connection/machine.ts` decides;
 * both ask the rule in `wire/retry.ts`.
 */
import { nextAttempt, NOT_YOURS, type NextAttempt } from "../wire/retry.js";
import { outcomeOf, ServerProblem, type Api } from "./api.js";

export class Backoff {
  #failures = 0;

  constructor(private readonly api: Pick<Api, "environment" | "retry">) {}

  /** When the request that failed with `error` is made again; a fresh token has been tried already. */
  failed(error: unknown): NextAttempt {
    const { environment, retry } = this.api;
    const next = nextAttempt(this.#failures, afterRefresh(error), environment.random(), retry);
    this.#failures = next.failures;
    return next;
  }

  reset(): void {
    this.#failures = 0;
  }
}

function afterRefresh(error: unknown): ReturnType<typeof outcomeOf>["outcome"] {
  const { outcome } = outcomeOf(error);
  if (outcome.kind !== "status") return outcome;
  const status = error instanceof ServerProblem && error.code === NOT_YOURS ? 401 : outcome.status;
  return { ...outcome, status, refreshed: true };
}
