/**
 * The bearer token, asked for when it is needed and never frozen: a token captured once makes every later attempt a 401.
 *
 * A token is kept until its own `exp` (where it is a JWT that tells one) or until a server rejects it. Calls at the same
 * time share one call of the host's function.
 */
import type { RealtimeOptions, TokenReason } from "../types.js";

/** How long the host's function may take. */
const TOKEN_TIMEOUT_MS = 10_000;
/** A token this close to its end is not used for a new request. */
const EXPIRY_MARGIN_MS = 10_000;
/** A token is used for this long at least: not every request asks the host. */
const ASK_INTERVAL_MS = 2000;

/** The host has no token: nobody is signed in. Nothing is asked for without one. */
export class SignedOut extends Error {
  override readonly name = "SignedOut";

  constructor() {
    super("Nobody is signed in");
  }
}

export interface TokenClock {
  now(): number;
  /** Rejects after `ms`; `clear` gives the timer back. */
  after(ms: number): { expired: Promise<never>; clear: () => void };
}

export class TokenSource {
  #token: string | null = null;
  #expiresAt = Infinity;
  #asking: { promise: Promise<string | null>; reason: TokenReason } | null = null;
  #owner = 0;

  constructor(
    private readonly getToken: RealtimeOptions["getToken"],
    private readonly clock: TokenClock,
  ) {}

  /** Whether a rejected token can be replaced. */
  get canRefresh(): boolean {
    return this.getToken !== undefined;
  }

  /**
   * A token to use now; null without a `getToken`: requests go with the page's cookies. Rejects with `SignedOut` when the host
   * says that nobody is signed in, and otherwise when its function fails or hangs.
   */
  async get(reason: TokenReason): Promise<string | null> {
    if (this.getToken === undefined) return null;
    if (reason === "initial" && this.#asking === null && this.#token !== null) {
      if (this.clock.now() < this.#expiresAt - EXPIRY_MARGIN_MS) return this.#token;
      reason = "expired";
    }
    this.#asking ??= { promise: this.#ask(reason, this.#owner), reason };
    return this.#asking.promise;
  }

  /** A token that differs from `rejected`, which a server did not accept. */
  async replace(rejected: string | null): Promise<string | null> {
    if (this.#token !== null && this.#token !== rejected) return this.get("initial");
    return this.get("rejected");
  }

  /** Forget everything: another user. */
  forget(): void {
    this.#owner += 1;
    this.#token = null;
    this.#asking = null;
  }

  async #ask(reason: TokenReason, owner: number): Promise<string | null> {
    const timer = this.clock.after(TOKEN_TIMEOUT_MS);
    try {
      // Called a turn later, so that one that throws at once finds `#asking` set and leaves it clear.
      const asked = Promise.resolve().then(() => this.getToken?.({ reason }) ?? null);
      const token = await Promise.race([asked, timer.expired]);
      if (owner === this.#owner) {
        this.#token = token || null;
        this.#expiresAt = expiryOf(token);
        // By this clock it was over when it came: then the clock is wrong, and nobody here can tell when it ends.
        const soonest = this.clock.now() + EXPIRY_MARGIN_MS + ASK_INTERVAL_MS;
        this.#expiresAt = Math.max(this.#expiresAt, soonest);
      }
      if (!token) throw new SignedOut();
      return token;
    } finally {
      timer.clear();
      if (owner === this.#owner) this.#asking = null;
    }
  }
}

/** `exp` of a JWT in ms; Infinity for what is none. Read for timing only, nothing is verified. */
function expiryOf(token: string | null): number {
  const payload = token?.split(".")[1];
  if (payload === undefined) return Infinity;
  try {
    const claims = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as { exp?: unknown };
    return typeof claims.exp === "number" ? claims.exp * 1000 : Infinity;
  } catch {
    return Infinity;
  }
}
