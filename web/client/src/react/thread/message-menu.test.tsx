// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryServer } from "../../../test/react/server.js";
import { RealtimeService } from "../../service.js";
import { ChatScreen, TidingsProvider } from "../index.js";

let server: MemoryServer;
let client: RealtimeService;
let clipboard: string | null;

beforeEach(() => {
  server = new MemoryServer("ada");
  client = new RealtimeService({ url: "http://127.0.0.1/api", environment: { fetch: server.fetch } });
  clipboard = null;
  vi.spyOn(navigator.clipboard, "writeText").mockImplementation((text) => Promise.resolve(void (clipboard = text)));
  server.has("ben", "first");
  server.has("ben", "rude");
  server.has("ada", "mine");
});

afterEach(() => {
  cleanup();
  client.disconnect();
  vi.restoreAllMocks();
});

async function openBen(): Promise<void> {
  render(
    <TidingsProvider client={client}>
      <ChatScreen chatUserId="ben" chatUserName="Ben" />
    </TidingsProvider>,
  );
  client.connect("ada");
  await screen.findByText("mine");
}

const message = (text: string): HTMLElement => screen.getByText(text).closest("article") as HTMLElement;
const items = (): string[] => screen.getAllByRole("menuitem").map((item) => item.textContent);
const key = (name: string): void => void fireEvent.keyDown(document.activeElement as Element, { key: name });
const press = (name: string): void => void fireEvent.click(screen.getByRole("menuitem", { name }));

describe("the menu of a message", () => {
  it("opens with Enter on the message, is moved through by arrows, and gives the focus back", async () => {
    await openBen();
    message("rude").focus();
    key("Enter");
    expect(items()).toEqual(["Copy text", "Report this message", "Block Ben"]);
    expect(document.activeElement?.textContent).toBe("Copy text");
    key("ArrowDown");
    expect(document.activeElement?.textContent).toBe("Report this message");
    key("End");
    expect(document.activeElement?.textContent).toBe("Block Ben");
    key("ArrowDown");
    expect(document.activeElement?.textContent).toBe("Copy text");
    key("ArrowUp");
    expect(document.activeElement?.textContent).toBe("Block Ben");
    key("Escape");
    expect(screen.queryByRole("menu")).toBeNull();
    expect(document.activeElement).toBe(message("rude"));
  });

  it("opens by its button, and closes when one presses elsewhere", async () => {
    await openBen();
    fireEvent.click(within(message("mine")).getByRole("button", { name: "Actions" }));
    expect(items()).toEqual(["Copy text"]);
    fireEvent.pointerDown(document.body);
    expect(screen.queryByRole("menu")).toBeNull();
  });

  it("copies the text and says so", async () => {
    await openBen();
    message("mine").focus();
    key("Enter");
    press("Copy text");
    await waitFor(() => expect(screen.getByRole("status").textContent).toBe("Copied."));
    expect(clipboard).toBe("mine");
    expect(document.activeElement).toBe(message("mine"));
  });

  // shows: complaints/19
  it("reports this message, with what was said before it", async () => {
    await openBen();
    message("rude").focus();
    key("Enter");
    press("Report this message");
    expect(screen.getByText("Sent along: “rude” and what was said before it.")).toBeTruthy();
    fireEvent.change(screen.getByRole("textbox", { name: "What happened?" }), { target: { value: "Insult" } });
    fireEvent.click(screen.getByRole("button", { name: "Send report" }));
    await screen.findByText("Your report was sent. Thank you.");
    expect(server.reports).toEqual([{ chatUserId: "ben", reason: "Insult", seq: 2 }]);
  });

  it("asks before it blocks, and offers no block of somebody who is blocked", async () => {
    await openBen();
    message("first").focus();
    key("Enter");
    press("Block Ben");
    expect(server.blocked).toBe(false);
    fireEvent.click(screen.getByRole("button", { name: "Block" }));
    await screen.findByText("You blocked Ben.");
    message("first").focus();
    key("Enter");
    expect(items()).toEqual(["Copy text", "Report this message"]);
  });

  it("is not opened by Enter on what is inside the message", async () => {
    server.has("ben", "https://example.org/");
    await openBen();
    fireEvent.keyDown(await screen.findByRole("link"), { key: "Enter" });
    expect(screen.queryByRole("menu")).toBeNull();
  });
});
