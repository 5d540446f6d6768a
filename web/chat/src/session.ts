/**
 * Who uses this window, and the client that speaks for them. Kept outside of React and per tab: two windows of one
 * browser may be two people.
 *
 * `tidings serve`: the token comes once in the fragment `#token=...`, is taken out of the address bar at once and, when the
 * server has said whose it is, kept in memory and `sessionStorage`. `tidings demo`: the person is `?as=ada`, and the server gives a short-lived token on demand.
 */
import { keep, readKept } from "./kept.js";
import { forgetPreferences, preferAs } from "./preference.js";
import { RealtimeService, type Person, type TokenReason } from "tidings";
import type { ControlAddress } from "./drawer/frame.js";
import { BRINGS_TOKEN, hrefOf, route } from "./route.js";

const STORED = "tidings.session";
/** Without an answer, the server is asked again after this. */
const ASK_AGAIN_MS = 3000;

interface Page {
  api: string;
  sign_in: "token" | "demo";
  /** Of a demo only. */
  control?: ControlAddress;
  people: readonly Person[];
}

export type Session =
  | { phase: "starting" }
  /** `why`: a status of HTTP, or what the browser says. */
  | { phase: "failed"; why: number | string }
  | { phase: "people"; people: readonly Person[] }
  /** `rejected`: somebody was signed in. `refused`: nobody was, and a token was brought that is not good. */
  | { phase: "signed_out"; why: "no_token" | "rejected" | "refused"; hasProblem: boolean }
  /** A token that was brought is somebody else's than of those who use this browser. */
  | {
      phase: "question";
      others: readonly Person[];
      me: Person;
      accept: () => void;
      decline: () => void;
      before: Session;
    }
  | {
      phase: "signed_in";
      client: RealtimeService;
      userId: string;
      me: Person;
      people: readonly Person[];
      demo: boolean;
      control: ControlAddress | null;
      /** A link was followed meanwhile that is not good. */
      linkRefused: boolean;
    };

let current: Session = { phase: "starting" };
const listeners = new Set<() => void>();

function become(next: Session): void {
  current = next;
  for (const listener of listeners) listener();
}

export const session = {
  subscribe(fn: () => void): () => void {
    listeners.add(fn);
    return () => listeners.delete(fn);
  },
  getSnapshot(): Session {
    return current;
  },
};

let page: Page = { api: "/api/message", sign_in: "token", people: [] };
let token: string | null = null;
let tokenClient: { client: RealtimeService; me: Person } | null = null;

/** Find out how one signs in here, and sign in. */
export async function start(): Promise<void> {
  pending = takeTokenFromAddress() ?? pending;
  become({ phase: "starting" });
  try {
    const response = await fetch("./page.json", { headers: { Accept: "application/json" } });
    if (!response.ok) return become({ phase: "failed", why: response.status });
    page = (await response.json()) as Page;
  } catch (error) {
    become({ phase: "failed", why: error instanceof Error ? error.message : String(error) });
    return;
  }
  if (page.sign_in === "demo") return startDemo();
  const kept = keptSession();
  if (kept !== null) enter(kept);
  if (pending !== null) await signIn(pending);
  else if (kept === null) become({ phase: "signed_out", why: "no_token", hasProblem: false });
}

window.addEventListener("popstate", () => {
  // A sign-in link opened in a tab that shows the page already.
  const token = takeTokenFromAddress();
  if (token !== null) void signIn(token);
  // Who goes elsewhere, as by Back, answers no.
  else if (current.phase === "question") current.decline();
});

/** A token that was brought, and of which the server has not said whose it is. */
let pending: string | null = null;

/** Read `#token=...`, once; it must not stay where it can be seen, shared or kept in the history. */
function takeTokenFromAddress(): string | null {
  const found = BRINGS_TOKEN.exec(location.hash)?.[1];
  if (found === undefined) return null;
  const peerId = route.getSnapshot();
  goTo(peerId === null ? "#/" : hrefOf(peerId));
  return decoded(found).trim();
}

/** In place of the present address. */
function goTo(hash: string): void {
  try {
    history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
  } catch {
    location.hash = hash; // a browser that counts calls
  }
}

/** What is badly encoded stays as it is: it is no token, and is refused as that. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What a token says, unverified: never who somebody is. Null when it is no token. */
function claimsOf(candidate: string): Record<string, unknown> | null {
  const payload = candidate.split(".")[1];
  if (payload === undefined) return null;
  try {
    const binary = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  } catch {
    return null;
  }
}

/** As OpenID Connect names the name of a user: only to greet its owner. */
function personOf(userId: string, candidate: string): Person {
  const name = claimsOf(candidate)?.["name"];
  return { id: userId, name: typeof name === "string" && name !== "" ? name : userId, avatar_url: null };
}

type Whose = { kind: "user"; userId: string } | { kind: "refused" } | { kind: "unknown"; why: number | string };

/** The server's word for whose token this is. */
async function whoseIs(candidate: string): Promise<Whose> {
  try {
    const headers = { Accept: "application/json", Authorization: `Bearer ${candidate}` };
    const response = await fetch(`${page.api}/events/me`, { headers, cache: "no-store", credentials: "omit" });
    if (response.status === 401 || response.status === 403) return { kind: "refused" };
    if (!response.ok) return { kind: "unknown", why: response.status };
    const { user_id: userId } = (await response.json()) as { user_id?: unknown };
    return typeof userId === "string" ? { kind: "user", userId } : { kind: "unknown", why: response.status };
  } catch (error) {
    return { kind: "unknown", why: error instanceof Error ? error.message : String(error) };
  }
}

/** What is there without the question. */
function beneath(): Session {
  return current.phase === "question" ? current.before : current;
}

/** The token that was brought is not good: whoever is signed in stays, where they are, and is told. */
function refuse(otherwise: Extract<Session, { phase: "signed_out" }>): void {
  pending = null;
  const now = beneath();
  become(now.phase === "signed_in" ? { ...now, linkRefused: true } : otherwise);
}

/** Whoever is signed in has read it. */
export function readRefusal(): void {
  if (current.phase === "signed_in") become({ ...current, linkRefused: false });
}

/**
 * Sign in with a token that somebody pasted, or that a link brought: perhaps one that the user never asked for. Nothing of
 * anybody changes before the server has said whose it is, and the user, where it is somebody else's, that they want it.
 */
export async function signIn(candidate: string): Promise<void> {
  const token = candidate.trim();
  // The last one that was brought counts.
  const isPending = (): boolean => pending === token;
  pending = token;
  if (claimsOf(token) === null) return refuse({ phase: "signed_out", why: "no_token", hasProblem: true });
  const whose = await whoseIs(token);
  if (!isPending()) return;
  if (whose.kind === "refused") return refuse({ phase: "signed_out", why: "refused", hasProblem: false });
  if (whose.kind === "unknown") {
    if (beneath().phase !== "signed_in" && !(await showKept(token))) become({ phase: "failed", why: whose.why });
    setTimeout(() => isPending() && void signIn(token), ASK_AGAIN_MS);
    return;
  }
  const { userId } = whose;
  const others = await othersThan(userId);
  if (!isPending()) return;
  pending = null;
  if (others.length === 0) return enter({ token, userId });
  const before = beneath();
  become({
    phase: "question",
    before,
    others,
    me: personOf(userId, token),
    accept: () => {
      // The conversation that is open is one of the other.
      goTo("#/");
      enter({ token, userId });
    },
    decline: () =>
      become(before.phase === "signed_in" ? before : { phase: "signed_out", why: "no_token", hasProblem: false }),
  });
}

/**
 * Without an answer: whether this browser has something of whom the token names, and of nobody else. They see then what they have;
 * nothing is deleted, and nothing leaves the browser before the server has answered.
 */
async function showKept(token: string): Promise<boolean> {
  const { sub } = claimsOf(token) ?? {};
  const kept = await new RealtimeService({ url: page.api }).keptUsers();
  const [only, ...others] = kept ?? [];
  if (only === undefined || only !== sub || others.length > 0 || pending !== token || tokenClient !== null)
    return false;
  become(connected(token, only));
  return true;
}

/** Who else uses this tab, or else this browser: has left something in it, or is there in another tab. */
async function othersThan(userId: string): Promise<readonly Person[]> {
  if (tokenClient !== null) return tokenClient.me.id === userId ? [] : [tokenClient.me];
  const kept = (await new RealtimeService({ url: page.api }).keptUsers()) ?? [];
  return kept.filter((id) => id !== userId).map((id) => ({ id, name: id, avatar_url: null }));
}

interface Kept {
  token: string;
  /** Whose it is, by the server's word. */
  userId: string;
}

function keptSession(): Kept | null {
  try {
    const { token, userId } = JSON.parse(readKept("sessionStorage", STORED) ?? "null") as Kept;
    return { token: String(token), userId: String(userId) };
  } catch {
    return null;
  }
}

/** Be this user from now on. */
function enter(kept: Kept): void {
  keep("sessionStorage", STORED, JSON.stringify(kept));
  // Somebody else: nothing of the former user stays on this device, whichever page it was that they left.
  if (tokenClient !== null && tokenClient.me.id !== kept.userId) {
    void tokenClient.client.signOut();
    tokenClient = null;
  }
  const now = connected(kept.token, kept.userId);
  void forgetOthers(now.client, kept.userId);
  become(now);
}

/** The client of this user with this token; for the same person again the same client, with what was typed and not sent. */
function connected(given: string, userId: string): Extract<Session, { phase: "signed_in" }> {
  token = given;
  preferAs(userId);
  const me = personOf(userId, given);
  const client = tokenClient?.client ?? newTokenClient();
  const isAgain = tokenClient !== null;
  tokenClient = { client, me };
  client.connect(userId);
  if (isAgain) client.reconnect();
  return { phase: "signed_in", client, userId, me, people: [], demo: false, control: null, linkRefused: false };
}

async function forgetOthers(client: RealtimeService, userId: string): Promise<void> {
  await client.forgetOthers(userId);
  const kept = await client.keptUsers();
  if (kept !== null) forgetPreferences((id) => id !== userId && !kept.includes(id));
}

function newTokenClient(): RealtimeService {
  const client = new RealtimeService({ url: page.api, getToken: keptToken });
  // In another tab of this browser.
  client.on("signed_out", () => {
    if (tokenClient?.client === client) signOut();
  });
  return client;
}

let handedOut: string | null = null;

/**
 * A kept token cannot be renewed: when the server refuses it, somebody has to bring another one. That this device's clock says
 * it is over says nothing.
 */
function keptToken({ reason }: { reason: TokenReason }): string | null {
  if (reason === "rejected" && token === handedOut) {
    token = null;
    keep("sessionStorage", STORED, null);
    // Nothing to try again with: what is unsent waits in the client for the next sign-in.
    queueMicrotask(() => tokenClient?.client.disconnect());
    become({ phase: "signed_out", why: "rejected", hasProblem: false });
  }
  handedOut = token;
  return token;
}

export function signOut(): void {
  const me = tokenClient?.me;
  forgetPreferences((id) => id === me?.id);
  preferAs("");
  void tokenClient?.client.signOut();
  tokenClient = null;
  token = null;
  keep("sessionStorage", STORED, null);
  become({ phase: "signed_out", why: "no_token", hasProblem: false });
}

function startDemo(): void {
  const userId = new URLSearchParams(location.search).get("as");
  if (userId === null || userId === "") {
    become({ phase: "people", people: page.people });
    return;
  }
  // Anybody may come, so that somebody whom a person of the demo wrote to can answer.
  const me = page.people.find((person) => person.id === userId) ?? { id: userId, name: userId, avatar_url: null };
  const client: RealtimeService = new RealtimeService({
    url: page.api,
    getToken: async () => {
      const given = await demoToken(userId);
      if (given === null) {
        // Nobody can be that; the client must not go on trying.
        queueMicrotask(() => client.disconnect());
        become({ phase: "people", people: page.people });
      }
      return given;
    },
  });
  client.connect(userId);
  preferAs(userId);
  // Who reaches the demo by another way, such as a tunnel, does not reach what controls it.
  const control = page.control?.origins.includes(location.origin) ? page.control : null;
  become({ phase: "signed_in", client, userId, me, people: page.people, demo: true, control, linkRefused: false });
}

/** Null when this cannot be anybody's user id; rejects when trying again may help. */
async function demoToken(userId: string): Promise<string | null> {
  // The address says whose request it is, too: what the demo breaks for one person breaks this, and nobody else's.
  const response = await fetch(`./demo/token?as=${encodeURIComponent(userId)}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ as: userId }),
  });
  if (response.status === 422) return null;
  if (!response.ok) throw new Error(`no token: the server answered ${response.status}`);
  return ((await response.json()) as { token: string }).token;
}
