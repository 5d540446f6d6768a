/** The waits between the attempts of one request: they grow with each failure in a row, and a success makes them short again. */
import type { Environment } from "../types.js";
import { nextAttempt, NOT_YOURS, type NextAttempt, type RetryOptions } from "../wire/retry.js";
import { outcomeOf, ServerProblem } from "./api.js";

export class Backoff {
  #failures = 0;

  constructor(
    private readonly environment: Pick<Environment, "random">,
    private readonly options: RetryOptions,
  ) {}

  /** When the request that failed with `error` is made again; a fresh token has been tried already. */
  failed(error: unknown): NextAttempt {
    const next = nextAttempt(this.#failures, afterRefresh(error), this.environment.random(), this.options);
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
