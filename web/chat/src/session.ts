/**
 * Who uses this window, and the client that speaks for them. Kept outside of React and per tab: two windows of one
 * browser may be two people.
 *
 * `tidings serve`: the token comes once in the fragment `#token=...`, is taken out of the address bar at once and, when the
 * server has said whose it is, kept in memory and `sessionStorage`.
 * An application that serves the page has signed its user in already: the page asks with the cookie, and keeps nothing.
 */
import { RealtimeService, type Person, type TokenReason } from "tidings";
import { claimsOf, decoded, personOf } from "./claims.js";
import { startDemo } from "./demo.js";
import { keep, readKept } from "./kept.js";
import { forgetPreferences, preferAs } from "./preference.js";
import { BRINGS_TOKEN, hrefOf, route } from "./route.js";
import { become, findingIn, session, type Page, type Session, type SignedOut } from "./session-state.js";
import { describe, whoseIs } from "./who.js";

const STORED = "tidings.session";
/** Without an answer, the server is asked again after this. */
const ASK_AGAIN_MS = 3000;

let page: Page = { api: "/api/message", sign_in: "token", people: [] };
let token: string | null = null;
let active: { client: RealtimeService; me: Person; byToken: boolean } | null = null;

function signedOut(why: SignedOut["why"], hasProblem = false): SignedOut {
  const here = encodeURIComponent(`${location.pathname}${location.search}${location.hash}`);
  const signInUrl = page.sign_in_url?.replace("{here}", here) || null;
  const host = page.sign_in === "session" || signInUrl !== null ? { signInUrl } : null;
  return { phase: "signed_out", why, hasProblem, host };
}

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
  if (page.sign_in === "demo") return startDemo(page);
  const kept = keptSession();
  if (kept !== null) enter(kept);
  else if (page.sign_in === "session") await askSession();
  else if (pending === null) become(signedOut("no_token"));
  if (pending !== null) await signIn(pending);
}

let isAsking = false;

/** Be whoever the application has signed in; asked again where nobody was, or nobody could say. */
async function askSession(): Promise<void> {
  if (isAsking) return;
  isAsking = true;
  const whose = await whoseIs(page.api, null);
  isAsking = false;
  const now = session.getSnapshot().phase;
  if (whose.kind === "user") {
    if (active?.me.id !== whose.userId || now !== "signed_in") enter({ token: null, userId: whose.userId });
  } else if (whose.kind === "refused") {
    if (now === "starting" || now === "failed") become(signedOut("no_token"));
    else if (now === "signed_in") endSession();
  } else if (now !== "signed_in" && now !== "signed_out") {
    become({ phase: "failed", why: whose.why });
    setTimeout(() => session.getSnapshot().phase === "failed" && void askSession(), ASK_AGAIN_MS);
  }
}

/** Whoever signed in, in another tab or by the link, comes back to this one. */
function lookAgain(): void {
  const isHere = document.visibilityState === "visible";
  if (isHere && page.sign_in === "session" && session.getSnapshot().phase === "signed_out") void askSession();
}

window.addEventListener("focus", lookAgain);
window.addEventListener("pageshow", lookAgain);
document.addEventListener("visibilitychange", lookAgain);

/** What is unsent waits on this device for the next sign-in. */
function endSession(): void {
  active?.client.disconnect();
  become(signedOut("rejected"));
}

/** The application's word on its user may change at any time. */
function watchSession(client: RealtimeService): void {
  client.connection.subscribe(() => {
    if (active?.client !== client || session.getSnapshot().phase !== "signed_in") return;
    const { status, reason } = client.connection.getSnapshot();
    if (status === "unauthorized") endSession();
    // Somebody else: the screen says so, and its user loads the page again.
    else if (status === "refused" && reason !== "not_yours") void askSession();
  });
}

window.addEventListener("popstate", () => {
  // A sign-in link opened in a tab that shows the page already.
  const token = takeTokenFromAddress();
  const now = session.getSnapshot();
  if (token !== null) void signIn(token);
  // Who goes elsewhere, as by Back, answers no.
  else if (now.phase === "question") now.decline();
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

/** What is there without the question. */
function beneath(): Session {
  const now = session.getSnapshot();
  return now.phase === "question" ? now.before : now;
}

/** The token that was brought is not good: whoever is signed in stays, where they are, and is told. */
function refuse(otherwise: SignedOut): void {
  pending = null;
  const now = beneath();
  become(now.phase === "signed_in" ? { ...now, linkRefused: true } : otherwise);
}

/** Whoever is signed in has read it. */
export function readRefusal(): void {
  const now = session.getSnapshot();
  if (now.phase === "signed_in") become({ ...now, linkRefused: false });
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
  if (claimsOf(token) === null) return refuse(signedOut("no_token", true));
  const whose = await whoseIs(page.api, token);
  if (!isPending()) return;
  if (whose.kind === "refused") return refuse(signedOut("refused"));
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
      enter({ token, userId }, true);
    },
    decline: () => become(before.phase === "signed_in" ? before : signedOut("no_token")),
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
  if (only === undefined || only !== sub || others.length > 0 || pending !== token || active !== null) return false;
  become(connected(token, only));
  return true;
}

/** Who else uses this tab, or else this browser: has left something in it, or is there in another tab. */
async function othersThan(userId: string): Promise<readonly Person[]> {
  if (active !== null) return active.me.id === userId ? [] : [active.me];
  const kept = (await new RealtimeService({ url: page.api }).keptUsers()) ?? [];
  return kept.filter((id) => id !== userId).map((id) => ({ id, name: id, avatar_url: null }));
}

interface Kept {
  /** Null: the application's cookie says who it is, and nothing is kept. */
  token: string | null;
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

/**
 * Be this user from now on. Of others nothing stays on this device, whichever page it was that they left, but for what they have not
 * sent: that goes only where the user has said so (`isAsked`).
 */
function enter(kept: Kept, isAsked = false): void {
  keep("sessionStorage", STORED, kept.token === null ? null : JSON.stringify(kept));
  if (active !== null && active.me.id !== kept.userId) {
    if (isAsked) void active.client.signOut();
    else active.client.disconnect();
    active = null;
  }
  const now = connected(kept.token, kept.userId);
  void forgetOthers(now.client, kept.userId, isAsked);
  become(now);
  void greet(now.client, kept);
}

/** One's own name and picture, as others see them. */
async function greet(client: RealtimeService, { userId, token }: Kept): Promise<void> {
  const me = await describe(page.api, userId, token);
  if (me === null || active?.client !== client) return;
  active.me = me;
  const now = session.getSnapshot();
  if (now.phase === "signed_in") become({ ...now, me });
}

/** The client of this user with this token; for the same person again the same client, with what was typed and not sent. */
function connected(given: string | null, userId: string): Extract<Session, { phase: "signed_in" }> {
  token = given;
  preferAs(userId);
  const byToken = given !== null;
  const former = active;
  const isAgain = former?.byToken === byToken;
  if (!isAgain) former?.client.disconnect();
  const me = given === null ? (former?.me ?? { id: userId, name: userId, avatar_url: null }) : personOf(userId, given);
  const client = isAgain ? former.client : newClient(byToken);
  active = { client, me, byToken };
  client.connect(userId);
  if (isAgain) client.reconnect();
  const canSignOut = byToken || Boolean(page.sign_out_url);
  const nothing = { demo: false, control: null, linkRefused: false };
  return { phase: "signed_in", client, userId, me, canSignOut, finding: findingIn(page, []), ...nothing };
}

async function forgetOthers(client: RealtimeService, userId: string, unsent: boolean): Promise<void> {
  await client.forgetOthers(userId, { unsent });
  const kept = await client.keptUsers();
  if (kept !== null) forgetPreferences((id) => id !== userId && !kept.includes(id));
}

function newClient(byToken: boolean): RealtimeService {
  const client = new RealtimeService({ url: page.api, ...(byToken && { getToken: keptToken }) });
  // In another tab of this browser.
  client.on("signed_out", () => {
    if (active?.client === client) void forget();
  });
  if (!byToken) watchSession(client);
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
    queueMicrotask(() => active?.client.disconnect());
    become(signedOut("rejected"));
  }
  handedOut = token;
  return token;
}

/** Forget the user here; where the application signed them in, it signs them out. */
export async function signOut(): Promise<void> {
  const isHosts = active?.byToken === false;
  await forget();
  if (isHosts && page.sign_out_url) location.assign(page.sign_out_url);
}

/** Nothing of the user stays on this device. */
async function forget(): Promise<void> {
  const former = active;
  forgetPreferences((id) => id === former?.me.id);
  preferAs("");
  active = token = null;
  keep("sessionStorage", STORED, null);
  become(signedOut("no_token"));
  await former?.client.signOut();
}
