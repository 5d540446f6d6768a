// @vitest-environment happy-dom
import { act, cleanup, render, screen, waitFor } from "@testing-library/react";
import { StrictMode, type ReactNode } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryServer, problem } from "../../test/react/server.js";
import { RealtimeService } from "../service.js";
import {
  ChatScreen,
  InboxList,
  TidingsProvider,
  useConnection,
  useConversation,
  useInbox,
  useOutbox,
  useRealtimeMessages,
  useTyping,
} from "./index.js";

let server: MemoryServer;
let client: RealtimeService;

beforeEach(() => {
  server = new MemoryServer("ada");
  client = new RealtimeService({ url: "http://127.0.0.1/api", environment: { fetch: server.fetch } });
});

afterEach(() => {
  cleanup();
  client.disconnect();
});

const strictly = (children: ReactNode): ReactNode => (
  <StrictMode>
    <TidingsProvider client={client}>{children}</TidingsProvider>
  </StrictMode>
);

describe("under StrictMode", () => {
  // shows: react/strict-mode
  it("all hooks together, each used twice, ask for each thing once", async () => {
    server.has("ben", "Hello");
    function All(): ReactNode {
      const { messages } = useRealtimeMessages("ada", "ben");
      const { hasOlder } = useConversation("ben");
      const { entries } = useInbox();
      const { status } = useConnection();
      const { pending } = useOutbox();
      const { peerTyping } = useTyping("ben");
      return <p>{[messages.length, hasOlder, entries.length, status, pending.length, peerTyping].join()}</p>;
    }
    render(
      strictly(
        <>
          <All />
          <All />
        </>,
      ),
    );
    expect(await screen.findAllByText("1,false,1,connected,0,false")).toHaveLength(2);
    const gets = server.requests.filter((request) => request.startsWith("GET"));
    expect([...gets].sort()).toEqual(["GET /ben", "GET /inbox/ada", "GET /sse/ada"]);
  });

  it("components that come and go leave the stream open and ask for nothing again", async () => {
    const { rerender } = render(strictly(<ChatScreen chatUserId="ben" />));
    client.connect("ada");
    await waitFor(() => expect(client.isConnected()).toBe(true));
    const before = [...server.requests];
    rerender(strictly(null));
    rerender(strictly(<ChatScreen chatUserId="ben" />));
    await waitFor(() => expect(client.isConnected()).toBe(true));
    const since = server.requests.slice(before.length).filter((request) => request.startsWith("GET"));
    expect([since, server.streams.size]).toEqual([[], 1]);
  });
});

describe("useOutbox", () => {
  it("has what is unsent for anybody, and sends or deletes what was refused", async () => {
    function Unsent(): ReactNode {
      const { pending, failed, retryAll, discardAll } = useOutbox();
      return (
        <>
          <p>{`${pending.length} pending, ${failed.length} failed`}</p>
          <button onClick={retryAll}>retry</button>
          <button onClick={discardAll}>discard</button>
        </>
      );
    }
    render(strictly(<Unsent />));
    client.connect("ada");
    await waitFor(() => expect(client.isConnected()).toBe(true));
    const refuse = () => problem(403, "not_allowed", "No");
    server.sendAnswers.push(refuse, refuse, refuse);
    for (const peer of ["ben", "cleo", "dan"]) client.conversation(peer).send(`to ${peer}`);
    await screen.findByText("3 pending, 3 failed");
    server.sendAnswers.push(refuse);
    screen.getByText("retry").click();
    await screen.findByText("1 pending, 1 failed");
    expect(server.messages).toHaveLength(2);
    screen.getByText("discard").click();
    await screen.findByText("0 pending, 0 failed");
    expect(server.messages).toHaveLength(2);
  });
});

describe("useTyping", () => {
  it("tells that the other is typing and that the user is, and loads nothing", async () => {
    let tell = (): void => undefined;
    function Typing(): ReactNode {
      const { peerTyping, typing } = useTyping("ben");
      tell = typing;
      return <p>{peerTyping ? "typing" : "still"}</p>;
    }
    render(strictly(<Typing />));
    client.connect("ada");
    await waitFor(() => expect(client.isConnected()).toBe(true));
    await waitFor(() => expect(server.streams.size).toBe(1));
    server.signals("typing", { chat_user_id: "ben" });
    await screen.findByText("typing");
    act(() => {
      tell();
      tell();
    });
    await waitFor(() => expect(server.requests).toContain("POST /typing"));
    expect(server.requests.filter((request) => /ben|typing/.test(request))).toEqual(["POST /typing"]);
  });
});

describe("rendered on a server", () => {
  // shows: react/server-rendering
  it.each([
    ["where nothing was loaded", false],
    ["where the client has loaded it all before", true],
  ])("it is taken over by the page without a warning, %s", async (_, isLoaded) => {
    server.has("ben", "Hello");
    const page = strictly(
      <>
        <InboxList onOpen={() => undefined} hrefFor={(id) => `#${id}`} />
        <ChatScreen chatUserId="ben" chatUserName="Ben" autoFocus />
      </>,
    );
    const html = renderToString(page);
    expect(server.requests).toEqual([]);
    if (isLoaded) {
      client.connect("ada");
      await Promise.all([client.conversation("ben").load(), client.inbox.load()]);
    }
    const root = document.createElement("div");
    root.innerHTML = html;
    document.body.append(root);
    const said = vi.spyOn(console, "error");
    const recovered = vi.fn();
    const hydrated = await act(async () => hydrateRoot(root, page, { onRecoverableError: recovered }));
    client.connect("ada");
    await screen.findAllByText("Hello");
    expect([said.mock.calls, recovered.mock.calls]).toEqual([[], []]);
    said.mockRestore();
    await act(async () => hydrated.unmount());
    root.remove();
  });
});
