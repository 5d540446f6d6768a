// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { useState, type ComponentProps, type ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { foundPeople, MemoryServer, problem } from "../../../test/react/server.js";
import { MemoryStorage } from "../../device/storage.js";
import { RealtimeService } from "../../service.js";
import { Inbox, InboxList, TidingsProvider, type InboxProps } from "../index.js";

let server: MemoryServer;
let client: RealtimeService;
let opened: string[];
/** What the host was asked for. */
let asked: string[];

const MARY = { id: "m1", name: "Maryam Al-Saleh", about: "Team Nairobi" };
const MAREK = { id: "m2", name: "Marek Kowal", about: "Workshop, ground floor" };

beforeEach(() => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  server = new MemoryServer("ada");
  client = new RealtimeService({ url: "http://127.0.0.1/api", environment: { fetch: server.fetch } });
  opened = [];
  asked = [];
});

afterEach(() => {
  cleanup();
  client.disconnect();
  vi.useRealTimers();
});

/** The host's search answers this. */
function finds(answer: (text: string) => Response | Promise<Response>): void {
  server.searchAnswer = (text) => {
    asked.push(text);
    return answer(text);
  };
}

/** A page shows whom one opens, at once or when it has found their address. */
function Page({ afterMs = 0, ...props }: Partial<InboxProps> & { afterMs?: number }): ReactNode {
  const [open, setOpen] = useState<string | null>(null);
  const onOpen = (id: string): void => {
    opened.push(id);
    if (afterMs === 0) setOpen(id);
    else setTimeout(() => setOpen(id), afterMs);
  };
  return (
    <TidingsProvider client={client}>
      <Inbox
        peopleSearch
        chatUserId={open}
        onOpen={onOpen}
        onClose={() => setOpen(null)}
        hrefFor={(id) => `#/${id}`}
        {...props}
      />
    </TidingsProvider>
  );
}

async function openPicker(props: ComponentProps<typeof Page> = {}): Promise<void> {
  render(<Page {...props} />);
  client.connect("ada");
  await waitFor(() => expect(client.inbox.getSnapshot().loaded).toBe(true));
  fireEvent.click(screen.getAllByRole("button", { name: "New message" })[0] as HTMLElement);
}

const field = (): HTMLInputElement => screen.getByRole("combobox");
const type = (text: string): void => void fireEvent.change(field(), { target: { value: text } });
const press = (key: string): boolean => fireEvent.keyDown(field(), { key });
const pass = (ms: number): Promise<void> => act(async () => void (await vi.advanceTimersByTimeAsync(ms)));
const named = (id: string, name: string): void => void server.people.set(id, { id, name, avatar_url: null });
/** What is offered, below the title of its group. */
const groups = (): Record<string, (string | null | undefined)[]> =>
  Object.fromEntries(
    screen
      .queryAllByRole("group")
      .filter((group) => group.closest("[role=listbox]"))
      .map((group) => [
        group.querySelector("h3")?.textContent ?? "",
        [...group.querySelectorAll("[role=option] .tidings-entry-name")].map((name) => name.textContent),
      ]),
  );
const active = (): string | null | undefined =>
  document.getElementById(field().getAttribute("aria-activedescendant") ?? "")?.querySelector(".tidings-entry-name")
    ?.textContent;
const status = (): string[] => screen.queryAllByRole("status").map((each) => each.textContent ?? "");

it("New message is for those who can choose somebody: a newcomer who can find nobody waits to be written to", async () => {
  render(<Page peopleSearch={false} suggestions={[{ id: "ada", name: "Ada", avatar_url: null }]} />);
  client.connect("ada");
  expect(await screen.findByText("No messages yet")).toBeTruthy();
  expect(screen.getAllByText("Somebody who writes to you appears here.")).toHaveLength(2);
  expect(screen.queryAllByRole("button", { name: "New message" })).toEqual([]);
  const list = screen.getByRole("navigation", { name: "Conversations" });
  fireEvent.keyDown(list, { key: "k", ctrlKey: true });
  expect(screen.queryByRole("combobox")).toBeNull();
  act(() => void server.receives("ben", "Hello"));
  expect(await screen.findAllByRole("button", { name: "New message" })).toHaveLength(2);
});

it("New message closes when the page shows a conversation by other means, and stays when it shows none", async () => {
  const Addressed = ({ id }: { id: string | null }): ReactNode => (
    <TidingsProvider client={client}>
      <Inbox
        rawIds
        chatUserId={id}
        onOpen={() => undefined}
        onClose={() => undefined}
        hrefFor={(each) => `#/${each}`}
      />
    </TidingsProvider>
  );
  const { rerender } = render(<Addressed id="ben" />);
  client.connect("ada");
  await waitFor(() => expect(client.inbox.getSnapshot().loaded).toBe(true));
  const panes = (): string | undefined => document.querySelector<HTMLElement>(".tidings-panes-row")?.dataset["open"];
  fireEvent.click(screen.getAllByRole("button", { name: "New message" })[0] as HTMLElement);
  expect([panes(), field().isConnected]).toEqual(["false", true]);
  rerender(<Addressed id={null} />);
  expect(field().isConnected).toBe(true);
  rerender(<Addressed id="cyd" />);
  expect([panes(), screen.queryByRole("combobox")]).toEqual(["true", null]);
  expect(screen.getByRole("textbox", { name: "Message cyd" })).toBeTruthy();
});

describe("the focus", () => {
  const focused = (): string | null | undefined =>
    document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent;
  const wide = (): void => void vi.stubGlobal("matchMedia", (media: string) => mediaOf(media, media.includes("fine")));
  const onGlass = (): void => void vi.stubGlobal("matchMedia", (media: string) => mediaOf(media, false));
  const mediaOf = (media: string, matches: boolean): unknown => ({
    media,
    matches,
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
  });
  afterEach(() => vi.unstubAllGlobals());

  it.each([0, 1000])(
    "goes from New message to the composer of whom one has chosen, whom the page shows %i ms later",
    async (afterMs) => {
      wide();
      await openPicker({ rawIds: true, peopleSearch: false, afterMs });
      type("ben");
      press("Enter");
      await waitFor(() => expect(focused()).toBe("Message ben"));
    },
  );

  it("goes to the name on a phone, whose keyboard would cover the messages", async () => {
    onGlass();
    await openPicker({ rawIds: true, peopleSearch: false });
    type("ben");
    press("Enter");
    await waitFor(() => expect(focused()).toBe("ben"));
  });

  it("goes back to the button when New message is left", async () => {
    await openPicker();
    const button = (): HTMLElement => screen.getAllByRole("button", { name: "New message" })[0] as HTMLElement;
    field().focus();
    press("Escape");
    await waitFor(() => expect(document.activeElement).toBe(button()));
  });
});

describe("whom New message finds", () => {
  it("are the people of one's conversations at once, then those whom the host finds, each once", async () => {
    named("c1", "Chloé Marchand");
    named("m1", "Maryam Al-Saleh");
    server.has("c1", "Salut");
    server.has("m1", "Well?");
    finds(() => foundPeople(MARY, MAREK, { id: "ada", name: "Martha, oneself" }, MAREK));
    await openPicker();
    expect(groups()).toEqual({ "You have written with": ["Chloé Marchand", "Maryam Al-Saleh"] });
    type("MA");
    expect(groups()).toEqual({ "You have written with": ["Chloé Marchand", "Maryam Al-Saleh"] });
    expect(asked).toEqual([]);
    await pass(300);
    await waitFor(() =>
      expect(groups()).toEqual({
        "You have written with": ["Chloé Marchand", "Maryam Al-Saleh"],
        Everybody: ["Marek Kowal"],
      }),
    );
    expect(status()).toContain("3 people");
    expect([...document.querySelectorAll("mark")].map((mark) => mark.textContent)).toEqual(["Ma", "Ma", "Ma"]);
    expect(screen.getByText("Team Nairobi")).toBeTruthy();
  });

  it("are asked for when one pauses, and at most twice a second", async () => {
    finds(() => foundPeople(MAREK));
    await openPicker();
    for (const text of ["m", "ma", "mar"]) {
      type(text);
      await pass(100);
    }
    expect(asked).toEqual([]);
    await pass(200);
    expect(asked).toEqual(["mar"]);
    type(" mare ");
    await pass(260);
    expect(asked).toEqual(["mar"]);
    await pass(260);
    expect(asked).toEqual(["mar", "mare"]);
    type("x".repeat(65));
    await pass(1000);
    expect(asked).toEqual(["mar", "mare"]);
  });

  it("are those of the newest question, though an older answer comes after it", async () => {
    const answers = new Map<string, (response: Response) => void>();
    finds((text) => new Promise((resolve) => answers.set(text, resolve)));
    await openPicker();
    type("mar");
    await pass(300);
    type("mary");
    await pass(600);
    answers.get("mary")?.(foundPeople(MARY));
    await waitFor(() => expect(groups()).toEqual({ Everybody: ["Maryam Al-Saleh"] }));
    answers.get("mar")?.(foundPeople(MARY, MAREK));
    await pass(50);
    expect(groups()).toEqual({ Everybody: ["Maryam Al-Saleh"] });
  });

  it("stay, as far as they fit, until the next answer is here", async () => {
    finds((text) => (text === "mar" ? foundPeople(MARY, MAREK) : new Promise(() => undefined)));
    await openPicker();
    type("mar");
    await pass(300);
    await waitFor(() => expect(groups()).toEqual({ Everybody: ["Maryam Al-Saleh", "Marek Kowal"] }));
    type("mare");
    expect(groups()).toEqual({ Everybody: ["Marek Kowal"] });
    await pass(600);
    expect(groups()).toEqual({ Everybody: ["Marek Kowal"] });
  });

  it("also are found by the list's own search", async () => {
    named("c1", "Chloé Marchand");
    server.has("c1", "Salut");
    finds(() => foundPeople(MAREK));
    await openPicker();
    press("Escape");
    fireEvent.change(screen.getByRole("searchbox"), { target: { value: "mar" } });
    await pass(300);
    const row = (id: string): string | null | undefined => document.querySelector(`a[href="#/${id}"]`)?.textContent;
    await waitFor(() => expect(row("m2")).toBe("MKMarek KowalWorkshop, ground floor"));
    expect(row("c1")).toContain("Chloé Marchand");
  });
});

it("gives the one whom it found their name as long as the server tells none, and forgets it with the user", async () => {
  finds(() => foundPeople(MAREK));
  await openPicker();
  type("mar");
  await pass(300);
  await waitFor(() => expect(active()).toBe("Marek Kowal"));
  press("Enter");
  expect(await screen.findByRole("heading", { name: "Marek Kowal" })).toBeTruthy();
  await screen.findByText("Say hello to Marek Kowal");
  act(() => client.conversation("m2").setDraft("Hello"));
  expect(client.inbox.getSnapshot().entries.map(({ user }) => user.name)).toEqual(["Marek Kowal"]);
  await act(() => client.signOut());
  expect(client.conversation("m2").getSnapshot().peer).toBeNull();
});

it("gives them that name on the next page, too: their conversation, and the row of a draft for them", async () => {
  const storage = new MemoryStorage();
  const page = (): RealtimeService =>
    new RealtimeService({ url: "http://127.0.0.1/api", environment: { fetch: server.fetch }, storage });
  client = page();
  finds(() => foundPeople(MAREK));
  await openPicker();
  type("mar");
  await pass(300);
  await waitFor(() => expect(active()).toBe("Marek Kowal"));
  press("Enter");
  await screen.findByText("Say hello to Marek Kowal");
  act(() => client.conversation("m2").setDraft("Hello"));
  await pass(500);
  cleanup();
  client.disconnect();

  client = page();
  client.connect("ada");
  await client.inbox.load();
  expect(client.inbox.getSnapshot().entries.map(({ user }) => user.name)).toEqual(["Marek Kowal"]);
  await client.conversation("m2").load();
  expect(client.conversation("m2").getSnapshot().peer?.name).toBe("Marek Kowal");
  client.disconnect();
  server.people.set("m2", { id: "m2", name: "Marek K.", avatar_url: null });

  client = page();
  client.connect("ada");
  await client.conversation("m2").load();
  expect(client.conversation("m2").getSnapshot().peer?.name).toBe("Marek K.");
  await client.signOut();

  server.people.clear();
  client = page();
  client.connect("ada");
  await client.conversation("m2").load();
  expect(client.conversation("m2").getSnapshot().peer?.name).toBe("m2");
});

describe("a search that does not answer well", () => {
  it("waits as long as the server says, says so, and goes on by itself", async () => {
    let isBusy = true;
    finds(() => {
      if (!isBusy) return foundPeople(MAREK);
      const { body, status, headers } = problem(429, "rate_limited", "That was too often.");
      return new Response(body, { status, headers: { ...Object.fromEntries(headers), "Retry-After": "3" } });
    });
    await openPicker();
    type("mar");
    await pass(300);
    await waitFor(() => expect(status()).toContain("The search is busy. It goes on by itself in a moment."));
    isBusy = false;
    type("mare");
    await pass(2000);
    expect(asked).toEqual(["mar"]);
    await pass(1200);
    expect(asked).toEqual(["mar", "mare"]);
    await waitFor(() => expect(groups()).toEqual({ Everybody: ["Marek Kowal"] }));
  });

  it("leaves those of one's conversations there, and one sentence with a way to try again", async () => {
    named("c1", "Chloé Marchand");
    server.has("c1", "Salut");
    let isBroken = true;
    finds(() => (isBroken ? problem(500, "internal", "Something broke.") : foundPeople(MAREK)));
    await openPicker();
    type("mar");
    await pass(300);
    await waitFor(() => expect(status()).toContain("Could not search among everybody.Try again"));
    expect(groups()).toEqual({ "You have written with": ["Chloé Marchand"] });
    isBroken = false;
    fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    await pass(600);
    await waitFor(() => expect(groups()["Everybody"]).toEqual(["Marek Kowal"]));
    expect(screen.queryByText(/Could not search/)).toBeNull();
  });

  it("is not asked again when the host has none", async () => {
    finds(() => problem(404, "not_found", "There is nothing here."));
    await openPicker();
    type("mar");
    await pass(300);
    await screen.findByText("Nobody called “mar”");
    expect(screen.getByText("Here you find people you have written with.")).toBeTruthy();
    type("mare");
    await pass(1000);
    expect(asked).toEqual(["mar"]);
  });
});

describe("the field of New message", () => {
  const suggestions = ["Ben", "Mira", "Zoë"].map((name) => ({ id: name, name, avatar_url: null }));

  it("chooses by arrows, Home and End, and opens by Enter; the focus stays in it", async () => {
    await openPicker({ suggestions });
    expect([field().getAttribute("aria-expanded"), active()]).toEqual(["true", undefined]);
    press("Enter");
    expect(opened).toEqual([]);
    press("ArrowDown");
    expect(active()).toBe("Ben");
    press("End");
    expect(active()).toBe("Zoë");
    press("ArrowDown");
    expect(active()).toBe("Zoë");
    press("ArrowUp");
    expect(active()).toBe("Mira");
    expect(document.activeElement).toBe(field());
    press("Home");
    expect(active()).toBe("Ben");
    press("Enter");
    expect(opened).toEqual(["Ben"]);
  });

  it("offers the first as soon as something is typed, and leaves Home and End to the caret", async () => {
    await openPicker({ suggestions });
    type("i");
    expect(active()).toBe("Mira");
    // Not prevented: the browser moves the caret.
    expect([press("Home"), press("End")]).toEqual([true, true]);
    press("Enter");
    expect(opened).toEqual(["Mira"]);
  });

  it("keeps whom one has chosen where an answer puts others beside them", async () => {
    finds(() => foundPeople({ id: "Mia", name: "Mia" }, MARY));
    await openPicker({ suggestions: [...suggestions, { id: "Mila", name: "Mila", avatar_url: null }] });
    type("m");
    press("ArrowDown");
    expect(active()).toBe("Mila");
    await pass(300);
    await waitFor(() => expect(groups()["Everybody"]).toHaveLength(4));
    expect(active()).toBe("Mila");
  });

  it("takes no user id, unless the host allows it", async () => {
    render(
      <TidingsProvider client={client}>
        <InboxList isWriting onOpen={(id) => opened.push(id)} hrefFor={(id) => `#/${id}`} />
      </TidingsProvider>,
    );
    client.connect("ada");
    expect(await screen.findByText("Nobody to choose yet")).toBeTruthy();
    type("zelda");
    press("Enter");
    expect(opened).toEqual([]);
    expect(screen.queryByRole("listbox")).toBeNull();
    expect(screen.getByText("Nobody called “zelda”")).toBeTruthy();
    expect(field().getAttribute("aria-expanded")).toBe("false");
  });

  it("asks for an id alone where nobody can be found by name, and says so below", async () => {
    await openPicker({ rawIds: true, peopleSearch: false });
    const label = (): (string | null)[] => [field().getAttribute("aria-label"), field().placeholder];
    expect(label()).toEqual(["To whom? A user id", "To whom? A user id"]);
    expect(screen.getByText("Nobody to choose yet")).toBeTruthy();
    const hint = "Type the user id of the person, exactly as it is.";
    expect(screen.getByText(hint).closest(".tidings-empty")).toBeTruthy();
    press("Enter");
    expect(screen.getByText(hint).getAttribute("role")).toBe("alert");
    act(() => void server.receives("ben", "Hello"));
    await waitFor(() => expect(label()).toEqual(["To whom? Name or user id", "To whom? Name or user id"]));
  });

  it("takes one only when nobody of that name is found", async () => {
    finds((text) => foundPeople(...(text === "Ben" ? [{ id: "2", name: "Ben" }] : [])));
    await openPicker({ rawIds: true });
    type("Ben");
    press("Enter");
    expect(opened).toEqual([]);
    await pass(300);
    await waitFor(() => expect(active()).toBe("Ben"));
    expect(screen.queryByText("Write to “Ben”")).toBeNull();
    type("zelda");
    await pass(600);
    await waitFor(() => expect(active()).toBe("Write to “zelda”"));
    press("Enter");
    expect(opened).toEqual(["zelda"]);
  });

  it("offers an id that differs by its case from one that somebody has, and none that nobody can have", async () => {
    server.has("ben", "Well?");
    await openPicker({ rawIds: true, peopleSearch: false });
    const options = (): string[] =>
      screen.queryAllByRole("option").map((each) => each.querySelector(".tidings-entry-name")?.textContent ?? "");
    type("ben");
    expect(options()).toEqual(["ben"]);
    type("BEN");
    expect(options()).toEqual(["ben", "Write to “BEN”"]);
    for (const [typed, why] of [
      ["a/b", "A user id has no / or \\."],
      ["me", "“me” is not a user id."],
      ["ada", "That is you. Type the id of somebody else."],
    ] as const) {
      type(typed);
      expect(options()).toEqual([]);
      expect(screen.getByText(why)).toBeTruthy();
      press("Enter");
      expect(screen.getByText(why).getAttribute("role")).toBe("alert");
    }
    expect(opened).toEqual([]);
  });
});

it("shows that somebody is online, where a screen knows it", async () => {
  named("c1", "Chloé Marchand");
  server.has("c1", "Salut");
  server.has("ada", "Salut !", { recipient_id: "c1" });
  server.online = true;
  await openPicker({ chatUserId: "c1" });
  const option = await screen.findByRole("option", { name: /Chloé Marchand/ });
  await waitFor(() => expect(option.textContent).toContain("online"));
  expect(option.querySelector("[data-online=true]")).toBeTruthy();
});
