// @vitest-environment happy-dom
import { act, cleanup, waitFor, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryServer } from "../../test/react/server.js";
import { mount, type Mounted, type MountOptions } from "./index.js";

const API = "http://127.0.0.1/api";
let server: MemoryServer;
let mounted: Mounted[];

beforeEach(() => {
  server = new MemoryServer("ada");
  mounted = [];
  vi.stubGlobal("fetch", server.fetch);
});

afterEach(() => {
  act(() => mounted.forEach((each) => each.unmount()));
  cleanup();
  vi.unstubAllGlobals();
});

function puts(options: Partial<MountOptions> & Pick<MountOptions, "view">, element: Element = document.body): Mounted {
  let made: Mounted | undefined;
  act(() => {
    made = mount(element, { url: API, ...options });
  });
  mounted.push(made as Mounted);
  return made as Mounted;
}

/** The elements in which views stand. */
function hosts(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>("[data-tidings]")];
}

/** What is in the view that was put in last, where a page's own queries do not look. */
function inside(): ReturnType<typeof within> {
  return within(hosts().at(-1)?.shadowRoot?.firstElementChild as HTMLElement);
}

const asked = (what: string): number => server.requests.filter((each) => each.startsWith(what)).length;

describe("options", () => {
  it.each([
    [{ view: "launcher" }, 'needs "url", which is the address of the API, such as "/api/message".'],
    [{ url: API }, 'needs "view", which is "launcher", "inbox" or "conversation".'],
    [{ url: API, view: "chat" }, 'was given "chat" as "view", which is "launcher", "inbox" or "conversation".'],
    [{ url: API, veiw: "inbox" }, 'knows no option "veiw". It knows url, view, with,'],
    [{ url: "ftp://a.example", view: "inbox" }, 'needs an address of http or https in "url", not "ftp://a.example".'],
    [{ url: API, view: "inbox", signIn: "javascript:alert(1)" }, 'needs an address of http or https in "signIn"'],
    [{ url: API, view: "conversation" }, 'needs "with", the user id of the other person, for the view "conversation".'],
    [{ url: API, view: "inbox", with: 42 }, 'was given 42 as "with", which is a user id, a text: "42", not 42.'],
    [{ url: API, view: "inbox", with: "a/b" }, '"a/b" cannot be the user id of "with". A user id has no / or \\.'],
    [{ url: API, view: "inbox", user: "" }, '"" cannot be the user id of "user".'],
    [{ url: API, view: "inbox", onUnread: 1 }, 'was given 1 as "onUnread", which is a function.'],
    [{ url: API, view: "inbox", token: "" }, 'was given "" as "token", which is a token, without "Bearer" and blanks'],
    [{ url: API, view: "inbox", token: "Bearer x" }, 'was given "Bearer x" as "token"'],
    [{ url: "nonsense", view: "inbox" }, 'that begins with / or https://, as "/api/message" does, not "nonsense".'],
    [{ url: "/api?x=1", view: "inbox" }, 'needs an address without ?, # and user in "url", not "/api?x=1".'],
    [{ url: API, view: "inbox", signIn: "login" }, 'needs an address in "signIn" that begins with / or https://'],
    [{ url: API, view: "inbox", words: "Mail" }, 'was given "Mail" as "words", which is an object of words.'],
    [{ url: API, view: "inbox", words: { nope: "" } }, 'knows no "words.nope". It knows lang, dir, connectionLost,'],
    [{ url: API, view: "inbox", words: { send: 1 } }, 'was given 1 as "words.send", which is a text.'],
    [
      { url: API, view: "inbox", words: { badge: "9" } },
      '"9" as "words.badge", which is a function that answers a text.',
    ],
    [
      { url: API, view: "inbox", words: { tick: {} } },
      'needs "words.tick.waiting" too: "words.tick" is taken as a whole.',
    ],
    [{ url: API, view: "inbox", words: { dir: "up" } }, 'was given "up" as "words.dir", which is "ltr" or "rtl".'],
    [
      { url: API, view: "inbox", words: { lang: "?" } },
      'was given "?" as "words.lang", which is a language, such as "pt-BR".',
    ],
    [{ url: API, view: "inbox", people: "ben" }, 'was given "ben" as "people", which is a list of people'],
    [{ url: API, view: "inbox", people: ["ben"] }, 'was given "ben" as "people[0]", which has an id and a name.'],
    [
      { url: API, view: "inbox", people: [{ name: "Ben" }] },
      'needs "people[0].id", which is a user id, a text: "42", not 42.',
    ],
    [
      { url: API, view: "inbox", people: [{ id: 42, name: "B" }] },
      '42 cannot be the user id of "people[0].id". A user id is a text.',
    ],
    [
      { url: API, view: "inbox", people: [{ id: "ben" }] },
      'was given undefined as "people[0].name", which is a name, a text.',
    ],
    [
      { url: API, view: "inbox", people: [{ id: "ben", name: "B", avatar_url: 1 }] },
      'was given 1 as "people[0].avatar_url"',
    ],
    [undefined, 'needs options: mount(element, { url: "/api/message", view: "launcher" }).'],
  ])("%j: one sentence says what is wrong", (options, sentence) => {
    expect(() => mount(document.body, options as unknown as MountOptions)).toThrow(sentence);
    expect(hosts()).toEqual([]);
    expect(server.requests).toEqual([]);
  });

  it("want an element that there is", () => {
    const none = document.getElementById("nowhere") as unknown as Element;
    expect(() => mount(none, { url: API, view: "inbox" })).toThrow(
      "Tidings: mount() needs an element that is in the page, such as document.body; it was given null.",
    );
  });

  it("that a template left empty are not given", async () => {
    puts({ view: "launcher", with: null, token: null, signIn: undefined as unknown as null });
    expect(await inside().findByRole("button", { name: "Messages" })).toBeTruthy();
  });
});

describe("several views of one page", () => {
  it("of the same person share one client: one question who it is, one list, one stream", async () => {
    server.has("ben", "Hello");
    const told: number[][] = [[], []];
    for (const list of told) puts({ view: "launcher", onUnread: (unread) => list.push(unread) });
    puts({ view: "conversation", with: "ben" });
    await inside().findByText("Hello");
    await waitFor(() => expect(server.streams.size).toBe(1));
    act(() => void server.receives("ben", "Are you there?"));
    await waitFor(() =>
      expect(told).toEqual([
        [1, 2],
        [1, 2],
      ]),
    );
    expect([asked("GET /events/me"), asked("GET /sse/"), asked("GET /inbox/")]).toEqual([1, 1, 1]);
  });

  it("of other people have clients of their own", async () => {
    puts({ view: "launcher", token: "of-ada" });
    puts({ view: "launcher", token: "of-ben" });
    await waitFor(() => expect(server.streams.size).toBe(2));
  });

  it("that are gone leave nothing: neither elements nor streams nor listeners", async () => {
    const heard = new Set<unknown>();
    const types = new Map<unknown, string>();
    for (const target of [window, document] as EventTarget[]) {
      const { addEventListener, removeEventListener } = target;
      vi.spyOn(target, "addEventListener").mockImplementation((...given) => {
        const [type, listener, how] = given;
        heard.add(listener);
        types.set(listener, type);
        if (typeof how === "object") how.signal?.addEventListener("abort", () => heard.delete(listener));
        addEventListener.apply(target, given);
      });
      vi.spyOn(target, "removeEventListener").mockImplementation((...given) => {
        heard.delete(given[1]);
        removeEventListener.apply(target, given);
      });
    }
    const views = [puts({ view: "launcher" }), puts({ view: "inbox" })];
    await waitFor(() => expect(server.streams.size).toBe(1));
    act(() => {
      views[0]?.unmount();
    });
    expect([hosts().length, server.streams.size]).toEqual([1, 1]);
    act(() => {
      views[1]?.unmount();
    });
    act(() => {
      views[1]?.unmount();
    }); // again: nothing more happens
    expect([hosts().length, server.streams.size, document.adoptedStyleSheets ?? []]).toEqual([0, 0, []]);
    // React looks at what is selected, once for a page.
    const left = [...heard].map((listener) => types.get(listener)).filter((type) => type !== "selectionchange");
    expect(left).toEqual([]);
    vi.restoreAllMocks();
  });
});

describe("the launcher", () => {
  it("tells how much is unread in its name, opens the one conversation that there is, and gives the focus back", async () => {
    server.has("ben", "Hello");
    server.has("ben", "Are you there?");
    puts({ view: "launcher" });
    const button = await inside().findByRole("button", { name: "Messages, 2 unread" });
    act(() => {
      button.click();
    });
    const panel = await inside().findByRole("dialog", { name: "Messages" });
    await within(panel).findAllByText("Are you there?");
    expect(button.getAttribute("aria-expanded")).toBe("true");
    expect(button.getAttribute("aria-controls")).toBe(panel.id);
    const [close] = within(panel).getAllByRole("button", { name: "Close messages" });
    act(() => {
      close?.focus();
      close?.click();
    });
    expect(inside().queryByRole("dialog")).toBeNull();
    expect((hosts()[0]?.shadowRoot as ShadowRoot).activeElement).toBe(button);
  });

  it("opens the list of several", async () => {
    server.has("ben", "Hello");
    server.has("cyd", "Me too");
    const view = puts({ view: "launcher" });
    await inside().findByRole("button", { name: "Messages, 2 unread" });
    act(() => {
      view.open();
    });
    expect(await inside().findByRole("link", { name: /cyd/ })).toBeTruthy();
    expect(inside().queryByRole("textbox", { name: "Message ben" })).toBeNull();
    act(() => {
      view.show("cyd");
    });
    expect(await inside().findByRole("textbox", { name: "Message cyd" })).toBeTruthy();
    act(() => {
      view.close();
    });
    expect(inside().queryByRole("dialog")).toBeNull();
  });

  it("does at last what was asked of it before it was known who is signed in", async () => {
    const view = puts({ view: "launcher" });
    view.show("ben");
    expect(await inside().findByRole("textbox", { name: "Message ben" })).toBeTruthy();
  });

  it("speaks the language of the page, or the one that is asked for", async () => {
    const element = document.body.appendChild(document.createElement("div"));
    element.lang = "ar-EG";
    puts({ view: "launcher" }, element);
    expect(await inside().findByRole("button", { name: "الرسائل" })).toBeTruthy();
    puts({ view: "launcher", language: "en", words: { messages: "Mail" } }, element);
    expect(await inside().findByRole("button", { name: "Mail" })).toBeTruthy();
    act(() => mounted.splice(0).forEach((each) => each.unmount()));
    element.remove();
  });
});

describe("a stranger whom the page shows", () => {
  it.each(["launcher", "inbox", "conversation"] as const)(
    "has the name that the page told, in the %s",
    async (view) => {
      const mounted = puts({ view, with: "7", withName: "Linnéa Palm" });
      act(() => mounted.show("8", "Marek Kowal"));
      expect(await inside().findByRole("textbox", { name: "Message Marek Kowal" })).toBeTruthy();
      act(() => mounted.show("9", null)); // as a template writes that it has none
      expect(inside().getByRole("textbox", { name: "Message 9" })).toBeTruthy();
      for (const [id, name] of [
        ["7", "Linnéa Palm"],
        ["8", "Marek Kowal"],
      ] as const) {
        act(() => mounted.show(id));
        expect(inside().getByRole("textbox", { name: `Message ${name}` })).toBeTruthy();
      }
      expect(() => mounted.show("8", 8 as unknown as string)).toThrow(
        'Tidings: 8 cannot be the name in "show", which is a name, a text.',
      );
    },
  );
});

describe("oneself", () => {
  it.each([
    ["conversation", { with: "ada" }, ""],
    ["inbox", {}, "#tidings/ada"],
    ["launcher", {}, "#tidings/ada"],
  ] as const)("is nobody to write to: the %s says so, and has no field", async (view, options, hash) => {
    history.replaceState(null, "", hash || "#");
    puts({ view, ...options });
    expect(await inside().findByRole("region", { name: "That is you" })).toBeTruthy();
    expect(inside().getByText("A conversation needs somebody else.")).toBeTruthy();
    expect(inside().queryByRole("textbox", { name: /^Message / })).toBeNull();
    history.replaceState(null, "", "#");
  });
});

describe("a link to a conversation, in a page that is open", () => {
  const follow = (hash: string): void =>
    act(() => {
      history.replaceState(null, "", hash);
      window.dispatchEvent(new PopStateEvent("popstate"));
    });
  afterEach(() => history.replaceState(null, "", "#"));

  it.each(["launcher", "inbox"] as const)(
    "opens it in the %s, which hears no more of it when it is gone",
    async (view) => {
      const mounted = puts({ view });
      await waitFor(() => expect(server.streams.size).toBe(1));
      follow("#tidings/ben%20okri");
      expect(await inside().findByRole("textbox", { name: "Message ben okri" })).toBeTruthy();
      follow("#reviews");
      expect(inside().getByRole("textbox", { name: "Message ben okri" })).toBeTruthy();
      follow("#tidings/cyd");
      expect(await inside().findByRole("textbox", { name: "Message cyd" })).toBeTruthy();
      act(() => mounted.unmount());
      follow("#tidings/ben");
      expect(hosts()).toEqual([]);
    },
  );

  it("opens it again after it was closed, though the address stays", async () => {
    const view = puts({ view: "launcher" });
    await inside().findByRole("button", { name: "Messages" });
    follow("#tidings/ben");
    await inside().findByRole("textbox", { name: "Message ben" });
    act(() => view.close());
    expect(inside().queryByRole("dialog")).toBeNull();
    act(() => void window.dispatchEvent(new PopStateEvent("popstate")));
    expect(await inside().findByRole("textbox", { name: "Message ben" })).toBeTruthy();
  });
});

describe("while nobody is signed in", () => {
  it("the launcher leads to the sign-in, and asks for nothing more", async () => {
    server.signedIn = false;
    const signIn = vi.fn();
    puts({ view: "launcher", signIn });
    const button = await inside().findByRole("button", { name: "Sign in to your messages" });
    act(() => {
      button.click();
    });
    expect(signIn).toHaveBeenCalledOnce();
    expect(server.requests).toEqual(["GET /events/me"]);
  });

  it("an address to sign in at is told the way back: where one is by then", async () => {
    server.signedIn = false;
    const went = vi.spyOn(location, "assign").mockImplementation(() => undefined);
    puts({ view: "launcher", signIn: "/login?next={here}" });
    const button = await inside().findByRole("button", { name: "Sign in to your messages" });
    history.replaceState(null, "", "/mugs?colour=blue#tidings/ben");
    const there = new URL("/", document.baseURI).href;
    act(() => {
      button.click();
    });
    history.replaceState(null, "", "/");
    expect(went.mock.calls).toEqual([[`${there}login?next=%2Fmugs%3Fcolour%3Dblue%23tidings%2Fben`]]);
    went.mockRestore();
  });

  it("it is away where there is nowhere to sign in", async () => {
    server.signedIn = false;
    const told: number[] = [];
    puts({ view: "launcher", onUnread: (unread) => told.push(unread) });
    await waitFor(() => expect(told).toEqual([0]));
    expect(inside().queryAllByRole("button")).toEqual([]);
  });

  it("nothing is asked for where the page knows that", () => {
    puts({ view: "inbox", user: null, signIn: "/sign-in" });
    expect(inside().getByRole("button", { name: "Sign in" })).toBeTruthy();
    expect(server.requests).toEqual([]);
  });

  it("whoever comes back from signing in elsewhere is there", async () => {
    server.signedIn = false;
    const now = vi.spyOn(performance, "now");
    puts({ view: "launcher", signIn: "/sign-in" });
    await inside().findByRole("button", { name: "Sign in to your messages" });
    server.signedIn = true;
    now.mockReturnValue(performance.now() + 60_000);
    act(() => void window.dispatchEvent(new Event("focus")));
    now.mockRestore();
    expect(await inside().findByRole("button", { name: "Messages" })).toBeTruthy();
  });

  it("one who signs out is forgotten, and the button asks for a sign-in", async () => {
    const view = puts({ view: "launcher", signIn: "/sign-in" });
    await inside().findByRole("button", { name: "Messages" });
    await waitFor(() => expect(server.streams.size).toBe(1));
    await act(() => view.signOut());
    expect(inside().getByRole("button", { name: "Sign in to your messages" })).toBeTruthy();
    expect(server.streams.size).toBe(0);
  });
});
