// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import { StrictMode } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryServer, problem } from "../../../test/react/server.js";
import { RealtimeService } from "../../service.js";
import type { Notice, PageEvent, RealtimeOptions } from "../../types.js";
import { ChatScreen, InboxList, TidingsProvider, useRealtimeMessages, type CustomMessage } from "../index.js";

let server: MemoryServer;
let client: RealtimeService;
let notices: Notice[];
/** How far the client's clock is ahead, ms: what takes long is reached by moving it. */
let ahead: number;

/** A client of ada's over the server in memory. */
function newClient(more: Partial<RealtimeOptions> = {}): RealtimeService {
  return new RealtimeService({
    url: "http://127.0.0.1/api",
    ...more,
    environment: { fetch: server.fetch, now: () => Date.now() + ahead, ...more.environment },
  });
}

beforeEach(() => {
  server = new MemoryServer("ada");
  ahead = 0;
  client = newClient();
  notices = [];
});

afterEach(() => {
  cleanup();
  client.disconnect();
});

/** The screen tells it to those who style it; those who read it are told only what is not fine. */
async function connectionIs(status: string): Promise<void> {
  await waitFor(() =>
    expect(screen.getByRole("region", { name: /^Messages with/ }).getAttribute("data-connection")).toBe(status),
  );
}

/** The conversation with ben, connected, as a strict application renders it. */
async function openBen(): Promise<void> {
  render(
    <StrictMode>
      <TidingsProvider client={client}>
        <ChatScreen chatUserId="ben" chatUserName="Ben" onNotice={(notice) => notices.push(notice)} />
      </TidingsProvider>
    </StrictMode>,
  );
  client.connect("ada");
  await connectionIs("connected");
  await waitFor(() => expect(client.conversation("ben").getSnapshot().loaded).toBe(true));
}

const field = (): HTMLTextAreaElement => screen.getByRole("textbox", { name: "Message Ben" });

function type(text: string): void {
  fireEvent.change(field(), { target: { value: text } });
}

function says(text: string): void {
  type(text);
  fireEvent.keyDown(field(), { key: "Enter" });
}

/** The message with this text, as the list holds it. */
function bubble(text: string): HTMLElement {
  return screen.getByText(text).closest("article") as HTMLElement;
}

describe("a conversation on the screen", () => {
  it("says that a conversation begins here", async () => {
    await openBen();
    expect(await screen.findByText("This is the beginning of your conversation.")).toBeTruthy();
  });

  it("shows history, oldest first, with its times", async () => {
    server.has("ben", "Hello");
    server.has("ada", "Hi there");
    await openBen();
    const list = await screen.findByRole("list", { name: "Messages with Ben" });
    await within(list).findByText("Hello");
    const articles = within(list).getAllByRole("article");
    expect(articles.map((article) => article.querySelector(".tidings-words")?.textContent)).toEqual([
      "Hello",
      "Hi there",
    ]);
    const times = articles.map((article) => article.querySelector("time")?.getAttribute("datetime"));
    expect(times).toEqual(server.messages.map((message) => message.createdAt));
  });

  it("shows what is written while nothing can be loaded", async () => {
    server.has("ben", "earlier");
    server.historyAnswer = () => new Promise(() => undefined);
    render(
      <TidingsProvider client={client}>
        <ChatScreen chatUserId="ben" chatUserName="Ben" />
      </TidingsProvider>,
    );
    client.connect("ada");
    await connectionIs("connected");
    server.sendAnswers.push(() => new Promise(() => undefined));
    says("into the dark");
    await waitFor(() => expect(bubble("into the dark")).toBeTruthy());
    expect(screen.queryByText("earlier")).toBeNull();
  });

  it("shows what arrives, once", async () => {
    await openBen();
    server.receives("ben", "Are you there?");
    expect(await screen.findAllByText("Are you there?")).toHaveLength(1);
  });

  it("shows HTML in a message as the text that it is", async () => {
    server.has("ben", '<img src="x" onerror="alert(1)"><b>bold</b>');
    await openBen();
    expect(await screen.findByText('<img src="x" onerror="alert(1)"><b>bold</b>')).toBeTruthy();
    expect(screen.queryByText("bold")).toBeNull();
  });

  it("loads no earlier page for own messages alone, which are never unread", async () => {
    server.has("ben", "Hello");
    server.readUpto = 1;
    for (let i = 0; i < 120; i++) server.has("ada", `own ${i}`);
    client.connect("ada");
    await client.inbox.load();
    await openBen();
    expect(await screen.findByText("own 119")).toBeTruthy();
    expect(server.requests.filter((request) => request === "GET /ben")).toHaveLength(1);
  });

  it("loads as many earlier messages as are unread before it shows any", async () => {
    for (let i = 0; i < 120; i++) server.has("ben", `unread ${i}`);
    await openBen();
    expect(await screen.findByText("unread 0")).toBeTruthy();
    expect(screen.getByText("120 new messages")).toBeTruthy();
    expect(server.requests.filter((request) => request === "GET /ben")).toHaveLength(2);
  });

  it("says of a message whose sender was erased that there was one", async () => {
    server.has("ben", "", { message_type: "deleted" });
    await openBen();
    const deleted = await screen.findByRole("article", { name: /Message deleted/ });
    expect(deleted.querySelector(".tidings-words")?.textContent).toBe("Message deleted");
  });

  it("lets the host draw messages of its own types, and shows the text of those it does not draw", async () => {
    server.has("ben", "52.5,13.4", { message_type: "place" });
    server.has("ben", "a wave", { message_type: "wave" });
    server.has("ada", "plain");
    const drawn: CustomMessage[] = [];
    render(
      <TidingsProvider client={client}>
        <ChatScreen
          chatUserId="ben"
          renderMessage={(message) => {
            drawn.push(message);
            return message.message_type === "place" ? <b>a map of {message.text}</b> : undefined;
          }}
        />
      </TidingsProvider>,
    );
    client.connect("ada");
    expect(await screen.findByText("a map of 52.5,13.4")).toBeTruthy();
    expect(screen.getByText("a wave").className).toBe("tidings-words");
    expect(drawn.map(({ text, own, seq }) => [text, own, seq])).toContainEqual(["52.5,13.4", false, 1]);
    expect(new Set(drawn.map((message) => message.message_type))).toEqual(new Set(["place", "wave"]));
  });

  it("announces an incoming message in the one live region, and history not at all", async () => {
    server.has("ben", "Old news");
    await openBen();
    await screen.findByText("Old news");
    server.receives("ben", "Fresh news");
    await waitFor(() => expect(screen.getByRole("status").textContent).toBe("New message from Ben: Fresh news"));
    // One for what can wait, one for failures.
    expect([...document.querySelectorAll("[aria-live]")].map((region) => region.getAttribute("aria-live"))).toEqual([
      "polite",
      "assertive",
    ]);
  });

  it("shows that the other is typing, in words", async () => {
    await openBen();
    server.signals("typing", { chat_user_id: "ben" });
    expect(await screen.findByText("typing…")).toBeTruthy();
  });

  it("is one stop of the Tab key, in which arrow keys, Home and End move", async () => {
    for (const text of ["one", "two", "three"]) server.has("ben", text);
    await openBen();
    await screen.findByText("three");
    const stops = screen.getAllByRole("article").map((article) => article.tabIndex);
    expect(stops).toEqual([-1, -1, 0]);
    bubble("three").focus();
    for (const [key, text] of [
      ["ArrowUp", "two"],
      ["Home", "one"],
      ["ArrowUp", "one"],
      ["ArrowDown", "two"],
      ["End", "three"],
    ] as const) {
      fireEvent.keyDown(document.activeElement as Element, { key });
      expect(document.activeElement).toBe(bubble(text));
    }
    expect(bubble("three").tabIndex).toBe(0);
  });

  it.each([
    ["a/b", "Nobody has this address", "A user id has no / or \\."],
    ["me", "Nobody has this address", "“me” is not a user id."],
    ["", "No conversation chosen", null],
  ])("with %j, which is nobody's id, says so, and asks the server for nothing", async (id, title, why) => {
    const back = vi.fn();
    render(
      <TidingsProvider client={client}>
        <ChatScreen chatUserId={id} onBack={back} />
      </TidingsProvider>,
    );
    client.connect("ada");
    const region = within(screen.getByRole("region", { name: title }));
    expect(region.queryByText(/^A user id|is not a user id/)?.textContent ?? null).toBe(why);
    expect(screen.queryByRole("textbox")).toBeNull();
    fireEvent.click(region.getByRole("button", { name: "Back to conversations" }));
    expect(back).toHaveBeenCalledOnce();
    await waitFor(() => expect(server.streams.size).toBe(1));
    expect(server.requests.filter((each) => !/sse|events|inbox/.test(each))).toEqual([]);
  });

  // shows: complaints/14
  it("opens one stream and loads once under StrictMode, and closes nothing when it goes", async () => {
    await openBen();
    expect(server.requests.filter((request) => request === "GET /sse/ada")).toHaveLength(1);
    cleanup();
    expect(server.streams.size).toBe(1);
    await openBen();
    expect(server.requests.filter((request) => request === "GET /sse/ada")).toHaveLength(1);
  });

  it("can be rendered where there is no page", () => {
    const html = renderToString(
      <TidingsProvider client={client}>
        <InboxList onOpen={() => undefined} hrefFor={(id) => `#${id}`} />
        <ChatScreen chatUserId="ben" chatUserName="Ben" />
      </TidingsProvider>,
    );
    expect(html).toContain("Message Ben");
    expect(server.requests).toEqual([]);
  });
});

describe("the composer", () => {
  it("sends with Enter, clears itself and keeps the focus", async () => {
    await openBen();
    says("Good morning");
    expect(field().value).toBe("");
    expect(document.activeElement).toBe(field());
    expect(await screen.findAllByText("Good morning")).toHaveLength(1);
    await waitFor(() => expect(server.messages.map((message) => message.text)).toEqual(["Good morning"]));
  });

  it("starts a line with Shift+Enter", async () => {
    await openBen();
    type("one");
    expect(fireEvent.keyDown(field(), { key: "Enter", shiftKey: true })).toBe(true);
    expect(field().value).toBe("one");
  });

  // shows: complaints/11
  it.each([
    ["isComposing", { key: "Enter", isComposing: true }],
    ["key code 229", { key: "Enter", keyCode: 229 }],
  ])("does not send while an input method composes (%s)", async (_, event) => {
    await openBen();
    type("にほ");
    fireEvent.keyDown(field(), event);
    expect(field().value).toBe("にほ");
    expect(client.conversation("ben").getSnapshot().pending).toEqual([]);
  });

  it.each(["", "   ", "\n"])("cannot send %j", async (text) => {
    await openBen();
    type(text);
    expect(screen.getByRole<HTMLButtonElement>("button", { name: "Send" }).disabled).toBe(true);
  });

  it("counts bytes from nine tenths of the limit, and keeps what is too long", async () => {
    server.textBytes = 20;
    await openBen();
    type("a".repeat(17));
    expect(screen.queryByText(/left/)).toBeNull();
    type("é".repeat(9));
    expect(screen.getByText("2 bytes left")).toBeTruthy();
    type("é".repeat(11));
    expect(screen.getByText(/Too long by 2 bytes/)).toBeTruthy();
    fireEvent.keyDown(field(), { key: "Enter" });
    expect(field().value).toBe("é".repeat(11));
    expect(server.messages).toEqual([]);
  });

  it("keeps a draft for each conversation", async () => {
    const show = (id: string, name: string) => (
      <TidingsProvider client={client}>
        <ChatScreen chatUserId={id} chatUserName={name} />
      </TidingsProvider>
    );
    const { rerender } = render(show("ben", "Ben"));
    type("not yet finished");
    rerender(show("cleo", "Cleo"));
    expect(screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message Cleo" }).value).toBe("");
    rerender(show("ben", "Ben"));
    expect(field().value).toBe("not yet finished");
  });
});

describe("an own message", () => {
  // shows: complaints/4
  it("is a clock, then a tick, then two, then two filled ones", async () => {
    await openBen();
    let acknowledge = (): void => undefined;
    server.sendAnswers.push(
      () =>
        new Promise((resolve) => {
          acknowledge = () => {
            server.has("ada", "Lunch?", { client_id: client.conversation("ben").getSnapshot().pending[0]!.client_id });
            resolve(Response.json({ success: true, message: server.messages[0] }, { status: 201 }));
          };
        }),
    );
    const tick = (): string | null | undefined => bubble("Lunch?").querySelector(".tidings-tick")?.textContent;
    says("Lunch?");
    await waitFor(() => expect(tick()).toBe("Sending"));
    const element = bubble("Lunch?");
    acknowledge();
    await waitFor(() => expect(tick()).toBe("Sent"));
    server.receipt("message_delivered", "ben", 1);
    await waitFor(() => expect(tick()).toBe("Delivered"));
    server.receipt("message_read", "ben", 1);
    await waitFor(() => expect(tick()).toBe("Read"));
    expect(bubble("Lunch?")).toBe(element);
    expect(element.getAttribute("aria-label")).toMatch(/^You, .*: Lunch\?, Read$/);
  });

  it("that is refused stays in its place with the reason, and says so once", async () => {
    await openBen();
    server.sendAnswers.push(() => problem(403, "not_allowed", "Ben does not take messages from you"));
    says("Hello?");
    expect(await within(bubble("Hello?")).findByText(/Ben does not take messages from you/)).toBeTruthy();
    expect(bubble("Hello?").querySelector(".tidings-tick")?.textContent).toBe("Not sent");
    expect(notices).toEqual([{ kind: "send_failed", message: "Ben does not take messages from you" }]);
  });

  it("that was refused is sent by Retry", async () => {
    await openBen();
    server.sendAnswers.push(() => problem(403, "not_allowed", "Not now"));
    says("Once more");
    fireEvent.click(await screen.findByRole("button", { name: "Retry" }));
    await waitFor(() => expect(server.messages.map((message) => message.text)).toEqual(["Once more"]));
    await waitFor(() => expect(screen.queryByRole("button", { name: "Retry" })).toBeNull());
    expect(screen.getAllByText("Once more")).toHaveLength(1);
  });

  it("that was refused goes by Delete", async () => {
    await openBen();
    server.sendAnswers.push(() => problem(403, "not_allowed", "Not now"));
    says("Never mind");
    fireEvent.click(await screen.findByRole("button", { name: "Delete" }));
    await waitFor(() => expect(screen.queryByText("Never mind")).toBeNull());
  });
});

/** The platform's observer, as far as the screen uses it: the test says what is in view. */
class Eyes implements Pick<IntersectionObserver, "observe" | "unobserve" | "disconnect"> {
  static readonly open = new Set<Eyes>();
  readonly #watched = new Set<Element>();

  constructor(readonly callback: (entries: { target: Element; isIntersecting: boolean }[]) => void) {
    Eyes.open.add(this);
  }

  static see(isIntersecting: boolean): void {
    for (const eyes of Eyes.open) eyes.callback([...eyes.#watched].map((target) => ({ target, isIntersecting })));
  }

  observe(target: Element): void {
    this.#watched.add(target);
  }

  unobserve(target: Element): void {
    this.#watched.delete(target);
  }

  disconnect(): void {
    Eyes.open.delete(this);
  }
}

describe("a message of the other", () => {
  const readUpto = (): number => server.readUpto;
  let focused: boolean;

  beforeEach(() => {
    focused = true;
    vi.stubGlobal("IntersectionObserver", Eyes);
    // There is no layout here: whatever is asked about lies at one point, and on top.
    vi.spyOn(Element.prototype, "getBoundingClientRect").mockReturnValue(new DOMRect(0, 0, 1, 1));
    vi.spyOn(document, "elementFromPoint").mockImplementation(() => document.querySelector("[data-unread-seq]"));
    vi.spyOn(document, "hasFocus").mockImplementation(() => focused);
    server.has("ben", "Seen?");
  });

  afterEach(() => {
    cleanup();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  it("is read after it was in view for half a second", async () => {
    await openBen();
    await screen.findByText("Seen?");
    const from = performance.now();
    Eyes.see(true);
    await waitFor(() => expect(readUpto()).toBe(1));
    expect(performance.now() - from).toBeGreaterThan(490);
  });

  it("is not read when it left the view before", async () => {
    await openBen();
    await screen.findByText("Seen?");
    vi.useFakeTimers();
    try {
      Eyes.see(true);
      await vi.advanceTimersByTimeAsync(400);
      Eyes.see(false);
      await vi.advanceTimersByTimeAsync(5000);
      expect(readUpto()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  // shows: complaints/8
  it("is not read while the page has not the focus, but after it has it again", async () => {
    await openBen();
    await screen.findByText("Seen?");
    vi.useFakeTimers();
    try {
      focused = false;
      Eyes.see(true);
      await vi.advanceTimersByTimeAsync(5000);
      expect(readUpto()).toBe(0);
      focused = true;
      window.dispatchEvent(new Event("focus"));
      await vi.advanceTimersByTimeAsync(2000);
      expect(readUpto()).toBe(1);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("the connection on the screen", () => {
  it("is polling: the guide's sentence and the way back", async () => {
    server.online = true;
    await openBen();
    await screen.findByText("online");
    server.streamAnswer = () => problem(503, "unavailable", "Later");
    for (const stream of server.streams) stream.end();
    await connectionIs("reconnecting");
    expect(screen.queryByText("online")).toBeNull();
    ahead = 15_000;
    expect(await screen.findByText("Connection lost. Using polling mode")).toBeTruthy();
    server.streamAnswer = null;
    fireEvent.click(screen.getByRole("button", { name: "Try to reconnect" }));
    await connectionIs("connected");
    await waitFor(() => expect(screen.queryByText("Connection lost. Using polling mode")).toBeNull());
  });

  it("is no trouble where a hidden page gave its stream back", async () => {
    let page: (event: PageEvent) => void = () => undefined;
    client.disconnect();
    client = newClient({
      environment: {
        watchPage: (fn) => {
          page = fn;
          return () => undefined;
        },
      },
    });
    await openBen();
    page("hidden");
    ahead = 45_000;
    page("hidden");
    await connectionIs("reconnecting");
    ahead = 90_000;
    page("hidden");
    await connectionIs("polling");
    expect(screen.queryByText(/Connection lost/)).toBeNull();
    page("visible");
    await connectionIs("connected");
    expect(screen.queryByText("Back online.")).toBeNull();
  });

  it("is ended by the server: sign in again", async () => {
    server.streamAnswer = () => problem(401, "unauthorized", "Sign in");
    client.disconnect();
    client = newClient({ getToken: () => "dead" });
    render(
      <TidingsProvider client={client}>
        <ChatScreen chatUserId="ben" onNotice={(notice) => notices.push(notice)} />
      </TidingsProvider>,
    );
    client.connect("ada");
    await connectionIs("unauthorized");
    expect(await screen.findByText("Please sign in again.")).toBeTruthy();
    expect(notices.map((notice) => notice.kind)).toContain("unauthorized");
  });
});

describe("useRealtimeMessages", () => {
  it("connects, and has each message once, also with a screen beside it", async () => {
    function Count(): string {
      const { messages, status } = useRealtimeMessages("ada", "ben");
      return `${status}: ${messages.map((message) => message.text).join(", ")}`;
    }
    render(
      <StrictMode>
        <TidingsProvider client={client}>
          <p data-testid="count">
            <Count />
          </p>
          <ChatScreen chatUserId="ben" />
        </TidingsProvider>
      </StrictMode>,
    );
    await screen.findByText("connected:");
    server.receives("ben", "one");
    server.receives("ben", "two");
    await waitFor(() => expect(screen.getByTestId("count").textContent).toBe("connected: one, two"));
    expect(server.requests.filter((request) => request === "GET /sse/ada")).toHaveLength(1);
  });
});

describe("safety", () => {
  const more = (): HTMLElement => screen.getByRole("button", { name: "More about Ben" });
  const press = (name: string): void => void fireEvent.click(screen.getByRole("button", { name }));
  const choose = (name: string): void => void fireEvent.click(screen.getByRole("menuitem", { name }));

  it("shows that the other one is there, and for how long", async () => {
    server.online = true;
    await openBen();
    await screen.findByText("online");
    server.signals("presence", { chat_user_id: "ben", online: false });
    await waitFor(() => expect(screen.queryByText("online")).toBeNull());
    server.signals("presence", { chat_user_id: "ben", online: true });
    await screen.findByText("online");
    server.signals("typing", { chat_user_id: "ben" });
    await screen.findByText("typing…");
    expect(screen.queryByText("online")).toBeNull();
  });

  it("blocks after a question, says so in the composer's place, and takes it back", async () => {
    await openBen();
    fireEvent.click(more());
    expect(more().getAttribute("aria-expanded")).toBe("true");
    choose("Block Ben");
    expect(server.blocked).toBe(false);
    press("Block");
    await screen.findByText("You blocked Ben.");
    expect(server.blocked).toBe(true);
    expect(screen.queryByRole("textbox")).toBeNull();
    expect(document.activeElement).toBe(more());
    press("Unblock");
    await waitFor(() => expect(field()).toBeTruthy());
    expect(server.blocked).toBe(false);
  });

  it("gives the focus back to where one writes when a block is taken back", async () => {
    server.blocked = true;
    await openBen();
    const unblock = await screen.findByRole("button", { name: "Unblock" });
    unblock.focus();
    fireEvent.click(unblock);
    expect(document.activeElement).toBe(unblock); // while the server is asked, too
    await waitFor(() => expect(document.activeElement).toBe(field()));
  });

  it("shows a block that is there already", async () => {
    server.blocked = true;
    await openBen();
    await screen.findByText("You blocked Ben.");
    fireEvent.click(more());
    expect(screen.getAllByRole("menuitem").map((item) => item.textContent)).toEqual(["Report Ben"]);
    expect(screen.getByText("blocked")).toBeTruthy();
  });

  it("keeps the words of a report until it was sent", async () => {
    server.reportAnswer = () => problem(503, "unavailable", "The application could not answer; try again.");
    await openBen();
    fireEvent.click(more());
    choose("Report Ben");
    const reason = screen.getByRole("textbox", { name: "What happened?" }) as HTMLTextAreaElement;
    expect(screen.getByRole<HTMLButtonElement>("button", { name: "Send report" }).disabled).toBe(true);
    fireEvent.change(reason, { target: { value: "He insults me. " } });
    press("Send report");
    await screen.findByText("The application could not answer; try again.");
    expect(reason.value).toBe("He insults me. ");
    server.reportAnswer = null;
    await waitFor(() =>
      expect(screen.getByRole<HTMLButtonElement>("button", { name: "Send report" }).disabled).toBe(false),
    );
    press("Send report");
    await screen.findByText("Your report was sent. Thank you.");
    expect(server.reports).toEqual([{ chatUserId: "ben", reason: "He insults me." }]);
    press("Close");
    expect(document.activeElement).toBe(more());
  });

  it("closes with Escape and blocks nobody", async () => {
    await openBen();
    fireEvent.click(more());
    choose("Block Ben");
    fireEvent.keyDown(screen.getByRole("button", { name: "Block" }), { key: "Escape" });
    expect(screen.queryByRole("button", { name: "Block" })).toBeNull();
    expect(server.blocked).toBe(false);
  });
});

describe("the list of conversations", () => {
  function openInbox(opened: string[]): void {
    render(
      <TidingsProvider client={client}>
        <InboxList onOpen={(id) => opened.push(id)} hrefFor={(id) => `#/${encodeURIComponent(id)}`} rawIds />
      </TidingsProvider>,
    );
    client.connect("ada");
  }

  // shows: complaints/6
  it("names people, the last message and what is unread, whatever the id", async () => {
    server.people.set("50% 🦊|@x", { id: "50% 🦊|@x", name: "Fox", avatar_url: null });
    server.has("50% 🦊|@x", "ring ring");
    const opened: string[] = [];
    openInbox(opened);
    const link = await screen.findByRole("link", { name: /Fox.*ring ring.*1 unread message/ });
    expect(link.getAttribute("href")).toBe("#/50%25%20%F0%9F%A6%8A%7C%40x");
    fireEvent.click(link);
    expect(opened).toEqual(["50% 🦊|@x"]);
  });

  it("marks a person whom one blocks, whose messages count as read", async () => {
    server.has("ben", "again and again");
    server.blocked = true;
    openInbox([]);
    const link = await screen.findByRole("link", { name: /ben.*again and again.*Blocked/ });
    expect(link.textContent).not.toContain("unread");
  });

  it("starts a conversation with anybody, and says what is wrong with an id", async () => {
    const opened: string[] = [];
    openInbox(opened);
    await screen.findByText("No messages yet");
    fireEvent.click(screen.getAllByRole("button", { name: "New message" })[0] as HTMLElement);
    const input = screen.getByRole("combobox", { name: /To whom/ });
    fireEvent.change(input, { target: { value: "a/b" } });
    fireEvent.keyDown(input, { key: "Enter" });
    expect(screen.getAllByRole("alert").map((alert) => alert.textContent)).toContainEqual(expect.stringContaining("/"));
    expect(opened).toEqual([]);
    fireEvent.change(input, { target: { value: " zoe\u0308 " } });
    fireEvent.keyDown(input, { key: "Enter" });
    expect(opened).toEqual(["zoë"]);
  });
});
