// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import { createElement, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryServer, problem } from "../../../test/react/server.js";
import { RealtimeService } from "../../service.js";
import { Inbox, InboxList, TidingsProvider, type InboxProps } from "../index.js";

let server: MemoryServer;
let client: RealtimeService;
let opened: string[];

beforeEach(() => {
  server = new MemoryServer("ada");
  client = new RealtimeService({ url: "http://127.0.0.1/api", environment: { fetch: server.fetch } });
  opened = [];
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  cleanup();
  client.disconnect();
});

const named = (id: string, name: string): void => void server.people.set(id, { id, name, avatar_url: null });
const hrefFor = (id: string): string => `#/${id}`;

async function openList(activeId: string | null = null): Promise<void> {
  render(
    <TidingsProvider client={client}>
      <InboxList
        activeId={activeId}
        onOpen={(id) => opened.push(id)}
        hrefFor={hrefFor}
        suggestions={[
          { id: "ada", name: "Ada", avatar_url: null },
          { id: "ben", name: "Ben Lindqvist", avatar_url: null },
          { id: "9", name: "Linnéa Palm", avatar_url: null },
        ]}
        rawIds
      />
    </TidingsProvider>,
  );
  client.connect("ada");
  await waitFor(() => expect(client.isConnected()).toBe(true));
  await waitFor(() => expect(client.inbox.getSnapshot().loaded).toBe(true));
}

/** The row of this person, as it is read. */
const row = (name: RegExp): HTMLElement => screen.getByRole("link", { name });
const lineOf = (name: RegExp): [string | undefined, string | null | undefined] => {
  const line = row(name).querySelector<HTMLElement>(".tidings-entry-text");
  return [line?.dataset["kind"], line?.textContent];
};

describe("the row of a conversation", () => {
  it("shows what is begun in it, unless it is the open one, where one sees it", async () => {
    named("ben", "Ben");
    server.has("ben", "Well?");
    await openList();
    act(() => client.conversation("ben").setDraft("Ten o’clock, but"));
    await waitFor(() => expect(lineOf(/^Ben/)).toEqual(["draft", "Draft: Ten o’clock, but"]));
    cleanup();
    await openList("ben");
    expect(lineOf(/^Ben/)).toEqual(["text", "Well?"]);
  });

  it("has a clock while a message waits, and says what was not sent", async () => {
    server.has("ben", "Well?");
    await openList();
    let answer: (response: Response) => void = () => undefined;
    server.sendAnswers.push(() => new Promise((resolve) => (answer = resolve)));
    act(() => void client.conversation("ben").send("One moment"));
    await waitFor(() => expect(lineOf(/ben/)).toEqual(["text", "You: One moment"]));
    expect(within(row(/ben/)).getByTitle("Sending")).toBeTruthy();
    answer(problem(422, "control_characters", "The text has a control character."));
    await waitFor(() => expect(lineOf(/ben/)).toEqual(["failed", "Not sent: One moment"]));
    expect(within(row(/ben/)).getByText("Not sent")).toBeTruthy();
  });

  it("is there for somebody whom nothing has reached yet", async () => {
    server.has("ben", "Well?");
    await openList();
    server.sendAnswers.push(() => problem(404, "unknown_person", "Nobody has this user id."));
    act(() => void client.conversation("Zelda").send("Hello?"));
    await waitFor(() => expect(lineOf(/^ZZelda|^Zelda/)).toEqual(["failed", "Not sent: Hello?"]));
  });

  it("shows that they type, for five seconds or until the message comes", async () => {
    named("ben", "Ben");
    server.has("ben", "Well?");
    await openList();
    server.signals("typing", { chat_user_id: "ben" });
    await waitFor(() => expect(lineOf(/^Ben/)).toEqual(["typing", "typing…"]));
    server.receives("ben", "Here");
    await waitFor(() => expect(lineOf(/^Ben/)).toEqual(["text", "Here"]));
  });

  it("has the time of today, and is of yesterday when midnight is past", async () => {
    vi.useFakeTimers({ now: new Date(2026, 2, 10, 23, 59, 40), shouldAdvanceTime: true });
    server.has("ben", "Good night");
    await openList();
    expect(row(/ben/).querySelector("time")?.textContent).toContain("11:59");
    act(() => void vi.advanceTimersByTime(21_000));
    expect(row(/ben/).querySelector("time")?.textContent).toBe("Yesterday");
  });
});

describe("the list", () => {
  const search = (): HTMLInputElement => screen.getByRole("searchbox", { name: "Search people and conversations" });
  const names = (): (string | null | undefined)[] =>
    screen.queryAllByRole("link").map((link) => link.querySelector(".tidings-entry-name")?.textContent);
  const seek = (text: string): void => void fireEvent.change(search(), { target: { value: text } });

  beforeEach(() => {
    named("ben", "Ben Lindqvist");
    named("chloe", "Chloé Marchand");
    server.has("ben", "Well?");
    server.has("chloe", "Salut");
  });

  it("is searched for names, without regard to case and accents; people without a conversation are found, too", async () => {
    await openList();
    seek("LIN");
    await waitFor(() => expect(names()).toEqual(["Ben Lindqvist", "Linnéa Palm"]));
    expect([...document.querySelectorAll("mark")].map((mark) => mark.textContent)).toEqual(["Lin", "Lin"]);
    expect(screen.getAllByRole("heading", { level: 3 }).map((title) => title.textContent)).toEqual([
      "Conversations",
      "People",
    ]);
    seek("cHLoe");
    await waitFor(() => expect(names()).toEqual(["Chloé Marchand"]));
    expect(document.querySelector("mark")?.textContent).toBe("Chloé");
    fireEvent.keyDown(search(), { key: "Enter" });
    expect(opened).toEqual(["chloe"]);
    expect(search().value).toBe("");
  });

  it("opens for Enter who is sought, also while the list is some letters behind", async () => {
    await openList();
    vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", false); // else React draws everything at once
    const field = search();
    const type = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")?.set;
    type?.call(field, "chloe");
    field.dispatchEvent(new Event("input", { bubbles: true }));
    await Promise.resolve();
    expect(names()).toHaveLength(2);
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    await vi.waitFor(() => expect(opened).toEqual(["chloe"]));
  });

  it("says that nobody is found, and comes back whole", async () => {
    await openList();
    seek("zelda");
    expect(await screen.findByText("Nobody called “zelda”")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Clear the search" }));
    await waitFor(() => expect(names()).toHaveLength(2));
    expect(document.activeElement).toBe(search());
  });

  it("leads to an id that nobody is found by, as New message does, where the host allows one", async () => {
    await openList();
    seek("erik");
    await waitFor(() => expect(names()).toEqual(["Write to “erik”"]));
    expect(screen.getByText("Neither in your conversations nor among people.")).toBeTruthy();
    fireEvent.keyDown(search(), { key: "Enter" });
    expect(opened).toEqual(["erik"]);
    seek("lin");
    await waitFor(() => expect(names()).toEqual(["Ben Lindqvist", "Linnéa Palm"]));
    seek("ada");
    await waitFor(() => expect(names()).toEqual([]));
    expect(screen.getByText("That is you. Type the id of somebody else.")).toBeTruthy();
  });

  it("says that it looked among one's conversations where it has nobody else", async () => {
    render(
      <TidingsProvider client={client}>
        <InboxList onOpen={(id) => opened.push(id)} hrefFor={hrefFor} />
      </TidingsProvider>,
    );
    client.connect("ada");
    await waitFor(() => expect(names()).toHaveLength(2));
    seek("erik");
    expect(await screen.findByText("Nobody called “erik”")).toBeTruthy();
    expect(screen.getByText("Here you find people you have written with.")).toBeTruthy();
    expect(names()).toEqual([]);
  });

  it("shows what is unread alone, with the number of all that is", async () => {
    await openList();
    server.readUpto = 1;
    server.receives("ben", "Hello?");
    const unread = await screen.findByRole("button", { name: /^Unread/ });
    fireEvent.click(unread);
    await waitFor(() => expect(names()).toContain("Ben Lindqvist"));
    expect(unread.getAttribute("aria-pressed")).toBe("true");
    expect(unread.textContent).toMatch(/^Unread\d/);
  });
});

describe("New message", () => {
  const field = (): HTMLInputElement => screen.getByRole("combobox", { name: "To whom? Name or user id" });
  const options = (): (string | null)[] => screen.queryAllByRole("option").map((option) => option.textContent);
  const type = (text: string): void => void fireEvent.change(field(), { target: { value: text } });

  it("finds people by name, so that nobody writes to a user called Ben who is user 2", async () => {
    named("2", "Ben");
    server.has("2", "Well?");
    await openList();
    fireEvent.click(screen.getByRole("button", { name: "New message" }));
    expect(options()).toEqual(["BBen", "BLBen Lindqvist", "LPLinnéa Palm"]);
    type("ben");
    expect(options()).toEqual(["BBen", "BLBen Lindqvist"]);
    fireEvent.keyDown(field(), { key: "Enter" });
    expect(opened).toEqual(["2"]);
  });

  it("takes a user id whose name is not known, chosen by the arrow keys or alone", async () => {
    server.has("ben", "Well?");
    await openList();
    fireEvent.click(screen.getByRole("button", { name: "New message" }));
    type("lin");
    expect(options()).toEqual(["BLBen Lindqvist", "LPLinnéa Palm", "LWrite to “lin”"].slice(-options().length));
    fireEvent.keyDown(field(), { key: "ArrowDown" });
    fireEvent.keyDown(field(), { key: "ArrowDown" });
    expect(document.getElementById(field().getAttribute("aria-activedescendant") ?? "")?.textContent).toContain(
      "Write to “lin”",
    );
    fireEvent.keyDown(field(), { key: "Enter" });
    expect(opened).toEqual(["lin"]);
  });
});

describe("the keys of the inbox", () => {
  let palette: number;
  const count = (event: KeyboardEvent): void => {
    if (event.ctrlKey && event.key === "k") palette += 1;
  };
  const page = (more: Partial<InboxProps> = {}): ReactNode => (
    <TidingsProvider client={client}>
      <Inbox chatUserId="ben" onOpen={(id) => opened.push(id)} onClose={() => undefined} hrefFor={hrefFor} {...more} />
    </TidingsProvider>
  );
  const press = (target: Element): void =>
    void fireEvent.keyDown(target, { key: "k", ctrlKey: true, bubbles: true, composed: true });

  beforeEach(() => {
    palette = 0;
    document.addEventListener("keydown", count);
    server.has("ben", "Well?");
  });
  afterEach(() => document.removeEventListener("keydown", count));

  async function connected(): Promise<void> {
    client.connect("ada");
    await waitFor(() => expect(client.inbox.getSnapshot().loaded).toBe(true));
  }

  it("are not heard by the host where the focus is in it, and are the host's elsewhere", async () => {
    render(page());
    await connected();
    press(document.body);
    expect(palette).toBe(1);
    expect(document.activeElement).toBe(document.body);
    press(await screen.findByRole("textbox", { name: /^Message/ }));
    expect(palette).toBe(1);
    expect(document.activeElement).toBe(screen.getByRole("searchbox"));
  });

  it("work on a page that has nothing else wherever the focus is", async () => {
    render(page({ isPage: true }));
    await connected();
    await screen.findByRole("link");
    press(document.body);
    expect(document.activeElement).toBe(screen.getByRole("searchbox"));
  });

  it("work in a shadow root", async () => {
    const host = document.body.appendChild(document.createElement("div"));
    const place = host.attachShadow({ mode: "open" }).appendChild(document.createElement("div"));
    const root = createRoot(place);
    await act(async () => root.render(createElement(() => page())));
    await act(connected);
    const field = place.querySelector<HTMLElement>(".tidings-composer textarea");
    field?.focus();
    await act(async () => press(field as HTMLElement));
    expect(palette).toBe(0);
    expect((place.getRootNode() as ShadowRoot).activeElement?.className).toBe("tidings-input");
    await act(async () => root.unmount());
    host.remove();
  });
});
