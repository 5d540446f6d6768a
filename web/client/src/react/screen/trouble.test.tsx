// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { act } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryServer, problem } from "../../../test/react/server.js";
import { RealtimeService } from "../../service.js";
import type { ConnectionSnapshot } from "../../types.js";
import { Banner, shownStatus, useBanner } from "../parts/banner.js";
import { ChatScreen, Inbox, TidingsProvider, type ChatScreenProps } from "../index.js";

/** The banner takes its two seconds, and what comes back its one, on however slow a machine. */
vi.setConfig({ testTimeout: 30_000 });

let server: MemoryServer;
let client: RealtimeService;

beforeEach(() => {
  server = new MemoryServer("ada");
  client = new RealtimeService({ url: "http://127.0.0.1/api", environment: { fetch: server.fetch } });
});

afterEach(() => {
  vi.useRealTimers();
  cleanup();
  client.disconnect();
});

async function openBen(more: Partial<ChatScreenProps> = {}): Promise<void> {
  render(
    <TidingsProvider client={client}>
      <ChatScreen chatUserId="ben" chatUserName="Ben" {...more} />
    </TidingsProvider>,
  );
  client.connect("ada");
  await waitFor(() => expect(client.isConnected()).toBe(true));
  await waitFor(() => expect(client.conversation("ben").getSnapshot().loaded).toBe(true));
}

const field = (): HTMLTextAreaElement => screen.getByRole("textbox", { name: "Message Ben" });
const type = (text: string): void => void fireEvent.change(field(), { target: { value: text } });
const press = (name: string): void => void fireEvent.click(screen.getByRole("button", { name }));

function says(text: string): void {
  type(text);
  fireEvent.keyDown(field(), { key: "Enter" });
}

/** A refusal that says nothing about who one is. */
const refusal = () => problem(422, "control_characters", "The text has a control character.");
const pending = (): string[] =>
  client
    .conversation("ben")
    .getSnapshot()
    .pending.map((message) => message.text);

describe("what was not sent", () => {
  async function refuseTwo(): Promise<void> {
    await openBen();
    server.sendAnswers.push(refusal, refusal);
    says("one");
    expect(await screen.findByText("The text has a control character.")).toBeTruthy();
    expect(screen.queryByText(/not sent$/)).toBeNull();
    says("two");
    expect(await screen.findByText("2 not sent")).toBeTruthy();
  }

  // shows: complaints/5
  it("from two on stands above, and goes out by one button", async () => {
    await refuseTwo();
    press("Retry all");
    await waitFor(() => expect(server.messages.map((message) => message.text)).toEqual(["one", "two"]));
    await waitFor(() => expect(screen.queryByText("2 not sent")).toBeNull());
    expect(document.activeElement).toBe(field());
  });

  it("goes away by another one", async () => {
    await refuseTwo();
    press("Delete all");
    expect(pending()).toEqual([]);
    expect(screen.queryByText("2 not sent")).toBeNull();
    expect(server.messages).toEqual([]);
  });

  it("gives way to what is said about the connection, without which nothing can be sent", async () => {
    await refuseTwo();
    server.streamAnswer = () => problem(503, "unavailable", "Later");
    for (const stream of server.streams) stream.end();
    expect(await screen.findByText("Connection lost.")).toBeTruthy();
    expect(screen.queryByText("2 not sent")).toBeNull();
  });

  it("is said at once, by the assertive region", async () => {
    await openBen();
    server.sendAnswers.push(refusal);
    says("one");
    await waitFor(() =>
      expect(screen.getByRole("alert").textContent).toBe("Message not sent. The text has a control character."),
    );
  });
});

describe("somebody who does not take messages", () => {
  it("has the reason in the composer's place; what was typed meanwhile comes back with it", async () => {
    await openBen();
    server.sendAnswers.push(() => problem(403, "not_allowed", "Ben does not take messages from you."));
    says("Hello?");
    type("and another thing");
    expect(await screen.findByText(/^You cannot write to Ben at the moment\. Ben does not take/)).toBeTruthy();
    expect(screen.queryByRole("textbox")).toBeNull();
    const again = screen.getByRole("button", { name: "Write again" });
    expect(document.activeElement).toBe(again);
    fireEvent.click(again);
    expect(field().value).toBe("and another thing");
    press("Delete");
    says("now?");
    await waitFor(() => expect(server.messages.map((message) => message.text)).toEqual(["now?"]));
  });
});

describe("Enter", () => {
  it("begins a line where the host says so, and Ctrl or Cmd with it sends", async () => {
    await openBen({ enterSends: false });
    type("one");
    expect(fireEvent.keyDown(field(), { key: "Enter" })).toBe(true);
    expect(field().value).toBe("one");
    fireEvent.keyDown(field(), { key: "Enter", ctrlKey: true });
    type("two");
    fireEvent.keyDown(field(), { key: "Enter", metaKey: true });
    await waitFor(() => expect(server.messages.map((message) => message.text)).toEqual(["one", "two"]));
  });
});

describe("a conversation without messages", () => {
  it("has a place for what the host suggests", async () => {
    await openBen({ emptyAction: <button>Ask about the flat</button> });
    expect(await screen.findByRole("button", { name: "Ask about the flat" })).toBeTruthy();
  });
});

describe("the banner", () => {
  /** The banner alone, over a connection that the test makes up. */
  function Shown({ connection }: { connection: ConnectionSnapshot }) {
    const banner = useBanner(connection);
    return (
      <>
        <p data-testid="status">{shownStatus(connection, banner.kind)}</p>
        <Banner banner={banner} connection={connection} onReconnect={() => undefined} onSignIn={() => undefined} />
      </>
    );
  }

  function show(more: Partial<ConnectionSnapshot>): void {
    const connection = { ...client.connection.getSnapshot(), attempt: 3, ...more };
    const shown = (
      <TidingsProvider client={client}>
        <Shown connection={connection} />
      </TidingsProvider>
    );
    if (view) view.rerender(shown);
    else view = render(shown);
  }

  let view: ReturnType<typeof render> | null = null;
  const text = (): string | null => document.querySelector(".tidings-banner")?.textContent ?? null;
  const later = (ms: number): void => act(() => void vi.advanceTimersByTime(ms));

  beforeEach(() => {
    view = null;
    vi.useFakeTimers();
  });

  it("says why, when it tries again, and what happens to what one writes", () => {
    show({ status: "reconnecting", reason: "silent", retryAt: Date.now() + 6000 });
    expect(text()).toBeNull();
    later(2000);
    expect(text()).toContain("Connection lost. The server does not answer. Trying again in 4 s (attempt 3).");
    expect(text()).toContain("What you send is kept and sent later.");
    later(1000);
    expect(text()).toContain("in 3 s");
  });

  it.each([
    ["network", "The network or the server is away."],
    ["draining", "The server is restarting."],
    ["status_503", "The server is busy."],
    ["status_502", "The server has a problem."],
    ["token", "Your sign-in could not be renewed."],
    ["requested", "Connection lost. Trying"],
  ])("names the cause of %s", (reason, said) => {
    show({ status: "reconnecting", reason });
    later(2000);
    expect(text()).toContain(said);
  });

  it("after three minutes without an answer says that the server cannot be reached", () => {
    show({ status: "reconnecting", reason: "network" });
    later(179_000);
    expect(text()).toContain("Connection lost.");
    later(1000);
    expect(text()).toContain("Can’t reach the server. The network or the server is away. Trying again now");
    expect(text()).toContain("What you wrote is safe on this device.");
    expect(screen.getByTestId("status").textContent).toBe("unreachable");
    expect(screen.getByRole("button", { name: "Try to reconnect" })).toBeTruthy();
    show({ status: "connected", reason: null });
    expect(text()).toBe("Back online.");
    later(3000);
    expect(text()).toBeNull();
  });

  it("offline asks for nothing that one could do; signed out asks to sign in", () => {
    show({ status: "offline" });
    expect(text()).toBe("You’re offline. Messages are sent when you’re back.");
    expect(screen.queryByRole("button")).toBeNull();
    show({ status: "unauthorized" });
    expect(text()).toContain("Please sign in again.");
    expect(screen.getByRole("button", { name: "Sign in" })).toBeTruthy();
  });
});

describe("where nobody is signed in", () => {
  beforeEach(() => {
    client = new RealtimeService({
      url: "http://127.0.0.1/api",
      getToken: () => token,
      environment: { fetch: server.fetch },
    });
    token = null;
    client.connect("ada");
  });

  let token: string | null;
  const noError = (): void => expect(document.body.textContent).not.toMatch(/token|could not|server/i);
  const signsIn = (): void => {
    token = "good";
    client.reconnect();
  };

  it("the screen says so in the place of the messages, once aloud, and has them after the sign-in", async () => {
    const notices: string[] = [];
    render(
      <TidingsProvider client={client}>
        <ChatScreen
          chatUserId="ben"
          chatUserName="Ben"
          onSignIn={signsIn}
          onNotice={({ kind }) => notices.push(kind)}
        />
      </TidingsProvider>,
    );
    expect(await screen.findByRole("heading", { name: "Sign in to your messages" })).toBeTruthy();
    await waitFor(() => expect(screen.getByRole("alert").textContent).toBe("Sign in to your messages"));
    expect(screen.queryByRole("textbox")).toBeNull();
    expect(document.querySelector(".tidings-banner")).toBeNull();
    expect(notices.filter((kind) => kind === "unauthorized")).toHaveLength(1);
    expect(server.requests).toEqual([]);
    noError();
    server.has("ben", "Hello ada");
    press("Sign in");
    expect(await screen.findByText("Hello ada")).toBeTruthy();
    expect(field()).toBeTruthy();
    expect(screen.queryByText("Sign in to your messages", { selector: "h2" })).toBeNull();
  });

  it("the list says so, and nothing is there to choose; without onSignIn there is no button", async () => {
    render(
      <TidingsProvider client={client}>
        <Inbox chatUserId={null} onOpen={() => undefined} onClose={() => undefined} hrefFor={(id) => `#${id}`} />
      </TidingsProvider>,
    );
    expect(await screen.findByRole("heading", { name: "Sign in to your messages" })).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Sign in" })).toBeNull();
    expect(screen.queryByRole("searchbox")).toBeNull();
    noError();
    server.has("ben", "Hello ada");
    signsIn();
    expect(await screen.findByText("Hello ada")).toBeTruthy();
  });

  it("what was not sent stays in sight, with a banner", async () => {
    client.conversation("ben").send("kept");
    render(
      <TidingsProvider client={client}>
        <ChatScreen chatUserId="ben" chatUserName="Ben" onSignIn={signsIn} />
      </TidingsProvider>,
    );
    expect(await screen.findByText("Please sign in again.")).toBeTruthy();
    expect(screen.getByText("kept")).toBeTruthy();
    press("Sign in");
    await waitFor(() => expect(server.messages.map(({ text }) => text)).toEqual(["kept"]));
  });
});

describe("after a sign-out", () => {
  it("the screens that stay ask to sign in, name nobody, and have what is there after connect()", async () => {
    server.has("ben", "Hello ada");
    const signsIn = vi.fn(() => client.connect("ada"));
    render(
      <TidingsProvider client={client}>
        <Inbox
          chatUserId="ben"
          onOpen={() => undefined}
          onClose={() => undefined}
          hrefFor={(id) => `#${id}`}
          onSignIn={signsIn}
        />
      </TidingsProvider>,
    );
    client.connect("ada");
    expect(await screen.findAllByText("Hello ada")).toHaveLength(2);
    await act(() => client.signOut());
    expect(screen.getByRole("heading", { name: "Sign in to your messages" })).toBeTruthy();
    for (const gone of [/Hello ada/, /loading/i, /disconnected/i, /ben/i])
      expect(document.body.textContent).not.toMatch(gone);
    expect(document.querySelector(".tidings-skeleton, .tidings-banner")).toBeNull();
    expect(screen.queryByRole("textbox")).toBeNull();
    expect(screen.queryByRole("button", { name: /try|more/i })).toBeNull();
    const asked = server.requests.length;
    act(() => client.reconnect());
    expect(server.requests).toHaveLength(asked);
    press("Sign in");
    expect(await screen.findAllByText("Hello ada")).toHaveLength(2);
    expect(screen.getByRole("textbox", { name: /^Message/ })).toBeTruthy();
  });
});

describe("somebody else who has signed in in this browser", () => {
  it("is told in words, with a button that loads the page again; what was not sent waits", async () => {
    await openBen();
    server.sendAnswers.push(() => problem(403, "not_yours", "This was written as somebody else."));
    server.streamAnswer = () => problem(403, "not_yours", "This is another user's.");
    says("from ada");
    expect(await screen.findByText("You are signed in as somebody else now.")).toBeTruthy();
    expect(pending()).toEqual(["from ada"]);
    const reload = vi.spyOn(location, "reload").mockImplementation(() => undefined);
    press("Reload");
    expect(reload).toHaveBeenCalledTimes(1);
    reload.mockRestore();
  });
});

describe("an answer of a proxy's", () => {
  it.each([
    [502, "Bad Gateway", "The server has a problem."],
    [503, "Service Unavailable", "The server is busy."],
    [403, "Forbidden", "The server refused it."],
  ])("%i is told in words for people; developers have the rest", async (status, statusText, said) => {
    server.historyAnswer = () => new Response("<h1>nginx</h1>", { status, statusText });
    const notices: string[] = [];
    render(
      <TidingsProvider client={client}>
        <ChatScreen chatUserId="ben" onNotice={({ message }) => notices.push(message)} />
      </TidingsProvider>,
    );
    client.connect("ada");
    expect(await screen.findByText(`Could not load messages. ${said}`)).toBeTruthy();
    expect(notices).toEqual([`Could not load messages. ${said}`]);
    expect(client.conversation("ben").getSnapshot()).toMatchObject({
      error: statusText,
      errorCode: `status_${status}`,
    });
  });
});

describe("coming back", () => {
  it("says how many messages of others there were, once, as one number", async () => {
    await openBen();
    server.streamAnswer = () => problem(503, "unavailable", "Later");
    for (const stream of server.streams) stream.end();
    expect(await screen.findByText("Connection lost.")).toBeTruthy();
    server.receives("ben", "one");
    server.receives("ben", "two");
    server.streamAnswer = null;
    press("Try to reconnect");
    expect(await screen.findByText("Back online. 2 new messages.")).toBeTruthy();
    await waitFor(() => expect(screen.getByRole("status").textContent).toBe("Back online. 2 new messages."));
    server.receives("ben", "three");
    await waitFor(() => expect(screen.getByRole("status").textContent).toBe("New message from Ben: three"));
  });
});
