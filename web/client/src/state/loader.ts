import { codeOf, mayRetry, type Api } from "../http/api.js";
import { Backoff } from "../http/backoff.js";
import type { Listeners } from "../listeners.js";
import { Alarm } from "../http/alarm.js";

/** Loads one piece of state: once at a time, again when asked to, and again by itself after temporary failures. */
export class Loader {
  loading = false;
  loaded = false;
  error: string | null = null;
  errorCode: string | null = null;

  #running: Promise<void> | null = null;
  #again = false;
  #controller = new AbortController();
  /** It failed, and is loaded when the connection gets through. */
  #waits = false;
  readonly #alarm: Alarm;
  readonly #backoff: Backoff;

  /** `run` loads and applies; `changed` is called whenever a field of this object changed. */
  constructor(
    private readonly parts: { api: Api; listeners: Listeners },
    private readonly run: (signal: AbortSignal) => Promise<void>,
    private readonly changed: () => void,
  ) {
    this.#alarm = new Alarm(parts.api.environment);
    this.#backoff = new Backoff(parts.api);
  }

  /** Load if that has not been done; resolves after the first attempt, well or not. */
  load(): Promise<void> {
    return this.loaded && this.error === null ? Promise.resolve() : this.reload();
  }

  /** Load, even if it was loaded before; if it is loading now, once more afterwards unless that has just begun. */
  reload({ after = false }: { after?: boolean } = {}): Promise<void> {
    if (this.#running) {
      this.#again ||= after;
      return this.#running;
    }
    this.#alarm.clear();
    this.#waits = false;
    this.#running = this.#attempt(this.#controller.signal);
    return this.#running;
  }

  /** Do not wait for the next attempt. */
  hurry(): void {
    if (this.#alarm.isSet || this.#waits) void this.reload();
  }

  /** Back to nothing loaded; what is in flight is given up. `isWatched`: it is loaded anew when the connection gets through. */
  reset(isWatched: boolean): void {
    const isWanted = this.loaded || this.#running !== null || this.#waits || this.#alarm.isSet;
    this.#controller.abort();
    this.#controller = new AbortController();
    this.#alarm.clear();
    this.#running = null;
    this.#again = false;
    this.#waits = isWanted && isWatched;
    this.#backoff.reset();
    this.loading = this.loaded = false;
    this.error = this.errorCode = null;
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    this.loading = true;
    this.changed();
    let failure: unknown = null;
    try {
      await this.run(signal);
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return;
    this.#running = null;
    this.loading = false;
    if (failure === null) {
      this.loaded = true;
      this.error = this.errorCode = null;
      this.#backoff.reset();
    } else {
      this.#fail(failure);
    }
    this.changed();
    if (this.#again) {
      this.#again = false;
      void this.reload();
    }
  }

  #fail(failure: unknown): void {
    const first = this.error === null;
    this.error = failure instanceof Error ? failure.message : String(failure);
    this.errorCode = codeOf(failure);
    if (first) this.parts.listeners.notify("load_failed", this.error);
    if (!mayRetry(failure)) return;
    this.#waits = !this.parts.api.waits(failure);
    if (!this.#waits) this.#alarm.set(this.#backoff.failed(failure).wait_ms, () => void this.reload());
  }
}
