/**
 * The platform's own clock, random, fetch and page events.
 *
 * Nothing is looked up when this module is imported, so that it can be imported where there is no page.
 */
import type { Channel, Environment, Locks, PageEvent } from "../types.js";

/** `navigator.locks`: in secure contexts only, and not in every browser. */
function platformLocks(): Locks | null {
  return typeof window === "undefined" ? null : ((navigator as { locks?: Locks }).locks ?? null);
}

function platformChannel(): Environment["channel"] {
  // Node has the class too, and would be kept alive by it.
  if (typeof window === "undefined" || typeof BroadcastChannel === "undefined") return null;
  return (name) => new BroadcastChannel(name) as Channel;
}

function watchPage(fn: (event: PageEvent) => void): () => void {
  if (typeof window === "undefined" || typeof document === "undefined") return () => undefined;
  const undo: (() => void)[] = [];
  const watch = (target: EventTarget, name: string, react: (event: Event) => void) => {
    target.addEventListener(name, react);
    undo.push(() => target.removeEventListener(name, react));
  };
  watch(window, "online", () => fn("online"));
  watch(window, "offline", () => fn("offline"));
  watch(document, "visibilitychange", () => fn(document.visibilityState === "hidden" ? "hidden" : "visible"));
  // An open stream keeps a page out of the back/forward cache; it is given up and taken up again with the page.
  watch(window, "pagehide", () => fn("frozen"));
  watch(window, "pageshow", (event) => {
    if ((event as PageTransitionEvent).persisted) fn("restored");
  });
  watch(document, "freeze", () => fn("frozen"));
  watch(document, "resume", () => fn("restored"));
  return () => undo.forEach((remove) => remove());
}

/** The environment of this platform, with `given` in place of its parts. */
export function completeEnvironment(given: Partial<Environment> = {}): Environment {
  return {
    now: () => Date.now(),
    // Whoever brings a clock of their own brings all the time there is.
    monotonic: given.now ?? (() => performance.now()),
    random: () => Math.random(),
    // Not `randomUUID`: that exists in secure contexts only, and a chat in a local network may have no TLS.
    randomBytes: (count) => globalThis.crypto.getRandomValues(new Uint8Array(count)),
    setTimer: (fn, ms) => setTimeout(fn, Math.ceil(ms)), // a browser cuts fractions off, and would fire before the moment
    clearTimer: (handle) => clearTimeout(handle as ReturnType<typeof setTimeout>),
    fetch: (input, init) => globalThis.fetch(input, init),
    onLine: () => typeof navigator === "undefined" || navigator.onLine !== false,
    hidden: () => typeof document !== "undefined" && document.visibilityState === "hidden",
    watchPage,
    locks: platformLocks(),
    channel: platformChannel(),
    ...given,
  };
}

/** A random id of 32 hexadecimal digits. */
export function randomId(environment: Pick<Environment, "randomBytes">): string {
  return Array.from(environment.randomBytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A signal that aborts with any of `signals` or after `ms`; `done` gives the timer back. */
export function deadlineSignal(
  environment: Pick<Environment, "setTimer" | "clearTimer">,
  ms: number,
  signals: readonly AbortSignal[],
): { signal: AbortSignal; timedOut: () => boolean; done: () => void } {
  const controller = new AbortController();
  let timedOut = false;
  const timer = environment.setTimer(() => {
    timedOut = true;
    controller.abort();
  }, ms);
  const abort = () => controller.abort();
  for (const signal of signals) {
    if (signal.aborted) controller.abort();
    else signal.addEventListener("abort", abort);
  }
  return {
    signal: controller.signal,
    timedOut: () => timedOut,
    done: () => {
      environment.clearTimer(timer);
      for (const signal of signals) signal.removeEventListener("abort", abort);
    },
  };
}

/** Whether something was given up, in contrast to refused. */
export function isAbort(error: unknown): boolean {
  return (error as { name?: unknown } | null)?.name === "AbortError";
}
