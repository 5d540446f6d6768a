// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

type Module = typeof import("./session.js");

let page: { api: string; sign_in: string; people: unknown[] };
let current: Module | null = null;
const asked: string[] = [];

/** A token that names `user`; nobody here checks it. */
function tokenOf(user: string, more: object = {}): string {
  const part = (value: object): string =>
    btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value)))).replaceAll("=", "");
  return `${part({ alg: "HS256" })}.${part({ sub: user, exp: 4_000_000_000, ...more })}.signature`;
}

/** A tab that has just loaded the page at this address. */
async function tabAt(address: string): Promise<Module> {
  history.replaceState(null, "", address);
  vi.resetModules();
  current = await import("./session.js");
  await current.start();
  return current;
}

beforeEach(() => {
  page = { api: "/api/message", sign_in: "token", people: [] };
  sessionStorage.clear();
  asked.length = 0;
  vi.stubGlobal("fetch", (address: string, init: RequestInit = {}) => {
    asked.push(`${init.method ?? "GET"} ${address} ${new Headers(init.headers).get("authorization") ?? ""}`.trim());
    if (address === "./page.json") return Promise.resolve(Response.json(page));
    if (address.startsWith("./demo/token?as=")) return Promise.resolve(Response.json({ token: tokenOf("ada") }));
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

  it("says how, when there is none", async () => {
    expect((await tabAt("/")).session.getSnapshot()).toMatchObject({ phase: "signed_out", why: "no_token" });
  });

  it.each(["", "nonsense", "a.b.c", "a.e30.c"])("does not take %j for a token", async (typed) => {
    const { session, signIn } = await tabAt("/");
    signIn(typed);
    expect(session.getSnapshot()).toMatchObject({ phase: "signed_out", hasProblem: true });
  });

  it("ends when the server refuses the token, which is then forgotten", async () => {
    vi.stubGlobal("fetch", (address: string) =>
      Promise.resolve(address === "./page.json" ? Response.json(page) : Response.json({}, { status: 401 })),
    );
    const { session } = await tabAt(`/#token=${tokenOf("ada")}`);
    await vi.waitFor(() => expect(session.getSnapshot()).toMatchObject({ phase: "signed_out", why: "rejected" }));
    expect(sessionStorage.length).toBe(0);
  });

  it("can be done again by the same person, in the same client", async () => {
    const { session, signIn } = await tabAt(`/#token=${tokenOf("ada")}`);
    const before = session.getSnapshot();
    signIn(tokenOf("ada"));
    expect(session.getSnapshot()).toMatchObject({ client: (before as { client?: unknown }).client });
  });

  it("by somebody else is another client", async () => {
    const { session, signIn } = await tabAt(`/#token=${tokenOf("ada")}`);
    const before = session.getSnapshot() as { client?: unknown };
    signIn(tokenOf("ben"));
    const now = session.getSnapshot() as { client?: unknown };
    expect(session.getSnapshot()).toMatchObject({ userId: "ben" });
    expect(now.client).not.toBe(before.client);
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
