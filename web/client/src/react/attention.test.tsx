// @vitest-environment happy-dom
import { cleanup, render, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MemoryServer } from "../../test/react/server.js";
import { RealtimeService } from "../service.js";
import { TidingsProvider, useSound, useUnreadTitle } from "./index.js";

let server: MemoryServer;
let client: RealtimeService;
let notes: number;
let isFocused: boolean;

/** The platform's audio, as far as the sound uses it. */
class Audio {
  currentTime = 0;
  destination = {};
  resume = () => Promise.resolve();
  close = () => Promise.resolve();
  createGain = () => ({
    gain: { setValueAtTime() {}, linearRampToValueAtTime() {}, exponentialRampToValueAtTime() {} },
    connect: () => undefined,
  });
  createOscillator = () => ({
    frequency: { value: 0 },
    connect: <T,>(to: T) => to,
    start: () => (notes += 1),
    stop() {},
  });
}

beforeEach(() => {
  server = new MemoryServer("ada");
  client = new RealtimeService({ url: "http://127.0.0.1/api", environment: { fetch: server.fetch } });
  notes = 0;
  isFocused = true;
  vi.stubGlobal("AudioContext", Audio);
  vi.spyOn(document, "hasFocus").mockImplementation(() => isFocused);
  document.title = "The host";
});

afterEach(() => {
  cleanup();
  client.disconnect();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

async function show(page: ReactNode): Promise<() => void> {
  const { unmount } = render(<TidingsProvider client={client}>{page}</TidingsProvider>);
  client.connect("ada");
  await waitFor(() => expect(client.isConnected()).toBe(true));
  return unmount;
}

function Titled(): ReactNode {
  useUnreadTitle("Chat");
  return null;
}

function Sounding({ isOn = true }: { isOn?: boolean }): ReactNode {
  useSound(isOn, "ben");
  return null;
}

// shows: complaints/6
it("the title has the number of unread messages before it, and is the host's again afterwards", async () => {
  const leave = await show(<Titled />);
  await waitFor(() => expect(document.title).toBe("Chat"));
  server.receives("ben", "one");
  server.receives("ben", "two");
  await waitFor(() => expect(document.title).toBe("(2) Chat"));
  leave();
  expect(document.title).toBe("The host");
});

it("a message of another conversation makes a sound of two notes, and many at once make one", async () => {
  await show(<Sounding />);
  server.receives("cleo", "one");
  server.receives("cleo", "two");
  await waitFor(() => expect(notes).toBe(2));
});

it("a message that one sees come makes none; in a page without the focus it does", async () => {
  await show(<Sounding />);
  const arrived: string[] = [];
  client.on("message", ({ text }) => arrived.push(text));
  server.receives("ben", "seen");
  await waitFor(() => expect(arrived).toEqual(["seen"]));
  await Promise.resolve();
  expect(notes).toBe(0);
  isFocused = false;
  server.receives("ben", "not seen");
  await waitFor(() => expect(notes).toBe(2));
});

it("nothing sounds unless it was switched on", async () => {
  const made = vi.fn();
  vi.stubGlobal("AudioContext", made);
  await show(<Sounding isOn={false} />);
  const arrived: string[] = [];
  client.on("message", ({ text }) => arrived.push(text));
  server.receives("cleo", "one");
  await waitFor(() => expect(arrived).toEqual(["one"]));
  expect(made).not.toHaveBeenCalled();
});
