/**
 * Requests to the API: address, token, time limit, and errors told apart.
 *
 * A request fails with `ServerProblem` (the server answered and refused), `RequestLost` (no answer, or not known to be
 * one) or `ProtocolViolation`. An aborted request fails with `RequestLost`, reason `aborted`.
 */
import { deadlineSignal } from "./environment.js";
import { isTemporary, NO_STREAMS, NOT_YOURS, SIGNED_OUT, type Outcome, type RetryOptions } from "../wire/retry.js";
import { SignedOut, TokenSource } from "./token.js";
import type { Environment, TokenReason } from "../types.js";
import { parseJson, ProtocolViolation } from "../wire/shapes.js";

/** An answer that takes longer is taken for lost. */
const REQUEST_TIMEOUT_MS = 15_000;

/** The server answered with an error: RFC 9457 problem details. */
export class ServerProblem extends Error {
  override readonly name = "ServerProblem";

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfterS: number | undefined,
  ) {
    super(message);
  }
}

/** There was no answer; the request may or may not have been carried out. `signed_out`: nobody is, and it did not go out. */
class RequestLost extends Error {
  override readonly name = "RequestLost";

  constructor(
    readonly reason: "network" | "timeout" | "aborted" | "token" | typeof SIGNED_OUT,
    options?: ErrorOptions,
  ) {
    super(`No answer from the server (${reason})`, options);
  }
}

/** The answer is one to another user, by whose cookie or token the request went out. */
class OthersAnswer extends ProtocolViolation {
  constructor() {
    super("Somebody else is signed in now. Reload the page.");
  }
}

/** How the policy of `retry.ts` sees this error, and its short code. */
export function outcomeOf(error: unknown): { outcome: Outcome; reason: string } {
  if (error instanceof ServerProblem) {
    const { status, retryAfterS, code } = error;
    const reason = code === NOT_YOURS || code === NO_STREAMS ? code : `status_${status}`;
    return { outcome: { kind: "status", status, retry_after_s: retryAfterS }, reason };
  }
  if (error instanceof ProtocolViolation) return { outcome: { kind: "violation" }, reason: "violation" };
  const reason = error instanceof RequestLost ? error.reason : "network";
  return { outcome: { kind: reason === "timeout" ? "timeout" : "network" }, reason };
}

/** The problem's code, or the short code of what happened instead of an answer. */
export function codeOf(error: unknown): string {
  if (error instanceof ServerProblem) return error.code;
  return error instanceof OthersAnswer ? NOT_YOURS : outcomeOf(error).reason;
}

/** Whether the same request may succeed later. One that nobody, or somebody else, made may: the user signs in again. */
export function mayRetry(error: unknown): boolean {
  if (!(error instanceof ServerProblem)) return true;
  return isTemporary(error.status) || error.status === 401 || error.code === NOT_YOURS;
}

/** Seconds of a `Retry-After`, which may be a date (RFC 9110 10.2.3): by the clock of who wrote it, where that is told. */
function retryAfter(headers: Headers, now: number): number | undefined {
  const value = headers.get("retry-after");
  if (value === null) return undefined;
  const from = Date.parse(headers.get("date") ?? "") || now;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - from) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

interface Call {
  method: string;
  address: string;
  body: string | null;
  signal: AbortSignal;
  keepalive: boolean;
}

export class Api {
  readonly tokens: TokenSource;
  /**
   * Whom this client speaks for; null until it is known. The host's token, or a cookie, may become another user's at any time:
   * what is posted names this one, and an answer that names another is none.
   */
  userId: string | null = null;
  /** Called when a request that the caller does not answer itself tells that nobody, or somebody else, is signed in now. */
  refused: (why: "rejected" | typeof SIGNED_OUT | typeof NOT_YOURS) => void = () => undefined;
  /** Whether anybody may be signed in; while not, the connection alone finds out when somebody is again. */
  admits: () => boolean = () => true;
  /** Whether requests are answered now. */
  reaches: () => boolean = () => false;
  readonly #base: string;

  constructor(
    url: string,
    readonly environment: Environment,
    getToken: ConstructorParameters<typeof TokenSource>[0],
    /** The waits of those that ask again. */
    readonly retry: RetryOptions,
  ) {
    this.#base = url.replace(/\/+$/, "");
    this.tokens = new TokenSource(getToken, {
      now: () => environment.now(),
      after: (ms) => {
        let handle: unknown;
        const expired = new Promise<never>((_, reject) => {
          handle = environment.setTimer(() => reject(new RequestLost("timeout")), ms);
        });
        return { expired, clear: () => environment.clearTimer(handle) };
      },
    });
  }

  /**
   * Whether what failed with `error`, and is to be asked again, is asked again after a wait. Otherwise it is when the connection
   * gets through: for that somebody has to sign in.
   */
  waits(error: unknown): boolean {
    if (error instanceof ServerProblem) return error.code !== NOT_YOURS && (error.status !== 401 || this.reaches());
    return !(error instanceof OthersAnswer) && !(error instanceof RequestLost && error.reason === SIGNED_OUT);
  }

  /** The name under which this browser keeps and shares what belongs to this user of this API. */
  owner(userId: string): string {
    const base = typeof location === "undefined" ? this.#base : new URL(this.#base, location.href).href;
    return `tidings ${base} ${userId}`;
  }

  /** `path` segments are escaped here: user ids may contain almost anything. */
  address(path: readonly string[], query: Record<string, string | number | null | undefined> = {}): string {
    const search = Object.entries(query)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`);
    return (
      this.#base +
      path.map((segment) => "/" + encodeURIComponent(segment)).join("") +
      (search.length > 0 ? "?" + search.join("&") : "")
    );
  }

  /** GET as JSON. With `token` the caller answers a 401 itself; without, one fresh token is tried. */
  get(address: string, signal: AbortSignal, token?: TokenReason): Promise<unknown> {
    return this.#request({ method: "GET", address, body: null, signal, keepalive: false }, token);
  }

  /** POST JSON; a 401 is answered once with a fresh token. `outlives`: the browser carries it out though the page is gone. */
  post(address: string, body: Record<string, unknown>, signal: AbortSignal, outlives = false): Promise<unknown> {
    const named = this.userId === null ? body : { ...body, caller: this.userId };
    return this.#request({ method: "POST", address, body: JSON.stringify(named), signal, keepalive: outlives });
  }

  /** The headers that show who asks. Rejects with `RequestLost` when no token can be had. */
  async authorization(reason: TokenReason): Promise<Record<string, string>> {
    return bearer(await this.#token(() => this.tokens.get(reason)));
  }

  /** The problem that an answer other than success tells of. */
  async problem(response: Response): Promise<ServerProblem> {
    let code = `status_${response.status}`;
    let message = response.statusText || `The server answered ${response.status}`;
    try {
      const body = (await response.json()) as { code?: unknown; detail?: unknown; message?: unknown };
      if (typeof body.code === "string") code = body.code;
      if (typeof body.detail === "string") message = body.detail;
      else if (typeof body.message === "string") message = body.message;
    } catch {
      // A proxy's page, or cut off: the status says enough.
    }
    return new ServerProblem(response.status, code, message, retryAfter(response.headers, this.environment.now()));
  }

  async #token(ask: () => Promise<string | null>): Promise<string | null> {
    try {
      return await ask();
    } catch (cause) {
      throw new RequestLost(cause instanceof SignedOut ? SIGNED_OUT : "token", { cause });
    }
  }

  async #request(call: Call, reason?: TokenReason): Promise<unknown> {
    if (reason !== undefined) return this.#once(call, await this.#token(() => this.tokens.get(reason)));
    if (!this.admits()) throw new RequestLost(SIGNED_OUT);
    const user = this.userId;
    try {
      return await this.#renewing(call);
    } catch (error) {
      const why = whyRefused(error, this.tokens.canRefresh);
      // An answer to a user who has left says nothing about the present one.
      if (why !== null && user === this.userId) this.refused(why);
      throw error;
    }
  }

  /** A token that is refused is replaced once. */
  async #renewing(call: Call): Promise<unknown> {
    const token = await this.#token(() => this.tokens.get("initial"));
    try {
      return await this.#once(call, token);
    } catch (error) {
      if (!this.tokens.canRefresh || !(error instanceof ServerProblem && error.status === 401)) throw error;
    }
    return this.#once(call, await this.#token(() => this.tokens.replace(token)));
  }

  async #once({ address, signal, ...init }: Call, token: string | null): Promise<unknown> {
    if (signal.aborted) throw new RequestLost("aborted");
    const limit = deadlineSignal(this.environment, REQUEST_TIMEOUT_MS, [signal]);
    const headers: Record<string, string> = { Accept: "application/json", ...bearer(token) };
    const user = this.userId;
    if (init.body !== null) headers["Content-Type"] = "application/json";
    try {
      const response = await this.environment.fetch(address, {
        ...init,
        headers,
        signal: limit.signal,
        credentials: "same-origin",
        cache: "no-store",
      });
      if (!response.ok) throw await this.problem(response);
      return response.status === 202 || response.status === 204 ? null : answerFor(user, await response.text());
    } catch (error) {
      if (error instanceof ServerProblem || error instanceof ProtocolViolation) throw error;
      const why = limit.timedOut() ? "timeout" : signal.aborted ? "aborted" : "network";
      throw new RequestLost(why, { cause: error });
    } finally {
      limit.done();
    }
  }
}

/** An answer as JSON; one that says whose it is is that user's. */
function answerFor(user: string | null, json: string): unknown {
  const answer = parseJson(json);
  const named = (answer as { user_id?: unknown } | null)?.user_id ?? user;
  if (user !== null && named !== user) throw new OthersAnswer();
  return answer;
}

/** What the failure of a request says about who is signed in, if anything; that of a token that can be renewed, the connection finds. */
function whyRefused(error: unknown, canRefresh: boolean): Parameters<Api["refused"]>[0] | null {
  if (error instanceof RequestLost) return error.reason === SIGNED_OUT ? SIGNED_OUT : null;
  if (error instanceof OthersAnswer) return NOT_YOURS;
  if (!(error instanceof ServerProblem)) return null;
  if (error.code === NOT_YOURS) return NOT_YOURS;
  return error.status === 401 && !canRefresh ? "rejected" : null;
}

function bearer(token: string | null): Record<string, string> {
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}
