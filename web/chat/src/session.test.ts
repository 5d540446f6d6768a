// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

type Module = typeof import("./session.js") & typeof import("./session-state.js");

let page: {
  api: string;
  sign_in: string;
  people: unknown[];
  people_search?: boolean;
  raw_ids?: boolean;
  sign_in_url?: string;
  sign_out_url?: string;
};
let current: Module | null = null;
/** What the server says of the next tokens; else they are whose they say. */
let word: (() => Promise<Response>) | null = null;
const asked: string[] = [];

/** A token that names `user`; nobody here checks it. */
function tokenOf(user: string, more: object = {}): string {
  const part = (value: object): string =>
    btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value)))).replaceAll("=", "");
  return `${part({ alg: "HS256" })}.${part({ sub: user, exp: 4_000_000_000, ...more })}.signature`;
}

function whoseIs(authorization: string): Promise<Response> {
  if (word !== null) return word();
  const claims = JSON.parse(atob(authorization.split(".")[1] ?? "")) as { sub: string };
  return Promise.resolve(
    Response.json({ user_id: new TextDecoder().decode(Uint8Array.from(claims.sub, (c) => c.charCodeAt(0))) }),
  );
}

/** A tab that has just loaded the page at this address. */
async function tabAt(address: string): Promise<Module> {
  history.replaceState(null, "", address);
  vi.resetModules();
  current = { ...(await import("./session.js")), ...(await import("./session-state.js")) };
  await current.start();
  return current;
}

beforeEach(() => {
  page = { api: "/api/message", sign_in: "token", people: [] };
  sessionStorage.clear();
  localStorage.clear();
  word = null;
  asked.length = 0;
  vi.stubGlobal("fetch", (address: string, init: RequestInit = {}) => {
    asked.push(`${init.method ?? "GET"} ${address} ${new Headers(init.headers).get("authorization") ?? ""}`.trim());
    if (address === "./page.json") return Promise.resolve(Response.json(page));
    if (address.startsWith("./demo/token?as=")) return Promise.resolve(Response.json({ token: tokenOf("ada") }));
    if (address === "/api/message/events/me") return whoseIs(new Headers(init.headers).get("authorization") ?? "");
    return new Promise<Response>(() => undefined);
  });
});

afterEach(() => {
  const now = current?.session.getSnapshot();
  if (now?.phase === "signed_in") now.client.disconnect();
  vi.unstubAllGlobals();
});

describe("signing in with a token", () => {
  it("takes the token out of the address at once, and keeps it for this tab", async () => {
    const { session } = await tabAt(`/#token=${tokenOf("zoë")}`);
    expect(location.href).not.toContain("token");
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "zoë" });
    expect((await tabAt("/")).session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "zoë" });
  });

  it("greets its owner by the name in it, else by the id", async () => {
    const { session } = await tabAt(`/#token=${tokenOf("u1", { name: "Zoë" })}`);
    expect(session.getSnapshot()).toMatchObject({ userId: "u1", me: { name: "Zoë" } });
    const { session: plain } = await tabAt(`/#token=${tokenOf("u1")}`);
    expect(plain.getSnapshot()).toMatchObject({ me: { name: "u1" } });
  });

  it("finds people, and takes a typed user id, only where the server says so", async () => {
    const { session } = await tabAt(`/#token=${tokenOf("ada")}`);
    expect(session.getSnapshot()).toMatchObject({ finding: { peopleSearch: false, rawIds: false } });
    page = { ...page, people_search: true, raw_ids: true };
    const { session: next } = await tabAt("/");
    expect(next.getSnapshot()).toMatchObject({ finding: { suggestions: [], peopleSearch: true, rawIds: true } });
  });

  it("says how, when there is none", async () => {
    expect((await tabAt("/")).session.getSnapshot()).toMatchObject({ phase: "signed_out", why: "no_token" });
  });

  it.each(["", "nonsense", "a.b.c"])("does not take %j for a token", async (typed) => {
    const { session, signIn } = await tabAt("/");
    await signIn(typed);
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_out", hasProblem: true });
  });

  it("does not begin when the server refuses the token, which is not kept", async () => {
    vi.stubGlobal("fetch", (address: string) =>
      Promise.resolve(address === "./page.json" ? Response.json(page) : Response.json({}, { status: 401 })),
    );
    const { session } = await tabAt(`/#token=${tokenOf("ada")}`);
    await vi.waitFor(() => expect(session.getSnapshot()).toMatchObject({ phase: "signed_out", why: "refused" }));
    expect(sessionStorage.length).toBe(0);
  });

  it("can be done again by the same person, in the same client", async () => {
    const { session, signIn } = await tabAt(`/#token=${tokenOf("ada")}`);
    const before = session.getSnapshot();
    await signIn(tokenOf("ada"));
    expect(session.getSnapshot()).toMatchObject({ client: (before as { client?: unknown }).client });
  });

  it("by somebody else is asked for, with both names, and is another client then", async () => {
    const { session, signIn } = await tabAt(`/#token=${tokenOf("ada")}`);
    const before = session.getSnapshot() as { client?: unknown };
    await signIn(tokenOf("eve", { name: "ada" }));
    const question = session.getSnapshot();
    expect(question).toMatchObject({ phase: "question", others: [{ id: "ada" }], me: { id: "eve", name: "ada" } });
    if (question.phase === "question") question.decline();
    expect(session.getSnapshot()).toBe(before);
    await signIn(tokenOf("eve"));
    const again = session.getSnapshot();
    if (again.phase === "question") again.accept();
    const now = session.getSnapshot() as { client?: unknown };
    expect(now).toMatchObject({ phase: "signed_in", userId: "eve" });
    expect(now.client).not.toBe(before.client);
  });

  it("is for whom the server says, whatever the token says", async () => {
    word = () => Promise.resolve(Response.json({ user_id: "bob" }));
    const { session } = await tabAt(`/#token=${tokenOf("ada")}`);
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "bob" });
  });

  it.each([
    ["no answer", () => Promise.reject(new TypeError("failed to fetch"))],
    ["refused", () => Promise.resolve(Response.json({}, { status: 401 }))],
  ])("with a second token, while the first is asked about: %s", async (_, answer) => {
    const { session, signIn } = await tabAt(`/#token=${tokenOf("ada")}`);
    const { client } = session.getSnapshot() as { client?: unknown };
    await signIn(tokenOf("eve"));
    word = answer;
    await signIn(tokenOf("mallory"));
    const now = session.getSnapshot();
    expect(now.phase === "question" ? now.before : now).toMatchObject({ phase: "signed_in", userId: "ada", client });
  });

  it("with a refused token of somebody else changes nothing but that it is told", async () => {
    const { session, signIn, readRefusal } = await tabAt(`/#token=${tokenOf("ada")}`);
    const before = session.getSnapshot();
    const kept = JSON.stringify(sessionStorage);
    word = () => Promise.resolve(Response.json({}, { status: 401 }));
    await signIn(tokenOf("eve"));
    expect(session.getSnapshot()).toEqual({ ...before, linkRefused: true });
    readRefusal();
    expect(session.getSnapshot()).toEqual(before);
    expect(JSON.stringify(sessionStorage)).toBe(kept);
  });

  it.each([
    ["not answered", () => Promise.reject(new TypeError("failed to fetch"))],
    ["answered by a server that is not ready", () => Promise.resolve(Response.json({}, { status: 503 }))],
  ])("with a token of somebody else that is %s changes nothing", async (_, answer) => {
    const { session, signIn } = await tabAt(`/#token=${tokenOf("ada")}`);
    const before = session.getSnapshot();
    const kept = JSON.stringify(sessionStorage);
    word = answer;
    await signIn(tokenOf("eve"));
    expect(session.getSnapshot()).toBe(before);
    expect(JSON.stringify(sessionStorage)).toBe(kept);
  });

  it("is tried again until the server answers", async () => {
    vi.useFakeTimers();
    word = () => Promise.reject(new TypeError("failed to fetch"));
    const { session } = await tabAt(`/#token=${tokenOf("ada")}`);
    expect(session.getSnapshot()).toMatchObject({ phase: "failed" });
    word = null;
    await vi.advanceTimersByTimeAsync(3000);
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "ada" });
    vi.useRealTimers();
  });

  it("lasts as long as the server says, whatever this device's clock says", async () => {
    const { session } = await tabAt(`/#token=${tokenOf("ada", { exp: 1 })}`);
    await vi.waitFor(() => expect(asked.some((request) => request.includes("/sse/"))).toBe(true));
    const now = session.getSnapshot();
    expect(now).toMatchObject({ phase: "signed_in" });
    if (now.phase === "signed_in") now.client.reconnect();
    await vi.waitFor(() => expect(asked.filter((request) => request.includes("/sse/"))).toHaveLength(1));
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_in" });
  });

  it("works where the browser forbids to keep anything", async () => {
    const forbidden = () => {
      throw new DOMException("forbidden", "SecurityError");
    };
    const areas = (["sessionStorage", "localStorage", "indexedDB"] as const).map(
      (name) => [name, Object.getOwnPropertyDescriptor(window, name)] as const,
    );
    for (const [name] of areas) Object.defineProperty(window, name, { get: forbidden, configurable: true });
    try {
      const { session, signOut } = await tabAt(`/#token=${tokenOf("ada")}`);
      expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "ada" });
      await signOut();
      expect(session.getSnapshot()).toMatchObject({ phase: "signed_out" });
    } finally {
      for (const [name, was] of areas) if (was) Object.defineProperty(window, name, was);
    }
  });

  it("out takes only one's own preferences", async () => {
    const { signOut } = await tabAt(`/#token=${tokenOf("ada")}`);
    const { keepSound, keptSound, preferAs } = await import("./preference.js");
    for (const user of ["ben", "ada"]) {
      preferAs(user);
      keepSound(true);
    }
    await signOut();
    const kept = ["ada", "ben"].map((user) => {
      preferAs(user);
      return keptSound();
    });
    expect(kept).toEqual([false, true]);
  });
});

describe("in an application that has signed its user in", () => {
  /** What the application says of its cookie: a user, or a status. */
  let told: string | number;
  const anyone = { watermarks: {}, messages: [], has_more: false, cursor: "c" };

  beforeEach(() => {
    page = { api: "../api/message", sign_in: "session", people: [], sign_in_url: "/login?next={here}" };
    told = "ada";
    vi.stubGlobal("fetch", (address: string, init: RequestInit = {}) => {
      const headers = new Headers(init.headers);
      asked.push(`${init.credentials ?? "same-origin"} ${address} ${headers.get("authorization") ?? ""}`.trim());
      if (address === "./page.json") return Promise.resolve(Response.json(page));
      if (headers.has("authorization")) return Promise.resolve(Response.json({}, { status: 401 }));
      if (typeof told === "number") return Promise.resolve(Response.json({ code: "unauthorized" }, { status: told }));
      if (address.endsWith("/events/me")) return Promise.resolve(Response.json({ user_id: told }));
      const user = { id: told, name: `Dr. ${told}`, avatar_url: "https://example.org/me.png" };
      if (address.endsWith("?limit=1")) return Promise.resolve(Response.json({ ...anyone, user_id: told, user }));
      return new Promise<Response>(() => undefined);
    });
  });

  it("asks with the cookie, and keeps nothing; the name is as others see it", async () => {
    const { session } = await tabAt("/messages/#/ben");
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "ada", canSignOut: false });
    await vi.waitFor(() => expect(session.getSnapshot()).toMatchObject({ me: { name: "Dr. ada" } }));
    await vi.waitFor(() => expect(asked.some((each) => /^same-origin .*\/sse\/ada\b[^ ]*$/.test(each))).toBe(true));
    expect(asked).toContain("same-origin ../api/message/events/me");
    expect(sessionStorage.length).toBe(0);
  });

  it.each([401, 403])("answered %d leads to its sign-in, and back to where one was", async (status) => {
    told = status;
    const { session } = await tabAt("/messages/?lang=en#/ben");
    const host = { signInUrl: `/login?next=${encodeURIComponent("/messages/?lang=en#/ben")}` };
    expect(session.getSnapshot()).toEqual({ phase: "signed_out", why: "no_token", hasProblem: false, host });
    told = "ada";
    window.dispatchEvent(new Event("focus"));
    await vi.waitFor(() => expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "ada" }));
  });

  it.each(["", "hello", "a.b.c"])("says so when a link brings %j, which is no token", async (brought) => {
    told = 401;
    const { session } = await tabAt(`/#token=${brought}`);
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_out", hasProblem: true });
    const { render, screen } = await import("@testing-library/react");
    const { createElement } = await import("react");
    const { SignIn } = await import("./sign-in.js");
    const { unmount } = render(createElement(SignIn, session.getSnapshot() as import("./session-state.js").SignedOut));
    expect(screen.getByRole("alert").textContent).toMatch(/^The link that you followed is not whole/);
    expect(screen.getByRole("link", { name: "Sign in" })).toBeTruthy();
    unmount();
  });

  it("that is somebody else's now is said by the screen: the page becomes theirs only when it is loaded again", async () => {
    const fetched = vi.fn((address: string) => {
      if (address === "./page.json") return Promise.resolve(Response.json(page));
      if (address.endsWith("/events/me")) return Promise.resolve(Response.json({ user_id: "ada" }));
      return Promise.resolve(Response.json({ code: "not_yours" }, { status: 403 }));
    });
    vi.stubGlobal("fetch", fetched);
    const { session } = await tabAt("/");
    const { client } = session.getSnapshot() as { client: import("tidings").RealtimeService };
    await vi.waitFor(() =>
      expect(client.connection.getSnapshot()).toMatchObject({ status: "refused", reason: "not_yours" }),
    );
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "ada", client });
    expect(fetched.mock.calls.filter(([address]) => address.endsWith("/events/me"))).toHaveLength(1);
  });

  it("that redirects strangers to its sign-in is understood", async () => {
    vi.stubGlobal("fetch", (address: string) =>
      Promise.resolve(address === "./page.json" ? Response.json(page) : ({ type: "opaqueredirect" } as Response)),
    );
    expect((await tabAt("/")).session.getSnapshot()).toMatchObject({ phase: "signed_out" });
  });

  it("that names no address says to sign in there, and takes no pasted token", async () => {
    told = 401;
    delete page.sign_in_url;
    expect((await tabAt("/")).session.getSnapshot()).toMatchObject({ phase: "signed_out", host: { signInUrl: null } });
  });

  it("is noticed when it ends, and when it is another user's", async () => {
    const { session } = await tabAt("/");
    const { client } = session.getSnapshot() as { client: import("tidings").RealtimeService };
    told = 401;
    client.reconnect();
    await vi.waitFor(() => expect(session.getSnapshot()).toMatchObject({ phase: "signed_out", why: "rejected" }));
    told = "ben";
    window.dispatchEvent(new Event("focus"));
    await vi.waitFor(() => expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "ben" }));
    expect((session.getSnapshot() as { client?: unknown }).client).not.toBe(client);
  });

  it("is noticed when it ends while the stream goes on, by a message that is refused and waits for the next sign-in", async () => {
    const { session } = await tabAt("/");
    const { client } = session.getSnapshot() as { client: import("tidings").RealtimeService };
    await vi.waitFor(() => expect(asked.some((each) => each.includes("/sse/ada"))).toBe(true));
    told = 401;
    client.conversation("ben").send("late");
    await vi.waitFor(() => expect(session.getSnapshot()).toMatchObject({ phase: "signed_out", why: "rejected" }));
    told = "ada";
    window.dispatchEvent(new Event("focus"));
    await vi.waitFor(() => expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", client }));
    expect(client.outbox.getSnapshot().pending).toMatchObject([{ text: "late" }]);
  });

  it("does not give way to a link with a token that the application does not take", async () => {
    const { session } = await tabAt(`/#token=${tokenOf("eve")}`);
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "ada", linkRefused: true });
  });

  it("signs out there, where it says how, when nothing is left here", async () => {
    page.sign_out_url = "/logout";
    const { session, signOut } = await tabAt("/");
    expect(session.getSnapshot()).toMatchObject({ canSignOut: true });
    const assigned = vi.spyOn(location, "assign").mockImplementation(() => undefined);
    await signOut();
    expect(assigned).toHaveBeenCalledWith("/logout");
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_out" });
  });

  it("is asked again until it answers", async () => {
    vi.useFakeTimers();
    told = 503;
    const { session } = await tabAt("/");
    expect(session.getSnapshot()).toEqual({ phase: "failed", why: 503 });
    told = "ada";
    await vi.advanceTimersByTimeAsync(3000);
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "ada" });
    vi.useRealTimers();
  });
});

it("a provider's sign-in is a link in the place of the form for tokens", async () => {
  page.sign_in_url = "https://id.example.org/";
  expect((await tabAt("/")).session.getSnapshot()).toMatchObject({
    phase: "signed_out",
    host: { signInUrl: "https://id.example.org/" },
  });
});

describe("the demo", () => {
  beforeEach(() => {
    page = { api: "/api/message", sign_in: "demo", people: [{ id: "ada", name: "Ada", avatar_url: null }] };
  });

  it("asks who one is", async () => {
    expect((await tabAt("/")).session.getSnapshot()).toEqual({ phase: "people", people: page.people });
  });

  it("is used as the person of the address, by a token that nothing keeps", async () => {
    const { session } = await tabAt("/?as=ada");
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "ada", me: { name: "Ada" } });
    await vi.waitFor(() => expect(asked.some((request) => /sse\/ada.* Bearer /.test(request))).toBe(true));
    expect(asked).toContain("POST ./demo/token?as=ada");
    expect(sessionStorage.length).toBe(0);
  });

  it("can be used by anybody, whatever their id", async () => {
    const { session } = await tabAt(`/?as=${encodeURIComponent("50% 🦊|@x")}`);
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_in", userId: "50% 🦊|@x" });
  });
});

it("a page that cannot be set up says why", async () => {
  vi.stubGlobal("fetch", () => Promise.resolve(new Response("", { status: 503 })));
  expect((await tabAt("/")).session.getSnapshot()).toEqual({ phase: "failed", why: 503 });
});
