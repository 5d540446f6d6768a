/**
 * Whoever is signed in, and the client that speaks for them: one for all that a page has mounted of the same API and person,
 * so that they share one connection, and what one of them knows the others know.
 */
import { completeEnvironment, deadlineSignal } from "../http/environment.js";
import { RealtimeService } from "../service.js";
import { Store } from "../store.js";
import type { Wanted } from "./options.js";

/** Nobody is asked more often than this whether somebody has signed in meanwhile. */
const ASK_INTERVAL_MS = 5000;
const ASK_TIMEOUT_MS = 15_000;

/** "asking": the server has not said yet who it is. */
type SignedIn = "asking" | "yes" | "no";

type Identity = Pick<Wanted, "url" | "user" | "token">;

export class Person {
  readonly client: RealtimeService;
  readonly signedIn = new Store<SignedIn>("asking");
  readonly #end = new AbortController();
  #askedAt = -Infinity;

  constructor(private readonly identity: Identity) {
    const { url, user, token } = identity;
    this.client = new RealtimeService({
      url,
      ...(token !== undefined && { getToken: typeof token === "function" ? token : () => token }),
    });
    // In another tab, or by `signOut` of anything that shares this.
    this.client.on("signed_out", () => this.#leave());
    if (user === null) this.#leave();
    else if (user !== undefined || token !== undefined) this.#enter(user);
    else void this.#ask();
  }

  /** Nothing of it stays in the page: no stream, no listener. What is unsent and what is kept stays on the device. */
  end(): void {
    this.#end.abort();
    this.client.disconnect();
  }

  /** Forget them, here, in the other tabs and on the device. */
  signOut(): Promise<void> {
    this.#leave();
    return this.client.signOut();
  }

  #enter(userId: string | undefined): void {
    this.client.connect(userId);
    this.signedIn.set("yes");
    // By the page's cookie one is signed in at a time: whoever was before them has left, and so does what they had here.
    if (userId !== undefined && this.identity.token === undefined) void this.client.forgetOthers(userId);
  }

  #leave(): void {
    if (this.signedIn.getSnapshot() === "no") return;
    this.signedIn.set("no");
    if (this.identity.user === undefined && this.identity.token === undefined) this.#watch();
  }

  /** One who signs in elsewhere, in another tab say, comes back to this page. */
  #watch(): void {
    const watching = new AbortController();
    const { signal } = watching;
    const look = (): void => {
      if (document.visibilityState === "hidden" || performance.now() - this.#askedAt < ASK_INTERVAL_MS) return;
      void this.#ask().then(() => this.signedIn.getSnapshot() === "no" || watching.abort());
    };
    this.#end.signal.addEventListener("abort", () => watching.abort(), { signal });
    document.addEventListener("visibilitychange", look, { signal });
    window.addEventListener("focus", look, { signal });
  }

  /** To whom the cookie belongs, only the server knows; and only tabs that know it share one stream. */
  async #ask(): Promise<void> {
    this.#askedAt = performance.now();
    const answer = await whoIs(this.identity.url, this.#end.signal);
    if (this.#end.signal.aborted) return;
    if (answer.kind === "user") this.#enter(answer.userId);
    else if (answer.kind === "nobody") this.#leave();
    // The connection goes on asking, and says what is wrong.
    else if (this.signedIn.getSnapshot() === "asking") this.#enter(undefined);
  }
}

type WhoIs = { kind: "user"; userId: string } | { kind: "nobody" } | { kind: "unknown" };

async function whoIs(url: string, end: AbortSignal): Promise<WhoIs> {
  const { signal, done } = deadlineSignal(completeEnvironment(), ASK_TIMEOUT_MS, [end]);
  try {
    const address = `${url.replace(/\/+$/, "")}/events/me?wait=0&limit=1`;
    const response = await fetch(address, { headers: { Accept: "application/json" }, cache: "no-store", signal });
    if (response.status === 401) return { kind: "nobody" };
    if (response.status === 404) console.error(`Tidings: nothing is at ${url}. Is "url" the address of the API?`);
    if (!response.ok) return { kind: "unknown" };
    const { user_id: userId } = (await response.json()) as { user_id?: unknown };
    return typeof userId === "string" && userId !== "" ? { kind: "user", userId } : { kind: "unknown" };
  } catch {
    return { kind: "unknown" }; // no network, no answer, or an answer of somebody else
  } finally {
    done();
  }
}

const here: { identity: Identity; person: Person; mounts: number }[] = [];

/** A named user is the same, whatever gets their tokens; else it is the token, or the function, that says who it is. */
function isSame(one: Identity, other: Identity): boolean {
  return one.url === other.url && one.user === other.user && (one.user !== undefined || one.token === other.token);
}

/** The person of these options, who is there until the last that wanted them has left. */
export function personOf(identity: Identity): { person: Person; leave: () => void } {
  let shared = here.find((each) => isSame(each.identity, identity));
  if (!shared) here.push((shared = { identity, person: new Person(identity), mounts: 0 }));
  const { person } = shared;
  shared.mounts += 1;
  return {
    person,
    leave: () => {
      shared.mounts -= 1;
      if (shared.mounts > 0) return;
      here.splice(here.indexOf(shared), 1);
      person.end();
    },
  };
}
