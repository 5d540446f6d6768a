/**
 * Who uses this window, and the client that speaks for them. Kept outside of React and per tab: two windows of one
 * browser may be two people.
 *
 * `tidings serve`: the token comes once in the fragment `#token=...`, is taken out of the address bar at once and kept in
 * memory and `sessionStorage`. `tidings demo`: the person is `?as=ada`, and the server gives a short-lived token on demand.
 */
import { forgetPreferences } from "./preference.js";
import { RealtimeService, type Person, type TokenReason } from "tidings";
import type { ControlAddress } from "./drawer/frame.js";

const STORED = "tidings.token";

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
  | { phase: "signed_out"; why: "no_token" | "rejected"; hasProblem: boolean }
  | {
      phase: "signed_in";
      client: RealtimeService;
      userId: string;
      me: Person;
      people: readonly Person[];
      demo: boolean;
      control: ControlAddress | null;
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
let tokenClient: { client: RealtimeService; userId: string } | null = null;

/** Find out how one signs in here, and sign in. */
export async function start(): Promise<void> {
  takeTokenFromAddress();
  window.addEventListener("hashchange", () => {
    // A sign-in link opened in a tab that shows the page already.
    if (takeTokenFromAddress() && token !== null) signIn(token);
  });
  become({ phase: "starting" });
  try {
    const response = await fetch("./page.json", { headers: { Accept: "application/json" } });
    if (!response.ok) return become({ phase: "failed", why: response.status });
    page = (await response.json()) as Page;
  } catch (error) {
    become({ phase: "failed", why: error instanceof Error ? error.message : String(error) });
    return;
  }
  if (page.sign_in === "demo") {
    startDemo();
    return;
  }
  token ??= sessionStorage.getItem(STORED);
  if (token === null) become({ phase: "signed_out", why: "no_token", hasProblem: false });
  else signIn(token);
}

/** Read `#token=...`, once; it must not stay where it can be seen, shared or kept in the history. */
function takeTokenFromAddress(): boolean {
  const found = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (found === undefined) return false;
  token = decoded(found).trim();
  history.replaceState(null, "", `${location.pathname}${location.search}#/`);
  return true;
}

/** What is badly encoded stays as it is: it is no token, and is refused as that. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A claim of a token, unverified: only to greet its owner; the server decides. Null when it is no token, or has none. */
function claimOf(candidate: string, claim: string): string | null {
  const payload = candidate.split(".")[1];
  if (payload === undefined) return null;
  try {
    const binary = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const value = claims[claim];
    return typeof value === "string" && value !== "" ? value : null;
  } catch {
    return null;
  }
}

/** As OpenID Connect names the name of a user. */
function nameOf(candidate: string): string | null {
  return claimOf(candidate, "name");
}

/** Sign in with a pasted or kept token. */
export function signIn(candidate: string): void {
  const userId = claimOf(candidate.trim(), "sub");
  if (userId === null) {
    sessionStorage.removeItem(STORED);
    become({ phase: "signed_out", why: "no_token", hasProblem: true });
    return;
  }
  token = candidate.trim();
  sessionStorage.setItem(STORED, token);
  if (tokenClient?.userId === userId) {
    // The same person again: what was typed and not sent is still in the client.
    tokenClient.client.connect(userId);
    tokenClient.client.reconnect();
  } else {
    // Somebody else: nothing of the former user stays on this device, whichever page it was that they left.
    void tokenClient?.client.signOut();
    tokenClient = { client: newTokenClient(), userId };
    void tokenClient.client.forgetOthers(userId);
    tokenClient.client.connect(userId);
  }
  become({
    phase: "signed_in",
    client: tokenClient.client,
    userId,
    me: { id: userId, name: nameOf(token) ?? userId, avatar_url: null },
    people: [],
    demo: false,
    control: null,
  });
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

/** A kept token cannot be renewed: when it is refused, somebody has to bring another one. */
function keptToken({ reason }: { reason: TokenReason }): string | null {
  if (reason !== "initial" && token === handedOut) {
    token = null;
    sessionStorage.removeItem(STORED);
    // Nothing to try again with: what is unsent waits in the client for the next sign-in.
    queueMicrotask(() => tokenClient?.client.disconnect());
    become({ phase: "signed_out", why: "rejected", hasProblem: false });
  }
  handedOut = token;
  return token;
}

export function signOut(): void {
  forgetPreferences();
  void tokenClient?.client.signOut();
  tokenClient = null;
  token = null;
  sessionStorage.removeItem(STORED);
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
  // Who reaches the demo by another way, such as a tunnel, does not reach what controls it.
  const control = page.control?.origins.includes(location.origin) ? page.control : null;
  become({ phase: "signed_in", client, userId, me, people: page.people, demo: true, control });
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
